"""What `mark` returns, and what verbs report of the marks that they were given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class MarksUsed:
    """How the marks of a file met the rows of a table."""

    file: str
    normal: int  # rows marked normal
    faults: int  # rows marked as faults
    unmet: int  # marks that name no row of the table

    def to_report(self) -> dict[str, int]:
        """What a bundle keeps of it: the counts."""
        kept = asdict(self)
        kept.pop("file")
        return kept


@dataclass(frozen=True, slots=True)
class Mark:
    """One decision: `decision` is `normal` or `fault`; `key` has texts of `columns`, or `digest` is that of a row."""

    decision: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class MarkSummary:
    """What changed in a file of marks, and what it holds now."""

    marks: str  # the file
    written: bool
    rows: int  # read of the files given
    added: int
    changed: int  # from normal to fault or back
    repeated: int  # rows that were marked so already, or have the name of a row before them
    removed: int
    unmarked: int  # rows to be removed that had no mark
    normal: int  # rows marked normal now
    faults: int
    listed: tuple[Mark, ...]  # all of them, if that was asked for
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("mark", self)
