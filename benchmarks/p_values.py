"""Do p-values mean what they say where they are fine? Asked of 200,000 fresh rows of ten kinds of tables.

Each run fits vaecli on n rows and scores fresh rows of the same law. Of these a share α should have a p-value of α or
less, here for 1e-2, 1e-3 and 1e-4. With n calibration rows k = α (n + 1) of them lie beyond, and the share of new rows
beyond the k-th scatters as Beta(k, n + 1 − k): the table gives the mean over runs and each run, and how probable so few
or so many fresh rows are if the calibration is exact.
A level that `finest_level` does not promise counts as refused: `fit` and `score` warn of it.
Results are kept run by run, so a benchmark can stop and go on.

    python benchmarks/p_values.py
    python benchmarks/p_values.py --sizes 2000 --seeds 1 --kinds gaussian,categories
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

KEYS = ("kind", "n", "seed", "preset")
LEVELS = (1e-2, 1e-3, 1e-4)
FINER = (1e-6, 1e-9, 1e-12)  # of which hardly any row should remain
FEW_ROWS = ("categories",)  # so few different rows that a p-value within a level may not exist
WITHIN = (1.3, 1.6, 2.5)  # factors between the share of rows and the level
RARE = 0.01  # probability by chance, below which a level is named
SIZES = (2_000, 20_000)
SEEDS = 3
N_FRESH = 200_000


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for n in options.sizes:
        for kind in options.kinds:
            for seed in range(options.seeds):
                if options.redo or not results.has(kind=kind, n=n, seed=seed, preset=options.preset):
                    _measure(kind, n, seed, options, results)
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    record.add_names(parser, "--kinds", list(KINDS))
    parser.add_argument("--sizes", type=record.seeds, default=SIZES, help="rows of training")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="fits of each kind and size")
    parser.add_argument("--fresh", type=int, default=N_FRESH, help="fresh rows of each fit")
    parser.add_argument("--preset", default="default", help="vaecli's preset")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "p_values.jsonl", help="a .jsonl file")
    record.add_redo(parser)
    return parser.parse_args()


def gaussian(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six independent normal numbers."""
    return _numbers(rng.normal(size=(n, 6)))


def correlated(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Ten numbers moved by three hidden factors."""
    loadings = np.random.default_rng(0).normal(size=(3, 10))
    return _numbers(rng.normal(size=(n, 3)) @ loadings + 0.5 * rng.normal(size=(n, 10)))


def heavy_tails(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six numbers of Student's t law with three degrees of freedom around one factor."""
    return _numbers(rng.normal(size=(n, 1)) + rng.standard_t(3, size=(n, 6)))


def few_valued(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six small counts that depend on a hidden load."""
    load = rng.gamma(3.0, 1.0, size=(n, 1))
    return _numbers(rng.poisson(load * np.array([0.3, 0.5, 0.8, 1.2, 1.6, 2.0])))


def categories(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Three categories, the second like the first nine times in ten."""
    a = rng.choice(list("abc"), size=n, p=[0.5, 0.4, 0.1])
    b = np.where(rng.random(n) < 0.9, a, rng.choice(list("abc"), size=n))
    return pd.DataFrame({"a": a, "b": b, "c": rng.choice(["x", "y"], size=n, p=[0.4, 0.6])})


def categories_and_number(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """The three categories, and a normal number of three decimals."""
    return categories(n, rng).assign(v=rng.normal(size=n).round(3))


def mixed(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A category, a boolean, a count and two numbers that depend on them."""
    product = rng.choice(["red", "green", "blue", "grey"], size=n, p=[0.5, 0.3, 0.19, 0.01])
    slow = rng.random(n) < 0.2
    parts = rng.poisson(np.where(slow, 3, 9))
    weight = rng.normal(np.where(product == "red", 5.0, 2.0), 0.4)
    speed = rng.gamma(np.where(slow, 2.0, 8.0), 1.0)
    return pd.DataFrame({"product": product, "slow": slow, "parts": parts, "weight": weight, "speed": speed})


def skewed(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six log-normal numbers moved by two factors."""
    loadings = np.random.default_rng(1).normal(size=(2, 6))
    return _numbers(np.exp(rng.normal(size=(n, 2)) @ loadings * 0.7 + 0.2 * rng.normal(size=(n, 6))))


def rounded(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Five correlated normal numbers, rounded to half a standard deviation."""
    return _numbers((rng.normal(size=(n, 1)) + rng.normal(size=(n, 5))).round(0) / 2)


def with_gaps(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Six numbers moved by two factors, one cell in twenty missing."""
    loadings = np.random.default_rng(2).normal(size=(2, 6))
    values = rng.normal(size=(n, 2)) @ loadings + 0.5 * rng.normal(size=(n, 6))
    return _numbers(np.where(rng.random(values.shape) < 0.05, np.nan, values))


def _numbers(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{j + 1}" for j in range(values.shape[1])])


KINDS: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    law.__name__: law
    for law in (
        gaussian,
        correlated,
        heavy_tails,
        skewed,
        rounded,
        few_valued,
        categories,
        categories_and_number,
        mixed,
        with_gaps,
    )
}


def law_of(kind: str) -> np.ndarray | None:
    """The covariance (c, c) of the normal numbers that a kind of table consists of, or their logarithms; or None."""
    if kind == "gaussian":
        return np.eye(6)
    seed, shape, scale, noise = {
        "correlated": (0, (3, 10), 1.0, 0.5),
        "skewed": (1, (2, 6), 0.7, 0.2),
        "with_gaps": (2, (2, 6), 1.0, 0.5),
    }.get(kind, (0, (0, 0), 0.0, 0.0))
    loadings = scale * np.random.default_rng(seed).normal(size=shape)
    return loadings.T @ loadings + noise**2 * np.eye(shape[1]) if shape[1] else None


def by_the_law(kind: str, n: int, seed: int) -> dict[float, float] | None:
    """What an exact judge of the rows of a run gives, as a multiple of each level; None where the law is not known.

    Of these rows k = level · (n + 1) lie beyond the k-th by the density of the law; so many of fresh rows do, with no
    other error than that the rows were drawn.
    """
    from scipy.stats import chi2

    covariance = law_of(kind)
    if covariance is None:
        return None
    values = KINDS[kind](n, _rng_of(kind, n, seed)).to_numpy()
    values, beyond = np.log(values) if kind == "skewed" else values, np.ones(n)
    is_gap = np.isnan(values)
    for pattern in np.unique(is_gap, axis=0):
        rows, there = (is_gap == pattern).all(1), ~pattern
        part = values[np.ix_(rows, there)]
        distance = np.einsum("ni,ij,nj->n", part, np.linalg.inv(covariance[np.ix_(there, there)]), part)
        beyond[rows] = chi2.sf(distance, there.sum()) if there.any() else 1.0
    return {level: float(np.sort(beyond)[max(int(level * (n + 1)), 1) - 1] / level) for level in LEVELS}


def _rng_of(kind: str, n: int, seed: int) -> np.random.Generator:
    """The generator that draws the rows of a run, and then the fresh ones."""
    return np.random.default_rng([seed, n, list(KINDS).index(kind)])


def _measure(kind: str, n: int, seed: int, options: argparse.Namespace, results: record.Results) -> None:
    import vaecli

    rng = _rng_of(kind, n, seed)
    model = vaecli.fit(KINDS[kind](n, rng), seed=seed, preset=options.preset)
    p_value = model.score(KINDS[kind](options.fresh, rng))["p_value"].to_numpy()
    shares = {f"{level:g}": float((p_value <= level).mean()) for level in (*LEVELS, *FINER)}
    reached = {f"{level:g}": _of_reached(p_value, level) for level in LEVELS}
    finest = model.summary.finest_level
    row: dict[str, Any] = {"kind": kind, "n": n, "seed": seed, "preset": options.preset, "n_fresh": options.fresh}
    row |= {"finest_level": finest, "smallest": float(p_value.min()), "shares": shares, "reached": reached}
    results.add(row)
    told = ", ".join(f"{share / float(level):.2f} x {level}" for level, share in shares.items())
    print(f"{kind:22s} n {n:6d} seed {seed}: {told}, smallest {p_value.min():.1e}", file=sys.stderr)


def _of_reached(p_value: np.ndarray, level: float) -> float | None:
    """The share of rows within the largest p-value that is reached below `level`, as a multiple of that; or None."""
    within = p_value[p_value <= level]
    return float(within.size / p_value.size / within.max()) if within.size else None


def report(rows: list[dict[str, Any]]) -> str:
    """For each kind and size how often each level is met, as a multiple of it: the mean of the runs, and each run."""
    lines, n_met, n_promised, outside = [], 0, 0, []
    tables = {(row["n"], list(KINDS).index(row["kind"])) for row in rows}
    for n, kind in ((n, list(KINDS)[place]) for n, place in sorted(tables)):
        runs = sorted((row for row in rows if (row["n"], row["kind"]) == (n, kind)), key=lambda row: int(row["seed"]))
        cells = []
        for level, within in zip(LEVELS, WITHIN, strict=True):
            cell, met = _cell(runs, level, within)
            promised = all(row["finest_level"] >= 1 - level for row in runs)
            n_promised += promised
            n_met += promised and met
            chance = _chance(runs, level) if promised else 1.0
            if promised and (not met or chance < RARE):
                outside.append(f"{kind}, {n:,} rows, {level:g}: {chance:.2g}")
            cells.append(cell if promised else f"refused ({cell})")
        finer = [sum(row["shares"][f"{level:g}"] * row["n_fresh"] for row in runs) / len(runs) for level in FINER]
        smallest = f"{min(row['smallest'] for row in runs):.0e}"
        lines.append((kind, f"{n:,}", str(len(runs)), *cells, *(f"{count:.1f}" for count in finer), smallest))
    fresh = f"{rows[0]['n_fresh']:,}" if rows else "none"
    header = ("table", "training rows", "runs", *(f"{level:g}" for level in LEVELS))
    header += (*(f"rows ≤ {level:g}" for level in FINER), "smallest")
    parts = (
        "# p-values where they are fine",
        f"Share of {fresh} fresh normal rows with a p-value of a level or less, as a multiple of what that level "
        "promises: the mean of the runs, in brackets each run. In tables whose rows come many times a p-value cannot "
        "take every value; there the largest p-value that is reached within the level is what is promised, or the "
        "finest level that the rows resolve if that is larger, and in a table of categories a dash marks that none is "
        "reached; it is where by chance few rows of training were of some kind, so that a dash counts as 0 when it is "
        "asked whether a level is met too often. With n rows of training an exact calibration scatters by "
        "1/√(n · level): 0.7 where two rows resolve a level. “refused”: finer than the rows resolve, of which `fit` "
        "and `score` warn; what is in brackets then comes from the tail model, which errs on the quiet side. "
        f"Of {n_promised} promised levels {n_met} are met within a factor of "
        f"{', '.join(map(str, WITHIN))} in the mean of their runs.",
        "How probable a calibration that is exact makes it that so few fresh rows, or so many, lie within the level in "
        f"all runs together, for levels outside their factor or less probable than {RARE:g} (two sides; of so many "
        f"levels {RARE * n_promised:.1f} are expected to be): {'; '.join(outside) or 'none'}.",
        record.markdown_table(header, lines),
        "The rows of training are a draw themselves. Of four kinds the law is known: what a judge by the density "
        "itself gives, calibrated by the same rows, beside vaecli (means of the runs).",
        _beside_the_law(rows),
        record.machine_line(record.machine()),
    )
    return "\n\n".join(parts) + "\n"


def _beside_the_law(rows: list[dict[str, Any]]) -> str:
    """For each level that is promised, the multiple of it by the law and by vaecli."""
    lines = []
    for n, kind in sorted(
        {(row["n"], row["kind"]) for row in rows}, key=lambda pair: (pair[0], list(KINDS).index(pair[1]))
    ):
        runs = [row for row in rows if (row["n"], row["kind"]) == (n, kind)]
        exact = [found for row in runs if (found := by_the_law(kind, n, row["seed"])) is not None]
        if not exact:
            continue
        cells = []
        for level in LEVELS:
            if any(row["finest_level"] < 1 - level for row in runs):
                cells.append("–")
                continue
            law, mine = (
                sum(values) / len(runs)
                for values in ([one[level] for one in exact], [row["shares"][f"{level:g}"] / level for row in runs])
            )
            cells.append(f"{law:.2f} / {mine:.2f}")
        lines.append((kind, f"{n:,}", str(len(runs)), *cells))
    header = ("law / vaecli", "training rows", "runs", *(f"{level:g}" for level in LEVELS))
    return record.markdown_table(header, lines)


def _of_promised(row: dict[str, Any], level: str) -> float | None:
    """The share of rows within a level as a multiple of the largest p-value reached within it, or of the finest level.

    A p-value below what the rows resolve comes from the tail model, which promises nothing.
    """
    reached: float | None = row["reached"][level]
    if reached is None:
        return None if row["kind"] in FEW_ROWS else 0.0
    if row["finest_level"] < 1 - float(level):
        return reached
    return min(reached, float(row["shares"][level]) / (1 - row["finest_level"]))


def _cell(runs: list[dict[str, Any]], level: float, within: float) -> tuple[str, bool]:
    """How often a level is met, for the table, and whether the mean of the runs is within that factor.

    In a table of few different rows a p-value within the level is reached where by chance few rows of training were of
    some kind. So that it is not met too often is asked of all runs, and that it is not met too seldom of those alone.
    """
    ratios = [_of_promised(row, f"{level:g}") for row in runs]
    known = [ratio for ratio in ratios if ratio is not None]
    if not known:
        return "–", True
    mean = sum(known) / len(known)
    each = ", ".join("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
    return f"{mean:.2f} ({each})", 1 / within <= mean and sum(known) / len(runs) <= within


def _chance(runs: list[dict[str, Any]], level: float) -> float:
    """How probable so few fresh rows within the level, or so many, are if calibration is exact, on two sides.

    Of n + 1 exchangeable rows k have a p-value of k / (n + 1) or less, k at the largest that is reached. So the share
    of fresh rows is nearly a gamma variable of shape k, and their number in all runs a negative binomial one.
    """
    from scipy.stats import nbinom

    reached = [row for row in runs if row["reached"][f"{level:g}"] is not None or row["kind"] not in FEW_ROWS]
    if not reached:
        return 1.0
    n, n_fresh = reached[0]["n"], reached[0]["n_fresh"]
    count = round(sum(row["shares"][f"{level:g}"] * n_fresh for row in reached))
    shape = sum(_n_within(row, level) for row in reached)
    one = 1 / (1 + n_fresh / (n + 1))
    few, many = float(nbinom.cdf(count, shape, one)), float(nbinom.sf(count - 1, shape, one))
    return min(1.0, 2 * min(few, many))


def _n_within(row: dict[str, Any], level: float) -> int:
    """How many of n + 1 rows have a p-value of at most the largest that is reached within the level, or the level."""
    times = row["reached"][f"{level:g}"]
    largest = row["shares"][f"{level:g}"] / times if times else level
    return max(round(largest * (row["n"] + 1)), 1)


if __name__ == "__main__":
    main()
