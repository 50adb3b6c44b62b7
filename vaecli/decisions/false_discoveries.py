"""A false-discovery rate over one batch of rows: Benjamini and Hochberg's procedure on conformal p-values.

Of n p-values the k smallest are flagged, with the largest k for which p_(k) <= q k / n. For conformal p-values by m
normal rows, which are positively dependent, the expected share of normal rows among the flagged ones is then at most q
(Bates et al. 2023). This needs p-values that are conformal throughout: none below 1/(m + 1), where a tail model would
go on.
"""

from __future__ import annotations

import math

import numpy as np


def largest_discovery(p_value: np.ndarray, n_tests: int, q: float) -> float | None:
    """The largest p-value that is flagged at the rate `q`, or None where none is.

    `p_value` (k,) are in any order those of the `n_tests` that may be flagged: at least all of them up to `q`.
    """
    ascending = np.sort(p_value)
    passed = np.flatnonzero(ascending <= q * np.arange(1, ascending.size + 1) / max(n_tests, 1))
    return float(ascending[passed[-1]]) if passed.size else None


def fewest_discoveries(n_tests: int, smallest_p: float, q: float) -> int:
    """How many of `n_tests` rows must have the smallest p-value there is before any can be flagged at the rate `q`."""
    return max(1, math.ceil(n_tests * smallest_p / q * (1 - 1e-12)))
