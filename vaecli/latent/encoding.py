"""The latent code of a row, and where it lies on a map along principal axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaecli.data.preprocessor import FeatureBatch
from vaecli.latent.knn_map import KnnMap
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.network import encode
from vaecli.model.tiles import tiled


def latent_coordinates(family: Family, batch: FeatureBatch, dims: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of q(z|x) by the family's first member, both (n, k) float64.

    With `dims`, at most k, those of the map along principal axes instead: (n, dims).
    """
    on_axes = None if dims is None else principal_axes(family.exemplar_prior, dims)
    latent_mean, latent_std = np.empty((2, len(batch), dims or family.noise.shape[-1]))
    for rows, within, mean, variance in _posteriors(family, batch):
        if on_axes is not None:
            center, axes = on_axes
            mean, variance = (mean - center) @ axes, variance @ axes**2
        latent_mean[rows], latent_std[rows] = mean[within], np.sqrt(variance)[within]
    return latent_mean, latent_std


def map_coordinates(family: Family, batch: FeatureBatch, on: KnnMap) -> np.ndarray:
    """Where each row lies among the exemplars of a map: (n, dims) float64."""
    coordinates = np.empty((len(batch), on.coordinates.shape[1]))
    for rows, within, mean, _ in _posteriors(family, batch):
        coordinates[rows] = on.interpolate(mean)[within]
    return coordinates


def _posteriors(family: Family, batch: FeatureBatch) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """For each tile: its rows, their positions in it, means and variances (t, k) of q(z|x) by the first member."""
    parameters = {name: value[:1] for name, value in family.parameters.items()}
    for rows, within, features, state in tiled(batch):
        of_member = encode(parameters, family.likelihood, features, state)
        mean, log_variance = (part[0].astype(np.float64) for part in of_member)
        yield rows, within, mean, np.exp(log_variance)


def exemplar_coordinates(prior: ExemplarPrior, dims: int) -> np.ndarray:
    """Where the first member's exemplars lie on its map along principal axes: (N, dims) float64."""
    _, axes = principal_axes(prior, dims)
    coordinates: np.ndarray = prior.codes[0].astype(np.float64) @ (axes / prior.scale[0, 0][:, None])
    return coordinates


def principal_axes(prior: ExemplarPrior, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """(center (k,), axes (k, dims)) of the first member's map, on which a code z lies at (z − center) @ axes.

    In units of the codes' uncertainty the axes are orthogonal, the longest first, the largest entry of each positive.
    """
    codes = prior.codes[0].astype(np.float64)
    _, _, directions = np.linalg.svd(codes.T @ codes)
    chosen = directions[:dims].T
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(0)[None], axis=0)
    axes = prior.scale[0, 0].astype(np.float64)[:, None] * chosen * np.where(largest < 0, -1.0, 1.0)
    return prior.center[0, 0].astype(np.float64), axes
