"""The tally of series against a count by hand, whatever batches the rows arrive in."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.aggregates import series_tally
from vaecli.aggregates.series_tally import ALL, SeriesTally, TallyLimits

LIMITS = TallyLimits(np.array([2.0]), np.array([2.0]), np.array([0.0]), np.array([1.0]), np.array([1.0]), 4)
CELLS = st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0])


def tallied(values: np.ndarray, group: np.ndarray, cuts: list[int]) -> SeriesTally:
    tally = SeriesTally(LIMITS)
    bins = np.where(np.isnan(values), -1, values).astype(np.int64)[:, None]
    for rows in np.split(np.arange(values.size), sorted(cuts)):
        if rows.size:
            novel = np.zeros((rows.size, 1), bool)
            tally.add(values[rows, None], novel, bins[rows], ["a", "b"], group[rows])
    return tally


@given(
    st.lists(st.tuples(CELLS, st.integers(0, 1)), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_counts_are_those_of_a_count_by_hand(cells: list[tuple[float, int]], cuts: list[int]):
    """Missing cells, readings in bins, out of range, and in runs beyond their limits, of each series and of all."""
    values, group = (np.array(part) for part in zip(*cells, strict=True))
    tally = tallied(values, group, cuts)
    together = 0
    for code, key in enumerate("ab"):
        own = values[group == code]
        if not own.size:
            continue
        counts = tally.counts[key]
        missing = [len(list(run)) for is_missing, run in groupby(np.isnan(own).tolist()) if is_missing]
        equal = [len(list(run)) for _, run in groupby(own[~np.isnan(own)].tolist())]
        assert counts.rows == own.size
        assert counts.missing[0] == sum(missing)
        assert counts.missing_runs[0] == len(missing)
        assert (counts.silent[0], counts.longest_silence[0]) == (sum(n for n in missing if n > 2), max([0, *missing]))
        assert (counts.equal[0], counts.longest_equal[0]) == (sum(n for n in equal if n > 2), max([0, *equal]))
        assert (counts.beyond[0], counts.far[0]) == ((own > 1).sum(), (own > 2).sum())
        assert counts.bins.tolist() == [(own == value).sum() for value in range(4)]
        together += own.size
    assert tally.counts[ALL].rows == together


@pytest.mark.parametrize(("name", "most"), [("MOST_SERIES", 1), ("MOST_BINS", LIMITS.n_bins)])
def test_series_beyond_the_most_are_counted_together(monkeypatch: pytest.MonkeyPatch, name: str, most: int):
    """A table of very many series, or of many with many bins, keeps memory: those met later are only part of all."""
    monkeypatch.setattr(series_tally, name, most)
    tally = tallied(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 1]), [1])
    assert set(tally.counts) == {ALL, "a"}
    assert tally.counts[ALL].rows == 3
