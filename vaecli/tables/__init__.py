"""Streams tables as Arrow batches, finds out what they hold, and writes them atomically."""

from __future__ import annotations

from vaecli.tables.check_schema import check_schema
from vaecli.tables.convert.labels import label_mask
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS
from vaecli.tables.convert.to_cells import numbers_of, readable_times, time_values, to_cells
from vaecli.tables.infer.infer_schema import infer_schema, same_unit_columns
from vaecli.tables.read.frames import frame_source
from vaecli.tables.read.open import format_of_name, open_source
from vaecli.tables.source import Batch, Piece, ReadRequest, Source, round_up
from vaecli.tables.write.new_rows import new_schema, new_table
from vaecli.tables.write.row_writers import Rendered
from vaecli.tables.write.sinks import CollectSink, Sink, collect_sink, default_output, open_sink
from vaecli.tables.write.targets import Targets, refuse_to_overwrite, whole_output

__all__ = [
    "MISSING_TOKENS",
    "Batch",
    "CollectSink",
    "Piece",
    "ReadRequest",
    "Rendered",
    "Sink",
    "Source",
    "Targets",
    "check_schema",
    "collect_sink",
    "default_output",
    "format_of_name",
    "frame_source",
    "infer_schema",
    "label_mask",
    "new_schema",
    "new_table",
    "numbers_of",
    "open_sink",
    "open_source",
    "readable_times",
    "refuse_to_overwrite",
    "round_up",
    "same_unit_columns",
    "time_values",
    "to_cells",
    "whole_output",
]
