"""What `calibrate` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object
from vaecli.results.mark import MarksUsed


@dataclass(frozen=True, slots=True)
class CalibratedGroup:
    """A group with a calibration of its own: `flagged_before` is its share of rows that the earlier one flagged."""

    group: str
    rows: int
    flagged_before: float
    min_score: float  # the smallest score that is flagged now
    finest_level: float


@dataclass(frozen=True, slots=True)
class CalibrateSummary:
    """How fresh normal rows changed what is flagged. Shares and scores are of the default kind of score."""

    bundle: str  # the new one
    former_bundle: str
    rows: int  # normal rows that were read
    excluded_by_label: int  # or by a mark
    unscored: int
    added: bool  # whether the earlier calibration rows still count
    score_kind: str
    threshold: float
    min_score: float
    former_threshold: float
    former_min_score: float
    flagged_before: float  # share of the rows that the earlier calibration flags at the new level
    n_calibration_rows: int
    finest_level: float
    n_effective: int | None  # independent rows that those of a series or of groups are worth
    n_groups: int | None  # of the group column of the fit
    by: str | None
    groups: tuple[CalibratedGroup, ...]  # those with a calibration of their own, the one flagged most before first
    small_groups: dict[str, int]  # rows of those with too few
    min_rows: int | None  # how many a group needed
    warnings: tuple[str, ...]
    seconds: float
    marks: MarksUsed | None = None  # with --marks

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("calibrate", self)
