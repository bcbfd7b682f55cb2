"""The profile screen's rooms: the thread that samples, the desk that keeps, rows and panels."""
