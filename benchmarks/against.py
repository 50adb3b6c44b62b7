"""Two builds of vaecli in pairs: this one beside that of a commit, checked out in a folder of its own.

Every round runs both builds in turn, for scoring beside the floor too. A ratio is the median of the ratios round by
round, of seconds on the wall and of CPU seconds, which other work on the machine moves less. Each build fits its own
bundles. `throughput.py --against COMMIT` runs this.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import fit
import record
import tables

SCRIPTS = Path(__file__).resolve().parent / "scripts"
GROUP_ROWS = 1_000_000
ROUNDS = 5
HERE, THERE = "this build", "the other"
KEYS = ("against", "question")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the tables; `few` has 20 columns."""

    train: int = 20_000
    few: int = 500
    start: int = 1_000
    large: int = 1_000_000


QUICK_SIZES = Sizes(train=300, few=100, start=200, large=2_000)


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
        commands["floor"] = [str(SCRIPTS / "copy_floor.py"), str(builds.table(n, suffix, seed=2)), str(copied)]
        return _in_turn(builds, commands, rounds)

    return question


def fitting(n_rows: str, n_columns: int, preset: str) -> Question:
    """Seconds of `vaecli fit` from start to exit."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        table = builds.table(getattr(builds.sizes, n_rows), n_columns=n_columns)
        return _in_turn(builds, {build: builds.fit_words(build, table, preset) for build in builds.folders}, rounds)

    return question


def in_memory(n_rows: int) -> Question:
    """Seconds of scoring a frame of so many rows through Python, in a process that has loaded the bundle."""

    def question(builds: Builds, rounds: int) -> dict[str, list[Cost]]:
        seen: dict[str, list[Cost]] = {build: [] for build in builds.folders}
        table = builds.table(builds.sizes.start, seed=2)
        for _ in range(rounds):
            for build, folder in builds.folders.items():
                words = [str(SCRIPTS / "score_frame.py"), str(builds.bundle(build, "default")), str(table), str(n_rows)]
                # a script's own folder comes first on its path, so the build is named in the environment
                environment = {"PYTHONPATH": str(folder)}
                seen[build].append(json.loads(fit.said([sys.executable, *words], environment, folder)))
        return seen

    return question


QUESTIONS: dict[str, Question] = {
    "1,000 rows of CSV, default": scoring("start", ".csv", "default"),
    "1,000,000 rows of CSV, default": scoring("large", ".csv", "default"),
    "1,000,000 rows of Parquet, default": scoring("large", ".parquet", "default"),
    "1,000,000 rows of Parquet, `fast`": scoring("large", ".parquet", "fast"),
    "one row in memory, default": in_memory(1),
    "1,000 rows in memory, default": in_memory(1_000),
    "fit of 20,000 × 30, default": fitting("train", 30, "default"),
    "fit of 20,000 × 30, `fast`": fitting("train", 30, "fast"),
    "fit of 500 × 20, default": fitting("few", 20, "default"),
}


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
    with checked_out(commit) as there:
        builds = Builds({HERE: record.REPOSITORY, THERE: there}, options.work, sizes, options.quick)
        for name, question in QUESTIONS.items():
            if options.only in name and (options.redo or not results.has(against=commit, question=name)):
                print(f"{name}:", file=sys.stderr)
                results.add({"against": commit, "question": name, "runs": question(builds, rounds)})


def report(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """One line per question."""
    header = (
        "question",
        "rounds",
        "this build, s",
        "the other, s",
        "floor, s",
        "times as fast",
        "by CPU time",
        "of the floor",
    )
    commits = ", ".join(sorted({row["against"] for row in rows}))
    lines = [_line(row) for row in rows]
    return (
        "\n\n".join(
            (
                "# This build beside an earlier one",
                f"Whole processes in turn, this build and that of commit {commits}; in memory: the median call of a "
                "process. Seconds are medians over rounds, ratios medians of the ratios round by round. The floor "
                "reads the same rows and writes them with three columns more.",
                record.markdown_table(header, lines),
                record.machine_line(facts),
            )
        )
        + "\n"
    )


def _line(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    runs: Mapping[str, Sequence[Cost]] = row["runs"]

    def ratio(above: str, below: str, of: str) -> str | None:
        if below not in runs:
            return None
        return f"{median(a[of] / b[of] for a, b in zip(runs[above], runs[below], strict=True)):.2f}"

    def seconds(name: str) -> str | None:
        return f"{median(cost['seconds'] for cost in runs[name]):.3g}" if name in runs else None

    speed = (ratio(THERE, HERE, of) for of in ("seconds", "cpu_seconds"))
    return (
        row["question"],
        str(len(runs[HERE])),
        *(seconds(name) for name in (HERE, THERE, "floor")),
        *speed,
        ratio(HERE, "floor", "seconds"),
    )
