"""What `check` returns: how far each column, the scores and the volume are from training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.bad_files import BadFile
from vaecli.results.json_object import json_object
from vaecli.results.score import NewFiles

LEVELS = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared with training; `column` is None for the table as a whole.

    `effect` is the distance, or the difference of shares, `by_chance` what chance alone may reach; both None where the
    comparison is no measurement.
    """

    level: str  # one of LEVELS
    what: str  # distribution, missing, unseen, range, constant, scores, flagged, rows or clock; of series more
    column: str | None
    before: str
    after: str
    effect: float | None
    by_chance: float | None
    sentence: str
    group: str | None = None  # the series that is meant, None for all and for rows


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """How far a table is from the rows of the fit."""

    table: str
    bundle: str
    output: str | None
    level: str  # the worst of the findings
    rows: int
    n_independent: int  # what the rows are worth
    n_columns: int
    findings: tuple[Finding, ...]  # that warn or fail, the worst first
    unchecked: tuple[str, ...]  # what the bundle does not let us compare, in words
    warnings: tuple[str, ...]
    seconds: float
    since_last_run: NewFiles | None = None  # where only new rows were asked for
    bad_files: tuple[BadFile, ...] = ()  # that were left out
    n_files: int | None = None  # these and the others, where files may be left out

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("check", self)
