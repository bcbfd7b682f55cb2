"""The screens. One file each; `VIEWS` in app.py lists those that have a key and a tab."""
