"""Explanations against the truth: tables whose law is known, and rows with a known mistake in them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.config import SCORE_KINDS
from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.number_features import Numbers
from vaecli.decisions.threshold import ScoredRows
from vaecli.detector import Detector
from vaecli.schema import Column, Kind
from vaecli.scoring.attribution import Explanation, among_rivals, extend_grid, number_of_level
from vaecli.scoring.max_cell import NEVER_DECIDES
from vaecli.tables import frame_source, to_cells

MEAN, SD, RHO = np.array([10.0, -5.0, 100.0]), np.array([2.0, 3.0, 10.0]), 0.9
NAMES = ("left", "right", "alone")  # the first two move together, the third by itself
LEFT, RIGHT, ALONE = range(3)
N = 60
QUICK = {
    "train.max_steps": 150,
    "heteroscedastic.n_hidden": 16,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_hidden": 16,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 200,
}


def gaussian_rows(n: int, seed: int) -> np.ndarray:
    """Rows (n, 3) of a Gaussian whose first two columns have correlation 0.9."""
    standard = np.random.default_rng(seed).normal(size=(n, 3))
    standard[:, RIGHT] = RHO * standard[:, LEFT] + np.sqrt(1 - RHO**2) * standard[:, RIGHT]
    return MEAN + SD * standard


def conditional_mean(rows: np.ndarray, j: int) -> np.ndarray:
    """E[x_j | the other two columns], (n,)."""
    if j == ALONE:
        return np.full(len(rows), MEAN[ALONE])
    other = RIGHT if j == LEFT else LEFT
    return MEAN[j] + RHO * SD[j] * (rows[:, other] - MEAN[other]) / SD[other]


CONDITIONAL_SD = SD * np.array([np.sqrt(1 - RHO**2), np.sqrt(1 - RHO**2), 1.0])


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Fitted on 1,000 rows of that law, in a few seconds."""
    return vaecli.fit(pd.DataFrame(gaussian_rows(1000, seed=0), columns=NAMES), **QUICK).detector


def explained(detector: Detector, rows: np.ndarray, kind: str | None = None) -> tuple[ScoredRows, Explanation]:
    cells = Cells(rows, np.full(rows.shape, PRESENT, np.uint8), np.arange(len(rows)))
    decided = detector.score(cells, kind)
    return decided, detector.explain(cells, decided, kind)


@pytest.mark.parametrize("shift", [6.0, -6.0])
@pytest.mark.parametrize("j", [LEFT, RIGHT, ALONE])
def test_the_shifted_cell_is_responsible(detector: Detector, j: int, shift: float) -> None:
    """One reading six standard deviations off is named first in nearly every row, and has most of the score."""
    rows = gaussian_rows(N, seed=1)
    rows[:, j] += shift * SD[j]
    decided, found = explained(detector, rows)
    assert (decided.p_value <= 0.01).mean() > 0.95
    assert (found.attribution.argmax(1) == j).mean() > 0.95
    assert np.median(found.attribution[:, j] / decided.scored.score) > 0.6


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_every_score_kind_is_attributed_to_the_column_alone(detector: Detector, kind: str) -> None:
    """Also a score without columns of its own, the latent one, is attributed to the column that made it high."""
    rows = gaussian_rows(N, seed=2)
    rows[:, ALONE] += 9 * SD[ALONE]
    _, found = explained(detector, rows, kind)
    assert (found.attribution.argmax(1) == ALONE).mean() > 0.95


def test_a_broken_correlation_is_attributed_to_the_pair(detector: Detector) -> None:
    """Two values, each ordinary by itself, that never go together: either of the two, and never the third column."""
    rows = gaussian_rows(N, seed=3)
    side = np.where(np.arange(N) % 2, 1.6, -1.6)
    rows[:, LEFT], rows[:, RIGHT] = MEAN[LEFT] + side * SD[LEFT], MEAN[RIGHT] - side * SD[RIGHT]
    decided, found = explained(detector, rows)
    assert (decided.p_value <= 0.01).mean() > 0.95
    assert np.isin(found.attribution.argmax(1), [LEFT, RIGHT]).all()
    share = found.attribution / decided.scored.score[:, None]
    assert (np.median(share[:, [LEFT, RIGHT]], axis=0) > 0.3).all()  # nothing shows which of the two is wrong
    assert np.median(share[:, ALONE]) < 0.1


@pytest.mark.parametrize("j", [LEFT, RIGHT, ALONE])
def test_what_is_expected_is_the_conditional_distribution(detector: Detector, j: int) -> None:
    """Median and 68 % range of a wrong cell are those of the Gaussian given the other columns, not of its own value."""
    rows = gaussian_rows(N, seed=4)
    mean = conditional_mean(rows, j)
    rows[:, j] += 8 * SD[j]
    _, found = explained(detector, rows)
    told = ~np.isnan(found.expected[:, j])
    assert told.mean() > 0.95
    spread = 0.5 * (found.high - found.low)[told, j]
    assert (np.abs(found.expected[told, j] - mean[told]) < spread).all()
    assert (spread > CONDITIONAL_SD[j] / 1.5).all()
    assert (spread < CONDITIONAL_SD[j] * 1.5).all()
    # values stand for intervals of different widths; without them the column alone would be a fifth too narrow
    assert 0.88 < np.median(spread) / CONDITIONAL_SD[j] < 1.12


@pytest.mark.parametrize("shift", [5.0, 8.0, -6.0])
def test_what_is_expected_may_lie_beyond_training(detector: Detector, shift: float) -> None:
    """A reading at the edge of training is reported as too near when its twin lies far beyond it."""
    training = gaussian_rows(1000, seed=0)[:, RIGHT]
    rows = MEAN[None].copy()
    rows[0, LEFT] += shift * SD[LEFT]
    rows[0, RIGHT] = training.max() if shift > 0 else training.min()
    _, found = explained(detector, rows, "elbo")
    assert found.attribution[0, RIGHT] > 0
    truth, spread = conditional_mean(rows, RIGHT)[0], CONDITIONAL_SD[RIGHT]
    assert abs(found.expected[0, RIGHT] - truth) < 1.5 * spread
    assert not found.low[0, RIGHT] <= rows[0, RIGHT] <= found.high[0, RIGHT]
    assert spread / 1.5 < 0.5 * (found.high - found.low)[0, RIGHT] < 1.5 * spread


def test_a_grid_goes_on_only_to_what_lies_well_beyond_it() -> None:
    """To there and as far again, so that what is expected may lie in the middle; else it stays as it is."""
    grid = np.linspace(-2.0, 3.0, 11)
    for feature in (0.0, 3.2, -2.2, 1e6, np.inf, -np.inf, np.nan):
        assert extend_grid(grid, feature) is grid
    for feature, low, high in ((5.0, -2.0, 7.0), (-4.0, -6.0, 3.0)):
        found = extend_grid(grid, feature)
        assert (found[0], found[-1], found.size) == (low, high, 22)
        assert set(grid) < set(found)


def test_an_absurd_reading_is_expected_as_any_other(detector: Detector) -> None:
    """The value that is explained does not influence what was expected in its place."""
    rows = gaussian_rows(20, seed=5)
    near, far = rows.copy(), rows.copy()
    near[:, ALONE], far[:, ALONE] = MEAN[ALONE] + 9 * SD[ALONE], 1e12
    (_, one), (_, other) = explained(detector, near), explained(detector, far)
    assert (other.attribution.argmax(1) == ALONE).all()
    for found in ("expected", "low", "high"):
        np.testing.assert_array_equal(getattr(one, found)[:, ALONE], getattr(other, found)[:, ALONE])


def test_normal_rows_have_little_to_explain(detector: Detector) -> None:
    """A row of the law itself scores low, and its parts are no larger than its score."""
    decided, found = explained(detector, gaussian_rows(200, seed=6))
    assert np.median(decided.scored.score) < 2
    assert (found.attribution.sum(1) <= decided.scored.score * (1 + 1e-12)).all()


def test_only_the_top_columns_have_expectations(detector: Detector) -> None:
    """`most` reasons were asked for, so that many expectations were computed, those of the largest parts."""
    rows = gaussian_rows(N, seed=7) + 2 * SD
    cells = Cells(rows, np.full(rows.shape, PRESENT, np.uint8), np.arange(N))
    decided = detector.score(cells)
    found = detector.explain(cells, decided, most=1)
    told = ~np.isnan(found.expected)
    assert (told.sum(1) <= 1).all()
    assert told.any()
    i, j = np.nonzero(told)
    np.testing.assert_array_equal(found.attribution.argmax(1)[i], j)
    np.testing.assert_array_equal(found.attribution, detector.explain(cells, decided, most=3).attribution)


# -- other kinds of columns -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine(model: vaecli.Model, fresh_table: pd.DataFrame) -> tuple[Detector, pd.DataFrame]:
    """The small machine of all tests, and 60 fresh rows of it with the pump running under full load."""
    running = fresh_table[(fresh_table["pressure"] > 5.5) & (fresh_table["pump_on"] == "yes")]
    return model.detector, running[:N].copy()


def of_frame(detector: Detector, frame: pd.DataFrame) -> tuple[ScoredRows, Explanation]:
    (batch,) = frame_source(frame).batches()
    cells = to_cells(batch, detector.schema)
    decided = detector.score(cells)
    return decided, detector.explain(cells, decided)


def place(detector: Detector, name: str) -> int:
    return [column.name for column in detector.schema.features].index(name)


def test_a_switch_that_contradicts_the_load_is_responsible(machine: tuple[Detector, pd.DataFrame]) -> None:
    """A pump that is off under a load where it always runs: it should be on, with a probability near 1."""
    detector, frame = machine
    _, found = of_frame(detector, frame.assign(pump_on="no"))
    j = place(detector, "pump_on")
    assert (found.attribution.argmax(1) == j).mean() > 0.9
    told = ~np.isnan(found.expected[:, j])
    assert (found.expected[told, j] == 1).all()
    assert (found.probability[told, j] > 0.9).all()


def test_a_category_never_seen_is_expected_to_be_the_usual_one(machine: tuple[Detector, pd.DataFrame]) -> None:
    """In place of an unknown mode the most frequent one, with about the probability it had in training: 0.6."""
    detector, frame = machine
    _, found = of_frame(detector, frame.assign(mode="turbo"))
    j = place(detector, "mode")
    assert (found.attribution.argmax(1) == j).all()
    assert {detector.schema.features[j].categories[int(code)] for code in found.expected[:, j]} == {"normal"}
    assert np.abs(found.probability[:, j] - 0.6).max() < 0.2


def test_a_gap_has_the_share_of_filled_cells(machine: tuple[Detector, pd.DataFrame], normal_table) -> None:
    """A missing cell has the share of filled ones in training (Laplace); a gap where none was is found responsible."""
    detector, frame = machine
    _, found = of_frame(detector, frame.assign(pressure=np.nan, temperature=np.nan))
    n, n_gaps = len(normal_table), int(normal_table["temperature"].isna().sum())
    np.testing.assert_allclose(found.probability[:, place(detector, "pressure")], (n + 1) / (n + 2))
    np.testing.assert_allclose(found.probability[:, place(detector, "temperature")], (n - n_gaps + 1) / (n + 2))
    assert (found.attribution.argmax(1) == place(detector, "pressure")).all()


def test_a_cell_that_the_mixture_finds_is_expected_by_it(detector: Detector) -> None:
    """Its expectation and range are those of the Gaussian given the other columns, closer than the networks know."""
    rows = gaussian_rows(N, seed=7)
    mean = conditional_mean(rows, LEFT)
    rows[:, LEFT] = mean + 6 * CONDITIONAL_SD[LEFT]
    decided, found = explained(detector, rows)
    flagged = (decided.p_value <= 0.01) & ~np.isnan(found.expected[:, LEFT])
    assert flagged.mean() > 0.9
    error = np.abs(found.expected[flagged, LEFT] - mean[flagged]) / CONDITIONAL_SD[LEFT]
    assert np.median(error) < 0.3
    spread = 0.5 * (found.high - found.low)[flagged, LEFT]
    assert 0.85 < np.median(spread) / CONDITIONAL_SD[LEFT] < 1.15


def test_rivals_share_by_what_the_mixture_finds() -> None:
    """Parts of a fifth of the largest or more go to the least probable cells; their sum and the others stay."""
    part = np.array([10.0, 4.0, 0.5, 0.0, 3.0])
    dealt = among_rivals(part, np.array([1.0, 30.0, 50.0, 50.0, -np.inf]))
    assert dealt[[0, 1]].sum() == pytest.approx(14.0)
    assert dealt[1] / dealt[0] == pytest.approx(np.log1p(np.exp(30.0)) / np.log1p(np.exp(1.0)))
    np.testing.assert_array_equal(dealt[2:], part[2:])  # too small a part, none, and a cell that is not judged


@pytest.mark.parametrize(
    ("part", "beyond"),
    [([10.0, 4.0], [-1.0, -0.5]), ([10.0, 1.0], [-5.0, 50.0]), ([10.0, 4.0], [-np.inf, 50.0]), ([], [])],
)
def test_without_rivals_parts_stay(part: list[float], beyond: list[float]) -> None:
    """Nothing is shared where no cell is beyond its limit, or only one is a rival that the mixture judges."""
    np.testing.assert_array_equal(among_rivals(np.array(part), np.array(beyond)), part)


def test_of_a_pair_the_cell_that_the_mixture_finds_is_named_first(detector: Detector) -> None:
    """Two values that never go together: the less probable given the other is first, which networks often miss."""
    rows = gaussian_rows(N, seed=3)
    side = np.where(np.arange(N) % 2, 1.6, -1.6)
    rows[:, LEFT], rows[:, RIGHT] = MEAN[LEFT] + side * SD[LEFT], MEAN[RIGHT] - side * SD[RIGHT]
    assert detector.cells is not None
    cells = Cells(rows, np.full(rows.shape, PRESENT, np.uint8), np.arange(N))
    batch = detector.preprocessor.transform(cells)
    beyond = np.array([detector.cells.beyond_limit(*row) for row in zip(batch.values, batch.state, strict=True)])
    first = beyond.argmax(1)
    np.testing.assert_array_equal(explained(detector, rows)[1].attribution.argmax(1), first)
    by_networks = explained(replace(detector, cells=None), rows)[1].attribution.argmax(1)
    assert (by_networks != first).any()


def test_cells_that_the_mixture_does_not_judge_are_never_rivals(detector: Detector) -> None:
    """An absent cell, and one of a column with no limit, are left to the networks."""
    assert detector.cells is not None
    assert detector.cells.mixture is not None
    row = detector.preprocessor.transform(
        Cells(gaussian_rows(1, seed=0), np.full((1, 3), PRESENT, np.uint8), np.arange(1))
    )
    state = row.state[0].copy()
    assert np.isfinite(detector.cells.beyond_limit(row.values[0], state)).all()
    state[LEFT] = MISSING
    limit = detector.cells.mixture.limit.copy()
    limit[RIGHT] = NEVER_DECIDES
    cells = replace(detector.cells, mixture=replace(detector.cells.mixture, limit=limit))
    np.testing.assert_array_equal(np.isfinite(cells.beyond_limit(row.values[0], state)), [False, False, True])
    assert (replace(cells, mixture=None).beyond_limit(row.values[0], state) == -np.inf).all()


@pytest.mark.parametrize(
    ("often", "far"), [(1460.25, 1e9), (3.0, 1e6), (1_700_000_123.0, 3e7), (0.0, 1e9), (-0.125, 1.0), (4e-7, 1e-6)]
)
def test_a_number_that_comes_often_is_what_the_table_holds(often: float, far: float) -> None:
    """Also beside readings that are far larger, whose spread single precision resolves; never a negative zero."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random(1_000) < 0.3, often, often + far * rng.lognormal(0, 1, 1_000))[:, None]
    numbers = Numbers.fit(values, (Column("x", Kind.NUMERIC),), ())
    feature = np.zeros((1, 1), np.float32)
    numbers.encode(0, np.array([often]), np.array([PRESENT]), feature)
    found = number_of_level(numbers, 0, feature)
    assert found == often
    assert not math.copysign(1.0, found) < 0 <= often
