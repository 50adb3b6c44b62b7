"""What the user may name as input, and the message when it cannot be read."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaecli import tables
from vaecli.errors import InputError, UsageError

CSV = b"a,b\n1,x\n2,y\n"
ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def rows(source: tables.Source) -> list[dict]:
    return [row for batch in source.batches() for row in batch.table.to_pylist()]


def parquet(path: Path, table: pa.Table | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": ["1"], "b": ["x"]}) if table is None else table, path)
    return path


@pytest.fixture
def stdin(monkeypatch):
    """Gives bytes to standard input, which can then be read only once."""

    def give(content: bytes) -> None:
        reader, writer = os.pipe()

        def pour() -> None:
            with open(writer, "wb") as pipe:
                pipe.write(content)

        threading.Thread(target=pour).start()
        given.append(io.TextIOWrapper(os.fdopen(reader, "rb")))
        monkeypatch.setattr(sys, "stdin", given[-1])

    given: list[io.TextIOWrapper] = []
    yield give
    for stream in given:
        stream.close()


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(stdin, once, packed):
    """CSV arrives through a pipe, plain or gzipped, copied or not."""
    stdin(gzip.compress(CSV) if packed else CSV)
    source = tables.open_source(["-"], once=once)
    assert (source.name, source.names) == ("standard input", ("a", "b"))
    assert rows(source) == ROWS
    if once:
        with pytest.raises(RuntimeError, match="once"):
            rows(source)
    else:
        assert rows(source) == ROWS


def test_standard_input_larger_than_what_is_looked_at(stdin):
    """A stream of many blocks passes whole, without a copy."""
    content = b"a,b\n" + b"1234567,abcdefgh\n" * 800_000
    stdin(content)
    source = tables.open_source(["-"], once=True)
    lines = [line for batch in source.batches(tables.ReadRequest(["a"], keep=True)) for line in batch.lines.to_pylist()]
    assert b"a,b\n" + b"".join(line + b"\n" for line in lines) == content


@pytest.mark.parametrize("once", [False, True])
def test_parquet_on_standard_input(stdin, tmp_path, once):
    """Parquet is recognised by its first bytes, and copied because it needs to seek."""
    stdin(parquet(tmp_path / "t.parquet").read_bytes())
    source = tables.open_source(["-"], once=once)
    assert (source.format, source.n_rows, rows(source)) == ("parquet", 1, ROWS[:1])


def test_empty_standard_input(stdin):
    """Nothing on standard input is an empty file."""
    stdin(b"")
    with pytest.raises(InputError, match="standard input: the file is empty"):
        tables.open_source(["-"])


def test_a_named_pipe_can_be_fitted(tmp_path):
    """What a shell's `<(…)` gives is read once, and the source can be read twice."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"printf 'a,b\\n1,x\\n2,y\\n' > '{pipe}'"])
    source = tables.open_source([str(pipe)])
    assert writer.wait() == 0
    assert rows(source) == rows(source) == ROWS


def test_the_copy_of_standard_input_has_no_name(stdin, tmp_path, monkeypatch):
    """Nothing of the table can be left in the folder for temporary files, however the process ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stdin(CSV)
    source = tables.open_source(["-"])
    assert list(tmp_path.iterdir()) == []
    assert rows(source) == rows(source) == ROWS


def test_a_directory_of_parquet(tmp_path):
    """Files below are read in order of their names; hidden ones and markers are passed over."""
    for name in ("b.parquet", "a/z.pq", "_temporary/x.parquet", ".hidden/x.parquet", "_meta.parquet"):
        parquet(tmp_path / name, pa.table({"a": [name], "b": ["x"]}))
    (tmp_path / "_SUCCESS").touch()
    source = tables.open_source([str(tmp_path)])
    assert [row["a"] for row in rows(source)] == ["a/z.pq", "b.parquet"]


def test_a_pattern(tmp_path):
    """A quoted pattern stands for its matches, sorted; a file whose name looks like one is that file."""
    for name in ("2.csv", "1.csv", "_3.csv", "[1].csv"):
        (tmp_path / name).write_bytes(b"a\n" + name.encode() + b"\n")
    assert [row["a"] for row in rows(tables.open_source([str(tmp_path / "?.csv")]))] == ["1.csv", "2.csv"]
    assert [row["a"] for row in rows(tables.open_source([str(tmp_path / "[1].csv")]))] == ["[1].csv"]


def test_content_decides_before_the_name(tmp_path):
    """Gzip without `.gz`, Parquet without an extension and text without one are recognised."""
    (tmp_path / "a.csv").write_bytes(gzip.compress(CSV))
    (tmp_path / "b").write_bytes(CSV)
    parquet(tmp_path / "c.dat")
    assert rows(tables.open_source([str(tmp_path / "a.csv")])) == ROWS
    assert rows(tables.open_source([str(tmp_path / "b")])) == ROWS
    assert tables.open_source([str(tmp_path / "c.dat")]).format == "parquet"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.parquet", b"", "the file is empty"),
        ("t.parquet", CSV, "damaged, or not Parquet"),
        ("t.xlsx", b"PK\x03\x04rest", "Excel"),
        ("t.xls", b"\xd0\xcf\x11\xe0rest", "Excel"),
        ("t.feather", b"ARROW1\0\0", "Feather"),
        ("t.jsonl", b'{"a": 1}\n', "JSON"),
        ("t.csv.xz", b"\xfd7zXZ\0", "xz"),
        ("t.parquet.gz", gzip.compress(b"PAR1....PAR1", mtime=0), "Parquet inside a compressed file"),
        ("t.csv.gz", b"\x1f\x8bnot gzip", "cannot be read"),
    ],
)
def test_what_is_not_a_table(tmp_path, name, content, said):
    """Files of other formats are named for what they are, with a way out."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        tables.open_source([str(path)])
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_what_is_not_there(tmp_path):
    """Missing files, patterns without a match and directories without Parquet are distinguished."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.csv").write_bytes(CSV)
    for text, said in (("no.csv", "no such file"), ("*.csv", "matches no file"), ("folder", "without Parquet files")):
        with pytest.raises(InputError) as caught:
            tables.open_source([str(tmp_path / text)])
        assert said in caught.value.message
        assert caught.value.hint
    with pytest.raises(InputError, match="cannot be read"):
        tables.open_source([str(tmp_path / "folder" / "x.csv" / "y.csv")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path):
    """A file that may not be read is the input's fault."""
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        tables.open_source([str(path)])


def test_inputs_that_contradict_each_other(tmp_path):
    """No input, or standard input beside a file, is wrong use; text beside Parquet is a wrong input."""
    (tmp_path / "t.csv").write_bytes(CSV)
    parquet(tmp_path / "t.parquet")
    for inputs in ([], ["-", str(tmp_path / "t.csv")]):
        with pytest.raises(UsageError):
            tables.open_source(inputs)
    with pytest.raises(InputError, match="different formats"):
        tables.open_source([str(tmp_path / "t.csv"), str(tmp_path / "t.parquet")])


def test_reading_loads_neither_pandas_nor_fsspec(tmp_path):
    """Opening and reading a local table imports nothing that scoring does not need."""
    (tmp_path / "t.csv").write_bytes(CSV)
    probe = (
        "import sys\nfrom vaecli import tables\n"
        f"list(tables.open_source([{str(tmp_path / 't.csv')!r}]).batches())\n"
        "print(*{'pandas', 'fsspec', 'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
