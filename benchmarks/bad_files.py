"""What bad files cost a run over many: CPU time of runs in one process, the ways of each round one after the other.

`stop` and `skip` are runs of `--since-last-run` over good files only. `first night` is the run that finds the bad ones,
each with a cell that cannot be read in its last row; `second night` the next one, to which new files have come, beside
the same run `without bad files`. `read alone` is what is read once more on the first night, without any score;
`digests` those of all files, as for files of one size.

    python benchmarks/bad_files.py --work DIR
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

N_FILES, N_BAD, N_NEW = 1_000, 10, 50
N_ROWS, N_COLUMNS = 50, 30
N_ROUNDS = 3
LONG_AGO = time.time() - 86_400


def main() -> None:
    """Prepare the files, measure some rounds, then write the report."""
    options = _options()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    results = record.Results(options.out, ("way",))
    os.chdir(options.work)
    _prepare()
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for i in range(N_ROUNDS + 1):
        for name, way in WAYS.items():
            prepare, measured = way()
            prepare()
            began = time.process_time()
            measured()
            if i:  # the first one warms up
                seconds[name].append(time.process_time() - began)
        print(i, {name: values[-1:] for name, values in seconds.items()}, flush=True)
    for name, values in seconds.items():
        results.add({"way": name, "seconds": statistics.median(values), "rounds": values})
    record.finish(options.out, report(results.rows, results.machine()))


def _table(rng: np.random.Generator, n_rows: int) -> pd.DataFrame:
    load = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, N_COLUMNS))
    values = load + 0.3 * rng.normal(size=load.shape)
    return pd.DataFrame(values.round(4), columns=[f"x{j}" for j in range(N_COLUMNS)])


def _prepare() -> None:
    """A model, good files, as many of which some are bad, and those of the second night."""
    import vaecli

    rng = np.random.default_rng(0)
    vaecli.fit(_table(rng, 2_000), **{"train.max_steps": 50}).save("model.vae")
    whole = _table(rng, (N_FILES + N_NEW) * N_ROWS)
    for folder in ("good", "mixed", "without"):
        Path(folder).mkdir()
    for i in range(N_FILES):
        text = _text(whole, i)
        is_bad = i % (N_FILES // N_BAD) == N_FILES // N_BAD - 1
        _write(f"good/{i:04d}.csv", text)
        bad = text.rstrip("\n").rpartition(",")[0] + ",high\n"
        _write(f"mixed/{i:04d}.csv", bad if is_bad else text)
        if not is_bad:
            _write(f"without/{i:04d}.csv", text)
    for i in range(N_FILES, N_FILES + N_NEW):
        Path(f"new_{i:04d}.csv").write_text(_text(whole, i))


def _text(whole: pd.DataFrame, i: int) -> str:
    return str(whole[i * N_ROWS : (i + 1) * N_ROWS].to_csv(index=False))


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))


def _run(folder: str, *more: str, code: int = 0) -> None:
    import contextlib
    import io

    from vaecli.cli.app import main as command

    words = (
        "score",
        f"{folder}/*.csv",
        "-m",
        "model.vae",
        "--since-last-run",
        f"{folder}.state",
        "-o",
        "out.csv",
        "-q",
    )
    left = 0
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            command([*words, *more])
        except SystemExit as end:
            left = int(end.code or 0)
    if left != code:
        raise RuntimeError(said.getvalue())


def _fresh(folder: str) -> None:
    Path(f"{folder}.state").unlink(missing_ok=True)
    for path in Path(folder).glob("new_*"):
        path.unlink()


def _next_night(folder: str, code: int) -> None:
    _fresh(folder)
    _run(folder, code=code)
    for path in Path().glob("new_*.csv"):
        shutil.copy(path, folder)


def _read_alone() -> None:
    from vaecli.bundle import load_any_detector
    from vaecli.tables.read.locations import LocalFile
    from vaecli.workflows.bad_files import _read_file

    detector, _ = load_any_detector(Path("model.vae"))
    for path in sorted(Path("good").glob("0*.csv")):
        _read_file(LocalFile.found(str(path)), "", detector)


def _digests() -> None:
    from vaecli.tables.read.repeated import digest_of

    for path in sorted(Path("good").glob("0*.csv")):
        digest_of(str(path), path.stat().st_size)


Way = tuple[Callable[[], object], Callable[[], object]]


def _nothing() -> None:
    """Prepare nothing."""


WAYS: dict[str, Callable[[], Way]] = {
    "stop": lambda: (lambda: _fresh("good"), lambda: _run("good", "--bad-files", "stop")),
    "skip": lambda: (lambda: _fresh("good"), lambda: _run("good")),
    "without the bad files": lambda: (lambda: _fresh("without"), lambda: _run("without")),
    "first night": lambda: (lambda: _fresh("mixed"), lambda: _run("mixed", code=4)),
    "second night": lambda: (lambda: _next_night("mixed", 4), lambda: _run("mixed", code=4)),
    "second night without bad files": lambda: (lambda: _next_night("without", 0), lambda: _run("without")),
    "read alone": lambda: (_nothing, _read_alone),
    "digests": lambda: (_nothing, _digests),
}


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    by_way = {row["way"]: row for row in rows}
    lines = [
        [name, f"{by_way[name]['seconds']:.2f}", " ".join(f"{one:.2f}" for one in by_way[name]["rounds"])]
        for name in WAYS
        if name in by_way
    ]
    return "\n".join(
        [
            "# Bad files",
            "",
            f"Written by `benchmarks/bad_files.py`: {N_FILES:,} files of {N_ROWS} rows and {N_COLUMNS} columns, of "
            f"which {N_BAD} are bad, and {N_NEW} new ones in the second night. CPU seconds in one process, medians of "
            f"{N_ROUNDS} rounds after one that warms up; the ways of a round follow each other.",
            "",
            record.markdown_table(["run", "CPU seconds", "rounds"], lines),
            "",
            record.machine_line(machine),
            "",
        ]
    )


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "bad_files.json")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; what it holds is removed")
    options = parser.parse_args()
    options.work, options.out = options.work.resolve(), options.out.resolve()
    if options.redo:
        options.out.unlink(missing_ok=True)
    return options


if __name__ == "__main__":
    main()
