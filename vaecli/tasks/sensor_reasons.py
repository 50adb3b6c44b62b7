"""Explanations of rows of series in the words of the user's table: its columns, its values, its units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, NOVEL
from vaecli.data.sensor_scale import LARGEST
from vaecli.results import FlaggedRow, Reason
from vaecli.schema import Column, Kind
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.explanation import ExplainedRows
from vaecli.tables import Batch, to_cells
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tasks.reasons import own_values, value_of

N_TOP_COLUMNS = 3
_ROUNDING = 1e-7  # of the range of a column: what a mean of float32 leaves of zero


@dataclass(frozen=True, slots=True)
class ColumnParts:
    """Columns of k explained rows: `nats` (c, k), the sensors of a categorical column added up."""

    nats: np.ndarray
    first: np.ndarray  # (c,) the first sensor of each column

    @classmethod
    def of(cls, detector: SensorDetector, found: ExplainedRows) -> ColumnParts:
        """The parts of the columns."""
        columns = detector.sensor_column
        first = np.flatnonzero(np.diff(columns, prepend=-1))
        return cls(np.add.reduceat(found.parts, first, axis=0), first)


def reasons_of(
    detector: SensorDetector,
    found: ExplainedRows,
    batch: Batch,
    score: np.ndarray,
    p_value: np.ndarray,
    most: int,
) -> list[FlaggedRow]:
    """Each explained row of a batch, scores and p-values (n,), with its `most` strongest reasons, strongest first."""
    if not found.row.size:  # as in most batches of a live stream, where reading no cells takes as long as reading one
        return []
    features, parts = detector.schema.features, ColumnParts.of(detector, found)
    cells = to_cells(Batch(batch.table.take(pa.array(found.row)), 0, batch.where), detector.schema)
    own = [own_values(batch.table.column(column.name).take(pa.array(found.row))) for column in features]

    def value(i: int, j: int) -> float | int | str | None:
        if cells.state[i, j] != MISSING:
            return value_of(features[j], float(cells.values[i, j]), own[j][i])
        return held_value(detector, j, found.now[:, i])

    rows = []
    for i, row in enumerate(found.row.tolist()):
        order = np.argsort(-parts.nats[:, i], kind="stable")[:most]
        reasons = [
            Reason(
                features[j].name,
                float(parts.nats[j, i]),
                value(i, j),
                *expected_of(features[j], found, int(parts.first[j]), i),
                is_novel=bool(cells.state[i, j] == NOVEL),
                is_beyond=bool(found.is_beyond[parts.first[j], i]),
            )
            for j in order
            if parts.nats[j, i] > 0
        ]
        rest = float(score[row] - parts.nats[:, i].sum())
        rows.append(
            FlaggedRow(
                batch.first_row + row + 1,
                float(score[row]),
                float(p_value[row]),
                is_anomaly=True,
                reasons=tuple(reasons),
                rest=0.0 if abs(rest) < 1e-9 * abs(score[row]) else rest,
            )
        )
    return rows


def held_value(detector: SensorDetector, j: int, now: np.ndarray) -> float | int | str | None:
    """The reading that a missing cell of column `j` holds, of the readings (D,) of its row; None in a wide table.

    In a long table a cell is missing wherever its tag did not report at a stamp, which is nothing to name. Of numbers
    beyond what the scale holds only the end of the scale is known.
    """
    if detector.long is None:
        return None
    sensor = np.flatnonzero(detector.sensor_column == j)
    column, own = detector.schema.features[j], now[sensor]
    if column.kind is Kind.NUMERIC:
        scaled = float(detector.scale.scaled(now)[sensor[0]])
        beyond = "" if abs(scaled) < 0.9999 * LARGEST else "at least " if scaled > 0 else "at most "
        return f"{beyond}{own[0]:.6g}" if beyond else float(f"{own[0]:.6g}")
    code = int(np.argmax(own)) if column.kind is Kind.CATEGORICAL else int(own[0] >= 0.5)
    return TABLE_KINDS[column.kind].value(column, code)


def expected_of(
    column: Column, found: ExplainedRows, first: int, i: int
) -> tuple[float | str | None, float | None, float | None, float | None]:
    """(expected, low, high, probability) of a column whose sensors begin at `first`, in explained row `i`.

    Numbers are expected to be what they were before the window; of values without order the most frequent one then.
    """
    if column.kind is Kind.NUMERIC:
        mean, deviation = float(found.expected[first, i]), float(found.deviation[first, i])
        if abs(mean) < _ROUNDING * max(abs(column.minimum or 0.0), abs(column.maximum or 0.0)):
            mean = 0.0
        return mean, mean - deviation, mean + deviation, None
    if column.kind is Kind.BOOLEAN:
        share = float(np.clip(found.expected[first, i], 0, 1))
        code, probability = (1, share) if share >= 0.5 else (0, 1 - share)
    else:
        shares = found.expected[first : first + column.n_categories, i]
        code = int(np.argmax(shares))
        probability = float(np.clip(shares[code], 0, 1))
    expected = TABLE_KINDS[column.kind].value(column, code)
    return "a rare value" if expected is None else str(expected), None, None, probability


def shortened(row: FlaggedRow, most: int) -> FlaggedRow:
    """The row with its `most` strongest reasons."""
    return replace(row, reasons=row.reasons[:most])
