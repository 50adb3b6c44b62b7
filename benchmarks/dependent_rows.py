"""Does a threshold keep its promise where rows resemble each other: later rows of one series, rows of new devices?

Series: three columns, each a mixture of three stationary first-order autoregressive processes whose correlation falls
by 1/e in `memory` steps. vaecli learns from the first n steps (`--time`) and scores 5,000 later ones, five per memory,
so that they cover a thousand memories. Devices: three columns, each device at an offset as large as its noise;
vaecli learns from 200 rows each of g devices (`--group`) and scores 20 rows each of 250 others. No row is anomalous.

    python benchmarks/dependent_rows.py --seeds 10
    python benchmarks/dependent_rows.py --seeds 10 --arm before     # with an earlier vaecli on the path
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

KEYS = ("arm", "kind", "memory", "n", "seed")
LEVELS = (0.9, 0.95, 0.99, 0.999)
MEMORIES = (10, 100, 1_000)
SIZES = (2_000, 5_000, 20_000)
DEVICES = (5, 10, 40)
ROWS_PER_DEVICE = 200
N_FRESH = 5_000
FRESH_PER_MEMORY = 5
NEW_DEVICES = 250
SETTINGS: dict[str, Any] = {"preset": "fast", "train.max_epochs": 20}


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    cases = [("series", memory, n) for memory in MEMORIES for n in SIZES]
    cases += [("devices", 0, g) for g in DEVICES]
    for seed in range(options.seeds):
        for kind, memory, n in cases:
            if not results.has(arm=options.arm, kind=kind, memory=memory, n=n, seed=seed):
                results.add(_measured(options.arm, kind, memory, n, seed))
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="runs of each case")
    parser.add_argument("--arm", choices=("before", "now"), default="now", help="the name of what is measured")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "dependent_rows.jsonl")
    return parser.parse_args()


def series(memory: int, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The n steps to learn from, and the fresh ones."""
    persistence = np.concatenate([np.full(n, 1 - 1 / memory), np.full(N_FRESH, np.exp(-1 / FRESH_PER_MEMORY))])
    persistence[n] = np.exp(-2)  # two memories lie between the two tables
    steps = rng.normal(size=(n + N_FRESH, 3)) * np.sqrt(1 - persistence**2)[:, None]
    values = np.empty_like(steps)
    state = rng.normal(size=3)
    for i, step in enumerate(steps):
        state = persistence[i] * state + step
        values[i] = state
    table = pd.DataFrame(values @ np.random.default_rng(0).normal(size=(3, 3)), columns=["a", "b", "c"])
    table.insert(0, "t", np.arange(len(table), dtype=np.float64))
    return table.iloc[:n], table.iloc[n:]


def devices(n_devices: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the devices to learn from, and those of new devices."""

    def table(first: int, n: int, rows_each: int) -> pd.DataFrame:
        device = np.repeat(np.arange(n), rows_each)
        values = rng.normal(size=(n, 3))[device] + rng.normal(size=(device.size, 3))
        found = pd.DataFrame(values, columns=["a", "b", "c"])
        found.insert(0, "device", [f"device {first + i}" for i in device])
        return found

    return table(0, n_devices, ROWS_PER_DEVICE), table(n_devices, NEW_DEVICES, N_FRESH // NEW_DEVICES)


def _measured(arm: str, kind: str, memory: int, n: int, seed: int) -> dict[str, Any]:
    import vaecli

    rng = np.random.default_rng([seed, n, memory])
    if kind == "series":
        normal, fresh = series(memory, n, rng)
        role = {"time": "t"}
    else:
        normal, fresh = devices(n, rng)
        role = {"group": "device"}
    model = vaecli.fit(normal, seed=seed, **role, **SETTINGS)
    p_value = model.score(fresh)["p_value"].to_numpy()
    row: dict[str, Any] = {"arm": arm, "kind": kind, "memory": memory, "n": n, "seed": seed}
    row["n_effective"] = getattr(model.summary, "n_effective", None)
    row["finest_level"] = model.summary.finest_level
    row["flagged"] = {str(level): float((p_value <= round(1 - level, 9)).mean()) for level in LEVELS}
    print(row, file=sys.stderr)
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """Per case and level: the mean share flagged before and now, and in how many runs the level is promised."""
    header = ["case", "runs", "effective rows, median"]
    for level in LEVELS:
        header += [f"{level:g}: before", "promised", "then flagged", "flagged where not"]
    lines = []
    for kind, memory, n in sorted({(row["kind"], row["memory"], row["n"]) for row in rows}, reverse=True):
        case = [row for row in rows if (row["kind"], row["memory"], row["n"]) == (kind, memory, n)]
        now = [row for row in case if row["arm"] == "now"]
        before = [row for row in case if row["arm"] == "before"]
        name = f"memory {memory:,}, {n:,} rows" if kind == "series" else f"{n} devices"
        effective = [row["n_effective"] for row in now]
        line: list[Any] = [name, len(now), f"{np.median(effective):,.0f}" if effective else None]
        for level in LEVELS:
            promised = [row for row in now if level <= row["finest_level"]]
            refused = [row for row in now if level > row["finest_level"]]
            line += [_mean(before, level), f"{len(promised)} of {len(now)}", _mean(promised, level)]
            line.append(_mean(refused, level))
        lines.append(line)
    parts = (
        "# False alarms where rows resemble each other",
        "Share of fresh normal rows flagged, the mean over runs. Levels up to `finest_level` are promised; "
        "beyond it every verb warns that flags are an estimate, and names the number of independent rows. "
        f"Preset fast, at most {SETTINGS['train.max_epochs']} epochs. "
        f"Before: commit {_commits(rows, 'before')}; now: commit {_commits(rows, 'now')}.",
        record.markdown_table(header, lines),
        record.machine_line(record.machine()),
    )
    return "\n\n".join(parts) + "\n"


def _commits(rows: list[dict[str, Any]], arm: str) -> str:
    return ", ".join(sorted({row["commit"] for row in rows if row["arm"] == arm})) or "none"


def _mean(rows: list[dict[str, Any]], level: float) -> str | None:
    return record.percent(record.mean(row["flagged"][str(level)] for row in rows))


if __name__ == "__main__":
    main()
