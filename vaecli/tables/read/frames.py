"""Tables that are already in memory: pandas, Arrow, polars, NumPy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from vaecli.errors import InputError, listed
from vaecli.tables.convert.arrow_casts import without_views
from vaecli.tables.convert.arrow_types import from_numpy
from vaecli.tables.convert.valid_text import require_valid_text
from vaecli.tables.read.named_columns import reject_repeated_names, requested_columns
from vaecli.tables.row_bytes import require_few_columns
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, parsed_piece

FEW_ROWS = 4096  # that may be copied at once: to take columns out of pandas one by one costs as long as to score a row
_HINT = "give a pandas or polars DataFrame, an Arrow table, or a 2-D NumPy array"


@dataclass(frozen=True, slots=True)
class FrameSource:
    """An Arrow table in memory."""

    table: pa.Table
    name: str = "frame"
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)  # of the columns in order

    def __post_init__(self) -> None:
        """Ask Arrow for the names once."""
        object.__setattr__(self, "names", tuple(self.table.schema.names))

    @property
    def format(self) -> str:
        """The format name `frame`."""
        return "frame"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self.table.schema

    @property
    def n_rows(self) -> int:
        """Number of rows of the frame."""
        return int(self.table.num_rows)

    @property
    def files(self) -> tuple[str, ...]:
        """Empty: a frame is in memory."""
        return ()

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Slices of the frame, as `Source.pieces`."""
        return map(parsed_piece, self.batches(request))

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Slices of the frame with its own types; see `Source.batches`."""
        table = self.table.select(requested_columns(self.names, request.columns, self.name))
        require_valid_text(table, partial(_where, self.name), 0)
        rows = Batch(table, 0, partial(_where, self.name), whole=self.table if request.keep else None)
        return rows.slices(request.aligned_rows)


def frame_source(frame: Any) -> FrameSource:
    """A pandas or polars DataFrame, an Arrow table or batch, or a NumPy array (n, c) as a Source.

    The columns of an array are named `x0`, `x1`, …; NaN in pandas and NumPy is a missing cell; an index of
    pandas is not a column. Raises InputError for anything else, for repeated column names and for columns
    whose values do not share one type (all are listed).
    """
    table = without_views(_to_arrow(frame))
    source = FrameSource(table)
    require_few_columns(len(source.names), "frame")
    reject_repeated_names(source.names, "frame")
    return source


def _to_arrow(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, np.ndarray):
        return _from_array(frame)
    # a caller that has a DataFrame has imported pandas
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return _from_pandas(frame)
    if hasattr(frame, "__arrow_c_stream__"):
        try:
            return pa.table(frame)
        except MemoryError:
            raise
        except (pa.ArrowException, TypeError, ValueError) as problem:
            raise InputError(f"frame: {problem}", _HINT) from None
    raise InputError(f"frame: a {type(frame).__name__} is not a table", _HINT)


def _from_array(array: np.ndarray) -> pa.Table:
    if array.ndim != 2:
        raise InputError(f"frame: the array has {array.ndim} dimensions, a table has 2 (rows, columns)", _HINT)
    names = [f"x{j}" for j in range(array.shape[1])]
    if len(array) <= FEW_ROWS and array.dtype == np.float64:
        return _of_numbers(names, array)
    return _by_column(names, [array[:, j] for j in range(array.shape[1])])


def _from_pandas(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns.tolist()]
    reject_repeated_names(names, "frame")
    if len(frame) <= FEW_ROWS and all(kind == np.float64 for kind in frame.dtypes):
        return _of_numbers(names, frame.to_numpy())
    return _by_column(names, [column for _, column in frame.items()])


def _of_numbers(names: Sequence[str], values: np.ndarray) -> pa.Table:
    """The table of float64 `values` (n, c), NaN as null: its columns are slices of one Arrow array."""
    n, cells = len(values), from_numpy(values.ravel(order="F"))
    return pa.table([cells.slice(n * j, n) for j in range(len(names))], names=list(names))


def _by_column(names: Sequence[str], columns: Sequence[Any]) -> pa.Table:
    arrays, problems = [], []
    for name, column in zip(names, columns, strict=True):
        try:
            arrays.append(pa.array(column, from_pandas=True))
        except MemoryError:
            raise
        except (pa.ArrowException, TypeError, ValueError) as problem:
            problems.append(f"{name}: {str(problem).splitlines()[0]}")
    if problems:
        raise InputError(
            f"frame: columns without one type for all values:\n{listed(problems)}",
            "convert them, for example with `.astype(str)`",
        )
    return pa.table(arrays, names=list(names))


def _where(name: str, i: int) -> str:
    return f"{name}, row {i + 1}"
