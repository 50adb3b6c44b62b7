"""The share of fresh normal rows that is flagged, over many seeds, against the promise of the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import vaecli
from vaecli.calibration.conformal import Calibration, alpha_of
from vaecli.calibration.cross_fitting import cross_fitted_scores
from vaecli.config import SCORE_KINDS

LAWS = {
    "normal": stats.norm(),
    "exponential": stats.expon(),
    "chi-square": stats.chi2(10),
    "heavy": stats.genpareto(0.25),
    "heavier": stats.genpareto(0.5),
}


def false_alarms(law: Any, m: int, level: float, n_seeds: int) -> np.ndarray:
    """The exact probability that a fresh row of `law` is flagged, for each of many calibration sets of m rows."""
    draws = law.rvs((n_seeds, m), random_state=np.random.default_rng(m))
    return np.asarray(law.sf([Calibration.of(scores).threshold(level) for scores in draws]))


@pytest.mark.parametrize(("m", "level"), [(99, 0.99), (250, 0.99), (1000, 0.99), (60, 0.95), (20, 0.9), (1000, 0.999)])
@pytest.mark.parametrize("law", ["normal", "heavier"])
def test_resolved_levels_are_kept(law: str, m: int, level: float) -> None:
    """Where the rows resolve the level, false alarms average floor(alpha (m+1)) / (m+1), whatever the law."""
    alpha = alpha_of(level)
    promised = np.floor(alpha * (m + 1) + 1e-9) / (m + 1)
    found = false_alarms(LAWS[law], m, level, n_seeds=2000)
    error = 4 * found.std() / np.sqrt(found.size)
    assert found.mean() == pytest.approx(promised, abs=error)
    assert promised <= alpha


def test_tied_scores_are_flagged_no_more_often() -> None:
    """Scores of a few distinct values keep the promise too: ties count against the new row."""
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(400):
        calibration = Calibration.of(rng.poisson(3, size=99).astype(float))
        fresh = rng.poisson(3, size=500).astype(float)
        flagged.append((calibration.p_value(fresh) <= 0.05).mean())
    assert np.mean(flagged) <= 0.05


def test_p_values_of_fresh_rows_are_uniform() -> None:
    """The p-values of fresh normal rows fall below every resolved level just as often as the level promises."""
    rng = np.random.default_rng(0)
    p_values = np.array([Calibration.of(rng.gumbel(size=199)).p_value(rng.gumbel(size=20)) for _ in range(1500)])
    for alpha in (0.005, 0.01, 0.05, 0.1, 0.5, 0.9):
        assert (p_values <= alpha).mean() == pytest.approx(alpha, rel=0.2)


@pytest.mark.parametrize(("m", "level"), [(60, 0.99), (200, 0.999), (1000, 0.9999)])
@pytest.mark.parametrize("law", list(LAWS))
def test_the_tail_model_stays_within_a_factor(law: str, m: int, level: float) -> None:
    """Up to ten times finer than the rows resolve, false alarms average at most 2.5 times the level's.

    Scores with a heavy tail reach it about as often as it promises; those with a light one hardly do.
    """
    found = false_alarms(LAWS[law], m, level, n_seeds=150).mean() / alpha_of(level)
    assert found <= 2.5
    assert found >= 0.2 or not law.startswith("heav")


@pytest.mark.parametrize("m", [5, 10, 20])
def test_few_rows_err_on_the_quiet_side(m: int) -> None:
    """From 5 rows on, the wide tail keeps 0.99 for scores with exponential or lighter tails."""
    for law in ("normal", "exponential"):
        assert false_alarms(LAWS[law], m, 0.99, n_seeds=150).mean() <= 0.01


# --------------------------------------------------------------------------------------- cross-fitting

E = 5


def shares_flagged(draw: Any, n: int, n_seeds: int) -> dict[str, float]:
    """Average share of fresh rows flagged at 0.99 when calibrated in three ways; `draw` makes scores (n, e)."""
    flagged: dict[str, list[float]] = {"ensemble": [], "held out": [], "learned": []}
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        fold = rng.permutation(n) % E
        members, fresh = draw(rng, n, fold)
        ways = {
            "ensemble": cross_fitted_scores(members, fold[:, None] == np.arange(E)),
            "held out": members[np.arange(n), fold],
            "learned": members.mean(axis=1),
        }
        for way, scores in ways.items():
            p_value = Calibration.of(scores).p_value(fresh.mean(axis=1))
            flagged[way].append(float((p_value <= alpha_of(0.99)).mean()))
    return {way: float(np.mean(shares)) for way, shares in flagged.items()}


def shrunk(rng: np.random.Generator, n: int, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s_k(x) = s*(x) + noise_k, lowered by an increasing function on the rows that a member has learned."""

    def scores(rows: int) -> np.ndarray:
        return rng.gumbel(size=(rows, 1)) + 0.7 * rng.normal(size=(rows, E))

    members = scores(n)
    return np.where(fold[:, None] == np.arange(E), members, 0.8 * members - 0.7), scores(2000)


def fitted(rng: np.random.Generator, n: int, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real members, overfitting for real: each a Gaussian with full covariance in 20 dimensions."""
    table, fresh = rng.normal(size=(n, 20)), rng.normal(size=(2000, 20))
    members, new = np.empty((n, E)), np.empty((2000, E))
    for k in range(E):
        learned = table[fold != k]
        centre, inverse = learned.mean(axis=0), np.linalg.inv(np.cov(learned.T))
        for rows, scores in ((table, members), (fresh, new)):
            scores[:, k] = 0.5 * np.einsum("ni,ij,nj->n", rows - centre, inverse, rows - centre)
    return members, new


@pytest.mark.parametrize("draw", [shrunk, fitted])
@pytest.mark.parametrize("n", [200, 1500])
def test_cross_fitted_ensembles_keep_the_level(draw: Any, n: int) -> None:
    """At 0.99, [0.8 %, 1.2 %] of fresh rows are flagged on average; held-out scores flag fewer, learned ones more."""
    shares = shares_flagged(draw, n, n_seeds=75)
    assert 0.008 <= shares["ensemble"] <= 0.012
    assert shares["held out"] < shares["ensemble"]
    assert shares["learned"] > 0.012


def test_even_sixty_rows_are_of_use() -> None:
    """60 rows do not resolve 0.99, but with the tail model false alarms average within 1.5 of it."""
    assert 0.005 <= shares_flagged(shrunk, 60, n_seeds=400)["ensemble"] <= 0.015


# --------------------------------------------------------------------------------------- from table to flag


def normal_rows(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Two correlated numbers, a skewed one with gaps, and a category, all of known laws."""
    load = rng.normal(size=n)
    dose = np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(size=n))
    columns = {"load": load, "heat": load + 0.5 * rng.normal(size=n), "dose": dose}
    return pd.DataFrame(columns | {"mode": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])})


@pytest.mark.slow
def test_fitted_models_keep_the_level() -> None:
    """Over twelve fits of 400 rows, 0.5 % to 1.6 % of fresh normal rows are flagged at 0.99, and 4 % to 6 % at 0.95."""
    quick = {
        "train.max_steps": 120,
        "heteroscedastic.n_hidden": 16,
        "homoscedastic.n_hidden": 16,
        "heteroscedastic.n_latent": 3,
        "homoscedastic.n_latent": 3,
        "model.n_exemplars": 100,
    }
    shares = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        model = vaecli.fit(normal_rows(rng, 400), seed=seed, **quick)
        fresh = normal_rows(rng, 3000)
        by_kind = [model.score(fresh, score_kind=kind)["p_value"].to_numpy() for kind in SCORE_KINDS]
        shares.append([[(p_value <= alpha).mean() for alpha in (0.01, 0.05)] for p_value in by_kind])
    mean = np.mean(shares, axis=0)
    for i, kind in enumerate(SCORE_KINDS):
        assert 0.005 <= mean[i, 0] <= 0.016, (kind, mean[i])
        assert 0.04 <= mean[i, 1] <= 0.06, (kind, mean[i])
