"""Faults in time to put into normal rows of series, one sensor at a time.

x is a reading, σ the standard deviation of its sensor in the rows of the fit, t the row of the fault counted from 1:

| fault     | what becomes of the readings of a sensor                                  | sizes s         | sensors    |
|-----------|---------------------------------------------------------------------------|-----------------|------------|
| `spike`   | one reading lies s·σ further from the mean                                | 2, 4, 8 σ       | continuous |
| `shift`   | x ± s·σ from one row to the next; up in half of the faults                | ½, 1, 2, 4 σ    | continuous |
| `drift`   | x ± s·σ·t / 128: a ramp that ends s·σ away                                | 1, 2, 4 σ       | continuous |
| `stuck`   | the last reading before the fault                                         |                 | all        |
| `noise`   | x and white noise of standard deviation s·σ                               | ½, 1, 2 σ       | continuous |
| `quiet`   | the mean of the nine readings around x: noise is gone, the movement stays |                 | continuous |
| `delay`   | the reading of s rows earlier, while other sensors are on time            | 4, 16 rows      | all        |
| `missing` | no reading                                                                | 8, 32, 128 rows | all        |

“All” are continuous sensors and discrete ones; a sensor that never moved in the fit can have none. Columns of whole
numbers keep whole numbers. A reading that is missing stays missing. Readings that move by less than 1 % of σ count as
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.sensor_scale import CONTINUOUS, DEAD, SensorScale
from vaecli.schema import Column, Kind

LONGEST = 128  # rows of a fault that lasts
ROWS_BEFORE = 32  # that a fault may look back to
SMOOTHED = 9  # readings that become one when noise is gone
LEAST_CHANGE = 0.01  # standard deviations


@dataclass(frozen=True, slots=True)
class SensorReadings:
    """One sensor before and during a fault: `value` (b + m,), NaN where missing, and `state` (b + m,) of its cells.

    The fault is in the rows from `begin`, which is b, on. `mean` and `spread` are those of the fit.
    """

    value: np.ndarray
    state: np.ndarray
    begin: int
    mean: float
    spread: float
    is_whole: bool

    @property
    def now(self) -> np.ndarray:
        """(m,) the readings in the rows of the fault."""
        return self.value[self.begin :]

    def with_numbers(self, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and states (m,) with the numbers `now` (m,) where there were readings."""
        here = self.state[self.begin :] == PRESENT
        numbers = np.rint(now) if self.is_whole else now
        return np.where(here, numbers, self.now), self.state[self.begin :].copy()

    def at(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and states (m,) of other rows (m,) of the same sensor."""
        return self.value[row], self.state[row]


Change = Callable[[SensorReadings, float, np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class SeriesFault:
    """One kind of fault in time and the sizes to try; `size_unit` is `sd`, `rows` or nothing."""

    name: str
    sizes: tuple[float | None, ...]
    change: Change
    size_unit: str = ""
    only_continuous: bool = False

    def n_rows(self, size: float | None) -> int:
        """How many rows the fault lasts."""
        if self.name == "spike":
            return 1
        return int(size) if self.name == "missing" and size is not None else LONGEST

    def applies_to(self, kinds: np.ndarray) -> np.ndarray:
        """(k,) numbers of the columns of these `kinds` (c,) that can have the fault, ascending."""
        least = CONTINUOUS if self.only_continuous else DEAD + 1
        return np.flatnonzero(kinds >= least)


def column_kinds(columns: Sequence[Column], column_of: np.ndarray, scale: SensorScale) -> np.ndarray:
    """(c,) DEAD, DISCRETE or CONTINUOUS of the columns; `column_of` (D,) is the column of each sensor.

    A column of several sensors, a category, is dead where all of them are.
    """
    kinds = np.full(len(columns), DEAD, np.uint8)
    np.maximum.at(kinds, column_of, scale.kind)
    return kinds


def inject(
    fault: SeriesFault, size: float | None, readings: SensorReadings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Values and states (m,) of the rows of the fault; `rng` draws its direction and noise."""
    return fault.change(readings, 0.0 if size is None else size, rng)


def changed(column: Column, spread: float, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(m,) bool: where a fault made other values of a column; NaN is a missing cell.

    Numbers have to move by 1 % of `spread`; of categories every other one counts.
    """
    least = LEAST_CHANGE * spread if column.kind is Kind.NUMERIC else 0.0
    moved = np.abs(np.where(np.isnan(before) | np.isnan(after), 0.0, after - before)) > least
    return np.asarray(moved | (np.isnan(before) != np.isnan(after)))


# -- what each fault does -----------------------------------------------------------------------


def _spike(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    outwards = np.sign(of.now - of.mean)
    return of.with_numbers(of.now + np.where(outwards == 0, _sign(rng), outwards) * size * of.spread)


def _shift(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return of.with_numbers(of.now + _sign(rng) * size * of.spread)


def _drift(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    share = np.arange(1, of.now.size + 1) / LONGEST
    return of.with_numbers(of.now + _sign(rng) * size * of.spread * share)


def _stuck(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    present = np.flatnonzero(of.state[: of.begin] == PRESENT)
    if not present.size:
        return of.at(np.arange(of.begin, of.value.size))
    return of.at(np.full(of.now.size, present[-1]))


def _noise(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return of.with_numbers(of.now + size * of.spread * rng.normal(size=of.now.size))


def _quiet(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    here = of.state == PRESENT
    total, n = np.append(0.0, np.cumsum(np.where(here, of.value, 0.0))), np.append(0, np.cumsum(here))
    row = np.arange(of.begin, of.value.size)
    first = np.maximum(row - SMOOTHED // 2, 0)
    end = np.minimum(row + SMOOTHED // 2 + 1, of.value.size)
    return of.with_numbers((total[end] - total[first]) / np.maximum(n[end] - n[first], 1))


def _delay(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    return of.at(np.maximum(np.arange(of.begin, of.value.size) - int(size), 0))


def _missing(of: SensorReadings, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    return np.full(of.now.size, np.nan), np.full(of.now.size, MISSING, of.state.dtype)


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice((-1.0, 1.0)))


SERIES_CATALOGUE: dict[str, SeriesFault] = {
    fault.name: fault
    for fault in (
        SeriesFault("spike", (2.0, 4.0, 8.0), _spike, "sd", only_continuous=True),
        SeriesFault("shift", (0.5, 1.0, 2.0, 4.0), _shift, "sd", only_continuous=True),
        SeriesFault("drift", (1.0, 2.0, 4.0), _drift, "sd", only_continuous=True),
        SeriesFault("stuck", (None,), _stuck),
        SeriesFault("noise", (0.5, 1.0, 2.0), _noise, "sd", only_continuous=True),
        SeriesFault("quiet", (None,), _quiet, only_continuous=True),
        SeriesFault("delay", (4.0, 16.0), _delay, "rows"),
        SeriesFault("missing", (8.0, 32.0, 128.0), _missing, "rows"),
    )
}
