"""How rare each cell is in its own column: limits on every column, learned from normal rows.

    rarity = log((n + 1) / (k + 1)) + beyond

k of the n training rows hold a cell that is as far out on the same side of its column, or of a category, a boolean or a
gap the same one. Beyond all readings, where k = 0, a generalised Pareto tail of that side takes over: `beyond` is −log
of the share of further readings that would lie so far out. Only outer readings are kept, since others are not rare;
between two that are kept, k is the upper limit.

NumPy only. Shapes: n rows, c columns, d features, t ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.kinds import KINDS
from vaecli.data.per_column import per_column
from vaecli.schema import MOST_COUNTED, Layout

LARGEST_BEYOND = 1e6  # nats
SIDES = (1, -1)  # high readings, low ones
N_STATES = 3
_COUNTS = ("n_rows", "ranks", "n_present", "n_codes", "n_states")
_NUMBERS = ("outer", "scale", "shape")


@dataclass(frozen=True, slots=True)
class ColumnTails:
    """The outer readings of every column in training, in the unit of its features.

    `ranks` (t,) ascend from 1. `outer` (c, 2, t) float32 holds the readings of these ranks, counted from the high end
    and from the low end, the latter with the sign changed; −inf where a column has fewer or is not a number. `scale`
    and `shape` (c, 2) float64 describe the tail beyond the first. Counts of training rows, int64: `n_rows` (1,) of all,
    `n_present` (c,) with a value, `n_codes` (d,) with a category, or with true, `n_states` (c, 3) PRESENT, MISSING and
    NOVEL.
    """

    layout: Layout
    n_rows: np.ndarray
    ranks: np.ndarray
    outer: np.ndarray
    scale: np.ndarray
    shape: np.ndarray
    n_present: np.ndarray
    n_codes: np.ndarray
    n_states: np.ndarray
    _column_of: np.ndarray = field(init=False, repr=False, compare=False)  # (d,)
    _is_code: np.ndarray = field(init=False, repr=False, compare=False)  # (d,) bool
    _of_codes: np.ndarray = field(init=False, repr=False, compare=False)  # (2, d) rarity of a feature of 1, and of 0

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        slots = self.layout.slots
        column = np.array(self.layout.column_of_feature)
        n_others = np.maximum(self.n_present[column] - self.n_codes, 0)
        of_codes = np.log1p(self.n_rows[0]) - np.log1p(np.stack([self.n_codes, n_others]))
        object.__setattr__(self, "_column_of", column)
        object.__setattr__(self, "_is_code", np.array([not KINDS[slot.kind].is_ordered for slot in slots])[column])
        object.__setattr__(self, "_of_codes", of_codes)

    def limits(self, at_least: float) -> np.ndarray:
        """The features (2, d), outwards, at or beyond which a cell may have a rarity of `at_least` nats; float32."""
        limits = np.full((len(SIDES), self.layout.n_features), np.inf, np.float32)
        most_alike = np.exp(np.log1p(self.n_rows[0]) - at_least) - 1
        place = max(int(np.searchsorted(self.ranks - 1, most_alike, "right")) - 1, 0)
        for j, slot in enumerate(self.layout.slots):
            for side in range(len(SIDES)):
                if KINDS[slot.kind].is_ordered:
                    limits[side, slot.start] = self.outer[j, side, place]
                elif side == 0 or slot.stop - slot.start == 1:  # a 0 is a value of a boolean only
                    is_rare = self._of_codes[side, slot.start : slot.stop] >= at_least
                    limits[side, slot.start : slot.stop] = np.where(is_rare, 0.5 - side, np.inf)
        return limits

    def rarest(
        self, values: np.ndarray, state: np.ndarray, limits: np.ndarray, silent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rarity (n,) of the rarest cell of each row in nats, higher is rarer, and its column (n,).

        From features (n, d) and states (n, c), among the cells that reach their `limits` (2, d); −inf, and column 0,
        where no cell does. Cells that `silent` (n, c) or (1, c) marks are left out.
        """
        found = []
        for side, sign in enumerate(SIDES):
            reaches, limit = (np.greater_equal, limits[0]) if sign > 0 else (np.less_equal, -limits[1])
            row, feature = _true_of(per_column(reaches, values, limit))
            column = self._column_of[feature]
            present = state[row, column] == PRESENT
            row, column, feature = row[present], column[present], feature[present]
            found.append((row, column, self._of_cells(side, column, feature, sign * values[row, feature])))
        row, column = _true_of(state != PRESENT)
        absent = np.log1p(self.n_rows[0]) - np.log1p(self.n_states[column, state[row, column]])
        row, column, rarity = (np.concatenate(parts) for parts in zip(*found, (row, column, absent), strict=True))
        heard = ~np.broadcast_to(silent, state.shape)[row, column]
        row, column, rarity = row[heard], column[heard], rarity[heard]
        largest, where = np.full(len(values), -np.inf), np.zeros(len(values), np.int64)
        order = np.lexsort((-column, rarity))  # of equally rare cells the first column's comes last, and stays
        largest[row[order]], where[row[order]] = rarity[order], column[order]
        return largest, where

    def beyond(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """How far each cell lies beyond all readings of its column (n, c), in nats; 0 of cells among them and of codes.

        From features (n, d) and states (n, c). It is −log of the share of readings beyond all that lie farther out.
        """
        reading = values[:, [slot.start for slot in self.layout.slots]].astype(np.float64)
        beyond = np.zeros(state.shape)
        for side, sign in enumerate(SIDES):
            outermost = self.outer[:, side, 0]
            with np.errstate(invalid="ignore"):
                excess = np.maximum(sign * reading - outermost, 0.0) / self.scale[:, side]
            hazard = _hazard(np.where(np.isfinite(outermost), excess, 0.0), self.shape[:, side])
            beyond = np.maximum(beyond, np.minimum(hazard, LARGEST_BEYOND))
        return np.where(state == PRESENT, beyond, 0.0)

    def _of_cells(self, side: int, column: np.ndarray, feature: np.ndarray, outwards: np.ndarray) -> np.ndarray:
        """The rarity (m,) of present cells: a `feature` (m,) that is `outwards` (m,) on one side of its `column`."""
        if not column.size:
            return np.empty(0)
        further = np.zeros(column.size, np.int64)  # how many kept readings lie at least as far out
        last = self.ranks.size
        for step in 2 ** np.arange(int(last).bit_length())[::-1]:
            tried = further + step
            reaches = self.outer[column, side, np.minimum(tried, last) - 1] >= outwards
            further = np.where((tried <= last) & reaches, tried, further)
        n_present = self.n_present[column]
        alike = np.minimum(np.append(self.ranks - 1, self.n_rows[0])[further], n_present)
        scale, shape = self.scale[column, side], self.shape[column, side]
        outermost = self.outer[column, side, 0]
        known = np.where((further == 0) & np.isfinite(outermost), outermost, outwards)
        excess = (outwards.astype(np.float64) - known) / scale
        beyond = _hazard(excess, shape)
        rarity = np.log1p(self.n_rows[0]) - np.log1p(alike) + np.minimum(beyond, LARGEST_BEYOND)
        return np.where(self._is_code[feature], self._of_codes[side, feature], rarity)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in this class; `from_arrays` is the inverse."""
        return {name: getattr(self, name) for name in (*_COUNTS, *_NUMBERS)}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> ColumnTails:
        """The tails in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        found = {name: arrays[name] for name in (*_COUNTS, *_NUMBERS)}
        c, n_ranks = layout.n_columns, found["ranks"].size
        shapes = {
            "n_rows": (1,),
            "ranks": (n_ranks,),
            "n_present": (c,),
            "n_codes": (layout.n_features,),
            "n_states": (c, N_STATES),
            "outer": (c, len(SIDES), n_ranks),
            "scale": (c, len(SIDES)),
            "shape": (c, len(SIDES)),
        }
        for name, array in found.items():
            dtype = np.int64 if name in _COUNTS else np.float32 if name == "outer" else np.float64
            if array.dtype != dtype or array.shape != shapes[name]:
                raise ValueError(f"{name} of the column tails is not {shapes[name]} of {np.dtype(dtype)}")
        _require_tails(found)
        return cls(layout, **found)


def _true_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`np.nonzero` of a mask (n, m) bool, an eighth of the time where few are true."""
    row, column = np.divmod(np.flatnonzero(mask), max(mask.shape[1], 1))
    return row, column


def _hazard(excess: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """−log of the share of a Pareto tail of that `shape` beyond `excess` (…) of its scale."""
    return np.where(shape == 0, excess, np.log1p(shape * excess) / np.where(shape == 0, 1.0, shape))


def _require_tails(found: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless the counts, readings and tails are ones that a fit can give."""
    n_rows = int(found["n_rows"][0])
    if not 1 <= n_rows <= MOST_COUNTED:
        raise ValueError("the column tails are those of an impossible number of rows")
    if any((found[name] < 0).any() or (found[name] > n_rows).any() for name in ("n_present", "n_codes", "n_states")):
        raise ValueError("the column tails count more rows than there were, or fewer than none")
    ranks, outer = found["ranks"], found["outer"]
    if not ranks.size or ranks[0] != 1 or (np.diff(ranks) < 1).any() or ranks[-1] > MOST_COUNTED:
        raise ValueError("ranks of the column tails do not ascend from 1")
    if np.isnan(outer).any() or (outer == np.inf).any() or (outer[..., 1:] > outer[..., :-1]).any():
        raise ValueError("outer readings of the column tails do not descend")
    if not (np.isfinite(found["scale"]).all() and (found["scale"] > 0).all()):
        raise ValueError("scale of the column tails is not positive")
    if not ((found["shape"] >= 0) & (found["shape"] < 1)).all():
        raise ValueError("shape of the column tails is not within [0, 1)")
