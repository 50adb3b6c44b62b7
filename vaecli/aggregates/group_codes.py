"""Values of a group column as small integers, over a table that streams by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class GroupCodes:
    """Group values → codes 0, 1, … in the order they are first met."""

    code: dict[object, int] = field(default_factory=dict)
    parts: list[np.ndarray] = field(default_factory=list)  # (n,) int32 for each batch

    def add(self, values: Sequence[object], index: np.ndarray) -> None:
        """Code one batch, whose row i holds `values[index[i]]`, by `index` (n,)."""
        codes = np.array([self.code.setdefault(value, len(self.code)) for value in values], np.int32)
        self.parts.append(codes[index])
