"""How often values occur, and whether they are all different, in bounded memory.

Both are exact while a column has few distinct values. With more, `ValueCounts` is a Misra-Gries summary
(Misra & Gries 1982; merged as in Agarwal et al. 2012) and `DistinctSample` a sample of the values by their hash
(Gibbons 2001). Neither draws random numbers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vaecli.data.hashing import splitmix64

HASHED_BYTES = 2**21  # of texts that are hashed together
_TOP = np.uint64(2**64 - 1)


def text_hashes(text: pa.Array) -> np.ndarray:
    """A 64-bit hash of each string of a large_string array without nulls, uint64 (n,)."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return np.zeros(len(text), np.uint64)
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    if ends[-1] - ends[0] > HASHED_BYTES and len(text) > 1:  # each byte takes forty
        half = min(max(int(np.searchsorted(ends, (ends[0] + ends[-1]) // 2)), 1), len(text) - 1)
        return np.concatenate([text_hashes(text.slice(0, half)), text_hashes(text.slice(half))])
    content = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    ends = ends - ends[0]
    position = np.arange(content.size) - np.repeat(ends[:-1], np.diff(ends))
    # each (byte, position) adds its own random number; sums of a stretch come from running totals, which wrap
    totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum(splitmix64(content | position.astype(np.uint64) << 8))])
    return splitmix64(totals[ends[1:]] - totals[ends[:-1]] + np.diff(ends).astype(np.uint64))


class DistinctSample:
    """Whether the values of a column are all different, and about how many different ones there are.

    Holds the hash of every value; beyond `capacity` hashes only those below a bound, which halves whenever they are
    too many again. All occurrences of the sampled values are counted.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.bound = _TOP
        self._hashes = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)
        self.has_repeats = False  # as far as the values seen were compared; `repeats()` compares all
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_waiting = 0

    def add(self, hashes: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Count values with these hashes, uint64 (n,): each `counts` (n,) times, or once where `counts` is None."""
        sampled = hashes <= self.bound
        hashes = hashes[sampled]
        self._waiting.append((hashes, np.ones(hashes.size, np.int64) if counts is None else counts[sampled]))
        self._n_waiting += hashes.size
        if self._n_waiting > self.capacity // 4:
            self._settle()

    def _settle(self) -> None:
        hashes = np.concatenate([self._hashes, *(part for part, _ in self._waiting)])
        counts = np.concatenate([self._counts, *(part for _, part in self._waiting)])
        self._waiting, self._n_waiting = [], 0
        self._hashes, code = np.unique(hashes, return_inverse=True)
        self._counts = np.bincount(code, counts, self._hashes.size).astype(np.int64)
        self.has_repeats = self.has_repeats or bool((self._counts > 1).any())
        while self._hashes.size > self.capacity:
            self.bound >>= np.uint64(1)
            sampled = self._hashes <= self.bound
            self._hashes, self._counts = self._hashes[sampled], self._counts[sampled]

    @property
    def sampled(self) -> tuple[int, int]:
        """(number of occurrences, number of distinct values) in the sample."""
        self._settle()
        return int(self._counts.sum()), self._hashes.size

    @property
    def share(self) -> float:
        """Distinct values per occurrence in the sample, in (0, 1]; 1 when no value occurred twice."""
        n, n_distinct = self.sampled
        return n_distinct / n if n else 1.0

    @property
    def n_distinct_about(self) -> int:
        """Number of distinct values, estimated from the share of all hashes that lie below the bound."""
        self._settle()
        return round(self._hashes.size * float(_TOP) / float(self.bound))

    def repeats(self) -> bool:
        """Whether some value in the sample occurred more than once."""
        self._settle()
        return self.has_repeats


class ValueCounts:
    """How often each text occurs.

    Exact up to `capacity` distinct values of 64 bytes on average. With more, the rarest are dropped: a value that
    occurs more than `n_lost` times is never dropped, every count is too low by at most `n_lost`, and `n_lost` is at
    most n / (capacity / 2).
    """

    def __init__(self, capacity: int, hash_capacity: int) -> None:
        self.capacity = capacity
        self.n_lost = 0
        self._hash_capacity = hash_capacity
        self._distinct: DistinctSample | None = None
        self._texts = pa.array([], pa.large_string())
        self._counts = np.empty(0, np.int64)
        self._waiting: list[tuple[pa.Array, np.ndarray]] = []

    @property
    def is_exact(self) -> bool:
        """Whether no value was dropped."""
        return self._distinct is None

    def add(self, texts: pa.Array, counts: np.ndarray) -> None:
        """Count distinct texts (n,), without null, `counts` (n,) times each."""
        texts = texts.cast(pa.large_string())
        self._waiting.append((texts, counts))
        if self._distinct is not None:
            self._distinct.add(text_hashes(texts), counts)
        waiting = [part for part, _ in self._waiting]
        if sum(map(len, waiting)) > self.capacity or sum(part.nbytes for part in waiting) > self._max_bytes:
            self._settle()

    @property
    def _max_bytes(self) -> int:
        return 64 * self.capacity

    def _settle(self) -> None:
        if not self._waiting:
            return
        encoded = pa.concat_arrays([self._texts, *(texts for texts, _ in self._waiting)]).dictionary_encode()
        counts = np.concatenate([self._counts, *(counts for _, counts in self._waiting)])
        self._waiting = []
        self._texts = encoded.dictionary  # in order of first appearance
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        self._counts = np.bincount(codes, counts, len(self._texts)).astype(np.int64)
        if len(self._texts) > self.capacity or self._texts.nbytes > self._max_bytes:
            self._drop_rarest()

    def _drop_rarest(self) -> None:
        if self._distinct is None:
            self._distinct = DistinctSample(self._hash_capacity)
            self._distinct.add(text_hashes(self._texts), self._counts)
        n_kept = min(self.capacity, int(len(self._texts) * self._max_bytes / self._texts.nbytes)) // 2
        lost = int(-np.partition(-self._counts, n_kept)[n_kept])
        self.n_lost += lost
        frequent = np.flatnonzero(self._counts > lost)
        self._texts, self._counts = self._texts.take(pa.array(frequent)), self._counts[frequent] - lost

    def ranked(self) -> list[tuple[str, int]]:
        """(text, count) of every text that was not dropped, most frequent first, ties in the order of the text."""
        self._settle()
        counts = zip(self._texts.to_pylist(), self._counts.tolist(), strict=True)
        return sorted(counts, key=lambda entry: (-entry[1], entry[0]))

    def first_met(self, most: int) -> list[str] | None:
        """The texts in order of first appearance; None if there are more than `most`, or some were dropped."""
        self._settle()
        return None if len(self._texts) > most or not self.is_exact else self._texts.to_pylist()

    def n_distinct(self) -> int | None:
        """Number of distinct texts; None when it is not known exactly."""
        self._settle()
        return len(self._texts) if self.is_exact else None

    def n_distinct_about(self) -> int:
        """Number of distinct texts; estimated from a sample when it is not known exactly."""
        self._settle()
        return len(self._texts) if self._distinct is None else self._distinct.n_distinct_about

    def distinct_share(self) -> float:
        """Distinct texts per occurrence, in [0, 1]; estimated from a sample when it is not known exactly."""
        self._settle()
        if self._distinct is not None:
            return self._distinct.share
        return len(self._texts) / max(int(self._counts.sum()), 1)
