"""Numbers that are not spelled 1234.5, rewritten so that they are.

| spelling                                  | example          | becomes  |
|-------------------------------------------|------------------|----------|
| an infinity of Microsoft's C library      | `-1.#INF`        | `-inf`   |
| a typographic minus                       | `−3.5`, `–3.5`   | `-3.5`   |
| an apostrophe before a number             | `'-2.31`         | `-2.31`  |
| thin or no-break spaces between thousands | `1 234.5`        | `1234.5` |
| a time of day or an elapsed time          | `06:05:00`, `2 days 01:00` | seconds: `21900`, `176400` |
| a decimal comma, where a column has it    | `1.234,5`        | `1234.5` |

| marks that `--decimal` and `--thousands` name | `1,234.5`    | `1234.5` |

All but the last two mean the same in every column, so each cell is read by itself. `1,234` may be one or a thousand: a
decimal comma is a property of the column (`Column.number_spelling`).
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

DECIMAL_COMMA = "decimal comma"
OTHER = "other"
_BY_HAND = "by hand: "

_MINUS = "[−–‒﹣－]"
_SPACES = "[\u00a0\u2009\u202f\u2007]"
_CLOCK = (
    r"^(?P<sign>-?)(?:(?P<d>\d{1,6}) ?(?:days?|d),? ?)?"
    r"(?P<h>\d{1,6}):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?$"
)
_HAS_COMMA = r",\d"
_THOUSANDS = r"^[+-]?\d{1,3}(?:,\d{3})+$"
# looks like a number to a person, but is not one of the above: marks between thousands, units, percent, hexadecimal
_NUMBER_LIKE = (
    r"^'?[+-]?(?:0[xX][0-9A-Fa-f]+|(?:[1-9]\d{0,2}(?:[ .,'’_]\d{3})+|\d+)(?:[.,]\d+)?)"
    r" ?(?:%|‰|[°µ]?[A-Za-zµΩ°/³²]{0,6})$"
)


def plain(text: pa.Array) -> pa.Array:
    """Trimmed text with the spellings above rewritten, decimal commas excepted; other text stays as it is."""
    text = pc.utf8_trim_whitespace(text)
    text = pc.replace_substring_regex(text, r"^'([+\-−–‒\d])", r"\1")
    text = pc.replace_substring_regex(text, r"^([+-]?)1\.#INF0*$", r"\1inf")
    text = pc.replace_substring_regex(text, f"^{_MINUS}", "-")
    text = pc.replace_substring_regex(text, rf"(\d){_SPACES}(\d{{3}})", r"\1\2")
    text = pc.replace_substring_regex(text, rf"(\d){_SPACES}(\d{{3}})", r"\1\2")  # matches do not overlap
    return _seconds(text)


def by_hand(decimal: str, thousands: str) -> str:
    """What `Column.number_spelling` is for the marks that the user names; empty for none.

    The decimal mark is a comma where points stand between thousands, otherwise a point, unless it is named.
    """
    if not decimal and not thousands:
        return ""
    decimal = decimal or ("," if thousands == "." else ".")
    if decimal == "," and thousands in ("", "."):
        return DECIMAL_COMMA
    return f"{_BY_HAND}{decimal}{thousands}"


def respelled(text: pa.Array, spelling: str) -> pa.Array:
    """The text of a column of one spelling, written as `1234.5`; null where a cell does not have its marks."""
    text = plain(text)
    if spelling == OTHER:
        return text
    marks = ",." if spelling == DECIMAL_COMMA else spelling.removeprefix(_BY_HAND)
    decimal, mark = marks[:1] or ".", marks[1:]
    digits = rf"(?:\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+|\d+)" if mark else r"\d+"
    pattern = rf"^[+-]?(?:{digits})?(?:{re.escape(decimal)}\d+)?(?:[eE][+-]?\d+)?$"
    is_number = pc.and_(pc.match_substring_regex(text, pattern), pc.match_substring_regex(text, r"^[^eE]*\d"))
    bare = pc.replace_substring(text, mark, "") if mark else text
    return pc.if_else(is_number, pc.replace_substring(bare, decimal, "."), None)


def has_comma(text: pa.Array) -> pa.BooleanArray:
    """Where a cell has a comma before a digit."""
    return pc.match_substring_regex(text, _HAS_COMMA)


def may_be_thousands(text: pa.Array) -> pa.BooleanArray:
    """Where the commas of a cell may as well stand between thousands: `1,234`."""
    return pc.match_substring_regex(text, _THOUSANDS)


def is_number_like(text: pa.Array) -> pa.BooleanArray:
    """Where a cell looks like a number in a spelling that is not read: `1,234.5`, `12 kW`, `7 %`, `0x1F`."""
    return pc.match_substring_regex(plain(text), _NUMBER_LIKE)


def _seconds(text: pa.Array) -> pa.Array:
    is_clock = pc.match_substring_regex(text, _CLOCK)
    if not pc.any(is_clock).as_py():
        return text
    part = pc.extract_regex(pc.if_else(is_clock, text, None), _CLOCK)

    def whole(name: str) -> pa.Int64Array:
        digits = part.field(name)
        return pc.fill_null(pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()), 0)

    minutes = pc.add(pc.multiply(pc.add(pc.multiply(whole("d"), 24), whole("h")), 60), whole("m"))
    seconds = pc.add(pc.multiply(minutes, 60), whole("s")).cast(text.type)
    sign, fraction = part.field("sign"), part.field("f")
    joined = pc.binary_join_element_wise(sign, seconds, pa.scalar("", text.type))
    with_fraction = pc.binary_join_element_wise(joined, fraction, pa.scalar(".", text.type))
    return pc.if_else(is_clock, pc.if_else(pc.equal(fraction, ""), joined, with_fraction), text)
