"""How probable the level of each cell is given the other cells of its row: one softmax regression per column.

A level is a value of a number that comes often, as the 0 of a pump that is off, true or false, any other value, or
none:

    p(level l of column j | the rest) = exp(b_l + Σ_i w_li x_i) / Σ over the levels of column j,   i in other columns

Inputs x are the levels of the other columns, their categories and, of their numbers, the reading itself and which of
seven quantiles it reaches, so the effect of a number is any step function of it. A density, as that of a mixture of
Gaussians, knows no probability of a single value, such as the 0 of a sensor that often reads 0.

NumPy only. Shapes: n rows, c columns, d features, L levels, T columns that have levels, f inputs, o ordered columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.kinds import KINDS
from vaecli.model.array_namespace import product
from vaecli.model.tiles import TILE_ROWS
from vaecli.schema import Kind, Layout

VALUE, ABSENT, OTHER = range(3)  # kinds of levels: one value, no value, any other value
N_EDGES = 7  # quantiles of a number that its reading may reach
FARTHEST_READING = 4.0  # standard deviations, beyond which a reading predicts others no further
SAME_VALUE = 1e-5  # of max(1, |value|), within which a feature has that value
MOST_PRODUCTS = 200_000  # f L numbers in a bundle, and multiplications per row
LARGEST_NUMBER = 1e6  # of any array of a bundle
_DTYPES = dict.fromkeys(("column", "kind"), np.int64) | dict.fromkeys(
    ("value", "edges", "center", "weight", "bias", "usual"), np.float32
)


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of the columns that have any, and the inputs that predict them.

    `column` (L,) int64 ascends, `kind` (L,) int64 is one of VALUE, ABSENT and OTHER, and `value` (L,) float32 is the
    feature of a VALUE. `edges` (o, 7) float32 ascend.
    """

    layout: Layout
    column: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    edges: np.ndarray
    starts: np.ndarray = field(init=False, repr=False, compare=False)  # (T,) the first level of each column
    place: np.ndarray = field(init=False, repr=False, compare=False)  # (L,) which of the T columns a level is of
    ordered: np.ndarray = field(init=False, repr=False, compare=False)  # (o,) columns
    codes: np.ndarray = field(init=False, repr=False, compare=False)  # (k,) features of categories
    _feature: np.ndarray = field(init=False, repr=False, compare=False)  # (L,) that a level looks at

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        slots = self.layout.slots
        of_categories = [range(slot.start, slot.stop) for slot in slots if slot.kind is Kind.CATEGORICAL]
        object.__setattr__(self, "starts", np.flatnonzero(np.diff(self.column, prepend=-1)))
        object.__setattr__(self, "place", np.cumsum(np.diff(self.column, prepend=-1) > 0) - 1)
        object.__setattr__(self, "ordered", ordered_columns(self.layout))
        object.__setattr__(self, "codes", np.array([*chain.from_iterable(of_categories)], np.int64))
        object.__setattr__(self, "_feature", np.array([slot.start for slot in slots])[self.column])

    @property
    def columns(self) -> np.ndarray:
        """(T,) the columns that have levels."""
        return self.column[self.starts]

    @property
    def column_of_input(self) -> np.ndarray:
        """(f,) the column of each input: levels, readings of ordered columns, what these reach, categories."""
        of_codes = np.array(self.layout.column_of_feature)[self.codes]
        return np.concatenate([self.column, self.ordered, np.repeat(self.ordered, N_EDGES), of_codes])

    def of_cells(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(n, L) bool: which level each cell is at, none or one per column, from features (n, d) and states (n, c)."""
        found, here = values[:, self._feature], state[:, self.column]
        is_value = np.abs(found - self.value) <= SAME_VALUE * np.maximum(np.abs(self.value), 1)
        at = is_value & (self.kind == VALUE) & (here == PRESENT)
        at[:, self.kind == ABSENT] = here[:, self.kind == ABSENT] == MISSING
        others = np.flatnonzero(self.kind == OTHER)
        if others.size:
            at[:, others] = False
            known = np.logical_or.reduceat(at, self.starts, axis=1)[:, self.place[others]]
            at[:, others] = (here[:, others] == PRESENT) & ~known
        return np.asarray(at)

    def inputs(self, values: np.ndarray, state: np.ndarray, at: np.ndarray, center: np.ndarray) -> np.ndarray:
        """The inputs (n, f) float32 less their `center` (f,), from features (n, d), states (n, c) and `at` (n, L).

        Readings that are missing or novel are at the center.
        """
        readings = values[:, [self.layout.slots[j].start for j in self.ordered]]
        reaches = readings[..., None] >= self.edges
        near = np.clip(readings, -FARTHEST_READING, FARTHEST_READING)
        parts = [at, near, reaches.reshape(len(values), -1), values[:, self.codes]]
        inputs = np.concatenate(parts, axis=1, dtype=np.float32)
        inputs -= center
        absent = state[:, self.ordered] != PRESENT
        if absent.any():
            of_readings = inputs[:, self.column.size : self.column.size + self.ordered.size * (1 + N_EDGES)]
            of_readings[np.concatenate([absent, np.repeat(absent, N_EDGES, axis=1)], axis=1)] = 0
        return inputs


def ordered_columns(layout: Layout) -> np.ndarray:
    """(o,) the columns whose cells are numbers or dates."""
    return np.array([j for j, slot in enumerate(layout.slots) if KINDS[slot.kind].is_ordered], np.int64)


@dataclass(frozen=True, slots=True)
class LevelRegression:
    """The regressions of all columns side by side, float32.

    `center` (f,) are the mean inputs, `weight` (f, L) is 0 from a column to its own levels, `bias` (L,) are the logits
    at mean inputs, and `usual` (L,) is the log share of each level in training.
    """

    levels: Levels
    center: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    usual: np.ndarray

    def nats(self, values: np.ndarray, state: np.ndarray, unknown: np.ndarray | None = None) -> np.ndarray:
        """How much less probable than usual the level of each cell is: log p(level) − log p(level | other cells).

        (n, T) in nats, float32, below 0 where it is more probable than usual; from features (n, d) and states (n, c). A
        cell at no level has 0. Cells that are `unknown` (n, c) bool predict nothing.
        """
        at = self.levels.of_cells(values, state)
        logits = self._logits(values, state, at, unknown)
        nats = log_sums(logits, self.levels)
        logits -= self.usual
        logits *= at
        nats -= np.add.reduceat(logits, self.levels.starts, axis=1)
        return np.where(np.logical_or.reduceat(at, self.levels.starts, axis=1), nats, np.float32(0))

    def probabilities(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The probability of each level (n, L) given the other cells; they sum to 1 per column."""
        logits = self._logits(values, state, self.levels.of_cells(values, state), None)
        return np.exp(logits - log_sums(logits, self.levels)[:, self.levels.place])

    def _logits(self, values: np.ndarray, state: np.ndarray, at: np.ndarray, unknown: np.ndarray | None) -> np.ndarray:
        inputs = self.levels.inputs(values, state, at, self.center)
        if unknown is not None:
            inputs[unknown[:, self.levels.column_of_input]] = 0
        logits = product(inputs, self.weight, TILE_ROWS)
        logits += self.bias
        return logits

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in these classes; `from_arrays` is the inverse."""
        arrays = {name: getattr(self.levels, name) for name in ("column", "kind", "value", "edges")}
        return arrays | {name: getattr(self, name) for name in ("center", "weight", "bias", "usual")}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> LevelRegression:
        """The regressions in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        found = {name: arrays[name] for name in _DTYPES}
        n_levels, n_ordered = found["column"].size, ordered_columns(layout).size
        n_codes = sum(slot.stop - slot.start for slot in layout.slots if slot.kind is Kind.CATEGORICAL)
        n_inputs = n_levels + n_ordered * (1 + N_EDGES) + n_codes
        if not n_levels or n_levels * n_inputs > MOST_PRODUCTS:
            raise ValueError(f"a regression of {n_levels} levels on {n_inputs} inputs")
        shapes = {"edges": (n_ordered, N_EDGES), "center": (n_inputs,), "weight": (n_inputs, n_levels)}
        for name, array in found.items():
            shape = shapes.get(name, (n_levels,))
            if array.dtype != _DTYPES[name] or array.shape != shape:
                raise ValueError(f"{name} of the levels is not {shape} of {_DTYPES[name].__name__}")
            if not (np.abs(array) <= LARGEST_NUMBER).all():
                raise ValueError(f"{name} of the levels holds numbers beyond {LARGEST_NUMBER:g}")
        _require_levels(layout, found["column"], found["kind"])
        levels = Levels(layout, found["column"], found["kind"], found["value"], found["edges"])
        return cls(levels, found["center"], found["weight"], found["bias"], found["usual"])


def _require_levels(layout: Layout, column: np.ndarray, kind: np.ndarray) -> None:
    """Raise ValueError unless the levels stand in order, and each is one that its column can have."""
    if column[0] < 0 or column[-1] >= layout.n_columns or (np.diff(column) < 0).any():
        raise ValueError("the columns of the levels do not ascend")
    can_have = [slot.kind not in (Kind.CATEGORICAL, Kind.TEXT) for slot in layout.slots]
    if (kind < VALUE).any() or (kind > OTHER).any() or not np.array(can_have)[column].all():
        raise ValueError("a level is not one of its column")


def log_sums(logits: np.ndarray, levels: Levels) -> np.ndarray:
    """The log of the sum of the exponentials of each column's logits: (n, T) of (n, L)."""
    largest = np.maximum.reduceat(logits, levels.starts, axis=1)
    share = np.exp(logits - largest[:, levels.place])
    return np.asarray(np.log(np.add.reduceat(share, levels.starts, axis=1)) + largest)
