"""Arrow columns to cells."""
