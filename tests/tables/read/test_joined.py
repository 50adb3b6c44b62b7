"""Rows of many small files are joined, so that tiles are full: the same rows, at the same places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from vaecli import tables
from vaecli.errors import InputError
from vaecli.tables.read import delimited, joined

TILE = 8


@dataclass(frozen=True)
class Run:
    """Rows `first` to `first + n_rows`, of `width` bytes each."""

    first: int
    n_rows: int
    width: int = 1

    @property
    def n_bytes(self) -> int:
        return self.n_rows * self.width

    def cut(self, n: int) -> tuple[Run, Run]:
        return Run(self.first, n, self.width), Run(self.first + n, self.n_rows - n, self.width)


def runs(sizes: list[tuple[int, int]]) -> list[Run]:
    firsts = np.cumsum([0, *(n for n, _ in sizes)]).tolist()
    return [Run(first, n, width) for first, (n, width) in zip(firsts, sizes, strict=False)]


sizes_of_files = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), max_size=20)


@given(sizes=sizes_of_files, most_rows=st.sampled_from([None, TILE, 3 * TILE]), enough=st.integers(1, 300))
def test_groups_hold_all_rows_in_order_and_end_with_tiles(sizes, most_rows, enough):
    """A group ends with a tile, unless its rows are too long or there are no more; it is closed as soon as it may."""
    most, n_rows = 2 * enough, sum(n for n, _ in sizes)
    groups = list(joined.in_groups(runs(sizes), TILE, most_rows=most_rows, enough_bytes=enough, most_bytes=most))
    assert all(groups)
    rows = [row for group in groups for one in group for row in range(one.first, one.first + one.n_rows)]
    assert rows == list(range(n_rows))
    for group in groups:
        n, size = sum(one.n_rows for one in group), sum(one.n_bytes for one in group)
        end = group[-1].first + group[-1].n_rows
        ends_late = end % TILE and end < n_rows
        next_bytes = next(one.n_bytes for one in runs(sizes) if one.first + one.n_rows > end) if ends_late else 0
        assert not ends_late or size + next_bytes > most, "a group ends within a tile though there is room for more"
        assert most_rows is None or n <= most_rows


def test_rows_above_a_failure_come_first():
    """What was read before a file that cannot be read is given on, and then the failure."""

    def failing() -> Iterator[Run]:
        yield from runs([(3, 1), (4, 1)])
        raise InputError("the third is damaged", "")

    found = joined.in_groups(failing(), TILE, enough_bytes=100, most_bytes=100)
    assert [one.n_rows for one in next(found)] == [3, 4]
    with pytest.raises(InputError, match="the third is damaged"):
        next(found)


# -- files ---------------------------------------------------------------------------------------------


def frame(first: int, n: int) -> pd.DataFrame:
    """Numbers, strings with quotes, delimiters and line ends, gaps, and a category with other words in each file."""
    rows = np.arange(first, first + n)
    return pd.DataFrame(
        {
            "x": np.where(rows % 7 == 3, np.nan, rows / 4),
            "name": [f'a "{row}",\nb' if row % 5 == 0 else f"n{row}" for row in rows],
            "word": pd.Categorical([f"w{first}", "both"] * n)[:n],
        }
    )


SIZES = (3, 1, 9, 20, 2, 1, 5)
FIRSTS = np.cumsum([0, *SIZES])[:-1].tolist()


def write_files(folder: Path, kind: str) -> list[str]:
    paths = []
    for i, (first, n) in enumerate(zip(FIRSTS, SIZES, strict=True)):
        path = folder / f"{i}.{kind}"
        if kind == "csv":
            text = frame(first, n).to_csv(index=False)
            path.write_text(text if i % 2 else text.rstrip("\n"))  # some without the last line end
        elif kind == "parquet":
            pq.write_table(pa.Table.from_pandas(frame(first, n), preserve_index=False), path, row_group_size=6)
        else:
            path.write_text("".join(f"line {row} of the log\n" for row in range(first, first + n)))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("kind", ["csv", "parquet", "log"])
def test_small_files_are_read_in_whole_tiles(tmp_path, kind, monkeypatch):
    """The rows, their bytes and their places are those of reading file by file; all batches but the last are tiles."""
    monkeypatch.setattr(delimited, "SMALLEST_BLOCK_BYTES", 50)
    lines = () if kind == "log" else None
    source = tables.open_source(write_files(tmp_path, kind), lines=lines)
    apart = list(source.batches(tables.ReadRequest(keep=True)))
    request = tables.ReadRequest(keep=True, batch_rows=2 * TILE, multiple_of=TILE)
    together = [piece() for piece in source.pieces(request)]
    assert len(apart) >= len(SIZES)
    assert [batch.n_rows % TILE for batch in together[:-1]] == [0] * (len(together) - 1)
    assert 1 < len(together) < len(apart)
    assert [batch.first_row for batch in together] == np.cumsum([0, *(b.n_rows for b in together)])[:-1].tolist()
    one, other = (pa.concat_tables([batch.table for batch in each]) for each in (apart, together))
    assert one.to_pylist() == other.to_pylist()
    kept = "lines" if kind == "csv" else "whole"
    one, other = ([row for b in each for row in getattr(b, kept).to_pylist()] for each in (apart, together))
    assert one == other
    one, other = ([batch.where(i) for batch in each for i in range(batch.n_rows)] for each in (apart, together))
    assert one == other
    assert one[FIRSTS[3]].startswith(str(tmp_path / f"3.{kind}"))


def test_many_bytes_end_a_batch(tmp_path, monkeypatch):
    """Long rows of several files are not held together beyond the bytes of a batch."""
    monkeypatch.setattr(joined, "BATCH_BYTES", 3000)
    paths = []
    for i in range(8):
        pq.write_table(pa.table({"x": [1.0] * 3, "text": ["long" * 100] * 3}), tmp_path / f"{i}.parquet")
        paths.append(str(tmp_path / f"{i}.parquet"))
    request = tables.ReadRequest(["x"], keep=True, batch_rows=4 * TILE, multiple_of=TILE)
    batches = list(tables.open_source(paths).batches(request))
    assert sum(batch.n_rows for batch in batches) == 24
    assert max(batch.whole.nbytes for batch in batches) <= 3000
    assert len(batches) < 8


@pytest.mark.parametrize("broken", [1, 4, 6])
def test_a_bad_cell_is_named_with_its_file_and_line(tmp_path, broken):
    """The line is that of the file where it stands, not one of all rows that are parsed at once."""
    paths = [tmp_path / f"{i}.csv" for i in range(8)]
    for i, path in enumerate(paths):
        path.write_text("a,b\n1,2\n3,x\n5,6\n" if i >= broken else "a,b\n1,2\n3,4\n")
    source = tables.open_source([str(path) for path in paths])
    request = tables.ReadRequest(numbers=("a", "b"), keep=True, multiple_of=TILE)
    with pytest.raises(InputError, match=f"{broken}.csv, line 3"):
        [piece() for piece in source.pieces(request)]


def test_a_header_within_a_file_is_named(tmp_path):
    """Also where the rows of files are parsed at once."""
    for i in range(4):
        (tmp_path / f"{i}.csv").write_text("a,b\n1,2\n" + ("a,b\n3,4\n" if i == 2 else ""))
    source = tables.open_source([str(tmp_path / f"{i}.csv") for i in range(4)])
    with pytest.raises(InputError, match=r"2.csv, line 3: the header once more"):
        [piece() for piece in source.pieces(tables.ReadRequest(multiple_of=TILE))]


def test_files_with_the_same_columns_and_others(tmp_path):
    """A footer like the one before is not read again column by column, and one that differs is."""
    kinds = [pa.int32(), pa.int32(), pa.float64(), pa.float64(), pa.int64()]
    for i, kind in enumerate(kinds):
        pq.write_table(pa.table({"x": pa.array([i] * (i + 1), kind)}), tmp_path / f"{i}.parquet")
    source = tables.open_source([str(tmp_path)])
    assert source.schema.field("x").type == pa.float64()
    found = pa.concat_tables([batch.table for batch in source.batches(tables.ReadRequest(multiple_of=TILE))])
    assert found["x"].to_pylist() == [float(i) for i in range(5) for _ in range(i + 1)]
    assert source.rows == (1, 2, 3, 4, 5)
