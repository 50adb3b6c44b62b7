"""One table, one output: how many threads score it, and how many rows at a time, shows in no byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaecli.model import tiles
from vaecli.tables.read import delimited
from vaecli.tables.write import parquet_rows

TILE = 64
N_ROWS = 20 * TILE + 77  # many tiles, the last one not full


@pytest.fixture(scope="module")
def table(fresh_table: pd.DataFrame) -> pd.DataFrame:
    """Rows enough for several tiles, some of them anomalous, one column that is no feature, quoted text in it."""
    frame = pd.concat([fresh_table] * (-(-N_ROWS // len(fresh_table))), ignore_index=True)[:N_ROWS]
    frame.loc[::97, "pressure"] += 40
    frame["note"] = [f'line\n{i}, "quoted"' if i % 50 == 0 else str(i) for i in range(N_ROWS)]
    return frame


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def write_parquet(table: pd.DataFrame, path: Path) -> Path:
    """With a dictionary column, and row groups that end in the middle of a tile."""
    arrow = pa.Table.from_pandas(table.astype({"mode": "category"}), preserve_index=False)
    pq.write_table(arrow, path.with_suffix(".parquet"), row_group_size=1000)
    return path.with_suffix(".parquet")


WAYS = [(1, 16_384), (4, TILE), (2, 50)]


@pytest.mark.parametrize("anomalies_only", [False, True])
@pytest.mark.parametrize("extension", [".csv", ".parquet"])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_workers_and_batches_change_no_byte(
    write: Callable[[pd.DataFrame, Path], Path],
    extension: str,
    anomalies_only: bool,
    table: pd.DataFrame,
    bundle: Path,
    tmp_path: Path,
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CSV and Parquet, into either, whole or only the flagged rows: the same bytes for any number of workers."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 20_000)  # so that a small file has many blocks
    monkeypatch.setattr(tiles, "TILE_ROWS", TILE)
    monkeypatch.setattr(parquet_rows, "_SECTION_ROWS", 512)
    monkeypatch.setattr(parquet_rows, "_GROUP_ROWS", 1024)
    source, found = write(table, tmp_path / "new"), {}
    for workers, batch_rows in WAYS if not anomalies_only else WAYS[:2]:
        out = tmp_path / f"{workers}_{batch_rows}{extension}"
        flags = [
            "--workers",
            str(workers),
            "--batch-rows",
            str(batch_rows),
            *(["--anomalies-only"] if anomalies_only else []),
        ]
        assert run("score", str(source), "-m", str(bundle), "-o", str(out), *flags, "--quiet").code == 0
        found[out.name] = out.read_bytes()
    assert len(set(found.values())) == 1, {name: len(content) for name, content in found.items()}
    scored = pd.read_csv(out) if extension == ".csv" else pd.read_parquet(out)
    assert scored["is_anomaly"].sum() >= N_ROWS // 97
    assert anomalies_only or len(scored) == N_ROWS


FEW = 37  # rows of a file: fewer than a tile


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_rows_in_many_small_files_score_as_in_one(
    write: Callable[[pd.DataFrame, Path], Path],
    extension: str,
    table: pd.DataFrame,
    bundle: Path,
    tmp_path: Path,
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row stands in its tile by its number in all files, so the files may be cut anywhere, and into any batches."""
    monkeypatch.setattr(tiles, "TILE_ROWS", TILE)
    monkeypatch.setattr(parquet_rows, "_SECTION_ROWS", 512)
    (tmp_path / "many").mkdir()
    table = table[: 10 * TILE + 5]
    for i, first in enumerate(range(0, len(table), FEW)):
        write(table[first : first + FEW], tmp_path / f"many/{i:02d}")
    one = write(table, tmp_path / "one")
    found = []
    for name, *flags in (
        [str(one)],
        [str(tmp_path / f"many/*{one.suffix}"), "--workers", "1"],
        [str(tmp_path / f"many/*{one.suffix}"), "--workers", "4", "--batch-rows", str(TILE)],
    ):
        out = tmp_path / f"out{extension}"
        assert run("score", name, "-m", str(bundle), "-o", str(out), "--explain", "1", *flags, "--quiet").code == 0
        found.append(out.read_bytes() if extension == ".csv" else pq.read_table(out).to_pylist())
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_the_first_bad_cell_is_named_whoever_finds_it(
    table: pd.DataFrame, bundle: Path, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two blocks with a problem the earlier one is reported, although a later one is found while reading."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 20_000)
    source = write_csv(table.drop(columns="note").assign(pressure=table["pressure"].astype(object)), tmp_path / "new")
    lines = source.read_text().splitlines()
    lines[800] = lines[800].replace(lines[800].split(",")[0], "broken", 1)
    lines[1300] = "\0" + lines[1300]
    source.write_text("\n".join(lines) + "\n")
    for workers in (1, 4):
        answer = run(
            "score", str(source), "-m", str(bundle), "-o", str(tmp_path / "out.csv"), "--workers", str(workers)
        )
        assert answer.code == 4
        assert "new.csv, line 801, column pressure:" in answer.err
    assert not (tmp_path / "out.csv").exists()
