"""Opens our own libhakmem.so through cffi and reads its tables; the only room that loads it."""
