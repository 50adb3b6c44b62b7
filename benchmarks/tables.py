"""The synthetic tables of the speed and memory benchmarks: 30 numeric columns moved by five hidden factors, with noise.

A row depends on the seed and on its place, not on the format: CSV and Parquet of one seed hold the same rows, to the
last digit. Tables are made 100,000 rows at a time, so a large one needs no more memory than a small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

N_COLUMNS = 30
N_FACTORS = 5
STEP_ROWS = 100_000
NAMES = [f"x{j + 1}" for j in range(N_COLUMNS)]
SCHEMA = pa.schema([(name, pa.float64()) for name in NAMES])
LOADINGS_SEED = 0  # the process that generates all tables; the seed of a table, from 1, draws only its rows


def steps(n_rows: int, seed: int = 1) -> Iterator[pa.Table]:
    """Correlated normal factors plus noise, float64, at most 100,000 rows each. `seed` is at least 1."""
    loadings = np.random.default_rng(LOADINGS_SEED).normal(size=(N_FACTORS, N_COLUMNS))
    rng = np.random.default_rng(seed)
    for start in range(0, n_rows, STEP_ROWS):
        n = min(STEP_ROWS, n_rows - start)
        rows = rng.normal(size=(n, N_FACTORS)) @ loadings + 0.5 * rng.normal(size=(n, N_COLUMNS))
        yield pa.table(dict(zip(NAMES, rows.T, strict=True)))


def write_parquet(path: Path, n_rows: int, group_rows: int, seed: int = 1, n_columns: int = N_COLUMNS) -> None:
    """Write the first columns in row groups of `group_rows`, never much more than one in memory."""
    beside, names = path.with_suffix(".part"), NAMES[:n_columns]
    with pq.ParquetWriter(beside, pa.schema([SCHEMA.field(name) for name in names])) as writer:
        group: list[pa.Table] = []
        for step in steps(n_rows, seed):
            group.append(step.select(names))
            if sum(map(len, group)) >= group_rows:
                writer.write_table(pa.concat_tables(group), row_group_size=group_rows)
                group = []
        if group:
            writer.write_table(pa.concat_tables(group), row_group_size=group_rows)
    beside.replace(path)


def write_csv(path: Path, n_rows: int, seed: int = 1) -> None:
    """Write them as text from which the same float64 numbers are read."""
    beside = path.with_suffix(".part")
    with pa_csv.CSVWriter(beside, SCHEMA) as writer:
        for step in steps(n_rows, seed):
            writer.write_table(step)
    beside.replace(path)
