"""The map of `encode --map umap`: exemplars laid out with UMAP (McInnes, Healy & Melville 2018)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.errors import MissingPackage, UsageError
from vaecli.latent.encoding import exemplar_coordinates
from vaecli.latent.knn_map import KnnMap, exemplar_codes, thinned
from vaecli.model.exemplar_prior import ExemplarPrior

SEED = 0
N_NEIGHBOURS = 15  # umap-learn's own choice
_FEWEST = 10  # exemplars that can be laid out


def require_umap() -> None:
    """Raise EnvironmentProblem unless umap-learn is installed."""
    if find_spec("umap") is None:
        raise MissingPackage(
            "--map umap needs umap-learn, which is not installed here",
            "pip install umap-learn, or `pip install vaecli[umap]`; --map pca needs nothing",
        )


def umap_of(prior: ExemplarPrior, dims: int) -> KnnMap:
    """The map of the exemplars: a function of the prior, of `dims` and of the installed umap-learn.

    Raises UsageError when there are too few exemplars to lay out.
    """
    codes = exemplar_codes(prior)
    if len(codes) < _FEWEST:
        raise UsageError(f"--map umap: the bundle holds {len(codes)} exemplars, fewer than {_FEWEST}", "use --map pca")
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")  # deprecations within its own dependencies
        from umap import UMAP

        # from the principal axes: the signs, and in part the order, of eigenvectors of the graph are arbitrary
        layout = UMAP(
            n_components=dims,
            n_neighbors=min(N_NEIGHBOURS, len(codes) - 1),
            init=thinned(exemplar_coordinates(prior, dims)).astype(np.float32),
            random_state=SEED,
            n_jobs=1,
        ).fit_transform(codes)
    return KnnMap.of(prior, np.asarray(layout, np.float64))
