"""Which cell is wrong? Faults put into a cell of normal rows, and who sees them: vaecli and what teams use instead.

Fit on 400 or 2,500 normal rows, or half of a smaller table; other normal rows get one fault each, in a column drawn
with the seed (`vaecli.evaluation.faults`). Real tables get every fault of `vaecli selftest`. Factor tables (20 columns
of 3 factors and 60 of 8, every column of variance 1 with 30 % of it noise; curved: what the factors do is not linear)
get cells that are off by 3, 6 and 10 times their noise. Three figures for each method and fault: the share seen at the
method's own threshold, the share above the score that 1 % of the normal rows exceed, and in how many of the rows seen
the column it names first is wrong. Results are kept one by one, so a run can stop and go on.

    python benchmarks/wrong_cell.py --data DIR
    python benchmarks/wrong_cell.py --tables factors_20_3,shuttle --rows 400 --methods vaecli --redo
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import explain
import numpy as np
import pandas as pd
import record
import selftest

import vaecli
from vaecli.data.cells import PRESENT, Cells
from vaecli.data.kinds import KINDS
from vaecli.detector import Detector
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import CATALOGUE, Fault, ReferenceRows, assigned, inject

KEYS = ("table", "rows", "method", "seed")
FACTORS = {"factors_20_3": (20, 3), "factors_60_8": (60, 8), "curved_20_3": (20, 3)}
SETS = {"cardio": "6_cardio", "landsat": "19_landsat", "pendigits": "28_pendigits"}
TABLES = (*FACTORS, *selftest.TABLES, *SETS)
ROWS = (400, 2500)
FRESH = 4_000
NOISE = 0.3  # of the variance
OFF_BY = (3.0, 6.0, 10.0)  # times the noise
ALPHA = 0.01
EXPLAINED = 200  # rows of a case whose first column is looked at
BACKGROUND = 8  # rows whose cells an ablation puts in
VARIANCE = 0.9  # that the principal components keep
FACTOR_SEED = 11  # of loadings, the same for all seeds


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for seed in options.seeds:
        for name in options.tables:
            for rows in options.rows:
                key = {"table": name, "rows": rows, "seed": seed}
                wanted = [m for m in options.methods if options.redo or not results.has(**key, method=m)]
                if not wanted:
                    continue
                trial = trial_of(name, rows, seed, options.data)
                for method in wanted:
                    results.add(key | {"method": method} | measured(trial, method, seed))
                    print(f"{name} {rows} seed {seed} {method}: done", file=sys.stderr)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "wrong_cell.json")
    parser.add_argument("--data", help="folder with adbench/ and mixed/; not needed for factor tables and shuttle")
    record.add_names(parser, "--tables", TABLES)
    record.add_names(parser, "--methods", tuple(METHODS))
    parser.add_argument("--rows", type=record.seeds, default=list(ROWS), help="rows to fit (default 400,2500)")
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    options = parser.parse_args()
    for name in set(options.tables) - {*FACTORS, "shuttle"}:
        options.data = record.data_folder(options.data, "adbench" if name in SETS else f"mixed/{name}")
    return options


# -- tables and faults ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one size: the rows that it changed, and (n, c) bool which of their cells."""

    fault: str
    size: str
    broken: Cells
    wrong: np.ndarray


@dataclass(frozen=True, slots=True)
class Trial:
    """What every method gets: a fitted detector, the cells of its fit, fresh normal rows, and these with faults."""

    detector: Detector
    known: Cells
    fresh: Cells
    cases: tuple[Case, ...]

    @property
    def reference(self) -> ReferenceRows:
        """The rows of the fit, as limits and faults ask for them."""
        return ReferenceRows.of(self.known, self.detector.schema.features, self.detector.preprocessor)


def trial_of(name: str, rows: int, seed: int, data: Path | None) -> Trial:
    """Fit on `rows` normal rows of a table, or half of them, and put the faults into others."""
    faults: list[tuple[str, str, float | None]]
    if name in FACTORS:
        n_columns, n_factors = FACTORS[name]
        table = factor_table(rows + FRESH, n_columns, n_factors, seed, curved=name.startswith("curved"))
        faults = [("shift", f"{k:g} noise sd", k * math.sqrt(NOISE)) for k in OFF_BY]
        faults += [(fault, "", None) for fault in ("swap", "stuck")]
    else:
        table = _normal_rows(name, data)
        table = table.iloc[np.random.default_rng([seed, 0xCE11]).permutation(len(table))]
        faults = [(one.name, _size(one, size), size) for one in CATALOGUE.values() for size in one.sizes]
    n_fit = min(rows, len(table) // 2)
    fit, fresh = table.iloc[:n_fit], table.iloc[n_fit : n_fit + FRESH]
    detector = vaecli.fit(fit.reset_index(drop=True), seed=seed).detector
    assert isinstance(detector, Detector)
    known, others = (explain.cells_of(detector, part.reset_index(drop=True)) for part in (fit, fresh))
    reference = ReferenceRows.of(known, detector.schema.features, detector.preprocessor)
    cases = [
        found
        for i, (fault, told, size) in enumerate(faults)
        if (found := case_of(CATALOGUE[fault], told, size, others, reference, np.random.default_rng([seed, i])))
    ]
    return Trial(detector, known, others, tuple(cases))


def factor_table(n: int, n_columns: int, n_factors: int, seed: int, *, curved: bool) -> pd.DataFrame:
    """(n, n_columns): every column a mixture of hidden factors of variance 0.7, plus noise of variance 0.3.

    `curved` columns are the tanh of one direction of the factors and the square of another.
    """
    directions = np.random.default_rng(FACTOR_SEED).normal(size=(2, n_factors, n_columns))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rng = np.random.default_rng([seed, n_columns, n_factors])
    hidden = rng.normal(size=(n, n_factors))
    signal = hidden @ directions[0]
    if curved:
        signal = np.tanh(1.5 * signal) / 0.7 + 0.5 * ((hidden @ directions[1]) ** 2 - 1)
        signal /= 1.267  # its standard deviation
    cells = math.sqrt(1 - NOISE) * signal + math.sqrt(NOISE) * rng.normal(size=signal.shape)
    return pd.DataFrame(cells, columns=[f"x{j + 1}" for j in range(n_columns)])


def _normal_rows(name: str, data: Path | None) -> pd.DataFrame:
    if name not in SETS:
        table: pd.DataFrame = selftest.normal_table(name, data).drop(columns="label", errors="ignore")
        return table
    with np.load(Path(str(data)) / f"adbench/{SETS[name]}.npz") as arrays:
        cells = arrays["X"][arrays["y"] == 0].astype(np.float64)
    return pd.DataFrame(cells, columns=[f"x{j + 1}" for j in range(cells.shape[1])])


def _size(fault: Fault, size: float | None) -> str:
    return "" if size is None else selftest.UNITS[fault.name].format(size)


def case_of(
    fault: Fault, told: str, size: float | None, cells: Cells, reference: ReferenceRows, rng: np.random.Generator
) -> Case | None:
    """The rows with the fault, one cell each (a swap has two); None where the table cannot have it or none changed."""
    possible = fault.applies_to(reference.columns, size)
    if not possible.size:
        return None
    broken, changed = inject(fault, size, cells, assigned(len(cells), possible, rng), reference, rng)
    if not changed.any():
        return None
    same = (broken.values == cells.values) | (np.isnan(broken.values) & np.isnan(cells.values))
    wrong = ~same | (broken.state != cells.state)
    return Case(fault.name, told, _numbered(broken, changed), wrong[changed])


def _numbered(cells: Cells, which: np.ndarray) -> Cells:
    return Cells(cells.values[which], cells.state[which], np.arange(len(cells.row[which])))


# -- the methods ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judge:
    """A method after its fit.

    `judged` gives (n,) scores, higher for more anomalous rows, and (n,) bool which are flagged at its own threshold;
    `blame` gives (n, c) how much each column is to blame. `ranks` is false where there is no score to move.
    """

    judged: Callable[[Cells], tuple[np.ndarray, np.ndarray]]
    blame: Callable[[Cells], np.ndarray]
    ranks: bool = True


def _vaecli(trial: Trial, seed: int) -> Judge:  # noqa: ARG001 - every method takes a seed
    def judged(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        decided, flags = explain.scored(trial.detector, cells)
        return decided.scored.score, flags

    def blame(cells: Cells) -> np.ndarray:
        return explain.parts(trial.detector, cells, explain.scored(trial.detector, cells)[0])

    return Judge(judged, blame)


def _limits(trial: Trial, seed: int) -> Judge:  # noqa: ARG001
    """Limits on every column alone that flag 1 % of the rows of the fit."""
    limits = ColumnLimits.of(trial.reference, round(ALPHA * len(trial.known)))

    def blame(cells: Cells) -> np.ndarray:
        return np.stack([limits.rarity_in(j, cells) for j in range(cells.values.shape[1])], axis=1)

    return Judge(lambda cells: (limits.rarity(cells), limits.flags(cells)), blame)


def _z_scores(trial: Trial, seed: int) -> Judge:  # noqa: ARG001
    """The largest |z| of a row."""
    encoding = Encoding.of(trial)
    return _by_columns(lambda cells: encoding.by_column(np.abs(encoding.features(cells)), np.maximum), trial, np.max)


def _squared_error(trial: Trial, seed: int) -> Judge:  # noqa: ARG001
    """The squared error of a reconstruction from the principal components that keep 90 % of the variance."""
    from sklearn.decomposition import PCA

    encoding = Encoding.of(trial)
    components = PCA(VARIANCE).fit(encoding.features(trial.known))

    def errors(cells: Cells) -> np.ndarray:
        features = encoding.features(cells)
        reconstruction = components.inverse_transform(components.transform(features))
        return encoding.by_column((features - reconstruction) ** 2, np.add)

    return _by_columns(errors, trial, np.sum)


def _forest(trial: Trial, seed: int) -> Judge:
    """An isolation forest; a column is blamed by how far the score falls with that cell of other rows put in."""
    from sklearn.ensemble import IsolationForest

    encoding = Encoding.of(trial)
    known = encoding.features(trial.known)
    forest = IsolationForest(random_state=seed).fit(known)
    limit = float(np.quantile(-forest.score_samples(known), 1 - ALPHA))
    chosen = np.random.default_rng(seed).choice(len(known), min(BACKGROUND, len(known)), replace=False)

    def judged(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        scores = -forest.score_samples(encoding.features(cells))
        return scores, scores > limit

    def blame(cells: Cells) -> np.ndarray:
        features = encoding.features(cells)
        whole, without = -forest.score_samples(features), []
        for j in range(cells.values.shape[1]):
            tried = np.repeat(features[None], len(chosen), axis=0)
            mine = encoding.column == j
            tried[:, :, mine] = known[chosen][:, None, mine]
            without.append(-forest.score_samples(tried.reshape(-1, features.shape[1])).reshape(len(chosen), -1).mean(0))
        return whole[:, None] - np.stack(without, axis=1)

    return Judge(judged, blame)


def _rules(trial: Trial, seed: int) -> Judge:  # noqa: ARG001
    """What a generator of data-quality rules derives: least and largest number, known words, no gap where none was."""
    states = [set(trial.known.state[:, j].tolist()) for j in range(trial.known.values.shape[1])]
    present = [trial.reference.present(j) for j in range(len(states))]
    ordered = [KINDS[column.kind].is_ordered for column in trial.detector.schema.features]

    def broken(cells: Cells) -> np.ndarray:
        found = np.zeros(cells.values.shape, bool)
        for j, values in enumerate(present):
            here, there = cells.values[:, j], cells.state[:, j] == PRESENT
            if not values.size:
                outside = there
            elif ordered[j]:
                outside = (here < values.min()) | (here > values.max())
            else:
                outside = ~np.isin(here, values)
            found[:, j] = np.where(there, outside, ~np.isin(cells.state[:, j], list(states[j])))
        return found

    def judged(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        found = broken(cells).sum(1)
        return found, found > 0

    return Judge(judged, broken, ranks=False)


def _by_columns(blame: Callable[[Cells], np.ndarray], trial: Trial, joined: Callable[..., np.ndarray]) -> Judge:
    """A method whose row score is made of its columns; its threshold is what 1 % of the rows of the fit exceed."""
    limit = float(np.quantile(joined(blame(trial.known), axis=1), 1 - ALPHA))

    def judged(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        scores = joined(blame(cells), axis=1)
        return scores, scores > limit

    return Judge(judged, blame)


METHODS: dict[str, Callable[[Trial, int], Judge]] = {
    "vaecli": _vaecli,
    "limits": _limits,
    "rules": _rules,
    "z_score": _z_scores,
    "squared_error": _squared_error,
    "iforest": _forest,
}
NAMES = {
    "vaecli": "vaecli",
    "limits": "column limits",
    "rules": "rules",
    "z_score": "z-score",
    "squared_error": "squared error (PCA)",
    "iforest": "isolation forest",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Cells as standardised features: numbers, a 0/1 feature for each known word, and one each for gaps and novelty."""

    words: tuple[tuple[float, ...], ...]  # of each column; none of a column of numbers
    column: np.ndarray  # (f,) the column of each feature
    mean: np.ndarray  # (f,)
    scale: np.ndarray  # (f,)

    @classmethod
    def of(cls, trial: Trial) -> Encoding:
        """Means and scales are those of the fit; a 0/1 feature that is constant there has the spread of half a row."""
        words = tuple(
            () if KINDS[column.kind].is_ordered else tuple(np.unique(trial.reference.present(j)))
            for j, column in enumerate(trial.detector.schema.features)
        )
        column = np.concatenate([np.full(max(1, len(one)) + 2, j) for j, one in enumerate(words)])
        plain = cls(words, column, np.zeros(column.size), np.ones(column.size)).features(trial.known)
        floor = math.sqrt(0.5 / len(trial.known))
        is_binary = np.isin(plain, (0.0, 1.0)).all(0)
        scale = np.where(is_binary, np.maximum(plain.std(0), floor), plain.std(0))
        return cls(words, column, plain.mean(0), np.where(scale > 0, scale, 1.0))

    def features(self, cells: Cells) -> np.ndarray:
        """(n, f); a number that is not there is at the mean."""
        parts = []
        for j, known in enumerate(self.words):
            here, state = cells.values[:, j], cells.state[:, j]
            parts += [here == word for word in known] if known else [here]
            parts += [state == 1, state == 2]
        features = (np.stack(parts, axis=1).astype(np.float64) - self.mean) / self.scale
        return np.nan_to_num(features, nan=0.0, posinf=1e12, neginf=-1e12).clip(-1e12, 1e12)

    def by_column(self, features: np.ndarray, joined: np.ufunc) -> np.ndarray:
        """(n, c): the features (n, f) of each column joined to one figure."""
        starts = np.flatnonzero(np.diff(self.column, prepend=-1))
        found: np.ndarray = joined.reduceat(features, starts, axis=1)
        return found


# -- measuring ------------------------------------------------------------------------------------


def measured(trial: Trial, method: str, seed: int) -> dict[str, Any]:
    """False alarms of a method, and what it makes of each case."""
    judge = METHODS[method](trial, seed)
    usual, alarms = judge.judged(trial.fresh)
    matched = limit_of(usual) if judge.ranks else None
    return {
        "n_fit": len(trial.known),
        "n_fresh": len(trial.fresh),
        "n_columns": trial.known.values.shape[1],
        "false_alarms": float(alarms.mean()),
        "cases": [_of_case(judge, case, matched) for case in trial.cases],
    }


def limit_of(scores: np.ndarray) -> float:
    """The least of the scores (n,) that at most 1 % of them exceed."""
    return float(np.sort(scores)[scores.size - 1 - int(ALPHA * scores.size)])


def _of_case(judge: Judge, case: Case, matched: float | None) -> dict[str, Any]:
    scores, flags = judge.judged(case.broken)
    shown = np.flatnonzero(flags)[:EXPLAINED]
    named = first_is_wrong(judge.blame(_numbered(case.broken, shown)), case.wrong[shown]) if shown.size else None
    return {
        "fault": case.fault,
        "size": case.size,
        "rows": len(case.broken),
        "own": float(flags.mean()),
        "matched": None if matched is None else float((scores > matched).mean()),
        "named": None if named is None else int(named.sum()),
        "shown": int(shown.size),
    }


def first_is_wrong(blame: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """(n,) bool, whether the column of the largest blame (n, c) is one of the `wrong` (n, c); a tie counts against."""
    best = np.where(wrong, blame, -np.inf).max(1)
    other = np.where(wrong, -np.inf, blame).max(1)
    first: np.ndarray = best > other
    return first


# -- the report -----------------------------------------------------------------------------------


def report(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """Markdown: one table of means, then each table with every fault."""
    rows = list(rows)
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    trials = sorted({(row["table"], row["rows"]) for row in rows}, key=lambda trial: (TABLES.index(trial[0]), trial[1]))
    parts = [
        "# Which cell is wrong?",
        "One fault a row, in a cell of normal rows that nothing was fitted on. “90 / 92 / 97”: percent of the faults "
        "seen at the method's own threshold, which is to flag 1 % of normal rows; percent above the score that exactly "
        "1 % of the normal rows exceed; and percent of the rows seen in which a wrong cell is named first (at most "
        f"{EXPLAINED} rows a fault; a tie counts against). Means over faults, sizes and seeds. Rules have no score to "
        "move. In factor tables cells are off by 3, 6 and 10 times their noise, changed places, or stuck.",
        _summary(trials, methods, rows),
        "## False alarms of fresh normal rows at a method's own threshold",
        "Mean over seeds, in brackets each. A threshold from a few hundred rows scatters, and with it what is seen.",
        _alarms(trials, methods, rows),
    ]
    for table, fit_rows in trials:
        mine = [row for row in rows if (row["table"], row["rows"]) == (table, fit_rows)]
        n_fit, n_columns = mine[0]["n_fit"], mine[0]["n_columns"]
        parts += [f"## {table}, {n_fit:,} rows × {n_columns}", _by_fault(mine, methods)]
    seeds = ", ".join(str(seed) for seed in sorted({row["seed"] for row in rows}))
    return "\n\n".join([*parts, f"Seeds: {seeds}. {record.machine_line(facts)}", ""])


def _summary(trials: Sequence[tuple[str, int]], methods: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for table, fit_rows in trials:
        figures = (_figures(_cases(rows, table, fit_rows, method)) for method in methods)
        lines.append([f"{table}, {_fitted(rows, table, fit_rows):,} rows", *figures])
    return record.markdown_table(["seen / at 1 % / named first", *(NAMES[name] for name in methods)], lines)


def _fitted(rows: Sequence[Mapping[str, Any]], table: str, fit_rows: int) -> int:
    return next(int(row["n_fit"]) for row in rows if (row["table"], row["rows"]) == (table, fit_rows))


def _cases(rows: Sequence[Mapping[str, Any]], table: str, fit_rows: int, method: str) -> list[Mapping[str, Any]]:
    mine = (row for row in rows if (row["table"], row["rows"], row["method"]) == (table, fit_rows, method))
    return [case for row in mine for case in row["cases"]]


def _figures(cases: Sequence[Mapping[str, Any]]) -> str | None:
    """`90 / 92 / 97`; None without a case."""
    if not cases:
        return None
    shown = sum(case["shown"] for case in cases)
    named = sum(case["named"] for case in cases if case["named"] is not None) / shown if shown else None
    means = (record.mean(case["own"] for case in cases), record.mean(case["matched"] for case in cases), named)
    return " / ".join("–" if value is None else f"{100 * value:.0f}" for value in means)


def _alarms(trials: Sequence[tuple[str, int]], methods: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for table, fit_rows in trials:
        cells = [_each([row["false_alarms"] for row in rows if _is(row, table, fit_rows, name)]) for name in methods]
        lines.append([f"{table}, {_fitted(rows, table, fit_rows):,} rows", *cells])
    return record.markdown_table(["", *(NAMES[name] for name in methods)], lines)


def _each(shares: Sequence[float]) -> str | None:
    """`1.04 % (0.38, 1.70)`: the mean and, of several, each."""
    mean = record.percent(record.mean(shares))
    if mean is None or len(shares) < 2:
        return mean
    return f"{mean} ({', '.join(f'{100 * share:.2f}' for share in shares)})"


def _is(row: Mapping[str, Any], table: str, fit_rows: int, method: str) -> bool:
    return (row["table"], row["rows"], row["method"]) == (table, fit_rows, method)


def _by_fault(mine: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    faults = list(dict.fromkeys((case["fault"], case["size"]) for row in mine for case in row["cases"]))
    lines = []
    for fault in faults:
        found = (
            [c for row in mine if row["method"] == name for c in row["cases"] if (c["fault"], c["size"]) == fault]
            for name in methods
        )
        lines.append([" ".join(fault).strip(), *map(_figures, found)])
    return record.markdown_table(["fault", *(NAMES[name] for name in methods)], lines)


if __name__ == "__main__":
    main()
