"""Settings of windows: whether the rows of a table are series, and how long a window is."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_WINDOW_ROWS, MOST_ROWS = 8, 128


@dataclass(frozen=True, slots=True)
class WindowsConfig:
    """Windows over rows that follow each other in time."""

    window: int | None = None  # rows; 0: rows are judged by themselves; None: windows where the table is a series
    max_gap_seconds: float | None = None  # no window spans a longer step; None: by the steps of the training table
