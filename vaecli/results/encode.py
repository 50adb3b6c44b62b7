"""What `encode` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class EncodeSummary:
    """Where the coordinates of a table were written."""

    output: str
    bundle: str
    rows: int
    columns: tuple[str, ...]  # that were written for every row
    n_latent: int  # coordinates that the code has
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("encode", self)
