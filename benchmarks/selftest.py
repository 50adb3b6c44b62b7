"""Which faults do bundles see, and would limits on each column alone do? `vaecli selftest` on three tables.

Protocol: the normal rows of a table are shuffled with the seed; at most 5,000 of them, and half of the table, fit a
bundle with each preset, the others are the table of the self-test, at the default threshold of 0.99. Then the rows of
the fit themselves are tested: how many of them does the bundle know again, and how much better do they look? `shuttle`
is sample_data/shuttle, nine numbers; `ai4i2020` has a category and five numbers, and identifiers that are left out;
`nslkdd` has three categories and many columns that are nearly always 0. Results are kept one by one, so a run can stop
and go on.

    python benchmarks/selftest.py --data DIR
    python benchmarks/selftest.py --tables shuttle --presets fast --redo
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import record

KEYS = ("table", "preset", "seed")
TABLES = ("shuttle", "ai4i2020", "nslkdd")
PRESETS = ("fast", "default")
FIT_ROWS = 5_000
UNITS = {"spike": "{:g} sd", "shift": "{:g} sd", "scale": "× {:g}", "missing": "{:g}"}


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for name in options.tables:
        for preset in options.presets:
            key = {"table": name, "preset": preset, "seed": options.seed}
            if options.redo or not results.has(**key):
                results.add(key | measured(normal_table(name, options.data), preset, options.seed))
                print(f"{name} {preset}: done", file=sys.stderr)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "selftest.json")
    parser.add_argument("--data", help="folder that holds mixed/; not needed for shuttle")
    record.add_names(parser, "--tables", TABLES)
    record.add_names(parser, "--presets", PRESETS)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the fit and the faults (default 0)")
    options = parser.parse_args()
    for name in set(options.tables) - {"shuttle"}:
        options.data = record.data_folder(options.data, f"mixed/{name}")
    return options


def normal_table(name: str, data: Path | None) -> Any:
    """The normal rows of a table as a frame."""
    import pandas as pd

    if name == "shuttle":
        return pd.read_csv(record.REPOSITORY / "sample_data/shuttle/normal.csv")
    return pd.read_csv(Path(str(data)) / f"mixed/{name}/train.csv")


def measured(table: Any, preset: str, seed: int) -> dict[str, Any]:
    """The self-test of a bundle on fresh rows, and on those of its fit."""
    import vaecli

    table = table.drop(columns="label", errors="ignore")
    order = np.random.default_rng([seed, 0x5E1F]).permutation(len(table))
    n_fit = min(FIT_ROWS, len(table) // 2)
    with tempfile.TemporaryDirectory() as folder:
        known, fresh, bundle = (Path(folder) / name for name in ("known.csv", "fresh.csv", "model.vae"))
        table.iloc[order[:n_fit]].to_csv(known, index=False)
        table.iloc[order[n_fit:]].to_csv(fresh, index=False)
        began = time.perf_counter()
        vaecli.fit(str(known), preset=preset, seed=seed).save(bundle)
        fit_seconds = time.perf_counter() - began
        of_fresh, of_known = (_selftest(str(path), bundle, seed) for path in (fresh, known))
    return {
        "n_fit": n_fit,
        "n_columns": len({one.column for one in of_fresh.columns}),
        "drawn": of_fresh.drawn,
        "fit_seconds": round(fit_seconds, 2),
        "selftest_seconds": round(of_fresh.seconds, 2),
        "false_alarm_rate": of_fresh.false_alarm_rate,
        "known_rows": of_fresh.known_rows,
        "false_alarm_rate_of_fit": of_known.false_alarm_rate,
        "known_rows_of_fit": of_known.known_rows,
        "mean_share": _mean_share(of_fresh),
        "mean_share_of_fit": _mean_share(of_known),
        "blind": {spot.column: list(spot.faults) for spot in of_fresh.blind_spots},
        "faults": [_line(of_fresh, sight) for sight in of_fresh.faults],
    }


def _selftest(table: str, bundle: Path, seed: int) -> Any:
    from vaecli.config import selftest_config
    from vaecli.workflows.selftest import selftest

    return selftest([table], bundle, None, None, selftest_config({"seed": seed}, {}))


def _mean_share(summary: Any) -> float:
    return float(np.mean([sight.share for sight in summary.faults if sight.share is not None]))


def _line(summary: Any, sight: Any) -> dict[str, Any]:
    hardest = summary.hardest(sight)
    return {
        "fault": sight.fault,
        "size": sight.size,
        "rows": sight.rows,
        "share": sight.share,
        "low": sight.low,
        "high": sight.high,
        "ranges_share": sight.column_limits_share,
        "hardest": None if hardest is None else hardest.column,
        "hardest_share": None if hardest is None else hardest.share,
    }


def report(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """Markdown: for each table what every preset sees and what ranges would; rows of the fit beside fresh ones."""
    rows = sorted(rows, key=lambda row: (TABLES.index(row["table"]), row["seed"], PRESETS.index(row["preset"])))
    parts = [
        "# Self-tests",
        "Share of normal rows with a fault that are flagged at 0.99; after it the column in which the fewest are. "
        "`ranges alone`: limits on each column that raise as many false alarms, on the same rows, as the last preset.",
    ]
    for name, seed in dict.fromkeys((row["table"], row["seed"]) for row in rows):
        mine = [row for row in rows if (row["table"], row["seed"]) == (name, seed)]
        parts += [f"## {name}, seed {seed}", faults_table(mine)]
        parts += [blind_line(row) for row in mine]
    heads = ["", "false alarms", "known rows", "mean share", "of the fit: false alarms", "known rows", "mean share"]
    known = [
        [
            _name(row),
            record.percent(row["false_alarm_rate"]),
            row["known_rows"],
            record.percent(row["mean_share"]),
            record.percent(row["false_alarm_rate_of_fit"]),
            row["known_rows_of_fit"],
            record.percent(row["mean_share_of_fit"]),
        ]
        for row in rows
    ]
    seconds = [[_name(row), row["fit_seconds"], row["selftest_seconds"]] for row in rows]
    parts += ["## Fresh rows beside those of the fit", record.markdown_table(heads, known)]
    parts += ["## Seconds", record.markdown_table(["", "fit", "self-test"], seconds)]
    shapes = {row["table"]: f"{row['drawn']:,} × {row['n_columns']}, fitted on {row['n_fit']:,}" for row in rows}
    parts.append(f"Rows drawn × columns: {'; '.join(f'{name} {shape}' for name, shape in shapes.items())}.")
    return "\n\n".join([*parts, record.machine_line(facts), ""])


def faults_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """One line per fault and size: each preset, and ranges alone."""
    rows = list(rows)
    heads = ["fault", *(cell for row in rows for cell in (row["preset"], "hardest")), "ranges alone"]
    lines = []
    for lines_of in zip(*(row["faults"] for row in rows), strict=True):
        size = lines_of[0]["size"]
        name = lines_of[0]["fault"] + ("" if size is None else f" {UNITS[lines_of[0]['fault']].format(size)}")
        told = [cell for one in lines_of for cell in (_whole(one["share"]), _hardest(one))]
        lines.append([name, *told, _whole(lines_of[-1]["ranges_share"])])
    return record.markdown_table(heads, lines)


def blind_line(row: Mapping[str, Any]) -> str:
    """The blind spots of one bundle."""
    spots = "; ".join(f"{column}: {', '.join(faults)}" for column, faults in row["blind"].items())
    return f"Blind, `{row['preset']}` (surely fewer than half seen, at every size): {spots or 'none'}."


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['table']}, {row['preset']}, seed {row['seed']}"


def _whole(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.0f} %"


def _hardest(one: Mapping[str, Any]) -> str | None:
    if one["hardest"] is None or one["hardest_share"] == one["share"]:
        return None
    return f"{one['hardest']} {_whole(one['hardest_share'])}"


if __name__ == "__main__":
    main()
