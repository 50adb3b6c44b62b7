"""Outputs: the user's rows unchanged, the added columns after them, whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from vaecli import tables
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.tables.convert.kinds import NumberType

ADDED = (("anomaly_score", pa.float64()), ("is_anomaly", pa.bool_()), ("top_columns", pa.string()))


def score(source: tables.Source, target: str, keep=None, *, batch_rows: int = 2, **options) -> None:
    """Write `source` to `target` with a score of row number / 10, the last one null."""
    with tables.open_sink(target, source, ADDED, **options) as sink:
        for batch in source.batches(tables.ReadRequest([], keep=True, batch_rows=batch_rows)):
            sink.append(sink.render(batch, values(batch), None if keep is None else keep(batch)))


def values(batch: tables.Batch) -> dict[str, np.ndarray]:
    row = np.arange(batch.first_row, batch.first_row + batch.n_rows)
    return {
        "anomaly_score": np.where(row == 2, np.nan, row / 10),
        "is_anomaly": row > 0,
        "top_columns": np.array([None if one == 1 else f'a,"{one}"' for one in row], object),
    }


def parquet_input(folder: Path, **columns) -> tables.Source:
    pq.write_table(pa.table(columns or {"a": [1, 2, 3], "d": ["x", None, "z"]}), folder / "in.parquet")
    return tables.open_source([str(folder / "in.parquet")])


def csv_input(folder: Path, content: bytes = b"a,d\n1,x\n2,\n3,z\n", name: str = "in.csv") -> tables.Source:
    (folder / name).write_bytes(content)
    return tables.open_source([str(folder / name)])


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# ---------------------------------------------------------------- text to text


def test_lines_pass_byte_for_byte(tmp_path):
    """Quotes, spaces, a byte order mark, CRLF and unusual numbers stay as they are; values follow."""
    content = b'\xef\xbb\xbf"a" ;d\r\n 1.50;"x;\r\ny"\r\n\r\n0x2;NA\r\n3;\xc3\xa9'
    score(csv_input(tmp_path, content), str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_bytes() == (
        b'\xef\xbb\xbf"a" ;d;anomaly_score;is_anomaly;top_columns\r\n'
        b' 1.50;"x;\r\ny";0;false;"a,""0"""\r\n'
        b"0x2;NA;0.1;true;\r\n"
        b'3;\xc3\xa9;;true;"a,""2"""\r\n'
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.sampled_from('",\n;aé '), max_size=5).filter(lambda one: one not in tables.MISSING_TOKENS),
        min_size=1,
        max_size=6,
    ),
    floats=st.floats(),
)
def test_added_values_read_back(tmp_path, texts, floats):
    """Any text and any number that is added comes back from the file as it was."""
    source = csv_input(tmp_path, b"a\n" + b"1\n" * len(texts))
    with tables.open_sink(str(tmp_path / "out.csv"), source, [("s", pa.float64()), ("t", pa.string())]) as sink:
        for batch in source.batches(tables.ReadRequest(keep=True)):
            sink.append(sink.render(batch, {"s": np.full(batch.n_rows, floats), "t": pa.array(texts)}))
    read = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_bytes().decode(), newline="")))
    assert [row["t"] for row in read] == texts
    for row in read:
        assert row["s"] == "" if np.isnan(floats) else float(row["s"]) == floats


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_compressed_output(tmp_path, suffix):
    """The extension compresses; the content is that of the plain file, and the same on every run."""
    source = csv_input(tmp_path)
    score(source, str(tmp_path / "plain.csv"))
    score(source, str(tmp_path / f"out.csv{suffix}"))
    first = (tmp_path / f"out.csv{suffix}").read_bytes()
    with pa.input_stream(str(tmp_path / f"out.csv{suffix}"), compression="detect") as stream:
        assert stream.read() == (tmp_path / "plain.csv").read_bytes()
    score(source, str(tmp_path / f"out.csv{suffix}"))
    assert (tmp_path / f"out.csv{suffix}").read_bytes() == first


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_typed_rows_in_compressed_text(tmp_path, suffix):
    """Parquet can become compressed text, too."""
    score(parquet_input(tmp_path), str(tmp_path / f"out.csv{suffix}"))
    assert [
        row["a"]
        for batch in tables.open_source([str(tmp_path / f"out.csv{suffix}")]).batches()
        for row in batch.table.to_pylist()
    ] == ["1", "2", "3"]


def test_only_kept_rows(tmp_path):
    """`keep` chooses rows, also none of a batch, in text and in Parquet."""
    chosen = lambda batch: np.arange(batch.first_row, batch.first_row + batch.n_rows) == 2  # noqa: E731
    score(csv_input(tmp_path), str(tmp_path / "out.csv"), chosen)
    score(parquet_input(tmp_path), str(tmp_path / "out.parquet"), chosen)
    assert (tmp_path / "out.csv").read_bytes().splitlines()[1:] == [b'3,z,,true,"a,""2"""']
    assert pq.read_table(tmp_path / "out.parquet")["a"].to_pylist() == [3]


def test_no_rows_still_make_a_table(tmp_path):
    """An input without rows gives an output with a header."""
    score(csv_input(tmp_path, b"a,d"), str(tmp_path / "out.csv"))
    score(csv_input(tmp_path, b"a,d"), str(tmp_path / "out.parquet"))
    assert (tmp_path / "out.csv").read_bytes() == b"a,d,anomaly_score,is_anomaly,top_columns\n"
    assert pq.read_table(tmp_path / "out.parquet").column_names[:3] == ["a", "d", "anomaly_score"]


# ---------------------------------------------------------------- other formats


def test_parquet_stays_parquet(tmp_path):
    """Types, dictionaries, nested columns and metadata are the input's; NaN scores are null."""
    table = pa.table(
        {
            "a": pa.array([1, None, 2**60]),
            "c": pa.array(["u", "v", "u"]).dictionary_encode(),
            "l": [[1], None, []],
            "when": pa.array([0, 1, None], pa.timestamp("ms", "UTC")),
        }
    ).replace_schema_metadata({"who": "me"})
    pq.write_table(table, tmp_path / "in.parquet")
    score(tables.open_source([str(tmp_path / "in.parquet")]), str(tmp_path / "out.parquet"))
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(table)
    assert out.schema.metadata[b"who"] == b"me"
    assert out["anomaly_score"].to_pylist() == [0.0, 0.1, None]
    assert pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(0).compression == "SNAPPY"


def test_pandas_reads_what_came_from_pandas(tmp_path):
    """An index that pandas stored in the file's metadata survives beside the added columns."""
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=pd.Index(["p", "q", "r"], name="sensor"))
    frame.to_parquet(tmp_path / "in.parquet")
    score(tables.open_source([str(tmp_path / "in.parquet")]), str(tmp_path / "out.parquet"))
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert list(out.index) == ["p", "q", "r"]
    assert out["is_anomaly"].tolist() == [False, True, True]


def test_text_becomes_parquet(tmp_path):
    """Columns named as numbers are float64; the others keep the text of their cells, `NA` too."""
    source = csv_input(tmp_path, b'a,d,e\n1.5,NA,"x\ny"\nNA,,2\n3,z,3\n')
    score(source, str(tmp_path / "out.parquet"), types={"a": NumberType(pa.float64())})
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(["a", "d", "e"]).to_pydict() == {
        "a": [1.5, None, 3.0],
        "d": ["NA", None, "z"],
        "e": ["x\ny", "2", "3"],
    }
    assert pq.read_schema(tmp_path / "out.parquet").field("a").type == pa.float64()


def test_parquet_becomes_text(tmp_path):
    """Typed rows are written so that they read back: null as nothing, quotes where needed."""
    source = parquet_input(tmp_path, a=[1, None, 3], d=['x,"', "", None], t=pa.array([0, 1, 2], pa.date32()))
    score(source, str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_bytes().splitlines() == [
        b"a,d,t,anomaly_score,is_anomaly,top_columns",
        b'1,"x,""",1970-01-01,0,false,"a,""0"""',
        b',"",1970-01-02,0.1,true,',
        b'3,,1970-01-03,,true,"a,""2"""',
    ]


def test_comma_becomes_tab(tmp_path):
    """A `.tsv` target of a `.csv` input is separated by tabs, cell for cell."""
    score(csv_input(tmp_path, b'a,d\n1,"x,\ty"\nNA,2\n'), str(tmp_path / "out.tsv"))
    with open(tmp_path / "out.tsv", newline="") as file:
        assert [row[:2] for row in csv.reader(file, delimiter="\t")] == [["a", "d"], ["1", "x,\ty"], ["NA", "2"]]


def test_nested_columns_are_no_text(tmp_path):
    """Columns that text cannot hold are listed before anything is written."""
    source = parquet_input(tmp_path, a=[1], l=[[1]], s=[{"k": 1}])
    with pytest.raises(UsageError, match=r"(?s)l \(list.*s \(struct"):
        tables.open_sink(str(tmp_path / "out.csv"), source, ADDED)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("target", "output_format", "magic"),
    [
        ("out", None, b"a,d"),
        ("out.csv", "parquet", b"PAR1"),
        ("out.parquet", "csv", b"a,d"),
        ("out.dat", "tsv", b"a\td"),
    ],
)
def test_which_format(tmp_path, target, output_format, magic):
    """What was asked for decides, then the extension, then the input."""
    score(csv_input(tmp_path), str(tmp_path / target), output_format=output_format)
    assert (tmp_path / target).read_bytes().startswith(magic)


def test_many_small_batches_make_few_row_groups(tmp_path):
    """Row groups are of sensible size, however small the batches."""
    source = parquet_input(tmp_path, a=np.arange(1_000))
    score(source, str(tmp_path / "out.parquet"))
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups == 1


ENCODED = {
    "different": np.arange(600) / 7,
    "runs": np.repeat(np.arange(120), 5),
    "cycles": np.arange(600) % 200,
    "gaps": pa.array([None if i % 9 == 0 else i / 7 for i in range(600)]),
    "moments": pa.array(np.arange(600), pa.timestamp("ms")),
    "words": [f"word {i}" for i in range(600)],
}


def dictionaries(path: Path) -> set[str]:
    """The columns of a file that have a dictionary."""
    footer = pq.read_metadata(path)
    chunks = [footer.row_group(0).column(i) for i in range(footer.num_columns)]
    return {chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page}


def test_numbers_that_do_not_repeat_have_no_dictionary(tmp_path):
    """A dictionary of as many values as rows takes longer and saves nothing; one of runs, cycles or words may."""
    source = parquet_input(tmp_path, **ENCODED)
    out = tmp_path / "out.parquet"
    score(source, str(out), batch_rows=100)
    assert dictionaries(out) == {"runs", "cycles", "words", "top_columns"}
    assert pq.read_table(out).select(list(ENCODED)).equals(pa.table(ENCODED))


def test_the_fewest_rows_have_dictionaries(tmp_path):
    """Few rows show nothing."""
    score(parquet_input(tmp_path, x=np.arange(255) / 7), str(tmp_path / "out.parquet"))
    assert "x" in dictionaries(tmp_path / "out.parquet")


@pytest.mark.parametrize("batch_rows", [1_000, 20_000])
def test_of_many_rows_those_that_fill_no_dictionary_have_one(tmp_path, batch_rows):
    """A group of several sections is looked at as a whole: `late` repeats only after the first 8,192 rows."""
    rows = np.arange(20_000)
    columns = {
        "different": rows / 7,
        "many": np.random.default_rng(0).permutation(rows % 10_000) / 7,
        "late": np.where(rows < 9_000, rows, rows % 3),
    }
    score(parquet_input(tmp_path, **columns), str(tmp_path / "out.parquet"), batch_rows=batch_rows)
    assert dictionaries(tmp_path / "out.parquet") >= {"many", "late"}
    assert "different" not in dictionaries(tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").select(list(columns)).equals(pa.table(columns))


@pytest.mark.parametrize("codec", ["SNAPPY", "ZSTD"])
@pytest.mark.parametrize("n_rows", [600, 20_000])
def test_what_a_codec_does_not_make_smaller_is_stored_as_it_is(tmp_path, codec, n_rows):
    """Readings with all their digits; numbers with few, or that ascend, words and what has a dictionary are packed."""
    rng = np.random.default_rng(0)
    columns = {
        "digits": rng.normal(size=n_rows),
        "few": np.round(np.cumsum(rng.random(n_rows)), 1),
        "ascending": np.arange(n_rows),
        "words": [f"word {i}" for i in range(n_rows)],
    }
    source = parquet_input(tmp_path, **columns)
    if codec == "ZSTD":
        source = tables.frame_source(pa.table(columns))
    score(source, str(tmp_path / "out.parquet"), batch_rows=n_rows)
    footer = pq.read_metadata(tmp_path / "out.parquet")
    chunks = [footer.row_group(0).column(i) for i in range(footer.num_columns)]
    found = {chunk.path_in_schema: chunk.compression for chunk in chunks}
    assert {name for name, kind in found.items() if kind == "UNCOMPRESSED"} == {"digits"}
    assert {found[name] for name in ("few", "ascending", "words", "top_columns")} == {codec}
    assert pq.read_table(tmp_path / "out.parquet").select(list(columns)).equals(pa.table(columns))


def test_beside_nested_columns_all_have_dictionaries(tmp_path):
    """The columns within a nested one have names of their own, which the library does not tell."""
    score(parquet_input(tmp_path, x=np.arange(600) / 7, l=[[i % 3] for i in range(600)]), str(tmp_path / "out.parquet"))
    assert dictionaries(tmp_path / "out.parquet") >= {"x", "l.list.element"}


@pytest.mark.parametrize("n_rows", [0, 3])
@pytest.mark.parametrize("kind", [pa.list_(pa.uuid()), pa.struct([("on", pa.bool8())]), pa.bool8()], ids=str)
def test_extension_types_within_others_pass(tmp_path, kind, n_rows):
    """Into a file and into memory, with and without rows; the library makes no empty table of such a schema."""
    table = pa.table({"a": pa.array([1, 2, 3]), "e": pa.nulls(3, kind)}).slice(0, n_rows)
    pq.write_table(table, tmp_path / "in.parquet")
    source = tables.open_source([str(tmp_path / "in.parquet")])
    score(source, str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").select(["a", "e"]).equals(table)
    with tables.collect_sink(tables.frame_source(table), ADDED) as sink:
        for batch in source.batches(tables.ReadRequest([], keep=True)):
            sink.append(sink.render(batch, values(batch)))
    assert sink.table().select(["a", "e"]).equals(table)


def test_collecting(tmp_path):
    """The same rows can end up in memory."""
    for source in (parquet_input(tmp_path), tables.frame_source(pa.table({"a": [1, 2, 3]}))):
        with tables.collect_sink(source, ADDED, prefix="v_") as sink:
            for batch in source.batches(tables.ReadRequest([], keep=True, batch_rows=2)):
                sink.append(sink.render(batch, values(batch)))
        assert sink.table()["a"].to_pylist() == [1, 2, 3]
        assert sink.table()["v_anomaly_score"].to_pylist() == [0.0, 0.1, None]


# ---------------------------------------------------------------- whole or not at all


def half_way(batch: tables.Batch, interruption: type[BaseException]) -> np.ndarray:
    """Keep every row, but stop at the second batch."""
    if batch.first_row:
        raise interruption
    return np.ones(batch.n_rows, bool)


@pytest.mark.parametrize("target", ["out.csv", "out.csv.gz", "out.csv.zst", "out.parquet"])
@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_earlier_output(tmp_path, target, interruption):
    """After an error or Ctrl-C half-way, the earlier output is untouched and nothing else is there."""
    (tmp_path / target).write_bytes(b"earlier")
    source = csv_input(tmp_path)
    with pytest.raises(interruption):
        score(source, str(tmp_path / target), lambda batch: half_way(batch, interruption))
    assert (tmp_path / target).read_bytes() == b"earlier"
    assert left_behind(tmp_path) == []


def test_nothing_is_replaced_before_the_end(tmp_path):
    """Until the last row is on disk the earlier output stands; then it is replaced in one step."""
    (tmp_path / "out.csv").write_bytes(b"earlier")
    (tmp_path / "out.csv").chmod(0o640)
    source = csv_input(tmp_path)
    with tables.open_sink(str(tmp_path / "out.csv"), source, ADDED) as sink:
        for batch in source.batches(tables.ReadRequest([], keep=True)):
            sink.append(sink.render(batch, values(batch)))
        assert (tmp_path / "out.csv").read_bytes() == b"earlier"
    assert (tmp_path / "out.csv").read_bytes().startswith(b"a,d,")
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640
    assert left_behind(tmp_path) == []


def test_a_link_stays_a_link(tmp_path):
    """Writing through a symbolic link replaces what it points to."""
    (tmp_path / "real.csv").write_bytes(b"earlier")
    (tmp_path / "out.csv").symlink_to("real.csv")
    score(csv_input(tmp_path), str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes().startswith(b"a,d,")


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.csv.gz", "out.csv.zst"])
def test_a_full_disk_is_reported(tmp_path, name):
    """When the disk fills up the user is informed, and no device is replaced by a file."""
    (tmp_path / name).symlink_to("/dev/full")
    source = parquet_input(tmp_path, a=np.arange(10_000))
    with pytest.raises(EnvironmentProblem, match="No space left"):
        score(source, str(tmp_path / name), batch_rows=1000)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_the_target_is_checked_before_any_row(tmp_path):
    """Directories, missing folders, the input itself and taken names are refused on opening, all at once."""
    source = csv_input(tmp_path, b"is_anomaly,anomaly_score,b\n1,2,3\n")
    (tmp_path / "link.csv").symlink_to("in.csv")
    for target, said in (
        (str(tmp_path), "is a directory"),
        (str(tmp_path / "no" / "out.csv"), "no such directory"),
        (str(tmp_path / "in.csv"), "is the input itself"),
        (str(tmp_path / "link.csv"), "is the input itself"),
        (f"file://{tmp_path}/in.csv", "is the input itself"),
        (str(tmp_path / "out.parquet.gz"), "Parquet is not compressed"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            tables.open_sink(target, source, ADDED, prefix="v_")
        assert caught.value.hint
    with pytest.raises(UsageError, match="'anomaly_score', 'is_anomaly'") as caught:
        tables.open_sink(str(tmp_path / "out.csv"), source, ADDED)
    assert "--prefix" in caught.value.hint
    with pytest.raises(UsageError, match="not an output format"):
        tables.open_sink(str(tmp_path / "out.csv"), source, ADDED, prefix="v_", output_format="xlsx")
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_directory(tmp_path):
    """A directory that may not be written is the machine's refusal."""
    source = csv_input(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentProblem, match="permission denied"):
        tables.open_sink(str(tmp_path / "out.csv"), source, ADDED)


class Pipe(io.RawIOBase):
    """A standard output whose reader went away."""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_standard_output(tmp_path, monkeypatch):
    """`-` writes text in the input's dialect to standard output, and leaves it open."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    score(csv_input(tmp_path, b"a;d\n1;x\n"), "-")
    score(parquet_input(tmp_path, a=[5]), "-")
    assert out.getvalue() == (
        b'a;d;anomaly_score;is_anomaly;top_columns\n1;x;0;false;"a,""0"""\n'
        b'a,anomaly_score,is_anomaly,top_columns\n5,0,false,"a,""0"""\n'
    )


def test_a_broken_pipe_passes_as_it_is(tmp_path, monkeypatch):
    """A reader that went away is neither a usage nor an environment problem."""

    class Out:
        buffer = Pipe()

    monkeypatch.setattr(sys, "stdout", Out())
    for source in (csv_input(tmp_path), parquet_input(tmp_path)):
        with pytest.raises(BrokenPipeError):
            score(source, "-")


def test_batches_read_without_their_rows_are_a_mistake_of_the_program(tmp_path):
    """Forgetting `keep=True` is noticed at the first batch, whatever the formats."""
    for source in (csv_input(tmp_path), parquet_input(tmp_path)):
        for target in ("out.csv", "out.parquet"):
            [batch] = source.batches()
            with (
                tables.open_sink(str(tmp_path / target), source, ADDED) as sink,
                pytest.raises(ValueError, match="keep=True"),
            ):
                sink.append(sink.render(batch, values(batch)))


# ---------------------------------------------------------------- where to


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("pump.csv", "pump.scored.csv"),
        ("a.b/pump.v2.csv.gz", "a.b/pump.v2.scored.csv.gz"),
        ("pump.TSV.zst", "pump.scored.TSV.zst"),
        ("pump.gz", "pump.scored.gz"),
        ("pump.parquet", "pump.scored.parquet"),
        ("readings.2024", "readings.2024.scored"),
        ("data/", "data.scored.parquet"),
        ("s3://bucket/a/pump.csv", "s3://bucket/a/pump.scored.csv"),
        ("s3://bucket/data/", "s3://bucket/data.scored.parquet"),
        ("-", "-"),
    ],
)
def test_default_output(given, output):
    """The output lies beside the input, under its name with the verb's mark."""
    assert tables.default_output([given]) == output


def test_default_output_of_what_exists(tmp_path, monkeypatch):
    """A directory gives Parquet beside it, a pipe gives standard output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert tables.default_output(["data"]) == "data.scored.parquet"
    assert tables.default_output(["."]) == f"{tmp_path}.scored.parquet"
    assert tables.default_output(["pipe"]) == "-"


@pytest.mark.parametrize("given", [["a.csv", "b.csv"], ["data/*.csv"], ["https://example.org/a.csv"], ["s3://b/*.csv"]])
def test_no_default_output(given):
    """Where there is no one name, the user is asked for it."""
    with pytest.raises(UsageError) as caught:
        tables.default_output(given)
    assert "-o" in caught.value.hint


def test_gzip_is_readable_by_others(tmp_path):
    """The standard tool reads what was compressed."""
    score(csv_input(tmp_path), str(tmp_path / "out.csv.gz"))
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).startswith(b"a,d,anomaly_score")
