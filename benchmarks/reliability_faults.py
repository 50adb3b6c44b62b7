"""Faults of the machine and of other programs: full disks, lost rights, inputs that change, wrong clocks, many runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from reliability_place import (
    EARLIER,
    FIT,
    LONGER_FIT,
    LONGEST,
    N_ROWS,
    PROGRAM,
    Line,
    Place,
    is_whole_bundle,
    mounted,
    scoring,
    two_lines,
    without_rights,
)

_DAY = 86_400
_AFTER_CHECKPOINT = 0.2  # seconds, in which the next ones are written over the first
_GROWTH = b"1,2,3,eco\n"


def reader_gone(place: Place, line: Line) -> None:
    """A reader of standard output that goes away."""
    run = place.start(*scoring("new.csv", "-"))
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.read(1 + place.chance.randrange(5000))
    run.stdout.close()
    said = run.stderr.read()
    line.add(f"exit code {run.wait()}", ["a message"] if said or run.returncode != 141 else [])
    run.stderr.close()


def closed_input(place: Place, line: Line) -> None:
    """Standard input is closed where a table is read from it."""
    words = " ".join(map(str, [*PROGRAM, *scoring("-", "out.csv"), "<&-"]))
    place.put("out.csv")
    done = subprocess.run(["/bin/sh", "-c", words], cwd=place.folder, capture_output=True, check=False)
    problems = two_lines(done, 4)
    problems += [] if place.read("out.csv") == EARLIER else ["the earlier output is gone"]
    line.add(f"exit code {done.returncode}", [*problems, *place.left()])


# ------------------------------------------------------------------------------------ inputs


def changed_input(place: Place, line: Line, what: str, kind: str) -> None:
    """An input that another program changes while it is read."""
    source, target = f"moving.{kind}", f"moved.{kind}"
    whole, other = place.read(f"whole.{kind}"), place.read(f"whole_normal.{kind}")
    place.put(source, place.read(f"new.{kind}"))
    (place.folder / target).unlink(missing_ok=True)
    if (words := scoring(source, target)) not in place.usual:
        place.must_run(*words)
        (place.folder / target).unlink()
    run = place.start(*words)
    place.wait(*words)
    _CHANGES[what](place, place.folder / source, kind)
    _, said = run.communicate()
    done = subprocess.CompletedProcess([], run.returncode, b"", b"" if run.returncode == 0 else said)
    problems = two_lines(done, 0, 4)
    found = place.read(target)
    if (run.returncode == 0) != bool(found):
        problems.append("an output without success, or the reverse")
    # the cut may end a word of the last row, which is a row all the same
    is_cut = what == "shrinks" and whole.startswith(b"\n".join(found.splitlines()[:-1]))
    if found and not (found in (whole, other) or is_cut):
        problems.append(f"{found.count(10)} lines that are those of neither table")
    rows = "" if run.returncode else ", the new table" if found == other else ", the table as found"
    line.add(f"exit code {run.returncode}{rows}", [*problems, *place.left()])


def _replaced(place: Place, source: Path, kind: str) -> None:
    other = place.put(f"next.{kind}", place.read(f"normal.{kind}"))
    os.replace(other, source)


def _grown(place: Place, source: Path, _: str) -> None:
    with source.open("ab") as file:
        file.write(_GROWTH * (1 + place.chance.randrange(3)))


_CHANGES: dict[str, Callable[[Place, Path, str], object]] = {
    "grows": _grown,
    "shrinks": lambda place, path, _: os.truncate(path, 2_000 + place.chance.randrange(8_000)),
    "is replaced": _replaced,
    "disappears": lambda _, path, __: path.unlink(),
}


def input_rights_lost(place: Place, line: Line) -> None:
    """The right to read an input goes while it is read."""
    _lose(place, line, "moving.csv", 0)


def output_rights_lost(place: Place, line: Line) -> None:
    """The right to write the folder of the output goes while its rows are computed."""
    _lose(place, line, "kept", 0o500)


def _lose(place: Place, line: Line, what: str, mode: int) -> None:
    program = without_rights()
    if program is None:
        return
    place.put("moving.csv", place.read("new.csv"))
    (place.folder / "kept").mkdir(exist_ok=True)
    place.put("kept/out.csv")
    words = scoring("moving.csv", "kept/out.csv")
    if words not in place.usual:
        place.must_run(*words)
        place.put("kept/out.csv")
    run = place.start(*words, program=program)
    place.wait(*words)
    os.chmod(place.folder / what, mode)
    _, said = run.communicate()
    os.chmod(place.folder / what, 0o755)
    done = subprocess.CompletedProcess([], run.returncode, b"", b"" if run.returncode == 0 else said)
    problems = two_lines(done, 0, 4 if what == "moving.csv" else 7)
    expected = place.read("whole.csv") if run.returncode == 0 else EARLIER
    if place.read("kept/out.csv") != expected:
        problems.append("the output is neither the earlier nor the new one")
    again = place.run(*words)  # also removes what could not be removed without the right
    problems += two_lines(again, 0) if again.returncode else []
    line.add(f"exit code {run.returncode}", [*problems, *place.left()])


def no_permission(place: Place, line: Line) -> None:
    """A folder that may not be written, an input that may not be read, a bundle that may not be read."""
    program = without_rights()
    if program is None:
        return
    (place.folder / "closed").mkdir(mode=0o500, exist_ok=True)
    os.chmod(place.put("secret.csv", place.read("new.csv")), 0)
    os.chmod(place.put("secret.vae", place.read("model.vae")), 0)
    place.put("out.csv")
    ways: tuple[tuple[int, Sequence[object]], ...] = (
        (7, scoring("new.csv", "closed/out.csv")),
        (4, scoring("secret.csv", "out.csv")),
        (5, ("score", "new.csv", "-m", "secret.vae", "-o", "out.csv", "-q")),
    )
    code, words = ways[line.tried % len(ways)]
    done = place.run(*words, program=program)
    problems = two_lines(done, code)
    if place.read("out.csv") != EARLIER or list((place.folder / "closed").iterdir()):
        problems.append("something was written")
    line.add(f"exit code {done.returncode}", [*problems, *place.left()])


# ------------------------------------------------------------------------------------ disks


def small_disk(place: Place, line: Line, what: str) -> None:
    """A disk that is too small for the output."""
    words = {
        "csv": (*scoring("new.csv", "disk/out"), "--manifest"),
        "parquet": scoring("new.parquet", "disk/out.parquet"),
        "bundle": ("fit", "normal.csv", "-o", "disk/out", *FIT),
        "parts": ("score", "parts", "-m", "model.vae", "-o", "disk/out/", "-q"),
    }[what]
    kilobytes = {"csv": 300, "parquet": 120, "bundle": 100, "parts": 60}[what]
    with mounted(place, f"size={kilobytes}k") as disk:
        if disk is None:
            return
        target = disk / ("out.parquet" if what == "parquet" else "out")
        if what != "parts":
            target.write_bytes(EARLIER)
        done = place.run(*words)
        problems = two_lines(done, 7)
        if what == "parts":
            names = {path.name: path.read_bytes() for path in target.glob("*.parquet")}
            problems += [
                f"a torn {name}" for name, found in names.items() if found != place.read(f"whole_parts/{name}")
            ]
            problems += ["a manifest"] if (target / "_manifest.json").exists() else []
            problems += [one.name for one in disk.rglob("*.part")]
        else:
            problems += [] if target.read_bytes() == EARLIER else ["the earlier output is gone"]
            problems += [one.name for one in disk.iterdir() if one != target]
        line.add(f"exit code {done.returncode}", problems)


def disk_that_fills(place: Place, line: Line) -> None:
    """A disk that another program fills at a random moment, with the output, the state, the page and the manifest."""
    with mounted(place, "size=6m") as disk:
        if disk is None:
            return
        more = ("--since-last-run", "disk/rows.state", "--metrics", "disk/pump.prom", "--manifest")
        words = scoring("new.csv", "disk/out.csv", *more)
        if words not in place.usual:
            place.must_run(*words)
            for path in disk.iterdir():
                path.unlink()
        (disk / "out.csv").write_bytes(EARLIER)
        run = place.start(*words)
        place.wait(*words, share=1.05)
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"0" * 2**14)
        _, said = run.communicate()
        problems = [] if run.returncode in (0, 7) else [f"exit code {run.returncode}: {said.decode()}"]
        problems += ["a traceback"] if b"Traceback" in said else []
        found = place.read("disk/out.csv")
        problems += [] if found in (EARLIER, place.read("whole.csv")) else ["torn output"]
        page = place.read("disk/pump.prom")
        problems += [] if not page or page.endswith(b"\n") else ["a page that is not whole"]
        (disk / "filler").unlink()
        has_state = (disk / "rows.state").exists()
        again = place.run(*words)
        problems += two_lines(again, 0) if again.returncode else []
        n_again = max(place.read("disk/out.csv").count(b"\n") - 1, 0)
        if n_again != (0 if has_state else N_ROWS):
            problems.append(f"the next run scored {n_again} rows")
        problems += [path.name for path in disk.iterdir() if path.name.endswith(".part")]
        line.add(f"exit code {run.returncode}, {'new' if found != EARLIER else 'earlier'} output", problems)


def read_only(place: Place, line: Line) -> None:
    """A target on a disk that is mounted read-only."""
    with mounted(place, "ro") as disk:
        if disk is None:
            return
        words = (scoring("new.csv", "disk/out.csv"), ("fit", "normal.csv", "-o", "disk/out.vae", *FIT))[line.tried % 2]
        done = place.run(*words)
        line.add(f"exit code {done.returncode}", [*two_lines(done, 7), *[one.name for one in disk.iterdir()]])


def other_device(place: Place, line: Line) -> None:
    """A target on another file system than the input, and a link to it."""
    with mounted(place, "size=20m") as disk:
        if disk is None:
            return
        link = place.folder / "link.csv"
        link.unlink(missing_ok=True)
        link.symlink_to("disk/out.csv")
        done = place.run(*scoring("new.csv", "link.csv"))
        is_whole = link.is_symlink() and link.read_bytes() == place.read("whole.csv")
        line.add(f"exit code {done.returncode}", [] if is_whole else [done.stderr.decode() or "not whole"])
        link.unlink()


# ------------------------------------------------------------------------------------ clocks and environment


def _wrong_clock(place: Place, seconds: float, until: float = LONGEST) -> dict[str, str]:
    """An environment whose Python reads a wrong clock, in its first `until` seconds."""
    shift = {"CLOCK_SHIFT": str(seconds), "CLOCK_UNTIL": str(until), "PYTHONPATH": str(place.folder / "clock")}
    return os.environ | shift


def clock_of_new_rows(place: Place, line: Line) -> None:
    """Runs with --since-last-run while the clock, and with it the times of files, goes back and forth."""
    rows = place.read("new.csv").decode().splitlines(keepends=True)
    log, words = place.folder / "clocked.csv", scoring("clocked.csv", "clocked_out.csv")
    for name in ("clocked.csv", "clocked.state"):
        (place.folder / name).unlink(missing_ok=True)
    log.write_text(f"id,{rows[0]}")
    n_rows, found, problems = 0, list[int](), list[str]()
    for _ in range(3):
        shift = place.chance.choice([-30, -_DAY, 0, 30, _DAY])
        with log.open("a") as file:
            file.writelines(f"{n_rows + j},{rows[1 + j]}" for j in range(20))
        n_rows += 20
        now = time.time() + shift
        os.utime(log, (now, now))
        environment = _wrong_clock(place, shift)
        done = place.run(*words, "--since-last-run", "clocked.state", env=environment)
        problems += two_lines(done, 0) if done.returncode else []
        found += pd.read_csv(place.folder / "clocked_out.csv")["id"].tolist()
    if found != list(range(n_rows)):
        problems.append(f"scored {len(found)} rows, {len(set(found))} of {n_rows}")
    line.add("every row once" if not problems else "not every row once", [*problems, *place.left()])


def clock_of_records(place: Place, line: Line) -> None:
    """A clock that is set back at a random moment of a run, or after it: metrics and manifest."""
    shift = place.chance.choice([30, _DAY, 400 * _DAY])
    words = scoring("normal.csv", "out.csv", "--metrics", "clock.prom", "--manifest")
    if words not in place.usual:
        place.must_run(*words)
    until = place.usual[words] * place.chance.choice([place.chance.random(), 1000])
    problems = []
    for environment in (_wrong_clock(place, shift, until), dict(os.environ)):
        done = place.run(*words, env=environment)
        problems += two_lines(done, 0) if done.returncode else []
        page = place.read("clock.prom").decode()
        values = {name: float(value) for name, value in re.findall(r"^(\w+)\{.*\} (\S+)$", page, re.MULTILINE)}
        manifest = json.loads(place.read("out.csv.manifest.json"))
        if not 0 <= values["vaecli_duration_seconds"] < LONGEST or not 0 <= manifest["seconds"] < LONGEST:
            problems.append("seconds that no run takes")
        if values["vaecli_end_timestamp_seconds"] < values["vaecli_start_timestamp_seconds"]:
            problems.append("metrics of a run that ends before it begins")
        if manifest["ended_utc"] < manifest["started_utc"]:
            problems.append("a manifest of a run that ends before it begins")
    line.add("after a run" if until > LONGEST / 10 else "during a run", [*problems, *place.left()])


def clock_of_checkpoint(place: Place, line: Line) -> None:
    """A fit that is killed shortly after its first checkpoint, and resumed with an earlier clock."""
    (place.folder / "out.vae").unlink(missing_ok=True)
    checkpoint = place.folder / "out.vae.checkpoint"
    run = place.start(*LONGER_FIT, env=_wrong_clock(place, _DAY))
    while run.poll() is None and not checkpoint.exists():
        time.sleep(0.001)
    time.sleep(place.chance.random() * _AFTER_CHECKPOINT)
    run.kill()
    run.communicate()
    resumes = checkpoint.exists()
    again = place.run(*LONGER_FIT, *(["--resume"] if resumes else []))
    same = place.read("out.vae") == place.read("longer.vae")
    problems = [*two_lines(again, 0), *([] if same else ["other bytes"])]
    line.add("resumed" if resumes else "ended before the kill", [*problems, *place.left()])


def bare_environment(place: Place, line: Line) -> None:
    """No HOME, no PATH, closed standard streams; or a HOME that is not there."""
    # these choose the kernels of BLAS, whose sums are rounded otherwise
    kept = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    kept |= {"HOME": "/nowhere"} if line.tried % 2 else {}
    words, target, whole = (
        (scoring("new.csv", "out.csv"), "out.csv", place.read("whole.csv")),
        (("fit", "normal.csv", "-o", "out.vae", *FIT), "out.vae", place.read("model.vae")),
    )[line.tried // 2 % 2]
    (place.folder / target).unlink(missing_ok=True)
    command = " ".join(map(str, [*PROGRAM, *words, "<&-", "2>&-", ">&-"]))
    code = subprocess.run(["/bin/sh", "-c", command], cwd=place.folder, env=kept, check=False).returncode
    is_whole = place.read(target) == whole
    line.add(f"exit code {code}", [*([] if code == 0 and is_whole else ["not whole"]), *place.left()])


# ------------------------------------------------------------------------------------ many runs


def many(place: Place, line: Line, n: int, verb: str, *, locked: bool) -> None:
    """Many runs at once with one target."""
    words, target, whole = {
        "score": (scoring("new.csv", "out.csv", "--workers", "1"), "out.csv", place.read("whole.csv")),
        "fit": (("fit", "normal.csv", "-o", "out.vae", *FIT), "out.vae", place.read("model.vae")),
    }[verb]
    place.put(target)
    more = ("--lock", "run.lock", *(["--metrics", "many.prom"] if verb == "score" else [])) if locked else ()
    runs = [place.start(*words, *more) for _ in range(n)]
    codes, problems = [], list[str]()
    for run in runs:
        _, said = run.communicate()
        codes.append(run.returncode)
        done = subprocess.CompletedProcess([], run.returncode, b"", b"" if run.returncode == 0 else said)
        problems += two_lines(done, *((0, 7) if locked else (0,)))
    if place.read(target) != whole or (verb == "fit" and not is_whole_bundle(place.read(target))):
        problems.append("torn output")
    if 0 not in codes:
        problems.append("no run was done")
    if locked and verb == "score" and b"vaecli_running" not in place.read("many.prom"):
        problems.append("no metrics")
    line.add(f"{codes.count(0)} done, {codes.count(7)} skipped", [*problems, *place.left()])
