"""Can a classifier tell generated rows from real ones? New rows of vaecli beside those of a Gaussian copula.

Protocol: normal rows are capped and halved with the seed; one half fits every method, the other is the real side, and
as many rows are generated. A table keeps the columns that vaecli models, for all methods. Two classifiers
(scikit-learn's histogram gradient boosting and random forest) learn to tell the two sides apart; their accuracy in
5-fold cross-validation is the figure: 0.5 is perfect, 1 is told apart in every row. Beside it stand the distance of
marginals (Kolmogorov-Smirnov; total variation for categories), the difference of Spearman correlations, and how far
rows are from the nearest training row.

`copula` is a Gaussian copula with the exact marginals of training: normal scores of ranks (ties at their mean rank: a
stronger opponent than ties broken at random), their correlation, drawn and looked up among the sorted training values.
A category counts by its code; gaps come as often as in training, independently.
`training rows` is the fitting half itself: what a perfect copy would get, and no generator.

    python benchmarks/sample.py --data DIR
    python benchmarks/sample.py --data DIR --tables shuttle --methods copula --redo
    python benchmarks/sample.py --data DIR --memory          # only the memory of 100,000 and 1,000,000 rows
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import memory
import numpy as np
import pandas as pd
import record

KEYS = ("method", "table", "seed", "cap")
TABLES = ("shuttle", "ai4i2020", "nslkdd", "28_pendigits", "19_landsat")
CAP = 10_000
FOLDS = 5
OURS, RIVAL, COPY = "vaecli", "copula", "training rows"
CLASSIFIERS = ("boosting", "forest")
MEMORY_ROWS = (100_000, 1_000_000)


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    if not options.memory:
        for seed in options.seeds:
            for name in options.tables:
                _measure(name, seed, options, results)
    _measure_memory(options, results)
    record.finish(options.out, report(results.rows, options.cap, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "sample.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz and mixed/nslkdd, mixed/ai4i2020")
    parser.add_argument("--tables", default=",".join(TABLES), help=f"comma-separated (default {','.join(TABLES)})")
    record.add_names(parser, "--methods", tuple(METHODS))
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    parser.add_argument("--cap", type=int, default=CAP, help=f"rows drawn from a larger table (default {CAP})")
    parser.add_argument("--memory", action="store_true", help="measure only memory")
    options = parser.parse_args()
    options.tables = options.tables.split(",")
    options.data = record.data_folder(options.data, "adbench")
    if missing := [name for name in options.tables if not _file_of(options.data, name).is_file()]:
        record.stop(f"--data: there is no table {missing[0]} in it (see benchmarks/README.md).")
    return options


def _file_of(data: Path, name: str) -> Path:
    if name == "shuttle":
        return record.REPOSITORY / "sample_data/shuttle/normal.csv"
    mixed = data / "mixed" / name / "train.csv"
    return mixed if mixed.is_file() else data / "adbench" / f"{name}.npz"


def halves(data: Path, name: str, seed: int, cap: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two halves of the normal rows of a table, as many rows each."""
    path = _file_of(data, name)
    if path.suffix == ".csv":
        table = pd.read_csv(path)
    else:
        with np.load(path) as arrays:
            rows = arrays["X"][arrays["y"] == 0].astype(np.float64)
        table = pd.DataFrame(rows, columns=[f"x{j}" for j in range(rows.shape[1])])
    order = np.random.default_rng(seed).permutation(len(table))[:cap]
    half = len(order) // 2
    return table.iloc[order[:half]].reset_index(drop=True), table.iloc[order[half : 2 * half]].reset_index(drop=True)


# -- methods ------------------------------------------------------------------------------------

Generator = Callable[[pd.DataFrame, Any, int, int], pd.DataFrame]


def _vaecli(train: pd.DataFrame, model: Any, n_rows: int, seed: int) -> pd.DataFrame:  # noqa: ARG001
    found: pd.DataFrame = model.sample(n_rows, seed=seed).to_pandas()
    return found


def copula(train: pd.DataFrame, model: Any, n_rows: int, seed: int) -> pd.DataFrame:  # noqa: ARG001
    """Rows of a Gaussian copula with the marginals of `train`."""
    from scipy.special import ndtr, ndtri

    rng, ordered, scores = np.random.default_rng([seed, 0xC0]), {}, {}
    for name, values in train.items():
        codes = pd.Series(_as_codes(values, pd.api.types.is_numeric_dtype(values)))
        scores[name] = ndtri(codes.rank() / (codes.count() + 1))  # a mean rank for ties, NaN for a gap
        ordered[name] = values.iloc[np.argsort(codes.to_numpy(), kind="stable")[: codes.count()]]
    variance, axes = np.linalg.eigh(pd.DataFrame(scores).corr().fillna(0.0))  # of pairs of which none is a gap
    root = axes * np.sqrt(np.maximum(variance, 0.0))
    uniform = ndtr(rng.standard_normal((n_rows, len(scores))) @ (root / np.linalg.norm(root, axis=1, keepdims=True)).T)
    made = {}
    for j, (name, values) in enumerate(ordered.items()):
        place = np.minimum((uniform[:, j] * len(values)).astype(np.int64), len(values) - 1)
        gaps = rng.random(n_rows) < 1 - len(values) / len(train)
        drawn = values.iloc[place].reset_index(drop=True)
        made[name] = drawn.mask(gaps) if gaps.any() else drawn
    return pd.DataFrame(made)


def _training_rows(train: pd.DataFrame, model: Any, n_rows: int, seed: int) -> pd.DataFrame:  # noqa: ARG001
    return train.iloc[:n_rows]


METHODS: dict[str, Generator] = {OURS: _vaecli, RIVAL: copula, COPY: _training_rows}


def _measure(name: str, seed: int, options: argparse.Namespace, results: record.Results) -> None:
    """All methods on one table that have no figure yet."""
    keys = [{"method": method, "table": name, "seed": seed, "cap": options.cap} for method in options.methods]
    keys = [key for key in keys if options.redo or not results.has(**key)]
    if not keys:
        return
    import vaecli

    train, real = halves(options.data, name, seed, options.cap)
    began = time.perf_counter()
    # by name where a column is a measurement: never an identifier
    chosen = {"columns.columns": tuple(train.columns)} if name not in ("ai4i2020", "nslkdd") else {}
    model = vaecli.fit(train, seed=seed, **chosen)
    fit_seconds = time.perf_counter() - began
    features = [column.name for column in model.schema.features]
    train, real = train[features], real[features]
    for key in keys:
        began = time.perf_counter()
        made = METHODS[key["method"]](train, model, len(real), seed)[features]
        seconds = time.perf_counter() - began
        row = key | {
            "n_rows": len(real),
            "n_columns": len(features),
            "fit_seconds": round(fit_seconds, 2) if key["method"] == OURS else None,
            "seconds": round(seconds, 2),
            **figures(train, real, made, seed),
        }
        results.add(row)
        told = ", ".join(f"{one} {row[one]:.3f}" for one in CLASSIFIERS)
        print(f"{key['method']:13s} {name:14s} seed {seed}: {told}", file=sys.stderr)


# -- figures ------------------------------------------------------------------------------------


def figures(train: pd.DataFrame, real: pd.DataFrame, made: pd.DataFrame, seed: int) -> dict[str, float]:
    """How similar generated and real rows are, and how near to training ones."""
    numbers = [name for name in real.columns if pd.api.types.is_numeric_dtype(train[name])]
    accuracy = {name: _accuracy(name, real, made, numbers, seed) for name in CLASSIFIERS}
    nearest_real, nearest_made = nearest(train, real, numbers), nearest(train, made, numbers)
    return accuracy | {
        "marginal_distance": float(np.mean([marginal_distance(real[name], made[name]) for name in real.columns])),
        "correlation_difference": correlation_difference(real[numbers], made[numbers]),
        "nearest_real": float(np.median(nearest_real)),
        "nearest_made": float(np.median(nearest_made)),
    }


def _accuracy(name: str, real: pd.DataFrame, made: pd.DataFrame, numbers: list[str], seed: int) -> float:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    both = pd.concat([real, made], ignore_index=True)
    rows = np.column_stack([_as_codes(both[column], column in numbers) for column in both.columns])
    side = np.repeat([0, 1], [len(real), len(made)])
    classifier = (
        HistGradientBoostingClassifier(
            categorical_features=[column not in numbers for column in both.columns], random_state=seed
        )
        if name == "boosting"
        else RandomForestClassifier(200, min_samples_leaf=3, random_state=seed)
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, rows, side, cv=folds).mean())


def _as_codes(values: pd.Series, is_number: bool) -> np.ndarray:
    if is_number:
        return values.to_numpy(np.float64, na_value=np.nan)
    codes = pd.Categorical(values).codes.astype(np.float64)
    return np.where(codes < 0, np.nan, codes)


def marginal_distance(real: pd.Series, made: pd.Series) -> float:
    """Kolmogorov-Smirnov of two columns of numbers, total variation of others; a gap is a value above all others."""
    if pd.api.types.is_numeric_dtype(real):
        ascending = [np.sort(np.nan_to_num(part.to_numpy(np.float64), nan=np.inf)) for part in (real, made)]
        at = np.unique(np.concatenate(ascending))
        below = [np.searchsorted(part, at, side="right") / part.size for part in ascending]
        return float(np.abs(below[0] - below[1]).max())
    shares = [part.astype(object).fillna("").value_counts(normalize=True) for part in (real, made)]
    return float(shares[0].sub(shares[1], fill_value=0.0).abs().sum() / 2)


def correlation_difference(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Mean absolute difference of Spearman's correlations over pairs of columns of numbers."""
    one, other = (part.astype(np.float64).corr("spearman").to_numpy() for part in (real, made))
    pairs = np.triu_indices(one.shape[0], 1)
    return float(np.nanmean(np.abs(one - other)[pairs])) if pairs[0].size else float("nan")


def nearest(train: pd.DataFrame, rows: pd.DataFrame, numbers: list[str]) -> np.ndarray:
    """(n,) distances to the closest training row: in standard deviations, and 1 for another category."""
    from sklearn.neighbors import NearestNeighbors

    def placed(part: pd.DataFrame) -> np.ndarray:
        blocks: list[np.ndarray] = [np.zeros((len(part), 0))]
        for name in part.columns:
            if name in numbers:
                mean, scale = train[name].astype(float).mean(), train[name].astype(float).std() or 1.0
                blocks.append(((part[name].astype(float).fillna(mean) - mean) / scale).to_numpy()[:, None])
            else:
                known = np.array(sorted(set(train[name].dropna())), object)
                blocks.append((part[name].to_numpy(object)[:, None] == known[None, :]) / np.sqrt(2))
        return np.hstack(blocks)

    found: np.ndarray = NearestNeighbors(n_neighbors=1).fit(placed(train)).kneighbors(placed(rows))[0][:, 0]
    return found


# -- memory -------------------------------------------------------------------------------------


def _measure_memory(options: argparse.Namespace, results: record.Results) -> None:
    """Peak memory of `vaecli sample`, from start to exit, for two numbers of rows."""
    keys: list[dict[str, Any]] = [{"method": "memory", "table": "shuttle", "seed": 0, "cap": n} for n in MEMORY_ROWS]
    keys = [key for key in keys if options.redo or not results.has(**key)]
    if not keys or not (options.memory or "shuttle" in options.tables):
        return
    import vaecli

    with tempfile.TemporaryDirectory() as folder:
        bundle, table = Path(folder) / "model.vae", record.REPOSITORY / "sample_data/shuttle/normal.csv"
        vaecli.fit(table, preset="fast").save(bundle)
        for key in keys:
            for extension in ("parquet", "csv"):
                words = [str(bundle), "-n", str(key["cap"]), "-o", str(Path(folder) / f"out.{extension}"), "--quiet"]
                key |= {f"{extension}_{name}": value for name, value in memory_of(words, key["cap"]).items()}
            results.add(key)


def memory_of(words: list[str], n_rows: int) -> dict[str, Any]:
    """`vaecli sample -m WORDS`: peak memory and seconds."""
    measured = memory.watched("sample", ["sample", "-m", *words], n_rows)
    return {name: measured[name] for name in ("peak_mb", "seconds")}


# -- report -------------------------------------------------------------------------------------


def report(rows: Iterable[Mapping[str, Any]], cap: int, facts: Mapping[str, Any]) -> str:
    """Markdown: accuracies first, whether the target is met, the other figures, memory."""
    rows = list(rows)
    chosen = [row for row in rows if row["cap"] == cap and row["method"] in METHODS]
    names = list(dict.fromkeys((row["table"], row["seed"]) for row in chosen))
    shapes = {row["table"]: f"{row['n_rows']:,} × {row['n_columns']}" for row in chosen}
    parts = [
        "# New rows",
        "Accuracy of a classifier that tells generated rows from real ones, 5-fold cross-validation: 0.5 is perfect.",
    ]
    for classifier in CLASSIFIERS:
        parts += [f"## {classifier.capitalize()}", _table(chosen, names, classifier), target(chosen, classifier)]
    others = (
        ("marginal_distance", "Distance of marginals", "Mean over columns: 0 is perfect, `training rows` is chance."),
        ("correlation_difference", "Difference of rank correlations", "Mean absolute difference over pairs."),
        (
            "nearest_made",
            "Distance to the closest training row",
            "Median, in standard deviations; `real rows` is that "
            "of rows that nobody trained on. Nearer than those: a generator that copies.",
        ),
    )
    for figure, title, meaning in others:
        parts += [f"## {title}", meaning, _table(chosen, names, figure)]
    parts += [
        f"Rows × columns of each side: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}.",
        *_memory_part(rows),
        record.machine_line(facts),
        "",
    ]
    return "\n\n".join(parts)


def _table(rows: list[Mapping[str, Any]], names: list[tuple[str, int]], figure: str) -> str:
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    lines = []
    for name, seed in names:
        found = {row["method"]: row for row in rows if (row["table"], row["seed"]) == (name, seed)}
        line = [f"{name}, seed {seed}", *(found[one][figure] if one in found else None for one in methods)]
        if figure == "nearest_made":
            line.append(next(iter(found.values()))["nearest_real"])
        lines.append(line)
    return record.markdown_table(["table", *methods, *(["real rows"] if figure == "nearest_made" else [])], lines)


def target(rows: Iterable[Mapping[str, Any]], classifier: str) -> str:
    """On how many tables the classifier does worse on rows of vaecli than on those of the copula, for each seed."""
    told = []
    by_key = {(row["seed"], row["table"], row["method"]): row[classifier] for row in rows}
    for seed in sorted({seed for seed, _, _ in by_key}):
        tables = [table for one, table, method in by_key if one == seed and method == OURS]
        pairs = [(by_key[seed, table, OURS], by_key.get((seed, table, RIVAL))) for table in tables]
        both = [(ours, theirs) for ours, theirs in pairs if theirs is not None]
        won = sum(ours < theirs for ours, theirs in both)
        met = "met" if both and 5 * won >= 4 * len(both) else "not met"
        told.append(f"seed {seed} {met}, on {won} of {len(both)}")
    return f"Target, below the copula on at least four of five tables: {'; '.join(told)}."


def _memory_part(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    found = [row for row in rows if row["method"] == "memory"]
    if not found:
        return []
    kinds = ("parquet", "csv")
    lines = [
        [f"{row['cap']:,}", *(f"{row[f'{kind}_peak_mb']:.0f} MB, {row[f'{kind}_seconds']:.1f} s" for kind in kinds)]
        for row in found
    ]
    table = record.markdown_table(["rows", *(f"to {kind}" for kind in kinds)], lines)
    return ["## Memory", "`vaecli sample` on shuttle from start to exit, peak resident memory and seconds.", table]


if __name__ == "__main__":
    main()
