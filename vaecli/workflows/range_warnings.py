"""Warns of sensors that read well outside the range of training for several rows, flagged or not."""

from __future__ import annotations

import numpy as np

from vaecli.aggregates.beyond_range import BeyondRange
from vaecli.errors import quoted
from vaecli.results.number_format import counted, number
from vaecli.sensors.detector import SensorDetector

FEWEST_ROWS = 8  # as many as a sensor is silent for before it is named
N_NAMED = 3


def range_warnings(detector: SensorDetector, beyond: BeyondRange | None) -> tuple[str, ...]:
    """One warning that names the sensors beyond their range for FEWEST_ROWS rows or more, most rows first.

    A window follows a level that moves slowly, so that such rows need not be flagged.
    """
    if beyond is None:
        return ()
    which = [j for j in np.argsort(-beyond.n, kind="stable").tolist() if beyond.n[j] >= FEWEST_ROWS]
    if not which:
        return ()
    shown = []
    for j in which[:N_NAMED]:
        column = detector.schema.features[j]
        assert column.minimum is not None
        assert column.maximum is not None
        reached = [
            *([f"down to {number(beyond.lowest[j])}"] if beyond.lowest[j] < column.minimum else []),
            *([f"up to {number(beyond.highest[j])}"] if beyond.highest[j] > column.maximum else []),
        ]
        shown.append(
            f"{quoted(column.name)} in {counted(int(beyond.n[j]), 'row')}, {' and '.join(reached)} "
            f"(training: {number(column.minimum)} to {number(column.maximum)})"
        )
    more = f"; and {len(which) - N_NAMED:,} more" if len(which) > N_NAMED else ""
    return (
        f"readings outside the range of training: {'; '.join(shown)}{more}. "
        "Windows follow slow changes: not every such row is flagged",
    )
