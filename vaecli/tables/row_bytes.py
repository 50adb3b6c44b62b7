"""How many bytes rows take in memory: what a batch may hold, whatever its number of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import InputError

BATCH_BYTES = 8 * 2**20  # of the rows that one worker has at a time
MAX_ROW_BYTES = 32 * 2**20  # of a line of text, or of the cells of a row in a typed format
MAX_COLUMNS = 16_384  # a batch of so many costs memory and time by the column, whatever they hold
FEWEST_ROWS = 128  # of a batch of numbers, below which each column costs more than its values


def require_few_columns(n_columns: int, name: str) -> None:
    """Raise InputError for a table of more than MAX_COLUMNS columns."""
    if n_columns > MAX_COLUMNS:
        raise InputError(
            f"{name}: {n_columns:,} columns; the limit is {MAX_COLUMNS:,}",
            "keep the columns that matter, or turn the table so that they become rows",
            path=name,
        )


def row_bytes(table: pa.Table | pa.RecordBatch, *, as_text: bool = False) -> np.ndarray:
    """The bytes of the values of each row, (n,) float64, however the rows came in batches.

    A dictionary's values count only with `as_text`, each in every row where it stands, as in delimited text.
    """
    total = np.zeros(table.num_rows)
    for column in table.columns:
        total += _bytes_of(column, as_text=as_text)
    return total


def value_bytes(kind: pa.DataType) -> float | None:
    """The bytes of any value of a type; None where they differ."""
    try:
        return float(kind.bit_width / 8) if not pa.types.is_dictionary(kind) else None
    except ValueError:
        return 0.0 if pa.types.is_null(kind) else None


def _bytes_of(column: pa.Array | pa.ChunkedArray, *, as_text: bool) -> np.ndarray | float:
    kind = column.type
    if (width := value_bytes(kind)) is not None:
        return width
    if isinstance(kind, pa.BaseExtensionType):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        parts = [_bytes_of(chunk.storage, as_text=as_text) * np.ones(len(chunk)) for chunk in chunks]
        return np.concatenate([*parts, np.zeros(0)])
    if pa.types.is_dictionary(kind):
        return _bytes_of_codes(column) if as_text else float(kind.index_type.bit_width / 8)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _numbers(pc.list_value_length(column)) * (value_bytes(kind.value_type) or 8.0)
    if pa.types.is_nested(kind) or pa.types.is_run_end_encoded(kind):
        return 0.0
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # Arrow does not measure views
        column = column.cast(pa.large_binary())
    return _numbers(pc.binary_length(column))


def _bytes_of_codes(column: pa.DictionaryArray | pa.ChunkedArray) -> np.ndarray:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [np.zeros(0)]
    for chunk in chunks:
        lengths = _bytes_of(chunk.dictionary, as_text=True) * np.ones(len(chunk.dictionary))
        codes = _numbers(chunk.indices.cast(pa.int64()), -1).astype(np.int64)
        parts.append(np.append(lengths, 0.0)[codes])
    return np.concatenate(parts)


def _numbers(array: pa.Array | pa.ChunkedArray, missing: int = 0) -> np.ndarray:
    found: np.ndarray = pc.fill_null(array, missing).to_numpy(zero_copy_only=False).astype(np.float64)
    return found
