"""Where a scoring job runs; so far on this machine."""
