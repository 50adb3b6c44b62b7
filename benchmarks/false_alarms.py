"""Does `--threshold 0.99` flag 1 % of fresh normal rows? Asked many times, on known distributions and real tables.

Each run fits vaecli on n normal rows and scores up to 2,000 others from the same source. A run's share of flagged rows
scatters even when the calibration is exact: with n calibration rows and m fresh ones its standard deviation is
about √(p(1−p)(1/n + 1/m)), p = 0.01. The table shows this beside what was observed.
Results are kept run by run, so a benchmark can stop and go on.

    python benchmarks/false_alarms.py --seeds 20
    python benchmarks/false_alarms.py --data DIR --sizes 100,200,400,800 --sources factors_8,factors_60,pendigits
    python benchmarks/false_alarms.py --quick
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

KEYS = ("source", "n", "seed", "preset")
LEVEL = 0.01  # share of normal rows that threshold 0.99 promises to flag
SIZES = (60, 100, 200, 500, 1_000, 2_000, 5_000)
BOUNDS = (0.005, 0.016)  # that the mean of a source and size should keep
QUICK_SIZES = (100, 1_000)
QUICK_SOURCES = ("factors", "mixed_kinds", "breast_cancer", "shuttle")
OF_DATA = {"pendigits": "28_pendigits", "landsat": "19_landsat", "letter": "20_letter"}  # sources by their files
MAX_FRESH = 2_000
MIN_FRESH = 100

# draws that many rows with that generator
Source = Callable[[int, np.random.Generator], pd.DataFrame]


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    sources = {name: source for name, source in _sources(options.data).items() if name in options.sources}
    for seed in range(options.seeds):  # outermost: a run that is stopped has about as many seeds everywhere
        for name, source in sources.items():
            for n in options.sizes:
                if not results.has(source=name, n=n, seed=seed, preset=options.preset):
                    _measure(name, source, n, seed, options.preset, results)
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--seeds", type=int, help="runs of each kind (default 20)")
    parser.add_argument("--sizes", type=record.seeds, help=f"training rows (default {','.join(map(str, SIZES))})")
    names = ", ".join([*_sources(None), *OF_DATA])
    parser.add_argument("--sources", default="", help=f"comma-separated: {names}; the last {len(OF_DATA)} with --data")
    parser.add_argument("--data", type=Path, help="folder that holds adbench/")
    parser.add_argument("--preset", default="default", help="vaecli's preset")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "false_alarms.jsonl")
    parser.add_argument("--quick", action="store_true", help="four sources, two sizes, five seeds")
    options = parser.parse_args()
    quick = options.quick
    options.seeds = options.seeds or (5 if quick else 20)
    options.sizes = options.sizes or list(QUICK_SIZES if quick else SIZES)
    options.sources = (
        options.sources.split(",") if options.sources else list(QUICK_SOURCES if quick else _sources(options.data))
    )
    unknown = sorted(set(options.sources) - set(_sources(options.data)))
    if unknown:
        parser.error(f"unknown sources {', '.join(unknown)}")
    return options


def _sources(data: Path | None) -> dict[str, Source]:
    real: dict[str, Source] = (
        {} if data is None else {name: rows_of(partial(_normal_rows, data, file)) for name, file in OF_DATA.items()}
    )
    simulated: dict[str, Source] = {
        "factors": factors,
        "factors_8": partial(factors_of, 8, 2),
        "factors_20": partial(factors_of, 20, 3),
        "factors_60": partial(factors_of, 60, 8),
        "heavy_tails": heavy_tails,
        "skewed": skewed,
        "clusters": clusters,
        "mixed_kinds": mixed_kinds,
        "breast_cancer": rows_of(_breast_cancer),
        "digits": rows_of(_digits),
        "shuttle": rows_of(_shuttle),
    }
    return simulated | real


def factors(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Twelve Gaussian columns moved by three hidden factors."""
    loadings = np.random.default_rng(0).normal(size=(3, 12))
    return _frame(rng.normal(size=(n, 3)) @ loadings + 0.3 * rng.normal(size=(n, 12)))


def factors_of(n_columns: int, n_factors: int, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Gaussian columns of variance 1, of which hidden factors give 70 %, as in `wrong_cell.py`."""
    loadings = np.random.default_rng([3, n_columns]).normal(size=(n_factors, n_columns))
    loadings *= np.sqrt(0.7 / np.square(loadings).sum(0))
    return _frame(rng.normal(size=(n, n_factors)) @ loadings + np.sqrt(0.3) * rng.normal(size=(n, n_columns)))


def heavy_tails(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Eight columns with Student-t noise of three degrees of freedom around one factor."""
    return _frame(rng.normal(size=(n, 1)) + rng.standard_t(3, size=(n, 8)))


def skewed(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six log-normal columns moved by two factors."""
    loadings = np.random.default_rng(1).normal(size=(2, 6))
    return _frame(np.exp(rng.normal(size=(n, 2)) @ loadings + 0.2 * rng.normal(size=(n, 6))))


def clusters(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Five columns in four operating modes, one of them rare (2 %)."""
    centres = 4 * np.random.default_rng(2).normal(size=(4, 5))
    mode = rng.choice(4, size=n, p=[0.5, 0.3, 0.18, 0.02])
    return _frame(centres[mode] + rng.normal(size=(n, 5)))


def mixed_kinds(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A category, a boolean, counts and numbers that depend on them; one cell in twenty missing."""
    product = rng.choice(["red", "green", "blue", "grey"], size=n, p=[0.5, 0.3, 0.19, 0.01])
    slow = rng.random(n) < 0.2
    table = pd.DataFrame(
        {
            "product": product,
            "slow": slow,
            "parts": rng.poisson(np.where(slow, 3, 9)),
            "weight": rng.normal(np.where(product == "red", 5.0, 2.0), 0.4),
            "speed": rng.gamma(np.where(slow, 2.0, 8.0), 1.0),
        }
    )
    for name in ("weight", "speed"):
        table.loc[rng.random(n) < 0.05, name] = np.nan
    return table


def rows_of(load: Callable[[], pd.DataFrame]) -> Source:
    """A real table as a source: draws rows without replacement, fewer when it has fewer."""

    def source(n: int, rng: np.random.Generator) -> pd.DataFrame:
        table = load()
        return table.iloc[rng.permutation(len(table))[:n]].reset_index(drop=True)

    return source


def _normal_rows(data: Path, file: str) -> pd.DataFrame:
    table = np.load(record.data_folder(str(data), "adbench") / "adbench" / f"{file}.npz")
    return _frame(table["X"][table["y"] == 0])


def _breast_cancer() -> pd.DataFrame:
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer(as_frame=True)
    return loaded.data[loaded.target == 1]  # benign


def _digits() -> pd.DataFrame:
    from sklearn.datasets import load_digits

    return load_digits(as_frame=True).data


def _shuttle() -> pd.DataFrame:
    with (record.REPOSITORY / "sample_data/shuttle/normal.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return pd.DataFrame(np.array(rows, dtype=np.int64), columns=header)


def _frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{j + 1}" for j in range(values.shape[1])])


def _measure(name: str, source: Source, n: int, seed: int, preset: str, results: record.Results) -> None:
    import vaecli

    rows = source(n + MAX_FRESH, np.random.default_rng([seed, n]))
    fresh = rows.iloc[n:]
    if len(fresh) < MIN_FRESH:
        return
    start = time.perf_counter()
    model = vaecli.fit(rows.iloc[:n], seed=seed, preset=preset)
    seconds = time.perf_counter() - start
    flags = model.score(fresh, threshold=1 - LEVEL)["is_anomaly"].to_numpy(bool)
    row: dict[str, Any] = {"source": name, "n": n, "seed": seed, "preset": preset, "n_fresh": len(fresh)}
    row |= {"flagged": float(flags.mean()), "fit_seconds": round(seconds, 2)}
    results.add(row)
    print(f"{name:14s} n {n:5d} seed {seed:2d}: {flags.mean():.2%} flagged, fit {seconds:.1f} s", file=sys.stderr)


def report(rows: list[dict[str, Any]]) -> str:
    """One line for each source and size: mean share flagged, its standard error, observed and expected scatter."""
    lines, outside = [], []
    for preset, source, n in sorted({(row["preset"], row["source"], row["n"]) for row in rows}):
        shares, n_fresh = [], 0
        for row in rows:
            if (row["preset"], row["source"], row["n"]) == (preset, source, n):
                shares.append(row["flagged"])
                n_fresh = row["n_fresh"]
        scatter = float(np.std(shares, ddof=1)) if len(shares) > 1 else None
        expected = math.sqrt(LEVEL * (1 - LEVEL) * (1 / n + 1 / n_fresh))
        error = expected / math.sqrt(len(shares)) if scatter is None else scatter / math.sqrt(len(shares))
        mean = float(np.mean(shares))
        if not BOUNDS[0] <= mean <= BOUNDS[1]:
            distance = max(BOUNDS[0] - mean, mean - BOUNDS[1])
            is_chance = distance <= 2 * expected / math.sqrt(len(shares))
            outside.append(f"{source}, {n} rows, {record.percent(mean)} ({'within' if is_chance else 'beyond'} chance)")
        cells = map(record.percent, (mean, error, scatter, expected, max(shares)))
        lines.append((source if preset == "default" else f"{source} ({preset})", n, n_fresh, len(shares), *cells))
    scatters = ("scatter of runs", "scatter of an exact calibration")
    header = (
        "source",
        "training rows",
        "fresh rows",
        "runs",
        "mean flagged",
        "± standard error",
        *scatters,
        "worst run",
    )
    bounds = f"{100 * BOUNDS[0]:g} to {100 * BOUNDS[1]:g} %"
    summary = f"Of {len(lines)} means {len(lines) - len(outside)} are within {bounds}"
    if outside:
        summary += f"; outside: {'; '.join(outside)}, chance being two standard errors of an exact calibration"
    parts = (
        "# False alarms at threshold 0.99",
        "Share of fresh normal rows flagged, which should be 1 %. “Scatter” is the standard deviation between runs; "
        "that of an exact calibration is √(p(1−p)(1/n + 1/m)) with p = 0.01, n training and m fresh rows. Below "
        "99 training rows the level is finer than the calibration rows resolve and rests on the fitted tail.",
        f"{summary}.",
        record.markdown_table(header, lines),
        record.machine_line(record.machine()),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
