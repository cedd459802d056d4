"""Statistics: frames and arrays in, estimates out; no files, no display."""
