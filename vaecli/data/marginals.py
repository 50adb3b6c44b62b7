"""How often each value of a column occurred in training: what new rows have to repeat, column by column.

A number or date whose readings repeat keeps its values and their cumulative shares, a staircase; one that hardly
repeats keeps up to `MOST_KNOTS` readings at evenly spaced ranks, between which values are interpolated and rounded to
the step in which the column was recorded. Equal neighbours among them are an atom, which interpolation leaves alone.
Booleans and categories keep their counts.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import Cells
from vaecli.data.kinds import KINDS, Encoder
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.transforms import rounded
from vaecli.schema import Column, Layout, Slot

MOST_KNOTS = 2048  # of a number; with 256 as for ranks, a classifier recognised 99 % of generated NSL-KDD rows
REPEATING = 2.0  # readings a distinct value, from which on a column is a set of values
LARGEST_DECIMALS, SMALLEST_DECIMALS = 9, -9
DIGITS = 7  # of a standard deviation that stored quantiles keep
MOST_COUNTED = 2**40  # cells of one kind that a column may have had
OF_OLDEST = ("booleans", "categories")  # counts that a bundle holds where it has no column of them, too
CLOCK = (86_400, 3_600, 60, 1)  # seconds: the steps of dates


@dataclass(frozen=True, slots=True)
class Marginal:
    """The values of one number or date in training, (v,) ascending, in its own units; none where all were missing.

    If `is_discrete`, `share` (v,) is the share of readings up to each value; else the ranks of the values.
    """

    values: np.ndarray
    share: np.ndarray
    is_discrete: bool

    @classmethod
    def of(cls, readings: np.ndarray) -> Marginal:
        """The marginal of `readings` (n,) without NaN, in the units of the column."""
        values, counts = np.unique(readings, return_counts=True)
        if values.size <= MOST_KNOTS and REPEATING * values.size <= readings.size:
            return cls(values, np.cumsum(counts) / max(readings.size, 1), is_discrete=True)
        ordered = np.sort(readings)
        rank = np.linspace(0.0, 1.0, min(MOST_KNOTS, ordered.size))
        return cls(ordered[np.round(rank * (ordered.size - 1)).astype(np.int64)], rank, is_discrete=False)

    def at(self, rank: np.ndarray, column: Column) -> np.ndarray:
        """The values (n,) at `rank` (n,) within [0, 1], the smallest at 0; NaN if training had none."""
        if not self.values.size:
            return np.full(rank.shape, np.nan)
        if self.is_discrete:
            return self.values[np.minimum(np.searchsorted(self.share, rank, side="right"), self.values.size - 1)]
        found = np.interp(rank, self.share, self.values)
        if column.is_date:
            step = next((step for step in CLOCK if not (self.values % step).any()), None)
            moments = found if step is None else np.round(found / step) * step
            return np.clip(moments, self.values[0], self.values[-1])
        decimals = _decimals(self.values)
        return np.clip(rounded(found, decimals), *rounded(self.values[[0, -1]], decimals))


@dataclass(frozen=True, slots=True)
class Marginals:
    """The marginals of all columns in schema order: a `Marginal` where values are ordered, else an array of counts.

    A boolean has counts (2,) of false and true, a categorical column (K,), "other" included, all 0 where they are not
    known.
    """

    layout: Layout
    columns: tuple[Marginal | np.ndarray, ...]

    @classmethod
    def of(cls, cells: Cells, layout: Layout) -> Marginals:
        """The marginals of `cells` (n, c): the training rows, or a uniform sample of them."""
        present = [cells.values[~np.isnan(cells.values[:, j]), j] for j in range(layout.n_columns)]
        return cls(layout, tuple(_marginal(*one) for one in zip(layout.slots, present, strict=True)))

    @classmethod
    def from_quantiles(cls, preprocessor: Preprocessor, columns: Sequence[Column]) -> Marginals:
        """What the preprocessing of a bundle that keeps none remembers of them: a few quantiles, shares of booleans."""
        found = [_recalled(column, *one) for column, one in zip(columns, preprocessor.of_columns, strict=True)]
        return cls(preprocessor.layout, tuple(found))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, those of all columns side by side (v,); `from_arrays` is the inverse."""
        none, ordered = [np.zeros(0)], [one for one in self.columns if isinstance(one, Marginal)]
        arrays = {
            "values": np.concatenate([*(one.values for one in ordered), *none]),
            "share": np.concatenate([*(one.share for one in ordered), *none]),
            "size": np.array([one.values.size for one in ordered], np.int64),
            "stairs": np.array([one.is_discrete for one in ordered], np.int64),
        }
        for name, shape, where in _counted(self.layout):
            counts = [np.asarray(self.columns[j], np.int64) for j in where]
            arrays[name] = np.concatenate([*counts, np.zeros(0, np.int64)]).reshape(shape)
        return arrays

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> Marginals:
        """The marginals in arrays (v,) of `to_arrays`. Raises KeyError or ValueError on arrays not of this layout."""
        ordered = [j for j, slot in enumerate(layout.slots) if KINDS[slot.kind].is_ordered]
        size, is_discrete, values, share = (arrays[name] for name in ("size", "stairs", "values", "share"))
        whole = [size, is_discrete]
        shapes: list[tuple[int, ...]] = [(len(ordered),), (len(ordered),)]
        for name, shape, where in _counted(layout):
            whole.append(arrays[name])
            shapes.append(np.empty(sum(layout.slots[j].n_codes for j in where)).reshape(shape).shape)
        if any(one.dtype != np.int64 for one in whole) or any(one.dtype != np.float64 for one in (values, share)):
            raise ValueError("the marginals are not of their types")
        if [one.shape for one in whole] != shapes or (is_discrete != is_discrete.clip(0, 1)).any():
            raise ValueError("the marginals are not those of these columns")
        if any(one.size and not 0 <= one.min() <= one.max() <= MOST_COUNTED for one in whole):
            raise ValueError("the marginals have counts below 0, or beyond all tables")
        if not values.shape == share.shape == (int(size.sum()),):
            raise ValueError("the marginals have values without shares")
        found: dict[int, Marginal | np.ndarray] = {}
        for j, n, stop, stair in zip(ordered, size, np.cumsum(size), is_discrete, strict=True):
            found[j] = one = Marginal(values[stop - n : stop], share[stop - n : stop], bool(stair))
            if not np.isfinite(one.values).all() or (np.diff(one.values) < 0).any() or not _are_shares(one.share):
                raise ValueError("the marginals are not ascending, or not finite")
        for name, _, where in _counted(layout):
            starts = np.cumsum([0, *(layout.slots[j].n_codes for j in where)])[:-1]
            found |= zip(where, np.split(arrays[name].ravel(), starts)[1:], strict=True)
        return cls(layout, tuple(found[j] for j in range(layout.n_columns)))


def _marginal(slot: Slot, present: np.ndarray) -> Marginal | np.ndarray:
    if KINDS[slot.kind].is_ordered:
        return Marginal.of(present)
    return np.bincount(present.astype(np.int64), minlength=slot.n_codes)


def _recalled(column: Column, encoder: Encoder, i: int) -> Marginal | np.ndarray:
    known = encoder.recalled(i)
    if not KINDS[column.kind].is_ordered:
        return known
    decimals = 0 if column.whole else DIGITS - int(np.floor(np.log10(encoder.moments(i)[1])))
    return Marginal(rounded(known, decimals), np.linspace(0.0, 1.0, known.size), is_discrete=False)


def _counted(layout: Layout) -> list[tuple[str, tuple[int, ...], list[int]]]:
    """Name and shape of each array of counts, and the columns of codes that it is of."""
    known = dict.fromkeys(kind.counts for kind in KINDS.values() if not kind.is_ordered)
    where = {one: [j for j, slot in enumerate(layout.slots) if KINDS[slot.kind].counts == one] for one in known}
    return [(*one, of_one) for one, of_one in where.items() if of_one or one[0] in OF_OLDEST]


def _are_shares(share: np.ndarray) -> bool:
    return bool(
        np.isfinite(share).all() and (np.diff(share) > 0).all() and (share >= 0).all() and (share <= 1 + 1e-9).all()
    )


def _decimals(values: np.ndarray) -> int | None:
    """The fewest decimals with which all values are written, below 0 for multiples of 10, 100, …; None for many."""
    digit = np.finfo(float).eps * np.abs(values)  # about the last one of each
    for decimals in range(SMALLEST_DECIMALS, LARGEST_DECIMALS + 1):
        # Arrow's decimals become floats next to the nearest one, which matters not where digits are far finer
        spare = 2.0 if 10.0**-decimals > 1000 * digit.max(initial=0.0) else 0.0
        if (np.abs(np.round(values, decimals) - values) <= spare * digit).all():
            return decimals
    return None
