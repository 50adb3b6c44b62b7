"""Schema inference: what each column holds and what part it plays, whatever real tables look like."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings, strategies as st

from tests.conftest import of_a_hundred
from vaecli.config import ColumnsConfig
from vaecli.data.hashing import splitmix64
from vaecli.errors import InputError, UsageError
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables.infer.counts import DistinctSample, ValueCounts, text_hashes
from vaecli.tables.infer.evidence import Capacity
from vaecli.tables.infer.infer_schema import infer_schema, reject_nothing_to_learn, same_unit_columns
from vaecli.tables.infer.scan import blocks
from vaecli.tables.read.frames import frame_source
from vaecli.tables.source import Batch


@dataclass(frozen=True)
class Memory:
    """A source of a table in memory, cut into batches of `rows` whatever is asked."""

    table: pa.Table
    rows: int = 1000
    format: str = "csv"
    name: str = "pump.csv"

    @property
    def names(self):
        return tuple(self.table.column_names)

    @property
    def n_rows(self):
        return self.table.num_rows

    def batches(self, request):
        chosen = self.table.select(request.columns)
        for start in range(0, self.n_rows, self.rows):
            yield Batch(chosen.slice(start, self.rows), start, lambda i, start=start: f"pump.csv, line {start + i + 2}")


NOISE = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=1000)]


def schema_of(table, /, **config) -> Schema:
    return infer_schema(Memory(pa.table(table)), ColumnsConfig(**config))


def column_of(values, name="x", **config) -> Column:
    """The column as it is understood beside a column of measurements."""
    values = values if isinstance(values, pa.Array) else pa.array(values)
    noise = (
        [*NOISE, *NOISE][: len(values)] if len(values) <= 2000 else np.random.default_rng(0).normal(size=len(values))
    )
    return schema_of({name: values, "noise": noise}, **config).columns[0]


def cycled(values, n=200):
    """The values over and over, so that no rule about identifiers or clocks applies."""
    return [values[i * 7 % len(values)] for i in range(n)] if len(values) % 7 else cycled([*values, values[0]], n)


# -- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "categories"),
    [
        (["true", "false"], ("false", "true")),
        (["False", "TRUE", "true"], ("False", "TRUE")),
        (["t", "f"], ("f", "t")),
        (["Yes", "No"], ("No", "Yes")),
        (["y", "n", None], ("n", "y")),
        (["0", "1"], ("0", "1")),
        (["1.0", "0.0"], ("0.0", "1.0")),
    ],
)
def test_known_pairs_are_booleans(spelled, categories):
    """Two spellings of one known pair are a boolean, in any case, and are kept as first met."""
    column = column_of(cycled(spelled))
    assert (column.kind, column.role, column.categories) == (Kind.BOOLEAN, Role.FEATURE, categories)


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        (pa.array(cycled([True, False, None])), ("false", "true")),
        (pa.array(cycled([0, 1])), ("0", "1")),
        (pa.array(cycled([0.0, 1.0, None])), ("0.0", "1.0")),
        (pa.array(cycled([True, False])).dictionary_encode(), ("false", "true")),
    ],
)
def test_typed_booleans_are_booleans(values, categories):
    """Arrow booleans, and numbers that are only 0 and 1, are booleans."""
    assert (column_of(values).kind, column_of(values).categories) == (Kind.BOOLEAN, categories)


@pytest.mark.parametrize("values", [["true", "no"], ["t", "n"], ["yes", "maybe", "no"]])
def test_other_words_are_categories(values):
    """Two words that are no pair are categories."""
    assert column_of(cycled(values)).kind is Kind.CATEGORICAL


@pytest.mark.parametrize(
    ("values", "whole", "minimum", "maximum"),
    [
        (["1", "2", "5"], True, 1, 5),
        ([" 1.5", "+2", "-.5 ", "1e3"], False, -0.5, 1000),
        (["9007199254740993", "123456789012345678901234567890", "7"], True, 7, 123456789012345678901234567890.0),
        ([2**63 - 1, -(2**63), 5], True, -(2.0**63), 2.0**63),
        (pa.array(cycled([2**64 - 1, 0, 3]), pa.uint64()), True, 0, 2.0**64),
        (pa.array(cycled([1.5, 2.5, None, 3]), pa.float16()), False, 1.5, 3),
        (pa.array(cycled([decimal.Decimal("1.25"), decimal.Decimal("-3.5")])), False, -3.5, 1.25),
        (pa.array(cycled([decimal.Decimal("1.25"), decimal.Decimal("-3.5")]), pa.decimal256(60, 4)), False, -3.5, 1.25),
        (pa.array(cycled([1500, 2000, None]), pa.duration("ms")), False, 1.5, 2),
        (pa.array(cycled([dt.time(1, 2, 3), dt.time(0)])), True, 0, 3723),
        (pa.array(cycled([60, 1]), pa.time32("s")), True, 1, 60),
    ],
)
def test_everything_that_counts_is_numeric(values, whole, minimum, maximum):
    """Integers beyond 2^53, decimals, half floats, durations and times of day (in seconds) are numbers."""
    column = column_of(values if isinstance(values, pa.Array) else cycled(values))
    assert (column.kind, column.role) == (Kind.NUMERIC, Role.FEATURE)
    assert (column.whole, column.minimum, column.maximum) == (whole, minimum, maximum)


@pytest.mark.parametrize(
    "values",
    [["1.5", "inf", None, "-Infinity", "2"], [1.5, np.inf, None, -np.inf, 2.0], [1.5, np.inf, np.nan, -np.inf, 2]],
)
def test_infinities_and_missing_cells_are_counted(values):
    """Infinities are numbers outside the range; a NaN is a missing cell."""
    column = column_of(values * 40)
    assert (column.kind, column.n_missing, column.n_infinite) == (Kind.NUMERIC, 40, 80)
    assert (column.minimum, column.maximum) == (1.5, 2)


@pytest.mark.parametrize("typed", [False, True])
def test_tokens_of_missing_cells_are_missing_in_typed_text_too(typed):
    """NA, null, ? and blank cells of a text column are missing cells, as they are in CSV."""
    text = pa.array(["1.5", "NA", "null", "?", "", " ", None, "2.5", "nan"] * 20)
    column = column_of(text.dictionary_encode() if typed else text)
    assert column.kind is (Kind.CATEGORICAL if typed else Kind.NUMERIC)
    assert column.n_missing == 140


JUNE = dt.datetime(2024, 6, 1, 12, 30, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (["2024-06-01T12:30:00Z", "2023-01-05T00:00:00Z"], None),
        (["2024-06-01 12:30", "2023-01-05"], None),
        (["2024-06-01T14:30:00+02:00", "2023-01-05", "2023-05-05T01:02:03.123456789Z"], None),
        (["01/06/2024 12:30", "25/01/2023 00:00"], "%d/%m/%Y %H:%M"),
        (["06/01/2024 12:30:00 PM", "01/25/2023 11:00:00 AM"], "%m/%d/%Y %I:%M:%S %p"),
        (["1.6.2024 12:30:00", "25.01.2023 00:00:01"], "%d.%m.%Y %H:%M:%S"),
        (["01-Jun-2024 12:30", "25-jan-2023 01:00"], "%d-%b-%Y %H:%M"),
        (["2024/06/01 12:30:00.0", "2023/01/25 00:00:00.5"], "%Y/%m/%d %H:%M:%S.%f"),
        (pa.array(cycled([dt.datetime(2024, 6, 1, 12, 30), dt.datetime(2023, 1, 1), None])), None),
        (
            pa.array(
                cycled([dt.datetime(2024, 6, 1, 12, 30), dt.datetime(2023, 1, 1)]), pa.timestamp("ns", "Asia/Tokyo")
            ),
            None,
        ),
    ],
)
def test_dates_are_moments_in_utc(values, pattern):
    """Dates with and without zones become seconds since the epoch, and their format is kept."""
    column = column_of(values if isinstance(values, pa.Array) else cycled([*values, None]))
    assert (column.kind, column.role, column.datetime_format) == (Kind.DATETIME, Role.FEATURE, pattern)
    assert column.maximum == JUNE


def test_days_are_dates():
    """Arrow dates are moments at midnight."""
    for kind in (pa.date32(), pa.date64()):
        column = column_of(pa.array(cycled([dt.date(2024, 6, 1), dt.date(1960, 1, 1)]), kind))
        assert (column.kind, column.maximum) == (Kind.DATETIME, JUNE - 12.5 * 3600)


def test_ambiguous_dates_are_not_guessed():
    """Dates that read both ways in every row are left out, and the reason asks which it is."""
    column = column_of(cycled(["03/04/2025", "05/06/2025", "11/12/2024"]))
    assert (column.kind, column.role) == (Kind.TEXT, Role.IGNORED)
    assert column.reason == "its dates are ambiguous (03/04/2025): day or month first?"


def log_of(start, step_minutes, n, spelling):
    """The times of a log of `n` rows."""
    begin = dt.datetime.fromisoformat(start)
    return [(begin + dt.timedelta(minutes=step_minutes * i)).strftime(spelling) for i in range(n)]


@pytest.mark.parametrize("form", ["%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M", "%d.%m.%y %H:%M:%S"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_log_that_goes_on_at_midnight_settles_the_order(form, newest_first):
    """Days 1 to 6 of a month read both ways; with day and month swapped the log would jump by a month each midnight."""
    times = log_of("2026-03-01", 10, 800, form)
    column = column_of(times[::-1] if newest_first else times)
    assert (column.kind, column.role) == (Kind.DATETIME, Role.TIME)
    assert column.maximum == dt.datetime(2026, 3, 6, 13, 10, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(log_of("2026-03-01", 10, 100, "%m/%d/%Y %H:%M"), id="one-day"),
        pytest.param([f"01/{month:02}/2026 08:00" for month in range(1, 13)] * 30, id="monthly"),
        pytest.param(
            [f"01/{month:02}/2026 {hour:02}:00" for month in range(1, 13) for hour in range(7, 18)], id="shifts"
        ),
        pytest.param([f"03/{day:02}/2026" for day in range(1, 13)] * 30, id="days"),
        pytest.param(cycled(["03/04/2025 10:00", "05/06/2025 11:00", "11/12/2024 12:00"]), id="no-order"),
    ],
)
def test_steps_that_do_not_settle_the_order_leave_it_open(times):
    """One day, days apart, rows of one day of each month, and rows in no order are ambiguous, with times or without."""
    assert "ambiguous" in column_of(times).reason


def test_one_clear_date_settles_the_order():
    """A single day above 12 at the very end distinguishes day from month for the whole column."""
    column = column_of([*cycled(["03/04/2025", "05/06/2025", "11/12/2024"], 1500), "13/01/2025"])
    assert (column.kind, column.datetime_format) == (Kind.DATETIME, "%d/%m/%Y")
    assert column.maximum == dt.datetime(2025, 6, 5, tzinfo=dt.UTC).timestamp()


def test_dates_of_two_minds_are_left_out():
    """Day first in one half of the rows and month first in the other cannot be read."""
    column = column_of(cycled(["13/04/2025", "04/14/2025"]))
    assert (column.role, column.reason) == (Role.IGNORED, "its dates are written in more than one way")


def test_categories_are_kept_most_frequent_first():
    """All categories are kept while they are few; ties stand in the order of their names."""
    column = column_of(["b", "a", "c", "c", None] * 40)
    assert (column.kind, column.categories, column.has_other) == (Kind.CATEGORICAL, ("c", "a", "b"), False)
    assert column.n_missing == 40


def test_rare_categories_are_folded():
    """Beyond `max_categories` the most frequent are kept, and never one that was seen once."""
    values = ["a"] * 50 + ["b"] * 30 + ["d", "c"] * 10 + [f"once{i}" for i in range(20)]
    column = column_of(values, max_categories=3)
    assert (column.categories, column.has_other, column.n_folded) == (("a", "b", "c"), True, 21)
    assert column_of(values, max_categories=10).categories == ("a", "b", "c", "d")
    assert column_of(["a", "b"] * 50).n_folded == 0


@pytest.mark.parametrize(("n_once", "n", "folds"), [(30, 300, True), (2, 300, True), (1, 300, False), (1, 100, True)])
def test_words_that_came_once_are_folded_where_they_are_many(n_once: int, n: int, folds: bool):
    """Where fresh rows would be flagged for unseen words in more than one row of 200; known words stay."""
    values = cycled(["a", "b", "c", "d", "e"], n - n_once) + [f"once{i}" for i in range(n_once)]
    column = column_of(values)
    assert (column.has_other, column.n_folded) == (folds, n_once if folds else 0)
    assert len(column.categories) == 5 + (0 if folds else n_once)


def test_unseen_words_are_counted_over_all_columns():
    """A word that came once in one column is no reason to fold it, in each of eight columns it is; not in the first."""
    table = {f"x{i}": [*cycled(["a", "b", "c"], 299), "once"] for i in range(8)}
    folded = [column.has_other for column in schema_of({**table, "noise": NOISE[:300]}).features[:8]]
    assert folded == [False] + 7 * [True]
    assert not any(column.has_other for column in schema_of({"x": table["x0"], "noise": NOISE[:300]}).features)


def test_folded_words_keep_the_declared_order():
    """Of the kept categories only."""
    values = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2] * 20 + [3, 4]), pa.array(["low", "middle", "high", "once", "never again"]), ordered=True
    )
    column = column_of(values)
    assert column.order == ("low", "middle", "high")
    assert Schema.from_json(json.loads(json.dumps(Schema((column,), 62).to_json()))).columns == (column,)


def test_declared_categories_stay_categories():
    """A dictionary column is categorical even if its values are numbers."""
    for values in ([3, 1, 2], ["3", "1", "2"], [3.0, 1.0, 2.0]):
        column = column_of(pa.array(values * 30).dictionary_encode())
        assert (column.kind, column.categories) == (Kind.CATEGORICAL, ("1", "2", "3"))


@pytest.mark.parametrize("n", [120_000, pytest.param(1_200_000, marks=pytest.mark.slow)])
def test_a_million_distinct_categories_stay_bounded(n: int, monkeypatch: pytest.MonkeyPatch):
    """Frequent values are found among more that come once than are remembered, and the rest is one category."""
    monkeypatch.setattr(Capacity, "for_columns", lambda _: Capacity(n // 12, n // 12 * 10))  # true of 1,200,000 rows
    rare = np.char.add("v", np.arange(n).astype(str))
    frequent = np.random.default_rng(0).integers(0, 20, n)
    values = np.where(np.arange(n) % 5 == 0, rare, np.char.add("often", frequent.astype(str)))
    rare_only = pa.array(rare)
    schema = infer_schema(
        Memory(pa.table({"city": pa.array(values), "key": rare_only, "x": np.sin(np.arange(n))}), n // 12),
        ColumnsConfig(),
    )
    city, key, _ = schema.columns
    assert city.role is Role.FEATURE
    assert set(city.categories[:20]) == {f"often{i}" for i in range(20)}
    assert city.has_other
    assert n / 6 < city.n_folded < n / 4.3  # n / 5 but for the estimate
    assert len(city.categories) <= 128
    assert (key.role, key.reason) == (Role.KEY, "every value is different, so it names the row")


# -- columns that are left out ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["7"] * 100, "every row has the same value"),
        ([7.5] * 100, "every row has the same value"),
        (["a"] * 100, "every row has the same value"),
        (["2024-01-01"] * 100, "every row has the same value"),
        (["a", None] * 50, "every row that has a value has the same"),
        ([True] * 100, "every row has the same value"),
        ([None] * 100, "no row has a value"),
        (pa.array([None] * 100, pa.float64()), "no row has a value"),
        (pa.array([None] * 100, pa.string()), "no row has a value"),
        ([np.inf, -np.inf] * 50, "no row has a finite value"),
        ([np.inf, 1.0] * 50, "every finite value is the same"),
        ([[1, 2]] * 100, "values of type list<item: int64> are not supported"),
        ([{"a": 1}] * 100, "values of type struct<a: int64> are not supported"),
        ([b"a", b"b"] * 50, "values of type binary are not supported"),
        ([f"{i} " + "the pump was seen to leak " * 4 for i in [*range(80), *range(40)]], "it is free text"),
        ([f"{i % 500}-{i % 7}" for i in range(500)] * 1 + ["x"], "every value is different, so it names the row"),
        ([f"a{min(i, 970)}" for i in range(1001)], "97 % of its values are different, so it names the row"),
        ([f"a{i}" for i in range(150)], "every value is different, so it names the row"),
        ([f"a{i}" for i in range(20)], "every value is different, so it names the row"),
        ([f"{i}" for i in range(50)], "it counts the rows"),
        ([i * 3 for i in range(50, 0, -1)], "it counts the rows"),
        ([i * 0.1 for i in range(50)], "it counts the rows"),
        ([f"{i / 30:.3f}" for i in range(50)], "it counts the rows"),
    ],
)
def test_what_teaches_nothing_is_left_out_with_a_reason(values, reason):
    """Constants, empty columns, unsupported types, names of rows, free text and counters are no features."""
    column = column_of(values)
    assert column.role is not Role.FEATURE
    assert column.reason == reason
    assert column.categories == (("a",) if "same" in reason and "a" in values else ())


def test_19_different_words_are_categories():
    """Few rows may well all be different."""
    assert column_of([f"a{i}" for i in range(19)]).role is Role.FEATURE


def test_numbers_that_should_have_coincided_are_identifiers():
    """A shuffled part of 1…10000 that never repeats names the rows; one repetition makes it a measurement."""
    drawn = np.random.default_rng(1).permutation(10_000)[:4830] + 1
    for values in (drawn, drawn.astype(float), drawn.astype(str)):
        assert (column_of(pa.array(values)).role, column_of(pa.array(values)).kind) == (Role.KEY, Kind.NUMERIC)
    repeated = np.append(drawn, drawn[0])
    assert column_of(pa.array(repeated)).role is Role.FEATURE


def test_different_measurements_over_a_wide_range_are_features():
    """Whole numbers may never repeat by chance when their range is wide."""
    drawn = np.random.default_rng(1).integers(0, 10**9, 3000)
    assert np.unique(drawn).size == 3000
    assert column_of(pa.array(drawn)).role is Role.FEATURE
    assert column_of(pa.array(drawn), name="customer_id").role is Role.KEY


@pytest.mark.parametrize(
    "name", ["id", "ID", "userId", "Product ID", "uuid", "Unnamed: 0", "row number", "serial", "index"]
)
def test_names_of_identifiers_are_known(name):
    """Ten different whole numbers are an identifier if the name of the column is one."""
    values = [50, 3, 99, 27, 64, 1, 80, 12, 5, 41]
    assert column_of(values, name=name).role is Role.KEY
    assert column_of([*values, 50], name=name).role is Role.FEATURE
    assert column_of(values, name="width").role is Role.FEATURE


def test_integers_beyond_float64_are_distinguished():
    """Neighbours beyond 2^53 are different identifiers, typed or as text."""
    drawn = [2**60 + int(i) for i in np.random.default_rng(1).permutation(500)]
    assert column_of(drawn, name="id").role is Role.KEY
    assert column_of([str(value) for value in drawn], name="id").role is Role.KEY


def test_a_clock_orders_the_rows():
    """The first datetime that never decreases is the time; another one is left out; the others are features."""
    times = [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=i // 2) for i in range(100)]
    shuffled = [times[i * 37 % 100] for i in range(100)]
    schema = schema_of({"a": times, "b": [t.isoformat() for t in times], "c": shuffled})
    assert [column.role for column in schema.columns] == [Role.TIME, Role.IGNORED, Role.FEATURE]
    assert schema.columns[0].reason == "it orders the rows; future rows would all look new"
    assert schema_of({"newest_first": times[::-1], "c": shuffled}).columns[0].role is Role.TIME
    ticks = [1_700_000_000 + i // 3 for i in range(100)]
    assert schema_of({"timestamp": ticks, "c": shuffled}).columns[0].role is Role.TIME
    assert schema_of({"count": ticks, "c": shuffled}).columns[0].role is Role.TIME  # epoch seconds of 2023
    pressures = [1000 + i // 3 for i in range(100)]
    assert schema_of({"pressure": pressures, "c": shuffled}).columns[0].role is Role.FEATURE
    asked = schema_of({"a": times, "b": [t.isoformat() for t in times], "c": shuffled}, time="b")
    assert [column.role for column in asked.columns] == [Role.IGNORED, Role.TIME, Role.FEATURE]


def test_a_counter_named_like_a_clock_is_the_time():
    """Elapsed seconds order the rows."""
    assert column_of([i * 0.5 for i in range(100)], name="time_s").role is Role.TIME


# -- what the user asks -------------------------------------------------------------------------

TABLE = {
    "when": ["2024-01-05", "2024-01-03", "2024-01-04"] * 20,
    "flow": NOISE[:60],
    "site": ["north", "south", "east"] * 20,
    "serial": [str(i) for i in range(60)],
    "broken": ["0", "0", "1"] * 20,
    "fixed": ["1"] * 60,
}


def roles(**config):
    return {column.name: (column.role.value, column.reason) for column in schema_of(TABLE, **config).columns}


def test_options_give_roles():
    """Label, id, time, group and exclude are what the user names, and never features."""
    asked = roles(label="broken", id=("serial",), time="when", group="site", exclude=("fixed",))
    assert asked == {
        "when": ("time", "you asked"),
        "flow": ("feature", ""),
        "site": ("group", "you asked"),
        "serial": ("key", "you asked"),
        "broken": ("label", "you asked"),
        "fixed": ("ignored", "you asked"),
    }


def test_columns_keeps_what_looks_like_an_identifier_and_nothing_else():
    """`--columns` overrules the advice, but a constant still teaches nothing."""
    asked = roles(columns=("serial", "fixed"))
    assert asked["serial"] == ("feature", "")
    assert asked["fixed"] == ("ignored", "every row has the same value")
    assert asked["flow"] == ("ignored", "you asked")
    names = column_of([f"a{i}" for i in range(200)], columns=("x",))
    assert (names.role, len(names.categories), names.has_other) == (Role.FEATURE, 128, True)


def test_unknown_names_are_listed_together():
    """Every unknown name is named with the closest one there is."""
    with pytest.raises(UsageError) as caught:
        roles(columns=("Flow",), label="brokn", exclude=("zzz",))
    assert caught.value.message.splitlines() == [
        "pump.csv has no such columns:",
        "  --columns 'Flow' (did you mean 'flow'?)",
        "  --exclude 'zzz'",
        "  --label 'brokn' (did you mean 'broken'?)",
    ]


def test_contradictions_are_refused():
    """A column can play one part only."""
    with pytest.raises(UsageError, match="'site': --exclude and --group"):
        roles(exclude=("site", "site"), group="site")


PIXELS = {"ink": [0, 1, 2] * 20, "dot": [0, 1, 0] * 20, "word": ["a", "b", "c"] * 20, "yes": ["yes", "no", "no"] * 20}


def same_unit(*names, **config) -> tuple[set[str], dict[str, Kind]]:
    asked = ColumnsConfig(same_unit=names, **config)
    schema = infer_schema(Memory(pa.table(PIXELS)), asked)
    return set(same_unit_columns(schema, asked)), {column.name: column.kind for column in schema.features}


def test_columns_of_one_unit_are_numbers_even_of_zeros_and_ones():
    """Named columns, or with `all` every number; 0 and 1 are a measurement then, words stay what they are."""
    told, kinds = same_unit("ink", "dot")
    assert told == {"ink", "dot"}
    assert kinds == {"ink": Kind.NUMERIC, "dot": Kind.NUMERIC, "word": Kind.CATEGORICAL, "yes": Kind.BOOLEAN}
    assert same_unit("all") == (told, kinds)
    assert same_unit("ink")[1]["dot"] is Kind.BOOLEAN
    assert same_unit() == (set(), kinds | {"dot": Kind.BOOLEAN})
    assert same_unit("all", exclude=("dot",))[0] == {"ink"}


def test_a_column_without_a_unit_is_refused():
    """Names that the table does not have, and features that are not numbers, are reported with what they are."""
    with pytest.raises(UsageError, match=r"--same-unit 'inc' \(did you mean 'ink'"):
        same_unit("inc")
    with pytest.raises(UsageError) as caught:
        same_unit("ink", "word", "yes")
    assert caught.value.message.splitlines() == [
        "pump.csv: columns without a unit:",
        "  --same-unit 'word': it is categorical",
        "  --same-unit 'yes': it is boolean",
    ]


def test_time_must_order():
    """Words do not order rows, and neither do dates that cannot be read."""
    with pytest.raises(InputError, match="--time 'site': it holds neither dates nor numbers"):
        roles(time="site")
    with pytest.raises(InputError, match="--time 'x': its dates are ambiguous") as caught:
        column_of(["03/04/2025", "05/06/2025"] * 30, time="x")
    assert "the year first" in caught.value.hint


def test_names_stay_as_they_are():
    """Spaces and other alphabets in names are kept."""
    table = {" flow ": NOISE[:60], "температура": NOISE[60:120], "": NOISE[:60]}
    assert [column.name for column in schema_of(table).features] == [" flow ", "температура", ""]


# -- what cannot be learned from ----------------------------------------------------------------


def test_a_wrong_type_half_way_is_named_with_its_line():
    """Cells that are not numbers or dates in a column of them are listed, over all columns."""
    n = 40_000
    x = [f"{value:.2f}" for value in np.random.default_rng(0).normal(size=n)]
    y = [f"2024-01-{1 + i * 7 % 28:02d}" for i in range(n)]
    x[25_000], x[7], y[39_999], y[5] = "n/k", "12,5", "2024-02-30", "soon"
    with pytest.raises(InputError) as caught:
        schema_of({"x": x, "y": y})
    assert caught.value.message.splitlines() == [
        "pump.csv: 4 cells are not what their column otherwise holds:",
        "  pump.csv, line 7: column 'y' holds dates, not 'soon'",
        "  pump.csv, line 9: column 'x' holds numbers, not '12,5'",
        "  pump.csv, line 25002: column 'x' holds numbers, not 'n/k'",
        "  pump.csv, line 40001: column 'y' holds dates, not '2024-02-30'",
    ]
    assert "--exclude x,y" in caught.value.hint


def test_dates_that_come_late_still_name_the_first_cell():
    """The first rows are remembered until it is clear what they should have been."""
    late = ["soon"] * 3 + [None] * 40_000 + [f"{1 + i % 28}.01.2024" for i in range(1000)]
    with pytest.raises(InputError, match=r"3 cells[^\0]*line 2: column 'x' holds dates, not 'soon'"):
        column_of(late)


def test_at_most_ten_cells_are_listed_and_all_are_counted():
    """Every column with wrong cells is shown before the second cell of another."""
    bad = ["1.5"] * 5 + [f"bad{i}" for i in range(40)] + NOISE
    one = [*NOISE, *["2.5"] * 44, "worse"]
    with pytest.raises(InputError) as caught:
        schema_of({"x": bad, "y": one})
    lines = caught.value.message.splitlines()
    assert lines[0].startswith("pump.csv: 41 cells")
    assert len(lines) == 12
    assert "worse" in lines[-2]
    assert lines[-1] == "  … and 31 more"


@pytest.mark.parametrize("role", [{"exclude": ("x",)}, {"group": "x"}, {"label": "x"}, {"id": ("x",)}])
def test_wrong_cells_matter_only_where_they_would_be_learned(role):
    """A column that is no feature may be mixed."""
    assert column_of(["1"] * 20 + ["2"] * 79 + ["oops"], **role).role is not Role.FEATURE


def test_below_nine_in_ten_a_column_is_categories():
    """Codes of digits and letters are categories, and so are few rows."""
    assert column_of(["1", "2", "3", "4", "5", "6", "7", "8", "X"] * 30).kind is Kind.CATEGORICAL
    assert column_of(["1", "2", "1", "2", "1", "2", "1", "2", "1", "X"]).kind is Kind.CATEGORICAL


def test_identifiers_that_are_mostly_numbers_are_identifiers():
    """Invoice numbers, some with a letter before them, are not mistaken for numbers gone wrong."""
    drawn = np.random.default_rng(1).permutation(10_000)[:4830]
    values = [f"C{value}" if i % 50 == 0 else str(value) for i, value in enumerate(drawn)]
    assert column_of(values).role is Role.KEY


def test_no_rows_and_no_features_are_refused():
    """A table with nothing to learn from is refused, column by column."""
    with pytest.raises(InputError, match=r"pump\.csv: there are no rows"):
        schema_of({"x": pa.array([], pa.string())})
    for table, excluded, words in (
        (
            {"x": ["1"] * 9, "y": pa.nulls(9)},
            (),
            r"no column is left[^\0]*'x': every row has the same value[^\0]*'y': no row",
        ),
        ({"x": ["1", "2"]}, ("x",), "'x': you asked"),
    ):
        source = Memory(pa.table(table))
        with pytest.raises(InputError, match=words):
            reject_nothing_to_learn(source, infer_schema(source, ColumnsConfig(exclude=excluded)))


def test_a_column_that_changes_its_type_is_named():
    """Numbers in one file and text in the next are refused; a file without values is not."""

    class Parts(Memory):
        def batches(self, request):
            for i, column in enumerate(parts):
                table = pa.table({"x": column})
                yield Batch(table, 40_000 * i, lambda row, i=i: f"part{i}, row {row + 1}")

    parts = [pa.array(np.arange(40_000.0) % 7), pa.nulls(40_000), pa.array(np.arange(40_000) % 9)]
    source = Parts(pa.table({"x": pa.nulls(1)}))
    assert infer_schema(source, ColumnsConfig()).columns[0].maximum == 8
    parts.append(pa.array(["a", "b"] * 20_000))
    with pytest.raises(InputError, match="part3, row 1: column 'x' changes from number to string"):
        infer_schema(source, ColumnsConfig())


def test_thousands_of_columns():
    """A table of three thousand columns is understood."""
    columns = {f"c{j}": NOISE[j % 100 : j % 100 + 100] for j in range(3000)}
    assert len(schema_of(columns).features) == 3000


# -- laws ---------------------------------------------------------------------------------------

cells = st.one_of(
    st.lists(st.sampled_from(["1", "2.5", "inf", None, "-3", "0"]), min_size=60, max_size=60),
    st.lists(st.sampled_from(["a", "b", "true", "false", "7", None]), min_size=60, max_size=60),
    st.lists(st.sampled_from(["2024-01-01", "2024-13-01", "03/04/2024", "14/04/2024", None]), min_size=60, max_size=60),
    st.lists(st.text("ab1 ", max_size=3), min_size=60, max_size=60),
    st.lists(st.floats(allow_nan=True) | st.none(), min_size=60, max_size=60).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=60, max_size=60),
)


def outcome(table, rows):
    """The schema, or the message instead of one."""
    try:
        return infer_schema(Memory(table, rows), ColumnsConfig(max_categories=4))
    except InputError as problem:
        return problem.message


@of_a_hundred(30)
@given(columns=st.lists(cells, min_size=1, max_size=3), rows=st.integers(1, 70))
@example(columns=[["1.0"] * 30 + ["x"] + ["2"] * 29], rows=7)
@example(columns=[[1.7e308, -1.7e308] * 30], rows=1)
def test_how_a_source_cuts_its_batches_changes_nothing(columns, rows):
    """The schema, and any complaint, is the same for batches of every size."""
    table = pa.table({f"c{j}": pa.array(column) for j, column in enumerate(columns)} | {"noise": NOISE[:60]})
    assert outcome(table, rows) == outcome(table, 1000)


@pytest.mark.parametrize("rows", [999, 32_768, 70_001])
def test_blocks_have_their_size_and_their_place(rows):
    """A block holds as many rows whatever the batches, and knows the place of each."""
    source = Memory(pa.table({"x": np.arange(70_001)}), rows)
    met = [block.where(i) for block in blocks(source, ["x"]) for i in range(block.table.num_rows)]
    assert met == [f"pump.csv, line {i + 2}" for i in range(70_001)]
    assert [block.table.num_rows for block in blocks(source, ["x"])] == [32_768, 32_768, 4465]
    assert [block.first_row for block in blocks(source, ["x"])] == [0, 32_768, 65_536]


def test_batches_across_blocks_change_nothing():
    """The same holds for tables of several blocks, whose columns no longer fit the exact tables."""
    rng = np.random.default_rng(3)
    table = pa.table({
        "city": pa.array(np.char.add("c", rng.zipf(1.3, 150_000).astype(str))),
        "number": pa.array(rng.normal(size=150_000).astype(str)),
        "key": pa.array(np.char.add("k", rng.permutation(150_000).astype(str))),
        "number_id": pa.array(rng.permutation(150_000)),
    })  # fmt: skip
    assert outcome(table, 999) == outcome(table, 150_000) == outcome(table, 40_000)


@settings(max_examples=150, deadline=None)
@example([0] * 9 + [1] * 4 + [2], 2, 14)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=600), st.integers(2, 20), st.integers(1, 50))
def test_counts_are_never_short_by_more_than_they_claim(numbers, capacity, size):
    """Every count held is at most `n_lost` short, and whatever is more frequent than that is held."""
    counts = ValueCounts(capacity, 1000)
    for start in range(0, len(numbers), size):
        values, n = np.unique(numbers[start : start + size], return_counts=True)
        counts.add(pa.array(values.astype(str)).cast(pa.large_string()), n)
    held, truth = dict(counts.ranked()), np.bincount(numbers)
    assert all(truth[int(text)] - counts.n_lost <= n <= truth[int(text)] for text, n in held.items())
    assert all(str(value) in held for value in np.flatnonzero(truth > counts.n_lost))
    assert sum(held.values()) + counts.n_lost * (capacity // 2 + 1) <= len(numbers)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=300), st.integers(1, 100))
def test_a_sample_of_values_knows_all_their_occurrences(numbers, capacity):
    """Values in the sample are counted exactly, so different values never look repeated."""
    values = np.array(numbers, np.uint64)
    distinct = DistinctSample(capacity)
    for start in range(0, values.size, 7):
        distinct.add(splitmix64(values[start : start + 7]))
    n, n_distinct = distinct.sampled
    hashes = splitmix64(values)
    kept = hashes[hashes <= distinct.bound]
    assert (n, n_distinct) == (kept.size, np.unique(kept).size)
    assert n_distinct <= capacity


def test_text_hashes_distinguish_texts():
    """A million different texts have different hashes, in any slice of an array."""
    texts = pa.array([f"{i:x}" for i in range(300_000)] + ["", "aa", "a"]).cast(pa.large_string())
    hashes = text_hashes(texts)
    assert np.unique(hashes).size == len(set(texts.to_pylist()))
    assert (text_hashes(texts.slice(1000, 50)) == hashes[1000:1050]).all()


@pytest.mark.parametrize(
    ("dates", "zone"),
    [
        (["2024-05-01T10:00:00Z", "2024-05-02T11:00:00Z"], "Z"),
        (["2024-05-01 10:00 UTC", "2024-05-02 11:00Z"], "Z"),
        (["2024-05-01T10:00:00.25+0200", "2024-05-02T11:00:00+02:00"], "+02:00"),
        (["2024-05-01T10-03", "2024-05-02T11-03"], "-03:00"),
        (["2024-05-01 10:00:00+00:00", "2024-05-02 11:00:00+00:00"], "+00:00"),
        (["2024-05-01T10:00:00+02:00", "2024-12-02T11:00:00+01:00"], "Z"),
        (["2024-05-01T10:00:00", "2024-12-02T11:00:00+01:00"], "Z"),
        (["31/05/2024 10:00 AM +01:00", "30/05/2024 10:00 PM +01:00"], "+01:00"),
        (["2024-05-01 10:00", "2024-05-02 11:00"], ""),
        (["2024-05-01", "2024-12-02"], ""),
        (["01-05-2024", "31-12-2024"], ""),
    ],
)
def test_the_zone_of_dates_is_kept(dates: list[str], zone: str):
    """The one that all dates name, UTC where they name several, none where none is named."""
    column = column_of([*dates, "NA"] * 10)
    assert (column.kind, column.zone) == (Kind.DATETIME, zone)


@pytest.mark.parametrize(
    ("cells", "width"),
    [
        (["01234", "80331", "NA"], 5),
        (["01234", "80331", "803310"], 0),
        (["10115", "80331", "20095"], 0),
        (["01.34", "80.31", "20.95"], 0),
        (["00012", " 0034", "00056"], 0),
        (["3", "0", "5"], 0),
    ],
)
@pytest.mark.parametrize("n_rows", [30, 3000], ids=["one block", "several blocks"])
def test_zeros_in_front_of_codes_are_kept(cells: list[str], width: int, n_rows: int):
    """Numbers of equally many digits, some of which begin with a zero, are codes padded with zeros."""
    table = pa.table({"x": cells * (n_rows // 3), "noise": np.random.default_rng(0).normal(size=n_rows)})
    column = infer_schema(Memory(table, rows=700), ColumnsConfig()).columns[0]
    assert (column.kind, column.width) == (Kind.NUMERIC, width)


def test_one_longer_code_at_the_end_is_seen():
    """Also where there are so many different codes that they are only read as numbers."""
    codes = [f"{i % 101_000:06d}" for i in range(103_000)]
    for last, width in (("000007", 6), ("NA", 6), ("0000007", 0)):
        table = pa.table({"x": [*codes, last], "noise": np.random.default_rng(0).normal(size=len(codes) + 1)})
        schema = infer_schema(Memory(table, rows=50_000), ColumnsConfig(columns=("x", "noise")))
        assert schema.columns[0].width == width


def test_typed_tables_keep_their_types():
    """The features of Parquet and frames have types, those of delimited text have none."""
    table = pa.table(
        {
            "when": pa.array([5, 3, 9] * 10, pa.timestamp("ms", tz="Asia/Tokyo")),
            "site": pa.array(["a", "b", "a"] * 10).dictionary_encode(),
            "name": [f"row {i}" for i in range(30)],
        }
    )
    when, site, name = infer_schema(frame_source(table), ColumnsConfig()).columns
    assert (when.arrow_type, when.zone) == ("timestamp[ms, tz=Asia/Tokyo]", "Asia/Tokyo")
    assert site.arrow_type == "dictionary<values=string, indices=int32, ordered=0>"
    assert (name.role, name.arrow_type) == (Role.KEY, "")
    assert {column.arrow_type for column in infer_schema(Memory(table), ColumnsConfig()).columns} == {""}
