"""Groups patterns of deviation to incidents: Ward's agglomeration down to a number, then while centroids lie close.

Ward (1963) merges the two groups whose union adds least to the sum of squared distances from centroids. Distances are
in standard deviations of training: see `tasks.deviations` for the vectors. NumPy only.
"""

from __future__ import annotations

import numpy as np

MOST_INCIDENTS = 30
JOINED_WITHIN = 4.0  # squared distance of centroids below which two groups are one incident
KNOWN_WITHIN = 6.0  # of an incident from a known one: more, so that one that goes on keeps its name
APART = 4.5  # added where patterns have different places: they are joined only if there are too many
MIXED = -1  # the place of a group with several


def group_patterns(
    mean: np.ndarray, n: np.ndarray, place: np.ndarray, most: int = MOST_INCIDENTS
) -> tuple[np.ndarray, np.ndarray]:
    """Label (m,) of each of m patterns with a `mean` (m, d), `n` (m,) rows and a `place` (m,) code, and places (m,).

    A label is the index of the first pattern of its group; the place of a group stands there, MIXED where it has
    several. At most `most` groups are left.
    """
    mean, n, place = mean.astype(np.float64), n.astype(np.float64), place.copy()
    label, alive = np.arange(len(n)), np.ones(len(n), bool)
    distance = np.stack([_distances(mean, place, i) for i in range(len(n))]) if len(n) else np.empty((0, 0))
    np.fill_diagonal(distance, np.inf)
    cost = distance * (n[:, None] * n / (n[:, None] + n))
    while alive.sum() > 1:
        crowded = alive.sum() > most
        i, j = sorted(divmod(int(np.argmin(cost if crowded else distance)), len(n)))
        if not crowded and distance[i, j] >= JOINED_WITHIN:
            break
        mean[i] = (n[i] * mean[i] + n[j] * mean[j]) / (n[i] + n[j])
        n[i] += n[j]
        place[i] = place[i] if place[i] == place[j] else MIXED
        label[label == j], alive[j] = i, False
        changed = np.where(alive, _distances(mean, place, i), np.inf)
        changed[i] = np.inf
        distance[i], distance[:, i] = changed, changed
        cost[i] = cost[:, i] = changed * (n * n[i] / (n + n[i]))
        for matrix in (distance, cost):
            matrix[j], matrix[:, j] = np.inf, np.inf
    return label, place


def nearest_known(mean: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Index (m,) of the `known` (k, d) incident that each `mean` (m, d) goes on with; −1 where none lies close."""
    if not len(known) or not len(mean):
        return np.full(len(mean), -1)
    distance = ((mean[:, None] - known) ** 2).sum(-1)
    return np.where(distance.min(1) < KNOWN_WITHIN, distance.argmin(1), -1)


def _distances(mean: np.ndarray, place: np.ndarray, i: int) -> np.ndarray:
    return np.asarray(((mean - mean[i]) ** 2).sum(-1) + APART * ((place != place[i]) | (place == MIXED)))
