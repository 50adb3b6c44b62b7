"""What one pass over a table learns about each column, whatever it turns out to be.

Nothing is decided here: a column of text is counted as categories, tried as numbers and tried as
dates all at once, since its last row may decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vaecli.schema import MOST_DIGITS
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert import parse as values
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.infer.counts import Distinct, ValueCounts, mixed

MAX_FAILURES = 10
SEVERAL = 2
_EXACT_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much one column may remember; a table of more columns remembers less of each."""

    n_values: int
    n_hashes: int

    @classmethod
    def for_columns(cls, n_columns: int) -> Capacity:
        """At most 3 million texts and 16 million hashes (256 MB) over all columns."""
        shared = max(n_columns, 1)
        return cls(
            n_values=min(max(3_000_000 // shared, 2048), 100_000),
            n_hashes=min(max(16_000_000 // shared, 2048), 1_000_000),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that is not what the others of its column are."""

    row: int
    where: str
    value: str


class Numbers:
    """Numbers in row order: their range, whether they are whole, all different, or evenly spaced."""

    def __init__(self, n_hashes: int) -> None:
        self.n = 0  # numbers seen, infinities included
        self.n_infinite = 0
        self.minimum = np.inf
        self.maximum = -np.inf
        self.whole = True
        self.smallest_step = np.inf  # from one finite number to the next down the file
        self.largest_step = -np.inf
        self._last: float | None = None
        self._distinct: Distinct | None = Distinct(n_hashes)

    def add(self, numbers: np.ndarray, exact: np.ndarray | None = None) -> None:
        """See `numbers`, float64 (n,), NaN where missing; `exact` are the present ones as int64."""
        present = numbers[~np.isnan(numbers)]
        finite = present[np.isfinite(present)]
        self.n += present.size
        self.n_infinite += present.size - finite.size
        if not finite.size:
            return
        self.minimum = min(self.minimum, float(finite.min()))
        self.maximum = max(self.maximum, float(finite.max()))
        self._see_steps(finite)
        self.whole = self.whole and bool((np.floor(finite) == finite).all())
        self._see_repeats(finite, exact)

    def _see_steps(self, finite: np.ndarray) -> None:
        with np.errstate(over="ignore"):  # from one end of float64 to the other is an infinite step
            steps = np.diff(finite) if self._last is None else np.diff(finite, prepend=self._last)
        self._last = float(finite[-1])
        if steps.size:
            self.smallest_step = min(self.smallest_step, float(steps.min()))
            self.largest_step = max(self.largest_step, float(steps.max()))

    def _see_repeats(self, finite: np.ndarray, exact: np.ndarray | None) -> None:
        if self._distinct is None:
            return
        if not self.whole:
            self._distinct = None  # measured, no identifier
            return
        if exact is None:
            fits = bool((np.abs(finite) < 2.0**63).all())
            exact = finite.astype(np.int64) if fits else finite.view(np.int64)
        hashes = mixed(exact.view(np.uint64))
        if np.unique(hashes).size < hashes.size:
            self._distinct = None
            return
        self._distinct.add(hashes)
        if self._distinct.has_repeats:
            self._distinct = None

    @property
    def n_finite(self) -> int:
        """Numbers that are not infinite."""
        return self.n - self.n_infinite

    @property
    def only_0_and_1(self) -> bool:
        """Whether there are zeros and ones and nothing else."""
        return self.whole and not self.n_infinite and self.minimum == 0 and self.maximum == 1

    def n_known_distinct(self) -> int | None:
        """How many whole numbers were compared with all others if no two were equal, else None."""
        if self._distinct is None or not self.n_finite or self._distinct.repeats():
            return None
        return self._distinct.sampled[1]

    @property
    def is_sorted(self) -> bool:
        """Whether each number is at least the one before it, or each at most: an export may begin with the newest."""
        return self.smallest_step >= 0 or self.largest_step <= 0

    @property
    def strictly_monotone(self) -> bool:
        """Whether each number is larger than the one before it, or each is smaller."""
        return self.smallest_step > 0 or self.largest_step < 0

    @property
    def evenly_spaced(self) -> bool:
        """Whether all steps are within a tenth of each other: clocks jitter and are rounded."""
        step = max(abs(self.smallest_step), abs(self.largest_step))
        return self.strictly_monotone and self.largest_step - self.smallest_step <= 0.1 * step


@dataclass(slots=True)
class Trial:
    """Text read one way: what came out, and the first cells that could not be read."""

    numbers: Numbers
    n_read: int = 0
    failures: list[Failure] = field(default_factory=list)
    pattern: str | None = None  # of a date, with the time of day as it is written
    zones: set[str] = field(default_factory=set)  # those that dates are written in, at most a few

    @property
    def zone(self) -> str:
        """The one zone of all dates; UTC where there are several, nothing where no date names one."""
        return next(iter(self.zones), "") if len(self.zones) < SEVERAL else "Z"

    @property
    def n_failures_wanted(self) -> int:
        """How many failures may still be remembered."""
        return MAX_FAILURES - len(self.failures)


class Padding:
    """How many digits all cells of a column have, as long as they have equally many, and whether zeros fill them up."""

    def __init__(self) -> None:
        self._digits: int | None = None  # 0 once cells differ
        self._has_zeros = False

    def see(self, text: pa.Array) -> None:
        """The next cells."""
        if self._digits == 0:
            return
        text = text.filter(pa.array(values.filled(text)))
        if not len(text):
            return
        lengths = values.lengths(text)
        alike = lengths[0] == (self._digits or lengths[0]) and bool((lengths == lengths[0]).all())
        self._digits = int(lengths[0]) if alike and values.digits_only(text) else 0
        self._has_zeros = self._has_zeros or values.any_begins_with_zero(text)

    @property
    def width(self) -> int:
        """0 where nothing is padded."""
        return self._digits if self._digits is not None and 1 < self._digits <= MOST_DIGITS and self._has_zeros else 0


Where = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Some rows of a text column by their different values. `code` (n,) is -1 where a cell is missing."""

    uniques: pa.Array
    counts: np.ndarray
    code: np.ndarray
    first_row: int
    where: Where

    @classmethod
    def of(cls, text: pa.Array, first_row: int, where: Where) -> TextBlock:
        """Cells that stand for a missing value are missing."""
        encoded = text.dictionary_encode()
        uniques = encoded.dictionary
        code = arrow_types.as_numpy(encoded.indices.fill_null(-1))
        filled = values.filled(uniques)
        if not filled.all():
            renumbered = np.append(np.where(filled, np.cumsum(filled) - 1, -1), -1)
            code, uniques = renumbered[code], uniques.filter(pa.array(filled))
        return cls(uniques, np.bincount(code[code >= 0], minlength=len(uniques)), code, first_row, where)

    def in_rows(self, by_unique: np.ndarray) -> np.ndarray:
        """A number for each unique value, as one for each row; NaN where it is missing."""
        in_rows: np.ndarray = np.append(by_unique, np.nan)[self.code]
        return in_rows

    def failures(self, failed: np.ndarray, most: int) -> list[Failure]:
        """The first rows whose value failed; `failed` is by unique value."""
        if most <= 0 or not failed.any():
            return []
        rows = np.flatnonzero(np.append(failed, False)[self.code])[:most]
        return [
            Failure(self.first_row + row, self.where(row), self.uniques[int(self.code[row])].as_py())
            for row in rows.tolist()
        ]


class TextEvidence:
    """A column of text, or one declared to be categories (`declared`)."""

    def __init__(self, capacity: Capacity, *, declared: bool) -> None:
        self.family = ArrowFamily.DICTIONARY if declared else ArrowFamily.TEXT
        self.n = 0
        self.n_missing = 0
        self.n_characters = 0
        self.counts = ValueCounts(capacity.n_values, capacity.n_hashes)
        self.as_number = Trial(Numbers(capacity.n_hashes))
        self.as_date: dict[str | None, Trial] = {}
        self.n_dates = 0  # cells that are a date in one format or another
        self.padding = Padding()
        self._n_hashes = capacity.n_hashes
        self.first_cells: list[Failure] = []  # failures of every date format that is met later

    def add(self, array: pa.Array, first_row: int, where: Where) -> None:
        """See the next rows."""
        text = arrow_types.as_text(array)
        if self._only_numbers_matter and self._add_numbers(text):
            return
        block = TextBlock.of(text, first_row, where)
        n = int(block.counts.sum())
        self.n_missing += block.code.size - n
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
        """See the next rows as numbers if all are; otherwise change nothing."""
        numbers, failed = values.parse_numbers(text)
        if failed.any():
            return False
        self.padding.see(text)
        n = int((~np.isnan(numbers)).sum())
        self.as_number.numbers.add(numbers, exact_integers(text.drop_null(), numbers))
        self.as_number.n_read += n
        self.n += n
        self.n_missing += numbers.size - n
        return True

    def _try_numbers(self, block: TextBlock) -> np.ndarray:
        """See numbers; returns which unique values are none."""
        by_unique, failed = values.parse_numbers(block.uniques)
        self.padding.see(block.uniques)
        trial = self.as_number
        if not failed.all():
            exact = exact_integers(block.uniques, by_unique)
            in_rows = None if exact is None else exact[block.code[block.code >= 0]]
            trial.numbers.add(block.in_rows(by_unique), in_rows)
            trial.n_read += int(block.counts[~failed].sum())
        trial.failures += block.failures(failed, trial.n_failures_wanted)
        return failed

    def _try_dates(self, block: TextBlock, no_number: np.ndarray) -> None:
        """See dates among the unique values that are no numbers."""
        unread = no_number & values.date_shaped(block.uniques) if no_number.any() else no_number
        read: dict[str | None, np.ndarray] = {}
        for patterns in values.DATE_FORMATS:
            if not unread.any():
                break
            which, candidates = np.flatnonzero(unread), block.uniques.filter(pa.array(unread))
            for pattern in patterns:
                seconds, failed = values.parse_dates(candidates, pattern)
                if not failed.all():
                    read[pattern] = np.full(unread.size, np.nan)
                    read[pattern][which] = seconds
                    unread[which[~failed]] = False
        for pattern, by_unique in read.items():
            self._see_dates(block, pattern, by_unique)
        self._note_cells_that_are_no_date(block, read)

    def _see_dates(self, block: TextBlock, pattern: str | None, by_unique: np.ndarray) -> None:
        if pattern not in self.as_date:
            self.as_date[pattern] = Trial(Numbers(self._n_hashes), failures=list(self.first_cells))
        trial = self.as_date[pattern]
        is_date = ~np.isnan(by_unique)
        trial.numbers.add(block.in_rows(by_unique))
        trial.n_read += int(block.counts[is_date].sum())
        dates = block.uniques.filter(pa.array(is_date))
        if pattern is not None:
            trial.pattern = max(trial.pattern or "", values.with_time_of_day(pattern, dates), key=len)
        if len(trial.zones) < SEVERAL:
            trial.zones |= values.zones(dates)

    def _note_cells_that_are_no_date(self, block: TextBlock, read: dict[str | None, np.ndarray]) -> None:
        every = np.ones(len(block.uniques), bool)
        for pattern, trial in self.as_date.items():
            failed = np.isnan(read[pattern]) if pattern in read else every
            trial.failures += block.failures(failed, trial.n_failures_wanted)
        self.first_cells += block.failures(every, MAX_FAILURES - len(self.first_cells))
        if read:
            is_date = ~np.isnan(np.vstack(list(read.values()))).all(axis=0)
            self.n_dates += int(block.counts[is_date].sum())


def exact_integers(text: pa.Array, numbers: np.ndarray) -> np.ndarray | None:
    """Text as int64 where float64 cannot tell neighbouring integers apart, None where it can or the text is none."""
    if not (np.abs(numbers) >= _EXACT_WHOLE).any():
        return None
    try:
        integers = arrow_types.as_numpy(text.cast(pa.int64()))
    except pa.ArrowInvalid:
        return None
    return integers


class TypedEvidence:
    """A column of numbers, booleans or moments as its Arrow type says."""

    def __init__(self, kind: pa.DataType, capacity: Capacity) -> None:
        self.family = arrow_types.family(kind)
        self.is_integer = pa.types.is_integer(kind)
        self.zone = str(kind.tz or "") if pa.types.is_timestamp(kind) else ""
        self.n = 0
        self.n_missing = 0
        self.numbers = Numbers(capacity.n_hashes)

    def add(self, array: pa.Array, *_place: object) -> None:
        """See the next rows."""
        numbers = values.numbers(array)
        self.is_integer = self.is_integer and pa.types.is_integer(array.type)
        exact = None
        if pa.types.is_integer(array.type):
            exact = arrow_types.as_numpy(array.drop_null().cast(pa.int64(), safe=False))
        n_before = self.numbers.n
        self.numbers.add(numbers, exact)
        n = self.numbers.n - n_before
        self.n += n
        self.n_missing += numbers.size - n


class UnreadEvidence:
    """A column whose type holds nothing that is modelled: nested values, bytes, or nothing at all."""

    def __init__(self, kind: pa.DataType) -> None:
        self.family = arrow_types.family(kind)
        self.type = str(kind)
        self.n = 0
        self.n_missing = 0

    def add(self, array: pa.Array, *_place: object) -> None:
        """See the next rows."""
        self.n += len(array) - array.null_count
        self.n_missing += array.null_count


Evidence = TextEvidence | TypedEvidence | UnreadEvidence


def evidence_for(kind: pa.DataType, capacity: Capacity) -> Evidence:
    """What to collect about a column of this Arrow type."""
    group = arrow_types.family(kind)
    if group in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY):
        return TextEvidence(capacity, declared=group is ArrowFamily.DICTIONARY)
    if group in (ArrowFamily.EMPTY, ArrowFamily.UNSUPPORTED):
        return UnreadEvidence(kind)
    return TypedEvidence(kind, capacity)
