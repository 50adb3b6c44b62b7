"""Counts and samples of a stream that can be merged."""
