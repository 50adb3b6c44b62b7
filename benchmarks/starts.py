"""What is paid before the first row: processor time of short runs beside another commit.

The commands of both builds run in turn, A B A B …; bundles are those of short fits of 20,000 rows, whose arrays have
the size of real ones. Times are of the processor, user and system of the whole process, and medians over the rounds.

    python benchmarks/starts.py --work DIR --against 96c8be1
"""

from __future__ import annotations

import argparse
import compileall
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import against
import record
from against import HERE, THERE

QUESTIONS: dict[str, against.Question] = {
    "`vaecli --help`": against.helping(),
    "`vaecli score --help`": against.helping("score"),
    "`vaecli score` of 1,000 rows of CSV": against.scoring("start", ".csv", "default"),
    "`vaecli fit` of 500 × 20, two epochs": against.fitting("few", 20, "default"),
    "`model.score` of one row in a DataFrame": against.in_memory(1),
}
_MODULE = re.compile(r"import time:.*\| +(\S+)$", re.MULTILINE)


def main() -> None:
    """Measure what is missing, then write the report."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    results = record.Results(options.out, ("against", "question"))
    with against.checked_out(options.against) as there:
        for folder in (record.REPOSITORY, there):  # as pip does where it installs a package
            compileall.compile_dir(folder / "vaecli", quiet=2)
        folders = {HERE: record.REPOSITORY, THERE: there}
        builds = against.Builds(folders, options.work, against.Sizes(), quick=True)
        for name, question in QUESTIONS.items():
            if options.redo or not results.has(against=options.against, question=name):
                found = {"runs": question(builds, options.rounds), "modules": modules_of(name, builds)}
                results.add({"against": options.against, "question": name} | found)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "starts.json")
    parser.add_argument("--work", type=Path, required=True, help="tables and bundles; 50 MB")
    parser.add_argument("--against", metavar="COMMIT", default="96c8be1", help="the other build (96c8be1)")
    parser.add_argument("--rounds", type=int, default=15, help="runs of each build (15)")
    options = parser.parse_args()
    options.work = options.work.resolve()  # the commands run in the repository's folder
    return options


def modules_of(question: str, builds: against.Builds) -> dict[str, int]:
    """How many modules of vaecli each build loads; nothing for a call within a process."""
    if "--help" in question:
        words = dict.fromkeys(builds.folders, question.strip("`").split()[1:])
    elif "CSV" in question:
        words = {one: builds.score_words(one, builds.sizes.start, ".csv", "default")[2:] for one in builds.folders}
    else:
        words = {}
    return {build: _n_modules(builds.folders[build], given) for build, given in words.items()}


def _n_modules(folder: Path, words: Sequence[str]) -> int:
    command = [sys.executable, "-X", "importtime", "-m", "vaecli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return sum(name.partition(".")[0] == "vaecli" for name in _MODULE.findall(done.stderr))


def report(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The Markdown of the results."""
    pairs = [row for row in rows if row["question"] in QUESTIONS]
    figures = ("this, ms", "the other, ms", "this / the other", "modules", "of the other")
    header = ("question", "the other", "rounds", *figures)
    return "\n".join(
        [
            "# What is paid before the first row",
            "",
            "Written by `benchmarks/starts.py`: processor time of whole processes beside those of an earlier commit, "
            "in pairs; medians, and medians of the ratios pair by pair. One row: medians of 51 calls, by a process of "
            "each build in turn. Modules are those of vaecli.",
            "",
            record.markdown_table(header, map(_line, pairs)),
            "",
            record.machine_line(facts),
            "",
        ]
    )


def _line(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    here, there = ([cost["cpu_seconds"] for cost in row["runs"][build]] for build in (HERE, THERE))
    ratio = median(a / b for a, b in zip(here, there, strict=True))
    modules = [str(row["modules"][build]) if build in row["modules"] else None for build in (HERE, THERE)]
    return (
        row["question"],
        row["against"],
        str(len(here)),
        *map(_ms, (here, there)),
        f"{ratio:.2f}",
        *modules,
    )


def _ms(seconds: Sequence[float]) -> str:
    ms = 1e3 * median(seconds)
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.2f}"


if __name__ == "__main__":
    main()
