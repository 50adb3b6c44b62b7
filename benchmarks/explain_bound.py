"""How well can anybody know which of two cells is wrong? A bound for `explain.py`, where columns go in pairs.

Two cells x and y of a row disagree. Either x came from another row, or y did; `explain.py`'s swaps move a cell by more
than half a standard deviation. With densities of normal rows, whoever knows the law of the fault weighs

    p(y) · p(x | moved)   against   p(x) · p(y | moved)

and is right with the larger of the two shares. The densities are kernel estimates from all normal rows, those of the
test too, so this is an oracle and not a method. Asked of the same flagged rows as `explain.py`.

    python benchmarks/explain_bound.py --data DIR --work DIR      # bundles of explain.py in --work are used again
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import explain
import numpy as np
import record

from vaecli.data.cells import PRESENT

KEYS = ("table", "seed", "pair")
WIDTH = 0.1  # of the kernels, in standard deviations; 0.03 to 0.2 give the same to half a point


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        work.mkdir(parents=True, exist_ok=True)
        for name in explain.PAIRS:
            for seed in options.seeds:
                if options.redo or not results.has(table=name, seed=seed, pair=0):
                    _measure(name, seed, work, options, results)
    record.finish(options.out, report(results))


def _options() -> Any:
    parser = record.parser(__doc__, "explain_bound.json")
    parser.add_argument("--data", help="folder that holds adbench/ and mixed/")
    parser.add_argument("--work", type=Path, help="bundles of explain.py; by default they are fitted and not kept")
    parser.add_argument("--seeds", type=record.seeds, default=[0, 1, 2], help="comma-separated (default 0,1,2)")
    parser.add_argument("--rows", type=int, default=300, help="swapped rows per column, at most, as explain.py's")
    options = parser.parse_args()
    options.data = record.data_folder(options.data, "mixed")
    return options


def _measure(name: str, seed: int, work: Path, options: Any, results: record.Results) -> None:
    table = explain.load_table(options.data, name, seed)
    detector = explain.fitted(table, work / f"{name}_seed{seed}.vae", seed)
    train = explain.cells_of(detector, table.train).values
    test = explain._taken(explain.cells_of(detector, table.test), table.normal)
    _, flags = explain.scored(detector, test)
    usual = np.flatnonzero(~flags & (test.state == PRESENT).all(1))
    wrong, column = explain.corrupted(detector, test, usual, "swap", seed, options.rows)
    decided, flags = explain.scored(detector, wrong)
    found = np.flatnonzero(flags)
    first = explain.parts(detector, explain._taken(wrong, found), decided.take(found)).argmax(1)
    names = [one.name for one in detector.schema.features]
    for pair, columns in enumerate(explain.PAIRS[name]):
        place = [names.index(one) for one in columns]
        here = np.isin(column[found], place)
        known = np.concatenate([train[:, place], test.values[:, place]])
        share = of_first(wrong.values[found][here][:, place], known, np.nanstd(train[:, place], axis=0))
        is_first = column[found][here] == place[0]
        row = {"table": name, "seed": seed, "pair": pair, "columns": list(columns), "rows": int(here.sum())}
        row |= {"oracle_expected": float(np.maximum(share, 1 - share).mean())}
        row |= {"oracle": float(((share > 0.5) == is_first).mean())}
        results.add(row | {"vaecli": float((first[here] == column[found][here]).mean())})


def of_first(rows: np.ndarray, known: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The probability (n,) that in `rows` (n, 2) the first cell is the wrong one, from normal rows `known` (m, 2)."""
    known = known[~np.isnan(known).any(1)] / scale
    rows = rows / scale
    nats = []
    for wrong, other in ((0, 1), (1, 0)):
        distance = np.abs(rows[:, None] - known[None])
        kernel = np.exp(-0.5 * np.square(distance / WIDTH))
        moved = distance[..., wrong] > explain.SWAP
        nats.append(np.log((kernel[..., other] * moved).mean(1)) + np.log(kernel[..., wrong].mean(1)))
    share: np.ndarray = 1 / (1 + np.exp(nats[1] - nats[0]))
    return share


def report(results: record.Results) -> str:
    """The pairs, as Markdown."""
    shares = ("oracle_expected", "oracle", "vaecli")
    lines = [
        (" / ".join(row["columns"]), row["seed"], f"{row['rows']:,}", *(f"{100 * row[name]:.1f} %" for name in shares))
        for row in sorted(results.rows, key=lambda row: (row["table"], row["pair"], row["seed"]))
    ]
    total = sum(row["rows"] for row in results.rows)
    means = (f"{100 * sum(row[name] * row['rows'] for row in results.rows) / total:.1f} %" for name in shares)
    header = ("pair", "seed", "flagged rows", "oracle, expected", "oracle, right", "vaecli names it first")
    parts = (
        "# Which of two cells is wrong?",
        "Flagged rows of `explain.py` in which a cell of a pair came from another row. The oracle knows the law of the "
        "fault and the densities of all normal rows; “expected” is how often it would be right by its own "
        "probabilities. The densities of both cases are equal up to the condition that the cell has moved, so nobody "
        "can do better than a coin.",
        record.markdown_table(header, [*lines, ("all", "", f"{total:,}", *means)]),
        record.machine_line(results.machine()),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
