"""One hash of 64-bit integers, for samples and counts that draw no random numbers."""

from __future__ import annotations

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(values: np.ndarray) -> np.ndarray:
    """A one-to-one scrambling of uint64 (n,), as good as random: SplitMix64, Steele, Lea & Flood 2014."""
    z = values + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def row_hash(row: np.ndarray) -> np.ndarray:
    """(n,) uint64, a different one for every row number (n,) and always the same for the same."""
    return splitmix64(row.astype(np.uint64) * _GAMMA)  # the generator's state after so many steps
