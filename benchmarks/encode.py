"""Do codes and maps keep neighbourhoods? vaecli, PCA and UMAP on rows that none of them was fitted on.

Protocol: half of the rows fit every method, without labels; of the other half at most 2,000 rows are encoded.
`digits` is scikit-learn's table of 1,797 handwritten digits of 64 pixels, split at random by the seed. Of `shuttle`
(sample_data) half of normal.csv, drawn with the seed, fits, and rows drawn from mixed.csv are encoded, as vaecli would
be used.

*Trustworthiness* (Venna & Kaski 2001): 1 when the nearest rows by a method's coordinates are near in the table, whose
columns are standardised on the fitted rows; 5 and 10 neighbours. *Label agreement*: the share of rows whose 5 nearest
others vote for the row's own label, the mean over labels, so that rare ones count as much.

Methods: all k latent coordinates of vaecli (in units of their spread, as its maps use them), as many principal
components of the standardised table; on two dimensions vaecli's two maps, PCA and UMAP of the standardised table, and
PCA of the features that vaecli's preprocessing makes of it, which says what the preprocessing does by itself.
Results are kept one by one, so a run can stop and go on.

    python benchmarks/encode.py
    python benchmarks/encode.py --tables digits --methods vaecli --redo
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import record
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

KEYS = ("method", "table", "seed")
TABLES = ("digits", "shuttle")
METHODS = (
    "vaecli, all coordinates",
    "PCA, as many",
    "vaecli, map",
    "PCA of features",
    "PCA",
    "vaecli, UMAP map",
    "UMAP",
)
FITTED_HERE = ("vaecli, all coordinates", "PCA, as many", "vaecli, map", "PCA of features", "vaecli, UMAP map")
MEASURES = {"trust_5": "trustworthiness, 5", "trust_10": "trustworthiness, 10", "labels": "label agreement"}
MOST_ROWS = 2000
VOTERS = 5


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for seed in options.seeds:
        for table in options.tables:
            _measure(table, seed, options.methods, options.redo, results)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "encode.json")
    record.add_names(parser, "--tables", TABLES)
    parser.add_argument("--methods", default="", help="what a method's name begins with, such as vaecli (default: all)")
    parser.add_argument("--seeds", type=record.seeds, default=[0, 1], help="comma-separated (default 0,1)")
    options = parser.parse_args()
    if not any(name.startswith(options.methods) for name in METHODS):
        parser.error(f"unknown methods {options.methods}; here are {'; '.join(METHODS)}")
    options.methods = [name for name in METHODS if name.startswith(options.methods)]
    return options


def _measure(table: str, seed: int, methods: Iterable[str], redo: bool, results: record.Results) -> None:
    todo = [name for name in methods if redo or not results.has(method=name, table=table, seed=seed)]
    if not todo:
        return
    train, test, label = split(table, seed)
    reference, standard = standardised(train, test)
    shown = shown_by(todo, train, test, reference, standard, seed)
    for method, (coordinates, seconds) in shown.items():
        row = {"method": method, "table": table, "seed": seed, "n_train": len(train), "n_test": len(test)}
        row |= {"n_columns": train.shape[1], "dims": coordinates.shape[1], "seconds": round(seconds, 2)}
        row |= quality(standard, coordinates, label)
        results.add(row)
        told = ", ".join(f"{name} {row[name]:.3f}" for name in MEASURES)
        print(f"{table:8s} seed {seed} {method:24s} {told}", file=sys.stderr)


def split(table: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows to fit (n, c), rows to encode, their labels)."""
    rng = np.random.default_rng([seed, 0xE2C0])
    if table == "digits":
        from sklearn.datasets import load_digits

        rows, label = load_digits(return_X_y=True)
        order = rng.permutation(len(rows))
        fitted, shown = order[: len(rows) // 2], order[len(rows) // 2 :][:MOST_ROWS]
        return rows[fitted], rows[shown], label[shown]
    folder = record.REPOSITORY / "sample_data" / "shuttle"
    normal, mixed = (np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1) for name in ("normal", "mixed"))
    fitted = rng.permutation(len(normal))[: len(normal) // 2]
    shown = rng.permutation(len(mixed))[:MOST_ROWS]
    return normal[fitted], mixed[shown, :-1], mixed[shown, -1].astype(int)


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by the columns' means and deviations of `train`, without the columns that are constant there."""
    varies = train.std(0) > 0
    mean, scale = train[:, varies].mean(0), train[:, varies].std(0)
    return (train[:, varies] - mean) / scale, (test[:, varies] - mean) / scale


def quality(rows: np.ndarray, coordinates: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Every measure of `coordinates` (n, dims), against the rows (n, c) as they are and their labels (n,)."""
    return {
        "trust_5": float(trustworthiness(rows, coordinates, n_neighbors=5)),
        "trust_10": float(trustworthiness(rows, coordinates, n_neighbors=10)),
        "labels": agreement(coordinates, label),
    }


def agreement(coordinates: np.ndarray, label: np.ndarray) -> float:
    """Mean over labels of the share of rows for which most of the nearest others have the row's label."""
    # without an argument a row is not among its own neighbours
    near = NearestNeighbors(n_neighbors=VOTERS).fit(coordinates).kneighbors(return_distance=False)
    voted = np.array([np.bincount(label[rows]).argmax() for rows in near])
    return float(np.mean([(voted[label == value] == value).mean() for value in np.unique(label)]))


def shown_by(
    methods: Iterable[str], train: np.ndarray, test: np.ndarray, reference: np.ndarray, standard: np.ndarray, seed: int
) -> dict[str, tuple[np.ndarray, float]]:
    """Coordinates (n, dims) of the rows to encode by each method, and the seconds of its fit and use.

    What comes out of one fit of vaecli shares its seconds.
    """
    found: dict[str, tuple[np.ndarray, float]] = {}
    if any(method in FITTED_HERE for method in methods):
        found |= _vaecli(methods, train, test, reference, standard, seed)
    if "PCA" in methods:
        found["PCA"] = _pca(2, reference, standard)
    if "UMAP" in methods and _has_umap():
        found["UMAP"] = _umap(reference, standard, seed)
    return {method: found[method] for method in methods if method in found}


def _vaecli(
    methods: Iterable[str], train: np.ndarray, test: np.ndarray, reference: np.ndarray, standard: np.ndarray, seed: int
) -> dict[str, tuple[np.ndarray, float]]:
    import vaecli

    began = time.perf_counter()
    # by name: a column of an array is a measurement, never an identifier
    names = tuple(f"x{j}" for j in range(train.shape[1]))
    detector = vaecli.fit(train, seed=seed, **{"columns.columns": names}).detector
    seconds = time.perf_counter() - began
    seen, new = (detector.preprocessor.transform(_cells(detector, rows)).values for rows in (train, test))
    cells = _cells(detector, test)
    k = detector.n_latent
    prior = detector.ensemble.reference_family.exemplar_prior
    found = {
        "vaecli, all coordinates": (detector.encode(cells)[0] * prior.scale[0, 0], seconds),
        "PCA, as many": _pca(min(k, reference.shape[1]), reference, standard),
        "vaecli, map": (detector.encode(cells, 2)[0], seconds),
        "PCA of features": _pca(2, seen, new),
    }
    if "vaecli, UMAP map" in methods and _has_umap():
        from vaecli.latent.umap_map import umap_of

        began = time.perf_counter()
        placed = detector.map_coordinates(cells, umap_of(prior, 2))
        found["vaecli, UMAP map"] = placed, seconds + time.perf_counter() - began
    return found


def _cells(detector: Any, rows: np.ndarray) -> Any:
    from vaecli.tables import ReadRequest, check_schema, frame_source, numbers_of, to_cells

    source = frame_source(rows)
    check_schema(source, detector.schema)
    names = [column.name for column in detector.schema.features]
    [batch] = source.batches(ReadRequest(names, numbers=numbers_of(detector.schema), batch_rows=len(rows)))
    return to_cells(batch, detector.schema)


def _pca(dims: int, reference: np.ndarray, standard: np.ndarray) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    coordinates = PCA(dims, random_state=0).fit(reference).transform(standard)
    return coordinates, time.perf_counter() - began


def _umap(reference: np.ndarray, standard: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its own dependencies will do one day
        from umap import UMAP

        began = time.perf_counter()
        coordinates = UMAP(random_state=seed, n_jobs=1).fit(reference).transform(standard)
    return coordinates, time.perf_counter() - began


def _has_umap() -> bool:
    from importlib.util import find_spec

    return find_spec("umap") is not None


def report(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """Markdown: every measure of every method, a table of data and seed at a time, then what is lost on the way."""
    rows = list(rows)
    parts = [
        "# Codes and maps",
        "Half of the rows fitted, the others encoded. Trustworthiness: are rows near by their coordinates near "
        f"in the standardised table? 1 is best. Label agreement: do the {VOTERS} nearest rows have a row's label? Mean "
        "over labels. No method sees a label. `PCA of features` is PCA of the table as the preprocessing bends it.",
    ]
    for table in dict.fromkeys(row["table"] for row in rows):
        for seed in sorted({row["seed"] for row in rows if row["table"] == table}):
            here = {row["method"]: row for row in rows if (row["table"], row["seed"]) == (table, seed)}
            shape = next(iter(here.values()))
            parts += [
                f"## {table}, seed {seed}: {shape['n_test']:,} rows × {shape['n_columns']} columns",
                record.markdown_table(
                    ["method", "dimensions", *MEASURES.values()],
                    [_cells_of(here[method]) for method in METHODS if method in here],
                ),
            ]
    parts += ["## Ahead or behind"]
    for table in dict.fromkeys(row["table"] for row in rows):
        here_only = [row for row in rows if row["table"] == table]
        pairs = (("vaecli, map", "PCA"), ("vaecli, UMAP map", "UMAP"), ("vaecli, UMAP map", "vaecli, map"))
        parts.append("\n".join(f"- {table}: {behind(here_only, ours, theirs)}" for ours, theirs in pairs))
    parts += [record.machine_line(facts), ""]
    return "\n\n".join(parts)


def behind(rows: Iterable[Mapping[str, Any]], ours: str, theirs: str) -> str:
    """One sentence: the mean difference of each measure over the tables and seeds that have both methods."""
    by_key = {(row["method"], row["table"], row["seed"]): row for row in rows}
    both = [
        (row, by_key[theirs, table, seed])
        for (method, table, seed), row in by_key.items()
        if method == ours and (theirs, table, seed) in by_key
    ]
    if not both:
        return f"{ours} less {theirs}: not measured."
    told = (f"{name} {np.mean([a[key] - b[key] for a, b in both]):+.3f}" for key, name in MEASURES.items())
    return f"{ours} less {theirs}, mean over {len(both)} runs: {'; '.join(told)}."


def _cells_of(row: Mapping[str, Any]) -> list[Any]:
    return [row["method"], row["dims"], *(row[name] for name in MEASURES)]


if __name__ == "__main__":
    main()
