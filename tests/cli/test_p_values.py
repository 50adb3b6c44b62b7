"""p-values mean what docs/calibration.md claims of them, through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Vae = Callable[..., Any]
ROWS = 600


def test_few_different_rows_are_counted(vae: Vae, quick: Path, tmp_path: Path) -> None:
    """In a table of categories a p-value is the share of training rows that score as much, copies of the row too."""
    table, bundle, scored = tmp_path / "t.csv", tmp_path / "m.vae", tmp_path / "s.csv"
    rng = np.random.default_rng(0)
    # 9 different rows, each of which comes ten times at least
    a = rng.permutation(np.repeat(["a", "b", "c"], [360, 180, 60]))
    b = np.where(rng.random(ROWS) < 0.4, a, rng.choice(["x", "y"], ROWS))
    pd.DataFrame({"a": a, "b": b}).to_csv(table, index=False)
    vae("fit", str(table), "-o", str(bundle), "--config", str(quick))
    vae("score", str(table), "-m", str(bundle), "-o", str(scored))
    done = pd.read_csv(scored)
    assert done.groupby(["a", "b"]).size().min() >= 6
    score = done.anomaly_score.to_numpy()
    as_much = (score[:, None] <= score + 1e-4).sum(axis=1)  # copies differ by rounding
    np.testing.assert_allclose(done.p_value, (1 + as_much) / (ROWS + 1), rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_p_value_is_finer_than_the_rows_support(vae: Vae, quick: Path, tmp_path: Path, seed: int) -> None:
    """Fresh rows of a mixed table have no p-value of one in millions; a number that runs away has ever smaller ones.

    A number far beyond all of training still has one that no computer's rounding decides.
    """
    table, fresh, bundle, scored = (tmp_path / name for name in ("t.csv", "f.csv", "m.vae", "s.csv"))
    rng = np.random.default_rng(seed)

    def draw(n: int) -> pd.DataFrame:
        a = rng.choice(["a", "b", "c"], n, p=[0.5, 0.4, 0.1])
        return pd.DataFrame({"a": a, "b": np.where(rng.random(n) < 0.9, a, "c"), "v": rng.normal(size=n).round(3)})

    draw(ROWS).to_csv(table, index=False)
    away = pd.DataFrame({"a": "a", "b": "a", "v": [5.0, 6.0, 10.0, 100.0, 10_000.0]})
    pd.concat([draw(5_000), away]).to_csv(fresh, index=False)
    vae("fit", str(table), "-o", str(bundle), "--config", str(quick))
    vae("score", str(fresh), "-m", str(bundle), "-o", str(scored))
    p_value = pd.read_csv(scored).p_value.to_numpy()
    of_fresh, of_away = p_value[:-5], p_value[-5:]
    assert (of_fresh <= 1e-4).sum() <= 3
    assert of_fresh.min() > 1e-6
    assert (np.diff(of_away) < 0).all()
    assert 1e-12 < of_away[-1] < of_away[0] < 0.01
