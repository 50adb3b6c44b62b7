"""Replaced cells: every other byte of a line stays, and every Arrow type takes the values that it can hold."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from vaecli.errors import InputError
from vaecli.schema import Column, Kind
from vaecli.tables import ReadRequest, frame_source
from vaecli.tables.convert.parse import numbers
from vaecli.tables.write.replace_cells import Spelling, fields_of, replace_cells

DELIMITERS = [b",", b";", b"\t", b"|"]
NUMBER = Column("x", Kind.NUMERIC)
WHOLE = Column("x", Kind.NUMERIC, whole=True)
FLAG = Column("x", Kind.BOOLEAN, categories=("no", "yes"))
SITE = Column("x", Kind.CATEGORICAL, categories=("north", "south"))
CODE = Column("x", Kind.CATEGORICAL, categories=("10", "20"))
WHEN = Column("x", Kind.DATETIME)
NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC


@given(cells=st.lists(st.text("ab\",;\n '"), min_size=1, max_size=5), delimiter=st.sampled_from(DELIMITERS))
def test_fields_are_those_of_the_csv_module(cells: list[str], delimiter: bytes) -> None:
    """Whatever cells a line was written from, it has as many fields, and joined they are the line."""
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter.decode(), lineterminator="").writerow(cells)
    written = line.getvalue().encode()
    found = fields_of(written, delimiter)
    assert delimiter.join(found) == written
    assert len(found) == len(cells)
    assert [_unquoted(field.decode()) for field in found] == cells


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b'5" pipe,2', [b'5" pipe', b"2"]),
        (b'"a,b",c', [b'"a,b"', b"c"]),
        (b'"a""b,",', [b'"a""b,"', b""]),
        (b'"a"b,c', [b'"a"b', b"c"]),
        (b"", [b""]),
    ],
)
def test_a_quote_opens_a_field_only_as_its_first_byte(line: bytes, fields: list[bytes]) -> None:
    """Quotes are understood as the reader of tables understands them."""
    assert fields_of(line, b",") == fields


def replaced(kind: pa.DataType, column: Column, before: list, value: float) -> list:
    """A column of one type whose second cell was replaced."""
    source = frame_source(pa.table({"x": pa.array(before, kind)}))
    (batch,) = source.batches(ReadRequest(keep=True))
    which = np.arange(len(before))[:, None] == 1
    found = replace_cells(batch, Spelling.of(source), (column,), np.full((len(before), 1), value), which)
    assert found.whole is not None
    assert found.whole.schema == source.schema
    return found.whole.column("x").to_pylist()


@pytest.mark.parametrize(
    ("kind", "column", "before", "value", "after"),
    [
        (pa.float64(), NUMBER, [1.5, None], 2.25, 2.25),
        (pa.float32(), NUMBER, [1.5, None], 2.25, 2.25),
        (pa.int8(), NUMBER, [1, None], 300.0, 127),
        (pa.int64(), WHOLE, [1, None], 1e300, 2**63 - 1024),
        (pa.uint16(), WHOLE, [1, None], -4.0, 0),
        (pa.int32(), WHOLE, [1, None], 6.6, 7),
        (pa.bool_(), NUMBER, [True, None], 0.7, True),
        (pa.string(), NUMBER, ["1.50", None], 2.25, "2.25"),
        (pa.large_string(), WHOLE, ["1", None], 7.0, "7"),
        (pa.bool_(), FLAG, [True, None], 0.0, False),
        (pa.int8(), FLAG, [1, None], 1.0, 1),
        (pa.string(), FLAG, ["no", None], 1.0, "yes"),
        (pa.string(), SITE, ["west", None], 1.0, "south"),
        (pa.int64(), CODE, [10, None], 1.0, 20),
        (pa.float64(), CODE, [10.0, None], 1.0, 20.0),
        (pa.dictionary(pa.int8(), pa.string()), SITE, ["west", None], 0.0, "north"),
        (pa.dictionary(pa.int32(), pa.int64(), ordered=True), CODE, [10, None], 1.0, 20),
        (pa.string(), WHEN, ["2024-01-01", None], NOON, "2023-11-15T12:00:00"),
        (pa.string(), replace(WHEN, zone="+02:00"), ["2024-01-01", None], NOON, "2023-11-15T14:00:00+02:00"),
        (pa.string(), WHEN, ["2024-01-01", None], -31e9, "0987-08-25T16:53:20"),
        (pa.string(), replace(WHOLE, width=5), ["01234", None], 42.0, "00042"),
    ],
)
def test_a_cell_takes_the_type_of_its_column(
    kind: pa.DataType, column: Column, before: list, value: float, after: object
) -> None:
    """The other cell stays, the new one is the nearest value that the type has."""
    assert replaced(kind, column, before, value) == [before[0], after]


@pytest.mark.parametrize(
    ("kind", "moment", "seconds"),
    [
        (pa.timestamp("s"), NOON, NOON),
        (pa.timestamp("ns", tz="UTC"), NOON, NOON),
        (pa.timestamp("us", tz="Europe/Berlin"), NOON + 0.25, NOON + 0.25),
        (pa.date32(), NOON - 60, NOON - 43_200),
        (pa.date64(), NOON + 60, NOON + 43_200),
    ],
)
def test_moments_take_the_type_of_their_column(kind: pa.DataType, moment: float, seconds: float) -> None:
    """Timestamps of every unit, and days, which are the nearest ones."""
    assert numbers(pa.array(replaced(kind, WHEN, [None, None], moment)[1:], kind))[0] == seconds


def test_durations_and_times_are_seconds() -> None:
    """What counts as a number of seconds is written back in its own unit."""
    assert replaced(pa.duration("ms"), NUMBER, [None, None], 1.5)[1].total_seconds() == 1.5
    assert replaced(pa.time32("s"), NUMBER, [None, None], 3661.0)[1].isoformat() == "01:01:01"
    assert str(replaced(pa.decimal128(6, 2), NUMBER, [None, None], 12.345)[1]).startswith("12.3")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d/%m/%Y", "15/11/2023"),
        ("%m-%d-%Y %H:%M", "11-15-2023 12:00"),
        ("%d %b %Y %I:%M:%S %p", "15 Nov 2023 12:00:00 PM"),
        ("%Y/%m/%d %H:%M:%S.%f", "2023/11/15 12:00:00.250000"),
    ],
)
def test_dates_keep_their_format(pattern: str, text: str) -> None:
    """A date is written in the pattern of its column, to the nearest moment that the pattern can express."""
    column = Column("x", Kind.DATETIME, datetime_format=pattern)
    moment = NOON + (0.25 if "%f" in pattern else -0.25)
    assert replaced(pa.string(), column, [None, None], moment)[1] == text


def test_days_are_written_as_days() -> None:
    """Of ISO dates that began and ended at midnight the nearest day is written."""
    column = Column("x", Kind.DATETIME, minimum=0.0, maximum=86_400.0 * 365)
    assert replaced(pa.string(), column, [None, None], NOON - 1)[1] == "2023-11-15"


def test_a_type_without_values_is_refused() -> None:
    """A column of nulls alone cannot be filled, and the message names it."""
    with pytest.raises(InputError, match="column 'x' has the type null"):
        replaced(pa.null(), NUMBER, [None, None], 1.0)


def test_a_type_that_cannot_hold_the_values_is_refused() -> None:
    """Words do not fit into a column of numbers, whatever the model was trained on."""
    with pytest.raises(InputError, match="column 'x' holds int64, which cannot hold what the model knows"):
        replaced(pa.int64(), SITE, [10, None], 1.0)


def test_a_dictionary_keeps_its_order() -> None:
    """Known values stay where they were, new ones come after them in the order of the model's categories."""
    source = frame_source(pa.table({"x": pa.array(["west", None, "south"]).dictionary_encode()}))
    (batch,) = source.batches(ReadRequest(keep=True))
    found = replace_cells(
        batch, Spelling.of(source), (SITE,), np.ones((3, 1)), np.array([[False], [True], [False]])
    ).whole
    assert found.column("x").chunk(0).dictionary.to_pylist() == ["west", "south", "north"]
