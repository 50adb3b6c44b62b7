"""Words and numbers that the user declared to mean "missing" (`--missing`), taken out of a column."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import UsageError, did_you_mean, quoted
from vaecli.tables.convert import dates, number_spellings, parse
from vaecli.tables.convert.arrow_types import ArrowFamily, as_numpy, as_text, family

LONGEST_OPTION = 1000  # characters that a message proposes


def words_of(names: Sequence[str], given: Sequence[str], table: str) -> dict[str, tuple[str, ...]]:
    """The words of each column of `names`: those of all columns, and those given as `NAME=WORD`.

    Raises UsageError for a NAME that is not a column; a word that begins with = is a word.
    """
    of_all: list[str] = []
    own: dict[str, list[str]] = {name: [] for name in names}
    for item in given:
        # a column's name may hold = as well
        name = next((item[:at] for at, one in enumerate(item) if one == "=" and item[:at] in own), None)
        if name is not None:
            own[name].append(item[len(name) + 1 :].strip())
        elif "=" in item.lstrip("="):
            unknown = item.partition("=")[0]
            raise UsageError(
                f"--missing {quoted(item)}: {table} has no column {quoted(unknown)}{did_you_mean(unknown, names)}",
                "NAME=WORD is for one column; WORD alone is for all columns",
            )
        else:
            of_all.append(item.strip())
    return {name: tuple(dict.fromkeys(word for word in [*of_all, *own[name]] if word)) for name in names}


def option_value(words: Sequence[str]) -> str:
    """The words as they follow `--missing` in a shell."""
    listing = io.StringIO()
    csv.writer(listing, lineterminator="").writerow(words)
    return shlex.quote(quoted(listing.getvalue(), LONGEST_OPTION, marks=False))


def numbers_among(words: Sequence[str]) -> np.ndarray:
    """The words that are numbers, (k,) float64."""
    if not words:
        return np.empty(0)
    found, failed = parse.parse_numbers(pa.array(words, pa.large_string()))
    return found[~failed & ~np.isnan(found)]


def words_among(words: Sequence[str]) -> tuple[str, ...]:
    """The words that are neither numbers nor read as missing without being declared."""
    if not words:
        return ()
    text = pa.array(words, pa.large_string())
    return tuple(word for word, failed in zip(words, parse.parse_numbers(text)[1].tolist(), strict=True) if failed)


def without(array: pa.Array, words: Sequence[str]) -> pa.Array:
    """The column with null in the place of the cells that mean "missing"; numbers are compared as numbers."""
    group = family(array.type)
    if not words or group not in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY, ArrowFamily.NUMBER, ArrowFamily.DATETIME):
        return array
    if group is ArrowFamily.DICTIONARY:  # which remains one, with the order of its categories
        is_missing = pa.array(_in_text(as_text(array.dictionary), words)).take(array.indices)
        kept = pc.if_else(is_missing, pa.scalar(None, array.indices.type), array.indices)
        return pa.DictionaryArray.from_arrays(kept, array.dictionary, ordered=array.type.ordered)
    if group is ArrowFamily.TEXT:
        array = as_text(array)
        return pc.if_else(pa.array(~_in_text(array, words)), array, pa.scalar(None, array.type))
    if group is ArrowFamily.DATETIME:
        wanted, _ = dates.parse_dates(pa.array(words, pa.large_string()), None)
    else:
        wanted = numbers_among(words)
    if pa.types.is_floating(array.type):
        with np.errstate(over="ignore"):
            wanted = wanted.astype(array.type.to_pandas_dtype()).astype(np.float64)
    is_missing = np.isin(parse.numbers(array), wanted[~np.isnan(wanted)])
    return pc.if_else(pa.array(~is_missing), array, pa.scalar(None, array.type))


def _in_text(text: pa.Array, words: Sequence[str]) -> np.ndarray:
    hit = pc.is_in(pc.utf8_trim_whitespace(text), value_set=pa.array(words, text.type))
    found: np.ndarray = as_numpy(pc.fill_null(hit, False))
    wanted = numbers_among(words)
    if not wanted.size:
        return found
    plain, _ = parse.parse_numbers(text)
    found = found | np.isin(plain, wanted)
    commas = pc.fill_null(number_spellings.has_comma(text), False)
    if pc.any(commas).as_py():
        certain = pc.and_(commas, pc.invert(number_spellings.may_be_thousands(number_spellings.plain(text))))
        with_comma, _ = parse.parse_numbers(text, number_spellings.DECIMAL_COMMA)
        found |= as_numpy(pc.fill_null(certain, False)) & np.isin(with_comma, wanted)
    return found
