"""A row as its code, and a row as the model would have it.

    code            z = μ(x), of the first member: each has coordinates of its own, so codes cannot be averaged
    map             Vᵀ ((z − c) ∘ s): along the principal axes V of the exemplars' codes, in units of their uncertainty,
                    or among the nearest of exemplars that have places on a map of their own (`knn_map`)
    reconstruction  E[x | z = μ(x)]                         the mean over members, each at its own code
    imputation      E[x_missing | the other cells]          mean over the first family's members (`conditional.impute`)

Expectations are averaged as features, where numbers are bent and clipped and where booleans and categories are
probabilities (`preprocess`); then they become cells. All of it is a function of the ensemble and the row: rows are
computed in the tiles of `scoring`, and the axes are those of the codes in the bundle.

NumPy only. Shapes: n rows, d features, c columns, e members, k latent dimensions, t rows of a tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.kinds import KINDS
from vaecli.data.preprocessor import FeatureBatch, Preprocessor
from vaecli.data.transforms import LARGEST, rounded, soft_clip
from vaecli.model.conditional import impute
from vaecli.model.ensemble import Ensemble, Family
from vaecli.model.network import decode, encode
from vaecli.model.tiles import tiled
from vaecli.schema import Column, Layout

# Of encoding and decoding until gaps and code agree. Measured, error in standard deviations (cardio, landsat): 4 rounds
# 0.63, 0.22; 10 rounds 0.58, 0.19; 30 rounds 0.55, 0.19; 100 no better.
N_ROUNDS = 30
N_DIGITS = 7  # of a standard deviation that a number keeps; float32 has no more
FURTHEST = float(soft_clip(np.array(LARGEST)))  # a feature beyond it does not map back to a number of its column


def reconstruction(ensemble: Ensemble, batch: FeatureBatch) -> np.ndarray:
    """The expectation E[x | z = μ(x)] as features (n, d) float64, averaged over members."""
    found = np.empty(batch.values.shape)
    for rows, within, features, state in tiled(batch):
        found[rows] = _mean_over_members([_decoded(family, features, state) for family in ensemble.families])[within]
    return found


def imputation(family: Family, layout: Layout, batch: FeatureBatch) -> np.ndarray:
    """What the other cells of a row lead one to expect where cells are missing: features (n, d) float64.

    All missing cells of a row are found together. The model cannot read a novel cell, so it is unknown as well. The
    family is one whose code is forced to forget: a member that is nearly an autoencoder would return the initial value
    of a gap. Features of rows without a missing cell, and those of known cells, have no meaning.
    """
    column_of = np.empty(layout.n_features, np.int64)
    for j, slot in enumerate(layout.slots):
        column_of[slot.start : slot.stop] = j
    found = batch.values.astype(np.float64)
    for rows, within, features, state in tiled(batch):
        if (batch.state[rows] == MISSING).any():
            unknown = (state != PRESENT)[:, column_of]
            present = np.zeros_like(state)
            seen = family.likelihood.to_likelihood_space(features, present)
            filled = impute(family, seen, present, unknown, N_ROUNDS)
            found[rows] = _mean_over_members([family.likelihood.from_likelihood_space(filled)])[within]
    return found


def as_cells(
    preprocessor: Preprocessor, columns: Sequence[Column], features: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """Expected features (n, d) as cells (n, c), of those that `which` (n, c) bool marks; the others are NaN.

    A boolean or category is the most probable one, never "other": each of the values folded into that is rare. A number
    is whole if the column is, and rounded to the digits of float32.
    """
    values = np.full(which.shape, np.nan)
    for j, (slot, (encoder, i)) in enumerate(zip(preprocessor.layout.slots, preprocessor.of_columns, strict=True)):
        known = slice(slot.start, slot.stop - columns[j].has_other)
        here = encoder.decode(i, np.clip(features[which[:, j], known], -FURTHEST, FURTHEST))
        if KINDS[slot.kind].is_ordered:
            whole = columns[j].has_whole_numbers
            here = rounded(here, 0 if whole else N_DIGITS - math.floor(math.log10(encoder.moments(i)[1])))
        values[which[:, j], j] = here
    return values


def _decoded(family: Family, features: np.ndarray, state: np.ndarray) -> np.ndarray:
    """E[x|z=μ] by each member, as features (e, t, d)."""
    mean, _ = encode(family.parameters, family.likelihood, features, state)
    return family.likelihood.from_likelihood_space(family.likelihood.mean(decode(family.parameters, mean)))


def _mean_over_members(families: Sequence[np.ndarray]) -> np.ndarray:
    """(t, d) of each family's (e, t, d): every member counts the same."""
    mean: np.ndarray = np.concatenate(families).astype(np.float64).mean(0)
    return mean
