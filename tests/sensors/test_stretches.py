"""What stretches of training teach a check about chance, on processes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.schema import Column, Kind
from vaecli.sensors.fit_stretches import learn_stretches
from vaecli.sensors.stretches import TrainingStretches, places

COLUMNS = (Column("slow", Kind.NUMERIC), Column("fast", Kind.NUMERIC), Column("state", Kind.BOOLEAN))
N = 4_000


def process(n: int, seed: int) -> np.ndarray:
    """A sensor that remembers for about 100 rows, one that does not, and a state that lasts for an hour."""
    rng = np.random.default_rng(seed)
    noise, slow = rng.normal(size=n), np.zeros(n)
    for t in range(1, n):
        slow[t] = 0.99 * slow[t - 1] + 0.14 * noise[t]
    state = (np.cumsum(rng.random(n) < 1 / 60) % 2).astype(float)
    return np.stack([slow, rng.normal(size=n), state], axis=1)


def learned(values: np.ndarray, group: np.ndarray | None = None) -> TrainingStretches:
    n = len(values)
    of_group = np.zeros(n, np.int64) if group is None else group
    time, score = np.arange(n) * 60.0, np.abs(values[:, 1])
    return learn_stretches(COLUMNS, values, np.empty((n, 0)), score, time, of_group, 60.0)


def exceeded(stretches: TrainingStretches, values: np.ndarray, length: int) -> np.ndarray:
    """How often (c,) stretches of fresh rows lie beyond the limit of one of 20 comparisons."""
    place = stretches.place(length)
    assert place is not None
    beyond = []
    for first in range(0, len(values) - length + 1, length):
        found = []
        for j in range(len(COLUMNS)):
            reference = stretches.references[j]
            assert reference is not None
            counts = np.bincount(places(reference, values[first : first + length, j]), minlength=reference.share.size)
            limit = stretches.limit(stretches.moved[:, j, place], place, float(stretches.worth[j]), 20)
            found.append(float(reference.distance(counts)) > limit)
        beyond.append(found)
    return np.mean(beyond, axis=0)


@pytest.mark.parametrize("length", [30, 120, 480])
def test_fresh_stretches_stay_within_the_limits(length: int):
    """Stretches of the same process exceed a limit in less than one of a hundred cases, slow sensors too.

    A test that took rows for independent would reject nearly every stretch of the slow one.
    """
    assert (exceeded(learned(process(N, 0)), process(24_000, 1), length) < 0.01).all()


def test_a_sensor_that_moved_exceeds_its_limit():
    """Half a standard deviation is beyond chance for a sensor without memory, from some hundred rows on."""
    moved = process(4_800, 2)
    moved[:, 1] += 0.5
    shares = exceeded(learned(process(N, 0)), moved, 480)
    assert shares[1] == 1
    assert shares[[0, 2]].max() < 0.1


def test_longer_memory_is_worth_fewer_rows():
    """A sensor that remembers is worth fewer independent rows than one that does not."""
    worth = learned(process(N, 0)).worth
    assert worth[0] < 100 < worth[1]


def test_arrays_bring_it_back():
    """What the bundle holds is all of it."""
    stretches = learned(process(N, 0), np.repeat([0, 1], N // 2))
    again = TrainingStretches.from_arrays(stretches.to_arrays(), COLUMNS, 0)
    assert again is not None
    for name, value in stretches.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], value)
    assert TrainingStretches.from_arrays({}, COLUMNS, 0) is None


def test_a_table_shorter_than_every_stretch_has_no_length():
    """Seven rows are not compared; a length in between is that of the next shorter stretches."""
    stretches = learned(process(N, 0))
    assert stretches.place(7) is None
    assert [stretches.length[stretches.place(n)] for n in (8, 31, 32, 10**6)] == [8, 16, 32, stretches.length[-1]]


def test_missing_readings_and_lost_time():
    """Missing cells, repeated times and steps after which rows are missing are counted as events."""
    values = process(N, 0)
    values[100:110, 1] = np.nan
    values[500, 1] = np.nan
    time = np.arange(N) * 60.0
    time[2_000:] += 6_000
    time[3_001] = time[3_000]
    group, score = np.zeros(N, np.int64), np.ones(N)
    stretches = learn_stretches(COLUMNS, values, np.empty((N, 0)), score, time, group, 60.0)
    assert stretches.absent.rows.tolist() == [0, 11, 0]
    assert stretches.absent.runs.tolist() == [0, 2, 0]
    assert (int(stretches.repeated.rows[0]), stretches.long_steps) == (1, 2)
    assert stretches.lost_share == pytest.approx(6_060 / (time[-1] - time[0]))
