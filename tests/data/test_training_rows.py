"""Training rows give the same epochs, samples and content in memory and on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.data import training_rows as features
from vaecli.data.training_rows import Rows, RowsInMemory, RowsOnDisk, TrainingRows

D, C, BLOCK = 3, 2, 16


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> object:
    """Blocks of 16 rows, so that a few hundred rows cross many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "BLOCK_ROWS", BLOCK)
        yield


def rows_of(n: int) -> Rows:
    """Rows that carry their own number in every part."""
    number = np.arange(n)
    values = np.stack([number, number * 0.5, -number], 1).astype(np.float32)
    readouts = np.stack([number, -number, number**2, number, number], 1)[:, None].astype(np.float64)
    return Rows(values, np.stack([number % 3, number % 2], 1).astype(np.uint8), number % 5, readouts)


def in_memory(n: int) -> RowsInMemory:
    return RowsInMemory(rows_of(n))


def on_disk(n: int, buffer_bytes: int = 0, chunk: int = 7) -> RowsOnDisk:
    rows, kept = rows_of(n), RowsOnDisk(D, C, buffer_bytes, n_texts=1)
    for start in range(0, n, chunk):
        part = rows.take(np.arange(start, min(start + chunk, n)))
        kept.add(part)
    return kept


KINDS: dict[str, Callable[[int], TrainingRows]] = {
    "memory": in_memory,
    "disk": on_disk,
    "disk, two buffers": lambda n: on_disk(n, buffer_bytes=4 * BLOCK * 15),
    "disk, one buffer": lambda n: on_disk(n, buffer_bytes=10**6),
}


def together(parts: list[Rows]) -> Rows:
    return Rows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def map_in_order(rows: Rows) -> Rows:
    return rows.take(np.argsort(rows.values[:, 0]))


def assert_same(found: Rows, expected: Rows) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 200), batch_rows=st.integers(1, 300), seed=st.integers(0, 2**31))
def test_an_epoch_has_every_row_once(kind: str, n: int, batch_rows: int, seed: int) -> None:
    """Every row exactly once with its state, fold and read-outs of strings, in full batches but the last."""
    batches = list(KINDS[kind](n).shuffled(batch_rows, (seed, 0)))
    assert_same(map_in_order(together(batches)), rows_of(n))
    sizes = [batch.fold.size for batch in batches]
    assert sizes[:-1] == [batch_rows] * (len(sizes) - 1)
    assert len(sizes) == -(-n // batch_rows)
    assert all(part.flags.c_contiguous for batch in batches for part in batch)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_order(kind: str) -> None:
    """One seed gives one order, the next epoch another, and no order is the file's."""
    rows = KINDS[kind](150)
    first, again, other = (together(list(rows.shuffled(32, seed))).values[:, 0] for seed in ((3, 0), (3, 0), (3, 1)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != np.arange(150)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_mixes_the_table(kind: str) -> None:
    """Neighbours of the file are seldom neighbours in an epoch."""
    order = together(list(KINDS[kind](200).shuffled(32, 1))).values[:, 0]
    assert (np.diff(order) == 1).mean() < 0.1


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 200), n_wanted=st.integers(1, 250), seed=st.integers(0, 2**31))
def test_some_rows_are_distinct_and_in_order(kind: str, n: int, n_wanted: int, seed: int) -> None:
    """A sample has that many distinct rows in file order; all of them when there are no more."""
    sample = KINDS[kind](n).sample(n_wanted, seed)
    number = sample.values[:, 0].astype(int)
    assert number.size == min(n, n_wanted)
    assert (np.diff(number) > 0).all()
    assert_same(sample, rows_of(n).take(number))


def test_memory_and_disk_draw_the_same_sample() -> None:
    """Where the rows are kept does not change which are drawn."""
    assert_same(on_disk(200).sample(40, 9), in_memory(200).sample(40, 9))


def test_samples_are_uniform() -> None:
    """Over many seeds every row is drawn equally often, first and last included."""
    rows = in_memory(20)
    drawn = np.concatenate([rows.sample(5, seed).values[:, 0] for seed in range(2000)]).astype(int)
    counts = np.bincount(drawn, minlength=20)
    assert counts.min() > 400
    assert counts.max() < 600


def test_no_file_is_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file has no name: nothing is left, however the process ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = on_disk(100)
    assert list(tmp_path.iterdir()) == []
    assert rows.n_rows == 100


def test_an_epoch_can_be_read_while_another_is_under_way() -> None:
    """Two epochs at once, as when a check samples rows during training, do not disturb each other."""
    rows = on_disk(100)
    first = rows.shuffled(8, 1)
    parts = [next(first)]
    assert_same(map_in_order(together(list(rows.shuffled(8, 2)))), rows_of(100))
    rows.sample(10, 0)
    assert_same(map_in_order(together([*parts, *first])), rows_of(100))
