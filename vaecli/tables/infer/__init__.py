"""The schema of a table: the kind and the role of each column, found by reading all rows once."""
