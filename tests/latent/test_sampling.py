"""New rows: the shares of training column by column, one row for a seed and a number, whatever is asked beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.latent.sampling import Sampler
from vaecli.model.likelihoods.categorical import NEVER, logit_shift
from vaecli.schema import Kind
from vaecli.tables import ReadRequest, frame_source, to_cells

N = 4000


@pytest.fixture(scope="module")
def sampler(model: vaecli.Model) -> Sampler:
    return model.detector.sampler(0)


@pytest.fixture(scope="module")
def made(sampler: Sampler) -> Cells:
    return sampler.rows(0, N)


@pytest.fixture(scope="module")
def given(model: vaecli.Model, fresh_table: pd.DataFrame) -> Cells:
    (batch,) = frame_source(fresh_table[:60]).batches(ReadRequest(batch_rows=60))
    return to_cells(batch, model.schema)


def column(model: vaecli.Model, name: str) -> int:
    return [one.name for one in model.schema.features].index(name)


def test_every_column_is_distributed_as_in_training(model: vaecli.Model, made: Cells, normal_table: pd.DataFrame):
    """Numbers to 4 % in any quantile's rank, shares of booleans and categories to 3 %."""
    for name in ("pressure", "flow", "temperature"):
        found = made.values[:, column(model, name)]
        found, real = np.sort(found[~np.isnan(found)]), np.sort(normal_table[name].dropna())
        at = np.linspace(real[0], real[-1], 200)
        assert np.abs(np.searchsorted(found, at) / found.size - np.searchsorted(real, at) / real.size).max() < 0.04
        assert (found[0] >= real[0], found[-1] <= real[-1]) == (True, True)
    yes = np.mean(made.values[:, column(model, "pump_on")])
    assert yes == pytest.approx((normal_table["pump_on"] == "yes").mean(), abs=0.03)
    j = column(model, "mode")
    for code, word in enumerate(model.schema.features[j].categories):
        assert np.mean(made.values[:, j] == code) == pytest.approx((normal_table["mode"] == word).mean(), abs=0.03)


def test_gaps_come_as_often_as_in_training_and_nowhere_else(
    model: vaecli.Model, made: Cells, normal_table: pd.DataFrame
):
    """A column that had gaps has as many, to 2 %; the others have none."""
    missing = (made.state == MISSING).mean(0)
    for j, one in enumerate(model.schema.features):
        share = normal_table[one.name].isna().mean()
        assert missing[j] == (pytest.approx(share, abs=0.02) if share else 0.0)
    np.testing.assert_array_equal(np.isnan(made.values), made.state == MISSING)


def test_columns_hang_together_as_they_did(model: vaecli.Model, made: Cells, normal_table: pd.DataFrame):
    """Pressure and flow move together, the temperature with neither, and the pump runs under load."""
    pressure, flow = (made.values[:, column(model, name)] for name in ("pressure", "flow"))
    real = normal_table["pressure"].corr(normal_table["flow"])
    assert np.corrcoef(pressure, flow)[0, 1] == pytest.approx(real, abs=0.05)
    on = made.values[:, column(model, "pump_on")] == 1
    assert pressure[on].mean() - pressure[~on].mean() > 0.5  # independent columns: 0


def test_any_stretch_is_the_same_rows(sampler: Sampler, made: Cells):
    """Rows 777 to 1,300 by themselves are rows 777 to 1,300 of all, to the bit."""
    part = sampler.rows(777, 1300)
    np.testing.assert_array_equal(part.values, made.values[777:1300])
    np.testing.assert_array_equal(part.row, np.arange(777, 1300))
    assert len(sampler.rows(5, 5)) == 0


def test_the_seed_decides(model: vaecli.Model, made: Cells):
    """The same seed gives the same rows, another one others."""
    np.testing.assert_array_equal(model.detector.sampler(0).rows(0, 50).values, made.values[:50])
    assert (model.detector.sampler(1).rows(0, 50).values[:, 0] != made.values[:50, 0]).all()


def test_rows_lie_around_the_given_ones(model: vaecli.Model, sampler: Sampler, given: Cells):
    """Twenty rows around each: their mean pressure follows that of the given row, and they are not all the same."""
    posterior = sampler.posterior(model.detector.preprocessor.transform(given))
    found = sampler.rows_around(posterior, 0, 20, 0, 20 * len(given))
    j = column(model, "pressure")
    around = found.values[:, j].reshape(len(given), 20)
    assert np.corrcoef(around.mean(1), given.values[:, j])[0, 1] > 0.9
    assert (around.std(1) > 0).all()


def test_a_given_row_has_its_rows_whatever_is_given_beside_it(model: vaecli.Model, sampler: Sampler, given: Cells):
    """The rows around rows 30 to 60, read as a batch of their own, are those of the whole, to the bit."""
    transform = model.detector.preprocessor.transform
    whole = sampler.rows_around(sampler.posterior(transform(given)), 0, 7, 0, 7 * 60)
    part = sampler.rows_around(sampler.posterior(transform(given[30:])), 30, 7, 7 * 30 + 3, 7 * 60)
    np.testing.assert_array_equal(part.values, whole.values[7 * 30 + 3 :])


def test_other_never_comes_and_shares_are_met():
    """Shifted logits have the mean shares of the counts, without those after the kept ones, or those of no row."""
    logits = np.random.default_rng(0).normal([0.0, 1.0, 2.0, 3.0], size=(5000, 4))
    shift = logit_shift(logits, np.array([60, 40, 0, 900]), 3)
    weight = np.exp(logits + shift)
    np.testing.assert_allclose((weight / weight.sum(1, keepdims=True)).mean(0), [0.6, 0.4, 0, 0], atol=1e-3)
    np.testing.assert_array_equal(logit_shift(logits, np.zeros(4), 3), [0, 0, 0, NEVER])


def test_rare_values_that_were_folded_do_not_come():
    """A category of "other" values gives kept ones only, in their proportion."""
    rng = np.random.default_rng(0)
    site = rng.choice(["a", "b", *(f"rare{i}" for i in range(6))], 400, p=[0.4, 0.2, *[0.4 / 6] * 6])
    table = pd.DataFrame({"site": site, "count": rng.integers(0, 50, 400)})
    settings = {"train.max_steps": 5, "columns.max_categories": 2, "columns.columns": ("site", "count")}
    model = vaecli.fit(table, **settings)
    assert next(one for one in model.schema.features if one.kind is Kind.CATEGORICAL).has_other
    found = model.sample(3000).to_pandas()
    assert set(found["site"]) == {"a", "b"}
    assert (found["site"] == "a").mean() == pytest.approx(
        (site == "a").sum() / np.isin(site, ["a", "b"]).sum(), abs=0.05
    )
    assert set(found["count"]) <= set(table["count"])


def test_a_column_of_gaps_alone_stays_empty(model: vaecli.Model):
    """Where the normal rows held no value, there is none to give."""
    sampler = model.detector.sampler(0)
    likelihood = sampler.family.likelihood
    j = int(likelihood.has_missing[0])
    presence = likelihood.presence
    n_missing = presence.n_missing.copy()
    n_missing[j] = presence.n_rows
    without = replace(likelihood, presence=replace(presence, n_missing=n_missing))
    empty = replace(sampler.family, likelihood=without)
    found = Sampler.of(empty, sampler.layout, sampler.columns, sampler.marginals, 0).rows(0, 200)
    assert (found.state[:, j] == MISSING).all()
    assert (np.delete(found.state, j, axis=1) == PRESENT).all()
