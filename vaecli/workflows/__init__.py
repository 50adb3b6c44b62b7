"""One straight line a verb."""
