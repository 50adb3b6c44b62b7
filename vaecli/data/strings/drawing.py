"""Strings drawn from the model, many at once, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vaecli.data.strings.string_model import StringModel


def draw(model: StringModel, rng: np.random.Generator, n: int, most: int = 512) -> list[bytes]:
    """Draw n strings with the probabilities of the model; one that does not end within `most` bytes ends there."""
    alphabet = model.alphabet
    others = np.setdiff1d(np.arange(256), alphabet.known)
    byte_of = np.append(alphabet.known.astype(np.int64), 0)
    written = np.zeros((n, most), np.uint8)
    length = np.full(n, most)
    going = np.arange(n)
    in_symbols = np.full(n, model.symbols.step[alphabet.edge], np.int64)
    in_shapes = np.full(n, model.shapes.step[alphabet.n_shapes - 1], np.int64)
    for t in range(most):
        p = model.next_probabilities(in_symbols, in_shapes)
        cumulated = p.cumsum(1)
        symbol = (cumulated < rng.random(going.size)[:, None] * cumulated[:, -1:]).sum(1)
        goes_on = symbol != alphabet.edge
        length[going[~goes_on]] = t
        going, symbol, in_symbols, in_shapes = (part[goes_on] for part in (going, symbol, in_symbols, in_shapes))
        byte = byte_of[symbol]
        is_other = symbol == alphabet.other
        byte[is_other] = rng.choice(others, int(is_other.sum())) if others.size else 0
        written[going, t] = byte
        in_symbols = model.symbols.step[in_symbols * alphabet.n_symbols + symbol].astype(np.int64)
        in_shapes = model.shapes.step[in_shapes * alphabet.n_shapes + alphabet.shape_of[symbol]].astype(np.int64)
        if not going.size:
            break
    return [written[i, : length[i]].tobytes() for i in range(n)]
