"""Booleans and categories ↔ features: a boolean is 0 or 1, a category one-hot (scikit-learn's OneHotEncoder)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.number_features import of_shape
from vaecli.data.transforms import soft_clip
from vaecli.schema import Column, Slot


@dataclass(frozen=True, slots=True)
class Booleans:
    """b columns of one feature each: an `Encoder`."""

    as_numbers: np.ndarray  # (b, 2) what False and True would be as standardised numbers, softly clipped

    @classmethod
    def fit(cls, values: np.ndarray, _columns: Sequence[Column], _same_unit: Collection[str]) -> Booleans:
        """Learn the share of True of each column of `values` (n, b): 0 or 1, NaN where missing."""
        n_present = np.maximum((~np.isnan(values)).sum(0), 1)
        share = np.clip(np.nan_to_num(values).sum(0) / n_present, 0.5 / n_present, 1 - 0.5 / n_present)
        spread = np.sqrt(share * (1 - share))
        return cls(soft_clip(np.stack([-share / spread, (1 - share) / spread], axis=-1)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fitted numbers (b, 2) by name; `from_arrays` is the inverse."""
        return {"boolean_values": self.as_numbers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slots: Sequence[Slot]) -> Booleans:
        """The encoder in arrays of `to_arrays`. Raises KeyError or ValueError on arrays not written for b slots."""
        return cls(of_shape("boolean_values", arrays["boolean_values"], (len(slots), 2)))

    def encode(self, _i: int, values: np.ndarray, _state: np.ndarray, features: np.ndarray) -> None:
        """Write 0 or 1 for each of the booleans `values` (n,) into `features` (n, 1); 0 for NaN."""
        features[:, 0] = np.nan_to_num(values, nan=0.0)

    def decode(self, _i: int, features: np.ndarray) -> np.ndarray:
        """The more probable of 0 and 1, (n,), from probabilities (n, 1)."""
        return features[:, 0] >= 0.5

    def recalled(self, i: int) -> np.ndarray:
        """Counts (2,) of a million, as what False is as a standardised number gives the share of True."""
        odds = self.as_numbers[i, 0] ** 2
        share = odds / (1 + odds)
        return np.round(1e6 * np.stack([1 - share, share])).astype(np.int64)

    def moments(self, _i: int) -> tuple[float, float]:
        """Codes have none: NaN."""
        return np.nan, np.nan

    def plain_knots(self, i: int) -> np.ndarray:
        """0 and 1, and what False and True are as standardised numbers, (2, 2)."""
        return np.stack([np.arange(2.0), self.as_numbers[i]])

    def grid(self, _i: int) -> tuple[np.ndarray, np.ndarray]:
        """The features (2, 1) of both values (2,)."""
        return np.arange(2.0)[:, None], np.arange(2.0)


@dataclass(frozen=True, slots=True)
class Categories:
    """Columns of one feature per category: an `Encoder`."""

    sizes: tuple[int, ...]

    @classmethod
    def fit(cls, _values: np.ndarray, columns: Sequence[Column], _same_unit: Collection[str]) -> Categories:
        """The encoder of these columns: their categories are in the schema, and no values (n, w) are read."""
        return cls(tuple(column.n_features for column in columns))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """No arrays at all: the schema has the categories."""
        return {}

    @classmethod
    def from_arrays(cls, _arrays: Mapping[str, np.ndarray], slots: Sequence[Slot]) -> Categories:
        """The encoder by its slots alone; no array is read."""
        return cls(tuple(slot.stop - slot.start for slot in slots))

    def encode(self, _i: int, values: np.ndarray, state: np.ndarray, features: np.ndarray) -> None:
        """Set the feature of each code of `values` (n,) whose `state` (n,) is PRESENT in `features` (n, K) of zeros."""
        rows = np.flatnonzero(state == PRESENT)
        features[rows, values[rows].astype(np.int64)] = 1.0

    def decode(self, _i: int, features: np.ndarray) -> np.ndarray:
        """The most probable code, (n,), from the probabilities (n, k) of the first k."""
        return features.argmax(1)

    def recalled(self, i: int) -> np.ndarray:
        """Counts (K,) that are 0: the preprocessing knows nothing of them."""
        return np.zeros(self.sizes[i], np.int64)

    def moments(self, _i: int) -> tuple[float, float]:
        """Codes have none: NaN."""
        return np.nan, np.nan

    def plain_knots(self, _i: int) -> None:
        """None: a category is one-hot already."""

    def grid(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The features (K, K) of all codes (K,)."""
        return np.eye(self.sizes[i], dtype=np.float32), np.arange(float(self.sizes[i]))
