"""Single rows of series in the words of the user's table: which sensors, which way."""

from __future__ import annotations

import math

import numpy as np

from vaecli.results.explain_sensors import SeriesRow
from vaecli.results.sensor_events import EventSensor
from vaecli.schema import Kind
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.explanation import SILENT, ExplainedRows, directions
from vaecli.tasks.events import CHANGED, DecidedRows, time_of
from vaecli.tasks.sensor_reasons import reasons_of


def asked_rows(
    detector: SensorDetector, rows: DecidedRows, found: ExplainedRows, numbers: np.ndarray, most: int
) -> tuple[SeriesRow, ...]:
    """The rows `numbers` (k,) of a batch with their `most` strongest sensors; those with a score are in `found`."""
    scored = numbers[~np.isnan(rows.score[numbers])]
    explained = found.take(np.searchsorted(found.row, scored))
    reasons = reasons_of(detector, explained, rows.batch, rows.score, rows.p_value, most)
    of_row = {int(row): (i, reasons[i]) for i, row in enumerate(scored)}
    kinds = {column.name: column.kind for column in detector.schema.features}
    first = {
        column.name: int(np.searchsorted(detector.sensor_column, j))
        for j, column in enumerate(detector.schema.features)
    }
    asked = []
    for row in numbers.tolist():
        time, rest = float(rows.time[row]), 0.0
        sensors: tuple[EventSensor, ...] = ()
        if row in of_row:
            i, told = of_row[row]
            which = _directions(explained.take(np.array([i])))
            sensors = tuple(
                EventSensor(
                    str(which[first[reason.column]])
                    if kinds[reason.column] is Kind.NUMERIC or which[first[reason.column]] == SILENT
                    else CHANGED,
                    reason,
                )
                for reason in told.reasons
            )
            rest = told.rest
        asked.append(
            SeriesRow(
                rows.batch.first_row + row + 1,
                rows.keys[int(rows.group[row])] if detector.schema.group is not None else None,
                None if math.isnan(time) else time_of(detector.schema.time, time),
                float(rows.score[row]),
                float(rows.p_value[row]),
                bool(rows.flagged[row]),
                sensors,
                rest,
                time,
            )
        )
    return tuple(asked)


def _directions(row: ExplainedRows) -> np.ndarray:
    """How the sensors of one row differ from what was expected of it, (D,)."""
    highest = np.where(row.is_cut, np.inf, row.step)
    ends = ((row.now, row.now), (row.level, row.level), (highest, row.step))
    now, level, step = (np.concatenate(pair, axis=1).T for pair in ends)
    return directions(row, now, level, step, row.is_silent[:, 0], row.is_beyond[:, 0])
