"""Files, folders, URLs, pipes and frames as batches of rows."""
