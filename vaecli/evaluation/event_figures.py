"""How good alarms are against labelled events: found or missed, how late, and how many alarms are false.

An event is a run of labelled rows of a series. An alarm is what `score --events` writes: flagged rows that belong
together. Nothing here is point-adjusted: where one flagged row counts for all
rows of its event, random scores look like the state of the art (Kim et al., Towards a rigorous evaluation of
time-series anomaly detection, AAAI 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.evaluation.runs import Runs


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Counts of events and alarms, and how late the events that were found are noticed.

    The delays (k,) of the events found are from the first labelled row to the first flagged row of the event, in rows
    and in units of the clock. `normal_time` is the time of the normal rows, in units of the clock.
    """

    n_events: int
    n_alarms: int
    n_false_alarms: int  # alarms none of whose flagged rows is labelled
    delay_rows: np.ndarray
    delay_time: np.ndarray
    normal_time: float

    @property
    def n_found(self) -> int:
        """How many events have a flagged row."""
        return self.delay_rows.size


def event_figures(
    is_anomaly: np.ndarray,
    flagged: np.ndarray,
    alarms: Runs,
    series: np.ndarray,
    time: np.ndarray,
    step: float,
    max_gap: float,
) -> EventFigures:
    """The figures of n rows in the order of time within a series; flags outside the `alarms` do not count.

    `series` (n,) has equal codes for the rows of one series, side by side; `time` (n,) ascends within each. A row lasts
    as long as the step before it; the first of a series, and one after a gap longer than `max_gap`, lasts `step`.
    """
    events = Runs.of(is_anomaly, series)
    flagged = flagged & alarms.cover(flagged.size)
    found = events.contain(flagged)
    started = events.first[found]
    flags = np.flatnonzero(flagged)
    noticed = flags[np.searchsorted(flags, started)]
    lasts = np.diff(time, prepend=np.nan)
    unknown = np.append(True, np.diff(series) != 0)[: time.size] | ~(lasts <= max_gap)
    lasts = np.where(unknown, step, lasts)
    return EventFigures(
        n_events=events.n,
        n_alarms=alarms.n,
        n_false_alarms=int((~alarms.contain(flagged & is_anomaly)).sum()),
        delay_rows=noticed - started,
        delay_time=time[noticed] - time[started],
        normal_time=float(lasts[~is_anomaly].sum()),
    )
