"""What `explain` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.incidents import Incident, with_incidents
from vaecli.results.json_object import json_object
from vaecli.results.reasons import FlaggedRow


@dataclass(frozen=True, slots=True)
class ExplainSummary:
    """The explained rows: the most anomalous ones, or those that were requested."""

    output: str | None
    bundle: str
    rows: int
    anomalies: int
    explained: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    shown: tuple[FlaggedRow, ...]
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for
    incidents: tuple[Incident, ...] | None = None  # where they were asked for, those of most rows first
    incident_file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every reason with its sentence."""
        values = json_object("explain", self)
        for row, shown in zip(values["shown"], self.shown, strict=True):
            for reason, told in zip(row["reasons"], shown.reasons, strict=True):
                reason["sentence"] = told.sentence
        return with_incidents(values, self.incidents)
