"""Laws of explanations over random tables and random networks, for every kind of score."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra.numpy import arrays

import vaecli
from tests.conftest import of_a_hundred
from tests.laws.test_any_table import FLAVOURS, SETTINGS, column
from tests.laws.test_scores import Table, score_kinds, tables, taken
from vaecli.calibration.conformal import Calibration
from vaecli.calibration.novelty_offset import add_novelty_offset, novelty_offset as novelty_offset_of
from vaecli.config import SCORE_KINDS
from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.decisions.threshold import ScoredRows
from vaecli.model.conditional import conditional, impute
from vaecli.schema import Kind
from vaecli.scoring import max_cell
from vaecli.scoring.attribution import (
    MAX_CANDIDATES,
    Explanation,
    attribute,
    candidates,
    conditional_probability,
    shares,
)
from vaecli.scoring.scores import ScoredBatch, member_parts, score_batch
from vaecli.tables import frame_source, to_cells

finite = st.floats(-1e6, 1e6)


@pytest.fixture(autouse=True, scope="module")
def _cheap_cells() -> Iterator[None]:
    """Single cells at a price at which they decide in many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(max_cell, "MAX_CELL_PENALTY", -0.5)
        yield


def explained(table: Table, kind: str, novelty_offset: float) -> tuple[ScoredBatch, np.ndarray, np.ndarray, np.ndarray]:
    """Scores of random rows with `novelty_offset` per unexpected cell; what was added where; parts and rest."""
    batch = table.batch
    unexpected = (batch.state == NOVEL) | ((batch.state == MISSING) & ~np.array(table.has_missing))
    calibration = Calibration.of(np.array([0.0, novelty_offset]))
    scored = add_novelty_offset(score_batch(table.scorer(kind), batch), unexpected, novelty_offset_of(calibration))
    lifted = novelty_offset_of(calibration) * unexpected
    return scored, lifted, *attribute(table.scorer(kind), table.layout, batch, scored, lifted)


# -- parts ----------------------------------------------------------------------------------------


@of_a_hundred(15)
@given(tables, score_kinds, st.sampled_from([0.0, 5.0, 1e4]))
def test_parts_and_rest_add_up_to_the_score(table: Table, kind: str, novelty_offset: float) -> None:
    """score = Σ_j part_j + rest for every row and kind; no part is below 0, none above the score."""
    scored, _, part, rest = explained(table, kind, novelty_offset)
    assert part.shape == scored.column_score.shape
    assert rest.shape == scored.score.shape
    np.testing.assert_allclose(part.sum(1) + rest, scored.score, rtol=1e-12, atol=1e-12)
    assert (part >= 0).all()
    assert (rest >= -1e-12 * scored.score).all()


@of_a_hundred(10)
@given(tables, score_kinds, st.integers(0, 2**32 - 1))
def test_a_row_is_explained_by_itself(table: Table, kind: str, seed: int) -> None:
    """Other rows, their order and their number change no bit of a row's parts."""
    batch = table.batch
    scored, lifted, part, rest = explained(table, kind, 5.0)
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(batch))[: 1 + rng.integers(len(batch))]
    chosen = ScoredRows(scored, scored.score, 0).take(some).scored
    part_of_some, rest_of_some = attribute(table.scorer(kind), table.layout, taken(batch, some), chosen, lifted[some])
    np.testing.assert_array_equal(part_of_some, part[some])
    np.testing.assert_array_equal(rest_of_some, rest[some])


@of_a_hundred(10)
@given(tables, score_kinds, st.data())
def test_the_one_novel_cell_is_responsible(table: Table, kind: str, data: st.DataObject) -> None:
    """What training never met, lifted far above all else, takes nearly all of the score."""
    j = data.draw(st.integers(0, len(table.kinds) - 1), label="column")
    batch = table.rows(3, 1, 0.0)
    slot = table.layout.slots[j]
    batch.state[:, j], batch.values[:, slot.start : slot.stop] = NOVEL, 0
    plain = score_batch(table.scorer(kind), batch)
    calibration = Calibration.of(np.array([0.0, 1e6 * (1 + plain.score.max())]))
    scored = add_novelty_offset(plain, batch.state == NOVEL, novelty_offset_of(calibration))
    lifted = novelty_offset_of(calibration) * (batch.state == NOVEL)
    part, _ = attribute(table.scorer(kind), table.layout, batch, scored, lifted)
    assert (part[:, j] > 0.99 * scored.score).all()


@of_a_hundred(10)
@given(tables, score_kinds)
def test_a_part_is_what_the_score_loses_by_a_cell_as_expected(table: Table, kind: str) -> None:
    """Δ_j = s(x) − s(x with x_j as the others lead one to expect), that cell at its typical cost, and no longer odd."""
    batch, ensemble, surprisal = table.rows(2, 1, table.share_odd), table.ensemble, table.scales[kind]
    scored = score_batch(table.scorer(kind), batch)
    nothing = np.zeros(batch.state.shape)
    part, _ = attribute(table.scorer(kind), table.layout, batch, scored, nothing)
    without = np.empty(part.shape)
    for j, slot in enumerate(table.layout.slots):
        state, unknown = batch.state.copy(), np.zeros(batch.values.shape, bool)
        scores, cells, n_members = [], [], 0
        state[:, j], unknown[:, slot.start : slot.stop] = PRESENT, True
        for family in ensemble.families:
            filled = impute(
                family, family.likelihood.to_likelihood_space(batch.values, state), state, unknown, accelerated=True
            )
            nats, latent_terms = member_parts(family, filled, state, None, kind)
            columns, e = nats.astype(np.float64), len(family.held_out)
            columns[:, :, j] = surprisal.mean_column_score[n_members : n_members + e, [j]]
            scores += [columns.sum(-1) + latent for latent in latent_terms]
            cells.append(columns)
            n_members += e
        without[:, j], _ = surprisal.of_rows(np.concatenate(scores), np.concatenate(cells))
    for i in range(len(batch)):
        expected, _ = shares(scored.score[i] - without[i], float(scored.score[i]))
        np.testing.assert_allclose(part[i], expected, rtol=1e-3, atol=1e-3 * (1 + scored.score[i]))


@given(arrays(np.float64, st.integers(1, 8), elements=finite | st.just(np.nan)), st.floats(0, 1e6))
@example(decrease=np.array([0.0, 0.0]), score=3.0)
@example(decrease=np.array([5.0, 5.0]), score=0.0)
@example(decrease=np.array([2.0, 1.0]), score=8.0)
def test_shares_are_what_was_gained_as_long_as_there_is_enough(decrease: np.ndarray, score: float) -> None:
    """A column gets what the score loses by it; where all want more than there is, in proportion; never less than 0."""
    part, rest = shares(decrease, score)
    gain = np.clip(np.nan_to_num(decrease), 0, None)
    assert (part >= 0).all()
    assert (part <= gain).all()
    assert part.sum() + rest == pytest.approx(score, rel=1e-12, abs=1e-12)
    np.testing.assert_array_equal(part[~(decrease > 0)], 0)
    if gain.sum() <= score:
        np.testing.assert_array_equal(part, gain)
    else:
        np.testing.assert_allclose(part * gain.sum(), gain * score, rtol=1e-9, atol=1e-290)


@given(arrays(np.float64, st.integers(1, 200), elements=finite), st.randoms(use_true_random=False))
def test_candidates_are_the_most_extreme(column_score: np.ndarray, random: Any) -> None:
    """Up to 64 columns are tried, all where there are no more; unexpected cells first, then the highest scores."""
    unexpected = np.array([random.random() < 0.1 for _ in column_score])
    found = candidates(column_score, unexpected)
    assert found.size == min(column_score.size, MAX_CANDIDATES)
    assert (np.diff(found) > 0).all()
    left_out = np.setdiff1d(np.arange(column_score.size), found)
    if left_out.size and unexpected.sum() <= MAX_CANDIDATES:
        assert not unexpected[left_out].any()
        assert column_score[found][~unexpected[found]].min(initial=np.inf) >= column_score[left_out].max()


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_wide_table_is_explained_by_its_most_extreme_columns(kind: str) -> None:
    """Of 100 columns those that are not tried have no part, and a cell never seen is tried whatever its nats."""
    table = Table((Kind.NUMERIC,) * 100, (False,) * 100, 3, 0.0, seed=5)
    batch = table.batch
    batch.state[1, 70], batch.values[1, 70] = NOVEL, 0
    scored = score_batch(table.scorer(kind), batch)
    lifted = 1e6 * (batch.state == NOVEL)
    lifted_scores = add_novelty_offset(scored, batch.state == NOVEL, 1e6)
    part, rest = attribute(table.scorer(kind), table.layout, batch, lifted_scores, lifted)
    assert ((part > 0).sum(1) <= MAX_CANDIDATES).all()
    assert part[1].argmax() == 70
    np.testing.assert_allclose(part.sum(1) + rest, lifted_scores.score, rtol=1e-12)


# -- expectations ---------------------------------------------------------------------------------


@of_a_hundred(15)
@given(tables, st.integers(0, 1), st.integers(0, 2**32 - 1))
def test_filling_leaves_what_is_known_alone(table: Table, which: int, seed: int) -> None:
    """Known features come back to the bit in every member, and filled shares are shares that add up to 1."""
    family, batch = table.ensemble.families[which], table.batch
    unknown_cell = np.random.default_rng(seed).random(batch.state.shape) < 0.5
    unknown = np.zeros(batch.values.shape, bool)
    for j, slot in enumerate(table.layout.slots):
        unknown[:, slot.start : slot.stop] = unknown_cell[:, [j]]
    state = np.where(unknown_cell, PRESENT, batch.state).astype(np.uint8)
    seen = family.likelihood.to_likelihood_space(batch.values, state)
    filled = impute(family, seen, state, unknown)
    assert filled.shape == (len(family.held_out), *seen.shape)
    assert np.isfinite(filled).all()
    for member in filled:
        np.testing.assert_array_equal(member[~unknown], seen[~unknown])
    for j, slot in table.layout.of_kind(Kind.CATEGORICAL):
        shares_of_members = filled[:, unknown_cell[:, j], slot.start : slot.stop]
        assert (shares_of_members >= 0).all()
        np.testing.assert_allclose(shares_of_members.sum(-1), 1, rtol=1e-5)


@of_a_hundred(15)
@given(tables, st.data())
def test_what_is_possible_adds_up_to_one(table: Table, data: st.DataObject) -> None:
    """However many values are compared, and whatever intervals they stand for, their probabilities add up to 1."""
    j = data.draw(st.integers(0, len(table.kinds) - 1), label="column")
    slot, batch = table.layout.slots[j], table.batch
    if slot.kind is Kind.CATEGORICAL:
        values = np.eye(slot.stop - slot.start)
    elif slot.kind is Kind.BOOLEAN:
        values = np.arange(2.0)[:, None]
    else:
        values = np.array(data.draw(st.lists(st.floats(-5, 5), min_size=1, max_size=9), label="values"))[:, None]
    weight = np.array(data.draw(st.lists(st.floats(0.01, 9), min_size=len(values), max_size=len(values))))
    share = conditional_probability(table.ensemble.reference_family, table.layout, batch, 0, j, values, weight)
    assert share.shape == weight.shape
    assert (share >= 0).all()
    assert share.sum() == pytest.approx(1, rel=1e-9)


@of_a_hundred(10)
@given(tables)
def test_equal_readings_are_equally_probable(table: Table) -> None:
    """Of readings that do not differ the width of the interval alone decides."""
    family, batch = table.ensemble.reference_family, taken(table.batch, np.zeros(3, np.int64))
    share = conditional(family, batch.values, batch.state, np.array([1.0, 2.0, 5.0]))
    np.testing.assert_allclose(share, [0.125, 0.25, 0.625], rtol=1e-4)


# -- fitted tables --------------------------------------------------------------------------------


@of_a_hundred(3)
@given(
    flavours=st.lists(st.sampled_from(FLAVOURS), min_size=1, max_size=6),
    n=st.integers(8, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_fits_is_explained(flavours: list[str], n: int, seed: int) -> None:
    """Any row of any table of its like: parts that add up, and for each reason an expectation of its column's kind."""
    rng = np.random.default_rng(seed)
    table, fresh = (
        pd.DataFrame({f"{flavour} {j}": column(flavour, n, rng) for j, flavour in enumerate(flavours)})
        for _ in range(2)
    )
    table["turn"] = fresh["turn"] = np.arange(n) % 3  # a table of constants alone is refused, which is tested elsewhere
    detector = vaecli.fit(table, **SETTINGS).detector
    cells = cells_of(fresh, detector)
    for kind in SCORE_KINDS:
        decided = detector.score(cells, kind)
        found = detector.explain(cells, decided, kind, most=2)
        np.testing.assert_allclose(
            found.attribution.sum(1) + found.joint_part, decided.scored.score, rtol=1e-12, atol=1e-12
        )
        assert (found.attribution >= 0).all()
        told = ~np.isnan(found.expected)
        assert (told.sum(1) == np.minimum((found.attribution > 0).sum(1), 2)).all()
        for j, feature in enumerate(detector.schema.features):
            expected = found.expected[told[:, j], j]
            if feature.kind in (Kind.BOOLEAN, Kind.CATEGORICAL):
                assert np.isin(expected, np.arange(max(feature.n_categories, 2))).all()
                assert (found.probability[told[:, j], j] > 0).all()
            else:
                low, high = found.low[told[:, j], j], found.high[told[:, j], j]
                assert (low <= expected).all()
                assert (expected <= high).all()


def cells_of(frame: pd.DataFrame, detector: Any) -> Cells:
    (batch,) = frame_source(frame).batches()
    return to_cells(batch, detector.schema)


def assert_same_bits(found: Explanation, expected: Explanation, rows: np.ndarray) -> None:
    for name in Explanation.__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[rows], err_msg=name)


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_company_and_threads_change_no_bit(kind: str, model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """Parts, expectations and ranges of a row are the same alone, among others, in any order, and in any thread."""
    detector, table = model.detector, fresh_table[:24].copy()
    table.loc[3, "mode"], table.loc[5, "pressure"], table.loc[7, "flow"] = "turbo", np.nan, 900.0
    cells = cells_of(table, detector)
    decided = detector.score(cells, kind)
    whole = detector.explain(cells, decided, kind)

    def of(rows: np.ndarray) -> Explanation:
        return detector.explain(cells[rows], decided.take(rows), kind)

    order = np.random.default_rng(0).permutation(len(cells))
    assert_same_bits(of(order), whole, order)
    alone = [np.array([i]) for i in range(len(cells))]
    with ThreadPoolExecutor(4) as pool:
        for rows, found in zip(alone, pool.map(of, alone), strict=True):
            assert_same_bits(found, whole, rows)
