"""The columns of a table as a summary lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column as `fit` understood it; the range is in its own units, seconds since the epoch for a datetime."""

    name: str
    kind: str
    role: str
    reason: str = ""
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
