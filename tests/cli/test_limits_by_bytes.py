"""Batches are bounded by bytes, not by rows: long cells and many columns take little memory, or end with exit 4."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaecli.cli.app import main
from vaecli.tables import row_bytes
from vaecli.tables.read import parquet
from vaecli.tables.write import parquet_rows

PEAK = """
import os, sys
from vaecli.cli.app import main
try:
    main(sys.argv[1:])
finally:
    print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1e3)
"""


def repeated(table: pd.DataFrame, n_rows: int) -> pa.Table:
    rows = pa.Table.from_pandas(table, preserve_index=False)
    return rows.take(pa.array(np.arange(n_rows) % rows.num_rows))


def ended(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([*map(str, words), "--quiet"])
    return int(left.value.code or 0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("to", "is_dictionary"),
    [
        ("csv", True),
        ("parquet", False),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("csv", False), ("parquet", True))),
    ],
)
def test_a_long_cell_per_row_takes_little_memory(
    fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, to: str, is_dictionary: bool
) -> None:
    """300 MB of text, which a file of a few kB decodes to, are scored in less than 500 MB."""
    rows = repeated(fresh_table, 15_000)
    codes = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int32)), pa.array(["a" * 20_000]))
    parts = [codes.slice(start, 5_000) for start in range(0, len(rows), 5_000)]
    kind = codes.type if is_dictionary else pa.string()
    with pq.ParquetWriter(tmp_path / "t.parquet", rows.schema.append(pa.field("note", kind))) as file:
        for i, part in enumerate(parts):
            file.write_table(rows.slice(5_000 * i, 5_000).append_column("note", part.cast(kind)))
    words = ("score", "t.parquet", "-m", str(bundle), "-o", f"out.{to}", "--quiet")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < 500


def test_batches_of_few_rows_change_no_byte(
    fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows the bytes allow, the output is that of batches of any other size."""
    rng = np.random.default_rng(0)
    notes = ["n" * int(size) for size in rng.integers(0, 3_000, 4_000)]
    rows = repeated(fresh_table, 4_000).append_column("note", pa.array(notes))
    pq.write_table(rows, tmp_path / "t.parquet", row_group_size=1_500)
    monkeypatch.setattr(parquet_rows, "_SECTION_BYTES", 2**20)
    outputs: dict[str, set[bytes]] = {"csv": set(), "parquet": set()}
    for batch_bytes, batch_rows in ((2**23, 4_096), (2**23, 512), (2**19, 4_096)):
        monkeypatch.setattr(parquet, "BATCH_BYTES", batch_bytes)
        for to, found in outputs.items():
            out = tmp_path / f"out.{to}"
            assert not ended("score", tmp_path / "t.parquet", "-m", bundle, "-o", out, "--batch-rows", batch_rows)
            found.add(out.read_bytes())
    assert [len(found) for found in outputs.values()] == [1, 1]
    assert pq.read_table(tmp_path / "out.parquet").column("note").to_pylist() == notes
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1


def test_cells_that_become_long_later_are_read_in_smaller_batches(
    fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading begins again where it was: no row is missing, none comes twice."""
    monkeypatch.setattr(parquet, "BATCH_BYTES", 2**16)
    rows = repeated(fresh_table, 6_000)
    notes = [f"{i}" if i < 3_500 else f"{i}" + "x" * 1_000 for i in range(6_000)]
    pq.write_table(rows.append_column("note", pa.array(notes)), tmp_path / "t.parquet", row_group_size=2_000)
    assert not ended("score", tmp_path / "t.parquet", "-m", bundle, "-o", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column("note").to_pylist() == notes


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_line_beyond_the_limit_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A line that never ends stops at the limit, in a compressed file too."""
    text = b"pressure,flow,temperature,pump_on,mode\n1,2,3,yes,eco\n" + b"9" * (row_bytes.MAX_ROW_BYTES + 10**6)
    (tmp_path / name).write_bytes(gzip.compress(text, 1) if name.endswith("gz") else text)
    assert ended("score", tmp_path / name, "-m", bundle, "-o", tmp_path / "out.csv") == 4
    shown = capsys.readouterr().err
    assert f"{name}, line 3: a line of more than 32 MB" in shown
    assert shown.splitlines()[1].startswith("hint: ")
    assert not (tmp_path / "out.csv").exists()


def test_a_row_of_parquet_beyond_the_limit_is_named(
    fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, row and limit."""
    notes = pa.array([""] * 99 + ["x" * (row_bytes.MAX_ROW_BYTES + 1)])
    pq.write_table(repeated(fresh_table, 100).append_column("note", notes), tmp_path / "t.parquet")
    assert ended("score", tmp_path / "t.parquet", "-m", bundle, "-o", tmp_path / "out.csv") == 4
    assert "t.parquet, row 100: a row of more than 32 MB" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_columns_beyond_the_limit_are_counted(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """As many as the limit are read, more are not."""
    for n_columns in (row_bytes.MAX_COLUMNS, row_bytes.MAX_COLUMNS + 1):
        names = [f"c{i}" for i in range(n_columns)]
        if name == "t.csv":
            (tmp_path / name).write_text(f'"{names[0]}",{",".join(names[1:])}\n' + ",".join("1" * n_columns) + "\n")
        else:
            pq.write_table(pa.table({column: [1] for column in names}), tmp_path / name)
        assert ended("score", tmp_path / name, "-m", bundle, "-o", tmp_path / "out.csv") == 4
        says_so = f"{name}: {n_columns:,} columns; the limit is 16,384" in capsys.readouterr().err
        assert says_so == (n_columns > row_bytes.MAX_COLUMNS)
