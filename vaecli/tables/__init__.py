"""Streams tables as Arrow batches, finds out what they hold, and writes them atomically."""

from __future__ import annotations

from vaecli.tables.batch import Batch, Piece, Source, whole
from vaecli.tables.cells import label_mask, numbers_of, readable_times, time_values, to_cells
from vaecli.tables.frames import frame_source
from vaecli.tables.infer import infer_schema, same_unit_columns
from vaecli.tables.made import made_schema, made_table
from vaecli.tables.match import match_schema
from vaecli.tables.missing import MISSING_TOKENS
from vaecli.tables.rows import Rendered
from vaecli.tables.sinks import CollectSink, Sink, collect_sink, default_output, open_sink
from vaecli.tables.sources import format_of_name, open_source
from vaecli.tables.targets import refuse_to_overwrite, whole_output

__all__ = [
    "MISSING_TOKENS",
    "Batch",
    "CollectSink",
    "Piece",
    "Rendered",
    "Sink",
    "Source",
    "collect_sink",
    "default_output",
    "format_of_name",
    "frame_source",
    "infer_schema",
    "label_mask",
    "made_schema",
    "made_table",
    "match_schema",
    "numbers_of",
    "open_sink",
    "open_source",
    "readable_times",
    "refuse_to_overwrite",
    "same_unit_columns",
    "time_values",
    "to_cells",
    "whole",
    "whole_output",
]
