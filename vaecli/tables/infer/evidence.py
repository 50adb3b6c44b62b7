"""What one pass over a table learns about each column, whatever it turns out to be.

Nothing is decided here. A column of text is counted as categories, parsed as numbers and parsed as dates at the same
time, since its last row may decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.data.hashing import splitmix64
from vaecli.schema import MOST_DIGITS
from vaecli.tables.convert import arrow_types, dates as date_texts, number_spellings, parse as values
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.infer.counts import DistinctSample, ValueCounts
from vaecli.tables.infer.extremes import Extremes

MAX_UNEXPECTED = 10
FEWEST_STEPS = 50  # of which one may go back
SEVERAL = 2
_EXACT_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many values and hashes one column may store: fewer per column in a table of more columns."""

    n_values: int
    n_hashes: int

    @classmethod
    def for_columns(cls, n_columns: int) -> Capacity:
        """At most 3 million texts and 16 million hashes (256 MB) for all columns together."""
        shared = max(n_columns, 1)
        return cls(
            n_values=min(max(3_000_000 // shared, 2048), 100_000),
            n_hashes=min(max(16_000_000 // shared, 2048), 1_000_000),
        )


@dataclass(frozen=True, slots=True)
class UnexpectedCell:
    """A cell that does not parse as the others of its column do."""

    row: int
    where: str
    value: str


class NumberStatistics:
    """Statistics of numbers in row order: their range, whether they are whole, all different, or evenly spaced."""

    def __init__(self, n_hashes: int) -> None:
        self.n = 0  # numbers seen, infinities included
        self.n_infinite = 0
        self.minimum = np.inf
        self.maximum = -np.inf
        self.whole = True
        self.differ_exactly = False  # whole numbers that are one float are not one number
        self._first_exact: int | None = None
        self.n_up = self.n_down = 0  # steps from one finite number to the next down the file
        self.smallest_step = np.inf  # from one finite number to the next down the file
        self.largest_step = -np.inf
        self.extremes = Extremes()
        self._last: float | None = None
        self._distinct: DistinctSample | None = DistinctSample(n_hashes)

    def add(self, numbers: np.ndarray, exact: np.ndarray | None = None) -> None:
        """Add the next `numbers`, float64 (n,), NaN where missing; `exact` (m,) holds the m present ones as int64."""
        present = numbers[~np.isnan(numbers)]
        finite = present[np.isfinite(present)]
        self.n += present.size
        self.n_infinite += present.size - finite.size
        if not finite.size:
            return
        self.minimum = min(self.minimum, float(finite.min()))
        self.maximum = max(self.maximum, float(finite.max()))
        self.extremes.add(finite)
        if exact is not None and exact.size and self.minimum == self.maximum:
            self._first_exact = int(exact[0]) if self._first_exact is None else self._first_exact
            self.differ_exactly = self.differ_exactly or bool((exact != self._first_exact).any())
        self._add_steps(finite)
        self.whole = self.whole and bool((np.floor(finite) == finite).all())
        self._add_hashes(finite, exact)

    def _add_steps(self, finite: np.ndarray) -> None:
        with np.errstate(over="ignore"):  # from one end of float64 to the other is an infinite step
            steps = np.diff(finite) if self._last is None else np.diff(finite, prepend=self._last)
        self._last = float(finite[-1])
        if steps.size:
            self.n_up += int((steps > 0).sum())
            self.n_down += int((steps < 0).sum())
            self.smallest_step = min(self.smallest_step, float(steps.min()))
            self.largest_step = max(self.largest_step, float(steps.max()))

    def _add_hashes(self, finite: np.ndarray, exact: np.ndarray | None) -> None:
        if self._distinct is None:
            return
        if not self.whole:
            self._distinct = None  # a measurement, not an identifier
            return
        if exact is None:
            fits = bool((np.abs(finite) < 2.0**63).all())
            exact = finite.astype(np.int64) if fits else finite.view(np.int64)
        hashes = splitmix64(exact.view(np.uint64))
        if np.unique(hashes).size < hashes.size:
            self._distinct = None
            return
        self._distinct.add(hashes)
        if self._distinct.has_repeats:
            self._distinct = None

    @property
    def n_finite(self) -> int:
        """How many of the numbers are finite."""
        return self.n - self.n_infinite

    @property
    def only_0_and_1(self) -> bool:
        """Whether both 0 and 1 occur, and nothing between or beyond them."""
        return self.whole and not self.n_infinite and self.minimum == 0 and self.maximum == 1

    def n_known_distinct(self) -> int | None:
        """How many whole numbers were compared with all others; None if two were equal or not all are whole."""
        if self._distinct is None or not self.n_finite or self._distinct.repeats():
            return None
        return self._distinct.sampled[1]

    @property
    def is_sorted(self) -> bool:
        """Whether each number is at least the one before it, or each at most: an export may begin with the newest."""
        return self.smallest_step >= 0 or self.largest_step <= 0

    @property
    def is_nearly_sorted(self) -> bool:
        """Whether at most one step in a hundred goes against all others: a swapped line, the double hour in October."""
        n_steps = self.n_up + self.n_down
        return self.is_sorted or (n_steps >= FEWEST_STEPS and 100 * min(self.n_up, self.n_down) <= max(n_steps, 100))

    @property
    def longest_step(self) -> float:
        """The longest step from one finite number to the next down the file, in either direction; 0 without steps."""
        return max(abs(self.smallest_step), abs(self.largest_step)) if self.n_finite > 1 else 0.0

    @property
    def strictly_monotone(self) -> bool:
        """Whether each number is larger than the one before it, or each is smaller."""
        return self.smallest_step > 0 or self.largest_step < 0

    @property
    def evenly_spaced(self) -> bool:
        """Whether all steps are within a tenth of each other: clocks jitter and are rounded."""
        return self.strictly_monotone and self.largest_step - self.smallest_step <= 0.1 * self.longest_step


@dataclass(slots=True)
class ParseTrial:
    """A column of text parsed in one way: statistics of the results, and the first cells that did not parse."""

    numbers: NumberStatistics
    n_read: int = 0
    unread: list[UnexpectedCell] = field(default_factory=list)
    pattern: str | None = None  # of a date, with the time of day as it is written
    zones: set[str] = field(default_factory=set)  # those that dates are written in, at most a few

    @property
    def zone(self) -> str:
        """The one zone of all dates; UTC where there are several, empty where no date names one."""
        return next(iter(self.zones), "") if len(self.zones) < SEVERAL else "Z"

    @property
    def n_unread_wanted(self) -> int:
        """How many more cells that did not parse may be stored."""
        return MAX_UNEXPECTED - len(self.unread)


class ZeroPadding:
    """Whether the numbers of a column are padded with zeros to one common number of digits (`007`, `042`)."""

    def __init__(self) -> None:
        self._digits: int | None = None  # 0 once cells differ
        self._has_zeros = False

    def add(self, text: pa.Array) -> None:
        """Add the next cells."""
        if self._digits == 0:
            return
        text = text.filter(pa.array(values.filled(text)))
        if not len(text):
            return
        lengths = values.lengths(text)
        same_length = lengths[0] == (self._digits or lengths[0]) and bool((lengths == lengths[0]).all())
        self._digits = int(lengths[0]) if same_length and values.digits_only(text) else 0
        self._has_zeros = self._has_zeros or values.any_begins_with_zero(text)

    @property
    def width(self) -> int:
        """The common number of digits; 0 where no cell is padded."""
        return self._digits if self._digits is not None and 1 < self._digits <= MOST_DIGITS and self._has_zeros else 0


Where = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """n consecutive rows of a text column, dictionary-encoded.

    `uniques` (u,) are the distinct values, `counts` (u,) how often each occurs, and `code` (n,) the index of each
    row's value in `uniques`, -1 where the cell is missing. `missing_words` has how often each word stands for that.
    """

    uniques: pa.Array
    counts: np.ndarray
    code: np.ndarray
    first_row: int
    where: Where
    missing_words: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: pa.Array, first_row: int, where: Where) -> TextBlock:
        """Encode `text` (n,); empty cells and missing-value tokens are missing."""
        encoded = text.dictionary_encode()
        uniques = encoded.dictionary
        code = arrow_types.as_numpy(encoded.indices.fill_null(-1))
        filled = values.filled(uniques)
        words: dict[str, int] = {}
        if not filled.all():
            n_cells = np.bincount(code[code >= 0], minlength=len(uniques))
            words = {uniques[i].as_py().strip(): int(n_cells[i]) for i in np.flatnonzero(~filled).tolist()}
            renumbered = np.append(np.where(filled, np.cumsum(filled) - 1, -1), -1)
            code, uniques = renumbered[code], uniques.filter(pa.array(filled))
        return cls(uniques, np.bincount(code[code >= 0], minlength=len(uniques)), code, first_row, where, words)

    def in_rows(self, by_unique: np.ndarray) -> np.ndarray:
        """Numbers per unique value (u,) as numbers per row (n,); NaN where the cell is missing."""
        in_rows: np.ndarray = np.append(by_unique, np.nan)[self.code]
        return in_rows

    def first_cells(self, failed: np.ndarray, most: int) -> list[UnexpectedCell]:
        """The first cells, at most `most`, whose value is marked in `failed` (u,) bool."""
        if most <= 0 or not failed.any():
            return []
        rows = np.flatnonzero(np.append(failed, False)[self.code])[:most]
        return [
            UnexpectedCell(self.first_row + row, self.where(row), self.uniques[int(self.code[row])].as_py())
            for row in rows.tolist()
        ]


class TextEvidence:
    """What is known about a column of text, or about one that its type declares to be categories (`declared`)."""

    def __init__(self, capacity: Capacity, *, declared: bool, spelling: str = "") -> None:
        self.spelling = spelling  # of numbers, as the user asks
        self.family = ArrowFamily.DICTIONARY if declared else ArrowFamily.TEXT
        self.n = 0
        self.n_missing = 0
        self.missing_words: Counter[str] = Counter()  # how many cells each word makes missing, the empty one too
        self.n_characters = 0
        self.counts = ValueCounts(capacity.n_values, capacity.n_hashes)
        self.as_number = ParseTrial(NumberStatistics(capacity.n_hashes))
        self.with_comma: ParseTrial | None = None  # as numbers with a decimal comma, as long as every cell is one
        self.comma_is_certain = False  # a comma was met that cannot stand between thousands
        self.is_respelled = False  # a number was not spelled 1234.5
        self.n_number_like = 0  # cells that look like numbers to a person and are not read as such
        self.number_like: list[UnexpectedCell] = []
        self._before = NumberStatistics(capacity.n_hashes)  # of the blocks before this one
        self._may_begin_commas = True  # all cells so far are whole numbers
        self.as_date: dict[str | None, ParseTrial] = {}
        self.n_dates = 0  # cells that are a date in one format or another
        self.padding = ZeroPadding()
        self._n_hashes = capacity.n_hashes
        self.order: list[str] = []  # of the categories of an ordered dictionary
        self.first_cells: list[UnexpectedCell] = []  # no date format that first occurs later parses them

    def add(self, array: pa.Array, first_row: int, where: Where) -> None:
        """Add the next rows, whose first is number `first_row` of the table."""
        text = arrow_types.as_text(array)
        if pa.types.is_dictionary(array.type) and array.type.ordered:
            known = set(self.order)
            self.order += [one for one in arrow_types.as_text(array.dictionary).to_pylist() if one not in known]
        if self._only_numbers_matter and self._add_numbers(text):
            return
        block = TextBlock.of(text, first_row, where)
        n = int(block.counts.sum())
        self.n_missing += block.code.size - n
        self.missing_words.update(block.missing_words)
        if not n:
            return
        self.counts.add(block.uniques, block.counts)
        self.n_characters += int(block.counts @ values.lengths(block.uniques))
        if self.family is ArrowFamily.TEXT:
            self._try_dates(block, self._try_numbers(block))
        self.n += n

    @property
    def _only_numbers_matter(self) -> bool:
        # so many different numbers and nothing else: counting them as categories would cost more than
        # all the rest, and text that comes later is still counted
        return self.family is ArrowFamily.TEXT and self.as_number.n_read == self.n and not self.counts.is_exact

    def _add_numbers(self, text: pa.Array) -> bool:
        """Add the next rows if all are numbers and return True; otherwise change nothing and return False."""
        numbers, failed = values.parse_numbers(text, self.spelling)
        if failed.any():
            return False
        self.padding.add(text)
        n = int((~np.isnan(numbers)).sum())
        self.as_number.numbers.add(numbers, exact_integers(text.drop_null(), numbers))
        self.as_number.n_read += n
        self.n += n
        self.n_missing += numbers.size - n
        return True

    def _try_numbers(self, block: TextBlock) -> np.ndarray:
        """Add the cells that are numbers; returns (u,) bool, true for values that are not numbers."""
        by_unique, failed = values.parse_numbers(block.uniques, self.spelling)
        if failed.any() and self._may_begin_commas:
            self._before = deepcopy(self.as_number.numbers)
        self.padding.add(block.uniques)
        trial = self.as_number
        if not failed.all():
            exact = exact_integers(block.uniques, by_unique)
            in_rows = None if exact is None else exact[block.code[block.code >= 0]]
            trial.numbers.add(block.in_rows(by_unique), in_rows)
            trial.n_read += int(block.counts[~failed].sum())
        trial.unread += block.first_cells(failed, trial.n_unread_wanted)
        self._try_commas(block, failed)
        if not self.is_respelled and not failed.all():
            self.is_respelled = not values.are_plain_numbers(block.uniques.filter(pa.array(~failed)))
        return failed

    def _try_commas(self, block: TextBlock, failed: np.ndarray) -> None:
        """Add the block to the trial with decimal commas, which ends with the first cell that is not such a number."""
        if failed.any():
            number_like = np.zeros(failed.size, bool)
            unread = block.uniques.filter(pa.array(failed))
            number_like[failed] = arrow_types.as_numpy(number_spellings.is_number_like(unread))
            self.n_number_like += int(block.counts[number_like].sum())
            self.number_like += block.first_cells(number_like, MAX_UNEXPECTED - len(self.number_like))
            if self.with_comma is None and self._may_begin_commas and not self.spelling:
                self.with_comma = ParseTrial(self._before, n_read=self.n)
            self._may_begin_commas = False
        self._may_begin_commas = self._may_begin_commas and self.as_number.numbers.whole
        if self.with_comma is None:
            return
        by_unique, not_comma = values.parse_numbers(block.uniques, number_spellings.DECIMAL_COMMA)
        if not_comma.any():
            self.with_comma = None
            return
        has_comma = number_spellings.plain(block.uniques.filter(number_spellings.has_comma(block.uniques)))
        certain = pc.any(pc.invert(number_spellings.may_be_thousands(has_comma))).as_py()
        self.comma_is_certain = self.comma_is_certain or bool(certain)
        self.with_comma.numbers.add(block.in_rows(by_unique))
        self.with_comma.n_read += int(block.counts.sum())

    def _try_dates(self, block: TextBlock, not_number: np.ndarray) -> None:
        """Add the dates among the unique values that are not numbers, `not_number` (u,) bool."""
        unread = not_number & date_texts.date_shaped(block.uniques) if not_number.any() else not_number
        read: dict[str | None, np.ndarray] = {}
        for patterns in date_texts.DATE_FORMATS:
            if not unread.any():
                break
            index, candidates = np.flatnonzero(unread), block.uniques.filter(pa.array(unread))
            for pattern in patterns:
                seconds, failed = date_texts.parse_dates(candidates, pattern)
                if not failed.all():
                    read[pattern] = np.full(unread.size, np.nan)
                    read[pattern][index] = seconds
                    unread[index[~failed]] = False
        for pattern, by_unique in read.items():
            self._add_dates(block, pattern, by_unique)
        self._note_cells_that_are_not_dates(block, read)

    def _add_dates(self, block: TextBlock, pattern: str | None, by_unique: np.ndarray) -> None:
        if pattern not in self.as_date:
            self.as_date[pattern] = ParseTrial(NumberStatistics(self._n_hashes), unread=list(self.first_cells))
        trial = self.as_date[pattern]
        is_date = ~np.isnan(by_unique)
        trial.numbers.add(block.in_rows(by_unique))
        trial.n_read += int(block.counts[is_date].sum())
        dates = block.uniques.filter(pa.array(is_date))
        if pattern is not None:
            trial.pattern = max(trial.pattern or "", date_texts.with_time_of_day(pattern, dates), key=len)
        if len(trial.zones) < SEVERAL:
            trial.zones |= date_texts.zones(dates)

    def _note_cells_that_are_not_dates(self, block: TextBlock, read: dict[str | None, np.ndarray]) -> None:
        every = np.ones(len(block.uniques), bool)
        for pattern, trial in self.as_date.items():
            failed = np.isnan(read[pattern]) if pattern in read else every
            trial.unread += block.first_cells(failed, trial.n_unread_wanted)
        self.first_cells += block.first_cells(every, MAX_UNEXPECTED - len(self.first_cells))
        if read:
            is_date = ~np.isnan(np.vstack(list(read.values()))).all(axis=0)
            self.n_dates += int(block.counts[is_date].sum())


def exact_integers(text: pa.Array, numbers: np.ndarray) -> np.ndarray | None:
    """Text as int64 (n,), beyond its range with the bits of uint64; None for fractions.

    None also if float64 can distinguish all of `numbers` (n,).
    """
    if not (np.abs(numbers) >= _EXACT_WHOLE).any():
        return None
    for kind in (pa.int64(), pa.uint64()):
        try:
            return arrow_types.as_numpy(text.cast(kind)).view(np.int64)
        except pa.ArrowInvalid:
            continue
    return None


class TypedEvidence:
    """What is known about a column whose Arrow type is numbers, booleans or moments."""

    def __init__(self, kind: pa.DataType, capacity: Capacity) -> None:
        self.family = arrow_types.family(kind)
        self.is_integer = pa.types.is_integer(kind)
        self.zone = str(kind.tz or "") if pa.types.is_timestamp(kind) else ""
        self.n = 0
        self.n_missing = 0
        self.numbers = NumberStatistics(capacity.n_hashes)
        self._decimals = pa.array([], pa.large_string())  # the first that differ, as long as they are one float

    def add(self, array: pa.Array, *_position: object) -> None:
        """Add the next rows."""
        numbers = values.numbers(array)
        self.is_integer = self.is_integer and pa.types.is_integer(array.type)
        exact = None
        if pa.types.is_integer(array.type):
            exact = arrow_types.as_numpy(array.drop_null().cast(pa.int64(), safe=False))
        n_before = self.numbers.n
        self.numbers.add(numbers, exact)
        if pa.types.is_decimal(array.type) and self.numbers.minimum == self.numbers.maximum:
            self._decimals = pc.unique(pa.concat_arrays([self._decimals, array.cast(pa.large_string())]).drop_null())[
                :2
            ]
            self.numbers.differ_exactly = len(self._decimals) > 1
        n = self.numbers.n - n_before
        self.n += n
        self.n_missing += numbers.size - n


class UnreadEvidence:
    """What is known about a column whose type is not modelled: nested values, bytes, or the null type."""

    def __init__(self, kind: pa.DataType) -> None:
        self.family = arrow_types.family(kind)
        self.reason = (
            "an interval of months, days and time: cast it to seconds"
            if pa.types.is_interval(kind)
            else f"values of type {kind} are not supported"
        )
        self.n = 0
        self.n_missing = 0

    def add(self, array: pa.Array, *_position: object) -> None:
        """Add the next rows."""
        self.n += len(array) - array.null_count
        self.n_missing += array.null_count


Evidence = TextEvidence | TypedEvidence | UnreadEvidence


def evidence_for(kind: pa.DataType, capacity: Capacity, spelling: str = "") -> Evidence:
    """An empty collection of the evidence that suits a column of this Arrow type."""
    group = arrow_types.family(kind)
    if group in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY):
        return TextEvidence(capacity, declared=group is ArrowFamily.DICTIONARY, spelling=spelling)
    if group in (ArrowFamily.EMPTY, ArrowFamily.UNSUPPORTED):
        return UnreadEvidence(kind)
    return TypedEvidence(kind, capacity)
