"""Writes events as they end, one row each: CSV, Parquet or JSON lines, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import UsageError
from vaecli.results.sensor_events import SensorEvent
from vaecli.runtime.atomic_file import translated
from vaecli.runtime.urls import shown
from vaecli.schema import Column
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tables.write.targets import open_target

EXTENSIONS = (".csv", ".parquet", ".jsonl")
_COLUMNS = (
    "event",
    "group",
    "start",
    "end",
    "rows",
    "flagged_rows",
    "peak_score",
    "peak_time",
    "peak_p_value",
    "sensors",
    "open",
    "sentence",
)
_TIMES = ("start", "end", "peak_time")
_TYPES = {"event": pa.int64(), "rows": pa.int64(), "flagged_rows": pa.int64(), "open": pa.bool_()}
_TYPES |= {name: pa.float64() for name in ("peak_score", "peak_p_value")}
_ROW_GROUP = 10_000


class EventWriter(Protocol):
    """Where events go."""

    def write(self, events: Sequence[SensorEvent]) -> None:
        """Write events after those before."""


def check_event_file(target: str) -> None:
    """Raise UsageError for a name without one of EXTENSIONS."""
    if not target.lower().endswith(EXTENSIONS):
        raise UsageError(
            f"--events {shown(target)}: not a .csv, .parquet or .jsonl file", "name one, such as --events events.csv"
        )


@contextmanager
def open_event_file(target: str, clock: Column | None) -> Iterator[EventWriter]:
    """The writer for a file, by its extension; the file replaces the target when the block ends without an exception.

    `clock` is the column of times. Raises as `open_target` does, before the block runs.
    """
    opened = open_target(target)
    try:
        with translated(opened.name):
            writer = _writer(target, opened.stream, clock)
        yield writer
        with translated(opened.name):
            writer.close()
            opened.commit()
    except BaseException:
        opened.abort()
        raise


def _writer(target: str, stream: Any, clock: Column | None) -> _TextLines | _ParquetRows:
    extension = next(one for one in EXTENSIONS if target.lower().endswith(one))
    if extension == ".parquet":
        kind = _time_type(clock)
        schema = pa.schema([(name, kind if name in _TIMES else _TYPES.get(name, pa.string())) for name in _COLUMNS])
        return _ParquetRows(pq.ParquetWriter(stream, schema, compression="zstd"), [])
    if extension == ".csv":
        stream.write(_csv_line(_COLUMNS))
    return _TextLines(stream, extension == ".csv")


@dataclass(frozen=True, slots=True)
class _TextLines:
    stream: Any
    is_csv: bool

    def write(self, events: Sequence[SensorEvent]) -> None:
        for event in events:
            self.stream.write(_csv_line(_row(event).values()) if self.is_csv else _json_line(event))

    def close(self) -> None:
        """Leave the stream open, which its target closes."""


@dataclass(frozen=True, slots=True)
class _ParquetRows:
    writer: pq.ParquetWriter
    waiting: list[dict[str, Any]]

    def write(self, events: Sequence[SensorEvent]) -> None:
        for event in events:
            times = dict(zip(_TIMES, event.times, strict=True))
            is_date = pa.types.is_temporal(self.writer.schema.field("start").type)
            moments = {name: round(seconds * 1e6) for name, seconds in times.items()} if is_date else {}
            self.waiting.append(_row(event) | moments)
        if len(self.waiting) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        if self.waiting:
            self._flush()
        self.writer.close()

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_pylist(self.waiting, self.writer.schema))
        self.waiting.clear()


def _row(event: SensorEvent) -> dict[str, Any]:
    values = event.to_json() | {"sensors": event.sensors_text}
    return {name: values[name] for name in _COLUMNS}


def _csv_line(values: Any) -> bytes:
    line = io.StringIO()
    texts = (str(value).lower() if isinstance(value, bool) else "" if value is None else value for value in values)
    csv.writer(line, lineterminator="\n").writerow(texts)
    return line.getvalue().encode()


def _json_line(event: SensorEvent) -> bytes:
    return (json.dumps(event.to_json(), ensure_ascii=False, allow_nan=False) + "\n").encode()


def _time_type(clock: Column | None) -> pa.DataType:
    """Moments in microseconds and the zone of the clock; its numbers, or numbers of rows."""
    if clock is None:
        return pa.int64()
    if not clock.is_date:
        return pa.float64()
    kind = TABLE_KINDS[clock.kind].new_type(clock, False)
    return pa.timestamp("us", tz=kind.tz if pa.types.is_timestamp(kind) else None)
