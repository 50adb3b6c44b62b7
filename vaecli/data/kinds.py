"""What the science asks of a kind of column beside its likelihood: one entry per kind, in one place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vaecli.data.code_features import Booleans, Categories
from vaecli.data.number_features import Numbers
from vaecli.data.string_features import Strings
from vaecli.schema import Column, Kind, Slot


class Encoder(Protocol):
    """Cells ↔ features of several columns at once. Shapes: n cells of the i-th of w columns, f features of it."""

    @classmethod
    def fit(cls, values: np.ndarray, columns: Sequence[Column], same_unit: Collection[str], /) -> Encoder:
        """Learn from training `values` (n, w), NaN where missing; columns named in `same_unit` have one unit."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fitted arrays by name, each with w as its first axis (w, …); `from_arrays` is the inverse."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slots: Sequence[Slot], /) -> Encoder:
        """The encoder in arrays (w, …) of `to_arrays`. Raises KeyError or ValueError on arrays not written for them."""

    def encode(self, i: int, values: np.ndarray, state: np.ndarray, features: np.ndarray, /) -> None:
        """Write the features of `values` (n,) into `features` (n, f), which is 0; `state` (n,) as in `Cells`."""

    def decode(self, i: int, features: np.ndarray, /) -> np.ndarray:
        """Expected features (n, f) as cells (n,)."""

    def recalled(self, i: int, /) -> np.ndarray:
        """What is known of training values: evenly spaced quantiles (q,), or counts of codes."""

    def moments(self, i: int, /) -> tuple[float, float]:
        """Mean and scale of training values; NaN for codes."""

    def plain_knots(self, i: int, /) -> np.ndarray | None:
        """Features before the soft clip, ascending, and the standardised numbers they are, (2, k); None for codes."""

    def grid(self, i: int, /) -> tuple[np.ndarray, np.ndarray]:
        """Features (g, f) of the values (g,) that a cell is compared with when it is explained, and these values."""


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """One kind of column: all that the science knows of it, its likelihood aside."""

    encoder: type[Encoder]
    is_ordered: bool  # values are numbers of one feature: a cell can lie beyond all that training held; else codes
    typical: Callable[[np.ndarray], float]  # of (n,) values, n at least 1: a middle or frequent one
    faults: frozenset[str]  # the names in `evaluation.faults.CATALOGUE` that its cells can have
    counts: tuple[str, tuple[int, ...]] = ("", ())  # of codes in training: name and shape of the bundle's array


def median_reading(values: np.ndarray) -> float:
    """The lower median of `values` (n,): a reading that occurred, not a mean of two."""
    return float(np.quantile(values, 0.5, method="lower"))


def most_frequent(codes: np.ndarray) -> float:
    """The most frequent of `codes` (n,), the smallest of several."""
    return float(np.bincount(codes.astype(np.int64)).argmax())


_ANY = frozenset({"stuck", "missing", "borrowed"})

KINDS: dict[Kind, ColumnKind] = {
    Kind.NUMERIC: ColumnKind(Numbers, True, median_reading, _ANY | {"spike", "shift", "scale", "swap"}),
    Kind.DATETIME: ColumnKind(Numbers, True, median_reading, _ANY | {"spike", "shift"}),
    Kind.BOOLEAN: ColumnKind(Booleans, False, most_frequent, _ANY | {"wrong"}, ("booleans", (-1, 2))),
    Kind.CATEGORICAL: ColumnKind(Categories, False, most_frequent, _ANY | {"unseen", "wrong"}, ("categories", (-1,))),
    Kind.TEXT: ColumnKind(
        Strings, False, most_frequent, frozenset({"missing", "mistyped", "truncated"}), ("strings", (-1,))
    ),
}
