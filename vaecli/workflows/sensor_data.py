"""The training rows of sensors: which tables are series, and their rows in the order of series and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.config import FitConfig
from vaecli.data.cells import Cells
from vaecli.data.sensor_columns import SensorColumns
from vaecli.errors import InputError
from vaecli.results import OnEvent
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables import BlankRows, Source, blank_rows
from vaecli.tasks.sensors import keys_of, times_of
from vaecli.workflows.training_data import normal_batches

FEWEST_ROWS = 64
LOOKED_AT = 20_000  # rows by which a table is found to be a series
LEAST_RESEMBLANCE = 0.15  # autocorrelation of neighbouring rows in the sensor that has most of it
RESEMBLANCE_SIGMAS = 5.0  # standard deviations above what shuffled rows have
MOSTLY_RESEMBLING = 0.5  # mean autocorrelation from which the steps of the clock may be uneven
BLOCK_ROWS = 4096  # a table too large for memory is learned from by every so many blocks of its rows
GAP_STEPS = 10  # median steps that a window may span between two rows


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """The n training rows of a table, by series and within a series by time.

    `readings` (n, D) float32 or float64, NaN where missing; `time` (n,); `group` (n,) codes of series, ascending;
    `after_gap` (n,) bool: whether rows are missing before a row that were left out or not read.
    """

    readings: np.ndarray
    time: np.ndarray
    group: np.ndarray
    keys: tuple[str, ...]
    after_gap: np.ndarray
    n_read: int
    n_labelled_out: int
    n_without_time: int  # rows that were left out since they have none
    blank: BlankRows


def as_series(schema: Schema) -> Schema:
    """The same columns as sensors: those that never moved are features too, moments are not."""
    return replace(schema, columns=tuple(map(_as_sensor, schema.columns)))


def _as_sensor(column: Column) -> Column:
    if column.role is Role.FEATURE and column.kind is Kind.DATETIME:
        return replace(column, role=Role.IGNORED, reason="a moment is not the reading of a sensor")
    never_moved = column.reason.startswith("every row") and column.kind in (Kind.NUMERIC, Kind.BOOLEAN)
    if column.role is Role.IGNORED and never_moved:
        return replace(column, role=Role.FEATURE, reason="")
    return column


def is_series(source: Source, schema: Schema, config: FitConfig, on_event: OnEvent) -> bool:
    """Whether windows are to be used: as `config` asks, or else where the rows of a table with a clock are a series."""
    window = config.windows.window
    if window is not None or config.columns.long is not None:
        return window != 0
    if schema.time is None or config.columns.same_unit or schema.n_rows < 100:
        return False
    sensors = as_series(schema)
    numbers = [column for column in sensors.features if column.kind in (Kind.NUMERIC, Kind.BOOLEAN)]
    if len(numbers) < 0.5 * len(sensors.features) or not numbers:
        return False
    rows = read_series(source, sensors, on_event, most_rows=LOOKED_AT, first_only=True)
    return resembles_neighbours(rows)


def resembles_neighbours(rows: SeriesRows) -> bool:
    """Whether rows that follow each other resemble each other more than shuffled ones would.

    The measure of a sensor is one minus the von Neumann ratio of its steps, 0 in the mean for shuffled rows, with a
    standard deviation of about 1/sqrt(n). Where the steps of the clock are uneven, most sensors have to resemble. A
    single sensor with even steps is a series in any case.
    """
    same = (np.diff(rows.group) == 0) & ~rows.after_gap[1:]
    steps = np.diff(rows.time)[same]
    if steps.size < 50 or (steps == 0).mean() > 0.2:
        return False  # several devices in one table, or a clock too coarse to order the rows
    found = []
    for sensor in rows.readings.T:
        step = np.diff(sensor)[same]
        step, variance = step[np.isfinite(step)], np.nanvar(sensor[np.isfinite(sensor)]) if sensor.size else 0.0
        if variance > 0 and step.size >= 50:
            found.append(1 - float((step**2).mean()) / (2 * float(variance)))
    if not found:
        return True  # no sensor moved: what may move later is a matter of time
    positive = steps[steps > 0]
    even = float(np.quantile(positive, 0.9)) <= 1.5 * float(np.quantile(positive, 0.1))
    if len(found) == 1:  # a single sensor by itself leaves little to judge a row by but the rows before
        return even or found[0] >= LEAST_RESEMBLANCE
    enough = max(LEAST_RESEMBLANCE, RESEMBLANCE_SIGMAS / float(np.sqrt(steps.size)))
    return max(found) >= enough and (even or float(np.mean(found)) >= MOSTLY_RESEMBLING)


def read_series(
    source: Source, schema: Schema, on_event: OnEvent, *, most_rows: int, first_only: bool = False
) -> SeriesRows:
    """Read at most about `most_rows` normal rows: the first, or else blocks of rows evenly spread over the table."""
    sensors = SensorColumns(schema.features)
    n_blocks = -(-schema.n_rows // BLOCK_ROWS)
    every = 1 if first_only else max(1, -(-n_blocks * BLOCK_ROWS // max(most_rows, BLOCK_ROWS)))
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    groups = GroupCodes()
    n_read = n_normal = 0
    blank = BlankRows()
    for cells, batch, normal, _ in normal_batches(source, schema, on_event, "reading"):
        n_read, n_normal = n_read + batch.n_rows, n_normal + len(cells)
        blank += blank_rows(batch, cells)
        stays = (cells.row // BLOCK_ROWS) % every == 0
        of_batch = np.flatnonzero(normal)[stays]
        parts.append((_readings(sensors, cells, stays), times_of(batch, schema)[of_batch], cells.row[stays]))
        keys, code = keys_of(batch, schema)
        groups.add(keys, code[of_batch])
        if first_only and sum(part[1].size for part in parts) >= most_rows:
            break
    readings, time, row = (np.concatenate([part[i] for part in parts]) for i in range(3))
    group = np.concatenate(groups.parts).astype(np.int64)
    timed = ~np.isnan(time)
    order = np.lexsort((time, group))
    order = order[timed[order]]
    return SeriesRows(
        readings[order],
        time[order],
        group[order],
        tuple(map(str, groups.code)),
        _after_gap(row[order], group[order]),
        n_read,
        n_read - n_normal,
        int((~timed).sum()),
        blank,
    )


def _readings(sensors: SensorColumns, cells: Cells, stays: np.ndarray) -> np.ndarray:
    return sensors.readings(cells if stays.all() else cells[stays])


def _after_gap(row: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Whether rows are missing before each row: those that were labelled or whose block was not read.

    Only in a table in the order of time is a missing number between two rows of a series a missing row of it.
    """
    after = np.zeros(row.size, bool)
    if row.size and (np.unique(group).size == 1) and (np.diff(row) > 0).all():
        after[1:] = np.diff(row) > 1
    return after


def longest_step(rows: SeriesRows, asked: float | None) -> tuple[float, float]:
    """(the median step of the clock, the longest step that a window spans)."""
    same = (np.diff(rows.group) == 0) & ~rows.after_gap[1:]
    steps = np.diff(rows.time)[same]
    steps = steps[steps > 0]
    if not steps.size:
        return 1.0, asked or float(GAP_STEPS)
    step = float(np.median(steps))
    return step, asked or max(GAP_STEPS * step, 3 * float(np.quantile(steps, 0.99)))


def usual_steps(rows: SeriesRows) -> np.ndarray:
    """(D,) the median step from one reading of a sensor to its next; the largest float64 where it has too few."""
    steps = np.full(rows.readings.shape[1], np.finfo(np.float64).max)
    for j, readings in enumerate(rows.readings.T):
        there = ~np.isnan(readings)
        found = np.diff(rows.time[there])[np.diff(rows.group[there]) == 0]
        found = found[found > 0]
        if found.size:
            steps[j] = np.median(found)
    return steps


def pieces(rows: SeriesRows, max_gap: float) -> Iterator[slice]:
    """The stretches of rows without a gap."""
    breaks = (np.diff(rows.group) != 0) | rows.after_gap[1:] | (np.diff(rows.time) > max_gap)
    for first, last in pairwise([0, *(np.flatnonzero(breaks) + 1).tolist(), rows.time.size]):
        yield slice(first, last)


def require_rows(rows: SeriesRows, source: Source) -> None:
    """Raise InputError for a table with too few rows to learn windows from."""
    if rows.time.size < FEWEST_ROWS:
        raise InputError(
            f"{source.name}: {rows.time.size:,} normal rows with a time; windows need at least {FEWEST_ROWS}",
            "give more rows, or judge every row by itself: --window 0",
        )
