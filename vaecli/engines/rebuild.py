"""Encodes and reconstructs tables on this machine: batch → cells → codes or cells → batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.cells import MISSING, NOVEL
from vaecli.detector import Detector
from vaecli.engines.local import Output
from vaecli.engines.streaming import streamed
from vaecli.results import Event, OnEvent
from vaecli.tables import Batch, Rendered, Source, to_cells
from vaecli.tables.rewritten import rewritten

ROW = pa.schema([("row", pa.int64())])


@dataclass(frozen=True, slots=True)
class Tally:
    """What was seen in some rows."""

    rows: int
    missing: np.ndarray  # (c,) cells a column
    novel: int

    def __add__(self, later: Tally) -> Tally:
        return Tally(self.rows + later.rows, self.missing + later.missing, self.novel + later.novel)


def encode_table(
    detector: Detector,
    source: Source,
    output: Output,
    names: Sequence[str],
    *,
    dims: int | None,
    keep: bool,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> int:
    """Write the coordinates of each row under `names`, means before standard deviations; returns how many rows.

    Without `keep` the number of the row, from 1, stands before them, else the columns of the user.
    """

    def one(batch: Batch) -> tuple[Rendered, Tally]:
        cells = to_cells(batch, detector.schema)
        coordinates = np.concatenate(detector.encode(cells, dims), axis=1)
        rows = batch if keep else _numbered(batch)
        added = {name: coordinates[:, i] for i, name in enumerate(names)}
        return output.render(rows, added), Tally(len(cells), (cells.state == MISSING).sum(0), 0)

    tally = _written(one, detector, source, output, "encoding", keep, batch_rows, workers, on_event)
    return tally.rows


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
        replaced = rewritten(batch, source, columns, values, missing if impute else np.ones_like(missing))
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
) -> Tally:
    """One thread reads and writes, `workers` do all that lies between; bytes do not depend on their number."""
    tally = Tally(0, np.zeros(len(detector.schema.features), np.int64), 0)
    for part in streamed(one, source, detector.schema, keep=keep, batch_rows=batch_rows, workers=workers):
        for rendered, seen in part:
            output.append(rendered)
            tally += seen
        on_event(Event(stage, tally.rows, source.n_rows))
    return tally


def _numbered(batch: Batch) -> Batch:
    """The numbers of the rows, from 1, in the place of their columns."""
    count = np.arange(batch.first_row + 1, batch.first_row + batch.table.num_rows + 1)
    numbers = pa.table([pa.array(count, pa.int64())], schema=ROW)
    return Batch(numbers, batch.first_row, batch.where, whole=numbers)
