"""The table of the rows that a fit distrusts: which they are, how isolated, and how the finished model scores them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from vaecli.detector import Detector
from vaecli.results import OnEvent
from vaecli.tables import Source
from vaecli.tables.marks import Marks
from vaecli.tasks.reasons import RowsToExplain, explained, own_values, top_columns
from vaecli.training.distrust import Judge
from vaecli.workflows.training_data import normal_batches

N_COLUMNS = 3  # that are named for each row
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("isolation", pa.float64()),
        ("anomaly_score", pa.float64()),
        ("p_value", pa.float64()),
        ("top_columns", pa.string()),
    ]
)


def distrusted_tables(
    source: Source, detector: Detector, judge: Judge, marks: Marks | None, on_event: OnEvent
) -> Iterator[pa.Table]:
    """The distrusted ones of the normal rows of `source`, in order, a table a batch; rows count from 1."""
    for cells, batch, normal, marked in normal_batches(source, detector.schema, on_event, "listing", marks):
        isolation = judge.isolation(detector.preprocessor.transform(cells).values)
        is_trusted = np.zeros(len(cells), bool) if marked is None else marked.normal[normal]
        which = np.flatnonzero((isolation > judge.limit) & ~is_trusted)
        if not which.size:
            continue
        chosen, place = cells[which], np.flatnonzero(normal)[which]
        alone = replace(chosen, row=np.arange(which.size))  # tiles are of rows that follow each other
        decided = detector.score(alone)
        values = tuple(own_values(batch.table.column(column.name).take(place)) for column in detector.schema.features)
        rows = RowsToExplain(alone, decided, np.ones(which.size, bool), values)
        reasons = [top_columns(row) for row in explained(detector, rows, detector.score_kind, N_COLUMNS)]
        columns = [chosen.row + 1, isolation[which], decided.scored.score, decided.p_value]
        yield pa.table([*map(pa.array, columns), pa.array(reasons, pa.string())], schema=SCHEMA)
