"""Any small table that can be fitted gives a model that scores every row, and that comes back from its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import vaecli
from tests.conftest import of_a_hundred
from vaecli.config import SCORE_KINDS

SETTINGS: dict[str, Any] = {
    "train.max_steps": 4,
    "heteroscedastic.n_hidden": 4,
    "homoscedastic.n_hidden": 4,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 20,
}
FLAVOURS = ("normal", "ties", "tiny", "huge", "steps", "switch", "words", "dates", "constant", "mostly gaps")


def column(flavour: str, n: int, rng: np.random.Generator) -> Any:
    """A column of that flavour; the first and last cells are not empty."""
    if flavour == "words":
        return rng.choice(["a", "b", "ü", "d e"], n)
    if flavour == "dates":
        return pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(10**6, size=n), unit="s")
    if flavour == "switch":
        return np.where(rng.random(n) < 0.5, "yes", "no")
    values = rng.normal(size=n)
    if flavour == "ties":
        values = np.round(values)
    if flavour == "steps":
        values = np.arange(n) // 3
    if flavour == "constant":
        values = np.ones(n)
    if flavour == "mostly gaps":
        values[1:-1][rng.random(n - 2) < 0.8] = np.nan
    return values * {"tiny": 1e-200, "huge": 1e300}.get(flavour, 1.0)


@settings(of_a_hundred(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flavours=st.lists(st.sampled_from(FLAVOURS), min_size=1, max_size=6),
    n=st.integers(8, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_fits_scores(flavours: list[str], n: int, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every row of the table and of its like has a finite score and a p-value in (0, 1], also after save and load."""
    rng = np.random.default_rng(seed)
    table, fresh = (
        pd.DataFrame({f"{flavour} {j}": column(flavour, n, rng) for j, flavour in enumerate(flavours)})
        for _ in range(2)
    )
    table["turn"] = fresh["turn"] = np.arange(n) % 3  # a table of constants alone is refused, which is tested elsewhere
    model = vaecli.fit(table, **SETTINGS)
    path: Path = tmp_path_factory.mktemp("any") / "model.vae"
    model.save(path)
    again = vaecli.load(path)
    for kind in SCORE_KINDS:
        scored = model.score(fresh, score_kind=kind)
        assert np.isfinite(scored["anomaly_score"]).all()
        assert scored["p_value"].between(0, 1, inclusive="right").all()
        pd.testing.assert_frame_equal(again.score(fresh, score_kind=kind), scored, check_exact=True)
