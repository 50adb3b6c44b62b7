"""The least that scoring a table can cost: read it, append three columns, write it; all by pyarrow, in a stream.

    python benchmarks/scripts/copy_floor.py new.csv copy.csv
    python benchmarks/scripts/copy_floor.py new.parquet copy.parquet

The added columns are of the types that `vaecli score` adds: two float64 with all their digits and one boolean.
"""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

BATCH_ROWS = 65_536
ADDED = (("score", pa.float64()), ("p_value", pa.float64()), ("flag", pa.bool_()))


def main() -> None:
    """Copy the first argument to the second."""
    read, written = sys.argv[1:]
    if read.endswith(".parquet"):
        copy_parquet(read, written)
    else:
        copy_csv(read, written)


def copy_csv(read: str, written: str) -> None:
    """Parsed to numbers and printed again."""
    import pyarrow.csv as pa_csv

    with pa_csv.open_csv(read) as batches, pa_csv.CSVWriter(written, widened(batches.schema)) as writer:
        for batch in batches:
            writer.write_batch(with_columns(batch))


def copy_parquet(read: str, written: str) -> None:
    """Decoded and encoded again."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(read) as table, pq.ParquetWriter(written, widened(table.schema_arrow)) as writer:
        for batch in table.iter_batches(BATCH_ROWS):
            writer.write_batch(with_columns(batch))


def widened(schema: Any) -> Any:
    """The schema with the three columns appended."""
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in ADDED)])


def with_columns(batch: Any) -> Any:
    """The batch, followed by its first two columns again, and whether the first is positive."""
    first, second = batch.column(0), batch.column(1)
    columns = [*batch.columns, first, second, pc.greater(first, 0.0)]
    return pa.record_batch(columns, schema=widened(batch.schema))


if __name__ == "__main__":
    main()
