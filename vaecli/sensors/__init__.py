"""Sensors in time: windows of series instead of rows by themselves."""
