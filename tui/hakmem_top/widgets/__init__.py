"""Widgets: they draw what present.py and its neighbours work out, and know no figures."""
