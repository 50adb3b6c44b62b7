"""What `report` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """Where the page about a table was written, and its headline."""

    output: str
    bundle: str
    rows: int
    anomalies: int
    unscored: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is finer than the calibration rows resolve
    headline: str
    size_bytes: int
    warnings: tuple[str, ...]
    seconds: float
    image_shape: tuple[int, int] | None = None  # (height, width) of each row as a picture; None: none was drawn

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("report", self)
