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
MOST_INPUTS = 2_000  # f: 250 numbers, beyond which no levels are learned
MOST_PRODUCTS = 200_000  # f L numbers in a bundle, and multiplications per row
MOSTLY_LEVELS = 0.95  # of the training rows, from which on a number stands for states
LARGEST_LOGIT = 80.0  # whose exponentials can be added up
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
    _starts: np.ndarray = field(init=False, repr=False, compare=False)  # (o,) the features of ordered columns
    _in_column: np.ndarray = field(init=False, repr=False, compare=False)  # (L, T) float32: 1 of the levels of a column

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        slots = self.layout.slots
        of_categories = [range(slot.start, slot.stop) for slot in slots if slot.kind is Kind.CATEGORICAL]
        begins = np.diff(self.column, prepend=-1) > 0
        place, first = np.cumsum(begins) - 1, np.array([slot.start for slot in slots])
        object.__setattr__(self, "starts", np.flatnonzero(begins))
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "_in_column", np.eye(int(begins.sum()), dtype=np.float32)[place])
        object.__setattr__(self, "ordered", ordered_columns(self.layout))
        object.__setattr__(self, "codes", np.array([*chain.from_iterable(of_categories)], np.int64))
        object.__setattr__(self, "_feature", first[self.column])
        object.__setattr__(self, "_starts", first[self.ordered])

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
            known = self.sums(at.astype(np.float32))[:, self.place[others]] > 0
            at[:, others] = (here[:, others] == PRESENT) & ~known
        return np.asarray(at)

    def sums(self, of_levels: np.ndarray) -> np.ndarray:
        """The sum (n, T) over the levels of each column, of (n, L) float32."""
        return np.asarray(product(of_levels, self._in_column, TILE_ROWS))

    def inputs(self, values: np.ndarray, state: np.ndarray, at: np.ndarray, center: np.ndarray) -> np.ndarray:
        """The inputs (n, f) float32, from features (n, d), states (n, c) and levels `at` (n, L) float32.

        Readings that are missing or novel are at their `center` (f,).
        """
        readings = values[:, self._starts]
        reaches = (readings[..., None] >= self.edges).reshape(len(values), self.edges.size)
        near = np.clip(readings, -FARTHEST_READING, FARTHEST_READING)
        inputs = np.concatenate([at, near, reaches, values[:, self.codes]], axis=1, dtype=np.float32)
        absent = state[:, self.ordered] != PRESENT
        if absent.any():
            part = slice(self.column.size, self.column.size + self.ordered.size * (1 + N_EDGES))
            which = np.concatenate([absent, np.repeat(absent, N_EDGES, axis=1)], axis=1)
            inputs[:, part] = np.where(which, center[part], inputs[:, part])
        return inputs


def ordered_columns(layout: Layout) -> np.ndarray:
    """(o,) the columns whose cells are numbers or dates."""
    return np.array([j for j, slot in enumerate(layout.slots) if KINDS[slot.kind].is_ordered], np.int64)


def n_other_inputs(layout: Layout) -> int:
    """How many inputs there are beside the levels: numbers with what they reach, and categories."""
    n_codes = sum(slot.stop - slot.start for slot in layout.slots if slot.kind is Kind.CATEGORICAL)
    return ordered_columns(layout).size * (1 + N_EDGES) + n_codes


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
    _offset: np.ndarray = field(init=False, repr=False, compare=False)  # (L,) logits where all inputs are 0

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        object.__setattr__(self, "_offset", self.bias - self.center @ self.weight)

    def are_states(self) -> np.ndarray:
        """(c,) bool: the numbers that in MOSTLY_LEVELS of the training rows are missing or at a level of their own."""
        levels = self.levels
        share = np.add.reduceat(np.where(levels.kind == OTHER, 0.0, np.exp(self.usual)), levels.starts)
        found = np.zeros(levels.layout.n_columns, bool)
        found[levels.columns[share >= MOSTLY_LEVELS]] = True
        return found & np.isin(np.arange(found.size), levels.ordered)

    def nats(self, values: np.ndarray, state: np.ndarray, unknown: np.ndarray | None = None) -> np.ndarray:
        """How much less probable than usual the level of each cell is: log p(level) − log p(level | other cells).

        (n, T) in nats, float32, below 0 where it is more probable than usual; from features (n, d) and states (n, c). A
        cell at no level has 0. Cells that are `unknown` (n, c) bool predict nothing.
        """
        at = self.levels.of_cells(values, state).astype(np.float32)
        logits = self._logits(values, state, at, unknown)
        nats = np.log(self.levels.sums(np.exp(logits)))
        logits -= self.usual
        logits *= at
        nats -= self.levels.sums(logits)
        return np.where(self.levels.sums(at) > 0, nats, np.float32(0))

    def probabilities(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The probability of each level (n, L) given the other cells; they sum to 1 per column."""
        at = self.levels.of_cells(values, state).astype(np.float32)
        share = np.exp(self._logits(values, state, at, None))
        return np.asarray(share / self.levels.sums(share)[:, self.levels.place])

    def _logits(self, values: np.ndarray, state: np.ndarray, at: np.ndarray, unknown: np.ndarray | None) -> np.ndarray:
        inputs = self.levels.inputs(values, state, at, self.center)
        if unknown is not None:
            inputs = np.where(unknown[:, self.levels.column_of_input], self.center, inputs)
        logits = product(inputs, self.weight, TILE_ROWS)
        logits += self._offset
        return np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT, out=logits)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in these classes; `from_arrays` is the inverse."""
        arrays = {name: getattr(self.levels, name) for name in ("column", "kind", "value", "edges")}
        return arrays | {name: getattr(self, name) for name in ("center", "weight", "bias", "usual")}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> LevelRegression:
        """The regressions in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        found = {name: arrays[name] for name in _DTYPES}
        n_levels, n_ordered = found["column"].size, ordered_columns(layout).size
        n_inputs = n_levels + n_other_inputs(layout)
        if not n_levels or n_inputs > MOST_INPUTS or n_levels * n_inputs > MOST_PRODUCTS:
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
    if (column < 0).any() or (column >= layout.n_columns).any() or (np.diff(column) < 0).any():
        raise ValueError("the columns of the levels do not ascend")
    can_have = [slot.kind not in (Kind.CATEGORICAL, Kind.TEXT) for slot in layout.slots]
    if (kind < VALUE).any() or (kind > OTHER).any() or not np.array(can_have)[column].all():
        raise ValueError("a level is not one of its column")
