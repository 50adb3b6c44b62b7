"""The latent code of a row, and where it lies on a map along principal axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaecli.data.preprocessor import FeatureBatch
from vaecli.latent.knn_map import KnnMap, exemplar_codes
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.network import encode
from vaecli.model.tiles import tiled


def coordinates(family: Family, batch: FeatureBatch, dims: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of q(z|x) by the family's first member, both (n, k) float64.

    With `dims`, at most k, those of the map along principal axes instead: (n, dims).
    """
    turned = None if dims is None else principal_axes(family.codes, dims)
    mean, spread = np.empty((2, len(batch), dims or family.noise.shape[-1]))
    for rows, within, place, variance in _codes(family, batch):
        if turned is not None:
            center, axes = turned
            place, variance = (place - center) @ axes, variance @ axes**2
        mean[rows], spread[rows] = place[within], np.sqrt(variance)[within]
    return mean, spread


def places(family: Family, batch: FeatureBatch, on: KnnMap) -> np.ndarray:
    """Where each row lies among the exemplars of a map: (n, dims) float64."""
    found = np.empty((len(batch), on.place.shape[1]))
    for rows, within, mean, _ in _codes(family, batch):
        found[rows] = on.places(mean)[within]
    return found


def _codes(family: Family, batch: FeatureBatch) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """For each tile its rows and where they stand in it; means and variances (t, k) of q(z|x) by the first member."""
    parameters = {name: value[:1] for name, value in family.parameters.items()}
    for rows, within, features, state in tiled(batch):
        found = encode(parameters, family.likelihood, features, state)
        mean, log_variance = (part[0].astype(np.float64) for part in found)
        yield rows, within, mean, np.exp(log_variance)


def principal_places(codes: ExemplarPrior, dims: int) -> np.ndarray:
    """Where the `exemplar_codes` lie on the first member's map along principal axes: (N, dims)."""
    _, axes = principal_axes(codes, dims)
    turned: np.ndarray = exemplar_codes(codes) @ (axes / codes.scale[0, 0][:, None])
    return turned


def principal_axes(codes: ExemplarPrior, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """(center (k,), axes (k, dims)) of the first member's map: (z − center) @ axes is where a code lies on it.

    In units of the codes' uncertainty the axes are orthogonal, the longest first, the largest entry of each positive.
    """
    place = codes.place[0].astype(np.float64)
    _, _, directions = np.linalg.svd(place.T @ place)
    chosen = directions[:dims].T
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(0)[None], axis=0)
    axes = codes.scale[0, 0].astype(np.float64)[:, None] * chosen * np.where(largest < 0, -1.0, 1.0)
    return codes.center[0, 0].astype(np.float64), axes


def exemplars(family: Family, dims: int) -> np.ndarray:
    """(N, dims) the codes of the first member's exemplars on its map."""
    _, axes = principal_axes(family.codes, dims)
    places: np.ndarray = family.codes.place[0].astype(np.float64) / family.codes.scale[0, 0] @ axes
    return places
