"""What is left after faults: runs killed at random moments, full disks, inputs that change, many runs at once.

Every line is a fault that real processes met so many times, and how many left what was promised. The table goes to
docs/reliability.md. Disks that are full or read-only need the right to mount a tmpfs; without it they are left out.

    python benchmarks/reliability.py --work DIR
    python benchmarks/reliability.py --work DIR --kills 10 --others 3
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import record

PROGRAM = [sys.executable, "-m", "vaecli"]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
N_ROWS = 20_000
EARLIER = b"an earlier output\n"
DISK_BYTES = 300_000
MOST_SHOWN = 3
ENOUGH = 100  # trials, below which the page names the run a short one
QUICK = (
    "[train]\nmax_steps = 300\n[model]\nn_noise = 2\nn_exemplars = 50\n[calibration]\nn_folds = 3\n"
    "[heteroscedastic]\nn_hidden = 16\nn_latent = 3\n[homoscedastic]\nn_hidden = 16\nn_latent = 3\n"
)


@dataclass
class Line:
    """A fault, how often it was met, and what it left; `broken` are the promises that did not hold."""

    fault: str
    promise: str
    tried: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def add(self, outcome: str, problems: Sequence[str] = ()) -> None:
        """Count one trial."""
        self.tried += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.broken += problems


@dataclass(frozen=True)
class Place:
    """The folder with the tables, the bundle, and what an undisturbed run gives."""

    folder: Path
    chance: random.Random

    def run(self, *words: object, **named: object) -> subprocess.CompletedProcess[bytes]:
        """Run vaecli to its end."""
        command = [*PROGRAM, *map(str, words)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False, timeout=600, **named)  # type: ignore[call-overload]

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        """Start vaecli."""
        command = [*PROGRAM, *map(str, words)]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def seconds(self, *words: object) -> float:
        """How long an undisturbed run takes. Raises RuntimeError if it fails."""
        started = time.monotonic()
        done = self.run(*words)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return time.monotonic() - started

    def left(self) -> list[str]:
        """Temporary files and checkpoints that lie in the folder."""
        return [one.name for one in self.folder.iterdir() if re.search(r"vaecli-.*\.part$|\.checkpoint$", one.name)]


def main() -> None:
    """Meet every fault, write the results and the page."""
    options = _options()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    place = Place(options.work, random.Random(options.seed))
    prepare(place)
    lines = [
        *killed_scores(place, options.kills),
        killed_fits(place, options.kills),
        killed_new_rows(place, options.kills),
        killed_metrics(place, options.others),
        stopped(place, options.others, signal.SIGTERM, 143),
        stopped(place, options.others, signal.SIGINT, 130),
        reader_gone(place, options.others),
        *changing_inputs(place, options.others),
        *small_disks(place, options.others),
        no_permission(place, options.others),
        other_device(place, options.others),
        bare_environment(place, options.others),
        many_with_a_lock(place, options.at_once),
        many_without_a_lock(place, options.at_once),
    ]
    results = {
        "machine": record.machine(),
        "seed": options.seed,
        "lines": [asdict(line) for line in lines if line.tried],
    }
    record.write_json(record.RESULTS / "reliability.json", results)
    PAGE.write_text(page(results), encoding="utf-8")
    for line in lines:
        print(line.fault, line.tried, line.outcomes, line.broken[:MOST_SHOWN])
    if any(line.broken for line in lines):
        sys.exit(1)


def prepare(place: Place) -> None:
    """Write tables, fit a bundle, and keep what undisturbed runs give."""
    rng = np.random.default_rng(0)
    load = rng.normal(size=N_ROWS)
    columns = {f"c{j}": load * (j + 1) + rng.normal(size=N_ROWS) for j in range(6)}
    table = pd.DataFrame(columns | {"mode": rng.choice(["eco", "normal"], N_ROWS)})
    table.to_csv(place.folder / "new.csv", index=False)
    table.to_parquet(place.folder / "new.parquet", index=False)
    table[:1500].to_csv(place.folder / "normal.csv", index=False)
    (place.folder / "quick.toml").write_text(QUICK)
    place.seconds("fit", "normal.csv", "--config", "quick.toml", "-q")
    for name in ("csv", "parquet"):
        place.seconds("score", f"new.{name}", "-o", f"whole.{name}", "-q")


def killed_scores(place: Place, n: int) -> Iterator[Line]:
    """`kill -9` while a table is scored."""
    for name in ("csv", "parquet"):
        line = Line(f"`kill -9` of `score`, {name}", "the earlier output or the new one, whole; a rerun leaves nothing")
        target, whole = place.folder / f"out.{name}", (place.folder / f"whole.{name}").read_bytes()
        words = ("score", f"new.{name}", "-o", target.name, "-q")
        seconds = place.seconds(*words)
        for _ in range(n):
            target.write_bytes(EARLIER)
            killed = kill_within(place, seconds, *words)
            found = target.read_bytes()
            outcome = "earlier output" if found == EARLIER else "new output" if found == whole else "torn"
            problems = ["torn output"] if outcome == "torn" else []
            again = place.run(*words)
            if again.returncode or target.read_bytes() != whole:
                problems.append(f"a rerun left {again.returncode}")
            line.add(f"{outcome}{'' if killed else ' (ended before)'}", [*problems, *place.left()])
        yield line


def kill_within(place: Place, seconds: float, *words: object) -> bool:
    """Kill a run at a random moment of the time that it usually takes; whether it was still alive."""
    run = place.start(*words)
    time.sleep(place.chance.random() * 1.1 * seconds)
    is_alive = run.poll() is None
    run.kill()
    run.communicate()
    return is_alive


def digests(place: Place, bundle: str) -> object:
    """What the bundle holds, whenever it was written."""
    return json.loads(place.run("inspect", bundle, "--json").stdout)["digests"]["arrays.safetensors"]


def killed_fits(place: Place, n: int) -> Line:
    """`kill -9` while a bundle is fitted, and the same command with --resume."""
    line = Line("`kill -9` of `fit`, then `--resume`", "the earlier or the new bundle; resumed equals uninterrupted")
    whole, words = digests(place, "model.vae"), ("fit", "normal.csv", "--config", "quick.toml", "-o", "out.vae", "-q")
    seconds = place.seconds(*words)
    for _ in range(n):
        (place.folder / "out.vae").write_bytes(EARLIER)
        kill_within(place, seconds, *words)
        is_old = (place.folder / "out.vae").read_bytes() == EARLIER
        problems = [] if is_old or digests(place, "out.vae") == whole else ["torn bundle"]
        resumes = (place.folder / "out.vae.checkpoint").exists()
        again = place.run(*words, *(["--resume"] if resumes else []))
        if again.returncode or digests(place, "out.vae") != whole:
            problems.append(f"a rerun left {again.returncode}: {again.stderr.decode()}")
        outcome = "earlier bundle" if is_old else "new bundle"
        line.add(f"{outcome}{', resumed' if resumes else ''}", [*problems, *place.left()])
    return line


def killed_new_rows(place: Place, n: int) -> Line:
    """`kill -9` of jobs over a file that grows: which rows were scored, and how often."""
    line = Line("`kill -9` of `score --since-last-run`, a log that grows", "every row is scored at least once")
    rows = (place.folder / "new.csv").read_text().splitlines(keepends=True)
    log, scored = place.folder / "log.csv", place.folder / "scored"
    scored.mkdir()
    log.write_text("id," + rows[0])
    seconds, n_written, step = 1.0, 0, 40
    for i in range(2 * n):
        with log.open("a") as file:
            file.writelines(f"{n_written + j},{rows[1 + j]}" for j in range(step))
        n_written += step
        words = ("score", "log.csv", "--since-last-run", "rows.state", "-o", f"scored/{i}.csv", "-q")
        if i % 2:
            seconds = place.seconds(*words)
        else:
            kill_within(place, seconds, *words)
    found = [row for path in scored.iterdir() if path.suffix == ".csv" for row in pd.read_csv(path)["id"].tolist()]
    n_lost, n_twice = n_written - len(set(found)), len(found) - len(set(found))
    line.tried = n
    line.outcomes = {f"{n_written} rows written": 1, f"{n_lost} lost": 1, f"{n_twice} scored twice": 1}
    line.broken = [f"{n_lost} rows were lost"] if n_lost else []
    return line


def killed_metrics(place: Place, n: int) -> Line:
    """`kill -9` of runs with metrics: what a monitor sees."""
    line = Line("`kill -9` of `score --metrics`", "the page is whole, and names a run under way or the end of it")
    words = ("score", "new.csv", "-o", "out.csv", "-q", "--metrics", "pump.prom")
    seconds = place.seconds(*words)
    for _ in range(n):
        killed = kill_within(place, seconds, *words)
        text = (place.folder / "pump.prom").read_text()
        running = re.search(r"^vaecli_running\{.*\} (\d)$", text, re.MULTILINE)
        problems = [] if running and text.endswith("\n") and "last_success" in text else ["a page that is not whole"]
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), check=False)
            problems += [] if checked.returncode == 0 else ["promtool refuses the page"]
        state = "under way" if running and running[1] == "1" else "ended" if killed else "ended before"
        line.add(state, problems)
        place.run(*words)
    return line


def stopped(place: Place, n: int, number: signal.Signals, code: int) -> Line:
    """A signal that a run can handle, at a random moment."""
    line = Line(f"{number.name} to `score`", f"exit code {code}, the earlier output or the new one, no other file")
    words, whole = ("score", "new.csv", "-o", "out.csv", "-q"), (place.folder / "whole.csv").read_bytes()
    seconds = place.seconds(*words)
    for _ in range(n):
        (place.folder / "out.csv").write_bytes(EARLIER)
        run = place.start(*words)
        time.sleep(place.chance.random() * seconds)
        run.send_signal(number)
        run.communicate()
        found = (place.folder / "out.csv").read_bytes()
        problems = [] if found in (EARLIER, whole) else ["torn output"]
        # before Python handles signals it dies of them, which a shell sees as the same code
        left_with = 128 - run.returncode if run.returncode < 0 else run.returncode
        problems += [] if left_with in (0, code) else [f"exit code {left_with}"]
        line.add(f"exit code {left_with}", [*problems, *place.left()])
    return line


def reader_gone(place: Place, n: int) -> Line:
    """A reader of standard output that goes away."""
    line = Line("the reader of standard output goes away", "exit code 141 without a word")
    for _ in range(n):
        run = place.start("score", "new.csv", "-o", "-", "-q")
        assert run.stdout is not None
        run.stdout.read(1 + place.chance.randrange(5000))
        run.stdout.close()
        assert run.stderr is not None
        said = run.stderr.read()
        line.add(f"exit code {run.wait()}", ["a message"] if said or run.returncode != 141 else [])
        run.stderr.close()
    return line


def changing_inputs(place: Place, n: int) -> Iterator[Line]:
    """Inputs that others change while they are read."""
    changes: dict[str, Callable[[Path], object]] = {
        "grows": lambda path: path.open("ab").write(b"1,2,3,4,5,6,eco\n1,2,3"),
        "shrinks": lambda path: os.truncate(path, 2_000),
        "is replaced": lambda path: shutil.move(shutil.copy(place.folder / "normal.csv", f"{path}.next"), path),
        "disappears": lambda path: path.unlink(),
    }
    seconds = place.seconds("score", "new.csv", "-o", "out.csv", "-q")
    for what, change in changes.items():
        line = Line(f"an input {what} while it is read", "the rows as found, or exit code 4 and no output")
        for _ in range(n):
            source, target = place.folder / "moving.csv", place.folder / "moved.csv"
            shutil.copy(place.folder / "new.csv", source)
            target.unlink(missing_ok=True)
            run = place.start("score", source.name, "-o", target.name, "-q")
            time.sleep(place.chance.random() * seconds)
            change(source)
            _, said = run.communicate()
            problems = [] if run.returncode in (0, 4) else [f"exit code {run.returncode}: {said.decode()}"]
            if target.exists() != (run.returncode == 0):
                problems.append("an output without success, or the reverse")
            if b"Traceback" in said:
                problems.append("a traceback")
            line.add(f"exit code {run.returncode}", [*problems, *place.left()])
        yield line


@contextmanager
def mounted(place: Place, options: str) -> Iterator[Path | None]:
    """A tmpfs with these options; None without the right to mount."""
    folder = place.folder / "disk"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    try:
        yield folder if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def small_disks(place: Place, n: int) -> Iterator[Line]:
    """A disk that becomes full, and one that is read-only."""
    for options, fault in ((f"size={DISK_BYTES}", "the disk of the output becomes full"), ("ro", "read-only target")):
        line = Line(fault, "exit code 7, the earlier output or none, no other file")
        with mounted(place, options) as disk:
            for _ in range(n if disk else 0):
                assert disk is not None
                target = disk / "out.csv"
                if options != "ro":
                    target.write_bytes(EARLIER)
                run = place.run("score", "new.csv", "-o", target, "-q")
                problems = [] if run.returncode == 7 and run.stderr.startswith(b"error: ") else [run.stderr.decode()]
                if options != "ro" and target.read_bytes() != EARLIER:
                    problems.append("the earlier output is gone")
                problems += [one.name for one in disk.iterdir() if one != target]
                line.add(f"exit code {run.returncode}", problems)
        yield line


def no_permission(place: Place, n: int) -> Line:
    """A folder that may not be written; root may write everywhere."""
    line = Line("no permission to write", "exit code 7 and two lines")
    for _ in range(0 if os.geteuid() == 0 else n):
        folder = place.folder / "closed"
        folder.mkdir(mode=0o500, exist_ok=True)
        run = place.run("score", "new.csv", "-o", folder / "out.csv", "-q")
        line.add(f"exit code {run.returncode}", [] if run.returncode == 7 else [run.stderr.decode()])
    return line


def other_device(place: Place, n: int) -> Line:
    """A target on another file system than the input, and a link to it."""
    line = Line("target on another device, by a link", "complete, and the link stays")
    with mounted(place, "size=20m") as disk:
        for _ in range(n if disk else 0):
            link = place.folder / "link.csv"
            link.unlink(missing_ok=True)
            link.symlink_to("disk/out.csv")
            run = place.run("score", "new.csv", "-o", link.name, "-q")
            is_whole = link.is_symlink() and link.read_bytes() == (place.folder / "whole.csv").read_bytes()
            line.add(f"exit code {run.returncode}", [] if is_whole else [run.stderr.decode() or "not whole"])
    return line


def bare_environment(place: Place, n: int) -> Line:
    """No HOME, no PATH, closed standard input and error."""
    line = Line("no environment, closed standard streams", "complete")
    # these choose the kernels of BLAS, whose sums are rounded otherwise
    kept = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    for _ in range(n):
        (place.folder / "out.csv").unlink(missing_ok=True)
        words = " ".join([*PROGRAM, "score", "new.csv", "-o", "out.csv", "-q", "<&-", "2>&-", ">&-"])
        code = subprocess.run(["/bin/sh", "-c", words], cwd=place.folder, env=kept, check=False).returncode
        is_whole = (place.folder / "out.csv").read_bytes() == (place.folder / "whole.csv").read_bytes()
        line.add(f"exit code {code}", [] if code == 0 and is_whole else ["not whole"])
    return line


def many_with_a_lock(place: Place, n: int) -> Line:
    """Many runs at once on one lock."""
    line = Line(f"{n} runs at once on one lock", "one at a time: exit code 0 or 7, the output whole")
    return _many(place, n, line, "--lock", "run.lock")


def many_without_a_lock(place: Place, n: int) -> Line:
    """Many runs at once with one target."""
    line = Line(f"{n} runs at once with one target, no lock", "exit code 0, the output that of one of them, whole")
    return _many(place, n, line)


def _many(place: Place, n: int, line: Line, *more: str) -> Line:
    allowed = (0, 7) if more else (0,)
    runs = [place.start("score", "new.csv", "-o", "out.csv", "-q", "--workers", "1", *more) for _ in range(n)]
    for run in runs:
        _, said = run.communicate()
        line.add(f"exit code {run.returncode}", [] if run.returncode in allowed else [said.decode()])
    is_whole = (place.folder / "out.csv").read_bytes() == (place.folder / "whole.csv").read_bytes()
    line.broken += [*([] if is_whole else ["torn output"]), *place.left()]
    return line


def page(results: dict[str, object]) -> str:
    """docs/reliability.md."""
    lines = results["lines"]
    assert isinstance(lines, list)
    rows = [
        f"| {line['fault']} | {line['promise']} | {line['tried']} | "
        f"{', '.join(_counted(name, n) for name, n in sorted(line['outcomes'].items()))} | "
        f"{'held' if not line['broken'] else '**' + str(len(line['broken'])) + ' broken**'} |"
        for line in lines
    ]
    return "\n".join(
        [
            "# Reliability",
            "",
            "What faults leave behind, written by `benchmarks/reliability.py`, which meets each of them with real "
            "processes at random moments and compares what is left with an undisturbed run. "
            "[Run it from cron](how-to/cron.md#safe-to-run-again) explains the promises.",
            "",
            _weight([line["tried"] for line in lines]),
            "",
            "| fault | what is promised | times tried | outcomes | promise |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"Seed {results['seed']}; faults that need rights this machine did not give are left out. "
            "Kinds of faults that need no random moment are tests in `tests/faults`.",
            "",
        ]
    )


def _weight(tried: Sequence[int]) -> str:
    """What so many trials of each fault can show."""
    if max(tried) >= ENOUGH:
        return "Where a promise held in all of n trials, it may still break in a share of up to 3/n (95 %)."
    return (
        f"**This is a short run: each fault was met {min(tried)} to {max(tried)} times.** It shows what the script "
        "does, not that a failure is rare."
    )


def _counted(name: str, n: int) -> str:
    return name if n == 1 and name[0].isdigit() else f"{n} {name}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; what it holds is removed")
    parser.add_argument("--kills", type=int, default=200, help="times that each kind of run is killed (200)")
    parser.add_argument("--others", type=int, default=30, help="times that each other fault is met (30)")
    parser.add_argument("--at-once", type=int, default=20, help="runs at the same time (20)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
