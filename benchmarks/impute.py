"""How far off are imputed cells? Known cells are taken out of normal rows, and several methods put them back.

Protocol: rows capped and split with the seed as in `adbench.py`; the normal half that `adbench.py` trains on fits every
method, in the other normal half 10 % of the cells are removed at random. The error of a column is the root mean square
over its removed cells, in standard deviations of the training column; that of a table is the mean over its columns.
Columns that are constant in training are left out. `median` knows nothing of the row; `kNN` and `iterative` are
scikit-learn's KNNImputer (5 neighbours) and IterativeImputer (10 rounds of Bayesian ridge), on standardised columns,
which is how they are meant to be used. Results are kept one by one, so a run can stop and go on.

    python benchmarks/impute.py --data DIR
    python benchmarks/impute.py --data DIR --sets 43_WDBC --methods vaecli --redo
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import adbench
import numpy as np
import record

KEYS = ("method", "set", "seed", "cap")
SETS = ("6_cardio", "19_landsat", "28_pendigits", "32_shuttle", "43_WDBC")
REMOVED = 0.1
CAP = 10_000
OURS, RIVAL = "vaecli", "iterative"
DIVERGED = 100.0  # standard deviations: no guess any more


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for seed in options.seeds:
        for name in options.sets:
            _measure(name, seed, options, results)
    record.finish(options.out, report(results.rows, options.cap, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "impute.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz")
    parser.add_argument("--sets", default=",".join(SETS), help=f"comma-separated (default {','.join(SETS)})")
    record.add_names(parser, "--methods", tuple(METHODS))
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    parser.add_argument("--cap", type=int, default=CAP, help=f"rows drawn from a larger set (default {CAP})")
    options = parser.parse_args()
    options.sets = options.sets.split(",")
    folder = record.data_folder(options.data, "adbench") / "adbench"
    if missing := [name for name in options.sets if not (folder / f"{name}.npz").is_file()]:
        record.stop(f"--data: there is no adbench/{missing[0]}.npz in it (see benchmarks/README.md).")
    options.data = folder
    return options


def _measure(name: str, seed: int, options: argparse.Namespace, results: record.Results) -> None:
    """All methods on one table that have no figure yet."""
    for method in options.methods:
        key = {"method": method, "set": name, "seed": seed, "cap": options.cap}
        if results.has(**key) and not options.redo:
            continue
        train, test, label = adbench.split_set(options.data / f"{name}.npz", seed, options.cap)
        train, whole = _without_constants(train, test[~label])
        removed = removed_cells(whole.shape, seed)
        row = key | measured(METHODS[method], train, whole, removed, seed)
        results.add(row)
        print(f"{method:10s} {name:14s} seed {seed}: error {row['error']:.4f}", file=sys.stderr)


def _without_constants(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    varies = train.std(0) > 0
    return train[:, varies], test[:, varies]


def removed_cells(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Which cells (n, c) of the test rows are taken out, the same for every method."""
    return np.random.default_rng([seed, 0x1117]).random(shape) < REMOVED


Imputer = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, float, float]]


def measured(imputer: Imputer, train: np.ndarray, whole: np.ndarray, removed: np.ndarray, seed: int) -> dict[str, Any]:
    """The error of one method, and the seconds that it takes to fit and to fill."""
    filled, fit_seconds, fill_seconds = imputer(train, np.where(removed, np.nan, whole), seed)
    by_column = column_errors(filled, whole, removed, train.std(0))
    return {
        "n_train": len(train),
        "n_test": len(whole),
        "n_columns": whole.shape[1],
        "error": float(np.nanmean(by_column)),
        "error_by_column": [round(float(error), 5) for error in by_column],
        "fit_seconds": round(fit_seconds, 3),
        "fill_seconds": round(fill_seconds, 3),
    }


def column_errors(filled: np.ndarray, whole: np.ndarray, removed: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(c,) root mean squares over removed cells, in units of `scale`; NaN for a column of which none was removed."""
    square = np.where(removed, ((filled - whole) / scale) ** 2, 0.0).sum(0)
    count = removed.sum(0)
    return np.sqrt(np.divide(square, count, out=np.full(count.size, np.nan), where=count > 0))


def _vaecli(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    import vaecli
    from vaecli.tables import ReadRequest, check_schema, frame_source, numbers_of, to_cells

    began = time.perf_counter()
    names = [f"x{j}" for j in range(train.shape[1])]
    # by name: a column of an array is a measurement, never an identifier
    detector = vaecli.fit(train, seed=seed, **{"columns.columns": tuple(names)}).detector
    fitted = time.perf_counter()
    source = frame_source(test)
    check_schema(source, detector.schema)
    names = [column.name for column in detector.schema.features]
    batches = source.batches(ReadRequest(names, numbers=numbers_of(detector.schema)))
    parts = [detector.reconstruct(to_cells(batch, detector.schema), impute=True) for batch in batches]
    found = np.concatenate(parts)
    filled = np.where(np.isnan(test), np.nanmean(train, axis=0), test)  # a column that is no feature keeps its mean
    for place, column in enumerate(detector.schema.features):
        j = names.index(column.name)
        values = found[:, place] if column.kind == "numeric" else _as_numbers(column.categories, found[:, place])
        filled[:, j] = np.where(np.isnan(test[:, j]), values, test[:, j])
    return filled, fitted - began, time.perf_counter() - fitted


def _as_numbers(categories: tuple[str, ...], codes: np.ndarray) -> np.ndarray:
    """A column of a few numbers is a boolean or a category to vaecli: back to the numbers."""
    known = np.array([float(text) if text.replace(".", "", 1).lstrip("-").isdigit() else np.nan for text in categories])
    return np.where(np.isnan(codes), np.nan, known[np.nan_to_num(codes).astype(int)])


def _median(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:  # noqa: ARG001
    from sklearn.impute import SimpleImputer

    return _by_sklearn(SimpleImputer(strategy="median"), train, test)


def _knn(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:  # noqa: ARG001
    from sklearn.impute import KNNImputer

    return _by_sklearn(KNNImputer(n_neighbors=5), train, test)


def _iterative(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - scikit-learn's own switch
    from sklearn.impute import IterativeImputer

    return _by_sklearn(IterativeImputer(random_state=seed), train, test, blind=True)


def _by_sklearn(
    imputer: Any, train: np.ndarray, test: np.ndarray, *, blind: bool = False
) -> tuple[np.ndarray, float, float]:
    """Fitted on the standardised training rows, with `blind` after a tenth of their cells was removed.

    IterativeImputer makes as many rounds later as it needed at fit, and without gaps it needs one.
    """
    mean, scale = train.mean(0), train.std(0)
    rows = (train - mean) / scale
    if blind:
        rows = np.where(np.random.default_rng(0).random(rows.shape) < REMOVED, np.nan, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the rounds have not converged
        began = time.perf_counter()
        imputer.fit(rows)
        fitted = time.perf_counter()
        filled = imputer.transform((test - mean) / scale)
    return filled * scale + mean, fitted - began, time.perf_counter() - fitted


METHODS: dict[str, Imputer] = {OURS: _vaecli, "median": _median, "kNN": _knn, RIVAL: _iterative}


def report(rows: Iterable[Mapping[str, Any]], cap: int, facts: Mapping[str, Any]) -> str:
    """Markdown: the error of every method on every table, and whether the target is met."""
    chosen = [row for row in rows if row["cap"] == cap]
    sets = list(dict.fromkeys(f"{row['set']}, seed {row['seed']}" for row in chosen))
    methods = [method for method in METHODS if any(row["method"] == method for row in chosen)]
    table = [[name, *(error_of(chosen, name, method) for method in methods)] for name in sets]
    seconds = [[name, *(seconds_of(chosen, name, method) for method in methods)] for name in sets]
    shapes = {row["set"]: f"{row['n_test']:,} × {row['n_columns']}" for row in chosen}
    return "\n\n".join(
        [
            "# Imputation",
            f"{REMOVED:.0%} of the cells of normal test rows removed. Root mean square error in standard deviations of "
            "the training column, mean over columns: 0 is perfect, 1 is what the mean of the column gives.",
            record.markdown_table(["table", *methods], table),
            target(chosen, sets),
            "## Seconds to fit and to fill",
            record.markdown_table(["table", *methods], seconds),
            f"Test rows × columns: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}; "
            f"at most {cap:,} rows a table. Infinite: the rounds diverged.",
            record.machine_line(facts),
            "",
        ]
    )


def error_of(rows: Iterable[Mapping[str, Any]], name: str, method: str) -> float | None:
    """The error of a method on one table with one seed; infinite where its rounds diverged."""
    found = [row["error"] for row in rows if _is(row, name, method)]
    return None if not found else found[0] if found[0] < DIVERGED else float("inf")


def seconds_of(rows: Iterable[Mapping[str, Any]], name: str, method: str) -> str | None:
    """Fit and fill."""
    found = [f"{row['fit_seconds']:.1f} + {row['fill_seconds']:.1f}" for row in rows if _is(row, name, method)]
    return found[0] if found else None


def _is(row: Mapping[str, Any], name: str, method: str) -> bool:
    return (f"{row['set']}, seed {row['seed']}", row["method"]) == (name, method)


def target(rows: Iterable[Mapping[str, Any]], sets: Iterable[str]) -> str:
    """On how many tables vaecli is at or below IterativeImputer, and whether that is half of them."""
    rows = list(rows)
    pairs = [(error_of(rows, name, OURS), error_of(rows, name, RIVAL)) for name in sets]
    both = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    won = sum(ours <= theirs for ours, theirs in both)
    met = "met" if both and 2 * won >= len(both) else "not met"
    return f"Target, at or below IterativeImputer on at least half of the tables: {met}, on {won} of {len(both)}."


if __name__ == "__main__":
    main()
