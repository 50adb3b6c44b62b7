"""What is done to a batch of rows, one task per verb; partial results add up."""
