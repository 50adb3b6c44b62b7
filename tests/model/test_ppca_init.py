"""Where training starts, and the baseline of independent columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from vaecli.data.cells import MISSING
from vaecli.data.training_rows import Rows
from vaecli.model.likelihoods.gaussian import floored_log_variance, raw_log_variance
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import decode, elbo, forward, shapes
from vaecli.model.ppca_init import (
    VARIANCE_WEIGHTS,
    Ppca,
    independent_output,
    start_parameters,
    variance_outputs,
)
from vaecli.schema import Column, Kind, Layout

COLUMNS = (
    Column("a", Kind.NUMERIC),
    Column("s", Kind.BOOLEAN, categories=("no", "yes")),
    Column("b", Kind.NUMERIC),
    Column("m", Kind.CATEGORICAL, categories=("x", "y", "z")),
    Column("c", Kind.DATETIME),
)
N, FLOOR = 400, -6.0


def table(seed: int = 0, gaps: float = 0.0) -> tuple[Rows, Likelihood]:
    """Three numbers of one factor, a switch, three categories; with `gaps` of the cells missing."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=(N, 1))
    numbers = load * [1.0, -0.8, 0.6] + 0.3 * rng.normal(size=(N, 3))
    switch = (load > 0.5).astype(float)
    mode = np.eye(3)[rng.choice(3, N, p=[0.6, 0.3, 0.1])]
    values = np.hstack([numbers, switch, mode]).astype(np.float32)  # in the blocks of the layout
    state = np.zeros((N, 5), np.uint8)
    state[rng.random((N, 5)) < gaps] = MISSING
    for j, slot in enumerate(Layout.of(COLUMNS).slots):
        values[state[:, j] == MISSING, slot.start : slot.stop] = 0
    n_missing = (state == MISSING).sum(0)
    return Rows(values, state, np.arange(N) % 4), Likelihood.of(Layout.of(COLUMNS), n_missing, N, FLOOR)


def viewing(rows: Rows, likelihood: Likelihood) -> Likelihood:
    """The same, with the switch as a number."""
    values = np.array([[-0.7, 1.4]])
    return Likelihood.of(Layout.of(COLUMNS), likelihood.presence.n_missing, len(rows.fold), FLOOR, values)


def start(
    rows: Rows, likelihood: Likelihood, held_out: tuple[int, ...] = (0, 1, 2, 3), homoscedastic: bool = False
) -> dict[str, np.ndarray]:
    return start_parameters(
        rows, likelihood, held_out=held_out, n_latent=2, n_hidden=8, homoscedastic=homoscedastic, seed=3
    )


@pytest.mark.parametrize("as_numbers", [False, True])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_the_baseline_is_the_best_of_independent_columns(gaps: float, as_numbers: bool) -> None:
    """No other constant output makes the rows more probable: gaps count neither as values nor against them."""
    rows, likelihood = table(gaps=gaps)
    if as_numbers:
        likelihood = viewing(rows, likelihood)
        rows = rows._replace(values=likelihood.to_likelihood_space(rows.values, rows.state))
    best = independent_output(rows, likelihood)

    def mean_log_prob(output: np.ndarray) -> float:
        return float(likelihood.column_log_prob(output[None], rows.values.astype(float), rows.state).sum(-1).mean())

    found = optimize.minimize(lambda output: -mean_log_prob(output), best[0], method="L-BFGS-B")
    assert mean_log_prob(best[0]) == pytest.approx(-found.fun, abs=1e-4)


def test_the_start_is_ppca_of_the_other_folds() -> None:
    """Member k starts from the linear path of PPCA over all rows but those of fold k."""
    rows, likelihood = table()
    member = start(rows, likelihood)
    for k in range(4):
        pca = Ppca.fit(rows.values[rows.fold != k], 2, np.random.default_rng(0))
        np.testing.assert_allclose(member["encoder.skip.w"][k], pca.encode, atol=1e-5)
        np.testing.assert_allclose(member["decoder.skip.w"][k, :, :3], pca.loadings[:3].T, atol=1e-5)
        np.testing.assert_allclose(member["encoder.log_variance.b"][k, 0], np.log(pca.latent_variance), atol=1e-5)
        centre = rows.values[rows.fold != k].mean(0) @ pca.encode
        np.testing.assert_allclose(member["encoder.mean.b"][k, 0], -centre, atol=1e-5)


def test_members_hold_out_the_folds_they_are_given() -> None:
    """Member k knows the rows outside fold `held_out[k]`, whatever its number; two may hold out the same."""
    rows, likelihood = table()
    member = start(rows, likelihood, held_out=(3, 1, 3))
    for k, fold in enumerate((3, 1, 3)):
        pca = Ppca.fit(rows.values[rows.fold != fold], 2, np.random.default_rng(0))
        np.testing.assert_allclose(member["encoder.skip.w"][k], pca.encode, atol=1e-5)
    assert (member["encoder.0.w"][0] != member["encoder.0.w"][2]).any()


def test_with_one_variance_it_is_the_same_for_every_row() -> None:
    """The weights to the log-variances are zero, nothing else is: the decoder gives each column one, as a bias."""
    rows, likelihood = table()
    free, one = start(rows, likelihood), start(rows, likelihood, homoscedastic=True)
    for name in free:
        outputs = variance_outputs(likelihood) if name in VARIANCE_WEIGHTS else slice(0, 0)
        assert (one[name][..., outputs] == 0).all()
        others = np.delete(np.arange(free[name].shape[-1]), outputs)
        np.testing.assert_array_equal(one[name][..., others], free[name][..., others])
    z = 3 * np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
    raw = decode(one, z)[..., variance_outputs(likelihood)]
    np.testing.assert_array_equal(
        raw, np.broadcast_to(one["decoder.out.b"][..., variance_outputs(likelihood)], raw.shape)
    )
    assert (decode(free, z)[..., variance_outputs(likelihood)].std(1) > 0).all()


def test_booleans_as_numbers_start_as_numbers() -> None:
    """Where the likelihood views booleans as numbers, PPCA sees them so, and their loadings lead to their mean."""
    rows, likelihood = table()
    wide = viewing(rows, likelihood)
    seen = rows.values.copy()
    seen[:, 3] = np.where(rows.values[:, 3] == 1, 1.4, -0.7)
    member = start(rows, wide)
    for k in range(4):
        pca = Ppca.fit(seen[rows.fold != k], 2, np.random.default_rng(0))
        np.testing.assert_allclose(member["encoder.skip.w"][k], pca.encode, atol=1e-5)
        np.testing.assert_allclose(member["decoder.skip.w"][k, :, :4], pca.loadings[:4].T, atol=1e-5)
        mean = seen[rows.fold != k][:, 3].mean()
        assert member["decoder.out.b"][k, 0, 3] == pytest.approx(mean, abs=1e-5)


def test_the_start_already_beats_independent_columns() -> None:
    """On correlated rows the ELBO before the first step is above the log-likelihood of independent columns."""
    rows, likelihood = table()
    noise = np.random.default_rng(0).normal(size=(16, 4, 1, 2)).astype(np.float32)
    bound = elbo(forward(start(rows, likelihood), likelihood, rows.values, rows.state, noise)).value.mean()
    output = independent_output(rows, likelihood).astype(np.float32)
    independent = likelihood.column_log_prob(output, rows.values, rows.state).sum(-1).mean()
    assert bound > independent + 0.2


def test_a_member_knows_nothing_of_its_own_fold() -> None:
    """Wild changes of the rows of fold k leave member k as it was to the last bit, and move all others."""
    rows, likelihood = table()
    before = start(rows, likelihood)
    for k in range(4):
        values = rows.values.copy()
        values[rows.fold == k] = 9 * np.random.default_rng(k).normal(size=values[rows.fold == k].shape)
        after = start(rows._replace(values=values), likelihood)
        for name in before:
            np.testing.assert_array_equal(after[name][k], before[name][k])
        assert (after["encoder.skip.w"] != before["encoder.skip.w"]).any((1, 2)).tolist() == [j != k for j in range(4)]


def test_members_start_apart_and_the_seed_decides() -> None:
    """Hidden layers differ between members; the same seed gives the same parameters, in float32, all finite."""
    rows, likelihood = table(gaps=0.1)
    first, again = start(rows, likelihood), start(rows, likelihood)
    assert {name: value.shape[1:] for name, value in first.items()} == shapes(7, likelihood, 2, 8)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.dtype == np.float32
        assert np.isfinite(value).all()
    assert (first["encoder.0.w"][0] != first["encoder.0.w"][1]).any()


def test_raw_log_variance_is_undone_by_the_likelihood() -> None:
    """What the decoder must put out for a wanted log-variance, down to just above the floor."""
    wanted = np.array([FLOOR + 0.01, -4.0, 0.0, 3.0])
    np.testing.assert_allclose(floored_log_variance(raw_log_variance(wanted, FLOOR), FLOOR), wanted, rtol=1e-9)
    at_floor = floored_log_variance(raw_log_variance(np.array([FLOOR - 5]), FLOOR), FLOOR)
    np.testing.assert_allclose(at_floor, FLOOR, atol=2e-3)


def test_rare_and_absent_categories_stay_finite() -> None:
    """A category, switch or gap that never occurs in the start's sample is improbable there, not impossible."""
    rows, likelihood = table(gaps=0.2)
    values, state = rows.values.copy(), np.zeros_like(rows.state)
    values[:, 3:] = 0
    values[:, 4] = 1
    output = independent_output(Rows(values, state, rows.fold), likelihood)
    assert np.isfinite(output).all()
    assert stats.logistic.cdf(output[0, 6]) == pytest.approx(1e-4)
