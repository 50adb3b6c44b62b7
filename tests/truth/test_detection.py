"""What the default score must see, whatever else changes: faults that one kind of score alone would miss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import vaecli

QUICK = {
    "train.max_steps": 120,
    "heteroscedastic.n_hidden": 16,
    "homoscedastic.n_hidden": 16,
    "calibration.n_folds": 3,
}
LONGER = {"train.max_steps": 300, "heteroscedastic.n_hidden": 32, "homoscedastic.n_hidden": 16}


def frame(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows).add_prefix("x")


def found(normal: np.ndarray, fresh: np.ndarray, odd: np.ndarray, settings: dict[str, Any]) -> float:
    """AUROC of the default score."""
    model = vaecli.fit(frame(normal), seed=0, **settings)
    scores = model.score(frame(np.concatenate([fresh, odd])))["anomaly_score"]
    return float(roc_auc_score(np.repeat([0, 1], [len(fresh), len(odd)]), scores))


def test_one_wrong_reading_among_columns_that_move_together() -> None:
    """Twelve columns driven by two factors; one cell is off by a standard deviation, ten times its noise."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 12))
    normal, fresh, odd = (rng.normal(size=(n, 2)) @ factors + 0.1 * rng.normal(size=(n, 12)) for n in (600, 400, 400))
    odd[np.arange(400), rng.integers(12, size=400)] += normal.std(0).mean() * rng.choice([-1, 1], 400)
    assert found(normal, fresh, odd, QUICK) > 0.97


def test_one_wrong_reading_among_columns_that_burst() -> None:
    """Two sensors of one load part by eight times their noise, while fourteen other columns burst as they always do.

    In the sum over columns the bursts hide it: cells must be able to speak for themselves.
    """
    rng = np.random.default_rng(4)
    load, bursts = rng.normal(size=(1900, 1)), rng.standard_t(2, size=(1900, 14)) * (rng.random((1900, 14)) < 0.2)
    rows = np.concatenate([load, load + 0.05 * rng.normal(size=(1900, 1)), bursts], 1)
    odd = rows[1400:] + 0.0
    odd[:, 0] += 0.4 * rng.choice([-1, 1], 500)
    model = vaecli.fit(frame(rows[:1400]), seed=0, **QUICK)
    flagged = [model.score(frame(part))["is_anomaly"].mean() for part in (rows[1400:], odd)]
    assert flagged[0] <= 0.03
    assert flagged[1] >= 0.95


@pytest.mark.slow
def test_a_row_in_the_middle_of_a_ring() -> None:
    """Every column of it is ordinary, and so is every pair's correlation: only nobody was ever there."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 1000)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * (1 + 0.05 * rng.normal(size=(1000, 1)))
    assert found(ring[:600], ring[600:], 0.1 * rng.normal(size=(200, 2)), LONGER) > 0.99


def test_a_combination_that_never_was() -> None:
    """Both categories are common; together they never occurred."""
    rng = np.random.default_rng(2)
    machine = rng.integers(4, size=1200)
    tool = (machine + rng.integers(2, size=1200)) % 4  # two of four tools on each machine
    table = pd.DataFrame(
        {"machine": [f"m{i}" for i in machine], "tool": [f"t{i}" for i in tool], "load": rng.normal(size=1200)}
    )
    model = vaecli.fit(table[:800], seed=0, **QUICK)
    odd = table[800:].assign(tool=[f"t{(i + 2) % 4}" for i in machine[800:]])
    scores = pd.concat([model.score(part)["anomaly_score"] for part in (table[800:], odd)])
    assert roc_auc_score(np.repeat([0, 1], 400), scores) > 0.97
