"""The toolkit around libhakmem: see, trace, suspect, compare, apply."""
