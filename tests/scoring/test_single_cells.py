"""The judges of single cells: rarity by counting, scales that keep the order, and when one cell decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.calibration import single_cells
from vaecli.calibration.conformal import Calibration
from vaecli.calibration.single_cells import (
    NATS_BEYOND_WALL,
    column_tails,
    fit_cell_judges,
    strays_beyond_walls,
)
from vaecli.calibration.survival_scale import DECIDES_FROM, SurvivalScale, opinion_scale
from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.training_rows import Rows
from vaecli.schema import Column, Kind, Layout
from vaecli.scoring.column_tails import ColumnTails
from vaecli.scoring.max_cell import CellLimits
from vaecli.scoring.single_cells import SingleCells
from vaecli.training.fit_cell_mixture import choose_mixture, fit_mixtures

LAYOUT = Layout.of(
    (
        Column("x", Kind.NUMERIC),
        Column("on", Kind.BOOLEAN),
        Column("k", Kind.CATEGORICAL, categories=("p", "q", "r")),
    )
)
N_COLUMNS, N_FACTORS, NOISE = 20, 3, np.sqrt(0.3)
FACTORS = Layout.of(tuple(Column(f"x{j}", Kind.NUMERIC) for j in range(N_COLUMNS)))


def table(x: list[int], seed: int) -> Rows:
    """Rows with these numbers, and a boolean, a category and gaps at random."""
    rng, n = np.random.default_rng(seed), len(x)
    values = np.zeros((n, 5), np.float32)
    values[:, 0], values[:, 1] = x, rng.random(n) < 0.3
    values[np.arange(n), 2 + rng.choice(3, n, p=[0.6, 0.3, 0.1])] = 1
    state = np.where(rng.random((n, 3)) < 0.2, MISSING, PRESENT).astype(np.uint8)
    values[np.repeat(state, [1, 1, 3], axis=1) != PRESENT] = 0
    return Rows(values, state, np.arange(n) % 4)


def rarity_of_cells(tails: ColumnTails, values: np.ndarray, state: np.ndarray, at_least: float = 0.0) -> np.ndarray:
    """The rarity (n, c) of every cell, all others silent."""
    limits, alone = tails.limits(at_least), ~np.eye(state.shape[1], dtype=bool)
    return np.stack([tails.rarest(values, state, limits, one[None])[0] for one in alone], axis=1)


def n_alike(rows: Rows, values: np.ndarray, state: np.ndarray, j: int) -> int:
    """How many of the rows have a cell in column j that is as far out on its side or the same, by counting."""
    if state[j] != PRESENT:
        return int((rows.state[:, j] == state[j]).sum())
    there = rows.values[rows.state[:, j] == PRESENT]
    if j == 0:
        return int(min((there[:, 0] >= values[0]).sum(), (there[:, 0] <= values[0]).sum()))
    return int((there[:, 1:2] == values[1:2]).all(1).sum() if j == 1 else (there[:, 2:] == values[2:]).all(1).sum())


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=90), st.integers(0, 2**32 - 1))
def test_rarity_counts_rows_that_are_as_far_out(x: list[int], seed: int) -> None:
    """log((n + 1) / (k + 1)) of every cell of new rows within the range, whatever its kind, gaps too."""
    rows = table(x, seed)
    new = table([x[i % len(x)] for i in range(12)], seed + 1)
    there = rows.values[rows.state[:, 0] == PRESENT, 0]
    found = rarity_of_cells(column_tails(LAYOUT, rows), new.values, new.state)
    for i in range(12):
        for j in range(3):
            if (
                j == 0
                and new.state[i, j] == PRESENT
                and not (there.size and there.min() <= new.values[i, 0] <= there.max())
            ):
                continue
            k = n_alike(rows, new.values[i], new.state[i], j)
            assert found[i, j] == pytest.approx(np.log((len(x) + 1) / (k + 1)), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(30, 3000))
def test_numbers_further_out_are_never_less_rare(seed: int, n: int) -> None:
    """On either side, within the readings and beyond them; a lower limit only leaves out what is below it."""
    rng = np.random.default_rng(seed)
    rows = table([0] * n, seed)
    rows.values[:, 0] = rng.standard_t(3, n)
    rows.state[:, 0] = PRESENT
    tails = column_tails(LAYOUT, rows)
    middle = float(np.median(rows.values[:, 0]))
    for side in (1, -1):
        values = np.zeros((80, 5), np.float32)
        values[:, 0] = middle + side * np.geomspace(1e-3, 1e6, 80)
        state = np.full((80, 3), PRESENT, np.uint8)
        rarity = rarity_of_cells(tails, values, state)[:, 0]
        assert (np.diff(rarity) >= -1e-9).all()
        some = rarity_of_cells(tails, values, state, 3.0)[:, 0]
        assert (some[rarity >= 3.0] == rarity[rarity >= 3.0]).all()
        assert ((some == rarity) | (some == -np.inf)).all()
        assert rarity[-1] > np.log(n + 1) + 1
        # what is beyond all readings is the rest of their rarity
        beyond = tails.beyond(values, state)
        outside = rarity > np.log(n + 1)
        np.testing.assert_allclose(beyond[outside, 0], rarity[outside] - np.log(n + 1), rtol=1e-9, atol=1e-9)
        assert (beyond[~outside] == 0).all()
        assert (beyond[:, 1:] == 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(100, 3000), st.sampled_from([0.1, 1.0, 5.0]))
def test_a_step_through_a_wall_is_rarer_than_one_along_a_tail(seed: int, n: int, step: float) -> None:
    """Counts that often are 0 never fall below; their largest stands nearly alone, and a later one may exceed it."""
    rng = np.random.default_rng(seed)
    rows = table([0] * n, seed)
    rows.values[:, 0] = np.minimum(rng.poisson(0.7, n), 6) * step
    rows.state[:, 0] = PRESENT
    largest = rows.values[:, 0].max()
    rows.values[0, 0] = largest + step  # alone
    values = np.zeros((2, 5), np.float32)
    values[:, 0] = -step, largest + 2 * step
    below, above = column_tails(LAYOUT, rows).beyond(values, np.full((2, 3), PRESENT, np.uint8))[:, 0]
    assert below == pytest.approx(NATS_BEYOND_WALL, rel=1e-3)
    assert above < 10


def counter(n: int, lowest: dict[int, int], seed: int = 0) -> Rows:
    """Rows of one number: as many of each of the `lowest` values as it says, the others evenly from 9 to 250."""
    rest = np.random.default_rng(seed).integers(9, 251, n - sum(lowest.values()))
    values = np.concatenate([np.repeat(list(lowest), list(lowest.values())), rest]).astype(np.float32)
    return Rows(values[:, None], np.full((n, 1), PRESENT, np.uint8), np.arange(n) % 4)


COUNTER = Layout.of((Column("x", Kind.NUMERIC),))


def test_one_stray_row_opens_no_wall() -> None:
    """One row at 0 of 2,000, where 1 is frequent: a further 0 is as rare as once, and ten nats for the wall."""
    rows = counter(2000, {0: 1, 1: 30, 2: 20})
    strays = strays_beyond_walls(COUNTER, rows)
    np.testing.assert_array_equal(strays, [[False, True]])
    new, state = np.array([[-1], [0], [1], [2]], np.float32), np.full((4, 1), PRESENT, np.uint8)
    minus, zero, at_wall, before = rarity_of_cells(column_tails(COUNTER, rows, strays), new, state)[:, 0]
    assert zero == pytest.approx(np.log(2001 / 2) + NATS_BEYOND_WALL, rel=1e-4)
    assert minus > zero
    open_tails = column_tails(COUNTER, rows)
    of_open = rarity_of_cells(open_tails, new, state)[:, 0]
    assert of_open[1] == pytest.approx(np.log(2001 / 2))
    # within the wall nothing changes, and the stray counts
    assert (at_wall, before) == (of_open[2], of_open[3])


@pytest.mark.parametrize(
    ("lowest", "n"),
    [
        ({0: 2, 1: 30, 2: 20}, 2000),  # two rows are no accident
        ({0: 1, 1: 20, 2: 20}, 2000),  # counts that go on so would show 20: a clean wall takes that, a stray 40
        ({0: 1, 1: 30, 2: 9}, 2000),  # how counts go on is not known of so few
        ({0: 1, 1: 30, 2: 20}, 900),  # in so few rows one in a thousand is less than a row
        ({1: 30, 2: 20}, 2000),  # a clean wall
    ],
)
def test_what_is_no_stray(lowest: dict[int, int], n: int) -> None:
    """A stray is alone, beyond a wall that is well known, and rare among the rows."""
    rows = counter(n, lowest)
    strays = strays_beyond_walls(COUNTER, rows)
    assert not strays.any()
    assert (column_tails(COUNTER, rows, strays).outer == column_tails(COUNTER, rows).outer).all()


def judged_beside(
    layout: Layout, rows: Rows, may_decide: np.ndarray, scores: np.ndarray, **settings: bool
) -> tuple[SingleCells | None, np.ndarray]:
    """The judges of the rows beside an ensemble with these held-out scores, and the scores as they raise them."""
    judges = fit_cell_judges(layout, rows, may_decide, seed=0, **settings)
    return (None, scores) if judges is None else judges.beside(scores)


def test_strays_in_many_columns_are_none() -> None:
    """A row in a thousand may be a stray; where more are, walls do not hold in this table, and none is kept."""
    columns = [counter(3000, {0: 1, 1: 30, 2: 20}, seed).values for seed in range(4)]
    of_rows = [np.roll(column, i) for i, column in enumerate(columns)]
    for found, apart in ((columns, False), (of_rows[:3], False), (of_rows, True)):
        layout = Layout.of(tuple(Column(f"x{j}", Kind.NUMERIC) for j in range(len(found))))
        values = np.concatenate(found, axis=1)
        rows = Rows(values, np.full(values.shape, PRESENT, np.uint8), np.arange(3000) % 4)
        assert strays_beyond_walls(layout, rows)[:, 1].all() == (not apart)


def test_strays_leave_calibration_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray of training is judged by other folds, which do not know it: raised scores are the same to the bit."""
    rows, ensemble = counter(2000, {0: 1, 1: 30, 2: 20}), np.random.default_rng(1).exponential(size=2000)
    found, raised = judged_beside(COUNTER, rows, np.ones(1, bool), ensemble)
    monkeypatch.setattr(single_cells, "MOST_STRAYS", 0.0)
    before, same = judged_beside(COUNTER, rows, np.ones(1, bool), ensemble)
    np.testing.assert_array_equal(raised, same)
    assert found is not None
    assert before is not None
    new = np.zeros((1, 1), np.float32), np.full((1, 1), PRESENT, np.uint8)
    calibration = Calibration.of(raised)
    p_value, p_before = (calibration.p_value(judges.opinions(*new).score)[0] for judges in (found, before))
    assert p_value < 0.002 < 0.01 < p_before


@given(st.integers(0, 2**32 - 1), st.integers(2, 600), st.integers(2, 600), st.floats(0, 1))
def test_opinions_keep_the_order_of_a_judge(seed: int, n: int, m: int, penalty: float) -> None:
    """A higher score of the judge never is a lower opinion, and a rare one is worth as much as a rare score is."""
    rng = np.random.default_rng(seed)
    judge = SurvivalScale.of(np.round(rng.gamma(2, size=n), 1), heavy=True)
    ensemble = SurvivalScale.of(rng.gamma(1, size=m), heavy=False)
    scale = opinion_scale(judge, ensemble, penalty)
    at = np.sort(rng.gamma(2, scale=4, size=50))
    opinions = scale.of_scores(at)
    assert not np.isnan(opinions).any()
    assert (opinions[1:] >= opinions[:-1]).all()
    nats = DECIDES_FROM + penalty + 2.0
    if judge.scores.size > 1:
        worth = scale.of_scores(np.array([judge.at(np.array([nats]))[0]]))[0]
        assert worth == pytest.approx(ensemble.at(np.array([nats - penalty]))[0], rel=0.02)


def factor_rows(n: int, seed: int) -> np.ndarray:
    """Rows (n, 20) of variance 1 moved by three factors, noise of 30 % of the variance in every column."""
    loadings = np.random.default_rng(7).normal(size=(N_FACTORS, N_COLUMNS))
    loadings *= np.sqrt((1 - NOISE**2) / (loadings**2).sum(0))
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, N_FACTORS)) @ loadings + NOISE * rng.normal(size=(n, N_COLUMNS))


@pytest.fixture(scope="module")
def judges() -> tuple[SingleCells, np.ndarray]:
    """Judges of 2,500 such rows beside an ensemble that knows nothing, and the raised scores."""
    rows = Rows(
        factor_rows(2500, 0).astype(np.float32), np.full((2500, N_COLUMNS), PRESENT, np.uint8), np.arange(2500) % 4
    )
    ensemble = np.random.default_rng(1).exponential(size=2500)
    found, raised = judged_beside(FACTORS, rows, np.ones(N_COLUMNS, bool), ensemble)
    assert found is not None
    assert (raised >= ensemble).all()
    return found, raised


def test_one_reading_six_deviations_of_noise_off_is_seen(judges: tuple[SingleCells, np.ndarray]) -> None:
    """At 1 % false alarms of fresh rows; the true covariance would see 98 %. And the cell is named."""
    found, raised = judges
    state = np.full((4000, N_COLUMNS), PRESENT, np.uint8)
    fresh = factor_rows(4000, 2)
    calibration = Calibration.of(raised)
    ensemble = np.random.default_rng(3).exponential(size=4000)

    def flagged(values: np.ndarray) -> np.ndarray:
        opinions = found.opinions(values.astype(np.float32), state)
        return calibration.p_value(np.maximum(ensemble, opinions.score)) <= 0.01

    assert 0.005 < flagged(fresh).mean() < 0.02
    column = np.random.default_rng(4).integers(0, N_COLUMNS, 4000)
    fresh[np.arange(4000), column] += 6 * NOISE
    seen = flagged(fresh)
    assert seen.mean() > 0.93
    opinions = found.opinions(fresh.astype(np.float32), state)
    assert (opinions.column == column)[seen].mean() > 0.97


def test_a_column_that_may_not_decide_never_does(judges: tuple[SingleCells, np.ndarray]) -> None:
    """However far out its cell is; the other columns still decide."""
    found, _ = judges
    rows = factor_rows(50, 5).astype(np.float32)
    state = np.full((50, N_COLUMNS), PRESENT, np.uint8)
    silent = SingleCells(found.tails, found.tails_scale, np.arange(N_COLUMNS) != 3, found.mixture)
    plain = silent.opinions(rows, state)
    rows[:, 3] += 1e6
    moved = silent.opinions(rows, state)
    assert (moved.column != 3).all()
    assert np.isfinite(found.opinions(rows, state).score).all()
    assert (found.opinions(rows, state).column == 3).all()
    assert plain.score.shape == moved.score.shape


def test_judges_survive_the_bundle(judges: tuple[SingleCells, np.ndarray]) -> None:
    """The same opinions to the bit from stored arrays."""
    found, _ = judges
    again = SingleCells.from_arrays(FACTORS, found.to_arrays("cells"), "cells")
    assert again is not None
    rows, state = factor_rows(300, 6).astype(np.float32), np.full((300, N_COLUMNS), PRESENT, np.uint8)
    rows[:, 0] += 5
    for name in ("score", "column", "judge"):
        np.testing.assert_array_equal(
            getattr(again.opinions(rows, state), name), getattr(found.opinions(rows, state), name)
        )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ranks", lambda a: a + 1),
        ("outer", lambda a: a[..., ::-1]),
        ("outer", lambda a: a * np.nan),
        ("scale", lambda a: 0 * a),
        ("shape", lambda a: a + 1),
        ("n_rows", lambda a: 0 * a),
        ("n_present", lambda a: a - 10**6),
        ("n_states", lambda a: a.astype(np.int32)),
    ],
)
def test_tails_that_no_fit_gives_are_refused(judges, name: str, change) -> None:  # type: ignore[no-untyped-def]
    """A bundle may come from anyone."""
    arrays = judges[0].tails.to_arrays()
    ColumnTails.from_arrays(FACTORS, arrays)
    with pytest.raises((KeyError, ValueError)):
        ColumnTails.from_arrays(FACTORS, arrays | {name: change(arrays[name])})


def test_few_rows_have_no_judges() -> None:
    """Below 200 rows, or where no column may decide, scores stay as they are."""
    values = factor_rows(250, 8).astype(np.float32)
    rows = Rows(values, np.full((250, N_COLUMNS), PRESENT, np.uint8), np.arange(250) % 4)
    scores = np.random.default_rng(0).exponential(size=250)
    for some, may in ((rows.take(np.arange(199)), True), (rows, False)):
        given_scores = scores[: len(some.fold)]
        found, raised = judged_beside(FACTORS, some, np.full(N_COLUMNS, may), given_scores)
        assert found is None
        np.testing.assert_array_equal(raised, given_scores)


def test_the_order_of_columns_changes_no_rarity() -> None:
    """Features stand by kind: with the category before the number, each cell is as rare as in the other order."""
    moved = Layout.of(
        (
            Column("k", Kind.CATEGORICAL, categories=("p", "q", "r")),
            Column("on", Kind.BOOLEAN),
            Column("x", Kind.NUMERIC),
        )
    )
    rows = table([i % 7 for i in range(90)], 0)
    assert [slot.start for slot in moved.slots][::-1] == [slot.start for slot in LAYOUT.slots]
    found = rarity_of_cells(column_tails(LAYOUT, rows), rows.values, rows.state)
    turned = Rows(rows.values, rows.state[:, ::-1], rows.fold)
    np.testing.assert_array_equal(
        rarity_of_cells(column_tails(moved, turned), turned.values, turned.state), found[:, ::-1]
    )


def test_a_mixture_decides_only_what_its_folds_can_calibrate() -> None:
    """A column of many rare words, whose nats depend on which of them a fold holds: limits hold for the whole too."""
    rng, n, probability = np.random.default_rng(1), 1000, np.arange(1, 20_001.0) ** -2
    known, word, count = np.unique(
        rng.choice(20_000, n, p=probability / probability.sum()), return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero(count > 1)
    place = np.full(known.size, kept.size)
    place[kept] = np.arange(kept.size)
    names = tuple(map(str, range(kept.size)))
    columns = [Column(name, Kind.NUMERIC) for name in "xyz"]
    layout = Layout.of((*columns, Column("w", Kind.CATEGORICAL, categories=names, has_other=True)))
    factor = rng.normal(size=(n, 2))
    values = np.zeros((n, 3 + kept.size + 1), np.float32)
    values[:, :3] = np.column_stack([factor[:, 0], factor.sum(1) / 1.4, factor[:, 1]])
    values[np.arange(n), 3 + place[word]] = 1
    rows = Rows(values, np.full((n, 4), PRESENT, np.uint8), rng.permutation(n) % 2)
    cells, _ = judged_beside(layout, rows, np.ones(4, bool), rng.exponential(size=n))
    assert cells is not None
    assert cells.mixture is not None
    nats = cells.mixture.mixture.nats(rows.values, rows.state)
    assert (nats > cells.mixture.limit).mean(0).max() <= 2 * 0.1
    assert (cells.mixture.limit[:3] < 1e3).all()  # which the other columns keep


def test_codes_of_rows_that_come_often_are_judged_by_the_mixture_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their limits are those of its nats; the numbers' limits, and all limits of dependent rows, those of folds."""
    rows = table([i % 2 for i in range(400)], 5)
    rows.state[:] = PRESENT
    mixture = fit_mixtures(LAYOUT, rows, choose_mixture(LAYOUT, rows, 0), 0)[0]
    of_folds = replace(mixture, precision=mixture.precision * np.float32(0.6))
    monkeypatch.setattr(single_cells, "fit_mixtures", lambda *_: (mixture, dict.fromkeys(range(4), of_folds)))

    def limits(are_independent: bool) -> np.ndarray:
        scores = np.random.default_rng(0).exponential(size=400)
        cells, _ = judged_beside(LAYOUT, rows, np.ones(3, bool), scores, are_independent=are_independent)
        assert cells is not None
        assert cells.mixture is not None
        return cells.mixture.limit

    of_all, by_folds = (CellLimits.of([one.nats(rows.values, rows.state)]).limit[0] for one in (mixture, of_folds))
    assert (np.abs(of_all - by_folds) > 1e-3).all()
    np.testing.assert_allclose(limits(True), [by_folds[0], of_all[1], of_all[2]], rtol=1e-6)
    np.testing.assert_allclose(limits(False), by_folds, rtol=1e-6)
    monkeypatch.setattr(single_cells, "MOSTLY_ALIKE", 1.01)  # as in a table of more different rows
    np.testing.assert_allclose(limits(True), by_folds, rtol=1e-6)
