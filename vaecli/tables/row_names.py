"""Names rows by what their cells hold: one pair of 64-bit hashes per row, the same in every batch and format.

A number is its value however it is written (3, 3.0, 3e0); a text is its characters without spaces around it; a cell
that is empty is missing. So a row of a scored CSV file has the hash of the row that was scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.data.hashing import splitmix64
from vaecli.errors import InputError, quoted
from vaecli.tables.convert import arrow_types, parse
from vaecli.tables.convert.arrow_types import ArrowFamily

EXACT = 2.0**53  # from here on a float64 may stand for several whole numbers
_LANES = (np.uint64(0), np.uint64(0x5DEECE66D1CE4E5B))
_MISSING = (1, 2)
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_LEADING_ZERO = r"^[+-]?0\d"  # 007 is a code, not the number 7


def row_hashes(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """(n, 2) uint64 by the cells of the columns `names` in any order, of a table of n rows.

    Raises InputError for a column of lists or the like.
    """
    total = np.zeros((table.num_rows, 2), np.uint64)
    for name in sorted(names):
        total = splitmix64(splitmix64(total + np.array(_text_hash(name))) ^ _cell_hashes(table.column(name), name))
    return total


def cell_texts(table: pa.Table, name: str) -> list[str | None]:
    """The cells of a column (n) as text without spaces around it, None where they are empty. Raises InputError."""
    text = pc.utf8_trim_whitespace(_as_text(arrow_types.one_array(table.column(name)), name))
    return [word or None for word in arrow_types.as_code(text.cast(pa.large_string())).to_pylist()]


def inexact_rows(table: pa.Table, name: str) -> np.ndarray:
    """Rows (k,) whose cell is a float that may stand for several whole numbers, and so names no row for certain."""
    array = arrow_types.one_array(table.column(name))
    if not pa.types.is_floating(array.type):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.abs(arrow_types.as_numpy(array)) >= EXACT)


def hexadecimal(hashes: np.ndarray) -> list[str]:
    """The hashes (n, 2) as 32 digits each."""
    return [f"{first:016x}{second:016x}" for first, second in hashes.tolist()]


def from_hexadecimal(digest: str) -> tuple[int, int]:
    """The inverse of `hexadecimal`, for one row. Raises ValueError for anything else."""
    if len(digest) != 32 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f"{digest!r} is not 32 hexadecimal digits")
    return int(digest[:16], 16), int(digest[16:], 16)


def _cell_hashes(column: pa.ChunkedArray, name: str) -> np.ndarray:
    array = arrow_types.one_array(column)
    if arrow_types.family(array.type) is ArrowFamily.NUMBER:
        values = parse.numbers(array)
        if not (pa.types.is_integer(array.type) and (np.abs(values) >= EXACT).any()):
            return _number_hashes(values)
    encoded = _as_text(array, name).dictionary_encode()
    word = pc.utf8_trim_whitespace(encoded.dictionary.cast(pa.large_string()))
    is_number = parse.is_true(
        pc.and_(pc.match_substring_regex(word, _NUMBER), pc.invert(pc.match_substring_regex(word, _LEADING_ZERO)))
    )
    number = np.full(len(word), np.nan)
    number[is_number] = arrow_types.as_numpy(word.filter(pa.array(is_number)).cast(pa.float64()))
    of_words = _number_hashes(number)
    for i in np.flatnonzero(~(np.abs(number) < EXACT)):
        text = word[int(i)].as_py()
        of_words[i] = _text_hash(text) if text else _MISSING
    of_words = np.concatenate([of_words, np.array([_MISSING], np.uint64)])
    return of_words[arrow_types.as_numpy(encoded.indices.fill_null(-1))]


def _as_text(array: pa.Array, name: str) -> pa.Array:
    if arrow_types.family(array.type) is ArrowFamily.UNSUPPORTED:
        raise InputError(
            f"column {quoted(name)} holds {array.type}, by which rows cannot be named",
            "name columns of texts, numbers or dates: --key NAMES",
            column=name,
        )
    return arrow_types.as_text(array).cast(pa.large_string())


def _number_hashes(values: np.ndarray) -> np.ndarray:
    """(n, 2) of the float64 (n,); NaN is missing."""
    bits = (values + 0.0).view(np.uint64)  # -0 is 0
    hashes = np.stack([splitmix64(bits ^ lane) for lane in _LANES], axis=1)
    hashes[np.isnan(values)] = _MISSING
    return hashes


def _text_hash(text: str) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), "<u8")
