"""Batches as CSV and Parquet files that appear whole or not at all."""
