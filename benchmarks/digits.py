"""One digit never seen: is it found among the others? Pictures of 8 × 8 pixels, each digit in turn, beside four peers.

Protocol: scikit-learn's digits (1,797 rows of 64 whole numbers from 0 to 16, part of the package, so nothing is
downloaded). For each digit the rows of the nine others are shuffled with the seed; the first half of them fits, the
second half (normal) and all rows of the digit (anomalies) are scored. AUROC of the default score; the figure of a
method is the mean over the ten digits.

`vaecli` is told that all columns have one unit (`vaecli fit --same-unit all`), `vaecli_plain` is told nothing. The
peers see the pixels as they are, which is the same knowledge: one scale for all. Results are kept one by one, so a run
can stop and go on.

    python benchmarks/digits.py
    python benchmarks/digits.py --seeds 1 --methods vaecli,knn5 --redo
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import peers
import record

KEYS = ("method", "digit", "seed")
DIGITS = range(10)
OURS = {"vaecli": {"same_unit": "all"}, "vaecli_plain": {}}
PEERS = ("knn5", "knn1", "lof", "iforest")
NAMES = {**peers.NAMES, "vaecli": "vaecli, one unit", "vaecli_plain": "vaecli, told nothing"}
TARGET = 0.985


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    pictures, digits = load()
    for seed in options.seeds:
        for digit in DIGITS:
            for method in options.methods:
                key = {"method": method, "digit": digit, "seed": seed}
                if results.has(**key) and not options.redo:
                    continue
                train, test, label = split(pictures, digits, digit, seed)
                row = key | measured(method, train, test, label, seed)
                results.add(row)
                print(f"{method:12s} {digit} seed {seed}: AUROC {row['auroc']:.4f}", file=sys.stderr)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "digits.json")
    record.add_names(parser, "--methods", (*OURS, *PEERS))
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    return parser.parse_args()


def load() -> tuple[np.ndarray, np.ndarray]:
    """(pixels (n, 64), digit (n,)) of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data, found.target


def split(pictures: np.ndarray, digits: np.ndarray, digit: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows to fit, rows to score, which of these show `digit`): no row is in both."""
    others = np.flatnonzero(digits != digit)
    np.random.default_rng(seed).shuffle(others)
    fit, normal = np.split(others, [len(others) // 2])
    test = np.concatenate([normal, np.flatnonzero(digits == digit)])
    return pictures[fit], pictures[test], digits[test] == digit


def measured(method: str, train: np.ndarray, test: np.ndarray, label: np.ndarray, seed: int) -> dict[str, Any]:
    """The AUROC of one method on one digit, and what it costs."""
    from sklearn.metrics import roc_auc_score

    answer = (
        _vaecli(OURS[method], train, test, seed) if method in OURS else peers.available()[method](train, test, seed)
    )
    return {
        "n_train": len(train),
        "n_test": len(test),
        "auroc": float(roc_auc_score(label, answer.scores)),
        "fit_seconds": round(answer.fit_seconds, 3),
        "score_seconds": round(answer.score_seconds, 3),
    }


def _vaecli(settings: Mapping[str, Any], train: np.ndarray, test: np.ndarray, seed: int) -> peers.Answer:
    import vaecli

    began = time.perf_counter()
    model = vaecli.fit(train, seed=seed, **settings)
    fitted = time.perf_counter()
    scores = model.score(test).column("anomaly_score").to_numpy()
    return peers.Answer(scores, fitted - began, time.perf_counter() - fitted)


def report(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """Markdown: the AUROC of every method on every digit and seed, the means, and whether the target is met."""
    rows = list(rows)
    methods = [method for method in (*OURS, *PEERS) if any(row["method"] == method for row in rows)]
    parts = ["# A digit never seen", "AUROC of a digit that was held out of training, each in turn."]
    for seed in sorted({row["seed"] for row in rows}):
        table = [[str(digit), *(auroc(rows, method, digit, seed) for method in methods)] for digit in DIGITS]
        means = ["**mean**", *(mean(rows, method, seed) for method in methods)]
        seconds = ["seconds to fit, median", *(fit_seconds(rows, method, seed) for method in methods)]
        parts += [
            f"## Seed {seed}",
            record.markdown_table(["digit", *(NAMES[method] for method in methods)], [*table, means, seconds]),
            target(rows, seed),
        ]
    return "\n\n".join([*parts, record.machine_line(facts), ""])


def auroc(rows: Iterable[Mapping[str, Any]], method: str, digit: int, seed: int) -> float | None:
    """Of one digit; None where it was not measured."""
    wanted = (method, digit, seed)
    return next((row["auroc"] for row in rows if tuple(row[name] for name in KEYS) == wanted), None)


def mean(rows: Iterable[Mapping[str, Any]], method: str, seed: int) -> float | None:
    """The mean over all ten digits; None before all are measured."""
    found = [auroc(rows, method, digit, seed) for digit in DIGITS]
    return None if None in found else record.mean(found)


def fit_seconds(rows: Iterable[Mapping[str, Any]], method: str, seed: int) -> str | None:
    """The median over digits."""
    found = [row["fit_seconds"] for row in rows if (row["method"], row["seed"]) == (method, seed)]
    return f"{np.median(found):.2f}" if found else None


def target(rows: Iterable[Mapping[str, Any]], seed: int) -> str:
    """Whether the default score reaches the target once it is given the unit."""
    found = mean(rows, "vaecli", seed)
    if found is None:
        return f"Target, a mean AUROC of at least {TARGET}: not measured yet."
    return f"Target, a mean AUROC of at least {TARGET}: {'met' if found >= TARGET else 'not met'}, {found:.4f}."


if __name__ == "__main__":
    main()
