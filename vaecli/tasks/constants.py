"""Columns that had one value in every row of the fit: no feature, but to be named when they move."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vaecli.results import ChangedColumn
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables import Batch
from vaecli.tables.convert.arrow_types import ArrowFamily, family, one_array
from vaecli.tables.convert.kinds import TABLE_KINDS, read
from vaecli.tables.convert.parse import parse_booleans

ROUNDING = 1e-6  # of a number: what float32 and text of few digits lose is no change


@dataclass(frozen=True, slots=True)
class Constants:
    """The columns of a table that were constant or empty at fit."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, schema: Schema, names: Collection[str]) -> Constants:
        """The constant columns of `schema` that a table with columns `names` has."""
        constant = [column for column in schema.columns if column.name in names and _is_constant(column, schema)]
        return cls(tuple(_as_boolean(column) for column in constant))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of these columns."""
        return tuple(column.name for column in self.columns)

    def moved(self, batch: Batch) -> np.ndarray:
        """The number of rows of a batch in which each of the c columns has another value than at fit, (c,) int64.

        Missing cells have none.
        """
        return np.array([_n_moved(batch, column) for column in self.columns], np.int64)

    def changed(self, n_moved: np.ndarray | None) -> tuple[ChangedColumn, ...]:
        """The columns that moved, by (c,) int64, with their value at fit; those that moved in most rows come first."""
        if n_moved is None:
            return ()
        moved = [
            ChangedColumn(column.name, _value(column), n)
            for column, n in zip(self.columns, n_moved.tolist(), strict=True)
            if n
        ]
        return tuple(sorted(moved, key=lambda one: -one.rows))


NO_CONSTANTS = Constants()


def _is_constant(column: Column, schema: Schema) -> bool:
    if column.role is not Role.IGNORED:
        return False
    return _was_empty(column, schema) or _constant(column) is not None


def _as_boolean(column: Column) -> Column:
    """A constant text that spells a boolean as one, which typed tables hold; every other column unchanged."""
    if column.kind is not Kind.CATEGORICAL:
        return column
    value, failed = parse_booleans(pa.array(column.categories, pa.large_string()))
    if failed[0]:
        return column
    return replace(column, kind=Kind.BOOLEAN, minimum=float(value[0]), maximum=float(value[0]))


def _was_empty(column: Column, schema: Schema) -> bool:
    return column.kind is Kind.TEXT and 0 < schema.n_rows == column.n_missing


def _constant(column: Column) -> float | None:
    """The number, the moment or the code that all cells had; None where they differed or it is not known."""
    if column.kind is Kind.CATEGORICAL:
        return 0.0 if len(column.categories) == 1 else None
    return column.minimum if column.minimum == column.maximum else None


def _n_moved(batch: Batch, column: Column) -> int:
    array = one_array(batch.table.column(column.name))
    if family(array.type) in (ArrowFamily.EMPTY, ArrowFamily.UNSUPPORTED):
        return len(array) - array.null_count
    encoded = array.dictionary_encode()
    counts = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(encoded.dictionary))
    constant = _constant(column)
    if constant is None:  # no row had a value
        return int(counts[read(encoded.dictionary, replace(column, kind=Kind.CATEGORICAL, categories=())).novel].sum())
    reading = read(encoded.dictionary, column)
    rounding = 0.0 if column.whole or column.is_date else ROUNDING * abs(constant)
    moved = np.abs(reading.values - constant) > rounding
    if column.n_infinite:
        moved &= np.isfinite(reading.values)
    moved[reading.novel] = moved[reading.failed] = True
    return int(counts[moved].sum())


def _value(column: Column) -> float | int | str | None:
    constant = _constant(column)
    if constant is None:
        return None
    if column.kind is Kind.BOOLEAN:
        return column.categories[0] if column.categories else ("false", "true")[int(constant)]
    return TABLE_KINDS[column.kind].value(column, constant)
