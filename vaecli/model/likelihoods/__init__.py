"""p(x_j | z) for each kind of column: one file per distribution, `likelihood` for all columns of a table."""
