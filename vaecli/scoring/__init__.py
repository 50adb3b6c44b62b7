"""From log-probabilities to the score of a row, and to the attribution of the score to columns."""
