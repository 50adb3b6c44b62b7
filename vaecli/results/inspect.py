"""What `inspect` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.columns import ColumnSummary
from vaecli.results.json_object import json_object, with_former_keys


@dataclass(frozen=True, slots=True)
class InspectSummary:
    """What is in a bundle."""

    bundle: str
    size_bytes: int
    format: int
    vaecli_version: str
    created_utc: str
    schema_fingerprint: str
    columns: tuple[ColumnSummary, ...]
    config: dict[str, Any]
    calibration: dict[str, Any]
    digests: dict[str, str]
    fit: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        values = json_object("inspect", self)
        stages = {name: with_former_keys(stage) for name, stage in self.config.items() if isinstance(stage, dict)}
        return values | {"config": self.config | stages, "fit": with_former_keys(self.fit)}
