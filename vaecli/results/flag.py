"""What `flag` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class FlagSummary:
    """How a scored table was decided again. What a method does not have is None."""

    output: str
    rows: int
    anomalies: int
    flagged_before: int | None  # by the table itself; None where it has no flags
    unscored: int
    method: str  # threshold, fdr, top, per_day, or kept: the flags of the table
    threshold: float | None
    fdr: float | None
    top: int | None
    per_day: int | None
    largest_p: float | None  # of the flagged rows
    calibration_rows: int | None  # m of the false-discovery rate: the p-values of normal rows are at least 1/(m + 1)
    score_kind: str | None  # whose calibration gives the p-values of the table
    fewest_discoveries: int | None  # so many rows have to stand out before the rate allows any to be flagged
    events: int | None  # of the budget per day
    days: int | None  # with rows that could be flagged
    untimed: int | None  # rows without a time, which a budget per day cannot count
    suppressed: dict[str, int] | None  # rows by rule; None without rules
    claim: str  # what is promised, and for which rows
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("flag", self)
