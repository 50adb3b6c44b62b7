"""Reconstructs each batch: cells → cells as the model expects them → rows in the user's spelling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.tables import Batch, ReadRequest, to_cells
from vaecli.tables.write.replace_cells import Spelling, replace_cells
from vaecli.tasks.written_rows import WrittenRows


@dataclass(frozen=True, slots=True)
class ReconstructTotals:
    """What was counted of some rows."""

    rows: int
    missing: np.ndarray  # (c,) cells of each column
    novel: int

    def __add__(self, later: ReconstructTotals) -> ReconstructTotals:
        """The totals of these rows and the `later` ones."""
        return ReconstructTotals(self.rows + later.rows, self.missing + later.missing, self.novel + later.novel)


@dataclass(frozen=True, slots=True)
class ReconstructTask:
    """Replaces cells by what the model expects, with `impute` the missing ones only."""

    detector: Detector
    spelling: Spelling
    impute: bool

    @property
    def needs(self) -> ReadRequest:
        """The features; all columns pass through."""
        return features_of(self.detector.schema, keep=True)

    @property
    def no_totals(self) -> ReconstructTotals:
        """The totals of no rows."""
        return _no_totals(self.detector)

    def process(self, batch: Batch) -> WrittenRows[ReconstructTotals]:
        """The rows with their cells replaced. Raises InputError for a column whose type cannot hold the values."""
        cells = to_cells(batch, self.detector.schema)
        missing = cells.state == MISSING
        values = self.detector.reconstruct(cells, impute=self.impute)
        which = np.isfinite(values) & (missing if self.impute else True)
        replaced = replace_cells(batch, self.spelling, self.detector.schema.features, values, which)
        return WrittenRows(replaced, {}, _totals(cells))


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Counts what `ReconstructTask` counts, and reconstructs nothing."""

    detector: Detector

    @property
    def needs(self) -> ReadRequest:
        """A request for the features."""
        return features_of(self.detector.schema)

    @property
    def nothing(self) -> ReconstructTotals:
        """The totals of no rows."""
        return _no_totals(self.detector)

    def process(self, batch: Batch) -> ReconstructTotals:
        """The totals of one batch. Raises UnreadableCell."""
        return _totals(to_cells(batch, self.detector.schema))


def _totals(cells: Cells) -> ReconstructTotals:
    return ReconstructTotals(len(cells), (cells.state == MISSING).sum(0), int((cells.state == NOVEL).sum()))


def _no_totals(detector: Detector) -> ReconstructTotals:
    return ReconstructTotals(0, np.zeros(len(detector.schema.features), np.int64), 0)
