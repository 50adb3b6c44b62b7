"""Encodes and reconstructs tables on this machine: batch → cells → codes or cells → batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.aggregates.row_sample import Points, chosen
from vaecli.data.cells import MISSING, NOVEL
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.latent.knn_map import KnnMap
from vaecli.results import Event, OnEvent
from vaecli.tables import Batch, Rendered, Source, to_cells
from vaecli.tables.write.replace_cells import replace_cells
from vaecli.tasks.score import Output

ROW = pa.schema([("row", pa.int64())])


@dataclass(frozen=True, slots=True)
class Tally:
    """What was seen in some rows."""

    rows: int
    missing: np.ndarray  # (c,) cells a column
    novel: int
    points: Points | None = None  # some of them on a map, for a picture

    def __add__(self, later: Tally) -> Tally:
        both = self.points + later.points if self.points and later.points else self.points or later.points
        return Tally(self.rows + later.rows, self.missing + later.missing, self.novel + later.novel, both)


def encode_table(
    detector: Detector,
    source: Source,
    output: Output,
    names: Sequence[str],
    *,
    dims: int | None,
    on: KnnMap | None,
    keep: bool,
    picture: bool,
    colour_by: str | None,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> Tally:
    """Write the coordinates of each row under `names`, means before standard deviations.

    With `dims` those of the map along principal axes, or with `on` of that one. Without `keep` the number of the row,
    from 1, stands before them, else the columns of the user. For a `picture` of a map some points are kept, with what
    the column `colour_by` holds.
    """

    def one(batch: Batch) -> tuple[Rendered, Tally]:
        cells = to_cells(batch, detector.schema)
        coordinates = (
            detector.map_coordinates(cells, on) if on else np.concatenate(detector.encode(cells, dims), axis=1)
        )
        rows = batch if keep else _numbered(batch)
        added = {name: coordinates[:, i] for i, name in enumerate(names)}
        points = _points(batch, coordinates, colour_by) if picture else None
        return output.render(rows, added), Tally(len(cells), (cells.state == MISSING).sum(0), 0, points)

    others = () if colour_by is None else (colour_by,)
    return _written(one, detector, source, output, "encoding", keep, batch_rows, workers, on_event, others)


def reconstruct_table(
    detector: Detector,
    source: Source,
    output: Output,
    *,
    impute: bool,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> Tally:
    """Write each row with its cells as the model expects them, with `impute` the missing ones only."""
    columns = detector.schema.features

    def one(batch: Batch) -> tuple[Rendered, Tally]:
        cells = to_cells(batch, detector.schema)
        missing = cells.state == MISSING
        values = detector.reconstruct(cells, impute=impute)
        replaced = replace_cells(batch, source, columns, values, missing if impute else np.ones_like(missing))
        return output.render(replaced, {}), Tally(len(cells), missing.sum(0), int((cells.state == NOVEL).sum()))

    stage = "imputing" if impute else "reconstructing"
    return _written(one, detector, source, output, stage, True, batch_rows, workers, on_event)


def _written(
    one: Callable[[Batch], tuple[Rendered, Tally]],
    detector: Detector,
    source: Source,
    output: Output,
    stage: str,
    keep: bool,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
    others: Sequence[str] = (),
) -> Tally:
    """One thread reads and writes, `workers` do all that lies between; bytes do not depend on their number."""
    tally = Tally(0, np.zeros(len(detector.schema.features), np.int64), 0)
    for part in map_batches(
        one, source, detector.schema, others=others, keep=keep, batch_rows=batch_rows, workers=workers
    ):
        for rendered, seen in part:
            output.append(rendered)
            tally += seen
        on_event(Event(stage, tally.rows, source.n_rows))
    return tally


def _points(batch: Batch, coordinates: np.ndarray, colour_by: str | None) -> Points:
    """Some rows of the batch on the map, their first two coordinates."""
    n_rows = len(coordinates)
    text = np.full(n_rows, None, object)
    if colour_by is not None:
        for i, value in enumerate(batch.table.column(colour_by).to_pylist()):
            text[i] = None if value is None or value == "" else str(value)
    return chosen(batch.first_row + np.arange(n_rows), coordinates[:, :2], text)


def _numbered(batch: Batch) -> Batch:
    """The numbers of the rows, from 1, in the place of their columns."""
    count = np.arange(batch.first_row + 1, batch.first_row + batch.table.num_rows + 1)
    numbers = pa.table([pa.array(count, pa.int64())], schema=ROW)
    return Batch(numbers, batch.first_row, batch.where, whole=numbers)
