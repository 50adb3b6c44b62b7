"""The bytes of a column as symbols, and each symbol's shape: a digit, a capital, a small letter, or itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vaecli.data.strings.texts import Texts

N_BYTES = 256
LEAST_STRINGS = 5  # different ones of training that must share what the model keeps of them
OFTEN = 20  # rows with one and the same string: no secret of one of them
_SHAPES = ((b"0123456789", 0), (bytes(range(65, 91)), 1), (bytes(range(97, 123)), 2))
_CONTINUED, _LEADING = 3, 4  # bytes of characters beyond ASCII
_N_CLASSES = 5


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The symbols of a column: its `known` (m,) bytes, uint8 ascending, then one for any other, then the edge.

    The edge ends a string, and stands before its first symbol.
    """

    known: np.ndarray
    symbol_of_byte: np.ndarray = field(init=False, repr=False, compare=False)  # (256,)
    shape_of: np.ndarray = field(init=False, repr=False, compare=False)  # (n_symbols,) 0…n_shapes−1

    def __post_init__(self) -> None:
        """Compute the tables of symbols and shapes."""
        symbol = np.full(N_BYTES, self.known.size, np.int64)
        symbol[self.known] = np.arange(self.known.size)
        of_byte = np.arange(N_BYTES) + _N_CLASSES
        for members, shape in _SHAPES:
            of_byte[np.frombuffer(members, np.uint8)] = shape
        of_byte[0x80:0xC0], of_byte[0xC0:] = _CONTINUED, _LEADING
        shapes, shape_of = np.unique(of_byte[self.known], return_inverse=True)
        object.__setattr__(self, "symbol_of_byte", symbol)
        object.__setattr__(self, "shape_of", np.append(shape_of, [shapes.size, shapes.size + 1]).astype(np.int64))

    @classmethod
    def of(cls, strings: Texts, weight: np.ndarray) -> Alphabet:
        """The alphabet of different strings, of which each came `weight` (n,) times: bytes that enough of them have."""
        owner = np.repeat(np.arange(len(strings)), strings.length)
        met = np.unique(owner * N_BYTES + strings.data)
        n_strings = np.bincount(met % N_BYTES, weights=worth(weight)[met // N_BYTES], minlength=N_BYTES)
        return cls(np.flatnonzero(n_strings >= LEAST_STRINGS).astype(np.uint8))

    @property
    def other(self) -> int:
        """The symbol of bytes that are not known."""
        return int(self.known.size)

    @property
    def edge(self) -> int:
        """The symbol of both ends of a string."""
        return int(self.known.size) + 1

    @property
    def n_symbols(self) -> int:
        """Symbols in all."""
        return int(self.known.size) + 2

    @property
    def n_shapes(self) -> int:
        """Shapes in all; the last one is the edge."""
        return int(self.shape_of[-1]) + 1

    @property
    def n_others(self) -> int:
        """How many bytes are not known."""
        return N_BYTES - int(self.known.size)


def worth(weight: np.ndarray) -> np.ndarray:
    """The number of strings that each of the different ones (n,) counts as, which came `weight` (n,) times."""
    return np.where(weight >= OFTEN, LEAST_STRINGS, 1)
