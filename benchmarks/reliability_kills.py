"""Runs killed at random moments: is the target old or new and whole, does a rerun work, is anything left behind?"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess

import pandas as pd
from reliability_place import EARLIER, LONGER_FIT, N_PARTS, Line, Place, scoring

_STEP = 40  # rows that a log grows by


def killed_score(place: Place, line: Line, name: str) -> None:
    """`kill -9` while a table is scored into one file."""
    target, words = f"out.{name}", scoring(f"new.{name}", f"out.{name}")
    whole = place.read(f"whole.{name}")
    place.put(target)
    killed = place.killed_within(*words)
    found = place.read(target)
    outcome = "earlier output" if found == EARLIER else "new output" if found == whole else "torn"
    problems = ["torn output"] if outcome == "torn" else []
    again = place.run(*words)
    if again.returncode or place.read(target) != whole:
        problems.append(f"a rerun left {again.returncode}: {again.stderr.decode()}")
    line.add(f"{outcome}{'' if killed else ' (ended before)'}", [*problems, *place.left()])


def killed_parts(place: Place, line: Line) -> None:
    """`kill -9` while files are scored into a folder of parts."""
    folder, words = place.folder / "scored", ("score", "parts", "-m", "model.vae", "-o", "scored/", "-q")
    names = [f"{i}.parquet" for i in range(N_PARTS)]
    whole = {name: place.read(f"whole_parts/{name}") for name in names}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        place.put(f"scored/{name}")
    place.killed_within(*words)
    found = {name: place.read(f"scored/{name}") for name in names}
    n_new = sum(found[name] == whole[name] for name in names)
    problems = [f"a torn {name}" for name in names if found[name] not in (EARLIER, whole[name])]
    if (folder / "_manifest.json").exists() and n_new < N_PARTS:
        problems.append("a manifest of a folder that is not whole")
    again = place.run(*words, "--resume")
    is_whole = all(place.read(f"scored/{name}") == whole[name] for name in names)
    if again.returncode or not is_whole or not (folder / "_manifest.json").exists():
        problems.append(f"a rerun left {again.returncode}: {again.stderr.decode()}")
    line.add(f"{n_new} of {N_PARTS} parts new", [*problems, *place.left()])


def killed_fit(place: Place, line: Line) -> None:
    """`kill -9` while a bundle is fitted, and the same command with --resume."""
    _end_fit(place, line, signal.SIGKILL)


def stopped_fit(place: Place, line: Line) -> None:
    """SIGTERM while a bundle is fitted, and the same command with --resume."""
    _end_fit(place, line, signal.SIGTERM)


def _end_fit(place: Place, line: Line, number: signal.Signals) -> None:
    whole = place.read("longer.vae")
    place.put("out.vae")
    run = place.start(*LONGER_FIT)
    place.wait(*LONGER_FIT, share=1.1)
    run.send_signal(number)
    _, said = run.communicate()
    found = place.read("out.vae")
    problems = [] if found in (EARLIER, whole) else ["torn bundle"]
    if b"Traceback" in said:
        problems.append("a traceback")
    # before Python handles signals it dies of them, which a shell sees as the same code
    left_with = 128 - run.returncode if run.returncode < 0 else run.returncode
    problems += [] if left_with in (0, 128 + number) else [f"exit code {left_with}: {said.decode()}"]
    resumes = (place.folder / "out.vae.checkpoint").exists()
    again = place.run(*LONGER_FIT, *(["--resume"] if resumes else []))
    if again.returncode or place.read("out.vae") != whole:
        problems.append(f"a rerun left {again.returncode}, or other bytes: {again.stderr.decode()}")
    outcome = "earlier bundle" if found == EARLIER else "new bundle"
    line.add(f"{outcome}{', resumed' if resumes else ''}", [*problems, *place.left()])


def killed_new_rows(place: Place, line: Line) -> None:
    """`kill -9` of a job over a file that grows, and the next run: which rows were scored, and how often."""
    log, words = place.folder / "log.csv", scoring("log.csv", "fresh.csv", "--since-last-run", "rows.state")
    rows = place.read("new.csv").decode().splitlines(keepends=True)
    if not log.exists():
        log.write_text(f"id,{rows[0]}0,{rows[1]}")
        place.must_run(*words)
    n_before, found = log.read_text().count("\n") - 1, list[int]()
    for is_killed in (True, False):
        n_known = log.read_text().count("\n") - 1
        with log.open("a") as file:
            file.writelines(f"{n_known + j},{rows[1 + j]}" for j in range(_STEP))
        (place.folder / "fresh.csv").unlink(missing_ok=True)
        if is_killed:
            place.killed_within(*words)
        else:
            place.must_run(*words)
        if (place.folder / "fresh.csv").exists():
            found += pd.read_csv(place.folder / "fresh.csv")["id"].tolist()
    n_lost = len(set(range(n_before, n_before + 2 * _STEP)) - set(found))
    twice = len(found) > len(set(found))
    problems = [f"{n_lost} rows were lost"] if n_lost else []
    line.add("every row, some twice" if twice else "every row, none twice", [*problems, *place.left()])


def killed_metrics(place: Place, line: Line) -> None:
    """`kill -9` of a run with metrics: what a monitor sees."""
    words = scoring("new.csv", "out.csv", "--metrics", "pump.prom")
    killed = place.killed_within(*words)
    text = place.read("pump.prom").decode()
    running = re.search(r"^vaecli_running\{.*\} (\d)$", text, re.MULTILINE)
    problems = [] if running and text.endswith("\n") and "last_success" in text else ["a page that is not whole"]
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), check=False)
        problems += [] if checked.returncode == 0 else ["promtool refuses the page"]
    state = "under way" if running and running[1] == "1" else "ended" if killed else "ended before"
    place.must_run(*words)
    line.add(state, [*problems, *place.left()])


def stopped(place: Place, line: Line, number: signal.Signals) -> None:
    """A signal that a run can handle, at a random moment."""
    words, whole = scoring("new.csv", "out.csv"), place.read("whole.csv")
    if words not in place.usual:
        place.must_run(*words)
    place.put("out.csv")
    run = place.start(*words)
    place.wait(*words)
    run.send_signal(number)
    _, said = run.communicate()
    problems = [] if place.read("out.csv") in (EARLIER, whole) else ["torn output"]
    left_with = 128 - run.returncode if run.returncode < 0 else run.returncode
    problems += [] if left_with in (0, 128 + number) else [f"exit code {left_with}: {said.decode()}"]
    line.add(f"exit code {left_with}", [*problems, *place.left()])
