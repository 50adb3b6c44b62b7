"""Rows as numbers: what the tables layer hands to the science, and all that science knows of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PRESENT, MISSING, NOVEL = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Cells:
    """The feature columns of n rows, in the order of `Schema.features`.

    `values` (n, c) float64: the number itself; 0 or 1 for a boolean; the code of a category
    (its index in `Column.categories`, one past the end for "other"); seconds since the epoch, UTC,
    for a datetime; the class of a string, 0 as read (`Preprocessor.with_classes`); NaN where the cell is not PRESENT.
    `state` (n, c) uint8: PRESENT, MISSING (empty), or NOVEL (a value that has no place in the
    column as it was trained: a category never seen, an infinity).
    `row` (n,) int64: the row's number in the whole input, from 0.
    `group` (n,) object: the text of the column by which rows are calibrated, None where it is empty; without such a
    column it is None altogether.
    `texts` (n, t) object: the strings of the t text columns as bytes of UTF-8, None where the cell is not PRESENT;
    without such columns it is None altogether.
    """

    values: np.ndarray
    state: np.ndarray
    row: np.ndarray
    group: np.ndarray | None = None
    texts: np.ndarray | None = None

    def __len__(self) -> int:
        return self.values.shape[0]

    def __getitem__(self, which: slice | np.ndarray) -> Cells:
        group = None if self.group is None else self.group[which]
        texts = None if self.texts is None else self.texts[which]
        return Cells(self.values[which], self.state[which], self.row[which], group, texts)

    def numbered(self) -> Cells:
        """The same rows numbered one after the other from 0, as scores ask for."""
        return replace(self, row=np.arange(len(self)))

    @classmethod
    def concatenate(cls, parts: list[Cells]) -> Cells:
        """One batch (n, c) of all rows, in the order of `parts`."""
        groups = [part.group for part in parts if part.group is not None]
        texts = [part.texts for part in parts if part.texts is not None]
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.state for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate(groups) if groups else None,
            np.concatenate(texts) if texts else None,
        )
