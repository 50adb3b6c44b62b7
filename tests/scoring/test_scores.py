"""Noise, exemplars, tiles and the kinds of scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from vaecli.config import SCORE_KINDS
from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.preprocessor import FeatureBatch
from vaecli.data.training_rows import Rows
from vaecli.model.ensemble import Ensemble, Family, draw_noise
from vaecli.model.exemplar_prior import ExemplarPrior, choose_exemplars, nearest_exemplar_distance
from vaecli.model.families import ScoreTerm
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import elbo, encoder_inputs, forward, posterior
from vaecli.model.ppca_init import start_parameters
from vaecli.model.tiles import TILE_ROWS
from vaecli.schema import Column, Kind, Layout
from vaecli.scoring import scores as module
from vaecli.scoring.scores import (
    KINDS_OF_BOUND,
    ScoredBatch,
    Scorer,
    bound_scores,
    member_scores,
    score_batch,
    score_index,
)
from vaecli.scoring.surprisal import SurprisalScale

N, D = 90, 4
FOLDS = ((0, 1, 2), (2, 0))  # that the members of each family hold out
SCORE_TERMS = (tuple(ScoreTerm), (ScoreTerm.EXEMPLAR_DISTANCE,))
E = sum(map(len, FOLDS))
LATENT = (2, 3)
LIKELIHOOD = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(D)]), np.zeros(D), N, -3.0)


def table(n: int = N, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, D)) + 0.3 * rng.normal(size=(n, D))
    return Rows(values.astype(np.float32), np.zeros((n, D), np.uint8), np.arange(n) % 3)


def batch(rows: Rows) -> FeatureBatch:
    return FeatureBatch(rows.values, rows.state, np.arange(len(rows.fold)))


def family(i: int) -> Family:
    """One of two families: other folds, shapes, and one of them with one variance a column."""
    parameters = start_parameters(
        table(), LIKELIHOOD, held_out=FOLDS[i], n_latent=LATENT[i], n_hidden=6, homoscedastic=i == 1, seed=i
    )
    prior = choose_exemplars(LIKELIHOOD, parameters, FOLDS[i], table(), n_exemplars=20, seed=0)
    return Family(LIKELIHOOD, parameters, draw_noise(4, len(FOLDS[i]), LATENT[i], 0), prior, FOLDS[i], SCORE_TERMS[i])


NUMBERED = Ensemble((family(0), family(1)))  # its exemplar priors have row numbers
ENSEMBLE = NUMBERED.without_row_numbers()


def surprise_of(kind: str) -> SurprisalScale:
    """The scale of all members, from the rows that each has not seen."""
    rows = table(600, seed=5)
    scores, columns = member_scores(ENSEMBLE, batch(rows), kind)
    held_out = rows.fold[:, None] == np.concatenate(FOLDS)
    return SurprisalScale.of(scores, *score_index(ENSEMBLE, kind), held_out, columns.mean(1))


SCALES = {kind: surprise_of(kind) for kind in SCORE_KINDS}


def scored(ensemble: Ensemble, rows: FeatureBatch, kind: str) -> ScoredBatch:
    return score_batch(Scorer(ensemble, kind, SCALES[kind]), rows)


@pytest.fixture
def ensemble() -> Ensemble:
    return ENSEMBLE


# ------------------------------------------------------------------------------------------ noise


@pytest.mark.parametrize(("n_noise", "drawn"), [(1, 2), (2, 2), (3, 4), (4, 4), (16, 16)])
def test_noise_comes_in_antithetic_pairs(n_noise: int, drawn: int) -> None:
    """Each draw has its mirror image, so that the mean over the draws is zero."""
    noise = draw_noise(n_noise, 5, 8, seed=1)
    assert noise.shape == (drawn, 5, 1, 8)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise[: drawn // 2], -noise[drawn // 2 :])


def test_noise_is_standard_normal_and_seeded() -> None:
    """Draws have variance 1, differ between members, and are a function of the seed."""
    noise = draw_noise(64, 5, 8, seed=1)
    assert noise.var() == pytest.approx(1, abs=0.1)
    assert (noise[:, 0] != noise[:, 1]).all()
    np.testing.assert_array_equal(noise, draw_noise(64, 5, 8, seed=1))
    assert (noise != draw_noise(64, 5, 8, seed=2)).any()


# ------------------------------------------------------------------------------------------ exemplars


@pytest.mark.parametrize("some", NUMBERED.families)
def test_exemplars_are_codes_of_rows_the_member_learned(some: Family) -> None:
    """A member's exemplars are rows outside the fold it holds out, distinct, and exactly the codes it gives them."""
    assert some.exemplar_prior.row is not None
    assert some.exemplar_prior.row.shape == (len(some.held_out), 1, 20)
    for k, fold in enumerate(some.held_out):
        row = some.exemplar_prior.row[k, 0]
        assert np.unique(row).size == 20
        assert (table().fold[row] != fold).all()
        inputs = encoder_inputs(table().values[row], None, LIKELIHOOD.has_missing)
        mean, log_variance = posterior(some.parameters, inputs)
        expected = ExemplarPrior.of(mean[[k]], log_variance[[k]])
        for name, value in expected.to_arrays().items():
            np.testing.assert_allclose(some.exemplar_prior.to_arrays()[name][k], value[0], rtol=1e-4, atol=1e-4)


def test_exemplars_are_seen_as_the_likelihood_sees_them() -> None:
    """Where booleans are taken as numbers, the exemplars' codes are those of the rows so viewed."""
    columns = [Column("x", Kind.NUMERIC), Column("b", Kind.BOOLEAN), Column("s", Kind.BOOLEAN)]
    viewing = Likelihood.of(Layout.of(columns), np.zeros(3), N, -3.0, np.array([[-0.5, 2.0], [-3.0, 0.3]]))
    rng = np.random.default_rng(0)
    values = np.hstack([rng.normal(size=(N, 1)), rng.integers(2, size=(N, 2))]).astype(np.float32)
    rows = Rows(values, np.zeros((N, 3), np.uint8), np.arange(N) % 3)
    parameters = start_parameters(rows, viewing, held_out=(0,), n_latent=2, n_hidden=6, homoscedastic=True, seed=0)
    prior = choose_exemplars(viewing, parameters, (0,), rows, n_exemplars=25, seed=0)
    passed = forward(parameters, viewing, values, None, np.zeros((1, 1, 1, 2), np.float32))
    assert prior.row is not None
    at_home = nearest_exemplar_distance(passed.mean[:, prior.row[0, 0]], prior)
    np.testing.assert_allclose(at_home, 0, atol=1e-3)


def test_no_more_exemplars_than_the_smallest_member_has() -> None:
    """Where rows are few, every member gets as many as the one that learned from the fewest."""
    rows = table()._replace(fold=np.repeat([0, 1, 2], [60, 20, 10]))
    found = choose_exemplars(LIKELIHOOD, NUMBERED.families[0].parameters, FOLDS[0], rows, n_exemplars=1000, seed=0)
    assert found.codes.shape == (3, 30, LATENT[0])
    second = choose_exemplars(LIKELIHOOD, NUMBERED.families[1].parameters, (1, 2), rows, n_exemplars=1000, seed=0)
    assert second.codes.shape == (2, 70, LATENT[1])


def test_a_training_row_is_not_compared_with_itself() -> None:
    """While priors have row numbers, an exemplar is scored as if it were not one."""
    aware, blind = (member_scores(some, batch(table()), "latent")[0] for some in (NUMBERED, ENSEMBLE))
    codes = [some.exemplar_prior.row for some in NUMBERED.families if some.exemplar_prior.row is not None]
    is_own = np.stack([np.isin(np.arange(N), numbers[0]) for rows in codes for numbers in rows], 1)
    assert is_own.any(0).all()
    assert (aware[is_own] > blind[is_own]).all()
    np.testing.assert_allclose(blind[is_own], 0, atol=1e-3)
    np.testing.assert_allclose(aware[~is_own], blind[~is_own], rtol=1e-5)


# ------------------------------------------------------------------------------------------ scores


def test_scores_are_numbered_family_after_family_and_sort_after_sort() -> None:
    """Of `combined` members give as many scores as their family has latent parts, of any other kind one each."""
    for kind in SCORE_KINDS:
        member, score_type = score_index(ENSEMBLE, kind)
        if kind == "combined":
            assert member.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4]
            assert score_type.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
        else:
            assert member.tolist() == [0, 1, 2, 3, 4]
            assert score_type.tolist() == [0, 0, 0, 1, 1]


def expected_scores(some: Family, rows: Rows, kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Column parts (e, n, c) and the latent part (e, n) of each sort of score, as the module's table has them."""
    bound = elbo(forward(some.parameters, LIKELIHOOD, rows.values, None, some.noise))
    at_mean = forward(some.parameters, LIKELIHOOD, rows.values, None, 0 * some.noise[:1])
    nearest = nearest_exemplar_distance(at_mean.mean, some.exemplar_prior)
    match kind:
        case "reconstruction":
            return -bound.column_log_prob, [0 * bound.kl]
        case "elbo":
            return -bound.column_log_prob, [bound.kl]
        case "latent":
            return 0 * at_mean.log_prob[0], [nearest]
        case _:
            added = {
                ScoreTerm.NOTHING: 0 * nearest,
                ScoreTerm.EXEMPLAR_DISTANCE: nearest,
                ScoreTerm.EXEMPLAR_DISTANCE_AND_KL: nearest + bound.kl,
            }
            return -at_mean.log_prob[0], [added[term] for term in some.score_terms]


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_the_kinds_are_what_they_are_named(kind: str) -> None:
    """The members' scores and column parts are those of the module's table."""
    rows = table(40, seed=1)
    scores, columns = member_scores(ENSEMBLE, batch(rows), kind)
    expected = [expected_scores(some, rows, kind) for some in ENSEMBLE.families]
    nats = [column.sum(-1) + latent for column, score_terms in expected for latent in score_terms]
    assert columns.shape == (E, 40, D)
    np.testing.assert_allclose(columns, np.concatenate([column for column, _ in expected]), rtol=1e-4, atol=1e-4)
    assert scores.shape == (40, len(score_index(ENSEMBLE, kind)[0]))
    np.testing.assert_allclose(scores.T, np.concatenate(nats), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_the_score_is_the_mean_of_the_members_surprisals(ensemble: Ensemble, kind: str) -> None:
    """Each member's nats go through its own scales, then members are averaged, and so are their column parts."""
    rows, surprisal = batch(table(300, seed=1)), SCALES[kind]
    nats, columns = member_scores(ensemble, rows, kind)
    found = scored(ensemble, rows, kind)
    np.testing.assert_allclose(found.score, surprisal.of_members(nats.T).mean(0), rtol=1e-9)
    np.testing.assert_allclose(found.column_score, surprisal.of_columns(columns), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.column_score.sum(1) + found.latent_score, found.score, rtol=1e-12, atol=1e-12)


def test_a_score_without_columns_is_all_latent(ensemble: Ensemble) -> None:
    """`latent` compares codes only: no column is responsible, the latent part is the score."""
    found = scored(ensemble, batch(table(50, seed=1)), "latent")
    np.testing.assert_array_equal(found.column_score, 0)
    np.testing.assert_array_equal(found.latent_score, found.score)


@pytest.mark.parametrize("kind", ["combined", "latent"])
def test_scores_at_the_mean_code_need_no_noise(ensemble: Ensemble, kind: str) -> None:
    """`combined` and `latent` are no Monte Carlo estimates: other draws, however many, change no bit."""
    rows = batch(table(50, seed=1))
    others = tuple(
        replace(some, noise=draw_noise(2, len(some.held_out), some.noise.shape[-1], 7)) for some in ensemble.families
    )
    found = scored(Ensemble(others), rows, kind)
    np.testing.assert_array_equal(found.score, scored(ensemble, rows, kind).score)


def test_an_ensemble_counts_its_members(ensemble: Ensemble) -> None:
    """Members are numbered family after family, with the folds they hold out."""
    assert ensemble.n_members == E
    np.testing.assert_array_equal(ensemble.held_out, [0, 1, 2, 2, 0])


def test_on_a_device_everything_is_a_tensor(ensemble: Ensemble) -> None:
    """Parameters, noise and codes of every family move; nothing of the original does."""
    moved = ensemble.on("cpu")
    for some in moved.families:
        arrays = [*some.parameters.values(), some.noise, some.exemplar_prior.codes, some.exemplar_prior.augmented_codes]
        assert all(
            isinstance(array, torch.Tensor)
            for array in [*arrays, some.exemplar_prior.center, some.exemplar_prior.scale]
        )
    assert all(isinstance(some.noise, np.ndarray) for some in ensemble.families)


def shifted(ensemble: Ensemble, kind: str) -> np.ndarray:
    """Scores (4, 30) of ordinary rows, and with one reading moved ever further off."""
    rows = table(30, seed=1)
    scores = []
    for shift in (0, 8, 16, 64):
        values = rows.values.copy()
        values[:, 2] += shift
        scores.append(scored(ensemble, batch(rows._replace(values=values)), kind).score)
    return np.array(scores)


@pytest.mark.parametrize("kind", [kind for kind in SCORE_KINDS if kind != "latent"])
def test_higher_is_more_anomalous(ensemble: Ensemble, kind: str) -> None:
    """A reading moved far off makes its row more anomalous, and further off more anomalous still."""
    assert (np.diff(shifted(ensemble, kind), axis=0) > 0).all()


def test_higher_is_more_anomalous_in_the_latent_space(ensemble: Ensemble) -> None:
    """A reading moved far off takes its row's code away from all exemplars; on the way there on average."""
    scores = shifted(ensemble, "latent")
    assert (scores[-1] > scores[0]).all()
    assert (np.diff(scores.mean(1)) > 0).all()


@pytest.mark.parametrize("kind", [kind for kind in SCORE_KINDS if kind != "latent"])  # which has no columns
@pytest.mark.parametrize("state", [MISSING, NOVEL])
def test_unexpected_cells_raise_the_score(ensemble: Ensemble, kind: str, state: int) -> None:
    """A missing or novel cell where training had neither raises the score of an ordinary row through its column."""
    rows = table(30, seed=1)
    ordinary = scored(ensemble, batch(rows), kind)
    values, states = rows.values.copy(), rows.state.copy()
    values[:, 1], states[:, 1] = 0, state
    found = scored(ensemble, batch(rows._replace(values=values, state=states)), kind)
    assert (found.score > ordinary.score).mean() > 0.95
    assert (found.column_score[:, 1] > ordinary.column_score[:, 1]).mean() > 0.95


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_no_rows_have_no_scores(ensemble: Ensemble, kind: str) -> None:
    """A batch without rows gives empty arrays of the right shapes."""
    found = scored(ensemble, batch(table(0)), kind)
    assert found.score.shape == found.latent_score.shape == (0,)
    assert found.column_score.shape == (0, D)
    scores, columns = member_scores(ensemble, batch(table(0)), kind)
    assert scores.shape == (0, len(score_index(ensemble, kind)[0]))
    assert columns.shape == (E, 0, D)


def test_an_unknown_kind_is_refused(ensemble: Ensemble) -> None:
    """A kind of score that does not exist is named."""
    with pytest.raises(ValueError, match="'guess'"):
        member_scores(ensemble, batch(table()), "guess")


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_where_batches_are_cut_changes_no_bit(ensemble: Ensemble, kind: str) -> None:
    """A row has its place in a tile by its number: batches cut anywhere give the same scores to the last bit."""
    rows = batch(table(2 * TILE_ROWS + 50, seed=2))
    whole = scored(ensemble, rows, kind)
    for cuts in ([1], [TILE_ROWS], [100, 101, TILE_ROWS + 7], [TILE_ROWS - 1, 2 * TILE_ROWS + 1]):
        bounds = [0, *cuts, len(rows)]
        parts = [
            scored(ensemble, FeatureBatch(rows.values[i:j], rows.state[i:j], rows.row[i:j]), kind)
            for i, j in pairwise(bounds)
        ]
        np.testing.assert_array_equal(np.concatenate([part.score for part in parts]), whole.score)
        np.testing.assert_array_equal(np.concatenate([part.column_score for part in parts]), whole.column_score)


@pytest.mark.parametrize("kind", SCORE_KINDS)
@pytest.mark.parametrize("n_bytes", [1, 200_000, 2**30], ids=["one by one", "a few", "eight"])
def test_how_many_tiles_are_computed_at_once_changes_no_bit(kind, n_bytes, monkeypatch) -> None:
    """With cells of every state, from the middle of a tile on: as one tile after the other."""
    rows = table(10 * TILE_ROWS + 70, seed=7)
    rng = np.random.default_rng(7)
    states = rng.choice([PRESENT, MISSING, NOVEL], rows.state.shape, p=[0.98, 0.01, 0.01]).astype(np.uint8)
    whole = FeatureBatch(np.where(states == PRESENT, rows.values, 0), states, np.arange(len(states)) + 300)
    monkeypatch.setattr(module, "_LAYER_BYTES", n_bytes)
    monkeypatch.setattr(module, "_JUDGED_BYTES", n_bytes)
    found = scored(ENSEMBLE, whole, kind)
    for start in range(0, len(states), 4 * TILE_ROWS - 300):
        part = slice(start, start + 4 * TILE_ROWS - 300)
        alone = scored(ENSEMBLE, FeatureBatch(whole.values[part], states[part], whole.row[part]), kind)
        np.testing.assert_array_equal(alone.score, found.score[part])
        np.testing.assert_array_equal(alone.column_score, found.column_score[part])


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_row_alone_scores_as_in_company(ensemble: Ensemble, kind: str) -> None:
    """One row by itself gets the score that it gets among a thousand, to 1e-5."""
    rows = table(1000, seed=3)
    whole = scored(ensemble, batch(rows), kind).score
    for i in (0, 1, 511, 512, 999):
        alone = scored(ensemble, batch(rows.take(np.array([i]))), kind).score[0]
        assert alone == pytest.approx(whole[i], rel=1e-5, abs=1e-5)


def test_both_kinds_of_a_bound_come_from_one_computation() -> None:
    """What is computed for both kinds together is, to the bit, what each gives alone."""
    rows = batch(table(2 * TILE_ROWS + 3))
    scores, nats = bound_scores(ENSEMBLE, rows)
    for kind, of_kind in zip(KINDS_OF_BOUND, scores, strict=True):
        alone, alone_nats = member_scores(ENSEMBLE, rows, kind)
        np.testing.assert_array_equal(of_kind, alone)
        np.testing.assert_array_equal(nats, alone_nats)
