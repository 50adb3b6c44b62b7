"""Whether an incident goes on: its rows in a run beside those that chance brings, and beside its pace so far.

Normal rows are flagged at a known rate p, and some of them deviate as an incident does. Of n scored rows at most
SIMILAR · p · n do in the mean, so x similar rows are evidence that the incident goes on if
P(Poisson(SIMILAR · p · n) ≥ x) ≤ RARELY. Without evidence the incident has ended once it is improbable that it goes on
at half its pace: P(Poisson(½ · pace · n) ≤ x) < RARELY, with x and n since its last evidence. Until then it is in
doubt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

SIMILAR = 0.25  # of the normal rows that are flagged by chance: as many at most deviate as a given incident does
RARELY = 0.01
SLOWEST = 0.5  # of its pace: an incident that fades or comes unevenly goes on


class Fate(Enum):
    """What a run shows of an incident that an earlier one announced."""

    GOES_ON = "goes on"
    IN_DOUBT = "in doubt"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Counted:
    """Flagged rows that deviate as an incident does, among rows that were scored."""

    rows: int = 0
    scored: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.rows + other.rows, self.scored + other.scored)

    @property
    def pace(self) -> float:
        """Rows per scored row, in [0, 1]; 0 without any."""
        return self.rows / self.scored if self.scored else 0.0


def is_beyond_chance(found: Counted, chance: float) -> bool:
    """Whether there are more rows than chance brings, if it flags a share `chance` in (0, 1] of normal rows."""
    return found.rows > 0 and poisson_at_least(found.rows, SIMILAR * chance * found.scored) <= RARELY


def fate(latest: Counted, doubted: Counted, proven: Counted, chance: float) -> Fate:
    """What a run with `latest` rows shows of an incident whose pace is that of its `proven` rows, if it has any.

    `doubted` are the rows since its last evidence, without the latest; `chance` in (0, 1] is the share of normal rows
    that are flagged.
    """
    since = doubted + latest
    if is_beyond_chance(latest, chance) or (latest.rows and is_beyond_chance(since, chance)):
        return Fate.GOES_ON
    if not proven.scored:
        return Fate.ENDED
    at_most = 1 - poisson_at_least(since.rows + 1, SLOWEST * proven.pace * since.scored)
    return Fate.ENDED if at_most < RARELY else Fate.IN_DOUBT


def poisson_at_least(count: int, mean: float) -> float:
    """P(X ≥ count) in [0, 1] of a Poisson variable X with this `mean` ≥ 0."""
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    below = np.arange(count)
    logs = below * math.log(mean) - mean - np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count)))))
    return float(np.clip(1 - np.exp(logs).sum(), 0, 1))
