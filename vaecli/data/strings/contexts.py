"""The contexts that strings share, counted once: for the tree of all strings, and for those without each fold.

A context is kept where enough different strings hold it, or one that came `OFTEN`. To count without a fold is to
subtract what the strings of that fold hold, so the trees of many folds cost little more than one.

NumPy only. Shapes: n different strings, t symbols, s contexts, k folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.strings.alphabet import worth
from vaecli.data.strings.context_tree import ContextTree, chosen

_MOST_CELLS = 2**23  # candidates times symbols


@dataclass(frozen=True, slots=True)
class Contexts:
    """s contexts of strings, which `held_by` (s,) different strings hold, `lost` (s, k) fewer without each fold.

    `symbols` (t,) of string i are those from `offsets[i]`, an edge at both ends. Of the rows with string i
    `weight[i, f]` are in fold f. `parts` are `shorter`, `first`, `before` and `last` of `ContextTree`, of s contexts;
    `least` strings must hold a context that is kept.
    """

    symbols: np.ndarray
    offsets: np.ndarray
    n_symbols: int
    weight: np.ndarray
    parts: tuple[np.ndarray, ...]
    held_by: np.ndarray
    lost: np.ndarray
    least: int

    @classmethod
    def of(
        cls, symbols: np.ndarray, offsets: np.ndarray, n_symbols: int, weight: np.ndarray, longest: int, least: int
    ) -> Contexts:
        """The contexts of at most `longest` symbols that `least` strings hold or more.

        `symbols` (t,) of string i are those from `offsets[i]` (n + 1,); `weight` (n, k) is how often it came per fold.
        """
        n_folds = weight.shape[1]
        owner = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
        value = worth(weight.sum(1))
        loser, of_fold, loss = _losses(weight)
        n_losses = np.bincount(loser, minlength=value.size)
        first_loss = np.concatenate([[0], np.cumsum(n_losses)])
        start = offsets[:-1][owner]
        found, held_by = [np.zeros((4, 1), np.int32)], [np.array([value.size])]
        lost = [np.zeros((1, n_folds), np.int32)]
        state = np.zeros(symbols.size, np.int64)  # of the context of the current length before each symbol
        at = np.flatnonzero(np.arange(symbols.size) > start)
        n_states = 1
        for length in range(1, longest + 1):
            at = at[at - length >= start[at]]
            key = state[at] * n_symbols + symbols[at - length]
            order = np.argsort(key, kind="stable")
            sorted_key, sorted_at = key[order], at[order]
            is_new = np.append(True, np.diff(sorted_key) != 0) if key.size else np.empty(0, bool)
            run = np.cumsum(is_new) - 1
            other = np.flatnonzero(is_new | np.append(True, np.diff(owner[sorted_at]) != 0)[: key.size])
            holder, of_run = owner[sorted_at[other]], run[other]
            holds = np.bincount(of_run, weights=value[holder]).astype(np.int64)
            kept = holds >= least
            if not kept.any():
                break
            one = sorted_at[is_new][kept]  # an occurrence of each
            found.append(
                np.stack([state[one], symbols[one - length], state[one - 1], symbols[one - 1]]).astype(np.int32)
            )
            held_by.append(holds[kept])
            times = n_losses[holder]
            which = np.arange(times.sum()) + np.repeat(first_loss[holder] - np.cumsum(times) + times, times)
            cells = np.repeat(of_run, times) * n_folds + of_fold[which]
            of_all = np.bincount(cells, weights=loss[which], minlength=holds.size * n_folds)
            lost.append(of_all.reshape(-1, n_folds)[kept].astype(np.int32))
            number = np.where(kept, n_states + np.cumsum(kept) - 1, -1)[run]
            n_states += int(kept.sum())
            longer = np.full(symbols.size, -1, np.int64)
            longer[sorted_at] = number
            state, at = longer, np.flatnonzero(longer >= 0)
        parts = tuple(np.concatenate(found, axis=1))
        return cls(symbols, offsets, n_symbols, weight, parts, np.concatenate(held_by), np.concatenate(lost), least)

    def tree(self, most_states: int, without: int | None = None) -> ContextTree:
        """The tree of all strings, or `without` those of one fold, of at most `most_states` contexts.

        Where there are more it keeps those that predict best.
        """
        weight, held_by = self.weight.sum(1), self.held_by
        if without is not None:
            weight, held_by = weight - self.weight[:, without], held_by - self.lost[:, without]
        kept = held_by >= self.least
        most_candidates = _MOST_CELLS // self.n_symbols
        if kept.sum() > most_candidates:
            kept &= held_by > np.partition(held_by[kept], -most_candidates)[-most_candidates]
        return ContextTree.of(self.symbols, self.offsets, weight, self.n_symbols, chosen(self.parts, kept), most_states)


def _losses(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What strings of `weight` (n, k) count less without a fold: the string, ascending, the fold and the number."""
    total = weight.sum(1)
    loss = worth(total)[:, None] - np.where(total[:, None] > weight, worth(total[:, None] - weight), 0)
    string, fold = np.nonzero(loss)
    return string, fold, loss[string, fold]
