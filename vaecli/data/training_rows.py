"""Training rows as features with their folds: in memory while they fit, streamed from a temporary file beyond.

Both give the same three things: an epoch in random order, a uniform sample, and the number of rows.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from vaecli.data.string_features import READOUTS
from vaecli.runtime.temporary import copying

Seed = int | Sequence[int]

BLOCK_ROWS = 4096  # rows read at once from disk; blocks are shuffled, then the rows of many blocks


class Rows(NamedTuple):
    """b rows: `values` (b, d) float32, `state` (b, c) uint8 as in `Cells`, `fold` (b,) int64.

    `readouts` (b, t, 5) as in `FeatureBatch`, but by string models that do not know the rows of the fold.
    """

    values: np.ndarray
    state: np.ndarray
    fold: np.ndarray
    readouts: np.ndarray | None = None

    def take(self, which: np.ndarray) -> Rows:
        """The rows at the indices `which` (m,), in that order."""
        readouts = None if self.readouts is None else self.readouts[which]
        return Rows(self.values[which], self.state[which], self.fold[which], readouts)


class TrainingRows(Protocol):
    """What training and calibration need of the rows, wherever they are kept."""

    @property
    def n_rows(self) -> int:
        """The number of rows."""

    def shuffled(self, batch_rows: int, seed: Seed) -> Iterator[Rows]:
        """One epoch: every row exactly once, in a random order that `seed` decides."""

    def sample(self, n_rows: int, seed: int) -> Rows:
        """At most that many rows, a uniform sample in file order; all of them when there are no more."""


@dataclass(frozen=True, slots=True)
class RowsInMemory:
    """All rows as contiguous arrays."""

    rows: Rows

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.rows.fold.size

    def shuffled(self, batch_rows: int, seed: Seed) -> Iterator[Rows]:
        """One epoch in an order drawn uniformly."""
        order = np.random.default_rng(seed).permutation(self.n_rows)
        for start in range(0, self.n_rows, batch_rows):
            yield self.rows.take(order[start : start + batch_rows])

    def sample(self, n_rows: int, seed: int) -> Rows:
        """A uniform sample, in file order."""
        return self.rows.take(sampled_rows(self.n_rows, n_rows, seed))


class RowsOnDisk:
    """Rows in an unnamed temporary file that vanishes with the process, however it ends.

    An epoch reads blocks of 4,096 neighbouring rows in random order into a buffer of `buffer_bytes` and
    shuffles the rows within it: no row is left out, and a batch mixes rows from all over the table.
    """

    def __init__(self, n_features: int, n_columns: int, buffer_bytes: int, n_texts: int = 0) -> None:
        of_texts = [("readouts", "<f8", (n_texts, len(READOUTS)))] if n_texts else []
        fields = [("values", "<f4", (n_features,)), ("state", "u1", (n_columns,)), ("fold", "u1"), *of_texts]
        self._record = np.dtype(fields)
        with copying("the training rows"):
            self._file: BinaryIO = tempfile.TemporaryFile(prefix="vaecli-rows-")  # noqa: SIM115 (kept open on purpose)
        weakref.finalize(self, self._file.close)
        self._n_rows = 0
        self._blocks_in_buffer = max(2, buffer_bytes // (self._record.itemsize * BLOCK_ROWS))

    @property
    def n_rows(self) -> int:
        """The number of rows added."""
        return self._n_rows

    def add(self, rows: Rows) -> None:
        """Append n rows, whose folds are up to 255. Raises EnvironmentProblem if the disk is full."""
        records = np.empty(rows.fold.size, self._record)
        for name in records.dtype.names or ():
            records[name] = getattr(rows, name)
        with copying("the training rows"):
            self._file.write(records.tobytes())
            self._file.flush()
        self._n_rows += rows.fold.size

    def shuffled(self, batch_rows: int, seed: Seed) -> Iterator[Rows]:
        """One epoch in the order of a shuffle buffer."""
        rng = np.random.default_rng(seed)
        starts = rng.permutation(np.arange(0, self._n_rows, BLOCK_ROWS))
        left = np.empty(0, self._record)
        for first in range(0, starts.size, self._blocks_in_buffer):
            blocks = [self._read(start, BLOCK_ROWS) for start in starts[first : first + self._blocks_in_buffer]]
            buffer = rng.permutation(np.concatenate([left, *blocks]))
            whole = buffer.size - buffer.size % batch_rows
            for start in range(0, whole, batch_rows):
                yield _rows(buffer[start : start + batch_rows])
            left = buffer[whole:].copy()
        if left.size:
            yield _rows(left)

    def sample(self, n_rows: int, seed: int) -> Rows:
        """A uniform sample, in file order."""
        chosen = sampled_rows(self._n_rows, n_rows, seed)
        parts = []
        for start in range(0, self._n_rows, BLOCK_ROWS):
            low, high = np.searchsorted(chosen, (start, start + BLOCK_ROWS))
            if low < high:
                parts.append(self._read(start, BLOCK_ROWS)[chosen[low:high] - start])
        return _rows(np.concatenate(parts))

    def _read(self, start: int, n_rows: int) -> np.ndarray:
        self._file.seek(int(start) * self._record.itemsize)
        return np.frombuffer(self._file.read(n_rows * self._record.itemsize), self._record)


def _rows(records: np.ndarray) -> Rows:
    return Rows(
        np.ascontiguousarray(records["values"]),
        np.ascontiguousarray(records["state"]),
        records["fold"].astype(np.int64),
        np.ascontiguousarray(records["readouts"]) if "readouts" in (records.dtype.names or ()) else None,
    )


def sampled_rows(n_rows: int, n_wanted: int, seed: int) -> np.ndarray:
    """The numbers (k,) of the rows that `sample` takes of `n_rows`, ascending."""
    if n_wanted >= n_rows:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng([seed, 0x5A]).choice(n_rows, n_wanted, replace=False))
