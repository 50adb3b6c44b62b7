"""Types of Parquet as their writers use them: kept from input to output, and scored as the same table in CSV is."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.conftest import QUICK

SEVERAL = 60
FAR = dt.datetime(9999, 12, 31)
NEAR = dt.datetime(2024, 5, 6, 7, 8, 9, 123456)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def with_column(table: pd.DataFrame, column: pa.Array, name: str = "extra") -> pa.Table:
    """The first rows of the table with another column."""
    return pa.Table.from_pandas(table.head(len(column)), preserve_index=False).append_column(name, column)


def int96(ticks: list[int | None], unit: str, path: str, table: pd.DataFrame, zone: str | None = None) -> None:
    """Write a table whose column `extra` is INT96, which takes ticks of any unit within the reach of nanoseconds; far
    days are written into the file afterwards."""
    stored = with_column(table, pa.array(ticks, pa.timestamp(unit, zone)))
    pq.write_table(stored, path, use_deprecated_int96_timestamps=True, compression="none", use_dictionary=False)


JULIAN_EPOCH = 2_440_588
MARK = dt.datetime(2100, 1, 1)


def far_away(path: str, moment: dt.datetime) -> None:
    """Replace the day 2100-01-01 in the INT96 cells of an uncompressed file by that of another moment."""
    days = [(day - dt.datetime(1970, 1, 1)).days + JULIAN_EPOCH for day in (MARK, moment)]
    old, new = (bytes(8) + day.to_bytes(4, "little") for day in days)
    content = Path(path).read_bytes()
    assert old in content
    Path(path).write_bytes(content.replace(old, new))


@pytest.mark.parametrize("moment", [FAR, dt.datetime(1, 1, 1), dt.datetime(2262, 4, 12), dt.datetime(1600, 2, 29)])
@pytest.mark.parametrize("verb", ["score", "encode", "reconstruct"])
def test_int96_beyond_nanoseconds(run, bundle: Path, fresh_table: pd.DataFrame, verb: str, moment: dt.datetime):
    """INT96 holds days that 64 bits of nanoseconds do not: 9999-12-31 was 1816-03-29 in the output."""
    micros = [round(each.replace(tzinfo=dt.UTC).timestamp()) * 10**6 for each in (MARK, NEAR)]
    int96([*micros, None] * 20, "us", "new.parquet", fresh_table)
    far_away("new.parquet", moment)
    keep = ("--keep",) if verb == "encode" else ("--impute",) if verb == "reconstruct" else ()
    assert run(verb, "new.parquet", "-m", str(bundle), "-o", "out.parquet", *keep).code == 0
    found = pq.read_table("out.parquet")["extra"]
    assert found.to_pylist()[:3] == [moment, NEAR.replace(microsecond=0), None]


def test_int96_in_a_fit(run, normal_table: pd.DataFrame, quick: Path):
    """The range that `inspect` shows is that of the file."""
    day = round(MARK.replace(tzinfo=dt.UTC).timestamp())
    rng = np.random.default_rng(0)
    ticks = [(day if i % 10 == 0 else int(rng.integers(1.7e9, 1.8e9))) * 10**6 for i in range(len(normal_table))]
    int96(ticks, "us", "normal.parquet", normal_table)
    far_away("normal.parquet", FAR)
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    columns = json.loads(run("inspect", "m.vae", "--schema", "--json").out)["columns"]
    extra = next(column for column in columns if column["name"] == "extra")
    assert extra["kind"] == "datetime"
    assert extra["maximum"] == FAR.replace(tzinfo=dt.UTC).timestamp()
    assert extra["minimum"] > 1.6e9


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "UTC"])
def test_int96_keeps_nanoseconds_and_zone(run, bundle: Path, fresh_table: pd.DataFrame, zone: str | None):
    """Where a column has nanoseconds they stay, and so does the zone, which pyarrow drops at another unit."""
    for ticks in ([1, 1_700_000_000_123_456_789, None] * 20, [0, 10**18, None] * 20):
        int96(ticks, "ns", "new.parquet", fresh_table, zone)
        assert run("score", "new.parquet", "-m", str(bundle), "-o", "out.parquet", "--quiet").code == 0
        found = pq.read_table("out.parquet")["extra"]
        assert found.type.tz == zone
        assert found.cast(pa.timestamp("ns", zone)).cast(pa.int64()).to_pylist() == ticks


def test_int96_that_no_type_holds(run, bundle: Path, fresh_table: pd.DataFrame):
    """Nanoseconds beside far days are refused, with both columns."""
    mark = round(MARK.replace(tzinfo=dt.UTC).timestamp()) * 10**9
    int96([mark, 1_700_000_000_123_456_789] * 30, "ns", "new.parquet", fresh_table)
    far_away("new.parquet", FAR)
    done = run("score", "new.parquet", "-m", str(bundle), "-o", "out.parquet")
    assert done.code == 4
    assert "error: timestamps of the type INT96 that no other type holds: nanoseconds (new.parquet" in done.err
    assert "hint: write the timestamps in microseconds" in done.err


def test_int96_inside_lists(run, bundle: Path, fresh_table: pd.DataFrame):
    """Nested timestamps keep their nanoseconds, too."""
    cells = pa.array([[1_700_000_000_123_456_789, None], [], None] * 20, pa.list_(pa.timestamp("ns")))
    pq.write_table(with_column(fresh_table, cells), "new.parquet", use_deprecated_int96_timestamps=True)
    assert run("score", "new.parquet", "-m", str(bundle), "-o", "out.parquet", "--quiet").code == 0
    found = pq.read_table("out.parquet")["extra"].combine_chunks()
    assert found.flatten().cast(pa.int64()).to_pylist() == [1_700_000_000_123_456_789, None] * 20


# -- digits ---------------------------------------------------------------------------------------

LONG = ["9007199254740993", "9007199254740995", "-9223372036854775807", "18014398509481985"]


@pytest.fixture(scope="module")
def long_bundle(normal_table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a numeric column `big` of whole numbers beyond 2^53, and one `code` of padded ones."""
    folder = tmp_path_factory.mktemp("long")
    table = normal_table.assign(
        big=[LONG[i * i % 7 % 4] for i in range(len(normal_table))],
        code=[f"{i * i % 7:03d}" for i in range(len(normal_table))],
    )
    table.to_csv(folder / "normal.csv", index=False)
    vaecli.fit(folder / "normal.csv", **QUICK).save(folder / "m.vae")
    return folder / "m.vae"


def test_digits_of_text_reach_parquet(run, long_bundle: Path, fresh_table: pd.DataFrame):
    """Whole numbers beyond 2^53 are int64 in Parquet, identifiers and padded numbers text: no digit is lost."""
    table = fresh_table.head(4).assign(big=LONG, code=["001", "002", "003", "004"], id=LONG)
    table.to_csv("new.csv", index=False)
    assert run("score", "new.csv", "-m", str(long_bundle), "-o", "out.parquet", "--quiet").code == 0
    found = pq.read_table("out.parquet")
    assert found["big"].to_pylist() == [int(cell) for cell in LONG]
    assert found["id"].to_pylist() == LONG
    assert found["code"].to_pylist() == ["001", "002", "003", "004"]
    assert run("score", "new.csv", "-m", str(long_bundle), "-o", "out.csv", "--quiet").code == 0
    lines = Path("new.csv").read_text().splitlines()
    assert [line.rsplit(",", 3)[0] for line in Path("out.csv").read_text().splitlines()] == lines


@pytest.mark.parametrize("cell", ["12.5", "9223372036854775808", "0.5e1 "])
def test_digits_that_int64_has_not(run, long_bundle: Path, fresh_table: pd.DataFrame, cell: str):
    """A cell of the column that int64 cannot hold is refused for Parquet and scored to CSV; 0.5e1 is 5."""
    fresh_table.head(2).assign(big=[LONG[0], cell], code="001").to_csv("new.csv", index=False)
    done = run("score", "new.csv", "-m", str(long_bundle), "-o", "out.parquet", "--quiet")
    if cell == "0.5e1 ":
        assert done.code == 0
        assert pq.read_table("out.parquet")["big"].to_pylist() == [int(LONG[0]), 5]
    else:
        assert done.code == 4
        assert f"new.csv, line 3: column 'big' holds '{cell}', whose digits int64 cannot hold" in done.err
        assert "hint: write CSV" in done.err
    assert run("score", "new.csv", "-m", str(long_bundle), "-o", "out.csv", "--quiet").code == 0


DIGITS = {
    "9007199254740993": False,
    "99999999999999999999": False,  # the float is 1e20
    "12345678901234567890": False,
    "9007199254740992": True,
    "1e300": True,
    "1.2345678901234567e+30": True,
    "0.1000000000000000055511151231257827": True,
    "-9007199254740993.0": False,
    "inf": True,
}


@pytest.mark.parametrize("cell", DIGITS)
def test_digits_that_a_float_has_not(run, bundle: Path, fresh_table: pd.DataFrame, cell: str):
    """In a column of floats a whole number that is none of them is refused for Parquet, with its line."""
    table = fresh_table.head(3).astype({"flow": object})
    table.loc[1, "flow"] = cell
    table.to_csv("new.csv", index=False)
    done = run("score", "new.csv", "-m", str(bundle), "-o", "out.parquet", "--quiet")
    if DIGITS[cell]:
        assert done.code == 0
        assert pq.read_table("out.parquet")["flow"].to_pylist()[1] == float(cell)
    else:
        assert done.code == 4
        assert f"new.csv, line 3: column 'flow' holds '{cell}', whose digits double cannot hold in Parquet" in done.err
        assert not Path("out.parquet").exists()


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([2**64 - 1 - i % 700 for i in range(600)], pa.uint64()),
        pa.array([2**62 + i % 5 for i in range(600)], pa.int64()),
        pa.array([Decimal(10**20 + i % 5) for i in range(600)], pa.decimal128(30, 0)),
        pa.array([str(2**62 + i % 5) for i in range(600)]),
        pa.array([str(2**64 - 1 - i % 5) for i in range(600)]),
    ],
    ids=["uint64", "int64", "decimal", "text", "text of uint64"],
)
def test_numbers_that_are_one_float(run, normal_table: pd.DataFrame, quick: Path, cells: pa.Array):
    """A column whose values differ by less than a float can is not called constant."""
    pq.write_table(with_column(normal_table, cells), "normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    out = run("inspect", "m.vae", "--schema").out
    assert "its values differ by less than a float of this size can" in " ".join(out.split())


# -- parts of one table ---------------------------------------------------------------------------


def parts(table: pd.DataFrame, first: pa.Array, second: pa.Array) -> None:
    """A folder of two files that differ in the type of one column."""
    Path("parts").mkdir()
    for i, cells in enumerate((first, second)):
        pq.write_table(with_column(table, cells), f"parts/part-{i}.parquet")


def days(kind: pa.DataType, *numbers: int | None) -> pa.Array:
    return (
        pa.array([None if number is None else number * 86_400_000_000 for number in numbers] * 10)
        .cast(pa.timestamp("us"))
        .cast(kind)
    )


JOINED = {
    "int32 and int64": (pa.array([1, None] * 5, pa.int32()), pa.array([2**40] * 5), pa.int64()),
    "int64 and double": (pa.array([1, None] * 5), pa.array([0.5, None] * 5), pa.float64()),
    "us and ns": (days(pa.timestamp("us"), 1, None), days(pa.timestamp("ns"), 2), pa.timestamp("ns")),
    "zones": (
        days(pa.timestamp("us"), 1).cast(pa.timestamp("us", "Europe/Berlin")),
        days(pa.timestamp("us"), 2).cast(pa.timestamp("us", "UTC")),
        pa.timestamp("us", "Europe/Berlin"),
    ),
    "text and category": (pa.array(["a", None] * 5), pa.array(["b", None] * 5).dictionary_encode(), pa.string()),
    "category and text": (pa.array(["b", None] * 5).dictionary_encode(), pa.array(["a"] * 5), pa.string()),
    "large text": (pa.array(["a"] * 5, pa.large_string()), pa.array(["b", None] * 5), pa.large_string()),
    "view": (pa.array(["a"] * 5, pa.string_view()), pa.array(["b", None] * 5), pa.large_string()),
    "JSON": (pa.array(["{}"] * 5, pa.json_()), pa.array(["b", None] * 5), pa.string()),
    "date and time": (days(pa.date32(), 1, None), days(pa.timestamp("us"), 2), pa.timestamp("us")),
    "decimals": (
        pa.array([Decimal(1)] * 5, pa.decimal128(20, 1)),
        pa.array([Decimal(2)] * 5, pa.decimal32(8, 3)),
        None,
    ),
    "float and double": (pa.array([0.5] * 5, pa.float32()), pa.array([0.1] * 5), pa.float64()),
    "null": (pa.nulls(5), pa.array(["b", None] * 5).dictionary_encode(), None),
    "durations": (pa.array([1] * 5, pa.duration("ms")), pa.array([2] * 5, pa.duration("us")), pa.duration("us")),
    "codes": (pa.array([10, 20] * 5).dictionary_encode(), pa.array([30, None] * 5), pa.int64()),
    "orders": (
        pa.DictionaryArray.from_arrays([0, 1] * 5, ["a", "b"], ordered=True),
        pa.DictionaryArray.from_arrays([0, 1] * 5, ["b", "c"], ordered=False),
        None,
    ),
}


@pytest.mark.parametrize("name", JOINED)
def test_parts_of_two_types_are_one_table(run, bundle: Path, fresh_table: pd.DataFrame, name: str):
    """They have the type that holds the values of both, and every value stays."""
    first, second, kind = JOINED[name]
    parts(fresh_table, first, second)
    assert run("score", "parts", "-m", str(bundle), "-o", "out.parquet", "--quiet").code == 0
    found = pq.read_table("out.parquet")["extra"]
    if kind is not None:
        assert found.type == kind
    expected = [*first.to_pylist(), *second.to_pylist()]
    if name == "date and time":
        expected = [*days(pa.timestamp("us"), 1, None).to_pylist(), *second.to_pylist()]
    assert found.to_pylist() == expected


REFUSED = {
    "text and number": (pa.array(["a"] * 5), pa.array([1] * 5), "string", "int64"),
    "boolean and number": (pa.array([True] * 5), pa.array([1] * 5), "bool", "int64"),
    "bytes and text": (pa.array([b"a"] * 5), pa.array(["a"] * 5), "binary", "string"),
    "zone and none": (days(pa.timestamp("us", "UTC"), 1), days(pa.timestamp("us"), 1), "tz=UTC", "timestamp[us]"),
    "date and zone": (days(pa.date32(), 1), days(pa.timestamp("us", "UTC"), 1), "date32", "tz=UTC"),
    "UUID and text": (pa.array([bytes(16)] * 5, pa.uuid()), pa.array(["a"] * 5), "arrow.uuid", "string"),
}


@pytest.mark.parametrize("verb", ["fit", "score"])
@pytest.mark.parametrize("name", REFUSED)
def test_parts_without_a_common_type(run, bundle: Path, fresh_table: pd.DataFrame, verb: str, name: str):
    """Exit 4 names both files, the column and both types."""
    first, second, *types = REFUSED[name]
    parts(fresh_table, first, second)
    done = run(verb, "parts", *(("-m", str(bundle)) if verb == "score" else ()), "-o", "out.x")
    assert done.code == 4
    for part in ("parts/part-0.parquet", "parts/part-1.parquet", "'extra'", *types):
        assert part in done.err


LOST = {
    "a number that is no float": (pa.array([0.5] * 5), pa.array([1, 2, 2**53 + 1]), "9007199254740993 (int64)", 3),
    "a decimal that is no float": (
        pa.array([0.5] * 5),
        pa.array([Decimal("0.10"), Decimal("12345678901234567.25")]),
        "12345678901234567.25",
        2,
    ),
    "a date beyond nanoseconds": (
        pa.array([0] * 5, pa.timestamp("ns")),
        pa.array([None, FAR], pa.timestamp("us")),
        "9999",
        2,
    ),
    "a number beyond int64": (pa.array([-1] * 5), pa.array([1, 2**63], pa.uint64()), "9223372036854775808", 2),
}


@pytest.mark.parametrize("name", LOST)
def test_a_value_that_the_common_type_has_not(run, bundle: Path, fresh_table: pd.DataFrame, name: str):
    """Exit 4 names the file, the row, the column and the value, and where the other type is from."""
    first, second, value, row = LOST[name]
    parts(fresh_table, first, second)
    done = run("score", "parts", "-m", str(bundle), "-o", "out.parquet")
    assert done.code == 4
    assert f"parts/part-1.parquet, row {row}: column 'extra' holds " in done.err
    assert value in done.err
    assert "as in parts/part-0.parquet" in done.err


def test_parts_of_whole_numbers_and_floats_are_fitted(run, normal_table: pd.DataFrame, quick: Path):
    """A fit reads numbers as floats, so that one which is no float is no obstacle."""
    rng = np.random.default_rng(0)
    parts(
        normal_table,
        pa.array(rng.normal(1e16, 1e15, 300)),
        pa.array([2**53 + int(i) for i in rng.integers(10**15, size=300)]),
    )
    assert run("fit", "parts", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
