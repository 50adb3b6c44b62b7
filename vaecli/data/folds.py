"""Which rows each ensemble member is held out from: a function of seed and row, group or time."""

from __future__ import annotations

import numpy as np

BLOCKS_PER_FOLD = 4


def assign_folds(n_rows: int, n_folds: int, seed: int) -> np.ndarray:
    """(n,) int64 fold of each row, 0…n_folds−1: balanced to one row, at random."""
    folds = np.arange(n_rows, dtype=np.int64) % n_folds
    return np.random.default_rng([seed, 0xF01D]).permutation(folds)


def assign_blocks(n_rows: int, n_folds: int) -> np.ndarray:
    """(n,) int64 folds as contiguous stretches of rows, four stretches per fold, in turn.

    For rows in the order of time: neighbours resemble each other, so a row whose neighbour was trained on is not
    held out at all.
    """
    n_blocks = min(n_rows, n_folds * BLOCKS_PER_FOLD)
    return np.arange(n_rows, dtype=np.int64) * n_blocks // max(n_rows, 1) % n_folds


def assign_groups(group: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """(n,) int64 folds with all rows of one group in one fold; the largest group goes first, to the emptiest fold.

    `group` (n,) holds group codes 0…g−1. At most g folds are used.
    """
    sizes = np.bincount(group)
    order = np.random.default_rng([seed, 0x6809]).permutation(sizes.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    load, fold_of = np.zeros(min(n_folds, sizes.size), np.int64), np.zeros(sizes.size, np.int64)
    for g in order:
        fold_of[g] = load.argmin()
        load[fold_of[g]] += sizes[g]
    return fold_of[group]
