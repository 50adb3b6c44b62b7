"""Streams tables as Arrow batches, finds out what they hold, and writes them atomically.

A run reads one format and writes one, so every name is loaded when first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaecli.runtime.lazy_names import loaded_when_used

if TYPE_CHECKING:
    from vaecli.tables.convert.blank_rows import BlankRows as BlankRows, blank_rows as blank_rows
    from vaecli.tables.convert.kinds import ColumnTypes as ColumnTypes
    from vaecli.tables.convert.labels import label_mask as label_mask
    from vaecli.tables.convert.missing_tokens import MISSING_TOKENS as MISSING_TOKENS
    from vaecli.tables.convert.to_cells import (
        clock_zones as clock_zones,
        exact_types as exact_types,
        group_texts as group_texts,
        numbers_of as numbers_of,
        readable_times as readable_times,
        time_values as time_values,
        to_cells as to_cells,
    )
    from vaecli.tables.needed_columns import check_schema as check_schema
    from vaecli.tables.read.delimited import growth_notes as growth_notes
    from vaecli.tables.read.frames import frame_source as frame_source
    from vaecli.tables.read.long import (
        LongPart as LongPart,
        LongSource as LongSource,
        long_source as long_source,
        require_distinct as require_distinct,
        tags_of as tags_of,
    )
    from vaecli.tables.read.open import format_of_name as format_of_name, open_source as open_source
    from vaecli.tables.source import (
        Batch as Batch,
        Piece as Piece,
        ReadRequest as ReadRequest,
        Source as Source,
        round_up as round_up,
    )
    from vaecli.tables.write.new_rows import new_schema as new_schema, new_table as new_table
    from vaecli.tables.write.row_writers import Rendered as Rendered
    from vaecli.tables.write.sinks import (
        CollectSink as CollectSink,
        Sink as Sink,
        added_sink as added_sink,
        collect_sink as collect_sink,
        default_output as default_output,
        open_live_sink as open_live_sink,
        open_sink as open_sink,
    )
    from vaecli.tables.write.targets import (
        Targets as Targets,
        refuse_to_overwrite as refuse_to_overwrite,
        whole_output as whole_output,
    )

__getattr__ = loaded_when_used(
    "vaecli.tables",
    {
        "needed_columns": "check_schema",
        "convert.blank_rows": "BlankRows blank_rows",
        "convert.kinds": "ColumnTypes",
        "convert.labels": "label_mask",
        "convert.missing_tokens": "MISSING_TOKENS",
        "convert.to_cells": "clock_zones exact_types group_texts numbers_of readable_times time_values to_cells",
        "read.delimited": "growth_notes",
        "read.frames": "frame_source",
        "read.long": "LongPart LongSource long_source require_distinct tags_of",
        "read.open": "format_of_name open_source",
        "source": "Batch Piece ReadRequest Source round_up",
        "write.new_rows": "new_schema new_table",
        "write.row_writers": "Rendered",
        "write.sinks": "CollectSink Sink added_sink collect_sink default_output open_live_sink open_sink",
        "write.targets": "Targets refuse_to_overwrite whole_output",
    },
)
