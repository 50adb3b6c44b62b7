"""The system is asked to write a growing file, once for every byte, and a refusal changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaecli import tables
from vaecli.runtime import write_back
from vaecli.runtime.write_back import WriteBack
from vaecli.tables.write import parquet_rows

needs_advice = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no advice")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges asked for, with a file's size at the time at least their end."""
    found: list[tuple[int, int]] = []

    def advise(descriptor: int, start: int, n_bytes: int, advice: int) -> None:
        assert os.fstat(descriptor).st_size >= start + n_bytes
        assert advice == os.POSIX_FADV_DONTNEED
        found.append((start, n_bytes))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    monkeypatch.setattr(write_back, "_AT_ONCE", 1000)
    return found


@needs_advice
def test_every_byte_is_asked_for_once(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    """In ranges that follow each other; of less than enough the next question takes care."""
    with (tmp_path / "f").open("wb") as stream:
        going = WriteBack(stream)
        for n in (1, 999, 500, 499, 2, 5000):
            stream.write(b"x" * n)
            going.go_on()
    assert asked == [(0, 1000), (1000, 1001), (2001, 5000)]


@needs_advice
@pytest.mark.parametrize("refusal", [OSError("no"), None])
def test_a_refusal_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: OSError | None) -> None:
    """A file system that takes no advice, and a system without the call."""

    def refuse(*_: int) -> None:
        raise refusal

    if refusal is None:
        monkeypatch.delattr(os, "posix_fadvise")
    else:
        monkeypatch.setattr(os, "posix_fadvise", refuse)
    monkeypatch.setattr(write_back, "_AT_ONCE", 1)
    with (tmp_path / "f").open("wb") as stream:
        going = WriteBack(stream)
        stream.write(b"abc")
        going.go_on()
        stream.write(b"def")
        going.go_on()
    assert (tmp_path / "f").read_bytes() == b"abcdef"


@needs_advice
@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_tables_are_written_back(
    tmp_path: Path, asked: list[tuple[int, int]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text, compressed text and Parquet: what was asked for is the begin of the file."""
    monkeypatch.setattr(parquet_rows, "_SECTION_ROWS", 512)
    monkeypatch.setattr(parquet_rows, "_GROUP_ROWS", 1024)
    n = 20_000
    table = pa.table({"a": pa.array([str(i) * 7 for i in range(n)])})
    pq.write_table(table, tmp_path / "in.parquet")
    source = tables.open_source([str(tmp_path / "in.parquet")])
    with tables.open_sink(str(tmp_path / name), source, ()) as sink:
        for batch in source.batches(tables.ReadRequest([], keep=True, batch_rows=1000)):
            sink.append(sink.render(batch, {}))
    ends = [start + n_bytes for start, n_bytes in asked]
    assert [start for start, _ in asked] == [0, *ends[:-1]]
    assert len(asked) >= 3
    assert ends[-1] <= (tmp_path / name).stat().st_size
