"""Readings before, during and after events, in bins: a second look at a table, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, NOVEL
from vaecli.engines.base import features_of
from vaecli.schema import Kind, Schema
from vaecli.tables import Batch, ReadRequest, to_cells
from vaecli.tasks.sensors import keys_of, times_of

N_BINS = 240  # of each event


@dataclass(frozen=True, slots=True)
class Zoom:
    """A stretch of time of one series, and the features that are looked at."""

    key: str
    begin: float
    end: float
    features: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ZoomReadings:
    """The least and the largest reading of s features (s, N_BINS), NaN where there is none; bins with a flag."""

    low: np.ndarray
    high: np.ndarray
    flagged: np.ndarray  # (N_BINS,) bool

    def __add__(self, later: ZoomReadings) -> ZoomReadings:
        """The readings of these rows and the `later` ones."""
        return ZoomReadings(np.fmin(self.low, later.low), np.fmax(self.high, later.high), self.flagged | later.flagged)


@dataclass(slots=True)
class FlagBits:
    """An output that keeps the flags of rows, one bit for each."""

    starts: list[int] = field(default_factory=list)
    bits: list[np.ndarray] = field(default_factory=list)
    n_rows: int = 0

    def render(self, batch: Batch, added: Mapping[str, np.ndarray], keep: np.ndarray | None = None) -> np.ndarray:
        """The flags (n,) among the `added` columns (n,) of a batch. Raises ValueError where rows are left out."""
        if keep is not None or batch.n_rows != added["is_anomaly"].size:
            raise ValueError("flags are kept of all rows of a batch")
        return added["is_anomaly"]

    def append(self, rendered: np.ndarray) -> None:
        """Keep flags (n,) after those before."""
        self.starts.append(self.n_rows)
        self.bits.append(np.packbits(rendered))
        self.n_rows += rendered.size

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The flags (k,) of rows numbered (k,) from 0, ascending."""
        flags = np.zeros(rows.size, bool)
        edges = np.searchsorted(rows, [*self.starts, self.n_rows]).tolist()
        for part in np.flatnonzero(np.diff(edges)).tolist():
            mine = slice(edges[part], edges[part + 1])
            place = rows[mine] - self.starts[part]
            flags[mine] = (self.bits[part][place >> 3] >> (7 - (place & 7)).astype(np.uint8)) & 1
        return flags


@dataclass(frozen=True, slots=True)
class ReadZooms:
    """Reads batches: the readings of the rows in each zoom."""

    schema: Schema
    zooms: Sequence[Zoom]
    flags: FlagBits

    @property
    def needs(self) -> ReadRequest:
        """The features, the clock and the group."""
        others = [column.name for column in (self.schema.time, self.schema.group) if column is not None]
        return features_of(self.schema, others)

    def process(self, batch: Batch) -> dict[int, ZoomReadings]:
        """The readings by zoom, of those that have rows in this batch."""
        keys, group = keys_of(batch, self.schema)
        time = times_of(batch, self.schema)
        found = {}
        for i, zoom in enumerate(self.zooms):
            if zoom.key not in keys:
                continue
            rows = np.flatnonzero((group == keys.index(zoom.key)) & (time >= zoom.begin) & (time <= zoom.end))
            if rows.size:
                found[i] = self._readings(zoom, batch, rows, time[rows])
        return found

    def _readings(self, zoom: Zoom, batch: Batch, rows: np.ndarray, time: np.ndarray) -> ZoomReadings:
        cells = to_cells(Batch(batch.table.take(pa.array(rows)), 0, batch.where), self.schema)
        bins = np.minimum(((time - zoom.begin) / (zoom.end - zoom.begin) * N_BINS).astype(np.int64), N_BINS - 1)
        low = np.full((len(zoom.features), N_BINS), np.nan)
        high, flagged = low.copy(), np.zeros(N_BINS, bool)
        for k, j in enumerate(zoom.features):
            column, state = self.schema.features[j], cells.state[:, j]
            values = np.where(state == MISSING, np.nan, cells.values[:, j])
            if column.kind is Kind.CATEGORICAL:
                values = np.where(state == NOVEL, column.n_categories, values)
            values = np.where(np.isfinite(values), values, np.nan)
            np.fmin.at(low[k], bins, values)
            np.fmax.at(high[k], bins, values)
        flagged[bins[self.flags.at(batch.first_row + rows)]] = True
        return ZoomReadings(low, high, flagged)


def no_readings(zoom: Zoom) -> ZoomReadings:
    """The readings of no row."""
    nothing = np.full((len(zoom.features), N_BINS), np.nan)
    return ZoomReadings(nothing, nothing, np.zeros(N_BINS, bool))
