"""log p(x_j | z) against scipy's distributions, in NumPy and in torch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import special, stats

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.model.likelihoods.bernoulli import bernoulli_log_prob
from vaecli.model.likelihoods.categorical import categorical_log_prob
from vaecli.model.likelihoods.gaussian import gaussian_log_prob
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.schema import Column, Kind, Layout

KITS: dict[str, Any] = {"numpy": np.asarray, "torch": torch.as_tensor}
COLUMNS = (
    Column("mode", Kind.CATEGORICAL, categories=("eco", "normal", "boost")),
    Column("load", Kind.NUMERIC),
    Column("on", Kind.BOOLEAN, categories=("no", "yes")),
    Column("when", Kind.DATETIME),
    Column("site", Kind.CATEGORICAL, categories=("north",), has_other=True),
)
M = 50  # training rows
FLOOR = -3.0
N = 12


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest) -> Any:
    """Makes an array of one of the two kinds."""
    return KITS[request.param]


def likelihood(n_missing: tuple[int, ...] = (0,) * 5) -> Likelihood:
    return Likelihood.of(Layout.of(COLUMNS), np.array(n_missing), M, FLOOR)


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 8) in their blocks: load, when | on | mode ×3, site ×2; and the codes of mode and site."""
    rng = np.random.default_rng(seed)
    mode, site = rng.integers(3, size=N), rng.integers(2, size=N)
    features = np.hstack(
        [rng.normal(size=(N, 2)), rng.integers(2, size=(N, 1)), np.eye(3)[mode], np.eye(2)[site]]
    ).astype(np.float64)
    return features, mode, site


def decoded(n_parameters: int, seed: int = 1) -> np.ndarray:
    """(2 draws, n, p) of decoder output."""
    return 2 * np.random.default_rng(seed).normal(size=(2, N, n_parameters))


def sigma(raw: np.ndarray) -> np.ndarray:
    return np.exp(0.5 * (FLOOR + np.logaddexp(0, raw - FLOOR)))


def test_every_kind_is_its_distribution(kit: Any) -> None:
    """Numbers and dates are Gaussian, booleans Bernoulli, categories softmax: one entry a column, in schema order."""
    features, mode, site = table()
    output = decoded(likelihood().n_parameters)
    found = np.asarray(likelihood().column_log_prob(kit(output), kit(features), None))
    load, when = (stats.norm.logpdf(features[:, i], output[..., i], sigma(output[..., 2 + i])) for i in (0, 1))
    on = stats.bernoulli.logpmf(features[:, 2], special.expit(output[..., 4]))
    modes = special.log_softmax(output[..., 5:8], -1)[:, np.arange(N), mode]
    sites = special.log_softmax(output[..., 8:10], -1)[:, np.arange(N), site]
    np.testing.assert_allclose(found, np.stack([modes, load, on, when, sites], -1), rtol=1e-10, atol=1e-12)


def test_a_folded_value_has_its_share_of_other(kit: Any) -> None:
    """One of r rare values has an r-th of the probability of "other"; the kept ones are as they were."""
    features, _, site = table()
    log_n_folded = tuple(replace(column, n_folded=40 * column.has_other) for column in COLUMNS)
    output = kit(decoded(likelihood().n_parameters))
    plain = np.asarray(likelihood().column_log_prob(output, kit(features), None))
    shared = Likelihood.of(Layout.of(log_n_folded), np.zeros(5), M, FLOOR).column_log_prob(output, kit(features), None)
    expected = np.zeros_like(plain)
    expected[..., 4] = np.where(site == 1, np.log(40), 0.0)
    np.testing.assert_allclose(plain - np.asarray(shared), expected, atol=1e-6)


def test_float32_stays_float32_and_close(kit: Any) -> None:
    """In float32 the same to 1e-5, whatever the states: no cell makes NumPy go on in float64."""
    features, _, _ = table()
    has_missing = likelihood((0, 3, 0, 0, 1))
    output = decoded(has_missing.n_parameters)
    state = np.random.default_rng(2).integers(3, size=(N, 5)).astype(np.uint8)
    exact = np.asarray(has_missing.column_log_prob(kit(output), kit(features), kit(state)))
    single = has_missing.column_log_prob(kit(output.astype(np.float32)), kit(features.astype(np.float32)), kit(state))
    assert np.asarray(single).dtype == np.float32
    np.testing.assert_allclose(np.asarray(single), exact, rtol=1e-5, atol=1e-5)


def test_a_missing_cell_adds_nothing_for_its_value(kit: Any) -> None:
    """Where training had gaps a missing cell costs what the Bernoulli of its presence gives, and nothing else."""
    features, _, _ = table()
    has_missing = likelihood((0, 3, 0, 7, 0))
    output = decoded(has_missing.n_parameters)
    state = np.zeros((N, 5), np.uint8)
    state[:, 1] = MISSING
    with_gap = np.asarray(has_missing.column_log_prob(kit(output), kit(features), kit(state)))
    logit_there = output[..., -2:]
    np.testing.assert_allclose(
        with_gap[..., 1], stats.bernoulli.logpmf(0, special.expit(logit_there[..., 0])), rtol=1e-9
    )
    whole = np.asarray(has_missing.column_log_prob(kit(output), kit(features), kit(np.zeros((N, 5), np.uint8))))
    value_alone = stats.norm.logpdf(features[:, 1], output[..., 1], sigma(output[..., 3]))
    np.testing.assert_allclose(
        whole[..., 3], value_alone + stats.bernoulli.logpmf(1, special.expit(logit_there[..., 1])), rtol=1e-9
    )
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(with_gap[..., others], whole[..., others])


def test_unexpected_cells_cost_what_succession_gives(kit: Any) -> None:
    """Where training had no gap, a missing cell costs log(m + 2) nats; a novel one costs 2 log(m + 1) anywhere."""
    features, _, _ = table()
    state = np.zeros((N, 5), np.uint8)
    state[0], state[1] = MISSING, NOVEL
    for n_missing in ((0,) * 5, (1, 1, 0, 0, 0)):
        some = likelihood(n_missing)
        found = np.asarray(some.column_log_prob(kit(decoded(some.n_parameters)), kit(features), kit(state)))
        np.testing.assert_allclose(found[:, 0, 2:], -math.log(M + 2))
        np.testing.assert_allclose(found[:, 1, 2:], -2 * math.log(M + 1), rtol=1e-6)
        there = stats.bernoulli.logpmf(1, special.expit(decoded(some.n_parameters)[:, 1, -2:]))
        expected = -2 * math.log(M + 1) + (there if some.has_missing.size else 0)
        np.testing.assert_allclose(found[:, 1, :2], np.broadcast_to(expected, (2, 2)), rtol=1e-6)


def test_all_cells_present_needs_no_state(kit: Any) -> None:
    """Without gaps in training, no state and a state of present cells give the same numbers."""
    features, _, _ = table()
    plain = likelihood()
    output = kit(decoded(plain.n_parameters))
    without = plain.column_log_prob(output, kit(features), None)
    within = plain.column_log_prob(output, kit(features), kit(np.full((N, 5), PRESENT, np.uint8)))
    np.testing.assert_array_equal(np.asarray(without), np.asarray(within))


@given(
    logits=st.lists(st.floats(-100, 100), min_size=2, max_size=50),
    m=st.integers(50, 10**6),
)
def test_a_novel_category_never_looks_most_normal(logits: list[float], m: int) -> None:
    """Whatever the decoder gives, a category never seen costs more than the most probable known one."""
    k = len(logits)
    known = categorical_log_prob(np.eye(k), np.array([logits] * k), np.ones((k, 1)))
    novelty = Likelihood.of(Layout.of(COLUMNS), np.zeros(5), m, FLOOR).presence.novelty_nats
    assert novelty > -known.max()


@given(
    x=st.floats(-1e3, 1e3),
    mean=st.floats(-1e3, 1e3),
    log_variance=st.floats(-20, 20),
    logit=st.floats(-700, 700),
    yes=st.booleans(),
)
def test_single_terms_match_scipy_everywhere(
    x: float, mean: float, log_variance: float, logit: float, yes: bool
) -> None:
    """Gaussian and Bernoulli terms are right far into their tails."""
    gaussian = gaussian_log_prob(np.array(x), np.array(mean), np.array(log_variance))
    assert gaussian == pytest.approx(stats.norm.logpdf(x, mean, math.exp(log_variance / 2)), rel=1e-9)
    bernoulli = bernoulli_log_prob(np.array(float(yes)), np.array(logit))
    assert bernoulli == pytest.approx(special.log_expit(logit if yes else -logit), rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6))
def test_categories_are_a_multinomial_draw(logits: list[float]) -> None:
    """The categories' probabilities sum to one and are scipy's multinomial of one draw."""
    k = len(logits)
    found = categorical_log_prob(np.eye(k), np.array([logits] * k), np.ones((k, 1)))[:, 0]
    share = special.softmax(logits)
    assert np.exp(found).sum() == pytest.approx(1)
    np.testing.assert_allclose(found, special.log_softmax(logits), rtol=1e-9, atol=1e-9)
    likely = share > 1e-10  # below it scipy's multinomial rounds
    np.testing.assert_allclose(
        found[likely], stats.multinomial.logpmf(np.eye(k), 1, share)[likely], rtol=1e-5, atol=1e-9
    )
