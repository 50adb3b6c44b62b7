"""Why a row is odd: how far its score falls when one cell becomes what the others lead one to expect.

    Δ_j = s(x) − s(x with x_j ← E[x_j | the rest])         a counterfactual, one column at a time (`conditional.impute`)
    part_j = max(Δ_j, 0) · min(1, s / Σ_i max(Δ_i, 0)),   rest = s − Σ_j part_j

The nats of a column alone (`ScoredBatch.column_score`) say where a row is improbable, which is often not where it
is wrong: one absurd reading moves the code, and then all columns fit badly. Replacing the wrong one makes the whole row
normal again. The parts add up to the score; the rest is what no single column can take away: an odd combination.

A row is computed by itself, in a block of a fixed number of rows, so that its explanation does not depend on others.
NumPy only. Shapes: n rows, c columns, d features, e members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.preprocessor import FeatureBatch
from vaecli.model.conditional import conditional, impute
from vaecli.schema import Layout
from vaecli.scoring.scores import Ensemble, ScoredBatch, member_parts

WELL_BEYOND = 0.25  # about standard deviations of a column outside its training range
TOO_FAR = 1000.0  # where features are no numbers of their column any more
MOST_CANDIDATES = 64  # columns a row that are tried: those that its own nats, or an unexpected cell, point at


def attribute(
    ensemble: Ensemble, layout: Layout, batch: FeatureBatch, kind: str, scored: ScoredBatch, novelty_offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parts (n, c), at least 0, and rest (n,) of the scores of `batch`, by the `kind` of score: they add up to it.

    `novelty_offset` (n, c) is what cells unlike all of training added to the scores (see `add_novelty_offset`).
    """
    part, rest = np.zeros(scored.column_score.shape), np.zeros(len(batch))
    for i in range(len(batch)):
        tried = candidates(scored.column_score[i], batch.state[i] != PRESENT)
        without = (
            _scores_without(ensemble, layout, batch, i, tried, kind)
            + novelty_offset[i].sum()
            - novelty_offset[i, tried]
        )
        part[i, tried], rest[i] = shares(scored.score[i] - without, float(scored.score[i]))
    return part, rest


def candidates(column_score: np.ndarray, unexpected: np.ndarray) -> np.ndarray:
    """Which of the c columns of a row are tried, ascending: all, or where there are many those that look odd."""
    order = np.lexsort((-column_score, ~unexpected))
    return np.sort(order[:MOST_CANDIDATES])


def shares(fall: np.ndarray, score: float) -> tuple[np.ndarray, float]:
    """(parts, rest) of a score from how far it falls for each column; they add up to it, none is below 0."""
    gain = np.clip(np.nan_to_num(fall), 0.0, None)
    total, most = float(gain.sum()), max(score, 0.0)
    if total <= most:
        return gain, score - total
    return gain * (most / total), min(score, 0.0)  # nothing is left over, not even a rounding difference


def _scores_without(
    ensemble: Ensemble, layout: Layout, batch: FeatureBatch, i: int, tried: np.ndarray, kind: str
) -> np.ndarray:
    """Scores (m,) of row `i` with each of the `tried` (m,) columns as expected, unexpected cells not lifted."""
    m = tried.size
    unknown = np.zeros((m, layout.n_features), bool)
    for place, j in enumerate(tried):
        unknown[place, layout.slots[j].start : layout.slots[j].stop] = True
    state = np.repeat(batch.state[i : i + 1], m, axis=0)
    state[np.arange(m), tried] = PRESENT
    surprisal = ensemble.surprisal_scales[kind]
    scores, cells, n_members = [], [], 0
    for family in ensemble.families:
        seen = family.likelihood.to_likelihood_space(np.repeat(batch.values[i : i + 1], m, axis=0), state)
        nats, score_terms = member_parts(
            family, impute(family, seen, state, unknown, accelerated=True), state, None, kind
        )
        columns = nats.astype(np.float64)
        # a cell as expected costs what such cells cost on average, not what a perfect guess would
        mean_column_score = surprisal.mean_column_score[n_members : n_members + len(family.held_out)]
        columns[:, np.arange(m), tried] = mean_column_score[:, tried]
        total = columns.sum(-1)
        scores += [total + latent for latent in score_terms]
        cells.append(columns)
        n_members += len(family.held_out)
    without, _ = surprisal.of_rows(np.concatenate(scores), np.concatenate(cells))
    return without


def imputed_feature(ensemble: Ensemble, layout: Layout, batch: FeatureBatch, i: int, j: int) -> float:
    """The feature that takes the place of a number in column `j` of row `i` to see what the score loses by it.

    By the first family, as in `instead`; the mean over its members. It may lie beyond all of training.
    """
    family, slot = ensemble.families[0], layout.slots[j]
    state = batch.state[i : i + 1].copy()
    state[:, j] = PRESENT
    unknown = np.zeros((1, layout.n_features), bool)
    unknown[:, slot.start] = True
    seen = family.likelihood.to_likelihood_space(batch.values[i : i + 1], state)
    return float(impute(family, seen, state, unknown, accelerated=True)[:, 0, slot.start].astype(np.float64).mean())


def extend_grid(grid: np.ndarray, feature: float) -> np.ndarray:
    """The ascending `grid` (g,); where `feature` lies well beyond an end, it goes on to there and as far again."""
    if not WELL_BEYOND < max(grid[0] - feature, feature - grid[-1]) < TOO_FAR:
        return grid
    end = grid[-1] if feature > grid[-1] else grid[0]
    steps = np.linspace(end, end + 2 * (feature - end), grid.size + 1)[1:]
    return np.sort(np.concatenate([grid, steps]))


def instead(
    ensemble: Ensemble, layout: Layout, batch: FeatureBatch, i: int, j: int, values: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """How probable each of `values` (g, width of the slot) is in column `j` of row `i`, given the rest of it: (g,).

    By the first family, whose bound is that of the data: the second is trained with a small weight of the KL.
    """
    slot = layout.slots[j]
    features = np.repeat(batch.values[i : i + 1], len(values), axis=0)
    features[:, slot.start : slot.stop] = values
    state = np.repeat(batch.state[i : i + 1], len(values), axis=0)
    state[:, j] = PRESENT
    return conditional(ensemble.families[0], features, state, weight)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why n rows scored as they did: parts that add up to their scores, and what was expected instead.

    Expectations are cells as in `Cells`: the median of a number or date, the most probable category; `low` and `high`
    bound the middle 68 % of a number, as one standard deviation does. What was not computed is NaN.
    """

    part: np.ndarray  # (n, c) nats, at least 0
    rest: np.ndarray  # (n,) nats that no column explains alone
    expected: np.ndarray  # (n, c)
    low: np.ndarray  # (n, c) of numbers and dates, else NaN
    high: np.ndarray  # (n, c)
    probability: np.ndarray  # (n, c) of the expected boolean or category; for a missing cell, of being filled


ONE_SIGMA = 0.1586552539314571  # Φ(−1)
