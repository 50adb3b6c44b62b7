"""What `score` returns for series of sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.bad_files import BadFile
from vaecli.results.incidents import Incident, with_incidents
from vaecli.results.json_object import json_object
from vaecli.results.long_table import LongTable
from vaecli.results.reasons import FlaggedRow
from vaecli.results.score import NewFiles


@dataclass(frozen=True, slots=True)
class SensorScoreSummary:
    """What a scoring run over series found."""

    output: str
    bundle: str
    model: str
    rows: int
    anomalies: int
    unscored: int
    novel_cells: int
    n_groups: int
    new_groups: tuple[str, ...]  # some of those that training did not have
    n_new_groups: int
    late_rows: int  # older than the newest row of their series, scored where they belong
    too_late_rows: int  # older than what is kept of their series, not scored
    rows_without_time: int
    repeated_times: int
    clocks_set_back: int  # times that a clock was set back so far that its series began anew
    gaps: int
    offline: bool
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is beyond what the effective rows let us promise
    n_effective: int
    worst: tuple[FlaggedRow, ...]
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for
    state: str | None = None  # the file that keeps the last rows of each series, where one was named
    alarm_budget: str | None = None  # what decided which rows are flagged, where it was given
    events: str | None = None  # the file of events, where one was asked for
    n_events: int | None = None
    n_open_events: int | None = None  # that had not ended with the table
    long: LongTable | None = None  # where the table has a row per sensor and time
    blank_rows: int = 0  # without a value in any column
    incidents: tuple[Incident, ...] | None = None  # where they were asked for, those of most rows first
    incident_file: str | None = None
    incident_state: str | None = None
    notified: int = 0  # notifications that were delivered
    not_notified: int = 0  # and that were not
    since_last_run: NewFiles | None = None  # where only new rows were asked for
    bad_files: tuple[BadFile, ...] = ()  # that were left out
    n_files: int | None = None  # these and the others, where files may be left out

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return with_incidents(json_object("score", self), self.incidents)
