"""Cells, features and folds: what the model is given of a table."""
