"""How good a bundle is: metrics, baselines, injected faults."""
