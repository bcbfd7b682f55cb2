"""The learning screen's rooms: figures from the counters, panels, and the table of knobs."""
