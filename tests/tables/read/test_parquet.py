"""Parquet: its own types, in bounded memory, from files that fit together."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from vaecli import tables
from vaecli.errors import InputError
from vaecli.tables.read import parquet


def written(path: Path, table: pa.Table, **options) -> str:
    pq.write_table(table, path, **options)
    return str(path)


def whole(source: tables.Source, **options) -> pa.Table:
    return pa.concat_tables([batch.table for batch in source.batches(tables.ReadRequest(**options))])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_rows=st.integers(1, 60), group_rows=st.integers(1, 30), batch_rows=st.integers(1, 70))
def test_any_batches_make_the_same_table(tmp_path, n_rows, group_rows, batch_rows):
    """Row groups and batch sizes never change what is read; first rows count through."""
    table = pa.table({"x": np.arange(n_rows) * 0.5, "name": [f"n{i}" for i in range(n_rows)]})
    source = tables.open_source([written(tmp_path / "t.parquet", table, row_group_size=group_rows)])
    batches = list(source.batches(tables.ReadRequest(["name"], keep=True, batch_rows=batch_rows)))
    assert pa.concat_tables([batch.whole for batch in batches]).equals(table)
    assert pa.concat_tables([batch.table for batch in batches]).equals(table.select(["name"]))
    assert all(batch.n_rows <= batch_rows for batch in batches)
    assert [batch.first_row for batch in batches] == np.cumsum([0, *(b.n_rows for b in batches)])[:-1].tolist()
    assert source.n_rows == n_rows


def test_types_and_metadata_are_the_files_own(tmp_path):
    """Dictionaries, zones, decimals and nested columns come as they are."""
    table = pa.table(
        {
            "d": pa.array(["a", "b", "a"]).dictionary_encode(),
            "t": pa.array([0, 1, None], pa.timestamp("us", "Europe/Paris")),
            "m": pa.array([1, None, 3], pa.decimal128(9, 2)),
            "l": [[1], None, []],
            "temp": [1.0, 2.0, 3.0],
            "temp.c": [4, 5, 6],
        }
    ).replace_schema_metadata({"who": "me"})
    source = tables.open_source([written(tmp_path / "t.parquet", table)])
    assert whole(source).equals(table)
    assert whole(source, columns=["temp"]).column_names == ["temp"]  # not `temp.c` too
    assert source.schema.metadata[b"who"] == b"me"
    assert [batch.n_rows for batch in source.batches(tables.ReadRequest([]))] == [3]


def test_where_counts_rows_of_the_file(tmp_path):
    """A row is named by its file and its number in it, from 1."""
    paths = [written(tmp_path / f"{i}.parquet", pa.table({"x": [1, 2, 3]})) for i in range(2)]
    batches = list(tables.open_source(paths).batches(tables.ReadRequest(batch_rows=2)))
    assert [batch.where(batch.n_rows - 1) for batch in batches] == [
        f"{path}, row {row}" for path in paths for row in (2, 3)
    ]


def test_files_with_compatible_types_are_one_table(tmp_path):
    """Columns in another order, integers beside floats and all-missing columns fit together."""
    first = written(tmp_path / "1.parquet", pa.table({"x": pa.array([1, 2], pa.int32()), "y": pa.nulls(2)}))
    second = written(tmp_path / "2.parquet", pa.table({"y": ["a"], "x": [0.5]}))
    source = tables.open_source([first, second])
    assert source.names == ("x", "y")
    assert whole(source).to_pydict() == {"x": [1.0, 2.0, 0.5], "y": [None, None, "a"]}


def test_files_that_do_not_fit_together_are_listed(tmp_path):
    """Other columns or types that have nothing in common are named by file."""
    first = written(tmp_path / "1.parquet", pa.table({"x": [1]}))
    names = written(tmp_path / "2.parquet", pa.table({"z": [1]}))
    types = written(tmp_path / "3.parquet", pa.table({"x": [[1]]}))
    with pytest.raises(InputError, match=r"2\.parquet: missing 'x'; has also 'z'"):
        tables.open_source([first, names])
    with pytest.raises(InputError, match=r"3\.parquet"):
        tables.open_source([first, types])


@pytest.mark.parametrize("where", ["footer", "Arrow schema"])
def test_a_name_that_is_not_utf8(tmp_path: Path, where: str):
    """In the footer it is damage; in the Arrow schema, which the table does not need, it is passed over."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"column_x": [1, 2]}), path, store_schema=where != "footer")
    content, spoilt = path.read_bytes(), b"col\xff\xffn_x"
    if where == "footer":
        path.write_bytes(content.replace(b"column_x", spoilt))
        with pytest.raises(InputError, match=r"a\.parquet: damaged, or not Parquet"):
            tables.open_source([str(path)])
        return
    stored = pq.read_metadata(path).metadata[b"ARROW:schema"]
    path.write_bytes(content.replace(stored, base64.b64encode(base64.b64decode(stored).replace(b"column_x", spoilt))))
    assert path.read_bytes() != content
    assert tables.open_source([str(path)]).names == ("column_x",)


def test_a_damaged_file_is_named(tmp_path):
    """A cut footer and a flipped page are the input's fault, found on opening or on reading."""
    content = Path(
        written(tmp_path / "t.parquet", pa.table({"x": np.arange(10_000)}), compression="snappy")
    ).read_bytes()
    cut, flipped = tmp_path / "cut.parquet", tmp_path / "flipped.parquet"
    cut.write_bytes(content[:-100])
    flipped.write_bytes(content[:4] + bytes(byte ^ 255 for byte in content[4:2_000]) + content[2_000:])
    with pytest.raises(InputError, match=r"cut\.parquet: damaged, or not Parquet"):
        tables.open_source([str(cut)])
    with pytest.raises(InputError, match=r"flipped\.parquet: damaged, or not Parquet"):
        whole(tables.open_source([str(flipped)]))


def test_repeated_names_are_refused(tmp_path):
    """A name that stands for two columns cannot be asked for."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(InputError, match="'x' is given 2 times"):
        tables.open_source([written(tmp_path / "t.parquet", table)])


def test_a_huge_row_group_is_read_in_bounded_memory(tmp_path):
    """A row group of 100 MB passes through a process that grows by much less."""
    rng = np.random.default_rng(0)
    table = pa.table({f"x{j}": rng.normal(size=1_000_000) for j in range(13)})
    path = written(tmp_path / "t.parquet", table, row_group_size=1_000_000)
    probe = (
        "import resource, sys\nfrom vaecli import tables\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"source = tables.open_source([{path!r}])\nbefore = used()\n"
        "print(sum(batch.n_rows for batch in source.batches(tables.ReadRequest(keep=True))), (used() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    n_rows, grown = map(int, done.stdout.split())
    assert n_rows == 1_000_000
    assert grown < 80


class _Checked:
    """A footer that answers only what vaecli needs, all of which the library checks when it reads the footer."""

    def __init__(self, footer: pq.FileMetaData) -> None:
        self.schema = footer.schema
        self.metadata = footer.metadata
        self.num_rows = footer.num_rows

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{name} is asked for")


def test_a_footer_is_asked_only_for_what_the_library_checks(tmp_path, monkeypatch):
    """Codecs and statistics of column chunks are unchecked bytes: asking for them can end the process."""
    name = written(tmp_path / "t.parquet", pa.table({"x": [1.5, 2.5]}))
    of = parquet.Footer.of
    monkeypatch.setattr(parquet.Footer, "of", lambda footer, schema: of(_Checked(footer), schema))
    assert whole(tables.open_source([name]))["x"].to_pylist() == [1.5, 2.5]
