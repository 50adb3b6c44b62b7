"""Why a row is anomalous: how far its score falls when one cell becomes what the others lead one to expect.

    Δ_j = s(x) − s(x with x_j ← E[x_j | the rest])         a counterfactual, one column at a time (`conditional.impute`)
    attribution_j = max(Δ_j, 0) · min(1, s / Σ_i max(Δ_i, 0)),   joint_part = s − Σ_j attribution_j

Of several absurd cells none can be found like that: with one of them replaced, the others still make the row fit badly.
So cells that lie far beyond all of training (`SingleCells.far_beyond`) are replaced together first. What the score
falls by is shared among them, by the logarithm of how far beyond each lies. The other columns are then tried in the row
that is left.

Where the replacement of each of several cells would make the row normal, their falls hardly show which one is wrong: a
network predicts the others from a code that the wrong cell has moved. So what these rivals take together is shared by
how improbable each is given the others under mixture and levels (`among_rivals`), which predict a cell without it.

The nats of a column alone (`ScoredBatch.column_score`) mark where a row is improbable, which is often not where it
is wrong: one absurd reading moves the code, and then all columns fit badly. Replacing the wrong one makes the whole row
normal again. The attributions add up to the score; the joint part is what no single column explains: an unusual
combination.

Each row is computed alone, in a block of a fixed number of rows, so its explanation does not depend on other rows.
NumPy only. Shapes: n rows, c columns, d features, e members.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.kinds import KINDS, Encoder
from vaecli.data.preprocessor import FeatureBatch, Preprocessor
from vaecli.model.cell_mixture import CellMixture
from vaecli.model.conditional import conditional, impute
from vaecli.model.ensemble import Family
from vaecli.model.level_regression import ABSENT, OTHER, SAME_VALUE, VALUE, LevelRegression
from vaecli.schema import Layout
from vaecli.scoring.level_judge import LevelJudge
from vaecli.scoring.roles import roles
from vaecli.scoring.scores import ScoredBatch, Scorer, member_parts
from vaecli.scoring.single_cells import LEVELS, TAILS

WELL_BEYOND = 0.25  # about standard deviations of a column outside its training range
TOO_FAR = 1000.0  # beyond it a feature no longer maps back to a number of its column
MAX_CANDIDATES = 64  # columns tried per row: those with the most nats of their own, or with an unexpected cell
ROUNDING_OF_SUMS = 1e-12  # of a score, below which nothing is left of it
ROUNDING = 1e-3  # nats by which an opinion computed among other rows may differ
RIVAL = 0.2  # of the largest fall, from which on another cell may be the wrong one
DIGITS_OF_LEVEL = 6  # of the spread of a number, which is decoded from a feature of single precision
DIGITS_OF_NUMBER = 13  # of a quantile of training, which is kept as a standardised number of double precision
ONE_SIGMA = 0.1586552539314571  # Φ(−1)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why n rows scored as they did: attributions that add up to their scores, and what was expected in the cells.

    Expectations are cells as in `Cells`: the median of a number or date, the most probable category. `low` and `high`
    bound the middle 68 % of a number, as one standard deviation does. What was not computed is NaN.
    """

    attribution: np.ndarray  # (n, c) nats, at least 0
    joint_part: np.ndarray  # (n,) nats that no single column explains
    expected: np.ndarray  # (n, c)
    low: np.ndarray  # (n, c) of numbers and dates, else NaN
    high: np.ndarray  # (n, c)
    probability: np.ndarray  # (n, c) of the expected boolean, category or level; for a missing cell, of being filled
    own_probability: np.ndarray  # (n, c) of what the cell holds, where the levels explain it
    role: np.ndarray  # (n, c) uint8 of `roles`, of the columns that expectations are computed for


def explain(
    scorer: Scorer,
    preprocessor: Preprocessor,
    batch: FeatureBatch,
    scored: ScoredBatch,
    novelty_offset: np.ndarray,
    n_columns: int,
    flagged_from: float,
) -> Explanation:
    """Why `scorer` gave the n rows of `batch` the scores `scored`; rows are `flagged_from` so many nats.

    `novelty_offset` (n, c) is what unexpected cells added to the scores (see `add_novelty_offset`). Expectations and
    roles are computed for the `n_columns` columns of each row with the largest attributions above 0.
    """
    family = scorer.ensemble.reference_family
    column, judge = _decided_by(scorer, batch, scored, novelty_offset)
    expected, low, high, probability, own_probability = np.full((5, *scored.column_score.shape), np.nan)
    attribution, joint_part = np.zeros(scored.column_score.shape), np.zeros(len(batch))
    as_it_is, batch = batch, _without_far_cells(scorer, batch)
    are_states, role = _are_states(scorer, scored.column_score.shape[1]), np.zeros(attribution.shape, np.uint8)
    for i in range(len(batch)):
        row = _Row(scorer, preprocessor.layout, as_it_is, i, novelty_offset[i])
        attribution[i], joint_part[i] = _attribution_of(row, scored)
        if n_columns > 0:
            is_far, score = row.beyond > 0, float(scored.score[i])
            role[i] = roles(row.score_without, attribution[i], is_far, score, flagged_from, n_columns)
        explained = [
            j for j in np.argsort(-attribution[i], kind="stable")[:n_columns].tolist() if attribution[i, j] > 0
        ]
        for j in explained:
            of_mixture = scorer.cells is not None and column[i] == j and judge[i] != TAILS
            mixture = scorer.cells.mixture if of_mixture and scorer.cells is not None else None
            expected[i, j], low[i, j], high[i, j], probability[i, j] = expectation(
                family, preprocessor, batch, i, j, None if mixture is None else mixture.mixture
            )
        if scorer.cells is None or scorer.cells.levels is None:
            continue
        levels = scorer.cells.levels
        by_level = are_states | _contrary_to_levels(levels, as_it_is, i)
        for j in (j for j in explained if by_level[j] or (judge[i] == LEVELS and column[i] == j)):
            found, share, own_probability[i, j] = expected_level(levels.regression, preprocessor, as_it_is, i, j)
            if found is not None:
                expected[i, j], low[i, j], high[i, j], probability[i, j] = found, math.nan, math.nan, share
    likelihood = family.likelihood
    filled = (likelihood.presence.n_rows - likelihood.presence.n_missing + 1) / (likelihood.presence.n_rows + 2)
    probability = np.where(batch.state == MISSING, filled, probability)
    return Explanation(attribution, joint_part, expected, low, high, probability, own_probability, role)


def _are_states(scorer: Scorer, n_columns: int) -> np.ndarray:
    """(c,) bool: the numbers that stand for states, of which one is expected rather than a number between two."""
    if scorer.cells is None or scorer.cells.levels is None:
        return np.zeros(n_columns, bool)
    return scorer.cells.levels.regression.are_states()


def _contrary_to_levels(judge: LevelJudge, batch: FeatureBatch, i: int) -> np.ndarray:
    """(c,) bool: the cells of row `i` that are missing, or that hold a value, where the others predict the opposite.

    What a number is expected to be does not explain such a cell, whichever judge decided the score.
    """
    levels, values, state = judge.regression.levels, batch.values[i : i + 1], batch.state[i : i + 1]
    of_absent = np.where(levels.kind == ABSENT, judge.regression.probabilities(values, state)[0], 0.0)
    is_gap_expected = np.add.reduceat(of_absent, levels.starts) > 0.5
    is_gap = state[0, levels.columns] == MISSING
    contrary = np.zeros(state.shape[1], bool)
    contrary[levels.columns] = (judge.regression.nats(values, state)[0] > judge.limit) & (is_gap != is_gap_expected)
    return contrary


def _without_far_cells(scorer: Scorer, batch: FeatureBatch) -> FeatureBatch:
    """The rows with what the mixture expects in cells far beyond all of training, which predict no other cell."""
    if scorer.cells is None or scorer.cells.mixture is None:
        return batch
    values, mixture = batch.values.copy(), scorer.cells.mixture.mixture
    far = scorer.cells.far_beyond(batch.values, batch.state) > 0
    for i in np.flatnonzero(far.sum(1) > 1):  # one alone takes no part in what is expected in its place
        row = slice(i, i + 1)
        values[row] = mixture.expected_features(batch.values[row], batch.state[row], far[row])
    return replace(batch, values=values)


def _decided_by(
    scorer: Scorer, batch: FeatureBatch, scored: ScoredBatch, novelty_offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The column (n,) of which one cell decided the score, −1 where none did, and whose opinion (n,) it was."""
    if scorer.cells is None:
        return np.full(len(batch), -1), np.zeros(len(batch), np.uint8)
    opinions = scorer.cells.opinions(batch.values, batch.state)
    decided = opinions.score + novelty_offset.sum(1) >= scored.score - ROUNDING
    return np.where(decided, opinions.column, -1), opinions.judge


def attribute(
    scorer: Scorer, layout: Layout, batch: FeatureBatch, scored: ScoredBatch, novelty_offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attributions (n, c), at least 0, and joint parts (n,) of the scores of `batch`, in nats; they sum to the score.

    `novelty_offset` (n, c) is what unexpected cells added to the scores (see `add_novelty_offset`).
    """
    attribution, joint_part = np.zeros(scored.column_score.shape), np.zeros(len(batch))
    for i in range(len(batch)):
        row = _Row(scorer, layout, batch, i, novelty_offset[i])
        attribution[i], joint_part[i] = _attribution_of(row, scored)
    return attribution, joint_part


@dataclass(slots=True)
class _Row:
    """Row `i` of a batch with its `novelty_offset` (c,), and its scores with columns replaced, each computed once."""

    scorer: Scorer
    layout: Layout
    batch: FeatureBatch
    i: int
    novelty_offset: np.ndarray
    beyond: np.ndarray = field(init=False)  # (c,) nats by which cells lie beyond all of training; 0 of those within
    _known: dict[bytes, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        cells, row = self.scorer.cells, slice(self.i, self.i + 1)
        state = self.batch.state[row]
        self.beyond = np.zeros(state.size) if cells is None else cells.far_beyond(self.batch.values[row], state)[0]

    def score_without(self, replaced: np.ndarray) -> np.ndarray:
        """The scores (m,) of the row with the columns `replaced` (m, c) bool imputed."""
        keys = [columns.tobytes() for columns in replaced]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        if new:
            found = _scores_without(self.scorer, self.layout, self.batch, self.i, replaced[new])
            found = found + self.novelty_offset.sum() - replaced[new] @ self.novelty_offset
            self._known |= dict(zip([keys[place] for place in new], found.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


def _attribution_of(row: _Row, scored: ScoredBatch) -> tuple[np.ndarray, float]:
    """The attributions (c,) and the joint part of the score of a row."""
    scorer, batch, i, beyond = row.scorer, row.batch, row.i, row.beyond
    attribution, far, score = np.zeros(beyond.size), np.flatnonzero(beyond), float(scored.score[i])
    tried = candidates(scored.column_score[i], batch.state[i] != PRESENT)
    tried = tried[beyond[tried] == 0]
    replaced = (tried[:, None] == np.arange(beyond.size)) | (beyond > 0)
    if far.size:
        replaced = np.vstack([beyond > 0, replaced])
    without = row.score_without(replaced)
    if far.size:
        left, without = float(without[0]), without[1:]
        weight = np.log1p(beyond[far])
        fall = min(max(score - left, 0.0), max(score, 0.0))
        attribution[far] = fall * (weight / weight.sum())
        rest = score - float(attribution[far].sum())
        score = rest if abs(rest) > ROUNDING_OF_SUMS * abs(score) else 0.0
    decrease = score - without
    decrease[np.abs(decrease) <= ROUNDING_OF_SUMS * abs(float(scored.score[i]))] = 0.0
    part, joint_part = shares(decrease, score)
    if scorer.cells is not None:
        part = among_rivals(part, scorer.cells.beyond_limit(batch.values[i], batch.state[i])[tried])
    attribution[tried] = part
    if scorer.strings is not None and batch.readouts is not None:
        part = scorer.strings.shared(batch.readouts[i], float(scored.score[i]), joint_part)
        if row.layout.n_columns == 1:  # a log: there is nothing else that could explain it
            part = np.array([max(joint_part, 0.0)])
        attribution[scorer.strings.columns] += part
        joint_part -= float(part.sum())
    return attribution, joint_part


def candidates(column_score: np.ndarray, unexpected: np.ndarray) -> np.ndarray:
    """The columns (m,) of a row that are tried, ascending: all c, or of many the unexpected and those that score most.

    `column_score` (c,) is in nats, `unexpected` (c,) bool.
    """
    order = np.lexsort((-column_score, ~unexpected))
    return np.sort(order[:MAX_CANDIDATES])


def shares(decrease: np.ndarray, score: float) -> tuple[np.ndarray, float]:
    """Attributions (m,) and joint part of a `score`, from its `decrease` (m,) for each column; NaN counts as 0.

    They add up to the score, and no attribution is below 0.
    """
    gain = np.clip(np.nan_to_num(decrease), 0.0, None)
    total, most = float(gain.sum()), max(score, 0.0)
    if total <= most:
        return gain, score - total
    return gain * (most / total), min(score, 0.0)  # nothing is left over, not even a rounding difference


def among_rivals(part: np.ndarray, beyond_limit: np.ndarray) -> np.ndarray:
    """The attributions (m,), in which the largest and those near it share their sum by `beyond_limit` (m,).

    Near are those of RIVAL of the largest or more. `beyond_limit` is how far a cell lies beyond the limit of its column
    given the others, in nats, −inf where neither mixture nor levels judge it. A share is in proportion to
    log(1 + exp(·)) of it. Where none of them lies beyond its limit, the attributions stay as they are.
    """
    rivals = np.flatnonzero((part > 0) & (part >= RIVAL * part.max(initial=0.0)) & (beyond_limit > -np.inf))
    if rivals.size < 2 or beyond_limit[rivals].max() <= 0:
        return part
    weight = np.logaddexp(0.0, beyond_limit[rivals])
    dealt = part.copy()
    dealt[rivals] = part[rivals].sum() * (weight / weight.sum())
    return dealt


def _scores_without(scorer: Scorer, layout: Layout, batch: FeatureBatch, i: int, replaced: np.ndarray) -> np.ndarray:
    """Scores (m,) of row `i` with the columns `replaced` (m, c) bool imputed, without any novelty offset."""
    m = len(replaced)
    unknown = replaced[:, list(layout.column_of_feature)]
    state = np.where(replaced, PRESENT, batch.state[i]).astype(batch.state.dtype)
    is_single = bool((replaced.sum(1) == 1).all())
    scores, cell_nats, n_members = [], [], 0
    for family in scorer.ensemble.families:
        x = family.likelihood.to_likelihood_space(np.repeat(batch.values[i : i + 1], m, axis=0), state)
        imputed = impute(family, x, state, unknown, accelerated=is_single)
        nats, latent_terms = member_parts(family, imputed, state, None, scorer.kind)
        nats = nats.astype(np.float64)
        # an imputed cell costs what such cells cost on average, not what a perfect guess would
        mean_column_score = scorer.scale.mean_column_score[n_members : n_members + len(family.held_out)]
        nats = np.where(replaced, mean_column_score[:, None], nats)
        total = nats.sum(-1)
        scores += [total + latent for latent in latent_terms]
        cell_nats.append(nats)
        n_members += len(family.held_out)
    beside = None
    if scorer.neighbours is not None:
        beside = scorer.neighbours.of_row_without(batch.values[i], batch.state[i], replaced)
    without, _ = scorer.scale.of_rows(np.concatenate(scores), np.concatenate(cell_nats), beside)
    if scorer.cells is not None:
        without = np.maximum(without, scorer.cells.opinions_without(batch.values[i], batch.state[i], replaced))
    if scorer.strings is not None and batch.readouts is not None:
        without = np.maximum(without, scorer.strings.opinions_without(batch.readouts[i], replaced))
    return without


def expectation(
    family: Family, preprocessor: Preprocessor, batch: FeatureBatch, i: int, j: int, mixture: CellMixture | None = None
) -> tuple[float, float, float, float]:
    """(expected, low, high, probability) of the cell in row `i` and column `j`, given the others: see `Explanation`.

    By the networks of `family`, or by the `mixture`.
    """
    by = family if mixture is None else mixture
    layout, (encoder, nth) = preprocessor.layout, preprocessor.of_columns[j]
    features, values = encoder.grid(nth)
    if not KINDS[layout.slots[j].kind].is_ordered:
        probability = conditional_probability(by, layout, batch, i, j, features, np.ones(values.size))
        return float(values[probability.argmax()]), math.nan, math.nan, float(probability.max())
    grid = features[:, 0]
    median, low, high = _median_and_range(by, layout, batch, i, j, grid, values)
    if low == values[0] or high == values[-1]:  # the other cells may point beyond the training range
        extended = extend_grid(grid, imputed_feature(by, layout, batch, i, j))
        if extended.size > grid.size:
            beyond = encoder.decode(nth, extended[:, None])
            median, low, high = _median_and_range(by, layout, batch, i, j, extended, beyond)
    return median, low, high, math.nan


def expected_level(
    regression: LevelRegression, preprocessor: Preprocessor, batch: FeatureBatch, i: int, j: int
) -> tuple[float | None, float, float]:
    """(expected, probability, own probability) of the cell in row `i` and column `j`, given the others.

    `expected` is the most probable level as a cell: NaN where no value is expected, None where any other value is. The
    own probability is that of the value of the cell, or of its lack of one; NaN where that is no level of its own.
    """
    levels, (encoder, nth) = regression.levels, preprocessor.of_columns[j]
    values, state = batch.values[i : i + 1], batch.state[i : i + 1]
    probability = np.where(levels.column == j, regression.probabilities(values, state)[0], 0.0)
    is_own = levels.of_cells(values, state)[0] & (levels.kind != OTHER)
    own = float(probability[is_own].sum()) if is_own[levels.column == j].any() else math.nan
    best = int(probability.argmax())
    share = float(probability[best])
    if levels.kind[best] != VALUE:
        return math.nan if levels.kind[best] == ABSENT else None, share, own
    feature = levels.value[best : best + 1, None]
    if KINDS[preprocessor.layout.slots[j].kind].is_ordered:
        return number_of_level(encoder, nth, feature), share, own
    return float(encoder.decode(nth, feature)[0]), share, own


def number_of_level(encoder: Encoder, nth: int, feature: np.ndarray) -> float:
    """The number or date of a level with this `feature` (1, 1) float32, as the table writes it.

    A value that comes often is among the quantiles of training, which are exact. Decoded from its feature it would be
    off by single precision of the spread: by seconds of a date, or by all of it where a few readings are far larger.
    """
    known = encoder.recalled(nth)
    features = np.zeros((known.size, 1), np.float32)
    encoder.encode(nth, known, np.full(known.size, PRESENT, np.uint8), features)
    off = np.abs(features[:, 0] - feature[0, 0])
    nearest, spread = int(off.argmin()), encoder.moments(nth)[1]
    if off[nearest] <= SAME_VALUE * max(1.0, abs(float(feature[0, 0]))):
        found, size, digits = float(known[nearest]), max(spread, abs(float(known[nearest]))), DIGITS_OF_NUMBER
    else:
        found, size, digits = float(encoder.decode(nth, feature)[0]), spread, DIGITS_OF_LEVEL
    return round(found, digits - 1 - math.floor(math.log10(size))) + 0.0


def _median_and_range(
    by: Family | CellMixture, layout: Layout, batch: FeatureBatch, i: int, j: int, grid: np.ndarray, numbers: np.ndarray
) -> tuple[float, float, float]:
    """Median and middle 68 % of `numbers` (g,), whose features are `grid` (g,), by their conditional probability."""
    weight = np.gradient(grid) if grid.size > 1 else grid
    share = conditional_probability(by, layout, batch, i, j, grid[:, None], weight)
    median, low, high = np.interp((0.5, ONE_SIGMA, 1 - ONE_SIGMA), np.cumsum(share) - 0.5 * share, numbers)
    return float(median), float(low), float(high)


def imputed_feature(by: Family | CellMixture, layout: Layout, batch: FeatureBatch, i: int, j: int) -> float:
    """The feature of the number in column `j` of row `i` as imputed from the others, the mean over members.

    It may lie outside the training range.
    """
    slot = layout.slots[j]
    if isinstance(by, CellMixture):
        replaced = (np.arange(layout.n_columns) == j)[None]
        return float(by.expected_features(batch.values[i : i + 1], batch.state[i : i + 1], replaced)[0, slot.start])
    family = by
    state = batch.state[i : i + 1].copy()
    state[:, j] = PRESENT
    unknown = np.zeros((1, layout.n_features), bool)
    unknown[:, slot.start] = True
    x = family.likelihood.to_likelihood_space(batch.values[i : i + 1], state)
    imputed = impute(family, x, state, unknown, accelerated=True)
    return float(imputed[:, 0, slot.start].astype(np.float64).mean())


def extend_grid(grid: np.ndarray, feature: float) -> np.ndarray:
    """The ascending `grid` (g,), or (2g,) if `feature` lies well beyond an end: extended to there and as far again."""
    if not WELL_BEYOND < max(grid[0] - feature, feature - grid[-1]) < TOO_FAR:
        return grid
    end = grid[-1] if feature > grid[-1] else grid[0]
    steps = np.linspace(end, end + 2 * (feature - end), grid.size + 1)[1:]
    return np.sort(np.concatenate([grid, steps]))


def conditional_probability(
    by: Family | CellMixture,
    layout: Layout,
    batch: FeatureBatch,
    i: int,
    j: int,
    values: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Probability (g,) of each of `values` (g, width of the slot) in column `j` of row `i`, given its other cells.

    `weight` (g,) is the width of the interval that a value stands for, 1 for a category. The probabilities sum to 1.
    """
    slot = layout.slots[j]
    features = np.repeat(batch.values[i : i + 1], len(values), axis=0)
    features[:, slot.start : slot.stop] = values
    state = np.repeat(batch.state[i : i + 1], len(values), axis=0)
    state[:, j] = PRESENT
    if isinstance(by, CellMixture):
        nats = by.nats(features, state)[:, j].astype(np.float64)
        share = np.exp(nats.min() - nats) * weight
        return np.asarray(share / share.sum())
    return conditional(by, features, state, weight)
