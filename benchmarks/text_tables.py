"""A made-up table of numbers and a message that belong together, for `benchmarks/text.py`, with its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import record

MESSAGE, TEMPERATURE = "message", "temperature"
N_JOINT = 3_000  # rows to learn from, and to score
N_TIMED = 20_000
N_NUMBERS = 9  # beside the temperature
N_CAUSES = 3  # that these share
WARM, COLD, SPREAD = 80.0, 40.0, 8.0  # degrees


def joint_table(n: int, seed: Sequence[int]) -> pd.DataFrame:
    """n rows of a temperature of one of two levels, a message of the kind that belongs to it, and nine numbers."""
    rng = np.random.default_rng(seed)
    warm = rng.random(n) < 0.5
    temperature = np.where(warm, WARM, COLD) + SPREAD * rng.normal(size=n)
    causes = rng.normal(size=(n, N_CAUSES)) @ np.random.default_rng(0).normal(size=(N_CAUSES, N_NUMBERS))
    numbers = causes + rng.normal(size=causes.shape)
    pump, valve = rng.integers(100, size=(2, n))
    speed, opening = rng.integers(100, 1000, n), rng.integers(10, 100, n)
    message = np.where(
        warm,
        [f"ERROR pump {a:02d} overheated at {b} rpm, halted" for a, b in zip(pump, speed, strict=True)],
        [f"INFO valve {a:02d} moved to {b} % after request" for a, b in zip(valve, opening, strict=True)],
    )
    columns = {f"number_{i}": values for i, values in enumerate(numbers.T)}
    return pd.DataFrame({TEMPERATURE: temperature, MESSAGE: message, **columns})


def wrong_combinations(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows with the temperature of a row whose message is of the other kind: each column is as normal as before."""
    rng = np.random.default_rng([seed, 0xC0])
    warm = table[MESSAGE].str.startswith("ERROR").to_numpy()
    values = table[TEMPERATURE].to_numpy()
    other = np.where(warm, rng.choice(values[~warm], len(table)), rng.choice(values[warm], len(table)))
    return table.assign(**{TEMPERATURE: other})


def report_of_tables(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Parts of a Markdown page: false alarms by the number of strings, and columns that belong together."""
    parts = []
    alarms = [row for row in rows if row["part"] == "alarms"]
    if alarms:
        sizes = list(alarms[0]["false_alarms_by_size"])
        lines = [
            (kind, *(record.percent(record.mean(row["false_alarms_by_size"][size] for row in own)) for size in sizes))
            for kind, own in _by_kind(alarms)
        ]
        means = [record.percent(record.mean(row["false_alarms_by_size"][size] for row in alarms)) for size in sizes]
        titles = ("strings to learn from", *(f"{int(size):,}" for size in sizes))
        parts += ["## Fresh strings flagged at 0.99", record.markdown_table(titles, [*lines, ("mean", *means)])]
    together = [row for row in rows if row["part"] == "together"]
    if together:
        lines = [
            (
                columns,
                f"{record.mean(row[f'auroc_{columns}'] for row in together):.3f}",
                record.percent(record.mean(row[f"false_alarms_{columns}"] for row in together)),
                f"{record.mean(row[f'microseconds_{columns}'] for row in together):.0f}",
                f"{record.mean(row[f'rows_per_second_{columns}'] for row in together):,.0f}",
            )
            for columns in ("all", "message", "numbers")
        ]
        characters = record.mean(row["characters"] for row in together)
        titles = ("columns", "AUROC", "false alarms", "µs of one core per row", "rows per second")
        parts += [
            "## Message and numbers, each right, but not together",
            f"Ten numbers and a message of {characters:.0f} characters on average, {N_JOINT:,} rows to learn from.",
            record.markdown_table(titles, lines),
        ]
    return parts


def _by_kind(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(kind, [row for row in rows if row["kind"] == kind]) for kind in dict.fromkeys(row["kind"] for row in rows)]
