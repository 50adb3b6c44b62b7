"""Scores of normal rows turn scores into decisions, the same to the last bit however they are asked."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings, strategies as st
from hypothesis.extra import numpy as arrays_of

from tests.conftest import of_a_hundred
from vaecli.calibration import conformal as module
from vaecli.calibration.conformal import Calibration, alpha_of, rows_needed

FINITE = st.floats(allow_nan=False, allow_infinity=False)
FEW_VALUES = st.integers(-3, 3).map(float)  # ties everywhere
SCORES = arrays_of.arrays(np.float64, st.integers(1, 120), elements=FINITE | FEW_VALUES)
USUAL = arrays_of.arrays(np.float64, st.integers(2, 120), elements=st.floats(-1e6, 1e6), unique=True)
LEVELS = st.floats(1e-6, 1 - 1e-12) | st.sampled_from([0.01, 0.29, 0.5, 0.71, 0.9, 0.95, 0.99, 0.999, 0.9999])


def counted(calibration: np.ndarray, score: float) -> Fraction:
    """The conformal p-value, by its definition."""
    return Fraction(1 + int((calibration >= score).sum()), 1 + calibration.size)


# --------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("level", "alpha"), [(0.99, 0.01), (0.999, 0.001), (0.9, 0.1), (0.71, 0.29), (0.29, 0.71), (0.999999, 1e-6)]
)
def test_alpha_is_what_the_user_means(level: float, alpha: float) -> None:
    """1 - 0.99 is 0.01, not 0.010000000000000009."""
    assert alpha_of(level) == alpha


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    """A threshold level lies strictly between 0 and 1."""
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        alpha_of(level)


@given(low=LEVELS, high=LEVELS)
def test_a_higher_level_flags_no_more(low: float, high: float) -> None:
    """`alpha_of` never increases and is never 0."""
    low, high = sorted((low, high))
    assert 1 >= alpha_of(low) >= alpha_of(high) > 0


@pytest.mark.parametrize(("level", "needed"), [(0.99, 99), (0.999, 999), (0.9, 9), (0.5, 1), (0.29, 1), (0.95, 19)])
def test_rows_needed_by_a_level(level: float, needed: int) -> None:
    """A level is resolved from exactly as many rows as the user's arithmetic gives."""
    assert rows_needed(level) == needed
    assert Calibration.of(np.arange(float(needed))).resolves(level)
    assert needed == 1 or not Calibration.of(np.arange(needed - 1.0)).resolves(level)


@given(level=st.floats(0.001, 0.9999))
def test_rows_needed_is_the_fewest_that_resolve(level: float) -> None:
    """`rows_needed` and `resolves` agree for every level."""
    needed = rows_needed(level)
    assert 1 / (needed + 1) <= alpha_of(level)
    assert needed == 1 or 1 / needed > alpha_of(level)


@given(m=st.integers(1, 10**7))
def test_the_finest_level_is_resolved_and_hardly_finer_is_not(m: int) -> None:
    """`finest_level` is m/(m+1) up to rounding, on the side that holds."""
    calibration = Calibration(np.array([0.0]), np.array([m]), None)
    assert calibration.resolves(calibration.finest_level)
    assert abs(calibration.finest_level - m / (m + 1)) <= 4 * np.finfo(float).eps
    assert not calibration.resolves(calibration.finest_level + (1 - calibration.finest_level) * 1e-3)


# --------------------------------------------------------------------------------------- p-values


@given(scores=SCORES, extra=FINITE)
def test_p_values_are_conformal_up_to_the_largest_score(scores: np.ndarray, extra: float) -> None:
    """p(s) is (1 + #{s_i >= s}) / (m + 1) exactly, ties counted as at least as anomalous."""
    calibration = Calibration.of(scores)
    asked = np.append(scores, min(extra, scores.max()))
    found = calibration.p_value(asked)
    assert found.tolist() == [float(counted(scores, score)) for score in asked]


@given(scores=SCORES, asked=arrays_of.arrays(np.float64, 30, elements=st.floats(allow_nan=False)))
def test_p_values_never_increase_with_the_score(scores: np.ndarray, asked: np.ndarray) -> None:
    """A higher score is never less anomalous; every p-value is in (0, 1]."""
    found = Calibration.of(scores).p_value(np.sort(asked))
    assert (np.diff(found) <= 0).all()
    assert (found > 0).all()
    assert (found <= 1).all()


@of_a_hundred(150)
@given(scores=USUAL, start=st.floats(0, 50), step=st.integers(1, 40))
def test_the_tail_is_monotone_to_the_last_bit(scores: np.ndarray, start: float, step: int) -> None:
    """Among neighbouring floats beyond the largest score, no p-value is out of order."""
    calibration = Calibration.of(scores)
    assert calibration.tail is not None
    first = float(scores.max() + start * calibration.tail.scale)
    places = module._position(first) + step * np.arange(200)
    found = calibration.p_value(np.array([module._float_at(int(place)) for place in places]))
    assert (np.diff(found) <= 0).all()


@given(scores=USUAL)
def test_the_tail_begins_where_the_rows_end(scores: np.ndarray) -> None:
    """Just above the largest score p is 1/(m+1), as conformal prediction has it, and falls from there."""
    calibration = Calibration.of(scores)
    assert calibration.tail is not None
    largest, m = scores.max(), scores.size
    assert calibration.p_value(np.nextafter(largest, np.inf)) == 1 / (m + 1)
    far = largest + calibration.tail.scale * np.array([0.1, 1, 10, 100])
    assert (np.diff(calibration.p_value(far), prepend=1 / (m + 1)) < 0).all()


def test_a_row_without_a_score_has_no_p_value() -> None:
    """NaN in, NaN out, in any shape; infinity is as anomalous as can be."""
    calibration = Calibration.of(np.arange(100.0))
    found = calibration.p_value(np.array([[np.nan, np.inf], [-np.inf, 50.0]]))
    np.testing.assert_array_equal(np.isnan(found), [[True, False], [False, False]])
    assert found[0, 1] == module.SMALLEST_P
    assert found[1, 0] == 1


def test_calibration_rows_without_a_score_are_left_out() -> None:
    """NaN rows do not count; none left is an error."""
    calibration = Calibration.of(np.array([3.0, np.nan, 1.0, np.nan]))
    assert calibration.n_rows == 2
    with pytest.raises(ValueError, match="no calibration row"):
        Calibration.of(np.array([np.nan]))
    with pytest.raises(ValueError, match="no calibration row"):
        Calibration.of(np.array([]))


def test_infinite_calibration_scores_are_counted() -> None:
    """A normal row of infinite score makes infinity less anomalous, and leaves nothing beyond it to model."""
    calibration = Calibration.of(np.append(np.arange(98.0), [np.inf, -np.inf]))
    assert calibration.tail is None
    assert calibration.p_value(np.array([np.inf, 200.0])).tolist() == [2 / 101, 2 / 101]
    assert calibration.threshold(0.999) == np.inf
    arrays = calibration.to_arrays("elbo")
    assert np.isfinite(arrays["elbo.scores"]).all()  # as all arrays of a bundle are
    np.testing.assert_array_equal(Calibration.from_arrays(arrays, "elbo").scores, calibration.scores)


@pytest.mark.parametrize("scores", [[5.0], [5.0] * 1000, [1e308, -1e308] * 40])
def test_scores_without_a_spread_have_no_tail(scores: list[float]) -> None:
    """One row, equal rows or a spread beyond float64: nothing finer than the rows resolve is claimed."""
    calibration = Calibration.of(np.array(scores))
    assert calibration.tail is None
    assert calibration.p_value(np.array(1.5e308)) == 1 / (len(scores) + 1)
    assert calibration.threshold(1 - 0.5 / (len(scores) + 1)) == np.inf


# --------------------------------------------------------------------------------------- thresholds


@of_a_hundred(150)
@example(scores=np.arange(99.0), asked=np.arange(99.0), level=0.71)  # 0.29 * 100 is 28.999…
@example(scores=np.arange(99.0), asked=np.arange(99.0), level=0.29)
@example(scores=np.arange(99.0), asked=np.arange(101.0), level=0.99)  # 1 - 0.99 is 0.010000000000000009
@example(scores=np.arange(999.0), asked=np.arange(1001.0), level=0.999)
@example(scores=np.array([0.0]), asked=np.array([-1.0, 0.0, 1.0]), level=1e-300)
@given(scores=SCORES | USUAL, asked=arrays_of.arrays(np.float64, 20, elements=FINITE | FEW_VALUES), level=LEVELS)
def test_threshold_and_p_value_agree(scores: np.ndarray, asked: np.ndarray, level: float) -> None:
    """A row is flagged by its score just when it is by its p-value, neighbouring floats included."""
    calibration = Calibration.of(scores)
    threshold = calibration.threshold(level)
    if math.isfinite(threshold):
        beside = [threshold, math.nextafter(threshold, -math.inf), math.nextafter(threshold, math.inf)]
        asked = np.append(asked, beside)
    asked = np.concatenate([asked, scores])
    asked = asked[np.isfinite(asked)]
    np.testing.assert_array_equal(asked >= threshold, calibration.p_value(asked) <= alpha_of(level))


@pytest.mark.parametrize(("m", "level"), [(99, 0.99), (999, 0.999), (9, 0.9), (99, 0.71), (99, 0.29), (199, 0.995)])
def test_a_level_is_met_at_the_exact_tie(m: int, level: float) -> None:
    """Of m calibration rows and a new one, exactly (1 - level)(m + 1) possible ranks of the new one are flagged."""
    calibration = Calibration.of(np.arange(float(m)))
    between = np.arange(-1.0, m) + 0.5  # each rank that a new score can take
    n_flagged = int((calibration.p_value(between) <= alpha_of(level)).sum())
    assert n_flagged == round((1 - level) * (m + 1))


@given(scores=USUAL, low=LEVELS, high=LEVELS)
def test_a_higher_level_has_no_lower_threshold(scores: np.ndarray, low: float, high: float) -> None:
    """Thresholds rise with the level, across the seam between rows and tail."""
    low, high = sorted((low, high))
    calibration = Calibration.of(scores)
    assert calibration.threshold(low) <= calibration.threshold(high)


@given(scores=USUAL, level=LEVELS)
def test_resolved_levels_do_not_ask_the_tail(scores: np.ndarray, level: float) -> None:
    """Where the rows resolve a level, the decision is the same without a tail model."""
    calibration = Calibration.of(scores)
    assume(calibration.resolves(level))
    assert calibration.threshold(level) == Calibration(calibration.scores, calibration.ranks, None).threshold(level)


# --------------------------------------------------------------------------------------- thinning and storing


def test_many_rows_are_thinned_where_they_are_dense() -> None:
    """Of 250,000 rows a few thousand are kept; the largest count exactly, the others within 1 in 4,096, too high."""
    rng = np.random.default_rng(0)
    scores = rng.gumbel(size=250_000)
    calibration = Calibration.of(scores)
    assert calibration.n_rows == 250_000
    assert calibration.scores.size <= module.N_TOP + module.N_BULK
    asked = np.concatenate([rng.gumbel(size=2000) * 2, np.sort(scores)[-5000:]])
    exact = scores.size - np.searchsorted(np.sort(scores), asked, side="left")
    found = calibration.at_least_as_extreme(asked)
    top = exact < module.N_TOP
    np.testing.assert_array_equal(found[top], exact[top])
    assert (found >= exact).all()
    assert ((found - exact) / scores.size <= 1.01 / module.N_BULK).all()


@given(seed=st.integers(0, 10**6), n_values=st.sampled_from([2, 50, 9000, 20_000]))
@settings(max_examples=20, deadline=None)
def test_thinning_never_flags_more(seed: int, n_values: int) -> None:
    """With ties of any size, thinned counts are exact at the top and never too small below it."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_values, size=20_000).astype(np.float64) ** 2
    calibration = Calibration.of(scores)
    asked = np.unique(scores)
    exact = scores.size - np.searchsorted(np.sort(scores), asked, side="left")
    found = calibration.at_least_as_extreme(asked)
    assert (found >= exact).all()
    np.testing.assert_array_equal(found[exact <= module.N_TOP], exact[exact <= module.N_TOP])


@given(scores=SCORES)
def test_the_bundle_gives_back_the_same_calibration(scores: np.ndarray) -> None:
    """`from_arrays` undoes `to_arrays`."""
    calibration = Calibration.of(scores)
    back = Calibration.from_arrays({**calibration.to_arrays("elbo"), "other": np.zeros(1)}, "elbo")
    np.testing.assert_array_equal(back.scores, calibration.scores)
    np.testing.assert_array_equal(back.ranks, calibration.ranks)
    assert back.tail == calibration.tail


NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("scores", np.array([1.0, 0.5, 2.0]), "not ascending"),
        ("scores", np.array([1.0, 1.0, 2.0]), "not ascending"),
        ("scores", np.array([1.0, NAN, 2.0]), "scores are not finite"),
        ("scores", np.array([1.0, 2.0, np.inf]), "scores are not finite"),
        ("scores", np.array([-np.inf, 1.0, 2.0]), "scores are not finite"),
        ("scores", np.array([1.0, 2.0]), "do not fit"),
        ("scores", np.zeros((3, 1)), "do not fit"),
        ("scores", np.array([1, 2, 3], dtype=np.float32), "not float64"),
        ("ranks", np.array([1, 2, 2]), "not ascending counts"),
        ("ranks", np.array([0, 1, 2]), "not ascending counts"),
        ("ranks", np.array([1.0, 2.0, 3.0]), "int64"),
        ("tail", np.array([0.0, 1.0, 0.1]), "do not fit"),
        ("tail", np.array([2.0, 1.0, 0.1, 5.0]), "not one that a fit gives"),
        ("tail", np.array([0.0, 0.0, 0.1, 5.0]), "not one that a fit gives"),
        ("tail", np.array([0.0, NAN, 0.1, 5.0]), "not one that a fit gives"),
        ("tail", np.array([0.0, 1.0, -0.1, 5.0]), "not one that a fit gives"),
        ("tail", np.array([0.0, 1.0, 0.1, 0.5]), "not one that a fit gives"),
        ("tail", None, "tail missing"),
    ],
)
def test_arrays_that_no_calibration_has_are_refused(name: str, value: np.ndarray | None, words: str) -> None:
    """Unsorted, mistyped, misshapen or absurd arrays are a ValueError that names them."""
    arrays = Calibration.of(np.array([1.0, 2.0, 3.0])).to_arrays("elbo")
    if value is None:
        del arrays[f"elbo.{name}"]
    else:
        arrays[f"elbo.{name}"] = value
    with pytest.raises(ValueError, match=words):
        Calibration.from_arrays(arrays, "elbo")
    empty = {"elbo.scores": np.zeros(0), "elbo.ranks": np.zeros(0, np.int64), "elbo.tail": np.zeros(0)}
    with pytest.raises(ValueError, match="do not fit"):
        Calibration.from_arrays(empty, "elbo")


def test_calibration_needs_only_numpy() -> None:
    """No torch, pandas, scikit-learn or scipy on the way from scores to decisions."""
    probe = "import sys, vaecli.calibration.conformal; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "sklearn", "scipy", "pyarrow"} & set(done.stdout.split())
