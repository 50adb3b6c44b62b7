"""Reads a long table, a row per sensor and time, as its pivot: a row per series and stamp, a column per sensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.config import LongForm
from vaecli.data.clock_units import clock_seconds
from vaecli.errors import InputError, SchemaMismatch, did_you_mean, listed, quoted
from vaecli.schema import Column, Kind, Role
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert.kinds import read
from vaecli.tables.convert.labels import label_mask
from vaecli.tables.convert.parse import is_true
from vaecli.tables.convert.to_cells import time_values
from vaecli.tables.read.named_columns import requested_columns
from vaecli.tables.row_bytes import require_few_columns
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, Source, parsed_piece

MOST_SORTED_ROWS = 10_000_000  # rows of a table that is not in the order of time, which is sorted in memory
PART_BYTES = 2**24  # of rows that are pivoted at once
MOST_TAGS_AT_ONCE = 16  # how many times a batch's rows are pivoted at once, as each becomes a part of a row

# what historians, OPC servers and home automation write in the place of a reading; compared in lower case. Words that
# may be the state of a machine (off, error, shutdown) are not among them.
STATUS_WORDS = (
    "bad input", "bad data", "bad quality", "calc failed", "comm fail", "i/o timeout", "intf shut", "no data",
    "no_data", "no good data", "no result", "no sample", "not connect", "not connected", "out of serv", "pt created",
    "scan off", "scan timeout", "unavailable", "unknown",
)  # fmt: skip


@dataclass(slots=True)
class LongCounts:
    """What was met in one pass over a long table; `by_tag` (D,) are the readings of each tag."""

    by_tag: np.ndarray
    rows: int = 0
    stamps: int = 0
    repeated: int = 0  # readings of a tag at a stamp that has a later one in the table
    no_time: int = 0  # rows without a time
    no_stamp: int = 0  # rows with a time at which no tag of the model reported
    unknown: Counter[str] = field(default_factory=Counter)  # rows of each tag that the model does not have
    gaps: Counter[str] = field(default_factory=Counter)  # readings that are words, by word


@dataclass(frozen=True, slots=True)
class LongPart:
    """Rows of a long table and their pivot: row i of `rows` belongs to row `stamp[i]` of `stamps`, or −1: to none.

    `first` (s,) is the first of the rows of each stamp.
    """

    stamps: Batch
    rows: Batch
    stamp: np.ndarray
    first: np.ndarray


@dataclass(slots=True)
class LongSource:
    """The pivot of a long table as a source; `rows` is the table itself.

    A row is a series at a stamp at which one of `tags` reported, in the order of time. Its time is its earliest, and
    its cells are the latest readings of each tag, of equal times the last in the table; status words are missing. With
    `columns`, as they were at fit, so are all cells that these cannot hold. The label is that of a row that it marks.
    """

    rows: Source
    form: LongForm
    clock: Column
    tags: tuple[str, ...]
    group: str | None = None
    label: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    in_order: bool = True
    counts: LongCounts = field(init=False)

    def __post_init__(self) -> None:
        self.counts = LongCounts(np.zeros(len(self.tags), np.int64))

    @property
    def name(self) -> str:
        """The name of the table in messages."""
        return self.rows.name

    @property
    def format(self) -> str:
        """The format of the long table."""
        return self.rows.format

    @property
    def names(self) -> tuple[str, ...]:
        """The clock, the group and the label, if there are such, and the tags."""
        return (*self._others, *self.tags)

    @property
    def n_rows(self) -> None:
        """Unknown before the table is read."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the long table."""
        return self.rows.files

    @property
    def _others(self) -> tuple[str, ...]:
        return tuple(name for name in (self.clock.name, self.group, self.label) if name is not None)

    def of_tags(self, columns: Collection[Column]) -> LongSource:
        """The same table with only the tags of these columns."""
        names = {column.name for column in columns}
        return replace(self, tags=tuple(tag for tag in self.tags if tag in names))

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Rows of the pivot, already parsed."""
        return (parsed_piece(part.stamps) for part in self.parts(request))

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the rows of the pivot; see `Source.batches`."""
        for part in self.parts(request):
            yield from part.stamps.slices(request.aligned_rows)

    def parts(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[LongPart]:
        """The table in parts that end between stamps, or in one where it is not in the order of time.

        Begins to count anew. With `request.keep` what passes through is that of the long table. Raises InputError.
        """
        self.counts = LongCounts(np.zeros(len(self.tags), np.int64))
        wanted = requested_columns(self.names, request.columns, self.name)
        for rows, time in self._blocks(request):
            part = self._pivoted(rows, time, wanted)
            self.counts.stamps += part.stamps.n_rows
            yield part

    def _blocks(self, request: ReadRequest) -> Iterator[tuple[Batch, np.ndarray]]:
        names = (*self._others, self.form.name, self.form.value)
        batches = self.rows.batches(ReadRequest(names, keep=request.keep, batch_rows=request.batch_rows))
        least = request.batch_rows * min(max(len(self.tags), 1), MOST_TAGS_AT_ONCE)
        waiting: list[Batch] = []
        for batch in batches:
            waiting.append(batch)
            n_rows = sum(part.n_rows for part in waiting)
            if not self.in_order or (n_rows < least and sum(map(_bytes_of, waiting)) < PART_BYTES):
                continue
            joined = Batch.concatenate(waiting)
            time = self._times(joined)
            stamp = self.stamped(time)
            timed = stamp[~np.isnan(stamp)]
            end = int(np.flatnonzero(stamp == timed[-1])[0]) if timed.size else n_rows
            if not end and n_rows > MOST_SORTED_ROWS:
                raise InputError(
                    f"{joined.where(0)}: more than {MOST_SORTED_ROWS:,} rows have the same time",
                    "name the column that orders the rows: fit with --time",
                )
            if end:
                waiting = list(_after(waiting, end))
                yield joined.part(0, end), time[:end]
            else:
                least *= 2
        if waiting:
            rest = Batch.concatenate(waiting)
            waiting.clear()  # a table that is sorted is in memory once
            yield rest, self._times(rest)

    def _times(self, rows: Batch) -> np.ndarray:
        return clock_seconds(time_values(rows, self.clock), self.clock)

    def stamped(self, time: np.ndarray) -> np.ndarray:
        """The time of the stamp (n,) of rows at times (n,) of the clock, in seconds or units of a clock that counts."""
        every = self.form.every
        return time if every is None else np.floor(time / every) * every

    def _pivoted(self, rows: Batch, time: np.ndarray, wanted: list[str]) -> LongPart:
        tag = self._tag_codes(rows)
        group = self._group_codes(rows)
        order = np.lexsort((time, group, self.stamped(time)))[: int((~np.isnan(time)).sum())]  # NaN is last
        stamp, first = _stamps(order, self.stamped(time), group, tag >= 0)
        known = order[tag[order] >= 0]
        last = np.full((len(self.tags), first.size), -1)
        last[tag[known], stamp[known]] = known  # of equal places the last remains
        self.counts.rows += rows.n_rows
        self.counts.by_tag += np.bincount(tag[known], minlength=len(self.tags))
        self.counts.repeated += known.size - int((last >= 0).sum())
        self.counts.no_time += int(np.isnan(time).sum())
        self.counts.no_stamp += int(((stamp < 0) & ~np.isnan(time)).sum())
        value = self._values(rows)
        place = {name: j for j, name in enumerate(self.tags)}
        columns = []
        for name in wanted:
            if name in place:
                row = last[place[name]]
                columns.append(self._readings(value.take(pa.array(row, mask=row < 0)), name))
            else:
                chosen = self._labelled(rows, stamp, first) if name == self.label else first
                columns.append(arrow_types.one_array(rows.table.column(name)).take(pa.array(chosen)))
        table = pa.table(columns, names=wanted) if wanted else _without_columns(first.size)
        return LongPart(Batch(table, self.counts.stamps, partial(_where, rows.where, first)), rows, stamp, first)

    def _tag_codes(self, rows: Batch) -> np.ndarray:
        """The place of each row's tag among the tags (n,), −1 for others, which are counted."""
        found = tags_of(rows, self.form)
        place = pc.fill_null(pc.index_in(found.dictionary, value_set=pa.array(self.tags, found.dictionary.type)), -1)
        place, code = arrow_types.as_numpy(place), arrow_types.as_numpy(found.indices.fill_null(-1))
        n = np.bincount(code[code >= 0], minlength=len(place))
        others = np.flatnonzero((place < 0) & (n > 0))
        names = found.dictionary.take(pa.array(others)).to_pylist()
        self.counts.unknown.update(dict(zip(names, n[others].tolist(), strict=True)))
        return np.append(place, -1)[code].astype(np.int64)

    def _group_codes(self, rows: Batch) -> np.ndarray:
        if self.group is None:
            return np.zeros(rows.n_rows, np.int64)
        text = arrow_types.as_text(arrow_types.one_array(rows.table.column(self.group)))
        return arrow_types.as_numpy(text.dictionary_encode(null_encoding="encode").indices).astype(np.int64)

    def _labelled(self, rows: Batch, stamp: np.ndarray, first: np.ndarray) -> np.ndarray:
        assert self.label is not None
        marked = np.flatnonzero(label_mask(rows, Column(self.label, Kind.TEXT, Role.LABEL)) & (stamp >= 0))[::-1]
        chosen = first.copy()
        chosen[stamp[marked]] = marked
        return chosen

    def _values(self, rows: Batch) -> pa.Array:
        """The readings of all rows, null for status words."""
        value = arrow_types.one_array(rows.table.column(self.form.value))
        if arrow_types.family(value.type) is arrow_types.ArrowFamily.DICTIONARY:
            value = arrow_types.as_text(value)
        if arrow_types.family(value.type) is not arrow_types.ArrowFamily.TEXT:
            return value
        value = arrow_types.as_text(value)
        word = pc.utf8_lower(pc.utf8_trim_whitespace(value))
        return self._without(value, is_true(pc.is_in(word, value_set=pa.array(STATUS_WORDS, word.type))))

    def _readings(self, readings: pa.Array, tag: str) -> pa.Array:
        if tag not in self.columns:
            return readings
        unread = np.zeros(len(readings), bool)
        unread[read(readings, self.columns[tag]).failed] = True
        return self._without(readings, unread)

    def _without(self, values: pa.Array, gone: np.ndarray) -> pa.Array:
        if not gone.any():
            return values
        words = arrow_types.as_text(values.filter(pa.array(gone))).value_counts().to_pylist()
        self.counts.gaps.update({word["values"].strip(): word["counts"] for word in words})
        return pc.if_else(pa.array(gone), pa.scalar(None, values.type), values)


def long_source(rows: Source, form: LongForm, clock: Column, group: str | None, label: str | None) -> LongSource:
    """The pivot of a long table without tags, which are not known yet. Raises SchemaMismatch for missing columns.

    One pass over the clock finds whether the table is in the order of time. Raises InputError where it is not and is
    too large to be sorted.
    """
    parts = {"tag": form.name, "reading": form.value, "time": clock.name, "group": group, "label": label}
    missing = [(part, name) for part, name in parts.items() if name is not None and name not in rows.names]
    if missing:
        problems = [f"{quoted(name)} (the {part}){did_you_mean(name, rows.names)}" for part, name in missing]
        raise SchemaMismatch(
            f"{rows.name}: columns of the long table are missing:\n{listed(problems)}",
            f"its columns are {', '.join(rows.names)}",
            path=rows.name,
            column=missing[0][1],
        )
    return LongSource(rows, form, clock, (), group, label, in_order=_is_in_order(rows, clock))


def tags_of(rows: Batch, form: LongForm) -> pa.DictionaryArray:
    """The tags of the rows (n,) as text."""
    return arrow_types.as_text(arrow_types.one_array(rows.table.column(form.name))).dictionary_encode()


def require_distinct(source: LongSource) -> None:
    """Raise InputError for tags that are called like another column of the pivot, and for too many."""
    require_few_columns(len(source.names), f"{source.name}: column {quoted(source.form.name)}")
    taken = {source.clock.name, source.group, source.label} & set(source.tags)
    if taken:
        raise InputError(
            f"{source.name}: a tag is called {quoted(min(filter(None, taken)))}, as is a column of the table",
            "rename the column",
        )


def _is_in_order(rows: Source, clock: Column) -> bool:
    newest, in_order, n_rows = -np.inf, True, 0
    for batch in rows.batches(ReadRequest([clock.name])):
        time = time_values(batch, clock)
        time = time[~np.isnan(time)]
        n_rows += batch.n_rows
        if in_order and time.size:
            in_order = bool(time[0] >= newest and (np.diff(time) >= 0).all())
            newest = time[-1]
        if not in_order and n_rows > MOST_SORTED_ROWS:
            raise InputError(
                f"{rows.name}: a long table that is not in the order of column {quoted(clock.name)} has more than "
                f"{MOST_SORTED_ROWS:,} rows",
                f"sort it by {quoted(clock.name, marks=False)} first; a table in order may have any number of rows",
            )
    return in_order


def _stamps(order: np.ndarray, time: np.ndarray, group: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the stamp of each row (n,), −1 for none; the first row of each stamp).

    Rows in this `order` are by `time` (n,) of the stamp and then by `group` (n,). Stamps without a row that is `known`
    (n,) bool are left out.
    """
    begins = np.ones(order.size, bool)
    begins[1:] = (np.diff(time[order]) != 0) | (np.diff(group[order]) != 0)
    number = np.cumsum(begins) - 1
    has_known = np.zeros(int(begins.sum()), bool)
    has_known[number[known[order]]] = True
    place = np.where(has_known, np.cumsum(has_known) - 1, -1)
    stamp = np.full(time.size, -1)
    stamp[order] = place[number]
    return stamp, order[begins][has_known]


def _after(batches: Sequence[Batch], n_rows: int) -> Iterator[Batch]:
    """What remains of batches that follow each other after their first `n_rows` rows."""
    for batch in batches:
        if n_rows < batch.n_rows:
            yield batch.part(n_rows, batch.n_rows - n_rows)
        n_rows = max(n_rows - batch.n_rows, 0)


def _without_columns(n_rows: int) -> pa.Table:
    return pa.table({"": pa.nulls(n_rows)}).select([])


def _where(where: Callable[[int], str], first: np.ndarray, i: int) -> str:
    return f"{where(int(first[i]))} (the first row of its stamp)"


def _bytes_of(batch: Batch) -> int:
    held = (batch.table, batch.lines, batch.whole)
    return sum(part.nbytes for part in held if part is not None)
