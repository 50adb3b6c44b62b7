"""Hashes that look random, are the same on every machine, and come from whole-array arithmetic."""

from __future__ import annotations

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(values: np.ndarray) -> np.ndarray:
    """Map uint64 (n,) one-to-one to uint64 (n,): SplitMix64 (Steele, Lea & Flood 2014). Arithmetic wraps."""
    z = values + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def row_hash(row: np.ndarray) -> np.ndarray:
    """Hash row numbers (n,) to uint64 (n,): output `row` of the SplitMix64 generator with seed 0."""
    return splitmix64(row.astype(np.uint64) * _GAMMA)
