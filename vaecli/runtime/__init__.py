"""Threads, atomic files and file formats: what the other packages need of the machine."""
