"""What `score --engine spark` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class SparkSummary:
    """What a scoring run on Spark found, counted in the folder that it wrote."""

    output: str
    bundle: str
    remote: str
    parts: int
    rows: int
    anomalies: int
    unscored: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("score", self)
