"""Concludes from the evidence about one column what kind it has, and why it should not be modelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vaecli.schema import Column, Kind, Role
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.convert.dates import DATE_FORMATS, unread_dates
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA, OTHER
from vaecli.tables.convert.parse import BOOLEAN_PAIRS, parse_numbers, parse_one_number
from vaecli.tables.infer.evidence import (
    Evidence,
    NumberStatistics,
    ParseTrial,
    TextEvidence,
    TypedEvidence,
    UnexpectedCell,
)

MOST = 0.9  # share of cells: a column with this many numbers is meant to hold numbers
ORDERS_THE_ROWS = "it orders the rows; future rows would all look new"
MOST_STATUS_WORDS = 10  # different ones that may stand among measurements
HALF_A_DAY = 12 * 3600  # seconds from one row of a log to the next, at most
WEEKS = 20 * 86_400  # seconds that a log with day and month swapped jumps at midnight, at least
MUCH_LONGER = 26  # times the span of dates in another reading: more than monthly dates of one day have since 2001
MOST_COMPARED = 2000  # of the most frequent texts
FEWEST_MEASUREMENTS = 20  # different numbers that are measured, not categories
FEWEST_MEASURED_SHARE = 0.2  # of the cells
MIN_ROWS = 20  # fewer rows may all be different, or in order, by chance
MIN_COUNTED_ROWS = 50
FREE_TEXT_CHARACTERS = 60
_EPOCH_2000, _EPOCH_2100 = 946_684_800, 4_102_444_800  # seconds since 1970
# moments of 2000 to 2100: since 1970 in seconds, milli-, micro- and nanoseconds; in Excel's days; as 20240102 and
# 20240102030405
CLOCK_RANGES = (
    *((_EPOCH_2000 * unit, _EPOCH_2100 * unit) for unit in (1, 1e3, 1e6, 1e9)),
    (36_526, 73_051),
    (20_000_101, 21_000_101),
    (20_000_101_000_000, 21_000_101_000_000),
)


@dataclass(frozen=True, slots=True)
class Mixed:
    """A column most of whose cells are of one kind: the first cells that are not, and how many there are."""

    kind: Kind
    first_unexpected: tuple[UnexpectedCell, ...]
    n_unexpected: int
    words: tuple[str, ...] = ()  # the different texts among numbers, where they are few
    is_spelled_otherwise: bool = False  # the cells look like numbers


@dataclass(frozen=True, slots=True)
class Classification:
    """What the values of one column suggest.

    `column` describes it as a feature. `impossible` is the reason why it cannot be one; empty if it can. `advice` is
    another role that its values suggest and the reason, which the user may overrule.
    """

    column: Column
    impossible: str = ""
    advice: tuple[Role, str] | None = None
    mixed: Mixed | None = None
    is_unsupported: bool = False  # the type itself cannot be read
    typed: bool = False  # it was to be text, and its type has no characters


def classify(name: str, evidence: Evidence, max_categories: int, *, is_index: bool = False) -> Classification:
    """The kind of a column, and whether it can and should be a feature; `is_index` for the index of a pandas frame."""
    found = _classify(name, evidence, max_categories)
    if is_index and found.advice is None:  # an index of dates in order remains the clock
        return replace(found, advice=(Role.KEY, "pandas wrote it as the index, so it names the row"), mixed=None)
    return found


def _classify(name: str, evidence: Evidence, max_categories: int) -> Classification:
    if evidence.family is ArrowFamily.UNSUPPORTED:
        return Classification(
            Column(name, Kind.TEXT, n_missing=evidence.n_missing),
            impossible=getattr(evidence, "reason", ""),
            is_unsupported=True,
        )
    if evidence.n == 0:
        return Classification(Column(name, Kind.TEXT, n_missing=evidence.n_missing), impossible="no row has a value")
    if isinstance(evidence, TypedEvidence):
        return _typed(name, evidence)
    assert isinstance(evidence, TextEvidence)
    return _text(name, evidence, max_categories)


# -- columns with a type of their own -----------------------------------------------------------


def _typed(name: str, evidence: TypedEvidence) -> Classification:
    if evidence.family is ArrowFamily.DATETIME:
        return _datetime(name, evidence.numbers, evidence.n_missing, None, evidence.zone)
    if evidence.family is ArrowFamily.BOOLEAN:
        return _boolean(name, evidence.numbers, evidence.n_missing, ("false", "true"))
    if evidence.numbers.only_0_and_1:
        spellings = ("0", "1") if evidence.is_integer else ("0.0", "1.0")
        return _boolean(name, evidence.numbers, evidence.n_missing, spellings)
    return _numeric(name, evidence.numbers, evidence.n_missing)


def _boolean(name: str, numbers: NumberStatistics, n_missing: int, spellings: tuple[str, str]) -> Classification:
    column = Column(name, Kind.BOOLEAN, categories=spellings, n_missing=n_missing)
    if reason := _constant(numbers, n_missing):
        column = replace(column, minimum=numbers.minimum, maximum=numbers.maximum)
        return Classification(column, impossible=reason)
    return Classification(column)


def _datetime(name: str, numbers: NumberStatistics, n_missing: int, pattern: str | None, zone: str) -> Classification:
    column = replace(_ranged(name, Kind.DATETIME, numbers, n_missing), datetime_format=pattern, zone=zone)
    if reason := _constant(numbers, n_missing):
        return Classification(column, impossible=reason)
    if numbers.n >= MIN_ROWS and numbers.is_nearly_sorted:
        return Classification(column, advice=(Role.TIME, ORDERS_THE_ROWS))
    return Classification(column)


def _numeric(
    name: str, numbers: NumberStatistics, n_missing: int, width: int = 0, spelling: str = ""
) -> Classification:
    column = replace(_ranged(name, Kind.NUMERIC, numbers, n_missing), width=width, number_spelling=spelling)
    if reason := _constant(numbers, n_missing):
        return Classification(column, impossible=reason)
    if _counts_rows(numbers):
        role = Role.TIME if _is_named_like_a_clock(name) or _is_clock_like(numbers) else Role.KEY
        return Classification(column, advice=(role, "it counts the rows"))
    is_rising = numbers.is_sorted and _is_named_like_a_clock(name)
    if numbers.n >= MIN_ROWS and (is_rising or (numbers.is_nearly_sorted and _is_clock_like(numbers))):
        return Classification(column, advice=(Role.TIME, ORDERS_THE_ROWS))
    if _names_rows(name, numbers):
        return Classification(column, advice=(Role.KEY, "its numbers never repeat, so it names the row"))
    return Classification(column)


def _ranged(name: str, kind: Kind, numbers: NumberStatistics, n_missing: int) -> Column:
    some = numbers.n_finite > 0 and not numbers.differ_exactly  # else its range is not known
    placeholders, low, high = numbers.extremes.placeholders() if kind is Kind.NUMERIC else ((), 0.0, 0.0)
    minimum, maximum = (low, high) if placeholders else (numbers.minimum, numbers.maximum)
    spikes = numbers.extremes.spikes() if kind is Kind.NUMERIC and not placeholders else ()
    return Column(
        name,
        kind,
        whole=numbers.whole and some,
        minimum=minimum if some else None,
        maximum=maximum if some else None,
        n_missing=n_missing,
        n_infinite=numbers.n_infinite,
        placeholders=placeholders,
        spikes=spikes,
    )


def _constant(numbers: NumberStatistics, n_missing: int) -> str:
    """The reason why there is nothing to learn from these numbers; empty if there is something."""
    if not numbers.n_finite:
        return "no row has a finite value" if numbers.n_infinite else "no row has a value"
    if numbers.minimum < numbers.maximum:
        return ""
    if numbers.differ_exactly:
        return "its values differ by less than a float of this size can"
    return "every finite value is the same" if numbers.n_infinite else same_value(n_missing)


def same_value(n_missing: int) -> str:
    """The reason why a column of one value has nothing to learn from."""
    return "every row that has a value has the same" if n_missing else "every row has the same value"


def _counts_rows(numbers: NumberStatistics) -> bool:
    if numbers.n_finite < MIN_COUNTED_ROWS or numbers.n_infinite:
        return False
    return numbers.strictly_monotone and (numbers.whole or numbers.evenly_spaced)


def _is_clock_like(numbers: NumberStatistics) -> bool:
    """Whether all numbers are moments of 2000 to 2100 in one of the units that clocks count in."""
    return any(low <= numbers.minimum and numbers.maximum < high for low, high in CLOCK_RANGES)


def _names_rows(name: str, numbers: NumberStatistics) -> bool:
    """Whether whole numbers that never repeat are identifiers.

    Measurements would repeat: m of n values, drawn from a range of R whole numbers, coincide with another about
    m(n-1)/(2R) times (the birthday problem). If at least ten repeats are expected and none occurs, that is not chance.
    """
    n_distinct = numbers.n_known_distinct() if numbers.whole and not numbers.n_infinite else None
    if n_distinct is None:
        return False
    expected = n_distinct * (numbers.n_finite - 1) / (2 * (numbers.maximum - numbers.minimum + 1))
    return expected >= 10 or is_named_like_a_key(name)


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", spaced.lower())


_KEY_WORDS = {"id", "ids", "uid", "uuid", "guid", "idx", "pk", "rowid", "rownum"}
_KEY_ENDINGS = {"key", "index", "serial"}
_CLOCK_WORDS = {"time", "times", "timestamp", "datetime", "date", "epoch", "ts", "tick", "ticks", "step", "cycle"}
_CLOCK_WORDS |= {"second", "seconds", "minute", "minutes", "hour", "hours", "day", "days"}


def is_named_like_a_key(name: str) -> bool:
    """Whether a column of this name is one that names rows: id, uuid, Product ID, row number, Unnamed: 0."""
    words = _words(name)
    if not words:
        return False
    numbered = words[-1] in {"number", "no", "nr", "num"} and words[-2:-1] in (["row"], ["serial"], ["record"])
    return bool(_KEY_WORDS & set(words)) or words[-1] in _KEY_ENDINGS or numbered or words[0] == "unnamed"


def _is_named_like_a_clock(name: str) -> bool:
    words = set(_words(name))
    return (bool(words & _CLOCK_WORDS) and not words & _KEY_WORDS) or name.strip().lower() == "t"


# -- columns of text ----------------------------------------------------------------------------


def _text(name: str, evidence: TextEvidence, max_categories: int) -> Classification:
    if evidence.as_number.n_read == evidence.n:
        return _numbers_as_text(name, evidence)
    if evidence.with_comma is not None and evidence.comma_is_certain:
        return _numeric(name, evidence.with_comma.numbers, evidence.n_missing, spelling=DECIMAL_COMMA)
    formats = _without_jumps(evidence, _complete_formats(evidence))
    if len(formats) > 1:
        example = evidence.first_cells[0].value.strip()
        return _unusable(name, evidence, f"its dates are ambiguous ({example}): {_question(formats)}")
    dates = evidence.as_date[formats[0]] if formats else _best_dates(evidence)
    if dates is not None and formats:
        return _datetime(name, dates.numbers, evidence.n_missing, dates.pattern, dates.zone)
    if (spellings := _pair(evidence)) is not None:
        order = tuple(text for text in evidence.order if text in spellings)
        return Classification(
            Column(name, Kind.BOOLEAN, categories=spellings, n_missing=evidence.n_missing, order=order)
        )
    mixed = None if _are_mostly_numbered_names(name, evidence) else _mixed(evidence, dates)
    if mixed is None and evidence.n_dates >= MOST * evidence.n and dates is not None:
        return _unusable(name, evidence, "its dates are written in more than one way")
    if mixed is None and (reason := _why_dates_are_unread(evidence)):
        return _unusable(name, evidence, reason)
    return _categories(name, evidence, max_categories, mixed)


def _numbers_as_text(name: str, evidence: TextEvidence) -> Classification:
    numbers = evidence.as_number.numbers
    if not numbers.only_0_and_1:
        spelling = evidence.spelling or (OTHER if evidence.is_respelled else "")
        return _numeric(name, numbers, evidence.n_missing, evidence.padding.width, spelling)
    met = [(text.strip(), parse_one_number(text)) for text in evidence.counts.first_met(1000) or ["0", "1"]]
    spellings = tuple(next(text for text, value in met if value == wanted) for wanted in (0, 1))
    return _boolean(name, numbers, evidence.n_missing, (spellings[0], spellings[1]))


def _unusable(name: str, evidence: TextEvidence, reason: str) -> Classification:
    return Classification(Column(name, Kind.TEXT, n_missing=evidence.n_missing), impossible=reason)


def _best_dates(evidence: TextEvidence) -> ParseTrial | None:
    """The format that reads most cells; the first of those that read the same."""
    if not evidence.as_date:
        return None
    order = [pattern for together in DATE_FORMATS for pattern in together if pattern in evidence.as_date]
    return evidence.as_date[max(order, key=lambda pattern: evidence.as_date[pattern].n_read)]


def _complete_formats(evidence: TextEvidence) -> list[str | None]:
    """The date formats that read every cell; more than one if nothing decides between them.

    A year of two digits may come first or last (24/01/15). Dates of a table lie close together, so the reading that
    spans far less time is right, unless it may be one date of every year (31/12/15). Where that does not decide, the
    year is last as in most tables, but nothing is guessed against the spans, or for the form of ISO 8601 (24-01-15).
    """
    complete = [pattern for pattern, trial in evidence.as_date.items() if trial.n_read == evidence.n]
    first: list[str | None] = [one for one in complete if one is not None and one.startswith("%y")]
    last = [pattern for pattern in complete if pattern not in first]
    if not first or not last:
        return complete
    trials_first, trials_last = ([evidence.as_date[one] for one in some] for some in (first, last))
    if _are_much_closer(trials_first, trials_last):
        return first if _is_no_yearly_date(trials_first) else complete
    if "%y-%m-%d" not in first:
        return last
    return last if _are_much_closer(trials_last, trials_first) and _is_no_yearly_date(trials_last) else complete


def _without_jumps(evidence: TextEvidence, formats: list[str | None]) -> list[str | None]:
    """Of several formats the one in which rows with times of day follow each other, if all others jump by weeks.

    A log goes on at midnight; with day and month swapped it jumps by a month there. Rows of one day of each month are
    a day apart in the wrong reading, so longer steps than HALF_A_DAY decide nothing.
    """
    steps = {one: evidence.as_date[one].numbers.longest_step for one in formats if one is not None}
    near = [one for one, step in steps.items() if step <= HALF_A_DAY and "%M" in (evidence.as_date[one].pattern or "")]
    if len(near) != 1 or any(step < WEEKS for one, step in steps.items() if one != near[0]):
        return formats
    return [near[0]]


def _are_much_closer(some: Sequence[ParseTrial], others: Sequence[ParseTrial]) -> bool:
    """Whether the dates of one reading lie much closer together than those of any other."""
    span, other = (min(one.numbers.maximum - one.numbers.minimum for one in trials) for trials in (some, others))
    return MUCH_LONGER * span < other


def _is_no_yearly_date(trials: Sequence[ParseTrial]) -> bool:
    """Whether these dates have times of day, or lie in several months: in another reading, not all are of one day."""
    months = [np.array([one.numbers.minimum, one.numbers.maximum]).astype("datetime64[s]") for one in trials]
    return any(one.pattern and "%M" in one.pattern for one in trials) or all(
        first.astype("datetime64[M]") != last.astype("datetime64[M]") for first, last in months
    )


def _question(formats: Sequence[str | None]) -> str:
    return "year first or last?" if any(one and one.startswith("%y") for one in formats) else "day or month first?"


def _why_dates_are_unread(evidence: TextEvidence) -> str:
    """The reason why a column that holds dates to a person has none that are read; empty for other columns."""
    ranked = evidence.counts.ranked()[:MOST_COMPARED]
    texts, counts = [text for text, _ in ranked], [count for _, count in ranked]
    unread, why = unread_dates(pa.array(texts, pa.large_string()))
    if not why or sum(counts) == 0 or unread @ counts < MOST * sum(counts):
        return ""
    return f"its dates ({texts[int(unread.argmax())].strip()}) are not read: {why}"


def _pair(evidence: TextEvidence) -> tuple[str, str] | None:
    """The first spellings of (false, true) if the texts are one known pair of words, else None."""
    met = evidence.counts.first_met(100)
    if met is None:
        return None
    words = [text.strip() for text in met]
    for false, true in BOOLEAN_PAIRS:
        if {word.lower() for word in words} == {false, true}:
            return tuple(next(word for word in words if word.lower() == wanted) for wanted in (false, true))  # type: ignore[return-value]
    return None


def _are_mostly_numbered_names(name: str, evidence: TextEvidence) -> bool:
    """Whether these are identifiers, most of which happen to be numbers: 536365, 536366, C536367."""
    return evidence.counts.distinct_share() == 1 and _names_rows(name, evidence.as_number.numbers)


def _mixed(evidence: TextEvidence, dates: ParseTrial | None) -> Mixed | None:
    """The cells that are not of the kind of nearly all others, in a column of numbers or dates; None for others."""
    if evidence.spelling and evidence.n_number_like:
        return _misspelled(evidence)
    words = _words_among_numbers(evidence)
    for kind, trial in ((Kind.NUMERIC, evidence.as_number), (Kind.DATETIME, dates)):
        if trial is not None and trial.n_read >= max(10, MOST * evidence.n):
            known = () if kind is Kind.DATETIME or evidence.n_number_like else words
            spelled = kind is Kind.NUMERIC and evidence.n_number_like > 0
            return Mixed(kind, tuple(trial.unread), evidence.n - trial.n_read, known, spelled)
    if _are_numbers_among_words(evidence):
        n_words = evidence.n - evidence.as_number.n_read
        return Mixed(Kind.NUMERIC, tuple(evidence.as_number.unread), n_words, words)
    if _are_number_like(evidence):
        return _misspelled(evidence)
    return None


def _misspelled(evidence: TextEvidence) -> Mixed:
    """Cells that look like numbers and are not spelled as others of the column, or as asked."""
    return Mixed(Kind.NUMERIC, tuple(evidence.number_like), evidence.n_number_like, is_spelled_otherwise=True)


def _words_among_numbers(evidence: TextEvidence) -> tuple[str, ...]:
    """The different texts that are not numbers, at most as many as may be status words; none if there are more."""
    texts = [text for text, _ in evidence.counts.ranked()]
    _, is_word = parse_numbers(pa.array(texts, pa.large_string()), evidence.spelling)
    words = tuple(texts[i].strip() for i in is_word.nonzero()[0])
    return words if len(words) <= MOST_STATUS_WORDS else ()


def _are_numbers_among_words(evidence: TextEvidence) -> bool:
    """Whether a few texts that repeat stand among measurements: `Bad`, `No Data`, `unavailable`, dashes."""
    texts = [text for text, _ in evidence.counts.ranked()[:MOST_COMPARED]]
    _, is_word = parse_numbers(pa.array(texts, pa.large_string()), evidence.spelling)
    n_words = int(is_word.sum())
    n_numbers = len(texts) - n_words
    return (
        0 < n_words <= MOST_STATUS_WORDS
        and n_numbers >= FEWEST_MEASUREMENTS
        and evidence.as_number.n_read >= FEWEST_MEASURED_SHARE * evidence.n
    )


def _are_number_like(evidence: TextEvidence) -> bool:
    """Whether nearly all cells look like numbers, of many values, in a spelling that is not read."""
    n_alike = evidence.as_number.n_read + evidence.n_number_like
    n_distinct = evidence.counts.n_distinct_about()
    return evidence.n_number_like > 0 and n_alike >= MOST * evidence.n and n_distinct >= FEWEST_MEASUREMENTS


def _categories(name: str, evidence: TextEvidence, max_categories: int, mixed: Mixed | None) -> Classification:
    n_distinct = evidence.counts.n_distinct()
    ranked = evidence.counts.ranked()
    if n_distinct is not None and n_distinct <= max_categories:
        frequent = [text for text, _ in ranked]
    else:
        frequent = [text for text, count in ranked if count > 1][:max_categories]
    # the user may ask for a column whose values all occur once
    categories = tuple(frequent or [text for text, _ in ranked][:max_categories])
    has_other = len(categories) != n_distinct
    column = Column(
        name,
        Kind.CATEGORICAL,
        categories=categories,
        has_other=has_other,
        n_folded=max(evidence.counts.n_distinct_about() - len(categories), 1) if has_other else 0,
        order=tuple(text for text in evidence.order if text in set(categories)),
        n_missing=evidence.n_missing,
    )
    if n_distinct == 1:
        return Classification(column, impossible=same_value(evidence.n_missing), mixed=mixed)
    return Classification(column, advice=_advice(evidence, has_categories=bool(frequent)), mixed=mixed)


def _advice(evidence: TextEvidence, *, has_categories: bool) -> tuple[Role, str] | None:
    share = evidence.counts.distinct_share()
    if evidence.n >= MIN_ROWS and share == 1:
        return Role.KEY, "every value is different, so it names the row"
    if evidence.n > 1000 and share >= 0.95:
        return Role.KEY, f"{min(int(share * 1000) / 10, 99.9):g} % of its values are different, so it names the row"
    if evidence.n_characters > FREE_TEXT_CHARACTERS * evidence.n and share > 0.5:
        return Role.IGNORED, "it is free text"
    return None if has_categories else (Role.IGNORED, "hardly any value comes twice")
