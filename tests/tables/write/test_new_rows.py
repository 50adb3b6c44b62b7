"""Made cells as a table: types where there are types, spellings where there is text."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.schema import Column, Kind, Schema
from vaecli.tables import ReadRequest, frame_source, new_schema, new_table, to_cells
from vaecli.tables.convert.arrow_types import arrow_type_to_text

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
    return new_table(cells(), COLUMNS, new_schema(COLUMNS, as_text=as_text))


def test_typed_columns_have_types() -> None:
    """int64 for whole numbers that floats can distinguish, booleans, dates, timestamps; a gap is null."""
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
    (batch,) = frame_source(made(as_text)).batches(ReadRequest(batch_rows=2))
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
    table = new_table(known, far, new_schema(far, as_text=False))
    assert table.column("far").type == pa.timestamp("s")
    assert table.column("far").cast(pa.int64()).to_pylist() == [-(10**14) + 1]


DECLARED = arrow_type_to_text(pa.dictionary(pa.int8(), pa.int8()))
KINDS = [
    *(pa.int8(), pa.int32(), pa.uint16(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(9, 2)),
    *(pa.duration("ms"), pa.time32("s"), pa.time64("us"), pa.string(), pa.large_string()),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_have_the_type_that_went_in(kind: pa.DataType) -> None:
    """Of every type that a number was read from, gaps included."""
    column = Column("x", Kind.NUMERIC, whole=True, minimum=0.0, maximum=9.0, arrow_type=arrow_type_to_text(kind))
    table = one_column(column, [7.0, np.nan, 3.0])
    assert table.column("x").type == kind
    assert read_back(table, column) == [7.0, None, 3.0]


@pytest.mark.parametrize("kind", [pa.float64(), pa.int8(), pa.bool_(), pa.string()], ids=str)
def test_switches_have_the_type_that_went_in(kind: pa.DataType) -> None:
    """0.0 and 1.0 of floats are floats again."""
    spellings = ("false", "true") if pa.types.is_boolean(kind) else ("0.0", "1.0")
    column = Column("x", Kind.BOOLEAN, categories=spellings, arrow_type=arrow_type_to_text(kind))
    table = one_column(column, [1.0, np.nan, 0.0])
    assert table.column("x").type == kind
    assert read_back(table, column) == [1.0, None, 0.0]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        *(pa.dictionary(pa.int16(), one) for one in (pa.string(), pa.large_string(), pa.int64(), pa.float64())),
    ],
    ids=str,
)
def test_categories_have_the_type_that_went_in(kind: pa.DataType) -> None:
    """Codes of text stay text, and categories by declaration stay declared."""
    column = Column("x", Kind.CATEGORICAL, categories=("30", "10"), arrow_type=arrow_type_to_text(kind))
    table = one_column(column, [1.0, np.nan, 0.0])
    assert table.column("x").type == kind
    assert read_back(table, column) == [1.0, None, 0.0]


@pytest.mark.parametrize(
    "kind",
    [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ms", "Asia/Tokyo")],
    ids=str,
)  # fmt: skip
def test_dates_have_the_type_that_went_in(kind: pa.DataType) -> None:
    """Unit and zone included."""
    column = Column("x", Kind.DATETIME, minimum=0.0, maximum=1e9, arrow_type=arrow_type_to_text(kind))
    table = one_column(column, [18_000 * DAY, np.nan])
    assert table.column("x").type == kind
    assert read_back(table, column) == [18_000 * DAY, None]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Column("x", Kind.CATEGORICAL, categories=("a", "b"), arrow_type="double"), pa.string()),
        (Column("x", Kind.CATEGORICAL, categories=("a",), arrow_type=DECLARED), pa.string()),
        (Column("x", Kind.NUMERIC, arrow_type=DECLARED), pa.float64()),
        (Column("x", Kind.NUMERIC, arrow_type="no type at all"), pa.float64()),
    ],
    ids=["words as numbers", "words as declared numbers", "a dictionary of numbers", "nonsense"],
)
def test_a_type_that_does_not_fit_is_not_believed(column: Column, kind: pa.DataType) -> None:
    """Such a bundle was made by hand; its rows are made all the same."""
    assert one_column(column, [0.0, np.nan]).column("x").type == kind


def test_a_text_of_numbers_that_were_floats_is_typed_as_floats() -> None:
    """Without a type in training, 0.0 and 1.0 make floats, and codes with rarer ones folded away stay text."""
    floats = Column("x", Kind.BOOLEAN, categories=("0.0", "1.0"))
    folded = Column("x", Kind.CATEGORICAL, categories=("10", "20"), has_other=True, n_folded=2)
    assert one_column(floats, [1.0]).column("x").to_pylist() == [1.0]
    assert one_column(folded, [1.0]).column("x").to_pylist() == ["20"]


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "typed"])
def test_padded_codes_keep_their_zeros(as_text: bool) -> None:
    """01234 does not become 1234."""
    column = Column("x", Kind.NUMERIC, whole=True, minimum=1067.0, maximum=99998.0, width=5)
    assert one_column(column, [1234.0, np.nan, 80331.0], as_text).column("x").to_pylist() == ["01234", None, "80331"]


@pytest.mark.parametrize(
    ("column", "seconds", "text"),
    [
        (Column("x", Kind.DATETIME), -31_000_000_000.0, "0987-08-25T16:53:20"),
        (Column("x", Kind.DATETIME, datetime_format="%d.%m.%Y"), -31_000_000_000.0, "26.08.0987"),
        (Column("x", Kind.DATETIME, zone="Z"), 1e9, "2001-09-09T01:46:40Z"),
        (Column("x", Kind.DATETIME, zone="Z", minimum=0.0, maximum=2 * DAY), DAY, "1970-01-02T00:00:00Z"),
        (Column("x", Kind.DATETIME, zone="-03:30"), 1e9, "2001-09-08T22:16:40-03:30"),
        (Column("x", Kind.DATETIME, zone="Europe/Berlin"), 1e9, "2001-09-09T03:46:40+02:00"),
        (Column("x", Kind.DATETIME, zone="+05:30", datetime_format="%d/%m/%Y %H:%M"), 1e9, "09/09/2001 07:17+05:30"),
    ],
    ids=lambda one: str(getattr(one, "zone", "")),
)
def test_dates_are_written_in_their_zone(column: Column, seconds: float, text: str) -> None:
    """ISO 8601 with four digits of a year, and the zone in which training wrote its dates; it reads the same moment."""
    table = one_column(column, [seconds], as_text=True)
    assert table.column("x").to_pylist() == [text]
    step = 60 if column.datetime_format and "%H" in column.datetime_format else DAY if column.datetime_format else 1
    assert abs(read_back(table, column)[0] - seconds) < step


def one_column(column: Column, values: list[float], as_text: bool = False) -> pa.Table:
    array = np.array(values)[:, None]
    state = np.where(np.isnan(array), MISSING, PRESENT).astype(np.uint8)
    return new_table(Cells(array, state, np.arange(len(values))), [column], new_schema([column], as_text=as_text))


def read_back(table: pa.Table, column: Column) -> list[float | None]:
    (batch,) = frame_source(table).batches()
    return [None if np.isnan(one) else one for one in to_cells(batch, Schema((column,))).values[:, 0].tolist()]
