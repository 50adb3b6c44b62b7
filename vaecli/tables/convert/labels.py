"""Which rows a label column marks as anomalies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import MAX_LISTED, UnreadableCell, quoted
from vaecli.schema import Column
from vaecli.tables.convert import arrow_types, parse as values
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.convert.to_cells import _array
from vaecli.tables.source import Batch

_ANOMALOUS = (
    "anomaly", "anomalous", "abnormal", "outlier", "attack", "fault", "faulty", "failure", "failed",
    "fraud", "malicious", "intrusion", "bad", "yes", "y", "true", "t",
)  # fmt: skip
_NORMAL = (
    "normal", "nominal", "ok", "okay", "good", "healthy", "benign", "inlier", "no", "n", "none", "false", "f",
)  # fmt: skip


def label_mask(batch: Batch, column: Column) -> np.ndarray:
    """Where the label marks an anomaly, (n,) bool.

    True, any number above 0 and words such as anomaly, attack, fault, yes do; false, 0, words such as
    normal, ok, no and an empty cell do not. Raises UnreadableCell for anything else, -1 included: it marks
    the anomalies for some and the normal rows for others.
    """
    array = _array(batch, column)
    group = arrow_types.family(array.type)
    if group is ArrowFamily.EMPTY:
        return np.zeros(len(array), bool)
    if group in (ArrowFamily.NUMBER, ArrowFamily.BOOLEAN):
        number = values.numbers(array)
        _refuse_labels(batch, column, np.flatnonzero(number < 0))
        return number > 0  # not where it is missing
    if group in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY):
        return _text_labels(batch, column, arrow_types.as_text(array))
    _refuse_labels(batch, column, np.flatnonzero(arrow_types.as_numpy(array.is_valid())))
    return np.zeros(len(array), bool)


def _text_labels(batch: Batch, column: Column, text: pa.Array) -> np.ndarray:
    encoded = text.dictionary_encode()
    word = pc.utf8_lower(pc.utf8_trim_whitespace(encoded.dictionary))
    anomalous = arrow_types.as_numpy(pc.is_in(word, value_set=pa.array(_ANOMALOUS, word.type)))
    normal = arrow_types.as_numpy(pc.is_in(word, value_set=pa.array(_NORMAL, word.type)))
    number, _ = values.parse_numbers(word)
    unclear = values.filled(word) & ~anomalous & ~normal & ~(number >= 0)
    code = arrow_types.as_numpy(encoded.indices.fill_null(-1))
    _refuse_labels(batch, column, np.flatnonzero(np.append(unclear, False)[code]))
    is_anomaly: np.ndarray = np.append(anomalous | (number > 0), False)[code]
    return is_anomaly


def _refuse_labels(batch: Batch, column: Column, rows: np.ndarray) -> None:
    if not rows.size:
        return
    labels = batch.table.column(column.name)
    met = {quoted(labels[int(row)].as_py()): batch.where(int(row)) for row in rows[:1000][::-1]}
    lines = [f"  {where}: column {quoted(column.name)} holds {value}" for value, where in reversed(met.items())]
    raise UnreadableCell(
        "labels that mean neither normal nor anomaly:\n" + "\n".join(lines[:MAX_LISTED]),
        f"write 0 and 1, false and true, or words: {', '.join(_NORMAL[:5])} and {', '.join(_ANOMALOUS[:7])}",
        path=batch.where(int(rows[0])).rpartition(", ")[0],
        row=batch.first_row + int(rows[0]) + 1,
        column=column.name,
    )
