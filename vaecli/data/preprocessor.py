"""Cells → features, column by column: each kind of column has an `Encoder` (`kinds`).

| kind              | features of a column               | code              |
|-------------------|------------------------------------|-------------------|
| numeric, datetime | 1: the bent, scaled, clipped value | `number_features` |
| boolean           | 1: 0 or 1                          | `code_features`   |
| categorical       | K: one-hot                         | `code_features`   |
| text              | K: of each class, how probable     | `string_features` |

A missing or novel cell becomes 0 everywhere: the mean of a number, no category at all, and False, unless booleans
are taken as numbers (`Likelihood.to_likelihood_space`). That it is missing or novel travels beside the features, in
`FeatureBatch.state`; how unusual strings are by themselves in `FeatureBatch.readouts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from vaecli.data.cells import PRESENT, Cells
from vaecli.data.kinds import KINDS, Encoder
from vaecli.data.number_features import Numbers
from vaecli.data.string_features import READOUTS, Strings
from vaecli.schema import Column, Kind, Layout

ENCODERS = tuple(dict.fromkeys(kind.encoder for kind in KINDS.values()))
E = TypeVar("E", bound=Encoder)
BLOCK_CELLS = 2**14  # that are encoded at once, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """What the networks see of n rows.

    `values` (n, d) float32 in the feature order of `Layout`; `state` (n, c) uint8 as in `Cells`;
    `row` (n,) int64. `readouts` (n, t, 5) float64 of the strings of t text columns, NaN where they are missing; None
    where there are no such columns.
    """

    values: np.ndarray
    state: np.ndarray
    row: np.ndarray
    readouts: np.ndarray | None = None

    def __len__(self) -> int:
        return self.values.shape[0]


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """The fitted encoders, each of all columns of its kinds, in schema order."""

    layout: Layout
    encoders: tuple[Encoder, ...]  # one per class in ENCODERS
    of_columns: tuple[tuple[Encoder, int], ...]  # (c) of each column its encoder, and its place among those of it
    _unbent: _Unbent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the columns that are encoded together."""
        object.__setattr__(self, "_unbent", _Unbent.of(self))

    @classmethod
    def of(cls, layout: Layout, encoders: Sequence[Encoder]) -> Preprocessor:
        """The preprocessor with fitted `encoders`, one per class in ENCODERS."""
        found = {
            j: (encoder, i)
            for encoder, where in zip(encoders, _columns_of_encoders(layout), strict=True)
            for i, j in enumerate(where)
        }
        return cls(layout, tuple(encoders), tuple(found[j] for j in range(layout.n_columns)))

    @classmethod
    def fit(
        cls,
        cells: Cells,
        columns: tuple[Column, ...],
        same_unit: Collection[str] = (),
        strings: Strings | None = None,
    ) -> Preprocessor:
        """Learn from `cells` (n, c) of the c `columns`; numbers named in `same_unit` share one scale, unbent.

        `strings` is the encoder of text columns, if there are any.
        """
        layout, values = Layout.of(columns), cells.values
        if (empty := np.isnan(values).all(0)).any():  # a sample may have missed all values of a column
            values = np.where(empty & (np.arange(len(cells)) == 0)[:, None], 0.0, values)
        fitted = [
            strings
            if encoder is Strings and strings is not None
            else encoder.fit(values[:, where], [columns[j] for j in where], same_unit)
            for encoder, where in zip(ENCODERS, _columns_of_encoders(layout), strict=True)
        ]
        return cls.of(layout, fitted)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays of all encoders, w columns each (w, …); `from_arrays` is the inverse."""
        return {name: array for encoder in self.encoders for name, array in encoder.to_arrays().items()}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> Preprocessor:
        """The preprocessor in arrays (w, …) of `to_arrays`. Raises KeyError or ValueError on others."""
        fitted = [
            encoder.from_arrays(arrays, [layout.slots[j] for j in where])
            for encoder, where in zip(ENCODERS, _columns_of_encoders(layout), strict=True)
        ]
        return cls.of(layout, fitted)

    def encoder(self, which: type[E]) -> E:
        """The fitted encoder of this class."""
        return next(one for one in self.encoders if isinstance(one, which))

    def transform(self, cells: Cells) -> FeatureBatch:
        """Features (n, d) float32 of the cells (n, c), with their state and row numbers.

        Raises ValueError for cells of text columns without their strings.
        """
        values = np.zeros((len(cells), self.layout.n_features), np.float32)
        unbent, slots = self._unbent, self.layout.slots
        if unbent.which.size:
            n_rows = max(1 << (BLOCK_CELLS // unbent.which.size).bit_length() >> 1, 1)  # a power of two
            for start in range(0, len(cells), n_rows):
                block = slice(start, start + n_rows)
                found = self.encoder(Numbers).encode_unbent(unbent.which, cells.values[block, unbent.columns])
                values[block, unbent.features] = found
        for j in unbent.others:
            encoder, i = self.of_columns[j]
            encoder.encode(i, cells.values[:, j], cells.state[:, j], values[:, slots[j].start : slots[j].stop])
        return FeatureBatch(values, cells.state, cells.row, self._read_strings(cells, values))

    def _read_strings(self, cells: Cells, features: np.ndarray) -> np.ndarray | None:
        """Write the features of strings into `features` (n, d); their read-outs (n, t, 5), None without any text."""
        of_text = self.layout.of_kind(Kind.TEXT)
        if not of_text:
            return None
        texts = np.empty((0, len(of_text)), object) if cells.texts is None else cells.texts
        if len(texts) != len(cells):
            raise ValueError("cells of text columns came without their strings")
        readouts = np.empty((len(cells), len(of_text), len(READOUTS)))
        for i, (_, slot) in enumerate(of_text):
            found = self.encoder(Strings).read(i, texts[:, i])
            features[:, slot.start : slot.stop], readouts[:, i] = found.features, found.readouts
        return readouts

    def with_classes(self, cells: Cells, features: np.ndarray) -> Cells:
        """The cells (n, c), whose `features` (n, d) are known, with the class of each string as its number."""
        if not (of_text := self.layout.of_kind(Kind.TEXT)):
            return cells
        values = cells.values.copy()
        for j, slot in of_text:
            there = cells.state[:, j] == PRESENT
            values[there, j] = features[there, slot.start : slot.stop].argmax(1)
        return replace(cells, values=values)


@dataclass(frozen=True, slots=True)
class _Unbent:
    """The columns (u,) of numbers that are not bent: a few operations encode them all."""

    which: np.ndarray  # (u,) among the numbers
    columns: np.ndarray | slice  # (u,) among all columns
    features: np.ndarray | slice  # (u,)
    others: tuple[int, ...]  # the columns that are encoded one by one

    @classmethod
    def of(cls, preprocessor: Preprocessor) -> _Unbent:
        numbers = preprocessor.encoder(Numbers)
        place = {i: j for j, (encoder, i) in enumerate(preprocessor.of_columns) if encoder is numbers}
        which = numbers.unbent
        columns = np.array([place[i] for i in which.tolist()], np.int64)
        features = np.array([preprocessor.layout.slots[j].start for j in columns.tolist()], np.int64)
        others = sorted(set(range(preprocessor.layout.n_columns)) - set(columns.tolist()))
        return cls(which, _as_slice(columns), _as_slice(features), tuple(others))


def _as_slice(places: np.ndarray) -> np.ndarray | slice:
    """Places (u,) that follow each other as a slice, by which NumPy copies in a third of the time; or as they are."""
    if places.size and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _columns_of_encoders(layout: Layout) -> list[list[int]]:
    """The columns of each class in ENCODERS."""
    return [[j for j, slot in enumerate(layout.slots) if KINDS[slot.kind].encoder is one] for one in ENCODERS]
