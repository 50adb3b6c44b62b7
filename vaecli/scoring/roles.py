"""Which of the columns with parts of a score make a row anomalous, and which could be wrong in place of the first.

Columns that move together share a score: with a wrong cell replaced, the row is normal again, and so it is to some
degree with another cell replaced that goes along with the wrong one. So columns are taken in the order of their
attributions. The first is responsible, as are all cells far beyond training; so is a later one if the row is still
anomalous with those before replaced, and replacing it takes a LASTING share of what is left. Else it is an alternative
if replacing it alone makes the row usual, and minor if not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MINOR, RESPONSIBLE, ALTERNATIVE = 0, 1, 2
LASTING = 0.2  # of the score that is left without the responsible columns so far
LEAST = 0.05  # of a score: where no column has a larger part, none is responsible
HALF = 0.5  # of a row's score, which is left at most where a row is usual again


def roles(
    score_without: Callable[[np.ndarray], np.ndarray],
    attribution: np.ndarray,
    far: np.ndarray,
    score: float,
    flagged_from: float,
    most: int,
) -> np.ndarray:
    """The role (c,) uint8 of each of the `most` columns with the largest `attribution` (c,); MINOR of all others.

    `score_without` gives the scores (m,) of the row with the columns replaced (m, c) bool, `far` (c,) bool marks cells
    far beyond training. The row of this `score` is usual from min(`flagged_from`, half its score) nats downwards.
    """
    role, usual = np.full(attribution.size, MINOR, np.uint8), min(flagged_from, HALF * score)
    order = [j for j in np.argsort(-attribution, kind="stable")[:most].tolist() if attribution[j] > 0]
    if not order or attribution[order[0]] < LEAST * score:
        return role
    found = far & (attribution > 0)
    if not found.any():
        found[order[0]] = True
    role[found] = RESPONSIBLE
    later = [j for j in order if not found[j]]
    if not later:
        return role
    alone = np.zeros((0 if far.any() else len(later), far.size), bool)
    alone[np.arange(len(alone)), later[: len(alone)]] = True
    left, *left_alone = score_without(np.vstack([found, alone])).tolist()
    for place, j in enumerate(later):
        if left > usual:
            with_it = found | (np.arange(far.size) == j)
            remaining = float(score_without(with_it[None])[0])
            if left - remaining >= LASTING * left:
                role[j], found, left = RESPONSIBLE, with_it, remaining
                continue
        if left_alone and left_alone[place] <= usual:
            role[j] = ALTERNATIVE
    return role
