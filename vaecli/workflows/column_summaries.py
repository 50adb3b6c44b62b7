"""The columns of a schema as summaries show them."""

from __future__ import annotations

from vaecli.results import ColumnSummary
from vaecli.schema import Schema


def column_summaries(schema: Schema) -> tuple[ColumnSummary, ...]:
    """The columns as the summaries show them."""
    return tuple(
        ColumnSummary(
            column.name, column.kind, column.role, column.reason, column.categories, column.minimum, column.maximum
        )
        for column in schema.columns
    )
