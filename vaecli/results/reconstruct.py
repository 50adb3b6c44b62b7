"""What `reconstruct` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class ReconstructSummary:
    """Where the expected cells of a table were written, and what was missing in it."""

    output: str
    bundle: str
    rows: int
    impute: bool  # only the missing cells were filled
    missing_cells: int
    missing_by_column: dict[str, int]  # of the columns that have any
    novel_cells: int
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("reconstruct", self)
