"""Warns of sensors that had no reading for too long when a table of series ended."""

from __future__ import annotations

import numpy as np

from vaecli.errors import quoted
from vaecli.results.number_format import counted
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.history import Histories

N_NAMED = 3


def silence_warnings(detector: SensorDetector, histories: Histories) -> tuple[str, ...]:
    """One warning that names the sensors that are silent, longest first; none where none is, or none is judged.

    Flags end while a sensor stays silent, so that other faults show; the warning does not.
    """
    limit, longest = histories.silence_limit, np.zeros(histories.start.size, np.int64)
    if limit is None:
        return ()
    for history in histories.series.values():
        if history.missing is not None:
            longest = np.maximum(longest, np.where(history.missing > limit, history.missing, 0))
    rows = np.zeros(len(detector.schema.features), np.int64)
    np.maximum.at(rows, detector.sensor_column, longest)
    silent = [j for j in np.argsort(-rows, kind="stable").tolist() if rows[j]]
    if not silent:
        return ()
    shown = [f"{quoted(detector.schema.features[j].name)} for {counted(int(rows[j]), 'row')}" for j in silent[:N_NAMED]]
    more = f" and {len(silent) - N_NAMED:,} more" if len(silent) > N_NAMED else ""
    return (f"without a reading at the end of the table, longer than ever in training: {', '.join(shown)}{more}",)
