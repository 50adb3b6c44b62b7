"""Two builds of vaecli in pairs: this one beside that of a commit, checked out in a folder of its own.

Every round runs both builds in turn, for scoring beside the floor too, and this build beside scripts with PyOD and with
one worker. A ratio is the median of the ratios round by round, of seconds on the wall and of CPU seconds, which other
work on the machine moves less. Each build fits its own bundles. Questions are kept one by one, so that a run can stop
and go on. `throughput.py --against COMMIT` runs this.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import fit
import memory
import record
import tables

SCRIPTS = Path(__file__).resolve().parent / "scripts"
GROUP_ROWS = 1_000_000
ROUNDS = 5
CALLS = 51  # of a process that is asked how long a call takes
HERE, THERE, FLOOR = "this build", "the other", "floor"
ONE_WORKER, PEERS = "this build, one worker", {"isolation forest": "IForest", "kNN": "KNN"}
KERNELS = "import numpy, threadpoolctl; print(threadpoolctl.threadpool_info()[0].get('architecture', 'unknown'))"
KEYS = ("against", "question")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the tables; `few` has 20 columns."""

    train: int = 20_000
    few: int = 500
    start: int = 1_000
    medium: int = 200_000
    large: int = 1_000_000
    huge: int = 10_000_000


QUICK_SIZES = Sizes(train=300, few=100, start=200, medium=500, large=2_000, huge=5_000)


@dataclass(frozen=True, slots=True)
class Builds:
    """Where both builds are, and the folder of tables and bundles."""

    folders: Mapping[str, Path]
    work: Path
    sizes: Sizes
    quick: bool

    def table(self, n_rows: int, suffix: str = ".parquet", seed: int = 1, n_columns: int = tables.N_COLUMNS) -> Path:
        """A table of the benchmarks, or its first columns; made when it is first asked for."""
        path = self.work / f"rows_{n_rows}x{n_columns}_{seed}{suffix}"
        if not path.exists():
            if suffix == ".csv":
                tables.write_csv(path, n_rows, seed)
            else:
                tables.write_parquet(path, n_rows, GROUP_ROWS, seed, n_columns)
        return path

    def fit_words(self, build: str, table: Path, preset: str) -> list[str]:
        """The command that fits a table; the bundle is named after both."""
        short = ["--max-epochs", "2"] if self.quick else []
        words = ["fit", str(table), "-o", str(self._bundle(build, table, preset)), "--preset", preset, "--quiet"]
        return ["-m", "vaecli", *words, "--device", "cpu", *short]

    def bundle(self, build: str, preset: str) -> Path:
        """What this build learned of the training rows."""
        table = self.table(self.sizes.train)
        path = self._bundle(build, table, preset)
        if not path.exists():
            self.run(build, self.fit_words(build, table, preset))
        return path

    def _bundle(self, build: str, table: Path, preset: str) -> Path:
        return self.work / f"{table.stem}_{preset}_{'here' if build == HERE else 'there'}.vae"

    def score_words(self, build: str, n_rows: int, suffix: str, preset: str) -> list[str]:
        """The command that scores new rows."""
        new, output = self.table(n_rows, suffix, seed=2), self.work / f"scored{suffix}"
        words = ["score", str(new), "-m", str(self.bundle(build, preset)), "-o", str(output)]
        return ["-m", "vaecli", *words, "--quiet", "--device", "cpu"]

    def detector(self, name: str) -> Path:
        """What a detector of PyOD learned of the training rows."""
        path = self.work / f"{name}_{self.sizes.train}.joblib"
        if not path.exists():
            few = self.table(self.sizes.start, ".csv", seed=2)
            self.run(HERE, [*_pyod(name, self.table(self.sizes.train), few, self.work), "--keep", str(path)])
        return path

    def run(self, build: str, arguments: Sequence[str]) -> fit.Cost:
        """What a command of a build costs. The floor and scripts run in the folder of any."""
        return fit.timed([sys.executable, *arguments], fit.ON_CPU, self.folders.get(build, self.folders[HERE]))


Cost = dict[str, float]
Question = Callable[[Builds, int], dict[str, list[Cost]]]


def scoring(n_rows: str, suffix: str, preset: str) -> Question:
    """Seconds of `vaecli score` from start to exit, and of the floor."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        n = getattr(builds.sizes, n_rows)
        commands = {build: builds.score_words(build, n, suffix, preset) for build in builds.folders}
        copied = builds.work / f"copied{suffix}"
        commands[FLOOR] = [str(SCRIPTS / "copy_floor.py"), str(builds.table(n, suffix, seed=2)), str(copied)]
        return _in_turn(builds, commands, rounds)

    return question


def beside_peers(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
    """Seconds of `vaecli score`, and of scripts that load a detector of PyOD and score once."""
    n = builds.sizes.medium
    commands = {build: builds.score_words(build, n, ".csv", "default") for build in builds.folders}
    new = builds.table(n, ".csv", seed=2)
    commands |= {told: _pyod(name, builds.detector(name), new, builds.work) for told, name in PEERS.items()}
    return _in_turn(builds, commands, rounds)


def _pyod(name: str, learned: Path, new: Path, work: Path) -> list[str]:
    return [str(SCRIPTS / "pyod_score.py"), name, str(learned), str(new), str(work / "pyod.csv")]


def helping(*verb: str) -> Question:
    """Seconds of `vaecli --help`, or of the help of one verb."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        return _in_turn(builds, {build: ["-m", "vaecli", *verb, "--help"] for build in builds.folders}, rounds)

    return question


def workers(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
    """Seconds of scoring Parquet with two workers and with one."""
    words = builds.score_words(HERE, builds.sizes.large, ".parquet", "default")
    commands = {HERE: [*words, "--workers", "2"], ONE_WORKER: [*words, "--workers", "1"]}
    return _in_turn(builds, commands, rounds)


def memory_of(suffix: str) -> Question:
    """Peak memory in MB of scoring a large table, and one of ten times its rows, which is removed afterwards."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:  # noqa: ARG001 - memory hardly varies
        seen = {}
        for n in (builds.sizes.large, builds.sizes.huge):
            words = builds.score_words(HERE, n, suffix, "default")[2:]
            watched = memory.watched("score", words, n)
            seen[f"{n:,} rows"] = [{name: watched[name] for name in ("seconds", "cpu_seconds", "peak_mb")}]
        builds.table(builds.sizes.huge, suffix, seed=2).unlink()
        (builds.work / f"scored{suffix}").unlink()
        return seen

    return question


def fitting(n_rows: str, n_columns: int, preset: str) -> Question:
    """Seconds of `vaecli fit` from start to exit."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        table = builds.table(getattr(builds.sizes, n_rows), n_columns=n_columns)
        return _in_turn(builds, {build: builds.fit_words(build, table, preset) for build in builds.folders}, rounds)

    return question


def in_memory(n_rows: int) -> Question:
    """Seconds of scoring a frame of so many rows through Python, in processes that have loaded their bundles.

    One process per build is asked in turn for the median of a few calls, so that other work on the machine, which
    takes the processor's caches, meets both.
    """

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        table = builds.table(builds.sizes.start, seed=2)
        seen: dict[str, list[Cost]] = {build: [] for build in builds.folders}
        with ExitStack() as stack:
            processes = {build: stack.enter_context(_scorer(builds, build, table, n_rows)) for build in builds.folders}
            for i in range(1 + rounds):
                for build, process in processes.items():
                    cost = _asked(process)
                    if i:  # the first calls find what later ones know
                        seen[build].append(cost)
        return seen

    return question


@contextmanager
def _scorer(builds: Builds, build: str, table: Path, n_rows: int) -> Iterator[subprocess.Popen[str]]:
    """A process of a build that scores the first rows of the table as often as it is asked to."""
    words = [str(SCRIPTS / "score_frame.py"), str(builds.bundle(build, "default")), str(table), str(n_rows)]
    folder = builds.folders[build]
    # a script's own folder comes first on its path, so the build is named in the environment
    environment = os.environ | {"PYTHONPATH": str(folder)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, text=True, stdin=pipe, stdout=pipe
    ) as process:
        yield process
        process.communicate()


def _asked(process: subprocess.Popen[str]) -> Cost:
    """The median of CALLS calls. Ends the program when the process has ended."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    print(CALLS, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        record.stop("a process that scores rows in memory has ended")  # its message stands above
    cost: Cost = json.loads(answer)
    return cost


QUESTIONS: dict[str, Question] = {
    "`--help`": helping(),
    "1,000 rows of CSV, default": scoring("start", ".csv", "default"),
    "200,000 rows of CSV, default, and PyOD": beside_peers,
    "1,000,000 rows of CSV, default": scoring("large", ".csv", "default"),
    "1,000,000 rows of CSV, `fast`": scoring("large", ".csv", "fast"),
    "1,000,000 rows of Parquet, default": scoring("large", ".parquet", "default"),
    "1,000,000 rows of Parquet, `fast`": scoring("large", ".parquet", "fast"),
    "1,000,000 rows of Parquet, workers": workers,
    "one row in memory, default": in_memory(1),
    "1,000 rows in memory, default": in_memory(1_000),
    "fit of 20,000 × 30, default": fitting("train", 30, "default"),
    "fit of 20,000 × 30, `fast`": fitting("train", 30, "fast"),
    "fit of 500 × 20, default": fitting("few", 20, "default"),
    "memory, CSV": memory_of(".csv"),
    "memory, Parquet": memory_of(".parquet"),
}
NEED_PYOD = ("200,000 rows of CSV, default, and PyOD",)


@dataclass(frozen=True, slots=True)
class Target:
    """What a question should show: the median of a figure `of` one command, or of its ratio to that of another."""

    question: str
    above: str
    below: str | None
    bound: str
    limit: float
    of: str = "seconds"

    def value(self, runs: Mapping[str, Sequence[Cost]]) -> float:
        """The figure."""
        if self.below is None:
            return median(cost[self.of] for cost in runs[self.above])
        return _ratio(runs, self.above, self.below, self.of)

    def is_met(self, value: float) -> bool:
        """Whether it is as it should be."""
        return value <= self.limit if self.bound == "≤" else value >= self.limit


_LARGE = f"{Sizes().large:,} rows", f"{Sizes().huge:,} rows"
TARGETS = (
    Target("1,000,000 rows of Parquet, default", HERE, FLOOR, "≤", 2.2),
    Target("1,000,000 rows of Parquet, default", THERE, HERE, "≥", 2.0),
    Target("1,000,000 rows of CSV, default", HERE, FLOOR, "≤", 1.3),
    Target("1,000,000 rows of CSV, default", THERE, HERE, "≥", 1.5),
    Target("1,000,000 rows of Parquet, `fast`", HERE, FLOOR, "≤", 1.2),
    Target("200,000 rows of CSV, default, and PyOD", "isolation forest", HERE, "≥", 5),
    Target("200,000 rows of CSV, default, and PyOD", "kNN", HERE, "≥", 8),
    Target("fit of 20,000 × 30, default", THERE, HERE, "≥", 2.2),
    Target("fit of 20,000 × 30, `fast`", THERE, HERE, "≥", 1.5),
    Target("fit of 500 × 20, default", THERE, HERE, "≥", 3),
    Target("1,000 rows of CSV, default", HERE, None, "≤", 0.35),
    Target("`--help`", HERE, THERE, "≤", 1.05),
    Target("one row in memory, default", HERE, None, "≤", 0.002),
    Target("1,000 rows in memory, default", HERE, None, "≤", 0.013),
    Target("memory, CSV", _LARGE[1], None, "≤", 250, "peak_mb"),
    Target("memory, CSV", _LARGE[1], _LARGE[0], "≤", 1.05, "peak_mb"),
    Target("memory, Parquet", _LARGE[1], None, "≤", 250, "peak_mb"),
    Target("memory, Parquet", _LARGE[1], _LARGE[0], "≤", 1.05, "peak_mb"),
    Target("1,000,000 rows of Parquet, workers", ONE_WORKER, HERE, "≥", 1.75),
)


def _in_turn(builds: Builds, commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Cost]]:
    seen: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            cost = builds.run(name, arguments)
            print(f"  {name:12s} {cost.seconds:8.2f} s, {cost.cpu_seconds:8.2f} CPU s", file=sys.stderr)
            seen[name].append({"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds})
    return seen


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The repository at a commit, in a temporary folder. Ends the program when there is no such commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "vaecli"
        git = ["git", "-C", str(record.REPOSITORY), "worktree"]
        added = subprocess.run(
            [*git, "add", "--detach", str(tree), commit], capture_output=True, text=True, check=False
        )
        if added.returncode:
            record.stop(f"--against {commit}: {added.stderr.strip().splitlines()[-1]}")
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True, capture_output=True)


def measure(options: argparse.Namespace, results: record.Results) -> None:
    """Ask the questions whose name holds what `--only` names, and that have no answer yet."""
    commit, sizes = options.against, QUICK_SIZES if options.quick else Sizes()
    rounds = options.runs or ROUNDS
    asked = [name for name in QUESTIONS if options.only in name]
    if not importlib.util.find_spec("pyod"):
        print("PyOD is not installed: its question is left out", file=sys.stderr)
        asked = [name for name in asked if name not in NEED_PYOD]
    with checked_out(commit) as there:
        for folder in (record.REPOSITORY, there):  # as pip does where it installs a package
            compileall.compile_dir(folder / "vaecli", quiet=2)
        builds = Builds({HERE: record.REPOSITORY, THERE: there}, options.work, sizes, options.quick)
        kernels = fit.said([sys.executable, "-c", KERNELS], {}, record.REPOSITORY).strip()
        for name in asked:
            if options.redo or not results.has(against=commit, question=name):
                print(f"{name}:", file=sys.stderr)
                found = QUESTIONS[name](builds, rounds)
                results.add({"against": commit, "question": name, "kernels": kernels, "runs": found})


def report(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], *, quick: bool = False) -> str:
    """What was asked for beside what was measured, then a line per question."""
    found = {row["question"]: row for row in rows}
    measured = [found[name] for name in QUESTIONS if name in found]
    both = [row for row in measured if HERE in row["runs"]]
    commits, kernels, own = (
        ", ".join(sorted({row[name] for row in measured})) for name in ("against", "kernels", "commit")
    )
    parts = [
        "# This build beside an earlier one",
        f"Whole processes in turn, this build ({own}) and that of commit {commits}; in memory: the median call of a "
        "process. Seconds are medians over rounds, ratios medians of the ratios round by round. The floor reads the "
        "same rows and writes them with three columns more. Both builds are compiled to bytecode, as pip leaves a "
        f"package. Kernels of OpenBLAS: {kernels}.",
    ]
    if quick:
        parts.append("**Tiny tables and short fits: these figures only show that the benchmark runs.**")
    else:
        lines = [_target_line(target, found) for target in TARGETS]
        parts += ["## Targets", record.markdown_table(("question", "figure", "measured", "target", "met"), lines)]
    header = ("question", "rounds", *(f"{name}, s" for name in ("this build", "the other", FLOOR)))
    header += ("times as fast", "by CPU time", "of the floor", "of the floor by CPU time")
    parts += ["## Two builds", record.markdown_table(header, [_line(row) for row in both])]
    header = ("question", "command", "s", "CPU s", "peak, MB")
    parts += ["## All commands", record.markdown_table(header, [line for row in measured for line in _all(row)])]
    return "\n\n".join([*parts, record.machine_line(facts)]) + "\n"


def _target_line(target: Target, found: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, ...]:
    unit = {"seconds": "s", "peak_mb": "MB"}[target.of] if target.below is None else "×"
    figure = target.above if target.below is None else f"{target.above} / {target.below}"
    limit = f"{target.bound} {target.limit:g} {unit}"
    if target.question not in found:
        return target.question, figure, None, limit, None
    value = target.value(found[target.question]["runs"])
    return target.question, figure, f"{value:.3g} {unit}", limit, "yes" if target.is_met(value) else "no"


def _line(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    runs: Mapping[str, Sequence[Cost]] = row["runs"]

    def seconds(name: str) -> str | None:
        return f"{median(cost['seconds'] for cost in runs[name]):.3g}" if name in runs else None

    pairs = [
        (THERE, HERE, "seconds"),
        (THERE, HERE, "cpu_seconds"),
        (HERE, FLOOR, "seconds"),
        (HERE, FLOOR, "cpu_seconds"),
    ]
    ratios = [f"{_ratio(runs, *pair):.2f}" if {pair[0], pair[1]} <= runs.keys() else None for pair in pairs]
    return row["question"], str(len(runs[HERE])), *(seconds(name) for name in (HERE, THERE, FLOOR)), *ratios


def _all(row: Mapping[str, Any]) -> list[tuple[str | None, ...]]:
    lines = []
    for name, costs in row["runs"].items():
        figures = [median(one[of] for one in costs) if of in costs[0] else None for of in ("seconds", "cpu_seconds")]
        peak = f"{median(one['peak_mb'] for one in costs):.0f}" if "peak_mb" in costs[0] else None
        lines.append((row["question"], name, *(None if one is None else f"{one:.3g}" for one in figures), peak))
    return lines


def _ratio(runs: Mapping[str, Sequence[Cost]], above: str, below: str, of: str) -> float:
    return median(a[of] / b[of] for a, b in zip(runs[above], runs[below], strict=True))
