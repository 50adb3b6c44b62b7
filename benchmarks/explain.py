"""Do explanations name the column that is really wrong? Known faults, put into normal rows one cell at a time.

Of test rows that are normal, complete and not flagged at 0.99, one number is made wrong, each numeric column in turn:

    shift   by 4 to 8 standard deviations of the training rows, up or down
    swap    to what the column holds in another normal row, more than half a standard deviation away

The rows are scored again. Over those that are flagged now: at which place does each method put the column that is
wrong? A second part times explanations. Results are kept per question, table and seed, so a run can stop and go on.

    python benchmarks/explain.py --data DIR --work DIR
    python benchmarks/explain.py --data DIR --work DIR --tables ai4i2020 --only swap --redo
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adbench
import numpy as np
import pandas as pd
import record

import vaecli
from vaecli.config import ScoreConfig
from vaecli.data.cells import PRESENT, Cells
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import ScoredRows
from vaecli.detector import Detector
from vaecli.model.network import decode, encoder_inputs, posterior
from vaecli.schema import Kind
from vaecli.tables import ReadRequest, check_schema, frame_source, numbers_of, open_source, to_cells

KEYS = ("question", "table", "seed", "rows")
THRESHOLD = 0.99
CAP = 10_000  # rows drawn from a table of ADBench
SHIFT = (4.0, 8.0)  # standard deviations
SWAP = 0.5  # a swapped value that is nearer than this many is hardly wrong
TIMED_ROWS, TIMED_RUNS = 50, 5
NOBODY = "no column"
TABLES = ("shuttle", "ai4i2020", "nslkdd")
WIDE = ("mnist", "InternetAds")  # only timed
MIXED = ("ai4i2020", "nslkdd")
# nearly redundant columns: with one of two wrong, nothing in the row shows which
PAIRS = {
    "ai4i2020": (
        ("Air temperature [K]", "Process temperature [K]"),
        ("Rotational speed [rpm]", "Torque [Nm]"),
    )
}


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        work.mkdir(parents=True, exist_ok=True)
        for seed in options.seeds:
            for name in options.tables:
                _measure(name, seed, work, options, results)
    record.finish(options.out, report(results.rows, options.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "explain.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz, mixed/nslkdd and mixed/ai4i2020")
    parser.add_argument("--work", type=Path, help="keeps the bundles for the next run; by default they are not kept")
    parser.add_argument("--seeds", type=record.seeds, default=[0, 1, 2], help="comma-separated (default 0,1,2)")
    record.add_names(parser, "--tables", (*TABLES, *WIDE))
    record.add_names(parser, "--only", tuple(QUESTIONS))
    parser.add_argument("--rows", type=int, default=300, help="corrupted rows a column, at most (default 300)")
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows is at least 1")
    options.data = record.data_folder(options.data, "adbench")
    record.data_folder(str(options.data), "mixed")
    return options


def _measure(name: str, seed: int, work: Path, options: argparse.Namespace, results: record.Results) -> None:
    """All questions of one table and one seed that have no answer yet."""
    table = detector = None
    for question in options.only:
        timed = question == "seconds"
        if (name in WIDE and not timed) or (timed and seed != options.seeds[0]):
            continue
        key = {"question": question, "table": name, "seed": seed, "rows": TIMED_ROWS if timed else options.rows}
        if results.has(**key) and not options.redo:
            continue
        table = table or load_table(options.data, name, seed)
        detector = detector or fitted(table, work / f"{name}_seed{seed}.vae", seed)
        row = key | (seconds(detector, table, seed) if timed else named(detector, table, question, seed, options.rows))
        results.add(row)
        print(_said(row), file=sys.stderr)


def _said(row: Mapping[str, Any]) -> str:
    what = f"{row['question']:8s} {row['table']:12s} seed {row['seed']}: "
    if row["question"] == "seconds":
        return what + f"{statistics.median(row['seconds_per_row']):.4f} s a row"
    shares = (f"{method} {found / max(1, row['flagged']):.3f}" for method, found in row["first"].items())
    return what + f"{row['flagged']:,} of {row['corrupted']:,} flagged; first: {', '.join(shares)}"


@dataclass(frozen=True, slots=True)
class Table:
    """Normal rows to fit, and rows to score, of which some are `normal` (n,): files or NumPy arrays."""

    train: Any
    test: Any
    normal: np.ndarray


def load_table(data: Path, name: str, seed: int) -> Table:
    """A table with categories from its files; one of ADBench as `adbench.py` splits it with the seed."""
    if name in MIXED:
        train, test = (data / "mixed" / name / f"{part}.csv" for part in ("train", "test"))
        _need(train, test)
        return Table(str(train), str(test), pd.read_csv(test, usecols=["label"])["label"].to_numpy() == 0)
    path = next((data / "adbench").glob(f"*_{name}.npz"), data / "adbench" / f"*_{name}.npz")
    _need(path)
    train_rows, test_rows, label = adbench.split_set(path, seed, CAP)
    return Table(train_rows, test_rows, ~label)


def _need(*files: Path) -> None:
    for file in files:
        if not file.is_file():
            record.stop(f"--data: there is no {file.parent.name}/{file.name} in it (see benchmarks/README.md).")


def fitted(table: Table, bundle: Path, seed: int) -> Detector:
    """What the default preset learns from the table; from the bundle where that was kept."""
    if not bundle.exists():
        print(f"fitting {bundle.name}", file=sys.stderr)
        vaecli.fit(table.train, seed=seed).save(bundle)
    return vaecli.load(bundle).detector


def cells_of(detector: Detector, test: Any) -> Cells:
    """The feature columns of a file or an array, without a label column."""
    source = open_source([test]) if isinstance(test, str) else frame_source(test)
    check_schema(source, detector.schema)
    names = [column.name for column in detector.schema.features]
    batches = source.batches(ReadRequest(names, numbers=numbers_of(detector.schema)))
    return Cells.concatenate([to_cells(batch, detector.schema) for batch in batches])


def scored(detector: Detector, cells: Cells) -> tuple[ScoredRows, np.ndarray]:
    """The scores of rows that are numbered in order, and which of them are flagged at 0.99."""
    config = ScoreConfig(threshold=THRESHOLD)
    decision = resolve(config, detector.calibrations, detector.score_kind, detector.threshold)
    decided = detector.score(cells, decision.score_kind)
    return decided, decision.flags(decided)


def _taken(cells: Cells, which: np.ndarray) -> Cells:
    """The chosen rows as a table of their own."""
    return Cells(cells.values[which], cells.state[which], np.arange(len(cells.row[which])))


def named(detector: Detector, table: Table, question: str, seed: int, n_rows: int) -> dict[str, Any]:
    """How often each method puts the wrong column first, and among the first three."""
    cells = _taken(cells_of(detector, table.test), table.normal)
    _, flags = scored(detector, cells)
    usual = np.flatnonzero(~flags & (cells.state == PRESENT).all(1))
    wrong, column = corrupted(detector, cells, usual, question, seed, n_rows)
    decided, flags = scored(detector, wrong)
    found = np.flatnonzero(flags)
    seen, of_seen, column_seen = _taken(wrong, found), decided.take(found), column[found]

    blamed = {method: rate(detector, seen, of_seen) for method, rate in METHODS.items()}
    place = {method: places(values, column_seen) for method, values in blamed.items()}
    names = [column.name for column in detector.schema.features]
    first = foremost(blamed["vaecli"], column_seen)
    stood_first = {
        names[j]: dict(Counter(names[i] if i >= 0 else NOBODY for i in first[column_seen == j]).most_common())
        for j in np.unique(column_seen)
    }
    return {
        "n_columns": len(names),
        "n_columns_corrupted": int(np.unique(column).size),
        "corrupted": len(wrong),
        "flagged": int(found.size),
        "first": {method: int((places == 1).sum()) for method, places in place.items()},
        "first_three": {method: int((places <= 3).sum()) for method, places in place.items()},
        "corrupted_by_column": {names[j]: int((column == j).sum()) for j in np.unique(column)},
        "stood_first": stood_first,
    }


def corrupted(
    detector: Detector, cells: Cells, usual: np.ndarray, question: str, seed: int, n_rows: int
) -> tuple[Cells, np.ndarray]:
    """Copies of up to `n_rows` of the rows `usual` a numeric column with that cell wrong, and that column (m,)."""
    preprocessor = detector.preprocessor
    values, state, columns = [], [], []
    encoders = preprocessor.of_columns
    for j, _ in preprocessor.layout.of_kind(Kind.NUMERIC):
        scale = encoders[j][0].moments(encoders[j][1])[1]
        rng = np.random.default_rng([seed, list(FAULTS).index(question), j])
        rows, wrong = FAULTS[question](cells.values[:, j], rng.permutation(usual), scale, rng)
        copies = cells.values[rows[:n_rows]]
        copies[:, j] = wrong[:n_rows]
        values.append(copies)
        state.append(cells.state[rows[:n_rows]])
        columns.append(np.full(len(copies), j))
    column = np.concatenate(columns)
    return Cells(np.concatenate(values), np.concatenate(state), np.arange(column.size)), column


def shifted(
    values: np.ndarray, rows: np.ndarray, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """All the rows, and their values moved by 4 to 8 standard deviations up or down."""
    step = rng.choice((-1.0, 1.0), rows.size) * rng.uniform(*SHIFT, rows.size)
    return rows, values[rows] + step * scale


def swapped(
    values: np.ndarray, rows: np.ndarray, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Those of the rows whose value moves enough, and the value of a random normal row for each."""
    other = rng.choice(values[~np.isnan(values)], rows.size)
    moved = np.abs(other - values[rows]) > SWAP * scale
    return rows[moved], other[moved]


FAULTS = {"shift": shifted, "swap": swapped}


def parts(detector: Detector, cells: Cells, decided: ScoredRows) -> np.ndarray:
    """What `vaecli explain` shows (n, c): how much of the score each column takes with it."""
    return detector.explain(cells, decided, most=0).attribution


def own_nats(detector: Detector, cells: Cells, decided: ScoredRows) -> np.ndarray:  # noqa: ARG001 - as every method
    """How improbable each cell is by itself (n, c)."""
    return decided.scored.column_score


def squared_errors(detector: Detector, cells: Cells, decided: ScoredRows) -> np.ndarray:  # noqa: ARG001
    """(feature − decoder mean at z = μ)², the mean over all members, summed over a column's features: (n, c)."""
    layout, batch = detector.preprocessor.layout, detector.preprocessor.transform(cells)
    errors = []
    for family in detector.ensemble.families:
        seen = family.likelihood.to_likelihood_space(batch.values, batch.state)
        mean, _ = posterior(family.parameters, encoder_inputs(seen, batch.state, family.likelihood.has_missing))
        errors.append((seen - family.likelihood.mean(decode(family.parameters, mean))) ** 2)
    error = np.concatenate(errors).mean(0)
    return np.stack([error[:, slot.start : slot.stop].sum(1) for slot in layout.slots], axis=1)


def z_scores(detector: Detector, cells: Cells, decided: ScoredRows) -> np.ndarray:  # noqa: ARG001
    """|x − mean| / standard deviation of the training rows (n, c); what is not a number ranks last."""
    mean, scale = np.array([encoder.moments(i) for encoder, i in detector.preprocessor.of_columns]).T
    return np.where(np.isnan(mean), -np.inf, np.abs(cells.values - mean) / scale)


METHODS: dict[str, Callable[[Detector, Cells, ScoredRows], np.ndarray]] = {
    "vaecli": parts,
    "own_nats": own_nats,
    "squared_error": squared_errors,
    "z_score": z_scores,
}
METHOD_NAMES = {
    "vaecli": "vaecli explain",
    "own_nats": "a column's nats alone",
    "squared_error": "squared error",
    "z_score": "z-score",
}


def places(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The place (n,), from 1, of one column a row among `values` (n, c), higher first; after those it ties with."""
    own = values[np.arange(len(values)), column]
    return (values >= own[:, None]).sum(1)


def foremost(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The column (n,) that stands first; of equal ones another than `column`; −1 where none is above 0."""
    others = values.copy()
    others[np.arange(len(values)), column] = -np.inf
    first = np.where(places(values, column) == 1, column, others.argmax(1))
    return np.where(values.max(1, initial=0) > 0, first, -1)


def seconds(detector: Detector, table: Table, seed: int) -> dict[str, Any]:
    """Seconds a row, and those of the processor, to explain some of the flagged rows, all runs."""
    cells = _taken(cells_of(detector, table.test), np.arange(table.normal.size))
    decided, flags = scored(detector, cells)
    flagged = np.flatnonzero(flags)
    chosen = np.random.default_rng(seed).permutation(flagged)[:TIMED_ROWS]
    if not chosen.size:
        record.stop("no row is flagged: there is nothing to time.")
    rows, of_rows = _taken(cells, chosen), decided.take(chosen)
    elapsed, busy = [], []
    for _ in range(TIMED_RUNS):
        start, start_busy = time.perf_counter(), time.process_time()
        detector.explain(rows, of_rows)
        busy.append(round((time.process_time() - start_busy) / chosen.size, 6))
        elapsed.append(round((time.perf_counter() - start) / chosen.size, 6))
    return {
        "n_columns": len(detector.schema.features),
        "n_explained": int(chosen.size),
        "seconds_per_row": elapsed,
        "cpu_seconds_per_row": busy,
    }


QUESTIONS = (*FAULTS, "seconds")


@dataclass(frozen=True, slots=True)
class Target:
    """What a mean over the tables should be: a share, or with `against` how far it is ahead of another method's."""

    question: str
    field: str
    limit: float
    against: str = ""

    @property
    def figure(self) -> str:
        """What is meant, in words."""
        ahead = f", ahead of {METHOD_NAMES[self.against]}" if self.against else ""
        return f"{self.question}: {_FIELD_NAMES[self.field]}{ahead}"


_FIELD_NAMES = {"first": "first", "first_three": "among the first three"}
TARGETS = (
    Target("shift", "first", 0.95),
    Target("shift", "first_three", 0.99),
    Target("swap", "first", 0.60),
    Target("swap", "first_three", 0.85),
    Target("swap", "first", 0.15, "z_score"),
    Target("swap", "first", 0.15, "squared_error"),
)


def report(rows: Sequence[Mapping[str, Any]], n_rows: int, facts: Mapping[str, Any]) -> str:
    """Targets, each question by table and by seed, what stood first instead, and seconds, as Markdown."""
    faults = [row for row in rows if row["question"] in FAULTS and row["rows"] == n_rows]
    timed = [row for row in rows if row["question"] == "seconds" and row["rows"] == TIMED_ROWS]
    commits = sorted({row["commit"] for row in (*faults, *timed)})
    sections = [
        "# Do explanations name the column that is wrong?",
        f"In normal test rows that are complete and not flagged at {THRESHOLD}, one number is made wrong: each "
        f"numeric column in turn, at most {n_rows} rows a column and seed. **Shift**: by {SHIFT[0]:g} to {SHIFT[1]:g} "
        "standard deviations of the training rows, up or down. **Swap**: to the value of another normal row, more "
        f"than {SWAP:g} standard deviations away. Only rows that are flagged then are looked at. “93 / 99 %”: in 93 % "
        "of them the wrong column stands first, in 99 % among the first three; a tie counts against a method. Rows are "
        "pooled over columns and seeds; a mean over tables gives each table the same weight.",
        *_target_section(faults),
        *(part for question in FAULTS for part in _question_section(question, faults)),
        *(part for table in PAIRS for part in _confusion_section(table, faults)),
        *_seconds_section(timed),
        record.machine_line(facts),
    ]
    if len(commits) > 1:
        sections.append(f"The date is that of the newest figure; all commits: {', '.join(commits)}.")
    return "\n\n".join(sections) + "\n"


def share(rows: Iterable[Mapping[str, Any]], field: str, method: str) -> float | None:
    """Of the flagged rows of all measurements together; None when none was flagged."""
    rows = list(rows)
    flagged = sum(row["flagged"] for row in rows)
    return sum(row[field][method] for row in rows) / flagged if flagged else None


def mean_share(rows: Iterable[Mapping[str, Any]], field: str, method: str) -> float | None:
    """The plain mean over the tables."""
    return record.mean(share(of_table, field, method) for of_table in _by_table(rows).values())


def _by_table(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    rows = list(rows)
    return {name: found for name in TABLES if (found := [row for row in rows if row["table"] == name])}


def _target_section(faults: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for target in TARGETS:
        of_question = [row for row in faults if row["question"] == target.question]
        if len(_by_table(of_question)) < len(TABLES):
            continue  # a mean over fewer tables is another figure
        each = {name: _reached(target, found) for name, found in _by_table(of_question).items()}
        by_table = {name: value for name, value in each.items() if value is not None}
        reached = record.mean(by_table.values())
        if reached is None:
            continue
        lowest = min(by_table, key=lambda name: by_table[name])
        unit = "points" if target.against else "%"
        lines.append(
            (
                target.figure,
                f"{100 * reached:.1f} {unit}",
                f"≥ {100 * target.limit:g} {unit}",
                "yes" if reached >= target.limit else "no",
                f"{lowest} {100 * by_table[lowest]:.1f}",
            )
        )
    if not lines:
        return []
    header = ("vaecli explain, mean over tables", "measured", "target", "met", "lowest table")
    return ["## Targets", record.markdown_table(header, lines)]


def _reached(target: Target, rows: Sequence[Mapping[str, Any]]) -> float | None:
    ours = share(rows, target.field, "vaecli")
    theirs = share(rows, target.field, target.against) if target.against else 0.0
    return None if ours is None or theirs is None else ours - theirs


def _question_section(question: str, faults: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [row for row in faults if row["question"] == question]
    if not rows:
        return []
    by_table = _by_table(rows)
    lines: list[Sequence[Any]] = [(name, *_counts(found), *_shares(found)) for name, found in by_table.items()]
    if len(by_table) > 1:
        lines.append((f"mean over {len(by_table)} tables", None, None, _mean_flagged(rows), *_means(rows)))
    by_seed: list[Sequence[Any]] = []
    for seed in sorted({row["seed"] for row in rows}):
        of_seed = [row for row in rows if row["seed"] == seed]
        by_seed += [(f"{seed}: {name}", *_counts(found), *_shares(found)) for name, found in _by_table(of_seed).items()]
        if len(by_table) > 1:
            by_seed.append((f"{seed}: mean", None, None, _mean_flagged(of_seed), *_means(of_seed)))
    header = ("corrupted", "flagged", "share flagged", *METHOD_NAMES.values())
    return [
        f"## {question.capitalize()}",
        record.markdown_table(("table", *header), lines),
        "By seed of the fit, the split and the faults:",
        record.markdown_table(("seed: table", *header), by_seed),
    ]


def _counts(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str, str | None]:
    n_corrupted, n_flagged = sum(row["corrupted"] for row in rows), sum(row["flagged"] for row in rows)
    return f"{n_corrupted:,}", f"{n_flagged:,}", _percent(n_flagged / max(1, n_corrupted))


def _mean_flagged(rows: Sequence[Mapping[str, Any]]) -> str | None:
    shares = [
        sum(row["flagged"] for row in found) / max(1, sum(row["corrupted"] for row in found))
        for found in _by_table(rows).values()
    ]
    return _percent(record.mean(shares))


def _shares(rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    return [_both(*(share(rows, field, method) for field in _FIELD_NAMES)) for method in METHODS]


def _means(rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    return [_both(*(mean_share(rows, field, method) for field in _FIELD_NAMES)) for method in METHODS]


def _both(first: float | None, first_three: float | None) -> str | None:
    return None if first is None or first_three is None else f"{100 * first:.1f} / {100 * first_three:.1f} %"


def _percent(part: float | None) -> str | None:
    return None if part is None else f"{100 * part:.1f} %"


def _confusion_section(table: str, faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stood first after a swap, where columns go in pairs, and how far one can get without telling two apart."""
    rows = [row for row in faults if row["question"] == "swap" and row["table"] == table and row["flagged"]]
    if not rows:
        return []
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        for name, found in row["stood_first"].items():
            counts.setdefault(name, Counter()).update(found)
    others = sorted({other for found in counts.values() for other in found} - counts.keys())
    blamed = [*counts, *others]
    lines = [
        (f"{name} ({found.total()})", *(found.get(other, 0) for other in blamed)) for name, found in counts.items()
    ]
    return [
        f"## What stood first after a swap in {table}",
        "Lines: the column that was wrong (flagged rows). Columns: the one that `vaecli explain` put first.",
        record.markdown_table(("wrong", *blamed), lines),
        _pair_note(counts, PAIRS[table]),
    ]


def _pair_note(counts: Mapping[str, Counter[str]], pairs: Sequence[tuple[str, str]]) -> str:
    partner = {name: other for pair in pairs for name, other in (pair, pair[::-1])}
    n_rows = sum(found.total() for found in counts.values())
    n_paired = sum(counts[name].total() for name in partner if name in counts)
    itself = sum(counts[name][name] for name in partner if name in counts)
    instead = sum(counts[name][partner[name]] for name in partner if name in counts)
    if not n_paired:
        return "No row of a paired column was flagged."
    together = " and of ".join(f"“{one}” and “{other}”" for one, other in pairs)
    return (
        f"The values of {together} move together. When one of two is swapped, the row says that they disagree, and "
        f"hardly which is wrong: about a coin's throw. Of {n_paired:,} flagged rows with a wrong paired column, "
        f"that column stood first in {100 * itself / n_paired:.1f} %, its partner in {100 * instead / n_paired:.1f} %. "
        "A method that always finds the pair, tosses a coin within it, and never errs elsewhere would put the wrong "
        f"column first in {100 * (1 - 0.5 * n_paired / n_rows):.1f} % of this table's {n_rows:,} flagged rows, and "
        "always among the first three. Read the first places of this table, and the means they enter, with that bound."
    )


def _seconds_section(timed: Sequence[Mapping[str, Any]]) -> list[str]:
    if not timed:
        return []
    lines = []
    for name in (*TABLES, *WIDE):
        for row in (row for row in timed if row["table"] == name):
            elapsed, busy = row["seconds_per_row"], row["cpu_seconds_per_row"]
            median = statistics.median
            figures = (median(elapsed), min(elapsed), max(elapsed), median(busy))
            lines.append((name, row["n_columns"], row["n_explained"], *(f"{1000 * value:.1f}" for value in figures)))
    header = ("table", "columns", "rows explained", "ms a row", "fastest", "slowest", "of the processor")
    return [
        "## Milliseconds for each explained row",
        f"Medians of {TIMED_RUNS} runs that explain the same flagged test rows (at most {TIMED_ROWS}), with what was "
        "expected of the three columns most to blame; one thread, without start-up, reading and scoring. The last "
        "column is the processor's time, which other programs on the machine disturb less.",
        record.markdown_table(header, lines),
    ]


if __name__ == "__main__":
    main()
