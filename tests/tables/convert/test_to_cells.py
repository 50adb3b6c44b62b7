"""Batches as numbers: what each cell becomes, in any batch, any column order and any format."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings, strategies as st

from tests.conftest import of_a_hundred
from vaecli.config import ColumnsConfig
from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.errors import InputError
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables.convert.dates import DATE_FORMATS, parse_dates
from vaecli.tables.convert.labels import label_mask
from vaecli.tables.convert.parse import parse_numbers
from vaecli.tables.convert.to_cells import numbers_of, time_values, to_cells
from vaecli.tables.infer.infer_schema import infer_schema
from vaecli.tables.read.frames import FrameSource
from vaecli.tables.source import Batch, ReadRequest


def batch_of(columns, first_row=0) -> Batch:
    return Batch(pa.table(columns), first_row, lambda i: f"pump.csv, line {first_row + i + 2}")


def cells_of(values, column: Column):
    """(values, state) of one column."""
    cells = to_cells(batch_of({column.name: values}), Schema((column,)))
    return cells.values[:, 0].tolist(), cells.state[:, 0].tolist()


NUMBER = Column("x", Kind.NUMERIC)
NAN = pytest.approx(float("nan"), nan_ok=True)
CITY = Column("x", Kind.CATEGORICAL, categories=("north", "south"))
FLAG = Column("x", Kind.BOOLEAN, categories=("f", "t"))
COUNT = Column("x", Kind.BOOLEAN, categories=("0", "1"))
WHEN = Column("x", Kind.DATETIME)


READINGS = {"b": [1.5, None, -0.0], "a": [float("nan"), float("inf"), 2.0]}
LAYOUTS = {
    "as in the schema": pa.table({name: READINGS[name] for name in ("a", "b")}),
    "another order": pa.table(READINGS),
    "more columns": pa.table({**READINGS, "z": ["x", "y", "z"]}),
    "a slice": pa.table({name: [9.0, *values, None] for name, values in READINGS.items()}).slice(1, 3),
    "two pieces": pa.concat_tables([pa.table(READINGS).slice(0, 1), pa.table(READINGS).slice(1)]),
    "other types": pa.table({"a": pa.array(READINGS["a"], pa.float32()), "b": READINGS["b"]}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plain_numbers_are_the_same_cells_however_they_lie(layout: str):
    """Numbers that are copied at once, or column by column, are the same cells, and the table stays as it was."""
    table = LAYOUTS[layout]
    before = [column.to_pylist() for column in table.columns]
    cells = to_cells(Batch(table, 5, str), Schema(tuple(Column(name, Kind.NUMERIC) for name in ("a", "b"))))
    np.testing.assert_array_equal(cells.values, [[np.nan, 1.5], [np.nan, np.nan], [2.0, -0.0]])
    assert cells.state.tolist() == [[MISSING, PRESENT], [NOVEL, MISSING], [PRESENT, PRESENT]]
    assert np.signbit(cells.values[2, 1])
    assert cells.row.tolist() == [5, 6, 7]
    assert str([column.to_pylist() for column in table.columns]) == str(before)


def test_one_plain_column_is_copied():
    """An infinite reading becomes a novel cell in the copy, and stays in the table of the caller."""
    table = pa.table({"x": [float("inf")]})
    assert to_cells(Batch(table, 0, str), Schema((NUMBER,))).state.tolist() == [[NOVEL]]
    assert table["x"].to_pylist() == [float("inf")]


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, -2.0],
        ["1.5", None, "-2"],
        [" 1.5 ", "", "-2e0"],
        ["+1.5", "NA", "-2.0"],
        pa.array([1.5, None, -2.0], pa.float16()),
        pa.array([1.5, float("nan"), -2.0], pa.float32()),
        [decimal.Decimal("1.5"), None, decimal.Decimal("-2.0")],
        pa.array([1.5, None, -2.0]).dictionary_encode(),
        pa.array(["1.5", None, "-2"], pa.string_view()),
        pa.array([1500, None, -2000], pa.duration("ms")),
    ],
)
def test_a_number_is_itself_in_every_type(values):
    """Floats, text, decimals, dictionaries and durations (in seconds) give the same number."""
    assert cells_of(values, NUMBER) == ([1.5, NAN, -2.0], [PRESENT, MISSING, PRESENT])


def test_whole_numbers_and_booleans_are_numbers():
    """Integers of any size and booleans are cast."""
    assert cells_of([2**62, -1, None], NUMBER)[0] == [2.0**62, -1, NAN]
    assert cells_of(pa.array([2**64 - 1], pa.uint64()), NUMBER)[0] == [2.0**64]
    assert cells_of([True, False], NUMBER)[0] == [1, 0]


@pytest.mark.parametrize("values", [[np.inf, -np.inf, np.nan, 1.0], ["inf", "-Infinity", "nan", "1"]])
def test_infinities_have_no_place(values):
    """An infinity is NOVEL, a NaN is missing."""
    assert cells_of(values, NUMBER) == ([NAN, NAN, NAN, 1.0], [NOVEL, NOVEL, MISSING, PRESENT])


@pytest.mark.parametrize("encode", [lambda v: v, lambda v: v.dictionary_encode(), lambda v: v.cast(pa.large_string())])
def test_a_category_is_its_code(encode):
    """A category becomes its index; one never seen is NOVEL, or "other" where the column has that."""
    values = encode(pa.array(["south", "north", None, "east", " "]))
    assert cells_of(values, CITY) == ([1, 0, NAN, NAN, NAN], [PRESENT, PRESENT, MISSING, NOVEL, MISSING])
    folded = Column("x", Kind.CATEGORICAL, categories=("north", "south"), has_other=True)
    assert cells_of(values, folded) == ([1, 0, NAN, 2, NAN], [PRESENT, PRESENT, MISSING, PRESENT, MISSING])


def test_codes_agree_between_types():
    """A category 3 is found as text, whole number, whole float and dictionary."""
    codes = Column("x", Kind.CATEGORICAL, categories=("7", "3", "true"))
    for values in (["3", "7"], [3, 7], [3.0, 7.0], pa.array([3, 7]).dictionary_encode()):
        assert cells_of(values, codes)[0] == [1, 0]
    assert cells_of([True], codes)[0] == [2]


def test_dictionaries_may_differ_between_chunks():
    """Chunks that number their categories differently give the same codes."""
    chunks = pa.chunked_array(
        [pa.array(["north", "south"]).dictionary_encode(), pa.array(["south"]).dictionary_encode()]
    )
    assert cells_of(chunks, CITY)[0] == [0, 1, 1]


@pytest.mark.parametrize(
    "values",
    [["t", "f"], ["TRUE", "false"], [" Yes", "no"], ["Y", "N"], ["1", "0.0"], [True, False], [1, 0], [1.0, 0.0]],
)
def test_every_spelling_of_a_boolean_is_understood(values):
    """A column trained on t and f reads true/false, yes/no, 1/0 and Arrow booleans."""
    assert cells_of([*values, None], FLAG) == ([1, 0, NAN], [PRESENT, PRESENT, MISSING])


def test_words_that_are_no_boolean_are_named():
    """A word, or a number, in a column of t and f is an error; another number among 0 and 1 is novel."""
    with pytest.raises(InputError) as caught:
        cells_of(["t", "maybe", "2"], FLAG)
    assert caught.value.message.splitlines() == [
        "2 cells do not hold what the model was trained on:",
        "  pump.csv, line 3: column 'x' wants f or t, not 'maybe'",
        "  pump.csv, line 4: column 'x' wants f or t, not '2'",
    ]
    for values in (["1", "2", "-1", "0"], [1, 2, -1, 0], [1.0, 0.5, np.inf, 0.0]):
        assert cells_of(values, COUNT) == ([1, NAN, NAN, 0], [PRESENT, NOVEL, NOVEL, PRESENT])
    with pytest.raises(InputError, match="wants 0 or 1, not 'many'"):
        cells_of(["many"], COUNT)


NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        (None, ["2024-02-29T12:00:00Z", "2024-02-29 12:00"]),
        (None, ["2024-02-29T17:30:00+05:30", "2024-02-29T12"]),
        ("%d/%m/%Y", ["29/02/2024 12:00", "29/2/2024 12:00 PM"]),
        ("%m/%d/%Y %H:%M", ["02/29/2024 12:00", "2/29/2024 12:00:00.000"]),
        ("%d %b %Y", ["29 Feb 2024 12:00", "29 FEB 2024 12 pm"]),
        (None, pa.array([dt.datetime(2024, 2, 29, 12)] * 2)),
        ("%d/%m/%Y", pa.array([dt.datetime(2024, 2, 29, 12)] * 2, pa.timestamp("s", "Europe/Berlin"))),
    ],
)
def test_dates_are_moments(pattern, values):
    """A date is its seconds since the epoch, UTC, in the format of the column or as an Arrow type."""
    column = Column("x", Kind.DATETIME, datetime_format=pattern)
    assert cells_of(values, column)[0] == [NOON, NOON]


def test_moments_are_rounded_down_to_the_microsecond():
    """What is finer than a microsecond is dropped, in text and in Arrow's nanoseconds, before 1970 too."""
    for values in (
        pa.array([1_234_567, -1], pa.timestamp("ns")),
        ["1970-01-01T00:00:00.001234567Z", "1969-12-31T23:59:59.999999999Z"],
    ):
        assert cells_of(values, WHEN)[0] == [0.001234, -0.000001]


def test_what_is_no_date_is_named():
    """Days that the calendar does not have are errors like any other text."""
    with pytest.raises(InputError) as caught:
        cells_of(["2024-02-29", "2023-02-29", "29/02/2024", None], WHEN)
    assert "line 3: column 'x' wants a date like YYYY-MM-DD, not '2023-02-29'" in caught.value.message
    assert "line 4: column 'x' wants a date like YYYY-MM-DD, not '29/02/2024'" in caught.value.message


def test_all_wrong_cells_of_a_batch_are_listed_by_row():
    """Cells of all columns stand in the order of the file; beyond ten they are counted."""
    schema = Schema((Column("a", Kind.NUMERIC), Column("b", Kind.DATETIME)))
    with pytest.raises(InputError) as caught:
        to_cells(batch_of({"b": ["1999-01-01", "x"] * 8, "a": ["y", "1"] * 8}, first_row=100), schema)
    lines = caught.value.message.splitlines()
    assert lines[0] == "16 cells do not hold what the model was trained on:"
    assert lines[1] == "  pump.csv, line 102: column 'a' wants a number, not 'y'"
    assert lines[2] == "  pump.csv, line 103: column 'b' wants a date like YYYY-MM-DD, not 'x'"
    assert lines[-1] == "  … and 6 more"


def test_cells_stand_in_the_order_of_the_schema():
    """Features only, in schema order, with the row numbers of the whole input."""
    schema = Schema((Column("b", Kind.NUMERIC), Column("id", Kind.NUMERIC, Role.KEY), Column("a", Kind.NUMERIC)))
    cells = to_cells(batch_of({"a": [1, 2], "b": [3.0, 4.0]}, first_row=7), schema)
    assert cells.values.tolist() == [[3, 1], [4, 2]]
    assert cells.row.tolist() == [7, 8]
    assert (cells.values.dtype, cells.state.dtype, cells.row.dtype) == (np.float64, np.uint8, np.int64)


def test_an_empty_batch_has_no_cells():
    """No rows become no cells."""
    table = pa.table({"x": pa.chunked_array([], pa.string())})
    for column in (NUMBER, CITY, FLAG, WHEN):
        assert to_cells(Batch(table, 0, str), Schema((column,))).values.shape == (0, 1)


def test_only_numeric_features_are_parsed_by_the_source():
    """Booleans keep their spelling, labels are not features."""
    columns = (NUMBER, FLAG, Column("l", Kind.NUMERIC, Role.LABEL), Column("y", Kind.NUMERIC))
    assert numbers_of(Schema(columns)) == {"x", "y"}


def test_time_values_are_numbers_or_moments():
    """The time column gives what orders the rows, from text and from typed columns."""
    when = Column("x", Kind.DATETIME, Role.TIME)
    assert time_values(batch_of({"x": ["2024-02-29T12:00", None]}), when).tolist() == [NOON, NAN]
    assert time_values(batch_of({"x": ["3", "4.5"]}), Column("x", Kind.NUMERIC, Role.TIME)).tolist() == [3, 4.5]
    with pytest.raises(InputError, match="line 2: column 'x' wants a date"):
        time_values(batch_of({"x": ["soon"]}), when)


# -- labels -------------------------------------------------------------------------------------

LABEL = Column("x", Kind.CATEGORICAL, Role.LABEL)


@pytest.mark.parametrize(
    "values",
    [
        ["normal", "Anomaly", None],
        ["OK", "attack ", ""],
        ["0", "1", "0.0"],
        ["0", "3", "NA"],
        ["false", "TRUE", "f"],
        ["no", "yes", "n"],
        [0, 1, None],
        [0.0, 2.0, np.nan],
        [False, True, None],
        pa.array(["good", "bad", None]).dictionary_encode(),
    ],
)
def test_labels_mark_anomalies(values):
    """True, numbers above 0 and words for anomalies mark a row; an empty label does not."""
    assert label_mask(batch_of({"x": values}), LABEL).tolist() == [False, True, False]


def test_no_label_at_all_marks_nothing():
    """A column without any value labels no row."""
    assert label_mask(batch_of({"x": pa.nulls(2)}), LABEL).tolist() == [False, False]


@pytest.mark.parametrize("values", [["normal", "weird", "-1", "weird"], [1, 1, -1, -1]])
def test_unclear_labels_are_refused(values):
    """-1 means opposite things to different people, and other words mean nothing."""
    with pytest.raises(InputError) as caught:
        label_mask(batch_of({"x": values}), LABEL)
    assert "line 4: column 'x' holds" in caught.value.message
    assert "normal" in caught.value.hint
    assert "anomaly" in caught.value.hint


def test_dates_are_no_labels():
    """A type that cannot be a label is named like a value that is not a label."""
    with pytest.raises(InputError, match="line 3"):
        label_mask(batch_of({"x": [None, dt.date(2024, 1, 1)]}), LABEL)


# -- laws ---------------------------------------------------------------------------------------

COLUMNS = st.one_of(
    st.lists(st.sampled_from(["1", "2.5", "inf", "-inf", None, " 3", "NA"]), min_size=30, max_size=30),
    st.lists(st.sampled_from(["a", "b", "true", "7", None, "c "]), min_size=30, max_size=30),
    st.lists(st.sampled_from(["t", "F", None, "f", "T"]), min_size=30, max_size=30),
    st.lists(st.sampled_from(["2024-01-01", "2024-05-01T05:06Z", None]), min_size=30, max_size=30),
    st.lists(st.sampled_from(["14/01/2024", "03/04/2024 5:06", None]), min_size=30, max_size=30),
    st.lists(st.text("ab? ", max_size=4), min_size=30, max_size=30),
    st.lists(st.floats() | st.none(), min_size=30, max_size=30).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.datetimes() | st.none(), min_size=30, max_size=30).map(lambda v: pa.array(v, pa.timestamp("us"))),
    st.lists(st.sampled_from("abc"), min_size=30, max_size=30).map(lambda v: pa.array(v).dictionary_encode()),
)
NOISE = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=30)]


@of_a_hundred(60)
@given(st.lists(COLUMNS, max_size=4), st.integers(1, 30), st.randoms(use_true_random=False))
@example([["1.0"] * 15 + ["0"] * 14 + [" 1"]], 1, None)
def test_the_table_of_the_fit_has_its_place(columns, batch_rows, random):
    """No cell of the fitted table is NOVEL but infinities, whatever the batches and the order of columns."""
    table = pa.table({"noise": NOISE} | {f"c{j}": pa.array(column) for j, column in enumerate(columns)})
    try:
        schema = infer_schema(FrameSource(table), ColumnsConfig(max_categories=3))
    except InputError:
        return  # mixed columns have their own tests
    whole = to_cells(next(FrameSource(table).batches()), schema)
    for j, column in enumerate(schema.features):
        assert (whole.state[:, j] == NOVEL).sum() == column.n_infinite
        assert (whole.state[:, j] == MISSING).sum() == column.n_missing
        present = whole.values[whole.state[:, j] == PRESENT, j]
        if column.kind in (Kind.NUMERIC, Kind.DATETIME):
            assert (present.min(), present.max()) == (column.minimum, column.maximum)

    names = list(table.column_names)
    if random is not None:
        random.shuffle(names)
    parts = [
        to_cells(batch, schema)
        for batch in FrameSource(table.select(names)).batches(ReadRequest(batch_rows=batch_rows))
    ]
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    np.testing.assert_array_equal(np.concatenate([part.state for part in parts]), whole.state)
    np.testing.assert_array_equal(np.concatenate([part.row for part in parts]), whole.row)


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"\s?[+-]?[0-9]{0,20}\.?[0-9]{0,5}(e[+-]?[0-9]{1,3})?\s?|inf|NAN|-?[a-z0-9]{1,3}", fullmatch=True))
def test_a_number_reads_the_same_beside_a_word(text):
    """The reading that distinguishes cells agrees with the one of whole columns to the last bit."""
    alone, failed_alone = parse_numbers(pa.array([text], pa.large_string()))
    beside, failed_beside = parse_numbers(pa.array([text, "word"], pa.large_string()))
    np.testing.assert_array_equal(alone, beside[:1])
    assert failed_alone[0] == failed_beside[0]


@of_a_hundred(100)
@given(
    st.dates().map(str) | st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", fullmatch=True),
    st.from_regex(r"([T ][0-2][0-9](:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?)?)?", fullmatch=True),
    st.sampled_from(["", "Z", "+01", "+0130", "-23:59", "+24:00", " Z"]),
)
def test_a_date_reads_the_same_beside_a_word(date, time, zone):
    """The same holds for ISO 8601 dates, with and without zones, valid or not."""
    text = date + time + zone
    alone, failed_alone = parse_dates(pa.array([text], pa.large_string()), None)
    beside, failed_beside = parse_dates(pa.array([text, "word"], pa.large_string()), None)
    np.testing.assert_array_equal(alone, beside[:1])
    assert failed_alone[0] == failed_beside[0]


@of_a_hundred(40)
@given(st.datetimes(dt.datetime(1000, 1, 1)), st.sampled_from([one for two in DATE_FORMATS for one in two if one]))
def test_a_date_written_in_a_known_format_is_read_back(moment, pattern):
    """What strftime writes is read as the same moment, in every format with every time of day."""
    if moment.month == 2 and moment.day == 29:
        moment = moment.replace(day=28)  # not every year has it
    if "%y" in pattern:
        moment = moment.replace(year=1969 + moment.year % 100)  # the hundred years that two digits stand for
    if pattern in ("%Y-%j", "%Y-%m"):
        moment = moment.replace(year=1900 + moment.year % 200)  # other centuries are codes
    if pattern == "%Y-%m":
        moment = moment.replace(day=1)
    truth = moment.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    for time, unit in ((" %H:%M:%S.%f", 1), (" %I:%M:%S %p", 10**6), (" %H:%M", 60 * 10**6), ("", 86_400 * 10**6)):
        read, failed = parse_dates(pa.array([moment.strftime(pattern + time)], pa.large_string()), pattern + time)
        assert not failed[0]
        assert read[0] == (truth // dt.timedelta(microseconds=unit)) * unit / 1e6
