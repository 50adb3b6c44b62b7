"""Encodes each batch: cells → codes → their coordinates as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.aggregates.row_sample import MapPoints
from vaecli.config import EncodeConfig
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.latent.knn_map import KnnMap
from vaecli.tables import Batch, ReadRequest, to_cells
from vaecli.tasks.written_rows import WrittenRows

ROW = pa.schema([("row", pa.int64())])


@dataclass(frozen=True, slots=True)
class EncodeTotals:
    """What was counted of some rows."""

    rows: int = 0
    points: MapPoints | None = None  # some of them on a map, for a picture

    def __add__(self, later: EncodeTotals) -> EncodeTotals:
        """The totals of these rows and the `later` ones."""
        points = self.points + later.points if self.points and later.points else self.points or later.points
        return EncodeTotals(self.rows + later.rows, points)


@dataclass(frozen=True, slots=True)
class EncodeTask:
    """Gives rows the coordinates of their codes under `names`, means before standard deviations.

    With `config.dims` those of the map along principal axes, or with `knn_map` of that one. With `config.keep` they
    follow the columns of the user, else the number of the row, from 1.
    """

    detector: Detector
    names: tuple[str, ...]
    config: EncodeConfig
    knn_map: KnnMap | None
    with_points: bool  # for a picture of the map: some rows, with what the column `config.colour_by` holds

    @property
    def needs(self) -> ReadRequest:
        """The features, and what colours the points."""
        others = () if self._colour_by is None else (self._colour_by,)
        return features_of(self.detector.schema, others, keep=self.config.keep)

    @property
    def _colour_by(self) -> str | None:
        return self.config.colour_by if self.with_points else None

    def process(self, batch: Batch) -> WrittenRows[EncodeTotals]:
        """The rows with their coordinates (n, k). Raises UnreadableCell."""
        cells = to_cells(batch, self.detector.schema)
        if self.knn_map is None:
            coordinates = np.concatenate(self.detector.encode(cells, self.config.dims), axis=1)
        else:
            coordinates = self.detector.map_coordinates(cells, self.knn_map)
        added = {name: coordinates[:, i] for i, name in enumerate(self.names)}
        points = _points(batch, coordinates, self._colour_by) if self.with_points else None
        rows = batch if self.config.keep else _numbered(batch)
        return WrittenRows(rows, added, EncodeTotals(len(cells), points))


def _points(batch: Batch, coordinates: np.ndarray, colour_by: str | None) -> MapPoints:
    """A sample of the rows of the batch on the map, their first two coordinates."""
    n_rows = len(coordinates)
    text = np.full(n_rows, None, object)
    if colour_by is not None:
        for i, value in enumerate(batch.table.column(colour_by).to_pylist()):
            text[i] = None if value is None or value == "" else str(value)
    return MapPoints.of(batch.first_row + np.arange(n_rows), coordinates[:, :2], text)


def _numbered(batch: Batch) -> Batch:
    """The numbers of the rows, from 1, instead of their columns."""
    count = np.arange(batch.first_row + 1, batch.first_row + batch.table.num_rows + 1)
    numbers = pa.table([pa.array(count, pa.int64())], schema=ROW)
    return Batch(numbers, batch.first_row, batch.where, whole=numbers)
