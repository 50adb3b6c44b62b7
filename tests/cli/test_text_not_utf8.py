"""Text that is not UTF-8 in Parquet: no verb reads it, each says where it is, and what nobody reads passes through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.cli.messages import assert_is_a_message
from vaecli.cli.app import main

CELL = b"caf\xe9"  # windows-1252
LATE = 9_000  # of the rows: in the second batch of a table that is read in several


def text(n: int, bad: int | None, kind: pa.DataType) -> pa.Array:
    cells = [b"bc"[i % 2 : i % 2 + 1] if i % 3 else None for i in range(n)]
    if bad is not None:
        cells[bad] = CELL
    binary = pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()
    return pa.array(cells, binary).view(kind)


STRING = pa.string()


def write(path: Path, n: int, bad: int | None = None, kind: pa.DataType = STRING) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    columns = {"x": x, "y": 2 * x + rng.normal(size=n), "mode": text(n, bad, kind), "note": text(n, bad, kind)}
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good tables, bad ones, and two bundles: one that reads the column, one that does not."""
    folder = tmp_path_factory.mktemp("text")
    write(folder / "good.parquet", 300)
    write(folder / "bad.parquet", 300, 51)
    words = ["--preset", "fast", "--max-epochs", "2", "--quiet", "--exclude"]
    for name, exclude in (("mode.vae", "note"), ("numbers.vae", "mode,note")):
        with pytest.raises(SystemExit) as ended:
            main(["fit", str(folder / "good.parquet"), "-o", str(folder / name), *words, exclude])
        assert ended.value.code == 0
    return folder


@pytest.mark.parametrize(
    ("command", "column"),
    [
        ("fit bad.parquet -o out --exclude note", "mode"),
        ("fit bad.parquet -o out --exclude note --text mode", "mode"),
        ("fit bad.parquet -o out --exclude mode --window 8 --group note", "note"),
        ("score bad.parquet -m mode.vae -o out.csv", "mode"),
        ("score bad.parquet -m mode.vae -o out.parquet --explain 2", "mode"),
        ("explain bad.parquet -m mode.vae --json", "mode"),
        ("report bad.parquet -m mode.vae -o out.html", "mode"),
        ("check bad.parquet -m mode.vae", "mode"),
        ("evaluate bad.parquet -m numbers.vae --label mode", "mode"),
        ("encode bad.parquet -m numbers.vae -o out.csv --dims 2 --plot out.png --color mode", "mode"),
        ("calibrate numbers.vae bad.parquet -o out --by note", "note"),
        ("reconstruct bad.parquet -m mode.vae -o out.csv", "mode"),
        ("selftest bad.parquet -m mode.vae", "mode"),
    ],
)
def test_a_verb_that_reads_it_names_the_cell(
    command: str, column: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, file, row, column and byte, and no output."""
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    err = capsys.readouterr().err
    assert ended.value.code == 4, err
    assert f"bad.parquet, row 52, column '{column}': byte 0xe9 is not UTF-8 (byte 4 of the cell)" in err
    assert_is_a_message(err[err.index("error: ") :])
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_in_any_batch(
    kind: pa.DataType, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long strings as well, with empty cells around them; the row counts from the first of the file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "late.parquet", LATE + 10, LATE, kind)
    with pytest.raises(SystemExit) as ended:
        main(["score", "late.parquet", "-m", str(place / "mode.vae"), "-o", "out.csv"])
    assert ended.value.code == 4
    assert f"row {LATE + 1}, column 'mode'" in capsys.readouterr().err


@pytest.mark.parametrize("encoded", [False, True])
def test_a_table_in_memory(encoded: bool, place: Path) -> None:
    """An Arrow table too, with a dictionary or without."""
    table = pq.read_table(place / "bad.parquet")
    if encoded:
        words = pa.array([b"b", b"c", CELL], pa.binary()).view(pa.string())
        codes = [2 if row == 51 else row % 2 for row in range(table.num_rows)]
        mode = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), words)
        table = table.set_column(table.column_names.index("mode"), "mode", mode)
    with pytest.raises(vaecli.VaecliError, match="row 52, column 'mode': byte 0xe9 is not UTF-8") as problem:
        vaecli.load(place / "mode.vae").score(table)
    assert (problem.value.row, problem.value.column) == (52, "mode")


def test_what_no_verb_reads_passes_through(place: Path, tmp_path: Path) -> None:
    """To the byte: the scored table holds what the table held."""
    target = tmp_path / "out.parquet"
    with pytest.raises(SystemExit) as ended:
        main(["score", str(place / "bad.parquet"), "-m", str(place / "numbers.vae"), "-o", str(target), "-q"])
    assert ended.value.code == 0
    for column in ("mode", "note"):
        found = pq.read_table(target).column(column).combine_chunks().view(pa.binary())
        assert found[51].as_py() == CELL
        assert found.equals(pq.read_table(place / "bad.parquet").column(column).combine_chunks().view(pa.binary()))
