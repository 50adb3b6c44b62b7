"""What training supports: the range of each sensor's level over time, and the values that a category had.

A sensor beyond its range raises an alarm that ends after a while, and another one further out: what is out of range for
long is no news, and what goes on drifting is. A value that training never had raises one each time it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.series import Alarms, Cause, missing_runs

LEVEL_ROWS = 8  # whose mean is a sensor's level
STEPS = (1, 2, 4, 8)  # limits beyond the range at which an alarm is raised
RAISED_ROWS = 16  # that an alarm lasts at most
QUIET_ROWS = 512  # after which reaching a step again is another alarm
UNSEEN_ROWS = 128  # that a value which training never had is reported for at most
UNSEEN_FAR = float(np.e)  # limits that such a value counts for: one nat
N_COUNTS = len(STEPS) + 2  # per sensor: rows since each step, rows since an alarm began, rows of an unseen value
LONG_AGO = 2**40
_HALF = 5.0  # scaled; the indicator of an unseen value is 0 or at the end of the scale
_ROUNDING = 1e-4  # scaled; more than a mean of LEVEL_ROWS readings can lie above the largest of them


@dataclass(frozen=True, slots=True)
class Support:
    """The range of the levels of D sensors in training, in scaled units.

    `ends` (2, D) float32 are its lower and upper ends, `margin` (2, D) float32 how far beyond them the limits lie,
    infinite where a sensor has none. `unseen` (D,) bool marks the indicators of values that training never had, of
    columns in which such a value is news.
    """

    ends: np.ndarray
    margin: np.ndarray
    unseen: np.ndarray

    def alarms(
        self, before: np.ndarray, readings: np.ndarray, counts: np.ndarray | None
    ) -> tuple[Alarms | None, np.ndarray | None]:
        """The alarms of rows (m, D) that follow the rows `before` (h, D) of their stretch, and the counts after them.

        Readings are scaled and filled. `counts` (N_COUNTS, D) int64 are those after the rows before, None where nothing
        was reported lately. The alarms are None where there is none.
        """
        around = np.concatenate([before[-(LEVEL_ROWS - 1) :], readings])
        near = self.margin - np.float32(_ROUNDING)
        high, low = around.max(0), around.min(0)
        beyond = np.flatnonzero((high > self.ends[1] + near[1]) | (low < self.ends[0] - near[0]))
        is_unseen = bool((high[self.unseen] > _HALF).any())
        if counts is None and not beyond.size and not is_unseen:
            return None, None
        old = nothing_reported(self.unseen.size) if counts is None else counts
        new = np.minimum(old + len(readings), LONG_AGO)
        new[-1] = 0
        found = Alarms.none(len(readings))
        for j in beyond.tolist():
            far = self._far(around[:, j], len(readings), j)
            active, new[:-1, j] = _news(far, old[:-1, j])
            found = found.joined(np.where(active, far, np.float32(0)), j, Cause.BEYOND)
        for j in np.flatnonzero(self.unseen).tolist() if is_unseen or old[-1].any() else []:
            runs = missing_runs(readings[:, [j]] > _HALF, old[-1, [j]])[:, 0]
            new[-1, j] = runs[-1]
            far = np.where((runs > 0) & (runs <= UNSEEN_ROWS), np.float32(UNSEEN_FAR), np.float32(0))
            found = found.joined(far, j, Cause.UNSEEN)
        is_over = (new[: len(STEPS)] > QUIET_ROWS).all() and (new[-2] >= RAISED_ROWS).all() and not new[-1].any()
        return (found if found.far.any() else None), (None if is_over else new)

    def _far(self, x: np.ndarray, n_rows: int, j: int) -> np.ndarray:
        """How far the level of sensor `j` lies beyond its range (n_rows,), in margins; 0 where rows are too few.

        `x` are its readings, of which the last `n_rows` are judged.
        """
        far = np.zeros(n_rows, np.float32)
        if x.size < LEVEL_ROWS:
            return far
        level = levels(x)
        above, below = level - self.ends[1, j], self.ends[0, j] - level
        found = np.maximum(np.maximum(above / self.margin[1, j], below / self.margin[0, j]), np.float32(0))
        far[-min(level.size, n_rows) :] = found[-n_rows:]
        return far

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        bounded = np.where(np.isinf(self.margin), np.finfo(np.float32).max, self.margin)
        return {"ends": self.ends, "margin": bounded.astype(np.float32), "unseen": self.unseen.astype(np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_sensors: int) -> Support:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        ends, margin, unseen = arrays["ends"], arrays["margin"], arrays["unseen"]
        for name, array in (("ends", ends), ("margin", margin)):
            if array.shape != (2, n_sensors) or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"support/{name} is not two finite float32 per sensor")
        if (margin <= 0).any() or (ends[0] > ends[1]).any():
            raise ValueError("support/margin is not positive, or support/ends are not ascending")
        if unseen.shape != (n_sensors,) or unseen.dtype != np.uint8 or (unseen > 1).any():
            raise ValueError("support/unseen is not a flag per sensor")
        return cls(ends, margin, unseen.astype(bool))


def levels(x: np.ndarray) -> np.ndarray:
    """The mean of each of n rows and the LEVEL_ROWS - 1 before it, (n - LEVEL_ROWS + 1, …), of readings (n, …).

    The sums have one order, so that a level has the same bits wherever a batch begins.
    """
    n = len(x) - LEVEL_ROWS + 1
    total = x[:n].copy()
    for by in range(1, LEVEL_ROWS):
        total += x[by : by + n]
    return np.asarray(total / np.float32(LEVEL_ROWS))


def nothing_reported(n_sensors: int) -> np.ndarray:
    """The counts (N_COUNTS, D) of sensors of which nothing was reported."""
    counts = np.full((N_COUNTS, n_sensors), LONG_AGO, np.int64)
    counts[-1] = 0
    return counts


def _news(far: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of m rows (m,) raise an alarm, by how `far` (m,) a sensor lies out, and the counts after them.

    `counts` are the rows since each step was reached last, and since the latest alarm began. An alarm begins where a
    step is reached that was not for QUIET_ROWS rows; rows beyond the first step raise it for RAISED_ROWS rows.
    """
    m = far.size
    begins, after = np.full(m, -int(counts[-1]), np.int64), np.minimum(counts + m, LONG_AGO)
    for k, step in enumerate(STEPS):
        reached = np.flatnonzero(far > step)
        if not reached.size:
            break
        last = np.concatenate([[-int(counts[k])], reached[:-1]])
        first = reached[reached - last > QUIET_ROWS]
        begins[first] = first
        after[k] = m - reached[-1]
    begins = np.maximum.accumulate(begins)
    after[-1] = min(m - int(begins[-1]), LONG_AGO)
    return (far > STEPS[0]) & (np.arange(m) - begins < RAISED_ROWS), after
