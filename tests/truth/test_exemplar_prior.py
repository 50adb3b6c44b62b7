"""The distance of a code to the nearest exemplar's: against brute force, and the density it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from vaecli.model.exemplar_prior import ExemplarPrior, LeftOut, nearest_exemplar_distance

E, K = 2, 3
seeds = st.integers(0, 2**32 - 1)


def posteriors(rng: np.random.Generator, n: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Means and log-variances (e, n, k), float32."""
    means, log_variances = spread * rng.normal(size=(E, n, K)), rng.normal(size=(E, n, K)) - 1
    return means.astype(np.float32), log_variances.astype(np.float32)


def precision(log_variance: np.ndarray) -> np.ndarray:
    """Λ̄ (e, k), the mean precision over rows, float64."""
    return np.exp(-log_variance.astype(np.float64)).mean(1)


def distances(mean: np.ndarray, means: np.ndarray, log_variances: np.ndarray) -> np.ndarray:
    """½ (μ − μ_i)ᵀ Λ̄ (μ − μ_i) of every code and exemplar, the plain way: (e, n, N) float64."""
    apart = mean.astype(np.float64)[:, :, None] - means.astype(np.float64)[:, None]
    return 0.5 * (apart**2 * precision(log_variances)[:, None, None]).sum(-1)


def rounding(mean: np.ndarray, means: np.ndarray, log_variances: np.ndarray) -> np.ndarray:
    """What float32 may lose of the distance (e, 1): a millionth of the largest squared norm that cancels in it."""
    everything = np.concatenate([mean, means], 1).astype(np.float64) - means.astype(np.float64).mean(1, keepdims=True)
    return 2e-6 * (everything**2 * precision(log_variances)[:, None]).sum(-1).max(1)[:, None] + 1e-6


@given(seeds, st.integers(1, 30), st.sampled_from([0.01, 1.0, 30.0]))
def test_it_is_the_nearest_mahalanobis_distance(seed: int, n_codes: int, spread: float) -> None:
    """For every member half the squared distance to the nearest code, in units of the mean posterior precision."""
    rng = np.random.default_rng(seed)
    (mean, _), (means, log_variances) = posteriors(rng, 6, spread), posteriors(rng, n_codes, spread)
    expected = distances(mean, means, log_variances).min(-1)
    found = nearest_exemplar_distance(mean, ExemplarPrior.of(means, log_variances))
    assert found.shape == (E, 6)
    assert found.dtype == np.float32
    assert (np.abs(found - expected) <= rounding(mean, means, log_variances) + 1e-5 * expected).all()


def test_blocks_of_rows_and_codes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However rows and codes are cut into blocks, and whatever is left over, every row finds its nearest code."""
    rng = np.random.default_rng(3)
    (mean, _), (means, log_variances) = posteriors(rng, 50), posteriors(rng, 70)
    codes = ExemplarPrior.of(means, log_variances)
    whole = nearest_exemplar_distance(mean, codes)
    monkeypatch.setattr("vaecli.model.exemplar_prior.BLOCK_ROWS", 16)
    monkeypatch.setattr("vaecli.model.exemplar_prior.BLOCK_CODES", 32)
    np.testing.assert_allclose(nearest_exemplar_distance(mean, codes), whole, rtol=1e-6)


@given(seeds)
def test_a_training_code_is_at_no_distance(seed: int) -> None:
    """The code of an exemplar is at distance 0 of itself, never below."""
    rng = np.random.default_rng(seed)
    means, log_variances = posteriors(rng, 20)
    found = nearest_exemplar_distance(means, ExemplarPrior.of(means, log_variances))
    assert (found >= 0).all()
    assert (found <= rounding(means, means, log_variances)).all()


@given(seeds)
def test_a_rows_own_code_is_left_out(seed: int) -> None:
    """With row numbers, a row is compared with the other rows' codes only; a row that is no exemplar with all."""
    rng = np.random.default_rng(seed)
    means, log_variances = posteriors(rng, 8)
    number = np.stack([rng.permutation(12)[:8] for _ in range(E)])  # another choice of rows for each member
    rows = np.arange(12)
    mean, _ = posteriors(rng, 12)
    for k in range(E):
        mean[k, number[k]] = means[k]
    each = distances(mean, means, log_variances)
    expected = np.where(number[:, None, :] == rows[:, None], np.inf, each).min(-1)
    found = nearest_exemplar_distance(mean, ExemplarPrior.of(means, log_variances, number), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=rounding(mean, means, log_variances).max())


def test_row_numbers_mean_nothing_to_codes_without() -> None:
    """Codes that forgot their rows, as a bundle's have, compare every row with all of them; so does no row number."""
    rng = np.random.default_rng(0)
    means, log_variances = posteriors(rng, 8)
    number = np.tile(np.arange(8), (E, 1))
    expected = nearest_exemplar_distance(means, ExemplarPrior.of(means, log_variances))
    np.testing.assert_array_equal(
        nearest_exemplar_distance(means, ExemplarPrior.of(means, log_variances), np.arange(8)), expected
    )
    np.testing.assert_array_equal(
        nearest_exemplar_distance(means, ExemplarPrior.of(means, log_variances, number)), expected
    )


def test_a_training_row_is_compared_without_its_part() -> None:
    """A row of part q gets its distance from the prior without q, one of no part and one of no table from the whole."""
    rng = np.random.default_rng(4)
    (mean, _), (means, log_variances) = posteriors(rng, 9), posteriors(rng, 20)
    whole = ExemplarPrior.of(means, log_variances)
    without = tuple(whole.with_codes(rng.normal(size=(E, n, K))) for n in (5, 7))
    part = rng.integers(-1, 2, size=(E, 30))
    row = np.array([3, 29, -1, 0, 7, 11, -1, 20, 5])
    found = nearest_exemplar_distance(mean, whole.leaving_out(LeftOut(part, without)), row)
    each = np.stack([nearest_exemplar_distance(mean, prior) for prior in (whole, *without)])
    for k in range(E):
        for i, number in enumerate(row):
            assert found[k, i] == pytest.approx(each[0 if number < 0 else 1 + part[k, number], k, i], rel=1e-5)


@pytest.mark.parametrize("numbered", [False, True])
def test_numpy_and_torch_measure_the_same(numbered: bool) -> None:
    """One definition: distances agree to 1e-5, own codes left out or not."""
    rng = np.random.default_rng(1)
    (mean, _), (means, log_variances) = posteriors(rng, 30), posteriors(rng, 50)
    number, rows = np.tile(np.arange(50), (E, 1)), np.arange(30)
    codes = ExemplarPrior.of(means, log_variances, number if numbered else None)
    in_torch = codes.on("cpu") if not numbered else replace(codes.on("cpu"), row=torch.as_tensor(number[:, None]))
    found = nearest_exemplar_distance(torch.as_tensor(mean), in_torch, torch.as_tensor(rows) if numbered else None)
    expected = nearest_exemplar_distance(mean, codes, rows if numbered else None)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@given(seeds)
def test_it_is_the_density_of_the_nearest_component(seed: int) -> None:
    """½ d² is the largest of log N(μ; μ_i, Λ̄⁻¹) over exemplars, negated, up to the same constant for every row."""
    rng = np.random.default_rng(seed)
    (mean, _), (means, log_variances) = posteriors(rng, 6), posteriors(rng, 10)
    found = nearest_exemplar_distance(mean, ExemplarPrior.of(means, log_variances))
    for k in range(E):
        covariance = np.diag(1 / precision(log_variances)[k])
        log_density = np.max([stats.multivariate_normal(centre, covariance).logpdf(mean[k]) for centre in means[k]], 0)
        constant = -0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
        np.testing.assert_allclose(found[k], constant - log_density, rtol=1e-4, atol=1e-3)


@given(seeds, st.floats(0.1, 10))
def test_units_of_the_latent_space_do_not_matter(seed: int, unit: float) -> None:
    """Where every latent number, its spread included, is multiplied by the same factor, distances stay."""
    rng = np.random.default_rng(seed)
    (mean, _), (means, log_variances) = posteriors(rng, 6), posteriors(rng, 10)
    scaled = ExemplarPrior.of(means * np.float32(unit), log_variances + np.float32(2 * np.log(unit)))
    expected = nearest_exemplar_distance(mean, ExemplarPrior.of(means, log_variances))
    found = nearest_exemplar_distance(mean * np.float32(unit), scaled)
    tolerance = 2 * rounding(mean, means, log_variances).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("distance", [0.0, 3.0, 30.0, 300.0])
def test_narrow_posteriors_survive_float32(distance: float) -> None:
    """Posteriors as narrow as half a percent of the prior, and codes far off, lose no more than their size asks for."""
    rng = np.random.default_rng(5)
    means = rng.normal(size=(E, 40, K)).astype(np.float32)
    log_variances = np.full((E, 40, K), -10.0, np.float32)
    mean = (means[:, :7] + 0.01 * rng.normal(size=(E, 7, K)) + distance).astype(np.float32)
    expected = distances(mean, means, log_variances).min(-1)
    found = nearest_exemplar_distance(mean, ExemplarPrior.of(means, log_variances))
    assert np.isfinite(found).all()
    assert (np.abs(found - expected) <= rounding(mean, means, log_variances)).all()
