"""Concludes from the evidence about one column what kind it has, and why it should not be modelled."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pyarrow as pa

from vaecli.schema import Column, Kind, Role
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA, OTHER
from vaecli.tables.convert.parse import BOOLEAN_PAIRS, DATE_FORMATS, parse_numbers, parse_one_number
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
MOST_COMPARED = 2000  # of the most frequent texts
FEWEST_MEASUREMENTS = 20  # different numbers that are measured, not categories
FEWEST_MEASURED_SHARE = 0.2  # of the cells
MIN_ROWS = 20  # fewer rows may all be different, or in order, by chance
MIN_COUNTED_ROWS = 50
FREE_TEXT_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Mixed:
    """A column most of whose cells are of one kind: the first cells that are not, and how many there are."""

    kind: Kind
    first_unexpected: tuple[UnexpectedCell, ...]
    n_unexpected: int


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
    return Classification(column, impossible=_constant(numbers, n_missing))


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
        role = Role.TIME if _is_named_like_a_clock(name) else Role.KEY
        return Classification(column, advice=(role, "it counts the rows"))
    if numbers.n >= MIN_ROWS and numbers.is_sorted and _is_named_like_a_clock(name):
        return Classification(column, advice=(Role.TIME, ORDERS_THE_ROWS))
    if _names_rows(name, numbers):
        return Classification(column, advice=(Role.KEY, "its numbers never repeat, so it names the row"))
    return Classification(column)


def _ranged(name: str, kind: Kind, numbers: NumberStatistics, n_missing: int) -> Column:
    some = numbers.n_finite > 0
    return Column(
        name,
        kind,
        whole=numbers.whole and some,
        minimum=numbers.minimum if some else None,
        maximum=numbers.maximum if some else None,
        n_missing=n_missing,
        n_infinite=numbers.n_infinite,
    )


def _constant(numbers: NumberStatistics, n_missing: int) -> str:
    """The reason why there is nothing to learn from these numbers; empty if there is something."""
    if not numbers.n_finite:
        return "no row has a finite value" if numbers.n_infinite else "no row has a value"
    if numbers.minimum < numbers.maximum:
        return ""
    if numbers.differ_exactly:
        return "its values differ by less than a float of this size can"
    return "every finite value is the same" if numbers.n_infinite else _same(n_missing)


def _same(n_missing: int) -> str:
    return "every row that has a value has the same" if n_missing else "every row has the same value"


def _counts_rows(numbers: NumberStatistics) -> bool:
    if numbers.n_finite < MIN_COUNTED_ROWS or numbers.n_infinite:
        return False
    return numbers.strictly_monotone and (numbers.whole or numbers.evenly_spaced)


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
    dates = _best_dates(evidence)
    if dates is not None and dates.n_read == evidence.n:
        if (example := _ambiguous(evidence)) is not None:
            reason = f"its dates are ambiguous ({example}): day or month first?"
            return Classification(Column(name, Kind.TEXT, n_missing=evidence.n_missing), impossible=reason)
        return _datetime(name, dates.numbers, evidence.n_missing, dates.pattern, dates.zone)
    if (spellings := _pair(evidence)) is not None:
        order = tuple(text for text in evidence.order if text in spellings)
        return Classification(
            Column(name, Kind.BOOLEAN, categories=spellings, n_missing=evidence.n_missing, order=order)
        )
    mixed = None if _are_mostly_numbered_names(name, evidence) else _mixed(evidence, dates)
    if mixed is None and evidence.n_dates >= MOST * evidence.n and dates is not None:
        reason = "its dates are written in more than one way"
        return Classification(Column(name, Kind.TEXT, n_missing=evidence.n_missing), impossible=reason)
    return _categories(name, evidence, max_categories, mixed)


def _numbers_as_text(name: str, evidence: TextEvidence) -> Classification:
    numbers = evidence.as_number.numbers
    if not numbers.only_0_and_1:
        spelling = OTHER if evidence.is_respelled else ""
        return _numeric(name, numbers, evidence.n_missing, evidence.padding.width, spelling)
    met = [(text.strip(), parse_one_number(text)) for text in evidence.counts.first_met(1000) or ["0", "1"]]
    spellings = tuple(next(text for text, value in met if value == wanted) for wanted in (0, 1))
    return _boolean(name, numbers, evidence.n_missing, (spellings[0], spellings[1]))


def _best_dates(evidence: TextEvidence) -> ParseTrial | None:
    """The format that reads most cells; the first of those that read the same."""
    if not evidence.as_date:
        return None
    order = [pattern for together in DATE_FORMATS for pattern in together if pattern in evidence.as_date]
    return evidence.as_date[max(order, key=lambda pattern: evidence.as_date[pattern].n_read)]


def _ambiguous(evidence: TextEvidence) -> str | None:
    """A date that two formats read, when both read every cell."""
    complete = [pattern for pattern, trial in evidence.as_date.items() if trial.n_read == evidence.n]
    return evidence.first_cells[0].value.strip() if len(complete) > 1 else None


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
    for kind, trial in ((Kind.NUMERIC, evidence.as_number), (Kind.DATETIME, dates)):
        if trial is not None and trial.n_read >= max(10, MOST * evidence.n):
            return Mixed(kind, tuple(trial.unread), evidence.n - trial.n_read)
    if _are_numbers_among_words(evidence):
        return Mixed(Kind.NUMERIC, tuple(evidence.as_number.unread), evidence.n - evidence.as_number.n_read)
    if _are_number_like(evidence):
        return Mixed(Kind.NUMERIC, tuple(evidence.number_like), evidence.n_number_like)
    return None


def _are_numbers_among_words(evidence: TextEvidence) -> bool:
    """Whether a few texts that repeat stand among measurements: `Bad`, `No Data`, `unavailable`, dashes."""
    texts = [text for text, _ in evidence.counts.ranked()[:MOST_COMPARED]]
    _, is_word = parse_numbers(pa.array(texts, pa.large_string()))
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
        return Classification(column, impossible=_same(evidence.n_missing), mixed=mixed)
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
