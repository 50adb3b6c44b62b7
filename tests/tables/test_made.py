"""Made cells as a table: types where there are types, spellings where there is text."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vaecli.cells import MISSING, PRESENT, Cells
from vaecli.schema import Column, Kind, Schema
from vaecli.tables import frame_source, made_schema, made_table, to_cells

DAY = 86_400.0
COLUMNS = (
    Column("weight", Kind.NUMERIC, minimum=-1.5, maximum=9.0),
    Column("count", Kind.NUMERIC, whole=True, minimum=0.0, maximum=9.0),
    Column("huge", Kind.NUMERIC, whole=True, minimum=0.0, maximum=1e17),
    Column("on", Kind.BOOLEAN, categories=("False", "True")),
    Column("answer", Kind.BOOLEAN, categories=("no", "yes")),
    Column("bit", Kind.BOOLEAN, categories=("0", "1")),
    Column("site", Kind.CATEGORICAL, categories=("north, inner", "south")),
    Column("code", Kind.CATEGORICAL, categories=("10", "-20")),
    Column("zip", Kind.CATEGORICAL, categories=("01234", "56789")),
    Column("day", Kind.DATETIME, minimum=0.0, maximum=19_000 * DAY),
    Column("moment", Kind.DATETIME, minimum=1.0, maximum=1.7e9),
    Column("german", Kind.DATETIME, datetime_format="%d.%m.%Y"),
)
ROW = [2.25, 7.0, 1e17, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 18_000 * DAY, 1_600_000_000.5, 18_000 * DAY]
DATE = datetime.date(2019, 4, 14)


def cells() -> Cells:
    values = np.array([ROW, [np.nan] * len(ROW)])
    return Cells(values, np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8), np.arange(2))


def made(as_text: bool) -> pa.Table:
    return made_table(cells(), COLUMNS, made_schema(COLUMNS, as_text=as_text))


def test_typed_columns_have_types() -> None:
    """int64 for whole numbers that floats can tell apart, booleans, dates, timestamps; a gap is null."""
    table = made(as_text=False)
    assert [str(kind) for kind in table.schema.types] == [
        "double", "int64", "double", "bool", "string", "int64", "string", "int64", "string",
        "date32[day]", "timestamp[us]", "timestamp[us]",
    ]  # fmt: skip
    moment = datetime.datetime(2020, 9, 13, 12, 26, 40, 500_000)
    midnight = datetime.datetime(2019, 4, 14)
    assert list(table.slice(0, 1).to_pylist()[0].values()) == [
        2.25, 7, 1e17, True, "yes", 1, "north, inner", -20, "01234", DATE, moment, midnight,
    ]  # fmt: skip
    assert set(table.slice(1).to_pylist()[0].values()) == {None}


def test_text_columns_have_spellings() -> None:
    """Booleans and dates as they were written in training, numbers as numbers."""
    table = made(as_text=True)
    assert list(table.slice(0, 1).to_pylist()[0].values()) == [
        2.25, 7, 1e17, "True", "yes", 1, "north, inner", -20, "01234",
        "2019-04-14", "2020-09-13T12:26:40", "14.04.2019",
    ]  # fmt: skip
    assert set(table.slice(1).to_pylist()[0].values()) == {None}


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "typed"])
def test_what_was_made_is_read_back(as_text: bool) -> None:
    """Scoring reads a made table as the cells it was made of; text drops what its date format cannot hold."""
    (batch,) = frame_source(made(as_text)).batches(batch_rows=2)
    found = to_cells(batch, Schema(COLUMNS))
    expected = cells().values.copy()
    if as_text:
        expected[0, 10] = 1_600_000_000.0
    np.testing.assert_array_equal(found.values, expected)
    np.testing.assert_array_equal(found.state, cells().state)


def test_dates_beyond_microseconds_are_in_seconds():
    """Three million years ago, to the second."""
    far = (Column("far", Kind.DATETIME, minimum=-1e14, maximum=1e14),)
    known = Cells(np.array([[-1e14 + 1]]), np.full((1, 1), PRESENT, np.uint8), np.arange(1))
    table = made_table(known, far, made_schema(far, as_text=False))
    assert table.column("far").type == pa.timestamp("s")
    assert table.column("far").cast(pa.int64()).to_pylist() == [-(10**14) + 1]
