"""Conformal p-values and thresholds from held-out normal rows."""
