"""The scale of a read-out is the interpolation between its points, to the last bit, and grows beyond them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.scoring.surprisal_tail import N_POINTS, TAIL_SHARE, SurprisalTails

SHARES = -np.log1p(-np.linspace(0, 1 - TAIL_SHARE, N_POINTS))


def interpolated(tails: SurprisalTails, values: np.ndarray) -> np.ndarray:
    """The definition, by NumPy's interpolation."""
    z = np.log1p(np.maximum(values, 0).astype(np.float64) / tails.median[:, None])
    inside = np.stack([np.interp(row, points, SHARES) for row, points in zip(z, tails.points, strict=True)])
    return inside + np.maximum(z - tails.points[:, -1:], 0) / tails.excess[:, None]


@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 1e-13, 1e-6, 0.1, 1.0, 3.0]),
    digits=st.sampled_from([1, 3, 9]),
    n_rows=st.integers(1, 300),
)
def test_surprisals_are_interpolated(seed: int, spread: float, digits: int, n_rows: int):
    """Of values spread widely, hardly or not at all, in many steps or few, in any number of rows at once."""
    rng = np.random.default_rng(seed)
    tails = SurprisalTails.of(np.round(np.exp(spread * rng.normal(size=(3, 400))), digits))
    values = np.exp(1.5 * spread * rng.normal(size=(3, n_rows)))
    values[:, rng.random(n_rows) < 0.2] = tails.median[:, None] * np.expm1(tails.points[:, [rng.integers(N_POINTS)]])
    values[:, rng.random(n_rows) < 0.1] = 0
    assert tails.surprisals(values).tobytes() == interpolated(tails, values).tobytes()
    for j in range(3):
        one = SurprisalTails(tails.median[j : j + 1], tails.points[j : j + 1], tails.excess[j : j + 1])
        assert one.surprisals(values[j : j + 1]).tobytes() == tails.surprisals(values)[j].tobytes()


def test_a_value_that_is_not_a_number_has_no_surprisal():
    tails = SurprisalTails.of(np.linspace(1, 2, 100)[None])
    found = tails.surprisals(np.array([[np.nan, 1.5, np.inf]]))
    assert np.isnan(found[0, 0])
    assert found[0, 1] == pytest.approx(np.log(2), abs=0.05)
    assert found[0, 2] == np.inf
