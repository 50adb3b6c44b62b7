"""Do `flag --fdr 0.05` and `calibrate --by` keep what they promise?

The rate: a model is fitted on normal rows; then many tables of fresh normal rows with 5 % faults (one cell of a row put
ten standard deviations off) are flagged with `--fdr 0.05`, and the share of normal rows among the flagged ones is
counted, 0 where none is flagged. Its mean has to be at most 0.05, with 0.06 as the limit.

Groups: a model is fitted on the rows of all groups together, without the column that names them, and calibrated on
fresh rows with and without `--by`. Each group should be flagged at 0.99 in 0.5 to 1.5 % of its later rows; how often
chance alone keeps it from that is known in closed form, and compared with many draws.

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
from scipy.stats import beta

import vaecli
from vaecli.calibration.conformal import Calibration

KEYS = ("part", "table", "seed")
RATE = 0.05
N_TABLES, N_ROWS = 25, 1_000  # tables flagged per fit, and their rows
SEEDS = range(20)
N_FIT = 3_000  # as many calibrate anew; twice as many are scored, half of them with faults
NOISE = (0.5, 1.0, 1.0, 1.0, 1.5, 5.0)  # of the simulated groups
FEW, MANY, N_LATER = 1_000, 3_000, 4_000  # rows of a group that calibrate, and later ones
N_POOL, N_DRAWS = 40_000, 300  # rows of a group from which calibrations are drawn, and draws of each size
GOOD = (0.005, 0.015)  # false alarms of a group


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
    if options.redo or not results.has(part="spread", table="simulated", seed=0):
        results.add({"part": "spread", "table": "simulated", "seed": 0, "groups": _spread()})
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
    rows = draw(4 * N_FIT, rng)
    fitted, calibrating, normal, broken = (rows[i * N_FIT : (i + 1) * N_FIT].reset_index(drop=True) for i in range(4))
    model = vaecli.fit(fitted, preset="fast", seed=seed)
    tables = _tables_of(normal, _with_faults(broken, rng), rng)
    fresh = model.calibrate(calibrating)
    return {"tables": N_TABLES, "by_fit": _shares(model, tables), "by_fresh_rows": _shares(fresh, tables)}


def _tables_of(normal: pd.DataFrame, faulty: pd.DataFrame, rng: np.random.Generator) -> list[pd.DataFrame]:
    """N_TABLES tables, each with its normal rows first."""
    n_faults = round(RATE * N_ROWS)
    return [
        pd.concat(
            [
                normal.iloc[rng.choice(len(normal), N_ROWS - n_faults, replace=False)],
                faulty.iloc[rng.choice(len(faulty), n_faults, replace=False)],
            ],
            ignore_index=True,
        )
        for _ in range(N_TABLES)
    ]


def _shares(model: vaecli.Model, tables: list[pd.DataFrame]) -> dict[str, float]:
    """The mean share of normal rows among the flagged ones, 0 where none is, and of the faults that are flagged."""
    scored = model.score(pd.concat(tables, ignore_index=True))
    n_normal = N_ROWS - round(RATE * N_ROWS)
    false, found = [], []
    for start in range(0, len(scored), N_ROWS):
        flagged = model.flag(scored[start : start + N_ROWS], fdr=RATE)["is_anomaly"].to_numpy()
        false.append(float(flagged[:n_normal].sum() / max(flagged.sum(), 1)))
        found.append(float(flagged[n_normal:].mean()))
    return {"false_share": float(np.mean(false)), "found_share": float(np.mean(found))}


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
    tables = {"simulated": _simulated(FEW + MANY + N_LATER, np.random.default_rng(0))}
    if data is not None:
        folder = record.data_folder(str(data), "sensors") / "sensors"
        for name in ("SMD", "ASD"):
            machines = [
                pd.read_parquet(path)
                .drop(columns=["timestamp", "label"], errors="ignore")
                .assign(device=path.parent.name)
                for path in sorted((folder / name).glob("*/train.parquet"))
            ]
            tables[f"{name} machines"] = pd.concat(machines, ignore_index=True)
    return tables


def _simulated(n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for i, noise in enumerate(NOISE):
        part = factors(n_rows, rng)
        parts.append(
            (part + (noise - 1) * 0.3 * rng.normal(size=part.shape)).assign(device=f"device {i} (noise {noise})")
        )
    return pd.concat(parts, ignore_index=True)


def _spread() -> list[dict[str, Any]]:
    """For each simulated group and size of a calibration: false alarms at 0.99 over N_DRAWS draws of its rows."""
    rng = np.random.default_rng(2)
    model = vaecli.fit(_simulated(FEW, rng), preset="fast", exclude=["device"], **{"windows.window": 0})
    pool = _simulated(N_POOL, rng)
    scores = model.score(pool)["anomaly_score"].to_numpy()
    found = []
    for group, place in pool.groupby("device").indices.items():
        for size in (FEW, MANY):
            shares = np.array([_false_alarms(rng.permutation(scores[place]), size) for _ in range(N_DRAWS)])
            outside = float(((shares < GOOD[0]) | (shares > GOOD[1])).mean())
            spread = {"mean": float(shares.mean()), "deviation": float(shares.std(ddof=1)), "outside": outside}
            found.append({"group": group, "rows": size, **spread})
    return found


def _false_alarms(scores: np.ndarray, n_rows: int) -> float:
    """The share of the other scores (n,) that a calibration by the first `n_rows` flags at 0.99."""
    return float((Calibration.of(scores[:n_rows]).p_value(scores[n_rows:]) <= 0.01).mean())


def _groups(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each group the share of later rows that are flagged at 0.99, by one calibration and by its own."""
    rng = np.random.default_rng(1)
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    place = table.groupby("device").cumcount()
    fitted = table[place < FEW]
    calibrating = table[(place >= FEW) & (place < FEW + MANY)]
    few = table[(place >= FEW) & (place < 2 * FEW)]
    later = table[(place >= FEW + MANY) & (place < FEW + MANY + N_LATER)].reset_index(drop=True)
    model = vaecli.fit(fitted, preset="fast", exclude=["device"], **{"windows.window": 0})
    models = {
        "one": model.calibrate(calibrating),
        "few": model.calibrate(few, by="device"),
        "many": model.calibrate(calibrating, by="device"),
    }
    flags = {name: one.score(later)["is_anomaly"] for name, one in models.items()}
    return [
        {
            "group": group,
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
        for key, words in (("by_fit", "the fit"), ("by_fresh_rows", "`calibrate`")):
            of = [row for row in rates if row["table"] == name]
            false = np.array([row[key]["false_share"] for row in of])
            found = float(np.mean([row[key]["found_share"] for row in of]))
            error = float(false.std(ddof=1) / np.sqrt(false.size))
            lines.append([name, words, sum(row["tables"] for row in of), float(false.mean()), error, found])
    heads = ("table", "p-values by", "tables", "false share", "its standard error", "faults found")
    groups = [
        [row["table"], one["group"], one["later_rows"], *(_per_cent(one[name]) for name in ("one", "few", "many"))]
        for row in rows
        if row["part"] == "groups"
        for one in row["groups"]
    ]
    of_groups = ("table", "group", "later rows", "one for all", f"one each, {FEW:,} rows", f"one each, {MANY:,} rows")
    return f"""# Decisions

{record.machine_line(machine)} Preset `fast`.

## `flag --fdr {RATE}`

Tables of {N_ROWS:,} rows, {RATE:.0%} of them faults, {N_TABLES} tables for each of {len(SEEDS)} fits on
{N_FIT:,} rows; as many others calibrate anew. The mean share of normal rows among those flagged, and its
standard error over fits.

{record.markdown_table(heads, lines)}

## `calibrate --by device`, false alarms at 0.99

One calibration for all groups beside one for each; the model does not see the column of groups. Rows are drawn at
random from each group, so that they are exchangeable: a machine that changes later is another question. The standard
deviation by chance is {_per_cent(_chance(FEW))} with {FEW:,} rows and {_per_cent(_chance(MANY))} with {MANY:,}.

{record.markdown_table(of_groups, groups)}

## How far a group scatters by chance

The share of false alarms at 0.99 after a calibration by m rows of the group follows a Beta(k, m + 1 − k) distribution,
k = ⌊0.01 (m + 1)⌋, whatever the scores are: its mean is k/(m + 1). The first line of each size is that law; the others
are {N_DRAWS} calibrations each by rows drawn from {N_POOL:,} of a simulated group, judged on all others.

{_spread_table(rows)}
"""


def _spread_table(rows: list[dict[str, Any]]) -> str:
    drawn = [one for row in rows if row["part"] == "spread" for one in row["groups"]]
    lines: list[list[Any]] = []
    for size in (FEW, MANY):
        k = int(0.01 * (size + 1))
        law = beta(k, size + 1 - k)
        outside = law.cdf(GOOD[0]) + law.sf(GOOD[1])
        lines.append([f"{size:,}", "the law", *map(_per_cent, (law.mean(), law.std())), _per_cent(outside)])
        lines += [
            [f"{size:,}", one["group"], *(_per_cent(one[name]) for name in ("mean", "deviation", "outside"))]
            for one in drawn
            if one["rows"] == size
        ]
    return record.markdown_table(("rows", "group", "mean", "standard deviation", "outside 0.5 to 1.5 %"), lines)


def _chance(n_rows: int) -> float:
    """How much the share of flagged rows scatters with an exact calibration by so many rows."""
    return float(np.sqrt(0.01 * 0.99 * (1 / n_rows + 1 / N_LATER)))


def _per_cent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
