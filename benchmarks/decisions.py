"""Do `flag --fdr 0.05` and `calibrate --by` keep what they promise?

The rate: a model is fitted on normal rows; then many tables of fresh normal rows with 5 % faults (one cell of a row put
ten standard deviations off) are flagged with `--fdr 0.05`, and the share of normal rows among the flagged ones is
counted, 0 where none is flagged. Its mean has to be at most 0.05, with 0.06 as the limit.

Groups: a model is fitted on the rows of all groups together, without the column that names them, and calibrated on
fresh rows with and without `--by`. Each group should be flagged at 0.99 in 0.5 to 1.5 % of its later rows.

    python benchmarks/decisions.py --data DIR
    python benchmarks/decisions.py              without the tables of the data folder
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
from false_alarms import factors, mixed_kinds

import vaecli

KEYS = ("part", "table", "seed")
RATE = 0.05
N_TABLES, N_ROWS = 100, 1_000  # tables flagged per fit, and their rows
SEEDS = range(5)
N_FIT, N_FRESH = 5_000, 10_000
NOISE = (0.5, 1.0, 1.0, 1.0, 1.5, 2.5)  # of the simulated groups
N_CALIBRATE, N_LATER = 2_000, 5_000  # rows of a group, at most


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for name, table in _rate_tables(options.data).items():
        for seed in SEEDS:
            if options.redo or not results.has(part="rate", table=name, seed=seed):
                results.add({"part": "rate", "table": name, "seed": seed, **_rate(table, seed)})
                print(name, seed, flush=True, file=sys.stderr)
    for name, table in _group_tables(options.data).items():
        if options.redo or not results.has(part="groups", table=name, seed=0):
            results.add({"part": "groups", "table": name, "seed": 0, "groups": _groups(table)})
            print(name, flush=True, file=sys.stderr)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "decisions.json")
    parser.add_argument("--data", type=Path, help="folder that holds mixed/nslkdd and sensors/SMD")
    return parser.parse_args()


# ---------------------------------------------------------------- the rate


def _rate_tables(data: Path | None) -> dict[str, Any]:
    tables: dict[str, Any] = {"factors": factors, "mixed_kinds": mixed_kinds}
    if data is not None:
        nslkdd = pd.read_csv(record.data_folder(str(data), "mixed") / "mixed/nslkdd/train.csv")
        tables["nslkdd"] = lambda n, rng: nslkdd.iloc[rng.permutation(len(nslkdd))[:n]].reset_index(drop=True)
    return tables


def _rate(draw: Any, seed: int) -> dict[str, Any]:
    """Shares over N_TABLES tables: of normal rows among the flagged ones, and of the faults that were found."""
    rng = np.random.default_rng([seed, 0xFD])
    rows = draw(N_FIT + 2 * N_FRESH, rng)
    n_fit = min(N_FIT, len(rows) // 2)
    model = vaecli.fit(rows[:n_fit], preset="fast", seed=seed)
    fresh = rows[n_fit:].reset_index(drop=True)
    normal = model.score(fresh[: len(fresh) // 2])
    faulty = model.score(_with_faults(fresh[len(fresh) // 2 :], rng))
    false, found, n_flagged = [], [], []
    n_faults = round(RATE * N_ROWS)
    for _ in range(N_TABLES):
        table = pd.concat(
            [
                normal.iloc[rng.choice(len(normal), N_ROWS - n_faults, replace=False)],
                faulty.iloc[rng.choice(len(faulty), n_faults, replace=False)],
            ],
            ignore_index=True,
        )
        flagged = model.flag(table, fdr=RATE)["is_anomaly"].to_numpy()
        n_false = int(flagged[: N_ROWS - n_faults].sum())
        n_flagged.append(int(flagged.sum()))
        false.append(n_false / max(n_flagged[-1], 1))
        found.append((n_flagged[-1] - n_false) / n_faults)
    return {
        "calibration_rows": model.summary.n_calibration_rows,
        "tables": N_TABLES,
        "false_share": float(np.mean(false)),
        "found_share": float(np.mean(found)),
        "flagged": float(np.mean(n_flagged)),
    }


def _with_faults(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The rows with one number of each put ten standard deviations off."""
    rows = rows.reset_index(drop=True)
    numbers = [name for name in rows if rows[name].dtype.kind in "iuf" and rows[name].nunique() > 5]
    rows = rows.astype(dict.fromkeys(numbers, float))
    which = rng.integers(len(numbers), size=len(rows))
    for j, name in enumerate(numbers):
        rows.loc[which == j, name] = rows[name].mean() + 10 * rows[name].std()
    return rows


# ---------------------------------------------------------------- groups


def _group_tables(data: Path | None) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    parts = []
    for i, noise in enumerate(NOISE):
        part = factors(N_CALIBRATE + N_LATER + 1000, rng)
        parts.append(
            (part + (noise - 1) * 0.3 * rng.normal(size=part.shape)).assign(device=f"device {i} (noise {noise})")
        )
    tables = {"simulated": pd.concat(parts, ignore_index=True)}
    if data is not None:
        folder = record.data_folder(str(data), "sensors") / "sensors/SMD"
        machines = [
            pd.read_parquet(path).drop(columns=["timestamp", "label"], errors="ignore").assign(device=path.parent.name)
            for path in sorted(folder.glob("*/train.parquet"))
        ]
        tables["SMD machines"] = pd.concat(machines, ignore_index=True)
    return tables


def _groups(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each group the share of later rows that are flagged at 0.99, by one calibration and by its own."""
    rng = np.random.default_rng(1)
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    place = table.groupby("device").cumcount()
    fitted = table[place < 1000]
    calibrating = table[(place >= 1000) & (place < 1000 + N_CALIBRATE)]
    later = table[(place >= 1000 + N_CALIBRATE) & (place < 1000 + N_CALIBRATE + N_LATER)].reset_index(drop=True)
    model = vaecli.fit(fitted, preset="fast", exclude=["device"], **{"windows.window": 0})
    one, own = model.calibrate(calibrating), model.calibrate(calibrating, by="device")
    flags = {"one": one.score(later)["is_anomaly"], "own": own.score(later)["is_anomaly"]}
    return [
        {
            "group": group,
            "calibration_rows": int((calibrating["device"] == group).sum()),
            "later_rows": len(rows),
            **{name: float(found[rows.index].mean()) for name, found in flags.items()},
        }
        for group, rows in later.groupby("device")
    ]


# ---------------------------------------------------------------- the report


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Both tables as Markdown."""
    rates = [row for row in rows if row["part"] == "rate"]
    lines = []
    for name in dict.fromkeys(row["table"] for row in rates):
        of = [row for row in rates if row["table"] == name]
        lines.append(
            [
                name,
                sum(row["tables"] for row in of),
                of[0]["calibration_rows"],
                float(np.mean([row["false_share"] for row in of])),
                float(max(row["false_share"] for row in of)),
                float(np.mean([row["found_share"] for row in of])),
            ]
        )
    heads = ("table", "flagged tables", "calibration rows", "false share", "of the worst fit", "faults found")
    groups = [
        [
            row["table"],
            one["group"],
            one["calibration_rows"],
            one["later_rows"],
            _per_cent(one["one"]),
            _per_cent(one["own"]),
        ]
        for row in rows
        if row["part"] == "groups"
        for one in row["groups"]
    ]
    return f"""# Decisions

{record.machine_line(machine)} Preset `fast`.

## `flag --fdr {RATE}`

Tables of {N_ROWS:,} rows, {RATE:.0%} of them faults; five fits each. The share of normal rows among those
flagged, its mean over all tables and that of the worst fit.

{record.markdown_table(heads, lines)}

## `calibrate --by device`, false alarms at 0.99

One calibration for all groups beside one for each; the model does not see the column of groups. Rows are drawn at
random from each group, so that they are exchangeable: a machine that changes later is another question.

{record.markdown_table(("table", "group", "calibration rows", "later rows", "one for all", "one each"), groups)}
"""


def _per_cent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
