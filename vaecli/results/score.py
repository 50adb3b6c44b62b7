"""What `score` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.bad_files import BadFile
from vaecli.results.incidents import Incident, with_incidents
from vaecli.results.json_object import json_object
from vaecli.results.reasons import FlaggedRow


@dataclass(frozen=True, slots=True)
class ChangedColumn:
    """A column with one value in every row of the fit, None if it was empty, and another in `rows` scored rows."""

    column: str
    value: float | int | str | None
    rows: int


@dataclass(frozen=True, slots=True)
class NewFiles:
    """How many of the files of a run are new, have grown or been replaced, and have nothing new since the last run."""

    state: str  # the file that keeps what was read
    new: int
    grown: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a scoring run found."""

    output: str
    bundle: str
    rows: int
    anomalies: int
    unscored: int
    novel_cells: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is finer than the calibration rows resolve
    worst: tuple[FlaggedRow, ...]
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for
    changed: tuple[ChangedColumn, ...] = ()  # those that moved in most rows first
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
