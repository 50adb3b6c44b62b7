"""Codes, maps, reconstructions and imputations: laws on a fitted model, and truth where it is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.data.preprocessor import FeatureBatch
from vaecli.detector import Detector
from vaecli.latent import reconstruction as rebuild
from vaecli.latent.encoding import principal_axes
from vaecli.latent.reconstruction import as_cells, imputation, reconstruction
from vaecli.model import tiles
from vaecli.model.ensemble import Ensemble, Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import shapes
from vaecli.model.ppca_init import raw_log_variance
from vaecli.schema import Column, Kind, Layout
from vaecli.tables import ReadRequest, frame_source, to_cells

D, K, N, SIGMA2, FLOOR = 5, 2, 40, 0.3, -12.0
LAYOUT = Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(D)])


@pytest.fixture(scope="module")
def detector(model: vaecli.Model) -> Detector:
    return model.detector


@pytest.fixture(scope="module")
def cells(detector: Detector, fresh_table: pd.DataFrame) -> Cells:
    """Fresh rows with gaps in every column and two values that training never saw."""
    table = fresh_table.copy()
    gaps = np.random.default_rng(5).random(table.shape) < 0.15
    table = table.mask(gaps)
    table.loc[3, "mode"], table.loc[4, "pressure"] = "turbo", np.inf
    (batch,) = frame_source(table).batches(ReadRequest(batch_rows=len(table)))
    return to_cells(batch, detector.schema)


def linear(seed: int) -> tuple[Family, np.ndarray, np.ndarray]:
    """x = W z + μ + σ ε with orthogonal W and its exact posterior: one member, mean (d,) and covariance (d, d)."""
    rng = np.random.default_rng(seed)
    loadings = np.linalg.qr(rng.normal(size=(D, K)))[0] * np.array([2.0, 1.2])
    mean = rng.normal(size=D)
    likelihood = Likelihood.of(LAYOUT, np.zeros(D), 100, FLOOR)
    total = (loadings**2).sum(0) + SIGMA2
    parameters = {name: np.zeros((1, *shape)) for name, shape in shapes(D, likelihood, K, 1).items()}
    parameters["encoder.skip.w"][0] = loadings / total
    parameters["encoder.mean.b"][0] = -mean @ (loadings / total)
    parameters["encoder.log_variance.b"][0] = np.log(SIGMA2 / total)
    parameters["decoder.skip.w"][0, :, :D] = loadings.T
    parameters["decoder.out.b"][0, 0, :D] = mean
    parameters["decoder.out.b"][0, 0, D:] = raw_log_variance(np.log(SIGMA2), FLOOR)
    codes = ExemplarPrior.of(np.zeros((1, 3, K), np.float32), np.zeros((1, 3, K), np.float32))
    family = Family(likelihood, parameters, np.zeros((2, 1, 1, K)), codes, (0,), ("code",))
    return family, mean, loadings @ loadings.T + SIGMA2 * np.eye(D)


def given_the_rest(mean: np.ndarray, covariance: np.ndarray, row: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """E[x_unknown | x_known] of a Gaussian."""
    gain = covariance[np.ix_(unknown, ~unknown)] @ np.linalg.inv(covariance[np.ix_(~unknown, ~unknown)])
    found: np.ndarray = mean[unknown] + gain @ (row - mean)[~unknown]
    return found


# -- codes and maps -------------------------------------------------------------------------------


def test_coordinates_are_the_first_members_posterior(detector: Detector, cells: Cells):
    """z and its spread are mean and standard deviation of q(z|x) by member 0 of the first family."""
    from vaecli.model.network import encode

    family = detector.ensemble.reference_family
    batch = detector.preprocessor.transform(cells)
    mean, log_variance = encode(family.parameters, family.likelihood, batch.values, batch.state)
    z, spread = detector.encode(cells)
    assert z.shape == spread.shape == (len(cells), detector.n_latent)
    np.testing.assert_allclose(z, mean[0], atol=1e-4)
    np.testing.assert_allclose(spread, np.exp(0.5 * log_variance[0]), rtol=1e-4)
    np.testing.assert_array_equal(z, z.astype(np.float32))


def test_a_map_is_linear_in_the_code(detector: Detector, cells: Cells):
    """Where a row lies on the map follows from its code by one fixed matrix, and its spread from the code's."""
    (z, spread), (place, place_spread) = detector.encode(cells), detector.encode(cells, dims=2)
    center, axes = principal_axes(detector.ensemble.reference_family.exemplar_prior, 2)
    np.testing.assert_allclose(place, (z - center) @ axes, atol=1e-9)
    np.testing.assert_allclose(place_spread**2, spread**2 @ axes**2, rtol=1e-9)


def test_axes_are_those_of_the_exemplars(detector: Detector):
    """Along the axes the exemplars' codes are uncorrelated, and vary less from one axis to the next."""
    prior = detector.ensemble.reference_family.exemplar_prior
    center, axes = principal_axes(prior, detector.n_latent)
    exemplars = prior.codes[0] / prior.scale[0] + prior.center[0]
    scatter = np.cov((exemplars - center) @ axes, rowvar=False)
    variance = np.diag(scatter)
    np.testing.assert_allclose(scatter, np.diag(variance), atol=1e-3 * variance[0])
    assert (np.diff(variance) < 0).all()


def test_a_full_map_keeps_distances(detector: Detector, cells: Cells):
    """With as many axes as coordinates, rows lie as far apart as their codes do in units of their uncertainty."""
    prior = detector.ensemble.reference_family.exemplar_prior
    z, _ = detector.encode(cells)
    place, _ = detector.encode(cells, dims=detector.n_latent)
    apart = np.linalg.norm((z[:-1] - z[1:]) * prior.scale[0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(place[:-1] - place[1:], axis=1), apart, rtol=1e-6)


def test_exemplars_lie_where_their_rows_do(detector: Detector, normal_table: pd.DataFrame):
    """Every training row that the bundle remembers is on the map where `encode` puts that row."""
    batch = next(iter(frame_source(normal_table).batches()))
    places, _ = detector.encode(to_cells(batch, detector.schema), 2)
    exemplars = detector.exemplar_coordinates(2)
    assert exemplars.shape == (50, 2)
    nearest = np.abs(exemplars[:, None] - places[None]).max(-1).min(1)
    assert nearest.max() < 1e-3


def test_the_sign_of_an_axis_is_fixed(detector: Detector):
    """Of each axis the largest entry is positive, so that no library's choice of signs mirrors a map."""
    prior = detector.ensemble.reference_family.exemplar_prior
    directions = principal_axes(prior, detector.n_latent)[1] / prior.scale[0].T
    assert (np.abs(directions).max(0) == directions.max(0)).all()


@pytest.mark.parametrize("n_rows", [1, 7, 60])
def test_a_row_is_computed_the_same_in_any_batch(
    detector: Detector, cells: Cells, n_rows: int, monkeypatch: pytest.MonkeyPatch
):
    """Codes, reconstructions and imputations are the same to the bit however the rows are cut."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 16)  # 90 rows have many, and one by itself costs one
    cells = cells[:90]
    parts = [cells[start : start + n_rows] for start in range(0, len(cells), n_rows)]
    for compute in (
        lambda some: np.concatenate(detector.encode(some), axis=1),
        lambda some: np.concatenate(detector.encode(some, 2), axis=1),
        detector.reconstruct,
        lambda some: detector.reconstruct(some, impute=True),
    ):
        np.testing.assert_array_equal(np.concatenate([compute(part) for part in parts]), compute(cells))


# -- reconstruction and imputation ----------------------------------------------------------------


@pytest.fixture(scope="module")
def gaussian() -> tuple[Family, np.ndarray, np.ndarray, FeatureBatch]:
    """One exact member, the law of its rows, and rows of it with gaps."""
    family, mean, covariance = linear(seed=0)
    rng = np.random.default_rng(1)
    rows = rng.multivariate_normal(mean, covariance, N)
    state = np.where(rng.random((N, D)) < 0.3, MISSING, PRESENT).astype(np.uint8)
    state[:, 0] = PRESENT
    values = np.where(state == MISSING, 0.0, rows)
    return family, mean, covariance, FeatureBatch(values, state, np.arange(N))


def test_an_imputed_value_is_the_conditional_mean(gaussian, monkeypatch: pytest.MonkeyPatch):
    """Of a linear Gaussian table a filled cell converges to E[x_j | the known cells], all gaps of a row together."""
    family, mean, covariance, batch = gaussian
    monkeypatch.setattr(rebuild, "N_ROUNDS", 500)
    found = imputation(family, LAYOUT, batch)
    for i in np.flatnonzero((batch.state == MISSING).any(1)):
        unknown = batch.state[i] == MISSING
        expected = given_the_rest(mean, covariance, batch.values[i], unknown)
        np.testing.assert_allclose(found[i, unknown], expected, atol=1e-5)


def test_the_rounds_that_are_made_are_most_of_the_way(gaussian):
    """With the rounds that users get, filled cells are nine tenths of the way from the column mean to the truth."""
    family, mean, covariance, batch = gaussian
    found, left, way = imputation(family, LAYOUT, batch), 0.0, 0.0
    for i in range(N):
        unknown = batch.state[i] == MISSING
        expected = given_the_rest(mean, covariance, batch.values[i], unknown)
        left += float(((found[i, unknown] - expected) ** 2).sum())
        way += float((expected**2).sum())
    assert np.sqrt(left / way) < 0.1


def test_a_reconstruction_is_the_mean_at_the_code(gaussian):
    """E[x | z = μ(x)] of the linear model is its projection, shrunk by the noise."""
    family, mean, covariance = linear(seed=0)
    rows = np.random.default_rng(2).multivariate_normal(mean, covariance, N)
    batch = FeatureBatch(rows, np.zeros((N, D), np.uint8), np.arange(N))
    shrunk = (covariance - SIGMA2 * np.eye(D)) @ np.linalg.inv(covariance)
    np.testing.assert_allclose(reconstruction(Ensemble((family,)), batch), mean + (rows - mean) @ shrunk.T, atol=1e-9)


def test_every_member_counts_the_same():
    """A family of one member and another of two average as three members do."""
    one, *_ = linear(seed=0)
    other, *_ = linear(seed=1)
    two = replace(
        other,
        parameters={name: np.concatenate([value, value]) for name, value in other.parameters.items()},
        held_out=(0, 1),
    )
    batch = FeatureBatch(np.random.default_rng(3).normal(size=(4, D)), np.zeros((4, D), np.uint8), np.arange(4))
    alone = [reconstruction(Ensemble((family,)), batch) for family in (one, other)]
    np.testing.assert_allclose(reconstruction(Ensemble((one, two)), batch), (alone[0] + 2 * alone[1]) / 3, rtol=1e-12)


def test_only_missing_cells_are_imputed(detector: Detector, cells: Cells):
    """Known cells come back as they were, novel ones as no number, and no missing cell is left."""
    found = detector.reconstruct(cells, impute=True)
    np.testing.assert_array_equal(found[cells.state == PRESENT], cells.values[cells.state == PRESENT])
    assert np.isnan(found[cells.state == NOVEL]).all()
    assert np.isfinite(found[cells.state == MISSING]).all()
    assert (cells.state == NOVEL).sum() >= 1


def test_a_novel_cell_does_not_change_an_imputation(detector: Detector, cells: Cells):
    """Gaps of a row are filled as if its novel cells were gaps too."""
    novel = (cells.state == NOVEL).any(1)
    unknown = Cells(cells.values, np.where(cells.state == NOVEL, MISSING, cells.state).astype(np.uint8), cells.row)
    found, other = (detector.reconstruct(some, impute=True)[novel] for some in (cells, unknown))
    missing = cells.state[novel] == MISSING
    np.testing.assert_array_equal(found[missing], other[missing])


def test_columns_that_move_together_fill_each_other(detector: Detector, fresh_table: pd.DataFrame):
    """A removed flow is found from the pressure: within a third of the spread that its column has."""
    (batch,) = frame_source(fresh_table.assign(flow=np.nan)).batches(ReadRequest(batch_rows=len(fresh_table)))
    cells = to_cells(batch, detector.schema)
    j = [column.name for column in detector.schema.features].index("flow")
    error = detector.reconstruct(cells, impute=True)[:, j] - fresh_table["flow"].to_numpy()
    assert np.sqrt(np.mean(error**2)) < fresh_table["flow"].std() / 3


def test_cells_are_of_their_kind(detector: Detector, cells: Cells):
    """Reconstructed booleans are 0 or 1, categories are codes of kept values, numbers are finite."""
    found = detector.reconstruct(cells)
    for j, column in enumerate(detector.schema.features):
        if column.kind is Kind.BOOLEAN:
            assert set(found[:, j]) <= {0.0, 1.0}
        if column.kind is Kind.CATEGORICAL:
            assert set(found[:, j]) <= set(range(len(column.categories)))
        assert np.isfinite(found[:, j]).all()


def test_other_is_no_value_and_whole_columns_stay_whole():
    """The likeliest kept category is given where "other" is likelier still; a count is a count."""
    table = pd.DataFrame(
        {
            "site": ["a", "b", *(f"rare{i}" for i in range(6))] * 20,
            "count": np.random.default_rng(0).integers(0, 50, 160),
        }
    )
    settings = {"train.max_steps": 5, "columns.max_categories": 2, "columns.columns": ("site", "count")}
    detector = vaecli.fit(table, **settings).detector
    (site, count) = (detector.schema.features.index(column) for column in detector.schema.features)
    assert detector.schema.features[site].has_other
    slot = detector.preprocessor.layout.slots[site]
    features = np.zeros((1, detector.preprocessor.layout.n_features))
    features[0, slot.stop - 1], features[0, slot.start + 1] = 0.7, 0.2
    features[0, detector.preprocessor.layout.slots[count].start] = 0.3
    which = np.ones((1, 2), bool)
    found = as_cells(detector.preprocessor, detector.schema.features, features, which)
    assert found[0, site] == 1
    assert found[0, count] == np.round(found[0, count])


def test_a_boolean_taken_as_a_number_counts_as_a_probability(detector: Detector, cells: Cells):
    """Averaged over members, the feature of a boolean lies between 0 and 1."""
    layout = detector.preprocessor.layout
    batch = detector.preprocessor.transform(cells)
    family = detector.ensemble.reference_family
    for features in (reconstruction(detector.ensemble, batch), imputation(family, layout, batch)):
        for _, slot in layout.of_kind(Kind.BOOLEAN):
            assert ((features[:, slot.start] >= 0) & (features[:, slot.start] <= 1)).all()
