"""What `fit` and `score` return for --dry-run: what they would read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.bad_files import BadFile
from vaecli.results.columns import ColumnSummary
from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that would be read; the size of a URL or a stream is None."""

    name: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A run that was checked and not done."""

    planned: str  # the verb
    format: str
    n_columns: int
    reads: tuple[PlannedFile, ...]
    bundle: str
    writes: tuple[str, ...]
    series: bool  # whether rows are judged together with those before them
    columns: tuple[ColumnSummary, ...]  # as they would be, or are, modelled
    threshold: float | None
    score_kind: str
    dry_run: bool = True
    bad_files: tuple[BadFile, ...] = ()  # that the run would leave out, as far as their columns show
    n_files: int | None = None  # these and the others, where files may be left out

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object(self.planned, self)
