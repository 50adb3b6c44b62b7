"""Threads, file formats and atomic writes: what the other packages need of the machine."""
