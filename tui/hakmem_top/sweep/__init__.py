"""The sweep screen's rooms: the form, the desk that holds a session, rows and panels."""
