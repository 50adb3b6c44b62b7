"""Gives the rows of a long table, a row per sensor and time, what was computed of their stamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vaecli.errors import InputError
from vaecli.sensors.history import Histories
from vaecli.tables import LongPart, LongSource
from vaecli.tasks.written_rows import WrittenRows

if TYPE_CHECKING:
    from vaecli.tasks.sensors import SensorRows, SensorTotals


def rows_of_stamps(part: LongPart, found: WrittenRows[SensorTotals]) -> WrittenRows[SensorTotals]:
    """The rows of `part` with what was added to its stamps, in the order of the table; rows without a stamp get none.

    Rows, anomalies and rows without a score are counted anew; the worst are named by the first row of their stamp.
    """
    added = {name: _spread(values, part.stamp) for name, values in found.added.items()}
    flagged, totals = added["is_anomaly"], found.totals
    first_stamp, first_row = part.stamps.first_row, part.rows.first_row
    worst = [replace(row, row=first_row + int(part.first[row.row - 1 - first_stamp]) + 1) for row in totals.worst]
    counted = replace(
        totals,
        rows=part.rows.n_rows,
        anomalies=int(flagged.sum()),
        unscored=int(np.isnan(added["anomaly_score"]).sum()),
        worst=tuple(worst),
    )
    return WrittenRows(part.rows, added, counted, None if found.keep is None else flagged)


def _spread(values: np.ndarray, stamp: np.ndarray) -> np.ndarray:
    """Values of stamps (s,) for each row (n,); NaN, false or None for rows without a stamp."""
    empty: Any = np.nan if values.dtype.kind == "f" else False if values.dtype.kind == "b" else None
    return np.append(values, np.array([empty], values.dtype))[stamp]


def only_later(rows: Iterable[SensorRows], histories: Histories, source: LongSource) -> Iterator[SensorRows]:
    """The same rows, whose stamps must be later than all of the histories that a state holds.

    A stamp whose rows are in two files has been scored before it was complete: no score would be that of the whole.
    Raises InputError.
    """
    newest = {key: float(one.time[-1]) for key, one in histories.series.items() if one.time.size}
    for part in rows:
        before = np.array([newest.get(key, -np.inf) for key in part.keys])
        early = np.flatnonzero(source.stamped(part.time) <= source.stamped(before)[part.group])
        if early.size:
            raise InputError(
                f"{part.batch.where(int(early[0]))}: its time is not later than the last that the state has of its "
                "series: rows of one stamp in two files, or an older one, cannot be scored as in one table",
                "cut files between stamps, and give them in the order of time",
            )
        yield part
