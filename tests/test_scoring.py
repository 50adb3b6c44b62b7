"""Noise, exemplars, tiles and the kinds of scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vaecli import scoring
from vaecli.cells import MISSING, NOVEL
from vaecli.config import SCORE_KINDS
from vaecli.exemplars import choose_exemplars
from vaecli.features import Rows
from vaecli.initial import start_parameters
from vaecli.likelihoods import Likelihood
from vaecli.network import Exemplars, elbo, encoder_inputs, forward, posterior
from vaecli.preprocess import FeatureBatch
from vaecli.schema import Column, Kind, Layout
from vaecli.scoring import TILE_ROWS, Ensemble, draw_noise, member_scores, score_batch

E, K, N = 3, 2, 90
LIKELIHOOD = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(4)]), np.zeros(4), N, -3.0)


def table(n: int = N, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, 4)) + 0.3 * rng.normal(size=(n, 4))
    return Rows(values.astype(np.float32), np.zeros((n, 4), np.uint8), np.arange(n) % E)


def batch(rows: Rows) -> FeatureBatch:
    return FeatureBatch(rows.values, rows.state, np.arange(len(rows.fold)))


PARAMETERS = start_parameters(table(), LIKELIHOOD, n_members=E, n_latent=K, n_hidden=6, seed=0)
EXEMPLARS = choose_exemplars(LIKELIHOOD, PARAMETERS, table(), n_exemplars=20, seed=0)


@pytest.fixture
def ensemble() -> Ensemble:
    return Ensemble(LIKELIHOOD, PARAMETERS, draw_noise(4, E, K, 0), replace(EXEMPLARS, row=None))


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


def test_exemplars_are_posteriors_of_rows_the_member_learned() -> None:
    """Member k's exemplars are rows of other folds, distinct, and exactly the posteriors it gives them."""
    assert EXEMPLARS.row is not None
    assert EXEMPLARS.row.shape == (E, 1, 20)
    for k in range(E):
        row = EXEMPLARS.row[k, 0]
        assert np.unique(row).size == 20
        assert (table().fold[row] != k).all()
        inputs = encoder_inputs(table().values[row], None, LIKELIHOOD.gappy)
        mean, log_variance = posterior(PARAMETERS, inputs)
        expected = Exemplars.of(mean[[k]], log_variance[[k]])
        np.testing.assert_allclose(EXEMPLARS.weight[k], expected.weight[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(EXEMPLARS.offset[k], expected.offset[0], rtol=1e-4, atol=1e-4)


def test_no_more_exemplars_than_the_smallest_member_has() -> None:
    """Where rows are few, every member gets as many as the one that learned from the fewest."""
    rows = table()._replace(fold=np.repeat([0, 1, 2], [60, 20, 10]))
    found = choose_exemplars(LIKELIHOOD, PARAMETERS, rows, n_exemplars=1000, seed=0)
    assert found.offset.shape == (E, 1, 30)


def test_a_training_row_is_not_compared_with_itself(ensemble: Ensemble) -> None:
    """While exemplars know their rows, a row that is one scores as odd as if it were none."""
    known = Ensemble(LIKELIHOOD, PARAMETERS, ensemble.noise, EXEMPLARS)
    aware, blind = (member_scores(some, batch(table()), "exemplar") for some in (known, ensemble))
    assert EXEMPLARS.row is not None
    is_own = np.stack([np.isin(np.arange(N), EXEMPLARS.row[k, 0]) for k in range(E)], 1)
    assert (aware[is_own] > blind[is_own]).all()
    np.testing.assert_allclose(aware[~is_own], blind[~is_own], rtol=1e-5)


# ------------------------------------------------------------------------------------------ scores


def test_the_kinds_are_what_they_say(ensemble: Ensemble) -> None:
    """`reconstruction` is −E[log p(x|z)], `elbo` adds the KL; both are means over members."""
    rows = table(40, seed=1)
    bound = elbo(forward(PARAMETERS, LIKELIHOOD, rows.values, None, ensemble.noise))
    reconstruction, whole = (score_batch(ensemble, batch(rows), kind) for kind in ("reconstruction", "elbo"))
    np.testing.assert_allclose(reconstruction.score, -bound.column_log_prob.mean(0).sum(-1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole.score, -bound.value.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole.latent_score, bound.kl.mean(0), rtol=1e-4)
    assert (reconstruction.latent_score == 0).all()
    np.testing.assert_array_equal(whole.column_score, reconstruction.column_score)


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_higher_is_odder(ensemble: Ensemble, kind: str) -> None:
    """A reading moved far off makes its row odder, and further off odder still."""
    rows = table(30, seed=1)
    scores = []
    for shift in (0, 8, 16, 64):
        values = rows.values.copy()
        values[:, 2] += shift
        scores.append(score_batch(ensemble, batch(rows._replace(values=values)), kind).score)
    assert (np.diff(scores, axis=0) > 0).all()


@pytest.mark.parametrize("kind", SCORE_KINDS)
@pytest.mark.parametrize("state", [MISSING, NOVEL])
def test_unexpected_cells_make_a_row_odder(ensemble: Ensemble, kind: str, state: int) -> None:
    """A missing or novel cell where training had neither makes an ordinary row odder, and its column is to blame."""
    rows = table(30, seed=1)
    ordinary = score_batch(ensemble, batch(rows), kind)
    values, states = rows.values.copy(), rows.state.copy()
    values[:, 1], states[:, 1] = 0, state
    found = score_batch(ensemble, batch(rows._replace(values=values, state=states)), kind)
    assert (found.score > ordinary.score).mean() > 0.95
    assert (found.column_score[:, 1] > ordinary.column_score[:, 1]).mean() > 0.95


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_no_rows_have_no_scores(ensemble: Ensemble, kind: str) -> None:
    """A batch without rows gives empty arrays of the right shapes."""
    found = score_batch(ensemble, batch(table(0)), kind)
    assert found.score.shape == found.latent_score.shape == (0,)
    assert found.column_score.shape == (0, 4)
    assert member_scores(ensemble, batch(table(0)), kind).shape == (0, E)


def test_an_unknown_kind_is_refused(ensemble: Ensemble) -> None:
    """A kind of score that does not exist is named."""
    with pytest.raises(ValueError, match="'guess'"):
        score_batch(ensemble, batch(table()), "guess")


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_threads_change_no_bit(ensemble: Ensemble, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cores share the tiles, the scores are the same to the last bit."""
    rows = batch(table(3 * TILE_ROWS + 50, seed=2))
    found = []
    for cores in (1, 2, 4):
        monkeypatch.setattr(scoring, "n_cores", lambda cores=cores: cores)
        found.append(score_batch(ensemble, rows, kind).score)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_row_alone_scores_as_in_company(ensemble: Ensemble, kind: str) -> None:
    """One row by itself gets the score that it gets among a thousand, to 1e-5."""
    rows = table(1000, seed=3)
    whole = score_batch(ensemble, batch(rows), kind).score
    for i in (0, 1, 511, 512, 999):
        alone = score_batch(ensemble, batch(rows.take(np.array([i]))), kind).score[0]
        assert alone == pytest.approx(whole[i], rel=1e-5, abs=1e-5)
