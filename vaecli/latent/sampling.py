"""New rows from the model: a code from the exemplar prior, its row from the decoder, its values from training.

    z = μ_i + Λ̄^(−½) ε             i a random exemplar of a member, ε ~ N(0, I): the prior that scoring uses (`codes`)
    z = μ(x) + σ(x) ε              around a given row x instead: its posterior
    v ~ p(x | z)                   by the same member, with the noise of the likelihood

Members are those of the first family, whose KL term has its full weight: its posterior is as wide as training rows are
uncertain, so the bells around exemplars fill what lies between them. Row g is made by member g mod e.

A decoder's normal distribution knows nothing of ties, of steps or of a smallest value. So v only ranks the row: what a
column holds at that rank is what training rows held (`marginals`). How v is distributed, a pilot tells: rows drawn once
that visit the exemplars evenly. It also shifts what is drawn for booleans, categories and gaps until their
shares are those of training. All these are monotone, column by column: how columns hang together is the model's.

Chance is drawn by tiles of whole rows, by seed and number of the tile: any stretch of rows may be made by anyone.

NumPy only. Shapes: t rows of a tile, c columns, e members, k latent dimensions, N exemplars, p decoder outputs; m
numbers and dates, b booleans, q categorical columns of K categories altogether, g columns with gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.marginals import Marginals
from vaecli.data.preprocessor import NUMBERS, FeatureBatch
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods import MAX_LOGIT
from vaecli.model.network import decode, encode
from vaecli.model.tiles import tiled
from vaecli.schema import Column, Kind, Layout

MEMBER_ROWS = 128  # of a tile, by each member
PILOT_ROWS, FEWEST_PILOT_ROWS = 32_768, 4096
PILOT_CELLS = 2**23  # of what the decoder says; a wide table has a smaller pilot, so that it fits into memory
PILOT_KNOTS = 2049
SHIFT_ROWS, SHIFT_ROUNDS, CLOSE_ENOUGH = 8192, 50, 5e-4
MOST_LOG_VARIANCE = 80.0  # of a cell; beyond it float32 overflows, and every draw is out of range anyway
NEVER = -1e4  # a logit
_PRIOR, _PILOT, _AROUND = 0x5A3E, 0x9107, 0xA20D


@dataclass(frozen=True, slots=True)
class RandomDraws:
    """All that is random in t rows."""

    exemplar: np.ndarray  # (t,) which of the N
    code: np.ndarray  # (t, k) standard normal, as are
    number: np.ndarray  # (t, m)
    boolean: np.ndarray  # (t, b) logistic
    category: np.ndarray  # (t, q) uniform
    presence: np.ndarray  # (t, g) logistic


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the decoder says of t rows, noise included, before it is looked up what training columns held."""

    number: np.ndarray  # (t, m) features
    boolean: np.ndarray  # (t, b) true above a bar
    category: np.ndarray  # (t, K) logits
    uniform: np.ndarray  # (t, q) that choose among them
    presence: np.ndarray  # (t, g) there above a bar

    def __getitem__(self, which: slice) -> Drawn:
        parts = (self.number, self.boolean, self.category, self.uniform, self.presence)
        return Drawn(*(part[which] for part in parts))

    @classmethod
    def concatenate(cls, parts: Sequence[Drawn]) -> Drawn:
        """One after the other."""
        names = ("number", "boolean", "category", "uniform", "presence")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Corrections:
    """What makes the columns of drawn rows those of training."""

    knots: np.ndarray  # (m, r) values of drawn numbers at evenly spaced ranks
    boolean_bar: np.ndarray  # (b,)
    shift: np.ndarray  # (K,) added to logits
    presence_bar: np.ndarray  # (g,)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Makes any stretch of the rows of one seed."""

    family: Family
    layout: Layout
    columns: tuple[Column, ...]
    marginals: Marginals
    seed: int
    corrections: Corrections

    @classmethod
    def of(cls, family: Family, layout: Layout, columns: Sequence[Column], marginals: Marginals, seed: int) -> Sampler:
        """Draws the pilot: about a second."""
        return cls(
            family, layout, tuple(columns), marginals, seed, _corrections(family, layout, columns, marginals, seed)
        )

    def rows(self, start: int, stop: int) -> Cells:
        """Rows number `start` to `stop` of those that the prior gives."""

        def codes(_rows: np.ndarray, chance: RandomDraws) -> np.ndarray:
            return _around_exemplars(self.family.exemplar_prior, chance)

        return self._made(start, stop, _PRIOR, codes)

    def posterior(self, batch: FeatureBatch) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of q(z|x) of given rows, (e, n, k), for `rows_around`."""
        shape = (len(self.family.held_out), len(batch), self.family.noise.shape[-1])
        mean, spread = np.empty((2, *shape), np.float32)
        for rows, within, features, state in tiled(batch):
            found, log_variance = encode(self.family.parameters, self.family.likelihood, features, state)
            mean[:, rows], spread[:, rows] = found[:, within], np.exp(0.5 * log_variance)[:, within]
        return mean, spread

    def rows_around(
        self, posterior: tuple[np.ndarray, np.ndarray], first: int, n_each: int, start: int, stop: int
    ) -> Cells:
        """Rows `start` to `stop` of those made around given rows, `n_each` around the first, then the second, …

        `posterior` is that of given rows number `first` and on, among which those asked for are.
        """
        mean, spread = posterior

        def codes(rows: np.ndarray, chance: RandomDraws) -> np.ndarray:
            given = np.clip(rows // n_each - first, 0, mean.shape[1] - 1)  # what is out of reach is not asked for
            member = rows % mean.shape[0]
            found: np.ndarray = mean[member, given] + spread[member, given] * chance.code
            return found

        return self._made(start, stop, _AROUND, codes)

    def _made(self, start: int, stop: int, key: int, codes: Callable[[np.ndarray, RandomDraws], np.ndarray]) -> Cells:
        size, parts = _tile_rows(self.family), []
        for tile in range(start // size, max(-(-stop // size), start // size + 1)):
            rows = np.arange(tile * size, (tile + 1) * size)
            chance = _chance(self.family, (self.seed, key, tile), size)
            within = slice(max(start - int(rows[0]), 0), min(stop - int(rows[0]), size))
            parts.append(_drawn(self.family, codes(rows, chance), chance)[within])
        return self._cells(Drawn.concatenate(parts), np.arange(start, stop))

    def _cells(self, drawn: Drawn, rows: np.ndarray) -> Cells:
        values, found = np.empty((rows.size, self.layout.n_columns)), self.corrections
        ranks = np.linspace(0.0, 1.0, PILOT_KNOTS)
        for i, (j, _) in enumerate(self.layout.of_kind(*NUMBERS)):
            rank = np.interp(drawn.number[:, i], found.knots[i], ranks)
            values[:, j] = self.marginals.numbers[i].at(rank, self.columns[j])
        for i, (j, _) in enumerate(self.layout.of_kind(Kind.BOOLEAN)):
            values[:, j] = drawn.boolean[:, i] > found.boolean_bar[i]
        for i, (j, where) in enumerate(_categories(self.layout)):
            share = _shares(drawn.category[:, where] + found.shift[where]).cumsum(1)
            last = len(self.columns[j].categories) - 1  # the sum of all shares may be a little less than 1
            values[:, j] = np.minimum((share < drawn.uniform[:, i, None]).sum(1), last)
        absent = np.zeros(values.shape, bool)
        absent[:, self.family.likelihood.has_missing] = drawn.presence <= found.presence_bar
        values[absent] = np.nan
        return Cells(values, np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8), rows)


def _tile_rows(family: Family) -> int:
    return MEMBER_ROWS * len(family.held_out)


def _chance(family: Family, seed: tuple[int, ...], size: int) -> RandomDraws:
    rng, likelihood = np.random.default_rng(seed), family.likelihood
    n_latent, n_exemplars = family.noise.shape[-1], family.exemplar_prior.codes.shape[1]
    return RandomDraws(
        rng.integers(n_exemplars, size=size),
        rng.standard_normal((size, n_latent), np.float32),
        rng.standard_normal((size, likelihood.n_numeric), np.float32),
        rng.logistic(size=(size, likelihood.n_boolean)),
        rng.random((size, likelihood.membership.shape[1])),
        rng.logistic(size=(size, likelihood.has_missing.size)),
    )


def _around_exemplars(prior: ExemplarPrior, chance: RandomDraws) -> np.ndarray:
    """(t, k): place + ε, in units of the codes' uncertainty."""
    member = np.arange(chance.exemplar.size) % prior.codes.shape[0]
    place = prior.codes[member, chance.exemplar] + chance.code
    found: np.ndarray = place / prior.scale[member, 0] + prior.center[member, 0]
    return found


def _drawn(family: Family, z: np.ndarray, chance: RandomDraws) -> Drawn:
    """Rows for codes `z` (t, k), the first by member 0, the second by member 1, …"""
    likelihood, e = family.likelihood, len(family.held_out)
    by_member = np.ascontiguousarray(z.reshape(-1, e, z.shape[1]).transpose(1, 0, 2))
    output = decode(family.parameters, by_member).transpose(1, 0, 2).reshape(z.shape[0], -1)
    m, b, n_categories = likelihood.n_numeric, likelihood.n_boolean, likelihood.membership.shape[0]
    mean, log_variance, yes, category, presence = np.split(output, np.cumsum([m, m, b, n_categories]), axis=1)
    spread = np.exp(0.5 * np.minimum(likelihood.log_variance(log_variance), MOST_LOG_VARIANCE))
    return Drawn(
        mean + spread * chance.number,
        yes + chance.boolean,
        np.clip(category, -MAX_LOGIT, MAX_LOGIT),
        chance.category,
        presence + chance.presence,
    )


def _categories(layout: Layout) -> Iterator[tuple[int, slice]]:
    """(column, where its logits are among those of all) of each categorical column."""
    start = 0
    for j, slot in layout.of_kind(Kind.CATEGORICAL):
        width = slot.stop - slot.start
        yield j, slice(start, start + width)
        start += width


def _shares(logits: np.ndarray) -> np.ndarray:
    weight = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray = weight / weight.sum(1, keepdims=True)
    return found


# -- the pilot ----------------------------------------------------------------------------------


def _corrections(
    family: Family, layout: Layout, columns: Sequence[Column], marginals: Marginals, seed: int
) -> Corrections:
    pilot, likelihood = _pilot(family, seed), family.likelihood
    missing = likelihood.n_missing / likelihood.n_rows
    presence_bar = np.array([_bar(pilot.presence[:, i], missing[j]) for i, j in enumerate(likelihood.has_missing)])
    there = np.ones((len(pilot.number), layout.n_columns), bool)
    there[:, likelihood.has_missing] = pilot.presence > presence_bar
    there[:, ~there.any(0)] = True  # a column of nothing but gaps

    ranks = np.linspace(0.0, 1.0, PILOT_KNOTS)
    knots = [np.quantile(pilot.number[there[:, j], i], ranks) for i, (j, _) in enumerate(layout.of_kind(*NUMBERS))]
    shares = marginals.booleans[:, 0] / np.maximum(marginals.booleans.sum(1), 1)
    bars = [_bar(pilot.boolean[there[:, j], i], shares[i]) for i, (j, _) in enumerate(layout.of_kind(Kind.BOOLEAN))]
    shift = np.zeros(pilot.category.shape[1])
    for i, (j, where) in enumerate(_categories(layout)):
        n_kept = len(columns[j].categories)
        logits = pilot.category[there[:, j], where]
        logits = logits[:: -(-len(logits) // SHIFT_ROWS)]
        shift[where] = _shift(logits, marginals.categories[i], n_kept)
    return Corrections(np.array(knots).reshape(-1, PILOT_KNOTS), np.array(bars), shift, presence_bar)


def _pilot(family: Family, seed: int) -> Drawn:
    """Rows that visit the exemplars of every member evenly."""
    size, n_exemplars, e = _tile_rows(family), family.exemplar_prior.codes.shape[1], len(family.held_out)
    n_rows = min(PILOT_ROWS, max(PILOT_CELLS // family.likelihood.n_parameters, FEWEST_PILOT_ROWS))
    n_tiles, parts = -(-n_rows // size), []
    for tile in range(n_tiles):
        place = (tile * MEMBER_ROWS + np.arange(size) // e) * n_exemplars // (n_tiles * MEMBER_ROWS)
        chance = replace(_chance(family, (seed, _PILOT, tile), size), exemplar=place)
        parts.append(_drawn(family, _around_exemplars(family.exemplar_prior, chance), chance))
    return Drawn.concatenate(parts)


def _bar(drawn: np.ndarray, share: float) -> float:
    """What this share of (n,) values is at or below."""
    return float(np.quantile(drawn, share)) if 0 < share < 1 else (-np.inf if share <= 0 else np.inf)


def _shift(logits: np.ndarray, counts: np.ndarray, n_kept: int) -> np.ndarray:
    """(K,) what makes the mean share of each category that of `counts`; "other", behind `n_kept`, never comes.

    Which of the rare values behind "other" it is nobody could say. Iterative proportional fitting.
    """
    shift = np.where(np.arange(counts.size) < n_kept, 0.0, NEVER)
    kept = counts[:n_kept]
    if not kept.sum():
        return shift
    wanted = kept / kept.sum()
    shift[:n_kept][kept == 0] = NEVER
    met = np.flatnonzero(kept)
    for _ in range(SHIFT_ROUNDS):
        found = _shares(logits + shift).mean(0)[met]
        shift[met] += np.log(wanted[met] / np.maximum(found, np.finfo(float).tiny))
        if np.abs(found - wanted[met]).max() < CLOSE_ENOUGH:
            break
    return shift
