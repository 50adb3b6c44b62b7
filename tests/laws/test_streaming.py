"""Rows that do not fit into memory are streamed, and give as good a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import vaecli
from vaecli.data import training_rows

SETTINGS: dict[str, Any] = {
    "train.max_steps": 120,
    "heteroscedastic.n_hidden": 16,
    "homoscedastic.n_hidden": 16,
    "heteroscedastic.n_latent": 3,
    "homoscedastic.n_latent": 3,
    "model.n_exemplars": 50,
}


@pytest.fixture(scope="module")
def map_batches(normal_table: pd.DataFrame) -> vaecli.Model:
    """The tests' model, fitted again with no memory for features and blocks of 32 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_rows, "BLOCK_ROWS", 32)
        return vaecli.fit(normal_table, **SETTINGS, **{"train.memory_bytes": 0})


def test_streamed_rows_give_a_similar_model(
    map_batches: vaecli.Model, model: vaecli.Model, fresh_table: pd.DataFrame
) -> None:
    """Streaming changes the order of the rows and nothing else: bound, ranking and flags stay close."""
    assert map_batches.summary is not None
    assert model.summary is not None
    assert map_batches.summary.n_rows == model.summary.n_rows
    assert map_batches.summary.n_calibration_rows == model.summary.n_calibration_rows
    assert map_batches.summary.validation_elbo == pytest.approx(model.summary.validation_elbo, abs=0.5)
    assert map_batches.summary.baseline_log_prob == pytest.approx(model.summary.baseline_log_prob, rel=1e-6)
    ours, theirs = map_batches.score(fresh_table), model.score(fresh_table)
    assert stats.spearmanr(ours["anomaly_score"], theirs["anomaly_score"]).statistic > 0.9
    assert abs(ours["is_anomaly"].mean() - theirs["is_anomaly"].mean()) < 0.02


def test_preprocessing_does_not_depend_on_where_rows_are_kept(map_batches: vaecli.Model, model: vaecli.Model) -> None:
    """Scales and quantiles are learned from the same rows either way."""
    ours, theirs = (some.detector.preprocessor.to_arrays() for some in (map_batches, model))
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_nothing_is_left_on_disk(normal_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A streamed fit leaves no temporary file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    vaecli.fit(normal_table[:100], **SETTINGS | {"train.max_steps": 5}, **{"train.memory_bytes": 0})
    assert list(tmp_path.iterdir()) == []
