"""Laws of scoring over random tables and random networks, for every kind of score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.config import SCORE_KINDS
from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.preprocessor import FeatureBatch
from vaecli.data.training_rows import Rows
from vaecli.model import tiles
from vaecli.model.ensemble import Ensemble, Family, draw_noise
from vaecli.model.exemplar_prior import choose_exemplars
from vaecli.model.families import ScoreTerm
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import shapes
from vaecli.schema import Column, Kind, Layout
from vaecli.scoring import max_cell
from vaecli.scoring.max_cell import CellLimits, MaxCellScale
from vaecli.scoring.scores import ScoredBatch, Scorer, member_scores, score_batch, score_index
from vaecli.scoring.surprisal import SurprisalScale

HELD_OUT, N_LATENT, H = ((0, 1), (1,)), (3, 2), 5  # of two families
SCORE_TERMS = (tuple(ScoreTerm), (ScoreTerm.EXEMPLAR_DISTANCE,))
E = sum(map(len, HELD_OUT))
TILE = 16


@pytest.fixture(autouse=True, scope="module")
def _small_tiles() -> Iterator[None]:
    """Tiles of 16 rows, so that small tables have many; single cells at a price at which they decide in many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_ROWS", TILE)
        patch.setattr(max_cell, "MAX_CELL_PENALTY", -0.5)
        yield


@dataclass(frozen=True)
class Table:
    """Random kinds of columns, some with gaps in training, and random rows of any state."""

    kinds: tuple[Kind, ...]
    has_missing: tuple[bool, ...]
    n_rows: int
    share_odd: float  # cells that are missing or novel
    seed: int

    @property
    def layout(self) -> Layout:
        columns = [
            Column(f"x{j}", kind, categories=("u", "v", "w")[: 2 + j % 2] if kind is Kind.CATEGORICAL else ())
            for j, kind in enumerate(self.kinds)
        ]
        return Layout.of(columns)

    def rows(self, n: int, salt: int, share_odd: float) -> FeatureBatch:
        rng = np.random.default_rng([self.seed, salt])
        layout, c = self.layout, len(self.kinds)
        state = np.where(rng.random((n, c)) < share_odd, rng.choice([MISSING, NOVEL], (n, c)), PRESENT)
        values = np.zeros((n, layout.n_features))
        for j, slot in enumerate(layout.slots):
            width = slot.stop - slot.start
            if slot.kind is Kind.CATEGORICAL:
                block = np.eye(width)[rng.integers(width, size=n)]
            elif slot.kind is Kind.BOOLEAN:
                block = rng.integers(2, size=(n, 1)).astype(float)
            else:
                block = 2 * rng.standard_t(3, size=(n, 1))
            values[:, slot.start : slot.stop] = block * (state[:, [j]] == PRESENT)
        return FeatureBatch(values.astype(np.float32), state.astype(np.uint8), np.arange(n))

    @property
    def batch(self) -> FeatureBatch:
        return self.rows(self.n_rows, 1, self.share_odd)

    @cached_property
    def ensemble(self) -> Ensemble:
        return Ensemble((self.family(0), self.family(1)))

    @cached_property
    def scales(self) -> dict[str, SurprisalScale]:
        some, held_out = self.rows(40, 3, self.share_odd), np.ones((40, E), bool)
        scales = {}
        for kind in SCORE_KINDS:
            scores, columns = member_scores(self.ensemble, some, kind)
            max_cell = None
            if kind == "combined":
                limits = CellLimits.of(columns)
                max_cell = MaxCellScale.of(limits, limits.largest(columns, held_out.T).T, np.arange(E), held_out)
            index = score_index(self.ensemble, kind)
            scales[kind] = SurprisalScale.of(scores, *index, held_out, columns.mean(1), max_cell)
        return scales

    def scorer(self, kind: str) -> Scorer:
        return Scorer(self.ensemble, kind, self.scales[kind])

    def family(self, i: int) -> Family:
        """The first takes booleans as such, the second as numbers."""
        rng = np.random.default_rng([self.seed, i])
        values = np.sort(rng.normal(size=(self.kinds.count(Kind.BOOLEAN), 2)), 1)
        likelihood = Likelihood.of(self.layout, np.array(self.has_missing) * 3, 50, -3.0, values if i else None)
        parameters = {
            name: (0.5 * rng.normal(size=(len(HELD_OUT[i]), *shape))).astype(np.float32)
            for name, shape in shapes(self.layout.n_features, likelihood, N_LATENT[i], H).items()
        }
        some = self.rows(30, 2, 0.0)
        rows = Rows(some.values, some.state, np.arange(30) % 2)
        prior = choose_exemplars(likelihood, parameters, HELD_OUT[i], rows, n_exemplars=10, seed=0)
        noise = draw_noise(4, len(HELD_OUT[i]), N_LATENT[i], self.seed)
        return Family(likelihood, parameters, noise, replace(prior, row=None), HELD_OUT[i], SCORE_TERMS[i])


kinds = st.lists(st.sampled_from([kind for kind in Kind if kind is not Kind.TEXT]), min_size=1, max_size=6)
tables = kinds.flatmap(
    lambda some: st.builds(
        Table,
        kinds=st.just(tuple(some)),
        has_missing=st.tuples(*[st.booleans()] * len(some)),
        n_rows=st.integers(1, 3 * TILE),
        share_odd=st.sampled_from([0.0, 0.2]),
        seed=st.integers(0, 2**32 - 1),
    )
)
score_kinds = st.sampled_from(SCORE_KINDS)


def taken(batch: FeatureBatch, which: np.ndarray) -> FeatureBatch:
    return FeatureBatch(batch.values[which], batch.state[which], batch.row[which])


def taken_scores(scored: ScoredBatch, which: np.ndarray) -> ScoredBatch:
    return ScoredBatch(scored.row[which], scored.score[which], scored.column_score[which], scored.latent_score[which])


def assert_close(found: ScoredBatch, expected: ScoredBatch) -> None:
    """To float32: columns to 1e-5 of all that was added up, as a score may be near 0.

    A surprise changes by up to 10 for a nat of a score, so its rounding may: 1e-4.
    """
    size = 1 + np.abs(expected.column_score).sum(1) + np.abs(expected.latent_score)
    assert (np.abs(found.score - expected.score) <= 1e-4 * size).all()
    assert (np.abs(found.latent_score - expected.latent_score) <= 1e-4 * size).all()
    assert (np.abs(found.column_score - expected.column_score).max(1) <= 1e-5 * size).all()


def test_single_cells_decide_in_these_tables() -> None:
    """The laws below hold for `combined` on rows of both kinds: whole rows decide, and single cells."""
    table = Table(tuple(kind for kind in Kind if kind is not Kind.TEXT), (True,) * 4, 3 * TILE, 0.2, 0)
    scores, _ = member_scores(table.ensemble, table.batch, "combined")
    more = score_batch(table.scorer("combined"), table.batch).score - table.scales["combined"].of_members(
        scores.T
    ).mean(0)
    assert 0.1 < (more > 1e-6).mean() < 0.9


@of_a_hundred(20)
@given(tables, score_kinds)
def test_the_parts_add_up_to_the_score(table: Table, kind: str) -> None:
    """score = Σ_j column_score_j + latent_score, all finite, for every row and kind."""
    found = score_batch(table.scorer(kind), table.batch)
    assert found.column_score.shape == (table.n_rows, len(table.kinds))
    assert found.score.dtype == found.column_score.dtype == found.latent_score.dtype == np.float64
    assert np.isfinite(found.score).all()
    np.testing.assert_allclose(found.column_score.sum(1) + found.latent_score, found.score, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.row, table.batch.row)


@of_a_hundred(15)
@given(tables, score_kinds)
def test_numpy_and_torch_agree(table: Table, kind: str) -> None:
    """The torch road gives the same parts to 1e-5."""
    pytest.importorskip("torch")
    scorer = table.scorer(kind)
    on_torch = replace(scorer, ensemble=scorer.ensemble.on("cpu"))
    assert_close(score_batch(on_torch, table.batch), score_batch(scorer, table.batch))


@of_a_hundred(15)
@given(tables, score_kinds, st.lists(st.integers(1, 3 * TILE)))
def test_where_batches_are_cut_changes_no_bit(table: Table, kind: str, cuts: list[int]) -> None:
    """Consecutive batches of any sizes give the very scores that one batch gives."""
    scorer, batch = table.scorer(kind), table.batch
    whole = score_batch(scorer, batch)
    bounds = sorted({0, table.n_rows, *(cut for cut in cuts if cut < table.n_rows)})
    parts = [score_batch(scorer, taken(batch, np.arange(i, j))) for i, j in pairwise(bounds)]
    np.testing.assert_array_equal(np.concatenate([part.score for part in parts]), whole.score)
    np.testing.assert_array_equal(np.concatenate([part.column_score for part in parts]), whole.column_score)


@of_a_hundred(15)
@given(tables, score_kinds, st.integers(0, 2**32 - 1))
def test_neighbours_and_order_do_not_matter(table: Table, kind: str, seed: int) -> None:
    """A row has the same score in any order and company, to 1e-5."""
    scorer, batch = table.scorer(kind), table.batch
    rng = np.random.default_rng(seed)
    order = rng.permutation(table.n_rows)[: 1 + rng.integers(table.n_rows)]
    whole = score_batch(scorer, batch)
    assert_close(score_batch(scorer, taken(batch, order)), taken_scores(whole, order))


@of_a_hundred(10)
@given(tables, score_kinds)
def test_the_ensemble_scores_the_mean_of_its_members_surprisals(table: Table, kind: str) -> None:
    """A row's score is the mean of the members' surprisals, and a column's part the mean of its parts.

    Or, in `combined`, the surprisal of the most extreme cell alone where it is larger by its price.
    """
    scores, columns = member_scores(table.ensemble, table.batch, kind)
    assert scores.shape == (table.n_rows, E + 2 * len(HELD_OUT[0]) * (kind == "combined"))
    assert columns.shape == (E, table.n_rows, len(table.kinds))
    surprisal, whole = table.scales[kind], score_batch(table.scorer(kind), table.batch)
    expected, parts = surprisal.of_members(scores.T).mean(0), surprisal.of_columns(columns)
    if surprisal.max_cell is not None:
        alone = (
            surprisal.max_cell.of_members(surprisal.max_cell.largest(columns)[0]).mean(0) - max_cell.MAX_CELL_PENALTY
        )
        more, expected = np.maximum(alone - expected, 0), np.maximum(expected, alone)
        np.testing.assert_allclose(whole.column_score.sum(1), parts.sum(1) + more, rtol=1e-9, atol=1e-9)
        assert (whole.column_score >= parts - 1e-9).all()
        parts, whole = parts[more == 0], taken_scores(whole, more == 0)
        expected = expected[more == 0]
    np.testing.assert_allclose(expected, whole.score, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parts, whole.column_score, rtol=1e-9, atol=1e-9)
    assert (whole.score >= 0).all()


@of_a_hundred(10)
@given(tables, score_kinds)
def test_no_family_disturbs_another(table: Table, kind: str) -> None:
    """A family's members score the same beside another family as alone."""
    ensemble, batch = table.ensemble, table.batch
    together, columns = member_scores(ensemble, batch, kind)
    alone = [member_scores(Ensemble((some,)), batch, kind) for some in ensemble.families]
    np.testing.assert_array_equal(together, np.concatenate([scores for scores, _ in alone], 1))
    np.testing.assert_array_equal(columns, np.concatenate([own for _, own in alone]))
