"""Distrusted rows: the most isolated ones, never more than the share, never one that a person trusts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.config.contamination import AUTO_SHARE, LARGEST_SHARE, contamination_share
from vaecli.data.training_rows import Rows
from vaecli.errors import UsageError
from vaecli.model.exemplar_prior import choose_exemplars
from vaecli.training.distrust import Distrust


def rows_of(values: np.ndarray) -> Rows:
    """Rows with these features, in four folds."""
    n, d = values.shape
    return Rows(values.astype(np.float32), np.zeros((n, d), np.uint8), np.arange(n) % 4)


@of_a_hundred(4)
@given(share=st.floats(0, LARGEST_SHARE), n=st.integers(4, 60), seed=st.integers(0, 99), ties=st.booleans())
def test_the_share_is_distrusted(share: float, n: int, seed: int, ties: bool) -> None:
    """So many rows, with ties at most twice as many and never one alone; the judge repeats what it found in the fit."""
    rng = np.random.default_rng(seed)
    rows = rows_of(rng.integers(0, 2, (n, 3)) if ties else rng.normal(size=(n, 3)))
    trusted = rng.random(n) < 0.3
    found = Distrust.of(rows, share, np.zeros(n, bool), seed)
    assert found.distrusted.sum() <= 2 * share * n
    isolation = found.judge.isolation(rows.values)
    np.testing.assert_array_equal(found.distrusted, isolation > found.judge.limit)
    assert found.distrusted.sum() == int(share * n) or np.unique(isolation).size < n
    assert not np.isin(isolation[~found.distrusted], isolation[found.distrusted]).any()
    assert not Distrust.of(rows, share, trusted, seed).distrusted[trusted].any()


def test_outliers_are_found_first() -> None:
    """Ten rows far from five hundred others are the two per cent that are distrusted."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(510, 4))
    values[:10] += 12
    found = Distrust.of(rows_of(values), 0.02, np.zeros(510, bool), 0)
    np.testing.assert_array_equal(np.flatnonzero(found.distrusted), np.arange(10))


def test_no_exemplar_is_left() -> None:
    """Where every row that a member may see is distrusted there is no prior, which is a ValueError."""
    rows = rows_of(np.zeros((8, 2)))
    with pytest.raises(ValueError, match="no row is left"):
        choose_exemplars(None, {}, (0, 1), rows, 5, 0, rows.fold != 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "share"), [("auto", AUTO_SHARE), ("0%", 0.0), ("2.5%", 0.025), ("50 %", 0.5)])
def test_shares_are_read(text: str, share: float) -> None:
    """`auto` and percentages up to half of the rows."""
    assert contamination_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "5", "51%", "-1%", "0.05", "AUTO", "nan%"])
def test_other_shares_are_refused(text: str) -> None:
    """A bare number could be a share or a percentage, so it is neither."""
    with pytest.raises(UsageError, match="up to 50%"):
        contamination_share(text)
