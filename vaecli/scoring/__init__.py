"""From log-probabilities to the score of a row, and to the share of each column in it."""
