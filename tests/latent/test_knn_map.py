"""Rows among exemplars that have places on a map: laws of the placement, and that UMAP lays them out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.latent import knn_map
from vaecli.latent.knn_map import KnnMap, exemplar_codes
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.tables import ReadRequest, frame_source, to_cells


def some_map(seed: int, n_codes: int = 40) -> KnnMap:
    rng = np.random.default_rng(seed)
    code, place = rng.normal(size=(n_codes, 3)), rng.normal(size=(n_codes, 2))
    return KnnMap(rng.normal(size=3), rng.uniform(0.5, 2, 3), code, place)


def code_of(on: KnnMap, scaled: np.ndarray) -> np.ndarray:
    return scaled / on.scale + on.center


@given(st.integers(0, 1000))
def test_an_exemplar_lies_where_it_was_placed(seed: int):
    """The code of an exemplar has the exemplar's own place."""
    on = some_map(seed)
    np.testing.assert_allclose(on.interpolate(code_of(on, on.codes)), on.coordinates, atol=1e-6)


@given(st.integers(0, 1000))
def test_a_row_lies_among_its_nearest_exemplars(seed: int):
    """Within the smallest box around their places, so never beyond those of the map."""
    on = some_map(seed)
    z = np.random.default_rng(seed + 1).normal(size=(20, 3)) * 3
    found = on.interpolate(code_of(on, z))
    near = np.argsort(((z[:, None] - on.codes) ** 2).sum(-1), axis=1)[:, : knn_map.NEAREST]
    assert (found >= on.coordinates[near].min(1) - 1e-9).all()
    assert (found <= on.coordinates[near].max(1) + 1e-9).all()


@of_a_hundred(20)
@given(st.integers(0, 1000))
def test_places_do_not_jump(seed: int):
    """Along a line through the codes places move in small steps, also where another exemplar becomes the nearest."""
    on = some_map(seed)
    rng = np.random.default_rng(seed + 2)
    start, end = rng.normal(size=(2, 3))
    steps = np.linspace(0, 1, 20_001)[:, None]
    moved = np.abs(np.diff(on.interpolate(code_of(on, start + steps * (end - start))), axis=0)).max()
    assert moved < 0.05


def test_rows_as_far_from_all_exemplars_lie_in_their_middle():
    """Without a nearest one all of them count the same; so does a bundle with two exemplars only."""
    on = KnnMap(np.zeros(1), np.ones(1), np.array([[-1.0], [1.0]]), np.array([[0.0, 0.0], [2.0, 4.0]]))
    np.testing.assert_allclose(on.interpolate(np.zeros((1, 1))), [[1.0, 2.0]])


def test_of_very_many_exemplars_an_even_share_is_laid_out(monkeypatch: pytest.MonkeyPatch):
    """At most as many as can be laid out in time, in the order of the bundle."""
    mean = np.random.default_rng(0).normal(size=(2, 25, 3)).astype(np.float32)
    codes = ExemplarPrior.of(mean, np.zeros_like(mean))
    assert len(exemplar_codes(codes)) == 25
    monkeypatch.setattr(knn_map, "MOST_EXEMPLARS", 10)
    np.testing.assert_array_equal(exemplar_codes(codes), codes.codes[0][::3])


@pytest.mark.slow
def test_umap_keeps_neighbourhoods(model, fresh_table: pd.DataFrame):
    """The same bundle gives the same map, new rows lie beside exemplars of similar codes, and clusters stay whole."""
    pytest.importorskip("umap", reason="the extra vaecli[umap] is not installed")
    from sklearn.manifold import trustworthiness

    from vaecli.latent.umap_map import umap_of

    on = umap_of(model.detector.ensemble.reference_family.exemplar_prior, 2)
    np.testing.assert_array_equal(
        on.coordinates, umap_of(model.detector.ensemble.reference_family.exemplar_prior, 2).coordinates
    )
    (batch,) = frame_source(fresh_table).batches(ReadRequest(batch_rows=len(fresh_table)))
    cells = to_cells(batch, model.detector.schema)
    places, (code, _) = model.detector.map_coordinates(cells, on), model.detector.encode(cells)
    assert places.shape == (len(fresh_table), 2)
    assert trustworthiness(code * on.scale, places) > 0.85
