"""Counts that a report shows: exact where they can be, and the same however a table is cut."""

from __future__ import annotations

import math
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from vaecli.aggregates import timeline
from vaecli.aggregates.histograms import NumberBins, calibration_counts, moved, score_counts, score_edges, share_at_most
from vaecli.aggregates.timeline import CLOCK, DECIMAL, MOST_BINS, TimeBins
from vaecli.calibration.conformal import Calibration
from vaecli.data.hashing import row_hash

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(normal=SCORES, scored=SCORES, level=st.floats(0.05, 0.95))
@example(normal=[1.0], scored=[1.0], level=0.5)
@example(normal=[0.0, 0.0, 5e-324], scored=[0.0], level=0.9)
def test_every_score_is_counted_once(normal: list[float], scored: list[float], level: float):
    """The bins ascend, hold every score and every calibration row, and separate flagged scores from the others."""
    calibration = Calibration.of(np.array(normal))
    threshold = calibration.threshold(level)
    edges = score_edges(calibration.scores, calibration.ranks, threshold)
    assert (np.diff(edges) > 0).all()
    counts = score_counts(edges, np.array([*scored, np.nan]))
    assert counts.sum() == len(scored)
    assert calibration_counts(edges, calibration.scores, calibration.ranks).sum() == len(normal)
    if edges[0] < threshold < edges[-1]:
        assert threshold in edges
        place = int(np.flatnonzero(edges == threshold)[0])
        assert counts[place:].sum() == (np.array(scored) >= threshold).sum()


@pytest.mark.parametrize("threshold", [-math.inf, math.inf, 0.0])
def test_no_threshold_breaks_the_bins(threshold: float):
    """Also where every row is flagged or none can be, and where a normal score is infinite."""
    edges = score_edges(np.array([0.0, 1.0, math.inf]), np.array([1, 2, 3]), threshold)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    assert score_counts(edges, np.array([-math.inf, 0.5, math.inf])).sum() == 3


@given(values=st.lists(st.integers(-1000, 1000), min_size=2, max_size=300), whole=st.booleans())
def test_shares_of_training_are_shares(values: list[int], whole: bool):
    """They add up to one, and bins of whole numbers have no whole number for an edge."""
    quantiles = np.quantile(np.array(values, float), np.linspace(0, 1, 64))
    bins = NumberBins.of(quantiles, whole)
    assert (np.diff(bins.edges) > 0).all()
    assert bins.training.min() >= -1e-12
    assert bins.training.sum() == pytest.approx(1)
    assert bins.counts(np.array(values, float)).sum() == len(values)
    if whole:
        assert bins.is_whole
        assert (bins.edges % 1 == 0.5).all()


@pytest.mark.parametrize("whole", [True, False])
def test_what_comes_from_training_has_hardly_moved(whole: bool):
    """The shares by quantiles are those of the values, spikes included."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random(20_000) < 0.4, 0.0, np.round(rng.normal(0, 20, 20_000)))
    bins = NumberBins.of(np.quantile(values, np.linspace(0, 1, 256)), whole)
    counts = bins.counts(values)
    assert moved(bins.training, counts / counts.sum()) < 0.02


def test_a_far_tail_does_not_hide_the_rest():
    """One value in a thousand that is a million times as large lies outside the bins."""
    values = np.concatenate([np.linspace(0, 1, 999), [1e6]])
    bins = NumberBins.of(np.quantile(values, np.linspace(0, 1, 256)), whole=False)
    assert bins.edges[-1] < 2
    assert bins.counts(values)[-1] >= 1


def test_share_at_most_is_the_distribution():
    """0 below, 1 above, and half in the middle of evenly spread quantiles; a spike counts at its place."""
    quantiles = np.linspace(0, 10, 11)
    assert [share_at_most(quantiles, value) for value in (-1, 0, 2.5, 5, 10, 11)] == [0, 0, 0.25, 0.5, 1, 1]
    assert share_at_most(np.array([0.0, 3, 3, 3, 6]), 3) == 0.75


@given(
    ticks=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    ladder=st.sampled_from([CLOCK, DECIMAL]),
)
def test_bins_of_time_do_not_depend_on_cuts(ticks: list[int], cuts: list[int], ladder: tuple[int, ...]):
    """Rows in any batches come to the same bins: few, of one width, each row in its own."""
    flagged = np.arange(len(ticks)) % 3 == 0
    everyone = np.array(ticks, np.int64)
    ends = [0, *sorted(cut for cut in cuts if cut < len(ticks)), len(ticks)]
    parts = [bins(everyone[start:stop], flagged[start:stop], ladder) for start, stop in pairwise(ends)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "MOST_KEPT", 40)  # parts have bins of different widths
        narrow = [bins(everyone[start:stop], flagged[start:stop], ladder) for start, stop in pairwise(ends)]
        coarse, same_coarse = bins(everyone, flagged, ladder), reduce(add, narrow)
    for whole, summed in ((bins(everyone, flagged, ladder), reduce(add, parts)), (coarse, same_coarse)):
        assert (whole.width, whole.rung, whole.n_without) == (summed.width, summed.rung, summed.n_without)
        np.testing.assert_array_equal(whole.counts, summed.counts)
    line = reduce(add, parts).timeline()
    assert line.number[-1] - line.number[0] < MOST_BINS
    assert (np.diff(line.number) > 0).all()
    assert line.rows.sum() + line.n_outside == len(ticks)
    assert line.flagged.sum() + line.n_flagged_outside == flagged.sum()
    within = everyone // line.width
    np.testing.assert_array_equal(line.number, np.intersect1d(within, line.number))


def test_bins_of_time_are_round():
    """An hour of seconds comes in half minutes or minutes, a year of hours in days or weeks."""
    hour, year = bins(np.arange(3600)), bins(np.arange(8760) * 3600)
    assert (hour.timeline().width, year.timeline().width) == (60, 7 * 86_400)


def test_rows_without_a_time_are_counted():
    """They are in no bin."""
    found = TimeBins.of(DECIMAL, np.array([1, 0, 2]), np.array([True, True, False]), np.array([True, False, True]))
    line = found.timeline()
    assert (found.n_without, line.number.tolist(), line.rows.tolist(), line.flagged.tolist()) == (
        1,
        [1, 2],
        [1, 1],
        [1, 0],
    )


def bins(ticks: np.ndarray, flagged: np.ndarray | None = None, ladder: tuple[int, ...] = CLOCK) -> TimeBins:
    """All rows have a time; without `flagged` none is flagged."""
    no_flag = np.zeros(ticks.size, bool)
    return TimeBins.of(ladder, ticks, no_flag if flagged is None else flagged, ~no_flag)


@pytest.mark.parametrize("n_rows", [100, 100_000])
def test_a_wild_time_does_not_coarsen_the_others(n_rows: int):
    """A week with a row of 1970 and one of 2200 is shown as a week, and the two are counted."""
    week = 1_700_000_000 + np.random.default_rng(0).integers(7 * 86_400, size=n_rows)
    wild = np.array([3, 7_258_118_400])
    line = bins(np.append(week, wild), np.append(np.zeros(n_rows, bool), [True, False])).timeline()
    alone = bins(week).timeline()
    assert (line.width, line.rows.tolist()) == (alone.width, alone.rows.tolist())
    assert (line.n_outside, line.n_flagged_outside) == (2, 1)
    assert abs(line.first - wild[0]) <= line.width
    assert abs(line.last - wild[1]) <= line.width


@pytest.mark.parametrize(
    "ticks",
    [
        np.append(np.arange(1000) * 3600, 2_900 * 3600),  # a gap nearly twice as long as the rest
        np.append(np.arange(1000), np.full(20, 10**9)),  # so many are no accident
        np.append(np.arange(40), 10**9),  # so few rows that one of them is much
        np.full(1000, 7),
    ],
    ids=["near", "many", "few rows", "one moment"],
)
def test_times_that_belong_stay(ticks: np.ndarray):
    """Rows are left outside only where they are a few and far off."""
    line = bins(ticks).timeline()
    assert line.n_outside == 0
    assert line.rows.sum() == ticks.size


def test_hashes_are_distinct_and_spread_evenly():
    """The rows with the smallest hashes are a fair sample of the first and the last rows."""
    keys = row_hash(np.arange(100_000))
    assert np.unique(keys).size == keys.size
    sample = np.argsort(keys)[:2000]
    assert abs((sample < 50_000).mean() - 0.5) < 0.05
