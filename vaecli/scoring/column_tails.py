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
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.kinds import KINDS
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

    def rarity(self, values: np.ndarray, state: np.ndarray, at_least: float) -> np.ndarray:
        """The rarity (n, c) in nats of cells with features (n, d) and states (n, c), −inf where it is below `at_least`.

        Higher is rarer.
        """
        rarity, log_rows = np.full(state.shape, -np.inf), np.log1p(self.n_rows[0])
        ordered = np.flatnonzero([KINDS[slot.kind].is_ordered for slot in self.layout.slots])
        numbers = values[:, [self.layout.slots[j].start for j in ordered]]
        for side, sign in enumerate(SIDES):
            outwards = sign * numbers
            row, place = np.nonzero(outwards >= self.outer[ordered, side, self._place(at_least)])
            for i in np.unique(place):
                rows, j = row[place == i], int(ordered[i])
                rarity[rows, j] = np.maximum(rarity[rows, j], log_rows + self._of_readings(j, side, outwards[rows, i]))
        for j in np.setdiff1d(np.arange(len(self.layout.slots)), ordered):
            slot = self.layout.slots[j]
            rarity[:, j] = log_rows - np.log1p(self._n_alike(int(j), values[:, slot.start : slot.stop]))
        row, column = np.nonzero(state != PRESENT)
        rarity[row, column] = log_rows - np.log1p(self.n_states[column, state[row, column]])
        return np.where(rarity >= at_least, rarity, -np.inf)

    def _place(self, at_least: float) -> int:
        """The place among `ranks` of a reading, at or below which no cell has a rarity of `at_least`."""
        most_alike = np.exp(np.log1p(self.n_rows[0]) - at_least) - 1
        return max(int(np.searchsorted(self.ranks - 1, most_alike, "right")) - 1, 0)

    def _of_readings(self, j: int, side: int, outwards: np.ndarray) -> np.ndarray:
        """−log(k + 1) + beyond (n,) of the readings `outwards` (n,) on one side of column j."""
        outer = self.outer[j, side]
        further = np.searchsorted(-outer, -outwards, "right")  # kept readings that lie at least as far out
        upper = np.append(self.ranks - 1, self.n_present[j])[further]
        scale, shape = self.scale[j, side], self.shape[j, side]
        excess = np.where(further == 0, outwards.astype(np.float64) - outer[0], 0.0) / scale
        excess = np.nan_to_num(excess, posinf=0.0)  # of a column without any reading
        beyond = excess if shape == 0 else np.log1p(shape * excess) / shape
        return np.asarray(np.minimum(beyond, LARGEST_BEYOND) - np.log1p(np.minimum(upper, self.n_present[j])))

    def _n_alike(self, j: int, features: np.ndarray) -> np.ndarray:
        """How many training rows (n,) have the category or the boolean with `features` (n, w) in column j."""
        slot = self.layout.slots[j]
        counts = self.n_codes[slot.start : slot.stop]
        if counts.size > 1:
            return np.asarray(counts[features.argmax(1)])
        return np.where(features[:, 0] > 0, counts[0], self.n_present[j] - counts[0])

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
