"""What follows what: probabilities of the next symbol, given as many of the symbols before as enough strings share.

A tree of variable order, of the contexts that enough different strings share (`contexts`). The next symbol is predicted
by the longest kept context that the symbols before end with. Its probabilities interpolate all shorter ones with
absolute discounts, where a shorter context counts each longer one once per symbol (Kneser & Ney 1995; Teh 2006). The
longest kept context after one more symbol depends only on the one before, so reading is one look-up per symbol, for
many strings at once.

NumPy only. Shapes: s states (kept contexts), a symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vaecli.schema import MOST_COUNTED

ROOT = 0
_LEAST_GAIN = 0.5  # nats of all that followed a context
_PENALTY = 0.5  # nats for each symbol beyond the first that followed it
_DISCOUNTS = ((0.2, 0.2, 0.2), (0.97, 1.8, 2.5))  # the least and the largest, of one, two and more


@dataclass(frozen=True, slots=True)
class ContextTree:
    """Kept contexts in the order of their length; state 0 is the empty one.

    Context i ≥ 1 is context `shorter[i]` with `first[i]` before it, and also context `before[i]` with `last[i]` after
    it: all (s,) int32. Of the symbols that followed a context where no longer one was kept, `n_next[j]` (float32) came
    as `next_of[j]` (int64) = state · a + symbol, ascending. `discount` is taken off each count.
    """

    n_symbols: int
    shorter: np.ndarray
    first: np.ndarray
    before: np.ndarray
    last: np.ndarray
    next_of: np.ndarray
    n_next: np.ndarray
    step: np.ndarray = field(init=False, repr=False, compare=False)  # (s · a,) int32, the state after a symbol
    order: np.ndarray = field(init=False, repr=False, compare=False)  # (s,) symbols of the context

    def __post_init__(self) -> None:
        """Compute the automaton."""
        n_states, a = self.shorter.size, self.n_symbols
        order, step = _orders(self.shorter), np.zeros((n_states, a), np.int32)
        followers = np.arange(1, n_states)
        for length in range(int(order.max()) + 1):
            states = np.flatnonzero(order == length)
            if length:
                step[states] = step[self.shorter[states]]
            longer = followers[order[self.before[followers]] == length]
            step[self.before[longer], self.last[longer]] = longer
        object.__setattr__(self, "step", step.ravel())
        object.__setattr__(self, "order", order)

    @classmethod
    def of(
        cls,
        symbols: np.ndarray,
        offsets: np.ndarray,
        weight: np.ndarray,
        n_symbols: int,
        parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        most_states: int,
    ) -> ContextTree:
        """The tree of different strings: `symbols` (t,) of string i are those from `offsets[i]`, an edge at both ends.

        Each string came `weight` (n,) times. Of the contexts `parts`, as `shorter`, `first`, `before` and `last`, at
        most `most_states` are kept: those that predict best.
        """
        nothing = np.empty(0, np.int64), np.empty(0, np.float32)
        bare = cls(n_symbols, *parts, *nothing)
        counts = bare._counts(symbols, offsets, weight)
        if bare.shorter.size > most_states:
            bare = cls(n_symbols, *chosen(parts, bare._informative(counts, most_states)), *nothing)
            counts = bare._counts(symbols, offsets, weight)
        flat = counts.ravel()
        next_of = np.flatnonzero(flat)
        return cls(n_symbols, bare.shorter, bare.first, bare.before, bare.last, next_of, flat[next_of])

    def _counts(self, symbols: np.ndarray, offsets: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """How often each symbol (s, a) float32 followed where a context was the longest kept one."""
        target = np.ones(symbols.size, bool)
        target[offsets[:-1]] = False
        of_target = self.walk(symbols, offsets)[target] * self.n_symbols + symbols[target]
        weights = np.repeat(weight, np.diff(offsets))[target]
        counts = np.bincount(of_target, weights, self.step.size)
        return counts.astype(np.float32).reshape(-1, self.n_symbols)

    def _informative(self, counts: np.ndarray, most: int) -> np.ndarray:
        """Which contexts (s,) bool, more than `most`, are kept: those that predict best.

        That is how much less the next symbols cost than given the shorter context, by `counts` (s, a) as of `_counts`.
        Those that a kept one builds on are kept too.
        """
        counts = counts.copy()
        levels = [np.flatnonzero(self.order == length) for length in range(int(self.order.max()) + 1)]
        for states in levels[:0:-1]:
            np.add.at(counts, self.shorter[states], counts[states])
        gain = np.zeros(self.order.size)
        for states in levels[1:]:
            own, shorter = counts[states].astype(np.float64), counts[self.shorter[states]].astype(np.float64)
            own_share, share = (
                own / np.maximum(own.sum(1, keepdims=True), 1),
                shorter / np.maximum(shorter.sum(1, keepdims=True), 1),
            )
            ratio = np.divide(own_share, share, out=np.ones_like(own), where=own > 0)
            gain[states] = (own * np.log(ratio)).sum(1) - _PENALTY * ((own > 0).sum(1) - 1)
        least = _LEAST_GAIN
        while True:
            kept = gain >= least
            kept[ROOT] = True
            for states in levels[:0:-1]:
                chosen = states[kept[states]]
                kept[self.shorter[chosen]] = kept[self.before[chosen]] = True
            if kept.sum() <= most:
                return kept
            least *= 1.5

    def walk(self, symbols: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The state (t,) before each of the `symbols` (t,) of strings that begin at `offsets` (n + 1,), int64.

        The state before the first symbol of a string is the empty context.
        """
        state = np.zeros(symbols.size, np.int64)
        length = np.diff(offsets)
        order = np.argsort(-length, kind="stable")
        place, length = offsets[:-1][order], length[order]
        current = np.zeros(place.size, np.int64)
        for t in range(int(length[0]) if length.size else 0):
            running = int(np.searchsorted(-length, -t))  # strings of more than t symbols
            at, current = place[:running] + t, current[:running]
            state[at] = current
            current = self.step[current * self.n_symbols + symbols[at]].astype(np.int64)
        return state

    def probabilities(self) -> np.ndarray:
        """The probability of each next symbol (s, a) given each context, float64; rows sum to one."""
        counts = np.zeros((self.shorter.size, self.n_symbols))
        counts.ravel()[self.next_of] = self.n_next
        for length in range(int(self.order.max()), 0, -1):
            states = np.flatnonzero(self.order == length)
            np.add.at(counts, self.shorter[states], np.minimum(counts[states], 1))
        out = np.empty_like(counts)
        out[ROOT] = _interpolated(counts[:1], np.full((1, self.n_symbols), 1 / self.n_symbols))[0]
        for length in range(1, int(self.order.max()) + 1):
            states = np.flatnonzero(self.order == length)
            out[states] = _interpolated(counts[states], out[self.shorter[states]])
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in this class; `from_arrays` is the inverse."""
        names = ("shorter", "first", "before", "last", "next_of", "n_next")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_symbols: int, most_states: int) -> ContextTree:
        """The tree in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        shorter, first, before, last = states = [arrays[name] for name in ("shorter", "first", "before", "last")]
        next_of, n_next = arrays["next_of"], arrays["n_next"]
        n = states[0].size
        if not 1 <= n <= most_states or any(part.dtype != np.int32 or part.shape != (n,) for part in states):
            raise ValueError("contexts of the string model are not (s,) of int32")
        if (
            next_of.dtype != np.int64
            or n_next.dtype != np.float32
            or next_of.ndim != 1
            or next_of.shape != n_next.shape
        ):
            raise ValueError("counts of the string model are not (j,) of int64 and float32")
        if next_of.size and (next_of[0] < 0 or next_of[-1] >= n * n_symbols or (np.diff(next_of) <= 0).any()):
            raise ValueError("counts of the string model are of symbols that there are not")
        if not ((n_next >= 1) & (n_next <= MOST_COUNTED)).all():
            raise ValueError("counts of the string model are out of range")
        _require_contexts(shorter, first, before, last, n_symbols)
        return cls(n_symbols, shorter, first, before, last, next_of, n_next)


def chosen(parts: Sequence[np.ndarray], kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The `parts` of a tree, (s,) each, of the contexts that are `kept` (s,), which name each other by their places."""
    kept[ROOT] = True
    place = (np.cumsum(kept) - 1).astype(np.int32)
    shorter, first, before, last = (part[kept] for part in parts)
    return place[shorter], first, place[before], last


def _interpolated(counts: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """Counts (m, a) less discounts, which go to the probabilities of the `shorter` context (m, a).

    Counts of one, two, and three or more have a discount each, by how many counts of one to four there are (Chen &
    Goodman 1998).
    """
    n_ones, n_twos, n_threes, n_fours = (max(int((counts == n).sum()), 1) for n in (1, 2, 3, 4))
    share = n_ones / (n_ones + 2 * n_twos)
    found = (1 - 2 * share * n_twos / n_ones, 2 - 3 * share * n_threes / n_twos, 3 - 4 * share * n_fours / n_threes)
    discount = np.append(0, np.clip(found, *_DISCOUNTS))[np.clip(counts, 0, 3).astype(np.int64)]
    total = counts.sum(1, keepdims=True)
    kept = np.maximum(counts - discount, 0)
    freed = total - kept.sum(1, keepdims=True)
    return np.divide(kept + freed * shorter, total, out=shorter.copy(), where=total > 0)


def _orders(shorter: np.ndarray) -> np.ndarray:
    """The length (s,) of every context; the shorter one of each comes before it."""
    order = [0] * shorter.size
    for state, one_shorter in enumerate(shorter.tolist()):
        order[state] = order[one_shorter] + 1 if state else 0
    return np.array(order)


def _require_contexts(
    shorter: np.ndarray, first: np.ndarray, before: np.ndarray, last: np.ndarray, n_symbols: int
) -> None:
    """Raise ValueError unless contexts name shorter ones that come before them, and symbols that there are."""
    place = np.arange(shorter.size)
    for name, part in (("shorter", shorter), ("before", before)):
        if part[ROOT] != ROOT or (part[1:] < 0).any() or (part[1:] >= place[1:]).any():
            raise ValueError(f"{name} contexts of the string model do not come first")
    for part in (first, last):
        if (part < 0).any() or (part >= n_symbols).any():
            raise ValueError("contexts of the string model hold symbols that there are not")
    order = _orders(shorter)
    if (np.diff(order) < 0).any() or (order[before[1:]] != order[1:] - 1).any():
        raise ValueError("contexts of the string model are not in the order of their length")
