"""What `fit` and `score` report of a long table, which has a row per sensor and time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LongTable:
    """What was met in a long table; a stamp is a time of a series at which a tag of the model reported."""

    name: str  # the column of tags
    value: str  # the column of readings
    rows: int
    stamps: int
    tags: int  # of the model
    tags_per_stamp: float  # that report, in the mean
    repeated: int  # readings followed by one of the same tag at the same stamp, which counts instead
    gaps: dict[str, int]  # readings that are words, by word; some, the most frequent first
    n_gaps: int  # readings that are words: they count as missing
    rows_without_tag: int  # that have a time at which no tag of the model reported, so that they have no score
    other_tags: tuple[str, ...]  # some of those that the model does not have, the most frequent first
    n_other_tags: int
    silent_tags: tuple[str, ...]  # some of those that the model has and that never reported
    n_silent_tags: int
    other_columns: tuple[str, ...]  # of the table, which pass through
    sorted: bool  # whether it was not in the order of time
    hold: int | None = None  # usual steps of a tag that its last reading is held for; None: as long as it is silent
