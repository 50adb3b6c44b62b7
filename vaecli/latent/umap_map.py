"""Lays the exemplars of a bundle out with UMAP (McInnes, Healy & Melville 2018): the map of `encode --map umap`."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.errors import MissingPackage, UsageError
from vaecli.latent.encoding import principal_places
from vaecli.latent.knn_map import KnnMap, exemplar_codes, neighbourhoods
from vaecli.model.exemplar_prior import ExemplarPrior

SEED = 0
N_NEIGHBOURS = 15  # umap-learn's own choice
_FEWEST = 10  # exemplars that have neighbourhoods


def require_umap() -> None:
    """Nothing where umap-learn is installed, else raises EnvironmentProblem."""
    if find_spec("umap") is None:
        raise MissingPackage(
            "--map umap needs umap-learn, which is not installed here",
            "pip install umap-learn, or `pip install vaecli[umap]`; --map pca needs nothing",
        )


def umap_of(codes: ExemplarPrior, dims: int) -> KnnMap:
    """The map of the exemplars `codes`: a function of them, of `dims` and of the installed umap-learn.

    Raises UsageError when there are too few exemplars to lay out.
    """
    exemplars = exemplar_codes(codes)
    if len(exemplars) < _FEWEST:
        raise UsageError(
            f"--map umap: the bundle holds {len(exemplars)} exemplars, fewer than {_FEWEST}", "use --map pca"
        )
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")  # what its own dependencies will do one day
        from umap import UMAP

        # from the principal axes, not from eigenvectors of the graph: their signs, and in part their order, are chance
        layout = UMAP(
            n_components=dims,
            n_neighbors=min(N_NEIGHBOURS, len(exemplars) - 1),
            init=principal_places(codes, dims).astype(np.float32),
            random_state=SEED,
            n_jobs=1,
        ).fit_transform(exemplars)
    return neighbourhoods(codes, np.asarray(layout, np.float64))
