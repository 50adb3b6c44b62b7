"""The two networks: shapes, members that share nothing, and the paths between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaecli.data.cells import MISSING
from vaecli.model import network
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import (
    LEAK,
    MAX_LATENT_LOG_VARIANCE,
    Parameters,
    check_shapes,
    decode,
    elbo,
    encoder_inputs,
    forward,
    posterior,
    shapes,
)
from vaecli.schema import Column, Kind, Layout

E, K, H, N = 3, 2, 4, 7
COLUMNS = (Column("a", Kind.NUMERIC), Column("b", Kind.BOOLEAN), Column("c", Kind.CATEGORICAL, categories=("x", "y")))
D = Layout.of(COLUMNS).n_features
GAPPY = Likelihood.of(Layout.of(COLUMNS), np.array([5, 0, 2]), 100, -3.0)


def parameters(seed: int = 0) -> Parameters:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(E, *shape)).astype(np.float32) for name, shape in shapes(D, GAPPY, K, H).items()}


def rows(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, D)).astype(np.float32), rng.integers(3, size=(N, 3)).astype(np.uint8)


NOISE = np.random.default_rng(2).normal(size=(5, E, 1, K)).astype(np.float32)


def test_shapes_of_a_pass() -> None:
    """Members lead, draws before them; the bound is one number a row and column beside one KL a row."""
    features, state = rows()
    passed = forward(parameters(), GAPPY, features, state, NOISE)
    assert passed.mean.shape == passed.log_variance.shape == (E, N, K)
    assert passed.log_prob.shape == (5, E, N, 3)
    bound = elbo(passed)
    assert bound.column_log_prob.shape == (E, N, 3)
    assert bound.kl.shape == bound.value.shape == (E, N)


def test_members_share_nothing() -> None:
    """A member computes the same alone as in the ensemble."""
    features, state = rows()
    together = elbo(forward(parameters(), GAPPY, features, state, NOISE)).value
    for k in range(E):
        alone = {name: value[k : k + 1] for name, value in parameters().items()}
        value = elbo(forward(alone, GAPPY, features, state, NOISE[:, k : k + 1])).value
        np.testing.assert_allclose(value[0], together[k], rtol=1e-5)


def test_the_expectation_is_the_mean_over_draws() -> None:
    """E_q[log p(x|z)] is the plain mean of what each draw gives."""
    features, state = rows()
    each = [elbo(forward(parameters(), GAPPY, features, state, NOISE[s : s + 1])).column_log_prob for s in range(5)]
    whole = elbo(forward(parameters(), GAPPY, features, state, NOISE)).column_log_prob
    np.testing.assert_allclose(np.mean(each, 0), whole, rtol=1e-5, atol=1e-5)


def test_noise_of_zeros_decodes_the_mean() -> None:
    """Without noise z is μ: the cells' log-probabilities are those of the decoded mean code."""
    features, state = rows()
    passed = forward(parameters(), GAPPY, features, state, 0 * NOISE[:1])
    output = decode(parameters(), passed.mean)
    np.testing.assert_allclose(passed.log_prob[0], GAPPY.column_log_prob(output, features, state), rtol=1e-6)


def test_both_networks_see_the_likelihoods_view() -> None:
    """Booleans taken as numbers are so to the encoder and to p(x|z): the plain pass of features viewed before."""
    layout, values = Layout.of(COLUMNS), np.array([[-0.5, 2.0]])
    viewing = Likelihood.of(layout, np.array([5, 0, 2]), 100, -3.0, values)
    rng = np.random.default_rng(0)
    wide = {name: rng.normal(size=(E, *shape)).astype(np.float32) for name, shape in shapes(D, viewing, K, H).items()}
    features, state = rows()
    features[:, 1] = [0, 1, 1, 0, 0, 1, 0]
    passed = forward(wide, viewing, features, state, NOISE)
    seen = features.copy()
    there = state[:, viewing.as_number[0]] == 0
    seen[:, 1] = np.where(there, np.where(features[:, 1] == 1, 2.0, -0.5), 0.0)
    mean, log_variance = posterior(wide, encoder_inputs(seen, state, viewing.has_missing))
    np.testing.assert_allclose(passed.mean, mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(passed.log_variance, log_variance, rtol=1e-5, atol=1e-5)
    output = decode(wide, mean + np.exp(0.5 * log_variance) * NOISE)
    expected = viewing.column_log_prob(output, seen, state)
    np.testing.assert_allclose(passed.log_prob, expected, rtol=1e-3, atol=1e-3)


def test_the_encoder_knows_what_is_missing() -> None:
    """For columns that had gaps in training, and only these, a missing cell is an input of its own."""
    features, _ = rows()
    state = np.zeros((N, 3), np.uint8)
    state[2, 0] = state[3, 1] = state[4, 2] = MISSING
    inputs = encoder_inputs(features, state, GAPPY.has_missing)
    np.testing.assert_array_equal(inputs[:, :D], features)
    expected = np.zeros((N, 2))
    expected[2, 0] = expected[4, 1] = 1
    np.testing.assert_array_equal(inputs[:, D:], expected)
    assert encoder_inputs(features, state, np.zeros(0, np.int64)) is features


def test_with_silent_hidden_layers_everything_is_linear() -> None:
    """Beside the perceptrons runs a linear path: with the former at zero, both networks are affine."""
    silent = {name: value * ("skip" in name) for name, value in parameters().items()}
    features, _ = rows()
    inputs = np.hstack([features, np.zeros((N, 2), np.float32)])
    mean, log_variance = posterior(silent, inputs)
    np.testing.assert_allclose(mean, inputs @ silent["encoder.skip.w"], rtol=1e-6)
    assert (log_variance == 0).all()
    z = np.random.default_rng(0).normal(size=(E, N, K)).astype(np.float32)
    np.testing.assert_allclose(decode(silent, z), z @ silent["decoder.skip.w"], rtol=1e-6)


def test_hidden_layers_are_two_leaky_rectifiers() -> None:
    """The decoder, written out for one member and row."""
    some, z = parameters(), np.array([0.5, -2.0], np.float32)

    def leaky(v: np.ndarray) -> np.ndarray:
        return np.where(v > 0, v, LEAK * v)

    one = {name: value[1] for name, value in some.items()}
    first = leaky(z @ one["decoder.0.w"] + one["decoder.0.b"][0])
    second = leaky(first @ one["decoder.1.w"] + one["decoder.1.b"][0])
    expected = second @ one["decoder.out.w"] + z @ one["decoder.skip.w"] + one["decoder.out.b"][0]
    np.testing.assert_allclose(decode(some, np.tile(z, (E, N, 1)))[1, 3], expected, rtol=1e-4, atol=1e-5)


def test_the_latent_variance_is_bounded() -> None:
    """However wild a row, exp of its latent log-variance stays a number in float32."""
    features, _ = rows()
    _, log_variance = posterior(parameters(), np.hstack([features * 1e6, np.zeros((N, 2), np.float32)]))
    assert np.abs(log_variance).max() <= MAX_LATENT_LOG_VARIANCE


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_extreme_rows_have_finite_bounds(scale: float) -> None:
    """Features as large as preprocessing lets through (some 3,500) give finite bounds."""
    features, state = rows()
    bound = elbo(
        forward(parameters(), GAPPY, features * np.float32(3500 / np.abs(features).max() * scale), state, NOISE)
    )
    assert np.isfinite(bound.value).all()


def test_numpy_and_torch_run_the_same_lines() -> None:
    """One definition: the pass agrees to 1e-5 in every part."""
    features, state = rows()
    in_torch = {name: torch.as_tensor(value) for name, value in parameters().items()}
    a = forward(parameters(), GAPPY, features, state, NOISE)
    b = forward(in_torch, GAPPY, torch.as_tensor(features), torch.as_tensor(state), torch.as_tensor(NOISE))
    for name in ("mean", "log_variance", "log_prob"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name).numpy(), rtol=1e-5, atol=1e-4)


def test_every_parameter_is_needed() -> None:
    """The bound has a gradient with respect to every parameter of every member."""
    features, state = rows()
    in_torch = {name: torch.tensor(value / 4, requires_grad=True) for name, value in parameters().items()}
    passed = forward(in_torch, GAPPY, torch.as_tensor(features), torch.as_tensor(state), torch.as_tensor(NOISE))
    elbo(passed).value.sum().backward()
    for name, value in in_torch.items():
        assert value.grad is not None, name
        assert (value.grad.flatten(1).abs().sum(1) > 0).all(), name


def test_right_shapes_are_accepted() -> None:
    """The parameters of an ensemble for this table pass."""
    check_shapes(parameters(), GAPPY, D, n_members=E, n_latent=K)


@pytest.mark.parametrize("name", list(shapes(D, GAPPY, K, H)))
def test_wrong_shapes_are_refused(name: str) -> None:
    """A parameter that is missing, too many, or of another shape is refused by name."""
    good = parameters()
    without = {key: value for key, value in good.items() if key != name}
    for bad in (
        without,
        without | {name: good[name][:-1]},
        without | {name: good[name][..., None]},
        without | {f"{name}x": good[name]},
    ):
        with pytest.raises(ValueError, match="network"):
            check_shapes(bad, GAPPY, D, n_members=E, n_latent=K)


@pytest.mark.parametrize(("n_features", "n_members", "n_latent"), [(D + 1, E, K), (D, E + 1, K), (D, E, K + 1)])
def test_parameters_of_another_table_are_refused(n_features: int, n_members: int, n_latent: int) -> None:
    """Other numbers of features, members or latent dimensions do not fit."""
    with pytest.raises(ValueError, match="network"):
        check_shapes(parameters(), GAPPY, n_features, n_members=n_members, n_latent=n_latent)


def test_the_bound_does_not_depend_on_how_many_draws_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, two at a time and one by one are the same to the bit."""
    features, state = rows()
    whole = elbo(forward(parameters(), GAPPY, features, state, NOISE))
    for n_draws in (1, 2, 4, 5, 6):
        monkeypatch.setattr(network, "MOST_AT_ONCE", n_draws * E * N * max(H, GAPPY.n_parameters))
        x = GAPPY.to_likelihood_space(features, state)
        parts = network.elbo_by_draws(parameters(), GAPPY, x, state, NOISE)
        assert parts.column_log_prob.tobytes() == whole.column_log_prob.tobytes()
        assert parts.kl.tobytes() == whole.kl.tobytes()
