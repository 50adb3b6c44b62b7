"""Typed cells as fields of delimited text."""

from __future__ import annotations

import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from vaecli.errors import InputError
from vaecli.tables.write.csv_fields import can_be_spelled, csv_field

WHOLE = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
COLUMNS = st.one_of(
    arrays(np.float64, 5, elements=st.floats(allow_nan=False)).map(pa.array),
    arrays(np.float32, 5, elements=st.floats(allow_nan=False, width=32)).map(pa.array),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=1, max_size=5).map(pa.array),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=5).map(lambda v: pa.array(v, pa.bool_())),
    st.lists(st.none() | st.sampled_from(["a", "b,c", 'd"e']), min_size=1, max_size=5).map(
        lambda v: pa.array(v, pa.string()).dictionary_encode()
    ),
    *(
        st.lists(st.none() | WHOLE, min_size=1, max_size=5).map(lambda v, kind=kind: pa.array(v, kind))
        for kind in (pa.timestamp("us"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s", "+02:00"))
    ),
    st.lists(st.none() | st.dates(), min_size=1, max_size=5).map(lambda v: pa.array(v, pa.date32())),
    st.lists(st.none() | st.times(), min_size=1, max_size=5).map(lambda v: pa.array(v, pa.time64("us"))),
    st.lists(st.none() | st.decimals(-999, 999, places=3), min_size=1, max_size=5).map(
        lambda v: pa.array(v, pa.decimal128(10, 3))
    ),
)


def fields(array: pa.Array) -> list[str]:
    return [value.decode() for value in csv_field(array, "x").to_pylist()]


def written(array: pa.Array) -> list[str]:
    """Arrow's own writer: the oracle where its spelling can be read back."""
    rows = []
    for i in range(len(array)):
        stream = io.BytesIO()
        pa_csv.write_csv(pa.table({"x": array.slice(i, 1)}), stream, pa_csv.WriteOptions(include_header=False))
        rows.append(stream.getvalue().decode()[:-1])
    return rows


@given(COLUMNS)
def test_fields_are_those_of_arrow(array: pa.Array) -> None:
    """Numbers, words, moments and decimals are spelled as Arrow's writer spells them."""
    assert fields(array) == written(array)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_not_a_number_is_spelled_so_that_all_read_it(kind: pa.DataType) -> None:
    """NaN in CSV is `NaN`; a missing number stays an empty field, infinities stay `inf` and `-inf`."""
    values = pa.array(np.array([1.5, np.nan, np.inf, -np.inf, 0], kind.to_pandas_dtype()), kind, mask=np.arange(5) == 4)
    assert fields(values) == ["1.5", "NaN", "inf", "-inf", ""]


@given(st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1), min_size=1), st.sampled_from(["s", "ms", "us", "ns"]))
def test_durations_are_exact_seconds(ticks: list[int | None], unit: str) -> None:
    """A duration of any unit is a decimal number of seconds that equals it."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    for field, tick in zip(fields(pa.array(ticks, pa.duration(unit))), ticks, strict=True):
        assert field == "" if tick is None else Decimal(field) * per_second == tick
        assert not field.endswith(".")


@pytest.mark.parametrize(
    ("kind", "ticks", "expected"),
    [
        (pa.time64("us"), 194_469_000_000, "54:01:09.000000"),
        (pa.time32("s"), 90_000, "25:00:00"),
        (pa.time32("ms"), -5, "-00:00:00.005"),
        (pa.time32("s"), 3_661, "01:01:01"),
    ],
)
def test_times_beyond_a_day_keep_their_hours(kind: pa.DataType, ticks: int, expected: str) -> None:
    """A time of a day or more, or below 0, is never a placeholder."""
    assert fields(pa.array([ticks, None], pa.int64() if "64" in str(kind) else pa.int32()).cast(kind)) == [expected, ""]


def test_views_and_uuids_are_text() -> None:
    """string_view is written like string, a UUID as its 36 characters."""
    assert fields(pa.array(['a"b', None], pa.string_view())) == ['"a""b"', ""]
    some = pa.array([b"\x12" * 16, None], pa.binary(16))
    assert fields(pa.ExtensionArray.from_storage(pa.uuid(), some)) == ['"12121212-1212-1212-1212-121212121212"', ""]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"\xff\xfe"]),
        pa.array([b"\xff" * 4], pa.binary(4)),
        pa.array([10**18], pa.timestamp("us")),
        pa.array([10**8], pa.int32()).cast(pa.date32()),
    ],
    ids=["bytes", "fixed bytes", "timestamp", "date"],
)
def test_what_text_cannot_hold_is_an_error(array: pa.Array) -> None:
    """Neither a placeholder nor a traceback: the column is named."""
    with pytest.raises(InputError, match="column 'x'") as refusal:
        csv_field(array, "x")
    assert "Parquet" in str(refusal.value.hint)


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.struct([("a", pa.int8())])])
def test_nested_types_have_no_field(kind: pa.DataType) -> None:
    """Lists and structs are refused before any row is read."""
    assert not can_be_spelled(kind)


def test_intervals_are_iso_8601() -> None:
    """Months, days and nanoseconds, each with its own sign."""
    parts = [(1, 2, 3_500_000_000), (0, 0, 0), None, (-1, 0, 0), (0, 5, 0), (0, 0, -1), (0, -2, -60 * 10**9)]
    expected = ["P1M2DT3.5S", "PT0S", None, "P-1M", "P5D", "PT-0.000000001S", "P-2DT-60S"]
    fields = csv_field(pa.array(parts, pa.month_day_nano_interval()), "x")
    assert fields.to_pylist() == [(text or "").encode() for text in expected]
