"""How many rows a file usually has: nothing is usual at first, one odd file hides no other, chance gives no alarm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.decisions.usual_rows import FEWEST_FILES, MOST_FILES, UsualRows


def usual_of(rows: list[int]) -> UsualRows:
    found = UsualRows.of(rows)
    assert found is not None
    return found


def test_nothing_is_usual_before_ten_files():
    """A first run, or the first nights, name nothing."""
    assert UsualRows.of([10_000] * (FEWEST_FILES - 1)) is None
    assert UsualRows.of([10_000] * FEWEST_FILES) is not None


@pytest.mark.parametrize(
    ("n_rows", "is_usual"), [(0, False), (3, False), (4_000, False), (5_000, True), (20_000, True)]
)
def test_three_rows_where_ten_thousand_are_usual(n_rows: int, is_usual: bool):
    """Far fewer rows are named, half as many are not."""
    assert usual_of([10_000] * 30).is_usual(n_rows) is is_usual
    assert not usual_of([10_000] * 30).is_usual(30_000)


def test_a_broken_file_hides_no_later_one():
    """One file of 3 rows among 40 does not make 3 rows usual; among the last 100 files five may be unusual."""
    assert not usual_of([10_000] * 20 + [3] + [10_000] * 19).is_usual(3)
    assert not usual_of([10_000] * 95 + [3] * 5).is_usual(3)
    assert usual_of([10_000] * 94 + [3] * 6).is_usual(3)


def test_only_the_latest_files_count():
    """What has changed for good is usual once it is most of the latest hundred files."""
    assert usual_of([100] * 1_000 + [10_000] * MOST_FILES) == UsualRows(10_000, 10_000, MOST_FILES)


@given(st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_chance_gives_few_alarms(mean: int, seed: int):
    """Of numbers of rows that chance decides, however small, hardly any is named: none here of 5 after 50."""
    rows = np.random.default_rng(seed).poisson(mean, 55).tolist()
    assert all(usual_of(rows[:50]).is_usual(n) for n in rows[50:])


@given(st.lists(st.integers(0, 10**9), min_size=FEWEST_FILES), st.integers(1, 10))
def test_a_file_as_those_before_is_usual(rows: list[int], part: int):
    """Every number within the usual range is usual."""
    usual = usual_of(rows)
    assert usual.is_usual(usual.fewest + (usual.most - usual.fewest) // part)
