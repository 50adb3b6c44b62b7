"""From scores to flags."""
