"""How an ensemble is trained: loop, optimiser, checkpoints."""
