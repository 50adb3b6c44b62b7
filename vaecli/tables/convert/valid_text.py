"""Text of Arrow tables that is not UTF-8: Arrow and Parquet promise that it is, and writers in C++ do not check it."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from vaecli.errors import UnreadableCell, quoted

_PLAIN = (pa.float64().id, pa.int64().id)  # most columns, and a row in memory is asked too


def require_valid_text(table: pa.Table, where: Callable[[int], str], first_row: int) -> None:
    """Raise UnreadableCell for the first cell of a column of text, or of a dictionary of it, that is not UTF-8.

    `where` names a row of the table in messages; `first_row` is the number of its first one, from 0.
    """
    for j, kind in enumerate(table.schema.types):
        if kind.id not in _PLAIN and _is_text(kind) and (found := _first_invalid(table.column(j))) is not None:
            row, byte, position = found
            raise UnreadableCell(
                f"{where(row)}, column {quoted(table.field(j).name)}: byte 0x{byte:02x} is not UTF-8 "
                f"(byte {position + 1:,} of the cell)",
                "the program that wrote the table put another encoding into a column of text, often windows-1252: "
                "decode it there",
                row=first_row + row + 1,
                column=table.field(j).name,
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _first_invalid(column: pa.ChunkedArray) -> tuple[int, int, int] | None:
    """The row of the first cell that is not UTF-8, the first byte that is not, and its position in the cell."""
    first_row = 0
    for chunk in column.chunks:
        if not _is_valid(chunk):
            binary = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
            for i, cell in enumerate(binary.cast(pa.large_binary()).to_pylist()):
                try:
                    (cell or b"").decode()
                except UnicodeDecodeError as problem:
                    return first_row + i, cell[problem.start], problem.start
        first_row += len(chunk)
    return None


def _is_valid(array: pa.Array) -> bool:
    try:
        (array.dictionary if pa.types.is_dictionary(array.type) else array).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
