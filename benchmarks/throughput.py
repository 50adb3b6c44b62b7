"""How fast `vaecli score` is as a whole process, beside peers and beside the floor: reading and writing the table.

Each question runs its commands in turn, A B C A B C …, from start to exit with all files, and keeps every single run.
Seconds are medians over the rounds; a ratio is the median of the ratios round by round, so that a slow minute of the
machine meets both sides. Results are kept question by question, so a benchmark can stop and go on.

    python benchmarks/throughput.py --work DIR
    python benchmarks/throughput.py --work DIR --only start,large --redo
    python benchmarks/throughput.py --work DIR --quick
    python benchmarks/throughput.py --work DIR --against COMMIT
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import against
import memory
import pyarrow.parquet as pq
import record
import tables

KEYS = ("question",)
SCRIPTS = Path(__file__).resolve().parent / "scripts"
GROUP_ROWS = 1_000_000
TRAIN_SEED, NEW_SEED = 1, 2
ROUNDS, ROUNDS_LARGEST = 5, 3
WORKERS, BATCH_ROWS = (1, 2, 4), (1_000, 16_384, 100_000)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the training table and of the tables to score."""

    train: int = 10_000
    start: int = 1_000
    small: int = 10_000
    medium: int = 200_000
    best: int = 300_000
    large: int = 1_000_000
    huge: int = 10_000_000


QUICK_SIZES = Sizes(train=1_000, start=200, small=1_000, medium=2_000, best=3_000, large=5_000, huge=20_000)


def main() -> None:
    """Measure what is missing, then write the tables and the picture."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    # as pip does when it installs; in a checkout where Python may write none, every start would compile every module
    compileall.compile_dir(record.REPOSITORY / "vaecli", quiet=1)
    if options.against:
        pairs = record.Results(options.out, against.KEYS)
        against.measure(options, pairs)
        record.finish(options.out, against.report(pairs.rows, pairs.machine(), quick=options.quick))
        return
    work = Work(options.work, QUICK_SIZES if options.quick else Sizes(), options.quick)
    results = record.Results(options.out, KEYS)
    for name in options.questions:
        if options.redo or not results.has(question=name):
            print(f"{name}:", file=sys.stderr)
            results.add(_asked(name, work, options))
    record.finish(options.out, report(results.rows, results.machine(), quick=options.quick))
    plot(results.rows, options.out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="tables and outputs; about 15 GB at the full sizes")
    parser.add_argument("--only", default="", help=f"comma-separated, also by first words: {', '.join(QUESTIONS)}")
    parser.add_argument("--runs", type=int, help=f"rounds of each question (default {ROUNDS}, memory {ROUNDS_LARGEST})")
    parser.add_argument("--out", type=record.json_file, help="a .json file (default in results/, if quick in --work)")
    record.add_redo(parser)
    parser.add_argument("--against", metavar="COMMIT", help="only pairs: this build beside that of a commit")
    parser.add_argument("--keep", action="store_true", help="leave the largest tables in --work")
    parser.add_argument("--quick", action="store_true", help="tiny tables and short fits, to see that all runs")
    options = parser.parse_args()
    options.work = options.work.resolve()  # the commands run in the repository's folder
    name = "throughput_against.json" if options.against else "throughput.json"
    options.out = options.out or (options.work if options.quick else record.RESULTS) / name
    if options.runs is not None and options.runs < 1:
        parser.error("--runs is at least 1")
    if options.against:
        return options
    try:
        options.questions = chosen(options.only)
    except ValueError as problem:
        parser.error(str(problem))
    if not options.only and not importlib.util.find_spec("pyod"):
        print("PyOD is not installed: its questions are left out", file=sys.stderr)
        options.questions = [name for name in options.questions if name not in NEEDS_PYOD]
    return options


def chosen(only: str) -> list[str]:
    """The questions that `only` names, in their usual order; `large` is all that begin with it, nothing is all."""
    asked = [part for part in only.split(",") if part]
    found = {part: [name for name in QUESTIONS if f"{name}_".startswith(f"{part}_")] for part in asked}
    unknown = [part for part, names in found.items() if not names]
    if unknown:
        raise ValueError(f"unknown questions {', '.join(unknown)}; here are {', '.join(QUESTIONS)}")
    return [name for name in QUESTIONS if not asked or any(name in names for names in found.values())]


def _asked(name: str, work: Work, options: argparse.Namespace) -> dict[str, Any]:
    rounds = options.runs or (ROUNDS_LARGEST if name.startswith("memory") else ROUNDS)
    try:
        return {"question": name} | QUESTIONS[name](work, rounds)
    finally:
        if not options.keep:
            work.drop(work.sizes.huge)


@dataclass(frozen=True, slots=True)
class Run:
    """One command to time: what follows `python`, how many rows it handles (0: none), what it writes."""

    arguments: tuple[object, ...]
    n_rows: int = 0
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The folder of tables, bundles and detectors; each is made when it is first asked for."""

    folder: Path
    sizes: Sizes
    quick: bool

    def new(self, n_rows: int, suffix: str) -> Path:
        """Rows to score, `.csv` or `.parquet`; the same rows in both."""
        path = self.folder / f"new_{n_rows}{suffix}"
        if not path.exists():
            print(f"  writing {path.name}", file=sys.stderr)
            if suffix == ".csv":
                tables.write_csv(path, n_rows, NEW_SEED)
            else:
                tables.write_parquet(path, n_rows, GROUP_ROWS, NEW_SEED)
        return path

    def train(self) -> Path:
        """Rows to learn from, of the same process as the others."""
        path = self.folder / f"train_{self.sizes.train}.parquet"
        if not path.exists():
            tables.write_parquet(path, self.sizes.train, GROUP_ROWS, TRAIN_SEED)
        return path

    def bundle(self, preset: str) -> Path:
        """What vaecli learned from the training rows."""
        path = self.folder / f"{preset}_{self.sizes.train}.vae"
        if not path.exists():
            print(f"  fitting {path.name}", file=sys.stderr)
            short = ("--max-epochs", 2) if self.quick else ()
            _run(("-m", "vaecli", "fit", self.train(), "-o", path, "--preset", preset, "--quiet", *short))
        return path

    def detector(self, name: str) -> Path:
        """What a detector of PyOD learned from the training rows."""
        path = self.folder / f"{name}_{self.sizes.train}.joblib"
        if not path.exists():
            print(f"  fitting {path.name}", file=sys.stderr)
            fit = self.pyod(name, self.train(), self.sizes.start)
            _run((*fit.arguments, "--keep", path))
            _remove(fit.output)
        return path

    def score(self, n_rows: int, suffix: str, preset: str = "default", *flags: object) -> Run:
        """`vaecli score`."""
        new, scored = self.new(n_rows, suffix), self.folder / f"scored{suffix}"
        command = (new, "-m", self.bundle(preset), "-o", scored, "--device", "cpu", "--quiet", *flags)
        return Run(("-m", "vaecli", "score", *command), n_rows, scored)

    def pyod(self, name: str, learned: Path, n_rows: int, *flags: str) -> Run:
        """The script a user of PyOD would write; `learned` is a table to fit on or a kept detector."""
        new, scored = self.new(n_rows, ".csv"), self.folder / "pyod.csv"
        return Run((SCRIPTS / "pyod_score.py", name, learned, new, scored, *flags), n_rows, scored)

    def floor(self, n_rows: int, suffix: str) -> Run:
        """The table copied with three columns more."""
        new, copied = self.new(n_rows, suffix), self.folder / f"copied{suffix}"
        return Run((SCRIPTS / "copy_floor.py", new, copied), n_rows, copied)

    def drop(self, n_rows: int) -> None:
        """Remove the tables of that many rows."""
        for suffix in (".csv", ".parquet"):
            _remove(self.folder / f"new_{n_rows}{suffix}")


def start(work: Work, rounds: int) -> dict[str, Any]:
    """What a command costs before its first row, and with a thousand of them."""
    runs = {
        "python": Run(("-c", "pass")),
        "help": Run(("-m", "vaecli", "--help")),
        "vaecli": work.score(work.sizes.start, ".csv"),
    }
    return timed(runs, rounds, ())


def small(work: Work, rounds: int) -> dict[str, Any]:
    """A small file, beside a script with an isolation forest, fitted before or at that moment."""
    n = work.sizes.small
    runs = {
        "vaecli": work.score(n, ".csv"),
        "vaecli_alone": work.score(n, ".csv", "default", "--workers", 1),
        "iforest": work.pyod("IForest", work.detector("IForest"), n),
        "iforest_fit": work.pyod("IForest", work.train(), n),
        "iforest_readme": work.pyod("IForest", work.train(), n, "--readme"),
    }
    peers = ("iforest", "iforest_fit", "iforest_readme")
    return timed(runs, rounds, [*((peer, "vaecli") for peer in peers), ("iforest", "vaecli_alone")])


def medium(work: Work, rounds: int) -> dict[str, Any]:
    """A day of rows, beside scripts with kNN and with an isolation forest that were fitted before."""
    n = work.sizes.medium
    runs = {
        "vaecli": work.score(n, ".csv"),
        "vaecli_alone": work.score(n, ".csv", "default", "--workers", 1),
        "knn": work.pyod("KNN", work.detector("KNN"), n),
        "knn_readme": work.pyod("KNN", work.train(), n, "--readme"),
        "iforest": work.pyod("IForest", work.detector("IForest"), n),
        "iforest_readme": work.pyod("IForest", work.train(), n, "--readme"),
    }
    peers = ("knn", "knn_readme", "iforest", "iforest_readme")
    return timed(runs, rounds, list(itertools.product(peers, ("vaecli", "vaecli_alone"))))


def large(suffix: str) -> Question:
    """A large file in that format, beside the floor."""

    def question(work: Work, rounds: int) -> dict[str, Any]:
        n = work.sizes.large
        runs = {
            "floor": work.floor(n, suffix),
            "fast": work.score(n, suffix, "fast"),
            "default": work.score(n, suffix, "default"),
        }
        return timed(runs, rounds, [("fast", "floor"), ("default", "floor")])

    return question


def workers(preset: str, size: str) -> Question:
    """Two threads beside one, on Parquet; `size` is a field of `Sizes`."""

    def question(work: Work, rounds: int) -> dict[str, Any]:
        n = getattr(work.sizes, size)
        runs = {
            f"workers_{n_workers}": work.score(n, ".parquet", preset, "--workers", n_workers) for n_workers in (1, 2)
        }
        return timed(runs, rounds, [("workers_1", "workers_2")])

    return question


def same_bytes(work: Work, rounds: int) -> dict[str, Any]:  # noqa: ARG001 - every question takes its rounds
    """Whether the output depends on how many threads score, and how many rows at a time."""
    digests: dict[str, dict[str, str]] = {}
    for suffix in (".csv", ".parquet"):
        digests[suffix] = {}
        for n_workers, batch_rows in itertools.product(WORKERS, BATCH_ROWS):
            flags = ("--workers", n_workers, "--batch-rows", batch_rows)
            run = work.score(work.sizes.medium, suffix, "default", *flags)
            _run(run.arguments)
            digests[suffix][f"workers {n_workers}, batch rows {batch_rows}"] = _digest(run.output)
            _check_rows(run)
            _remove(run.output)
    identical = {suffix: len(set(found.values())) == 1 for suffix, found in digests.items()}
    return {"n_rows": dict.fromkeys(digests, work.sizes.medium), "identical": identical, "sha256": digests}


def memory_of(suffix: str) -> Question:
    """Peak resident memory of a large table beside one of ten times its rows."""

    def question(work: Work, rounds: int) -> dict[str, Any]:
        runs = {size: work.score(getattr(work.sizes, size), suffix) for size in ("large", "huge")}
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                os.sync()
                seen[name].append(memory.watched("score", run.arguments[2:], run.n_rows))
                _check_rows(run)
                _remove(run.output)
        n_rows = {name: run.n_rows for name, run in runs.items()}
        seconds = {name: [one["seconds"] for one in found] for name, found in seen.items()}
        peak_mb = {name: [one["peak_mb"] for one in found] for name, found in seen.items()}
        return summarised(n_rows, seconds, ()) | {
            "peak_mb": peak_mb,
            "median_peak_mb": {name: statistics.median(peaks) for name, peaks in peak_mb.items()},
            **with_ratios(peak_mb, [("huge", "large")]),
        }

    return question


Question = Callable[[Work, int], dict[str, Any]]

QUESTIONS: dict[str, Question] = {
    "start": start,
    "small": small,
    "medium": medium,
    "large_csv": large(".csv"),
    "large_parquet": large(".parquet"),
    "workers_default": workers("default", "large"),
    "workers_best": workers("best", "best"),
    "same_bytes": same_bytes,
    "memory_csv": memory_of(".csv"),
    "memory_parquet": memory_of(".parquet"),
}
NEEDS_PYOD = ("small", "medium")


def timed(runs: Mapping[str, Run], rounds: int, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Run the commands in turn, `rounds` times; every second of every run, and the ratio of each pair."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            os.sync()  # what one command left to be written is not paid by the next
            before = time.perf_counter()
            _run(run.arguments)
            seconds[name].append(round(time.perf_counter() - before, 4))
            print(f"  {name:14s} {seconds[name][-1]:8.2f} s", file=sys.stderr)
            _check_rows(run)
            _remove(run.output)
    return summarised({name: run.n_rows for name, run in runs.items()}, seconds, pairs)


def summarised(
    n_rows: Mapping[str, int], seconds: Mapping[str, Sequence[float]], pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """The single runs, their medians, and rows a second where there are rows."""
    medians = {name: round(statistics.median(found), 4) for name, found in seconds.items()}
    return {
        "n_rows": dict(n_rows),
        "seconds": dict(seconds),
        "median_seconds": medians,
        "rows_per_second": {name: round(n / medians[name]) for name, n in n_rows.items() if n},
        **with_ratios(seconds, pairs),
    }


def with_ratios(values: Mapping[str, Sequence[float]], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`a / b` round by round for each pair (a, b), and the median over the rounds."""
    ratios = {
        f"{above} / {below}": [round(a / b, 4) for a, b in zip(values[above], values[below], strict=True)]
        for above, below in pairs
    }
    medians = {name: round(statistics.median(found), 4) for name, found in ratios.items()}
    return {"ratios": ratios, "median_ratio": medians}


def _run(arguments: Iterable[object]) -> None:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=record.REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}\n{done.stderr}")


def _check_rows(run: Run) -> None:
    """Stop when the output is not whole: speed is worth nothing if rows were dropped."""
    if run.output is None:
        return
    n_written = count_rows(run.output)
    if n_written != run.n_rows:
        raise SystemExit(f"{run.output}: {n_written:,} rows of {run.n_rows:,}")


def count_rows(path: Path) -> int:
    """Rows of a Parquet file, or lines of a CSV file but its header."""
    if path.suffix == ".parquet":
        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1


def _digest(path: Path | None) -> str:
    assert path is not None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure, `row[field][name]` of a question, should be: at most (`≤`) or at least (`≥`) a limit."""

    figure: str
    question: str
    field: str
    name: str
    bound: str
    limit: float
    unit: str

    def is_met(self, value: float) -> bool:
        """Whether it is."""
        return value <= self.limit if self.bound == "≤" else value >= self.limit


_LARGE = (("fast", 1.5), ("default", 3.0))
TARGETS = (
    Target("`vaecli --help`", "start", "median_seconds", "help", "≤", 0.4, "s"),
    Target("1,000 rows of CSV", "start", "median_seconds", "vaecli", "≤", 1.2, "s"),
    Target("10,000 rows of CSV: isolation forest / vaecli", "small", "median_ratio", "iforest / vaecli", "≥", 3, "×"),
    *(
        Target(
            f"200,000 rows of CSV: {told}, {way} / vaecli",
            "medium",
            "median_ratio",
            f"{peer} / vaecli",
            "≥",
            limit,
            "×",
        )
        for way, suffix in (("as in PyOD's README", "_readme"), ("load and score once", ""))
        for told, name, limit in (("kNN", "knn", 6), ("isolation forest", "iforest", 3))
        for peer in (name + suffix,)
    ),
    Target("1,000,000 rows of CSV: `fast` / floor", "large_csv", "median_ratio", "fast / floor", "≤", 1.5, "×"),
    Target("1,000,000 rows of CSV: default / floor", "large_csv", "median_ratio", "default / floor", "≤", 3, "×"),
    Target("1,000,000 rows of Parquet: `fast` / floor", "large_parquet", "median_ratio", "fast / floor", "≤", 2, "×"),
    Target("1,000,000 rows of Parquet: default", "large_parquet", "rows_per_second", "default", "≥", 60_000, "rows/s"),
    Target("one worker / two, default", "workers_default", "median_ratio", "workers_1 / workers_2", "≥", 1.7, "×"),
    Target("one worker / two, `best`", "workers_best", "median_ratio", "workers_1 / workers_2", "≥", 1.7, "×"),
    Target(
        "peak memory, CSV: 10,000,000 rows / 1,000,000", "memory_csv", "median_ratio", "huge / large", "≤", 1.1, "×"
    ),
    Target("peak memory, CSV, 10,000,000 rows", "memory_csv", "median_peak_mb", "huge", "≤", 500, "MB"),
    Target(
        "peak memory, Parquet: 10,000,000 rows / 1,000,000",
        "memory_parquet",
        "median_ratio",
        "huge / large",
        "≤",
        1.1,
        "×",
    ),
    Target("peak memory, Parquet, 10,000,000 rows", "memory_parquet", "median_peak_mb", "huge", "≤", 500, "MB"),
)

QUESTION_NAMES = {
    "start": "start-up",
    "small": "small CSV",
    "medium": "medium CSV",
    "large_csv": "large CSV",
    "large_parquet": "large Parquet",
    "workers_default": "workers, default",
    "workers_best": "workers, `best`",
    "memory_csv": "memory, CSV",
    "memory_parquet": "memory, Parquet",
}
NAMES = {
    "python": "`python -c pass`",
    "help": "`vaecli --help`",
    "vaecli": "vaecli",
    "vaecli_alone": "vaecli, `--workers 1`",
    "iforest": "isolation forest: load and score",
    "iforest_fit": "isolation forest: fit and score",
    "iforest_readme": "isolation forest: as in PyOD's README",
    "knn": "kNN: load and score",
    "knn_readme": "kNN: as in PyOD's README",
    "floor": "floor",
    "fast": "vaecli, `fast`",
    "default": "vaecli, default",
    "workers_1": "`--workers 1`",
    "workers_2": "`--workers 2`",
    "large": "vaecli, fewer rows",
    "huge": "vaecli, ten times the rows",
}


def report(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], *, quick: bool = False) -> str:
    """The targets, then every figure they rest on, as Markdown; of the questions measured so far."""
    measured = {row["question"]: row for row in rows}
    measured = {name: measured[name] for name in QUESTIONS if name in measured}
    parts = [
        "# How fast `vaecli score` is",
        "Whole processes, from start to exit, files included, on synthetic tables of 30 float64 columns. Seconds are "
        "medians over rounds in which the commands of a question run in turn; ratios are medians of the ratios round "
        "by round.",
        *(_QUICK_NOTE if quick else _targets(measured)),
        "## Seconds",
        record.markdown_table(
            ("question", "command", "rows", "rounds", "seconds", "fastest", "slowest", "rows/s"),
            _second_lines(measured),
        ),
        "## Ratios",
        record.markdown_table(("question", "ratio", "median", "smallest", "largest"), _ratio_lines(measured)),
    ]
    peaks = _peak_lines(measured)
    if peaks:
        parts += [
            "## Peak resident memory",
            record.markdown_table(("question", "rows", "MB", "smallest", "largest"), peaks),
        ]
    if "same_bytes" in measured:
        parts += ["## The same bytes", _same_bytes(measured["same_bytes"])]
    parts.append(record.machine_line(facts))
    commits = sorted({row["commit"] for row in measured.values()})
    if len(commits) > 1:
        parts.append(f"The date and the commit are those of the newest question; all commits: {', '.join(commits)}.")
    return "\n\n".join(parts) + "\n"


_QUICK_NOTE = [
    "**Tiny tables and short fits: these figures only show that the benchmark runs, so no target stands here.**"
]


def _targets(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [_target_line(target, measured) for target in TARGETS]
    return ["## Targets", record.markdown_table(("figure", "measured", "target", "met"), lines)]


def _target_line(target: Target, measured: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, ...]:
    limit = f"{target.bound} {target.limit:,g} {target.unit}"
    if target.question not in measured:
        return target.figure, None, limit, None
    value = measured[target.question][target.field][target.name]
    shown = f"{value:,.0f}" if target.unit in ("rows/s", "MB") else f"{value:.2f}"
    return target.figure, f"{shown} {target.unit}", limit, "yes" if target.is_met(value) else "no"


def _second_lines(measured: Mapping[str, Mapping[str, Any]]) -> list[tuple[str | None, ...]]:
    return [
        (
            QUESTION_NAMES[question],
            NAMES[name],
            f"{row['n_rows'][name]:,}" if row["n_rows"][name] else None,
            f"{len(seconds)}",
            *(f"{value:.2f}" for value in (row["median_seconds"][name], min(seconds), max(seconds))),
            f"{row['rows_per_second'][name]:,}" if row["n_rows"][name] else None,
        )
        for question, row in measured.items()
        for name, seconds in row.get("seconds", {}).items()
    ]


def _ratio_lines(measured: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            QUESTION_NAMES[question],
            " / ".join(NAMES[name] for name in pair.split(" / ")),
            *(f"{value:.2f}" for value in (row["median_ratio"][pair], min(ratios), max(ratios))),
        )
        for question, row in measured.items()
        for pair, ratios in row.get("ratios", {}).items()
    ]


def _peak_lines(measured: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            QUESTION_NAMES[question],
            f"{row['n_rows'][name]:,}",
            *(f"{value:,.0f}" for value in (row["median_peak_mb"][name], min(peaks), max(peaks))),
        )
        for question, row in measured.items()
        for name, peaks in row.get("peak_mb", {}).items()
    ]


def _same_bytes(row: Mapping[str, Any]) -> str:
    lines = [
        (suffix, f"{row['n_rows'][suffix]:,}", len(row["sha256"][suffix]), "yes" if identical else "no")
        for suffix, identical in row["identical"].items()
    ]
    return record.markdown_table(("output", "rows", "combinations of workers and batch rows", "identical"), lines)


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Left, seconds for the large tables beside the floor; right, rows a second by size. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path} not drawn: pip install matplotlib", file=sys.stderr)
        return
    measured = {row["question"]: row for row in rows}
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    bars, lines = figure.subplots(1, 2)
    _plot_seconds(bars, measured)
    _plot_speed(lines, measured)
    figure.savefig(path, dpi=110)


_COLOURS = {"floor": "#9a9a9a", "fast": "#8fbfe0", "default": "#1f77b4"}
_FORMATS = {"csv": "CSV", "parquet": "Parquet"}


def _plot_seconds(axes: Any, measured: Mapping[str, Mapping[str, Any]]) -> None:
    found = {label: measured[f"large_{name}"] for name, label in _FORMATS.items() if f"large_{name}" in measured}
    for i, (name, colour) in enumerate(_COLOURS.items()):
        places = [group + 0.27 * (i - 1) for group in range(len(found))]
        seconds = [row["median_seconds"][name] for row in found.values()]
        drawn = axes.bar(places, seconds, 0.25, color=colour, label=NAMES[name].replace("`", ""))
        axes.bar_label(drawn, fmt="%.1f", fontsize=9)
    n_rows = next((row["n_rows"]["floor"] for row in found.values()), 0)
    axes.set_xticks(range(len(found)), found)
    axes.set(ylabel="seconds", title=f"{n_rows:,} rows × {tables.N_COLUMNS} columns" if n_rows else "")
    axes.margins(y=0.2)
    axes.legend(frameon=False, loc="upper left", ncols=3)


def _plot_speed(axes: Any, measured: Mapping[str, Mapping[str, Any]]) -> None:
    """The default preset with all cores, wherever it was measured."""
    places = {
        "CSV": [("start", "vaecli"), ("small", "vaecli"), ("medium", "vaecli"), ("large_csv", "default")],
        "Parquet": [("large_parquet", "default")],
    }
    for (label, found), colour in zip(places.items(), ("#1f77b4", "#e08a1e"), strict=True):
        found.append((f"memory_{label.lower()}", "huge"))
        known = [(question, name) for question, name in found if question in measured]
        n_rows = [measured[question]["n_rows"][name] for question, name in known]
        speed = [measured[question]["rows_per_second"][name] for question, name in known]
        axes.plot(n_rows, speed, "o-", color=colour, label=label)
    axes.set(xscale="log", xlabel="rows", ylabel="rows/s", title="vaecli score, default preset, start to exit")
    axes.margins(y=0.15)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)


if __name__ == "__main__":
    main()
