"""What `sample` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """Where the new rows were written, and how to get the same ones again."""

    output: str
    bundle: str
    rows: int
    columns: tuple[str, ...]
    seed: int
    like: str | None  # the table they were drawn around; None: from the prior
    rows_each: int | None  # around each of its rows
    warnings: tuple[str, ...]
    seconds: float
    image_shape: tuple[int, int] | None = None  # (height, width) of each row in a picture; None: a table

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("sample", self)
