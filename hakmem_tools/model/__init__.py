"""Pure records and arithmetic on them; no I/O, no clock, no randomness."""
