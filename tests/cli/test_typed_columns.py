"""Columns with types of their own come out of `score` as the values that went in, in Parquet and in CSV."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


SEVERAL = 60


def with_column(table: pd.DataFrame, column: pa.Array) -> pa.Table:
    """The first rows of the table with a column `extra` that the model knows nothing of."""
    return pa.Table.from_pandas(table.head(len(column)), preserve_index=False).append_column("extra", column)


EXTRAS = {
    "string_view": pa.array(["a", 'b"c', None] * 20, pa.string_view()),
    "duration": pa.array([5_000_001, -3, None] * 20, pa.duration("us")),
    "time": pa.array([1, 86_399_000_000, None] * 20, pa.time64("us")),
    "nan": pa.array([1.5, np.nan, None] * 20),
    "long": pa.array([2**53 + 1, -(2**63), None] * 20, pa.int64()),
    "unsigned": pa.array([2**64 - 1, 0, None] * 20, pa.uint64()),
    "decimal": pa.array([1, None, 3] * 20, pa.int64()).cast(pa.decimal128(38, 3)),
    "far date": pa.array([dt.datetime(9999, 12, 31), dt.datetime(1, 1, 1), None] * 20, pa.timestamp("us")),
    "zone": pa.array([0, 10**15, None] * 20, pa.int64()).cast(pa.timestamp("us", "Europe/Berlin")),
    "category": pa.array(["x", None, "y"] * 20).dictionary_encode(),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_column_passes_through_to_parquet(run, bundle: Path, fresh_table: pd.DataFrame, name: str):
    """Values and type are those of the input."""
    table = with_column(fresh_table, EXTRAS[name])
    pq.write_table(table, "new.parquet")
    assert run("score", "new.parquet", "-m", str(bundle), "-o", "out.parquet", "--quiet").code == 0
    found, expected = (pq.read_table(path)["extra"] for path in ("out.parquet", "new.parquet"))
    assert found.type == expected.type
    assert repr(found.to_pylist()) == repr(expected.to_pylist())  # NaN is not equal to itself


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()], ids=str)
@pytest.mark.parametrize("extension", ["parquet", "csv"])
def test_views_of_flagged_rows(run, bundle: Path, fresh_table: pd.DataFrame, extension: str, kind: pa.DataType):
    """Columns of views, which pyarrow cannot filter, pass through with --anomalies-only; in Parquet they stay views."""
    long = [f"a text that is longer than a view holds itself: {i}" for i in range(SEVERAL)]
    pq.write_table(with_column(fresh_table, pa.array(long, kind)), "new.parquet")
    words = ["new.parquet", "-m", str(bundle), "--threshold", "0.5", "--anomalies-only", "--quiet"]
    assert run("score", *words, "-o", f"out.{extension}").code == 0
    if extension == "csv":
        found = pd.read_csv("out.csv")["extra"].tolist()
    else:
        assert pq.read_schema("out.parquet").field("extra").type == kind
        found = [
            str(text, "utf-8") if isinstance(text, bytes) else text
            for text in pq.read_table("out.parquet")["extra"].to_pylist()
        ]
    assert 0 < len(found) < SEVERAL
    assert found == [text for text in long if text in found]


def test_a_gap_in_a_view_is_filled(run, bundle: Path, fresh_table: pd.DataFrame):
    """--impute fills a missing word in a column of string views, which stays one."""
    table = pa.Table.from_pandas(fresh_table.head(SEVERAL), preserve_index=False)
    words = pa.array([None, *table["mode"].to_pylist()[1:]], pa.string_view())
    table = table.set_column(table.column_names.index("mode"), "mode", words)
    pq.write_table(table, "new.parquet")
    assert run("reconstruct", "new.parquet", "-m", str(bundle), "--impute", "-o", "out.parquet").code == 0
    found = pq.read_table("out.parquet")["mode"]
    assert found.type == pa.string_view()
    assert found.to_pylist()[0] in {"eco", "normal", "boost"}
    assert found.to_pylist()[1:] == words.to_pylist()[1:]


EXPECTED = {
    "string_view": ["a", 'b"c', ""],
    "duration": ["5.000001", "-0.000003", ""],
    "time": ["00:00:00.000001", "23:59:59.000000", ""],
    "nan": ["1.5", "NaN", ""],
    "long": ["9007199254740993", "-9223372036854775808", ""],
    "unsigned": ["18446744073709551615", "0", ""],
    "decimal": ["1.000", "", "3.000"],
    "far date": ["9999-12-31 00:00:00.000000", "0001-01-01 00:00:00.000000", ""],
    "zone": ["1970-01-01 01:00:00.000000+0100", "2001-09-09 03:46:40.000000+0200", ""],
    "category": ["x", "", "y"],
}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_column_passes_through_to_csv(run, bundle: Path, fresh_table: pd.DataFrame, name: str):
    """Every value is spelled so that it can be read back: exact, without a placeholder."""
    pq.write_table(with_column(fresh_table, EXTRAS[name]), "new.parquet")
    assert run("score", "new.parquet", "-m", str(bundle), "-o", "out.csv", "--quiet").code == 0
    options = pa_csv.ConvertOptions(column_types={"extra": pa.string()})
    assert pa_csv.read_csv("out.csv", convert_options=options)["extra"].to_pylist()[:3] == EXPECTED[name]


def test_bytes_that_are_not_text_are_refused(run, bundle: Path, fresh_table: pd.DataFrame):
    """CSV cannot hold them: exit 4, the column and the way out in two lines, no file."""
    pq.write_table(with_column(fresh_table, pa.array([b"\xff\x00"] * SEVERAL)), "new.parquet")
    done = run("score", "new.parquet", "-m", str(bundle), "-o", "refused.csv")
    assert done.code == 4
    assert "error: column 'extra' holds bytes that are not text" in done.err
    assert "hint: write Parquet" in done.err
    assert not Path("refused.csv").exists()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_score_the_same_in_both_formats(run, normal_table: pd.DataFrame, quick: Path, unit: str):
    """A duration is seconds in the model, in CSV and in the CSV that vaecli wrote itself."""
    rng = np.random.default_rng(0)
    ticks = (rng.normal(60, 5, len(normal_table)).round() * {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]).astype(
        "i8"
    )
    table = pa.Table.from_pandas(normal_table, preserve_index=False).append_column(
        "took", pa.array(ticks).cast(pa.duration(unit))
    )
    pq.write_table(table, "normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    pq.write_table(table.slice(0, SEVERAL), "new.parquet")
    assert run("score", "new.parquet", "-m", "m.vae", "-o", "once.csv", "--quiet").code == 0
    assert run("score", "once.csv", "-m", "m.vae", "-o", "twice.csv", "--prefix", "b_", "--quiet").code == 0
    twice = pd.read_csv("twice.csv")
    np.testing.assert_allclose(twice["b_anomaly_score"], twice["anomaly_score"], rtol=1e-6)
