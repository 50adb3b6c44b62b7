"""Which of up to 16 kinds a string is of: a mixture over the short pieces that it consists of.

A class gives a string the product of its shares of the pieces, which are three symbols in a row in buckets by a hash.
Pieces overlap, so a string's evidence counts for a third. NumPy only. Shapes: n strings, k classes, b buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.hashing import splitmix64

N_BUCKETS = 2048
MOST_CLASSES = 16
OVERLAP = 3.0
_PRIOR = 0.02  # pieces that every class is given of each bucket
_N_ROUNDS = 15
_MOST_STRINGS = 3000  # that the classes are learned from
_NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16)  # of classes that are tried
_LEAST_GAIN = 1.0  # nats per held-out string
_ENOUGH = 0.95  # of the best number's gain
_LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class StringClasses:
    """k classes with their `share` (k,) of training strings, and `log_piece` (b, k) float32: log θ, tempered."""

    share: np.ndarray
    log_piece: np.ndarray

    @classmethod
    def of(cls, bucket: np.ndarray, offsets: np.ndarray, weight: np.ndarray, seed: int, most: int) -> StringClasses:
        """The classes of strings whose pieces have the `bucket` (p,) from `offsets` (n + 1,) on.

        Each string came `weight` (n,) times. Their number is the least that gains most of what any number gains on
        strings that were held out.
        """
        n = offsets.size - 1
        rng = np.random.default_rng([seed, 0xC1A5])
        if n > _MOST_STRINGS:
            chosen = np.sort(rng.choice(n, _MOST_STRINGS, replace=False))
            bucket, offsets, weight = _of_strings(bucket, offsets, chosen), _starts(offsets, chosen), weight[chosen]
            n = chosen.size
        held_out = rng.permutation(n) < n // 5
        learned, tested = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        if not tested.size:
            return _learned(bucket, offsets, weight, 1, rng)
        of_learned = _of_strings(bucket, offsets, learned), _starts(offsets, learned), weight[learned]
        tried = [_learned(*of_learned, k, rng) for k in _NUMBERS if k <= min(most, MOST_CLASSES)]
        of_tested = _of_strings(bucket, offsets, tested), _starts(offsets, tested)
        gain = np.array(
            [np.average(np.logaddexp.reduce(c._joint(*of_tested, 1.0), 1), weights=weight[tested]) for c in tried]
        )
        gain -= gain[0]
        return tried[int(np.argmax(gain >= _ENOUGH * gain.max()))] if gain.max() > _LEAST_GAIN else tried[0]

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.share.size)

    def log_ratio(self, bucket: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The log of each class's share given the string over its share of training strings, (n, k) float64."""
        joint = self._joint(bucket, offsets, OVERLAP)
        return joint - np.logaddexp.reduce(joint, axis=1, keepdims=True) - np.log(self.share)

    def _joint(self, bucket: np.ndarray, offsets: np.ndarray, overlap: float) -> np.ndarray:
        """log of share times evidence, (n, k) float64; every string has at least one piece."""
        if not offsets.size - 1:
            return np.empty((0, self.n_classes))
        evidence = np.add.reduceat(self.log_piece[bucket], offsets[:-1], axis=0, dtype=np.float64)
        return np.asarray(evidence / overlap + np.log(self.share))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in this class; `from_arrays` is the inverse."""
        return {"share": self.share, "log_piece": self.log_piece}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StringClasses:
        """The classes in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        share, log_piece = arrays["share"], arrays["log_piece"]
        if share.dtype != np.float64 or share.ndim != 1 or not 1 <= share.size <= MOST_CLASSES:
            raise ValueError("classes of the string model have no shares")
        if not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
            raise ValueError("shares of the string model's classes do not add up to one")
        if log_piece.dtype != np.float32 or log_piece.shape != (N_BUCKETS, share.size):
            raise ValueError("pieces of the string model are not one number per bucket and class")
        if not ((log_piece <= 0) & (log_piece >= -100)).all():
            raise ValueError("pieces of the string model have impossible probabilities")
        return cls(share, log_piece)


def buckets_of(symbols: np.ndarray, offsets: np.ndarray, n_symbols: int) -> np.ndarray:
    """The bucket (t,) of each symbol (t,) with the two before it, of strings that begin at `offsets` (n + 1,)."""
    padded = np.concatenate([[n_symbols - 1, n_symbols - 1], symbols])
    table = splitmix64(np.arange(n_symbols**2, dtype=np.uint64)).astype(np.int64)
    pair = table[padded[:-1] * n_symbols + padded[1:]]
    bucket = ((pair[:-1] >> 7) * 31 + padded[2:] * 977) & (N_BUCKETS - 1)
    bucket[offsets[:-1]] = 0  # nothing is before the edge
    return np.asarray(bucket)


def _learned(
    bucket: np.ndarray, offsets: np.ndarray, weight: np.ndarray, n_classes: int, rng: np.random.Generator
) -> StringClasses:
    """A mixture by expectation and maximisation, from one string for each class on."""
    length = np.diff(offsets)
    everything = np.bincount(bucket, np.repeat(weight, length), N_BUCKETS)[:, None]
    if n_classes == 1:
        return StringClasses(np.ones(1), _log_piece(everything, everything))
    first = _far_apart(bucket, offsets, min(n_classes, length.size), rng)
    pieces = np.stack([np.bincount(bucket[offsets[i] : offsets[i + 1]], minlength=N_BUCKETS) for i in first], axis=1)
    found = StringClasses(np.full(len(first), 1 / len(first)), _log_piece(pieces.astype(np.float64), everything, 20.0))
    for _ in range(_N_ROUNDS):
        joint = found._joint(bucket, offsets, OVERLAP)
        given = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True)) * weight[:, None]
        share = given.sum(0) / given.sum()
        kept = share >= _LEAST_SHARE
        given, share = given[:, kept], share[kept] / share[kept].sum()
        of_piece = np.repeat(given, length, axis=0)
        pieces = np.stack([np.bincount(bucket, column, N_BUCKETS) for column in of_piece.T], axis=1)
        found = StringClasses(share, _log_piece(pieces, everything))
    return found


def _far_apart(bucket: np.ndarray, offsets: np.ndarray, k: int, rng: np.random.Generator) -> list[int]:
    """k strings, each the more likely the fewer pieces it shares with those before it (k-means++)."""
    n = offsets.size - 1
    held = np.zeros((n, N_BUCKETS), np.float32)
    held[np.repeat(np.arange(n), np.diff(offsets)), bucket] = 1
    held[:, held.mean(0) > 0.5] = 0  # nearly all strings hold these
    held /= np.maximum(np.sqrt(held.sum(1, keepdims=True)), 1)
    first = [int(rng.integers(n))]
    distance = np.ones(n)
    while len(first) < k:
        distance = np.minimum(distance, np.maximum(1 - held @ held[first[-1]], 0) ** 2)
        distance[first] = 0
        total = distance.sum()
        first.append(int(rng.choice(n, p=distance / total)) if total > 0 else int(rng.integers(n)))
    return first


def _log_piece(pieces: np.ndarray, everything: np.ndarray, of_all: float = 5.0) -> np.ndarray:
    """log θ (b, k) float32 of the `pieces` (b, k) of each class, with as many as `of_all` from all classes (b, 1)."""
    common = (everything + _PRIOR) / (everything + _PRIOR).sum()
    return np.log((pieces + of_all * common) / (pieces.sum(0) + of_all)).astype(np.float32)


def _starts(offsets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.diff(offsets)[chosen])])


def _of_strings(values: np.ndarray, offsets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    length = np.diff(offsets)[chosen]
    return values[np.arange(length.sum()) + np.repeat(offsets[:-1][chosen] - _starts(offsets, chosen)[:-1], length)]
