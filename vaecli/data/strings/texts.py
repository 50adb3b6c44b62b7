"""Many strings in two arrays: their bytes one after the other, and where each begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Texts:
    """n strings: `data` (b,) uint8 holds their bytes, string i those from `offsets[i]` to `offsets[i + 1]`.

    `offsets` (n + 1,) int64 ascend from 0.
    """

    data: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> Texts:
        """The given strings, in their order."""
        length = np.fromiter(map(len, strings), np.int64, len(strings))
        return cls(np.frombuffer(b"".join(strings), np.uint8), np.concatenate([[0], np.cumsum(length)]))

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, which: slice | np.ndarray) -> Texts:
        """The strings at the places `which`, a slice without a step or places (m,)."""
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            offsets = self.offsets[start : max(start, stop) + 1]
            return Texts(self.data[offsets[0] : offsets[-1]], offsets - offsets[0])
        length = self.length[which]
        offsets = np.concatenate([[0], np.cumsum(length)])
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][which] - offsets[:-1], length)
        return Texts(self.data[source], offsets)

    @property
    def length(self) -> np.ndarray:
        """Bytes of each string, (n,) int64."""
        return np.diff(self.offsets)

    def to_list(self) -> list[bytes]:
        """The strings, n of them."""
        data = self.data.tobytes()
        return [data[start:stop] for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True)]
