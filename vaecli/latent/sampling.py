"""New rows from the model: a code from the exemplar prior, its row from the decoder, its values from training.

    z = μ_i + Λ̄^(−½) ε             i a random exemplar of a member, ε ~ N(0, I): the prior that scoring uses (`codes`)
    z = μ(x) + σ(x) ε              around a given row x instead: its posterior
    v ~ p(x | z)                   by the same member, with the noise of the likelihood

Members are those of the first family, whose KL term has its full weight: its posterior is as wide as training rows are
uncertain, so the bells around exemplars fill what lies between them. Row g is made by member g mod e.

A decoder's normal distribution knows nothing of ties, of steps or of a smallest value. So v only ranks the row: what a
column holds at that rank is what training rows held (`marginals`). A pilot estimates the distribution of v: rows drawn
once that visit the exemplars evenly. It also shifts what is drawn for booleans, categories and gaps until their
shares are those of training. All these are monotone, column by column: the model decides how columns hang together.

Random numbers are drawn by tiles of whole rows, from seed and number of the tile: any stretch can be made by itself.

NumPy only. Shapes: t rows of a tile, c columns, e members, k latent dimensions, N exemplars, p decoder outputs; m
numbers and dates, b booleans, q categorical columns of K categories altogether, g columns with gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.marginals import Marginal, Marginals
from vaecli.data.preprocessor import FeatureBatch
from vaecli.data.strings.string_model import StringModel
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods.likelihood import Block
from vaecli.model.network import decode, encode
from vaecli.model.tiles import tiled
from vaecli.schema import Column, Kind, Layout

MEMBER_ROWS = 128  # of a tile, by each member
STRING_ROWS = 1024
PILOT_ROWS, FEWEST_PILOT_ROWS = 32_768, 4096
PILOT_CELLS = 2**23  # of decoder outputs; a wide table has a smaller pilot, so that it fits into memory
_PRIOR, _PILOT, _AROUND = 0x5A3E, 0x9107, 0xA20D


@dataclass(frozen=True, slots=True)
class RandomDraws:
    """All that is random in t rows."""

    exemplar: np.ndarray  # (t,) which of the N
    code: np.ndarray  # (t, k) standard normal
    noise: tuple[np.ndarray, ...]  # of each block of the likelihood
    presence: np.ndarray  # (t, g)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the likelihood draws for t rows, before it is looked up what training columns held."""

    parts: tuple[np.ndarray, ...]  # of each block of the likelihood
    presence: np.ndarray  # (t, g)

    def __getitem__(self, which: slice) -> Drawn:
        return Drawn(tuple(part[which] for part in self.parts), self.presence[which])

    @classmethod
    def concatenate(cls, drawn: Sequence[Drawn]) -> Drawn:
        """The draws of all parts, in order."""
        parts = zip(*(one.parts for one in drawn), strict=True)
        return cls(tuple(map(np.concatenate, parts)), np.concatenate([one.presence for one in drawn]))


@dataclass(frozen=True, slots=True)
class Corrections:
    """What makes the columns of drawn rows those of training."""

    parts: tuple[np.ndarray, ...]  # of each block of the likelihood
    presence: np.ndarray  # (g,)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Makes any stretch of the rows of one seed."""

    family: Family
    layout: Layout
    columns: tuple[Column, ...]
    marginals: Marginals
    seed: int
    corrections: Corrections
    strings: tuple[StringModel, ...] = ()  # of the text columns

    @classmethod
    def of(cls, family: Family, layout: Layout, columns: Sequence[Column], marginals: Marginals, seed: int) -> Sampler:
        """The sampler of one seed; it draws the pilot, which takes about a second."""
        return cls(family, layout, tuple(columns), marginals, seed, _corrections(family, columns, marginals, seed))

    def rows(self, start: int, stop: int) -> Cells:
        """The cells of rows number `start` to `stop` of those that the prior gives."""

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
        """The cells of rows `start` to `stop` of those made around given rows, `n_each` around each in turn.

        `posterior`, means and standard deviations (e, n, k), is that of n given rows from number `first` on.
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
        cells = self._cells(Drawn.concatenate(parts), np.arange(start, stop))
        return self._with_strings(cells, key) if self.strings else cells

    def _with_strings(self, cells: Cells, key: int) -> Cells:
        """The cells with a string of the class of each text cell, which the seed and the number of the row decide."""
        texts = np.full((len(cells), len(self.strings)), None)
        for t, ((j, _), model) in enumerate(zip(self.layout.of_kind(Kind.TEXT), self.strings, strict=True)):
            there = np.flatnonzero(cells.state[:, j] == PRESENT)
            texts[there, t] = drawn_strings(model, cells.values[there, j], cells.row[there], (self.seed, key, t))
        return replace(cells, texts=texts)

    def _cells(self, drawn: Drawn, rows: np.ndarray) -> Cells:
        likelihood, found = self.family.likelihood, self.corrections
        values = np.empty((rows.size, self.layout.n_columns))
        for block, part, correction in zip(likelihood.blocks, drawn.parts, found.parts, strict=True):
            known = _of_block(block, self.marginals, self.columns)
            values[:, block.columns] = block.distribution.cells(part, correction, *known)
        values[~likelihood.presence.cells(drawn.presence, found.presence)] = np.nan
        return Cells(values, np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8), rows)


def drawn_strings(model: StringModel, codes: np.ndarray, row: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """A string (n,) of each of the classes `codes` (n,), by `seed` and the numbers of the rows (n,) alone.

    Rows of a stretch of STRING_ROWS share a draw, in which a class has as many strings.
    """
    found = np.full(row.size, None)
    for stretch in np.unique(row // STRING_ROWS):
        inside = np.flatnonzero(row // STRING_ROWS == stretch)
        for k in np.unique(codes[inside]).astype(np.int64).tolist():
            rng = np.random.default_rng([*seed, k, int(stretch)])
            strings = np.array(model.sample(rng, np.full(STRING_ROWS, k)), object)
            mine = inside[codes[inside] == k]
            found[mine] = strings[row[mine] % STRING_ROWS]
    return found


def _of_block(
    block: Block, marginals: Marginals, columns: Sequence[Column]
) -> tuple[list[Marginal | np.ndarray], list[Column]]:
    return [marginals.columns[j] for j in block.columns], [columns[j] for j in block.columns]


def _tile_rows(family: Family) -> int:
    return MEMBER_ROWS * len(family.held_out)


def _chance(family: Family, seed: tuple[int, ...], size: int) -> RandomDraws:
    rng, likelihood = np.random.default_rng(seed), family.likelihood
    n_latent, n_exemplars = family.noise.shape[-1], family.exemplar_prior.codes.shape[1]
    return RandomDraws(
        rng.integers(n_exemplars, size=size),
        rng.standard_normal((size, n_latent), np.float32),
        tuple(block.distribution.noise(rng, size) for block in likelihood.blocks),
        likelihood.presence.noise(rng, size),
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
    parts = [
        block.distribution.sample(output[:, block.outputs], noise)
        for block, noise in zip(likelihood.blocks, chance.noise, strict=True)
    ]
    presence = output[:, likelihood.presence_outputs]
    return Drawn(tuple(parts), likelihood.presence.sample(presence, chance.presence))


# -- the pilot ----------------------------------------------------------------------------------


def _corrections(family: Family, columns: Sequence[Column], marginals: Marginals, seed: int) -> Corrections:
    pilot, likelihood = _pilot(family, seed), family.likelihood
    presence = likelihood.presence.fit_corrections(pilot.presence)
    there = likelihood.presence.cells(pilot.presence, presence)
    there[:, ~there.any(0)] = True  # a column of nothing but gaps
    parts = [
        block.distribution.fit_corrections(part, there[:, block.columns], *_of_block(block, marginals, columns))
        for block, part in zip(likelihood.blocks, pilot.parts, strict=True)
    ]
    return Corrections(tuple(parts), presence)


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
