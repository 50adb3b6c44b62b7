"""What a typed table declares beside its values: categories, their order, an index; UUIDs, intervals, decimals."""

from __future__ import annotations

import base64
import json
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.conftest import QUICK
from vaecli.tables.convert.arrow_casts import cast

N = 300


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def codes(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([10, 20, 30], n, p=[0.2, 0.5, 0.3])


def devices(n: int, seed: int) -> list[bytes | None]:
    few = [uuid.UUID(int=2**100 + i).bytes for i in range(3)]
    return [few[code // 10 - 1] for code in codes(n, seed)]


def typed_table(n: int, seed: int) -> pa.Table:
    """Columns of types that Parquet keeps by declaration only, or that Arrow knows in part."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    grade = rng.choice(3, n, p=[0.2, 0.5, 0.3])
    price = [Decimal(int(cents)) / 100 for cents in rng.integers(100, 900, n)]
    return pa.table(
        {
            "flow": load + rng.normal(size=n) / 10,
            "code": pa.array(codes(n, seed), pa.int64()).dictionary_encode(),
            "grade": pa.DictionaryArray.from_arrays(grade, ["low", "middle", "high"], ordered=True),
            "switch": pa.DictionaryArray.from_arrays(grade % 2, ["yes", "no"], ordered=True),
            "price": pa.array(price, pa.decimal32(7, 2)),
            "rate": pa.array(price, pa.decimal64(12, 3)),
            "huge": pa.array(price, pa.decimal256(50, 4)),
            "device": pa.array(devices(n, seed), pa.uuid()),
            "state": pa.array([json.dumps({"on": bool(one > 0)}) for one in load], pa.json_()),
            "took": pa.array((60 + load * 5).astype("i8") * 1000, pa.duration("ms")),
        }
    )


DECLARED = ["code", "grade", "switch", "price", "rate", "huge", "device", "state", "took"]


@pytest.fixture(scope="module")
def typed_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the Parquet file."""
    folder = tmp_path_factory.mktemp("typed")
    pq.write_table(typed_table(N, 0), folder / "normal.parquet")
    vaecli.fit(folder / "normal.parquet", **QUICK).save(folder / "m.vae")
    return folder / "m.vae"


def declared(path: str) -> dict[str, pa.DataType]:
    """The types in the Arrow schema that a Parquet file holds, which pyarrow gives back in part."""
    stored = pq.read_metadata(path).metadata[b"ARROW:schema"]
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    return dict(zip(schema.names, schema.types, strict=True))


def test_declared_types_are_those_of_the_output(run, typed_bundle: Path):
    """`score` writes the types that were read, dictionaries of numbers included, with the same values."""
    pq.write_table(typed_table(N, 1), "new.parquet")
    assert run("score", "new.parquet", "-m", str(typed_bundle), "-o", "out.parquet", "--quiet").code == 0
    before, after = declared("new.parquet"), declared("out.parquet")
    for name in ("code", "switch", "grade"):
        assert after[name].value_type == before[name].value_type
        assert after[name].ordered == before[name].ordered
    for name in DECLARED[3:]:
        assert after[name] == before[name]
    found, expected = pq.read_table("out.parquet"), pq.read_table("new.parquet")
    assert found.select(DECLARED).to_pydict() == expected.select(DECLARED).to_pydict()


def test_both_formats_score_alike(run, typed_bundle: Path):
    """Every cell means the same in the CSV that vaecli writes of the Parquet file."""
    pq.write_table(typed_table(N, 1), "new.parquet")
    assert run("score", "new.parquet", "-m", str(typed_bundle), "-o", "once.csv", "--quiet").code == 0
    assert run("score", "once.csv", "-m", str(typed_bundle), "-o", "twice.csv", "--prefix", "b_", "--quiet").code == 0
    twice = pd.read_csv("twice.csv")
    np.testing.assert_allclose(twice["b_anomaly_score"], twice["anomaly_score"], rtol=1e-9)


def test_new_rows_have_the_declared_types(run, typed_bundle: Path):
    """`sample` restores narrow decimals, UUIDs, JSON, and ordered categories in their order."""
    assert run("sample", "-m", str(typed_bundle), "-n", "50", "-o", "new.parquet", "--seed", "1").code == 0
    before, after = {field.name: field.type for field in typed_table(1, 0).schema}, declared("new.parquet")
    for name in DECLARED[3:]:
        assert after[name] == before[name], name
    assert pa.types.is_dictionary(after["code"])
    grade = pq.read_table("new.parquet")["grade"].chunk(0)
    assert grade.type.ordered
    assert grade.dictionary.to_pylist() == ["low", "middle", "high"]
    switch = pq.read_table("new.parquet")["switch"].chunk(0)
    assert (switch.type.ordered, switch.dictionary.to_pylist()) == (True, ["yes", "no"])


@pytest.mark.parametrize("verb", [("reconstruct",), ("reconstruct", "--impute")], ids=" ".join)
def test_reconstructed_rows_have_the_declared_types(run, typed_bundle: Path, verb: tuple[str, ...]):
    """Filled gaps too: a decimal of 32 bits, a UUID and an ordered category stay what they are."""
    table = typed_table(N, 1)
    gaps = np.arange(N) % 7 == 0
    for place, name in enumerate(table.column_names):
        kind = table.schema.field(name).type
        holed = (
            cast(pa.array([None if gap else one for gap, one in zip(gaps, _plain(table[name]), strict=True)]), kind)
            if not pa.types.is_dictionary(kind)
            else _holed(table[name].chunk(0), gaps)
        )
        table = table.set_column(place, name, holed)
    pq.write_table(table, "new.parquet")
    done = run(verb[0], "new.parquet", "-m", str(typed_bundle), *verb[1:], "-o", "out.parquet", "--quiet")
    assert done.code == 0, done.err
    before, after = declared("new.parquet"), declared("out.parquet")
    for name in DECLARED[3:]:
        assert after[name] == before[name], name
    assert after["grade"].ordered
    found = pq.read_table("out.parquet")
    if "--impute" in verb:
        assert all(found[name].null_count == 0 for name in DECLARED)
        for name in DECLARED:
            kept = [one for gap, one in zip(gaps, table[name].to_pylist(), strict=True) if not gap]
            assert [one for gap, one in zip(gaps, found[name].to_pylist(), strict=True) if not gap] == kept


def _plain(column: pa.ChunkedArray) -> list:
    storage = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
    return pa.chunked_array(storage).to_pylist()


def _holed(array: pa.DictionaryArray, gaps: np.ndarray) -> pa.DictionaryArray:
    indices = pa.array(array.indices.to_numpy(), mask=gaps)
    return pa.DictionaryArray.from_arrays(indices, array.dictionary, ordered=array.type.ordered)


def columns_of(bundle: str, run) -> dict[str, dict]:
    """What `inspect` reports of the columns, by name."""
    return {each["name"]: each for each in json.loads(run("inspect", bundle, "--schema", "--json").out)["columns"]}


@pytest.mark.parametrize("writer", ["ARROW:schema", "pandas"])
def test_numbers_declared_as_categories(run, quick: Path, writer: str):
    """`astype("category")` of numbers makes a category: by the Arrow schema in the file, or by that of pandas alone."""
    frame = pd.DataFrame({"flow": np.random.default_rng(0).normal(size=N), "code": codes(N, 0)})
    table = pa.Table.from_pandas(frame.astype({"code": "category"}), preserve_index=False)
    if writer == "pandas":
        plain = table.set_column(1, "code", table["code"].cast(pa.int64()))
        with pq.ParquetWriter("normal.parquet", plain.schema.remove_metadata(), store_schema=False) as file:
            file.write_table(plain.replace_schema_metadata())
            file.add_key_value_metadata({"pandas": table.schema.metadata[b"pandas"].decode()})
    else:
        pq.write_table(table.replace_schema_metadata(), "normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    columns = columns_of("m.vae", run)
    assert columns["code"]["kind"] == "categorical"
    assert sorted(columns["code"]["categories"]) == ["10", "20", "30"]
    frame.to_csv("new.csv", index=False)
    frame.assign(code=frame["code"].astype(float)).to_csv("floats.csv", index=False)
    frame.to_parquet("plain.parquet")
    scores = []
    for name in ("normal.parquet", "new.csv", "floats.csv", "plain.parquet"):
        assert run("score", name, "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
        scores.append(pd.read_csv("out.csv")["anomaly_score"])
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-9)


@pytest.mark.parametrize("trained", ["1", "1.0"])
def test_codes_with_and_without_a_point(run, quick: Path, trained: str):
    """`1.0` is the category `1` among words, in both directions; `1.5` is a new one."""
    rng = np.random.default_rng(0)
    words = np.where(codes(N, 0) == 30, "off", np.where(codes(N, 0) == 20, trained, trained.replace("1", "2")))
    frame = pd.DataFrame({"flow": rng.normal(size=N), "mode": words})
    frame.to_csv("normal.csv", index=False)
    assert run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    scores, new = [], []
    for ending in ("", ".0", ".00", ".5"):
        mode = frame["mode"].str.replace(".0", "") + np.where(frame["mode"] == "off", "", ending)
        frame.assign(mode=mode).to_csv("new.csv", index=False)
        done = run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json")
        new.append(json.loads(done.out)["novel_cells"])
        scores.append(pd.read_csv("out.csv")["anomaly_score"])
    assert new == [0, 0, 0, int((frame["mode"] != "off").sum())]
    np.testing.assert_array_equal(scores[1], scores[0])
    np.testing.assert_array_equal(scores[2], scores[0])


INDEX = {
    "__index_level_0__": pd.Index([3, 1, 4, 1, 5] * (N // 5)),
    "serial": pd.Index(np.random.default_rng(1).integers(50, size=N), name="serial"),
    "site": pd.Index(np.random.default_rng(1).choice(["north", "south"], N), name="site"),
}


@pytest.mark.parametrize("name", INDEX)
def test_an_index_of_pandas_is_no_feature(run, quick: Path, name: str):
    """It is left out with the reason, passes through, is not asked for; --columns overrules."""
    frame = pd.DataFrame({"flow": np.random.default_rng(0).normal(size=N), "code": codes(N, 0)}, index=INDEX[name])
    frame.to_parquet("normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    columns = columns_of("m.vae", run)
    assert columns[name]["role"] == "key"
    assert columns[name]["reason"] == "pandas wrote it as the index, so it names the row"
    frame.reset_index(drop=True).to_csv("new.csv", index=False)
    for new in ("normal.parquet", "new.csv"):
        assert run("score", new, "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
    assert run("score", "normal.parquet", "-m", "m.vae", "-o", "out.parquet", "--quiet").code == 0
    assert pq.read_table("out.parquet")[name].to_pylist() == INDEX[name].tolist()
    more = ("--columns", f"flow,code,{name}", "--config", str(quick), "--quiet")
    assert run("fit", "normal.parquet", "-o", "all.vae", *more).code == 0
    columns = {
        each["name"]: each for each in json.loads(run("inspect", "all.vae", "--schema", "--json").out)["columns"]
    }
    assert columns[name]["role"] == "feature"


def test_an_index_of_dates_is_the_clock(run, quick: Path):
    """Dates in order still order the rows."""
    clock = pd.date_range("2026-01-01", periods=N, freq="h", name="at")
    pd.DataFrame({"flow": np.random.default_rng(0).normal(size=N)}, index=clock).to_parquet("normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    columns = columns_of("m.vae", run)
    assert columns["at"]["role"] == "time"


def test_a_uuid_is_a_group(run, quick: Path):
    """Rows of one UUID are held out together."""
    pq.write_table(typed_table(N, 0), "normal.parquet")
    words = ("--group", "device", "--config", str(quick), "--quiet")
    assert run("fit", "normal.parquet", "-o", "m.vae", *words).code == 0


# Parquet's INTERVAL: 12 bytes, months, days and milliseconds. pyarrow writes no such column, so this is how its
# footer names a column of 12 bytes with another meaning, a decimal of 28 digits, and as an interval instead.
def intervals(path: str, table: pd.DataFrame, cells: list[tuple[int, int, int] | None]) -> None:
    stored = pa.array([None if one is None else b"".join(i.to_bytes(4, "little") for i in one) for one in cells])
    raw = pa.Table.from_pandas(table.head(len(cells)), preserve_index=False)
    pq.write_table(raw.append_column("took", stored.cast(pa.binary(12))), path, store_schema=False)
    content = Path(path).read_bytes()
    # in thrift's compact protocol: type 7 of 12 bytes, optional, the name; then converted type 21 in zigzag is 42
    element = b"\x15\x0e\x15\x18\x15\x02\x18\x04took"
    assert content.count(element) == 1
    content = content.replace(element, element + b"\x25\x2a")
    length = int.from_bytes(content[-8:-4], "little") + 2
    Path(path).write_bytes(content[:-8] + length.to_bytes(4, "little") + content[-4:])
    assert pq.ParquetFile(path).schema.column(len(raw.column_names)).converted_type == "INTERVAL"


def test_intervals(run, bundle: Path, fresh_table: pd.DataFrame, normal_table: pd.DataFrame, quick: Path):
    """They have a text in CSV, are refused in Parquet, which pyarrow cannot write, and are named by fit."""
    intervals("new.parquet", fresh_table, [(1, 2, 3500), None, (0, 0, 0), (13, 0, 60_000), (0, 0, 1)])
    assert run("score", "new.parquet", "-m", str(bundle), "-o", "out.csv", "--quiet").code == 0
    options = pa_csv.ConvertOptions(column_types={"took": pa.string()})
    found = pa_csv.read_csv("out.csv", convert_options=options)["took"].to_pylist()
    assert found == ["P1M2DT3.5S", "", "PT0S", "P13MT60S", "PT0.001S"]
    done = run("score", "new.parquet", "-m", str(bundle), "-o", "out.parquet", "--quiet")
    assert done.code == 4
    assert "these columns cannot be written as Parquet:\n  took (month_day_nano_interval)" in done.err
    assert "an interval to seconds" in done.err
    assert not Path("out.parquet").exists()
    intervals("normal.parquet", normal_table, [(0, i % 5, 1000) for i in range(len(normal_table))])
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    assert "an interval of months, days and time: cast it to seconds" in " ".join(
        run("inspect", "m.vae", "--schema").out.split()
    )


def test_an_enum_is_text(run, quick: Path):
    """Parquet's ENUM, which pyarrow reads as bytes, is a category as text is."""
    states = np.random.default_rng(0).choice(["idle", "run"], N)
    table = pa.table({"flow": np.random.default_rng(0).normal(size=N), "state": states})
    pq.write_table(table, "normal.parquet", store_schema=False)
    content = Path("normal.parquet").read_bytes()
    # converted type 0 and logical type 1 (string) become 4 and 4 (enum)
    element = b"\x18\x05state\x25\x00\x4c\x1c"
    assert content.count(element) == 1
    Path("normal.parquet").write_bytes(content.replace(element, b"\x18\x05state\x25\x08\x4c\x4c"))
    assert pq.ParquetFile("normal.parquet").schema.column(1).logical_type.type == "ENUM"
    assert pq.read_schema("normal.parquet").field("state").type == pa.binary()
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    columns = columns_of("m.vae", run)
    assert columns["state"]["kind"] == "categorical"
    assert run("score", "normal.parquet", "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
    assert pd.read_csv("out.csv")["state"].tolist() == states.tolist()
