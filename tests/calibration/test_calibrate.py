"""Which rows give the limits of single cells, and where there are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.conftest import QUICK, sensor_table
from vaecli.calibration import calibrate
from vaecli.data.training_rows import Rows
from vaecli.model.tiles import TILE_ROWS
from vaecli.scoring.tail_scale import MIN_OWN_ROWS


def rows(n: int, n_columns: int) -> Rows:
    """Rows of which only the number and the columns matter."""
    return Rows(np.zeros((n, 1), np.float32), np.zeros((n, n_columns), np.uint8), np.zeros(n, np.uint8))


def test_few_rows_give_limits_all_of_them() -> None:
    """Up to 32 tiles, whatever is held out."""
    n = 5 * TILE_ROWS + 7
    tiles = calibrate._tiles(rows(n, 30), np.ones((2, n), bool))
    np.testing.assert_array_equal(np.concatenate(tiles), np.arange(n))


def test_many_rows_give_limits_from_all_over() -> None:
    """A bounded number of cells, the first and the last tile among them."""
    n = 200 * TILE_ROWS
    tiles = calibrate._tiles(rows(n, 4000), np.ones((2, n), bool))
    assert len(tiles) * TILE_ROWS * 4000 <= calibrate.LIMIT_CELLS
    assert (tiles[0][0], tiles[-1][-1]) == (0, n - 1)


def test_each_family_has_rows_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is held out comes in one stretch of the table, tiles of it are among the chosen."""
    monkeypatch.setattr(calibrate, "LIMIT_CELLS", 1)
    n = 9 * TILE_ROWS
    unseen = np.arange(n) // TILE_ROWS == np.array([[0], [7]])
    numbers = np.concatenate(calibrate._tiles(rows(n, 30), unseen))
    assert (unseen[:, numbers].sum(1) >= MIN_OWN_ROWS).all()
    assert numbers.size < n


def test_no_limits_from_too_few_rows() -> None:
    """Below 200 rows held out from a family there are no tiles."""
    unseen = np.arange(900) < np.array([[MIN_OWN_ROWS - 1], [900]])
    assert calibrate._tiles(rows(900, 3), unseen) == []


@pytest.mark.parametrize(("n_rows", "has_cells"), [(MIN_OWN_ROWS - 1, False), (MIN_OWN_ROWS, True)])
def test_single_cells_need_rows(n_rows: int, has_cells: bool) -> None:
    """A bundle of few rows judges rows as a whole only."""
    model = vaecli.fit(sensor_table(n_rows, seed=0), **QUICK)
    assert (model.detector.surprisal_scales["combined"].max_cell is not None) == has_cells
    assert all(model.detector.surprisal_scales[kind].max_cell is None for kind in ("elbo", "reconstruction", "latent"))


def test_groups_one_after_the_other_can_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tile of the table holds rows of one fold only."""
    monkeypatch.setattr(calibrate, "LIMIT_CELLS", 1)
    table = sensor_table(3000, seed=0).assign(site=np.repeat(["a", "b"], 1500))
    model = vaecli.fit(table, preset="fast", group="site", **QUICK)
    scored = model.score(table)
    assert isinstance(scored, pd.DataFrame)
    assert scored["is_anomaly"].mean() < 0.05


def test_columns_of_one_unit_do_not_decide_alone() -> None:
    """Of pixels none decides, of the columns beside them each may; where there are only pixels, rows are wholes."""
    table = sensor_table(400, seed=0)[["pressure", "flow"]].assign(mode=np.tile(["eco", "boost"], 200))
    model = vaecli.fit(table, same_unit=["pressure", "flow"], **QUICK)
    max_cell = model.detector.surprisal_scales["combined"].max_cell
    assert max_cell is not None
    where = max_cell.largest(np.random.default_rng(0).gamma(2, 100, size=(len(max_cell.limit), 50, 3)))[1]
    assert set(where.ravel()) == {2}
    model = vaecli.fit(table, same_unit="all", exclude=["mode"], **QUICK)
    assert model.detector.surprisal_scales["combined"].max_cell is None
