"""When rows are judged by their nearest rows of training too, and what that does to scores and explanations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.conftest import QUICK, sensor_table
from vaecli.calibration.neighbour_judge import FEWEST_ROWS, fit_neighbour_judge
from vaecli.data.cells import Cells
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.training_rows import Rows
from vaecli.model.neighbours import K
from vaecli.schema import Column, Kind
from vaecli.scoring.neighbour_judge import FULL_WEIGHT_ROWS, MOST_ROWS, Beside

NUMBERS = np.random.default_rng(9).normal(size=(500, 2))
PREPROCESSOR = Preprocessor.fit(
    Cells(NUMBERS, np.zeros((500, 2), np.uint8), np.arange(500)), (Column("x", Kind.NUMERIC), Column("y", Kind.NUMERIC))
)


def rows(n: int, fold: np.ndarray | None = None) -> Rows:
    """Rows of two numbers."""
    values = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return Rows(values, np.zeros((n, 2), np.uint8), np.arange(n) % 4 if fold is None else fold)


@pytest.mark.parametrize(
    ("n", "weight"), [(FEWEST_ROWS - 1, None), (FEWEST_ROWS, 1.0), (FULL_WEIGHT_ROWS, 1.0), (MOST_ROWS, 0.15)]
)
def test_its_weight_falls_with_the_rows(n: int, weight: float | None) -> None:
    """From 20 to 300 rows it counts as much as the networks; beyond 2,000 it is not asked."""
    fitted = fit_neighbour_judge(PREPROCESSOR, rows(n), n)
    assert (fitted and fitted[0].weight) == weight
    assert fit_neighbour_judge(PREPROCESSOR, rows(MOST_ROWS + 1), MOST_ROWS + 1) is None


def test_a_sample_of_a_large_table_is_no_small_table() -> None:
    """Where only some rows calibrate, the number of rows of training decides, and none of them is in the bundle."""
    table = sensor_table(MOST_ROWS + 1, seed=0)
    model = vaecli.fit(table, **QUICK, **{"calibration.max_rows": 500})
    assert model.detector.neighbours is None


def test_its_surprisal_is_that_of_fresh_rows() -> None:
    """Rows of training are judged as if they had not been there: as surprising as fresh ones, one nat in the mean."""
    judge, beside = fit_neighbour_judge(PREPROCESSOR, rows(1500), 1500) or (None, None)
    assert judge is not None
    assert beside is not None
    fresh = np.random.default_rng(1).normal(size=(4000, 2)).astype(np.float32)
    surprisal = judge.of_rows(fresh, np.zeros((4000, 2), np.uint8)).surprisal
    assert surprisal.mean() == pytest.approx(1.0, abs=0.1)
    assert np.quantile(surprisal, 0.95) == pytest.approx(np.quantile(beside.surprisal, 0.95), rel=0.1)


def test_rows_that_resemble_each_other_are_judged_by_other_folds() -> None:
    """Copies in its own fold would make a row look usual, and later rows have none."""
    copies = np.repeat(rows(100).values, 8, axis=0)
    table = Rows(copies, np.zeros((800, 2), np.uint8), np.arange(800) // 200)
    judged = {}
    for dependent in (False, True):
        fitted = fit_neighbour_judge(PREPROCESSOR, table, 800, dependent)
        assert fitted is not None
        judged[dependent] = fitted[0].typical
    assert (judged[False] == 0).all()
    assert (judged[True] > 0).all()


def test_folds_with_too_few_other_rows_give_no_judge() -> None:
    """A row needs K neighbours outside its fold."""
    fold = np.zeros(100, np.int64)
    fold[: K - 1] = 1
    assert fit_neighbour_judge(PREPROCESSOR, rows(100, fold), 100, dependent=True) is None


def test_nothing_is_normal_for_being_near_distrusted_rows() -> None:
    """A clump far from the others is far from all that is kept, and no row of it is in the bundle."""
    table = rows(300)
    table.values[:10] = 20 + 0.01 * table.values[:10]
    distrusted = np.arange(300) < 10
    alone = fit_neighbour_judge(PREPROCESSOR, table, 300)
    without = fit_neighbour_judge(PREPROCESSOR, table, 300, distrusted=distrusted)
    assert alone is not None
    assert without is not None
    assert without[1].surprisal[:10].min() > 5 * alone[1].surprisal[:10].max()
    assert without[0].neighbours.rows.shape == (290, 4)
    assert np.abs(without[0].neighbours.rows).max() < 10


def test_joined_is_a_weighted_mean() -> None:
    """(s + w · k) / (1 + w)."""
    beside = Beside(np.array([2.0, 0.0]), 0.5)
    np.testing.assert_allclose(beside.joined(np.array([1.0, 3.0])), [4 / 3, 2.0])
    assert beside.ensemble_share == pytest.approx(2 / 3)


def test_a_small_table_is_judged_so_to_its_bundle(tmp_path: Path) -> None:
    """The judge is in the bundle, scores are the same from it, parts add up, and the odd cell is named."""
    table = sensor_table(150, seed=0)
    model = vaecli.fit(table, **QUICK)
    assert model.detector.neighbours is not None
    model.save(tmp_path / "model.vae")
    odd = table.head(30).copy()
    name = odd.select_dtypes("number").columns[0]
    odd.loc[7, name] = odd[name].mean() + 12 * odd[name].std()
    scored = model.score(odd, explain=1)
    again = vaecli.score(odd, tmp_path / "model.vae", explain=1)
    pd.testing.assert_frame_equal(again, scored)
    assert scored["anomaly_score"].idxmax() == 7
