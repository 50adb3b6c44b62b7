"""What `score` returns where it writes a folder of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object
from vaecli.results.score import ChangedColumn


@dataclass(frozen=True, slots=True)
class PartCount:
    """A part of the output and how many of its rows are flagged."""

    part: str
    rows: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class PartsSummary:
    """What a scoring run found in all parts of its output, whoever computed them.

    `reused` parts were there already: from an interrupted run, or by another process at work on the same folder.
    """

    output: str
    bundle: str
    parts: int
    reused: int
    rows: int
    anomalies: int
    unscored: int
    novel_cells: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool
    most_flagged: tuple[PartCount, ...]  # by the share of flagged rows, the highest first
    warnings: tuple[str, ...]
    seconds: float
    changed: tuple[ChangedColumn, ...] = ()
    blank_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("score", self)
