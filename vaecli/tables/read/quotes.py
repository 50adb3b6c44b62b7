"""Finds the quotes that open and close the fields of delimited text (RFC 4180), and those that cannot be meant so."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

LF, CR, QUOTE = 10, 13, 34
_TO_FIELD_END = re.compile(rb"[ \t]*")
_NUMBER_OR_DATE = re.compile(rb'[ \t"]*[-+]?\d[\d.,:eETZ+/ -]*[ \t"\r]*')


@dataclass(frozen=True, slots=True)
class Quotes:
    """Quotes in some bytes, which begin outside quotes.

    A byte is inside quotes if the number of `positions`, int64 (n,), before it is not even.
    `stray` are the positions of an opening quote and of the quote that closes it but is followed by more text; None
    where every closing quote ends its field.
    """

    positions: np.ndarray
    stray: tuple[int, int] | None = None


def find_quotes(data: bytes, delimiter: str) -> Quotes:
    """The quotes of `data`, which begins with a record.

    When every quote fits the grammar, they alternate: opening, closing, … (a doubled quote closes and opens again).
    Only a block in which one does not fit is searched quote by quote.
    """
    buffer = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(buffer == QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.zeros(256, bool)
    before[[ord(delimiter), LF, QUOTE]] = True
    after = before.copy()
    after[CR] = True
    opens = before[buffer[np.maximum(opening, 1) - 1]] | (opening == 0)
    closes = after[buffer[np.minimum(closing + 1, len(data) - 1)]]
    if opens.all() and closes.all():
        return Quotes(quotes)
    return _one_by_one(data, quotes, ord(delimiter))


def swallowed_row(
    data: bytes, quotes: np.ndarray, feeds: np.ndarray, delimiter: str, n_fields: int
) -> tuple[int, int] | None:
    """The first quote whose field holds a whole row of the table, and the position of that row; None without one.

    A line is such a row if it has `n_fields` fields of which two or more, and at least half, are numbers or dates: a
    sentence is not, and a cell that begins with the sign for inches makes one of the rows below it. `quotes` (n,) open
    and close, alternately; `feeds` (m,) are the positions of all line feeds.
    """
    if n_fields < 2:
        return None
    n_before = np.searchsorted(quotes, feeds)
    byte = delimiter.encode()
    for i in np.flatnonzero(n_before[:-1] % 2).tolist():
        opening, start, stop = int(quotes[n_before[i] - 1]), int(feeds[i]) + 1, int(feeds[i + 1])
        closes_here = n_before[i + 1] != n_before[i]
        # the last line of a first field is followed by the other fields, so it has as many as a row
        if closes_here and (opening == 0 or data[opening - 1] == LF):
            continue
        # nor does a cell that ends in a line of its own hold a row, whatever follows it
        if closes_here and byte not in data[start : int(quotes[n_before[i]])]:
            continue
        if data.count(byte, start, stop) != n_fields - 1:
            continue
        n_numbers = sum(bool(_NUMBER_OR_DATE.fullmatch(field)) for field in data[start:stop].split(byte))
        if n_numbers >= max(2, n_fields / 2):
            return opening, start
    return None


def _one_by_one(data: bytes, quotes: np.ndarray, delimiter: int) -> Quotes:
    positions: list[int] = []
    stray = None
    inside, doubled = False, -1
    for position in quotes.tolist():
        if position == doubled:
            continue
        if not inside:
            inside = position == 0 or data[position - 1] in (delimiter, LF)
            if inside:
                positions.append(position)
        elif data[position + 1 : position + 2] == b'"':
            doubled = position + 1
        else:
            inside = False
            positions.append(position)
            if stray is None and not _ends_field(data, position + 1, delimiter):
                stray = positions[-2], position
    return Quotes(np.array(positions, np.int64), stray)


def _ends_field(data: bytes, position: int, delimiter: int) -> bool:
    """Whether the field ends at `position`, except for blanks."""
    if delimiter != ord("\t"):
        blanks = _TO_FIELD_END.match(data, position)
        position = blanks.end() if blanks else position
    return position >= len(data) or data[position] in (delimiter, LF, CR)
