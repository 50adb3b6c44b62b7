"""Where faults are met: a folder of small tables, what undisturbed runs give, and real processes in it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

PROGRAM = [sys.executable, "-m", "vaecli"]
N_ROWS, N_NORMAL, N_PARTS = 10_000, 400, 4
EARLIER = b"an earlier output\n"
LONGEST = 600  # seconds of one run
FIT = ("--preset", "fast", "--max-epochs", "2", "-q")
# a Python that finds this in its path has a clock that is wrong by CLOCK_SHIFT seconds until CLOCK_UNTIL seconds passed
CLOCK = """
import os, time
shift, until = float(os.environ["CLOCK_SHIFT"]), time.monotonic() + float(os.environ["CLOCK_UNTIL"])
now_ns = time.time_ns
def wrong_ns():
    return now_ns() + (int(shift * 1e9) if time.monotonic() < until else 0)
time.time_ns, time.time = wrong_ns, lambda: wrong_ns() / 1e9
"""
# vaecli whose fits save their progress twenty times a second rather than every ten seconds
OFTEN = """
from vaecli.training import schedule
schedule.SECONDS_BETWEEN_CHECKPOINTS = 0.05
from vaecli.cli.app import run
run()
"""
LONGER_FIT = ("fit", "normal.csv", "-o", "out.vae", "--preset", "fast", "--max-epochs", "60", "-q")


@dataclass
class Line:
    """A fault, how often it was met, and what it left; `broken` are the promises that did not hold."""

    fault: str
    promise: str
    wanted: int
    tried: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def add(self, outcome: str, problems: Sequence[str] = ()) -> None:
        """Count one trial."""
        self.tried += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.broken += [re.sub(r"/[\w./+-]+/", "…/", problem)[-500:] for problem in problems]


@dataclass
class Place:
    """The folder with the tables and the bundle, how long runs take, and the chance of a trial."""

    folder: Path
    chance: random.Random = field(default_factory=random.Random)
    usual: dict[tuple[object, ...], float] = field(default_factory=dict)

    def run(self, *words: object, program: Sequence[str] = (), **named: object) -> subprocess.CompletedProcess[bytes]:
        """Run vaecli to its end, after a `program` that starts it."""
        command = [*program, *_program(words), *map(str, words)]
        settings = {"cwd": self.folder, "capture_output": True, "timeout": LONGEST} | named
        started = time.monotonic()
        done = subprocess.run(command, check=False, **settings)  # type: ignore[call-overload]
        if done.returncode == 0:
            self.usual[words] = time.monotonic() - started
        return done

    def start(self, *words: object, program: Sequence[str] = (), **named: object) -> subprocess.Popen[bytes]:
        """Start vaecli."""
        command = [*program, *_program(words), *map(str, words)]
        settings = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | named
        return subprocess.Popen(command, **settings)  # type: ignore[call-overload]

    def must_run(self, *words: object) -> None:
        """Run vaecli. Raises RuntimeError if it fails."""
        done = self.run(*words)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def wait(self, *words: object, share: float = 1.0) -> None:
        """Sleep until a random moment of the time that a run of these words usually takes."""
        if words not in self.usual:
            self.must_run(*words)
        time.sleep(self.chance.random() * share * self.usual[words])

    def killed_within(self, *words: object) -> bool:
        """Kill a run at a random moment, or shortly after its end; whether it was still alive."""
        if words not in self.usual:
            self.must_run(*words)
        run = self.start(*words)
        self.wait(*words, share=1.1)
        is_alive = run.poll() is None
        run.kill()
        run.communicate()
        return is_alive

    def read(self, name: str) -> bytes:
        """The bytes of a file of the folder, none where it is not there."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else b""

    def put(self, name: str, content: bytes = EARLIER) -> Path:
        """Write a file of the folder; one that is there keeps neither its content nor its rights."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    def left(self) -> list[str]:
        """Temporary files, checkpoints and folders of work that lie in the folder."""
        pattern = re.compile(r"vaecli-.*\.part$|\.checkpoint$|^_vaecli$")
        return [one.name for one in self.folder.rglob("*") if pattern.search(one.name)]


def _program(words: Sequence[object]) -> list[str]:
    return [sys.executable, "often.py"] if words[: len(LONGER_FIT)] == LONGER_FIT else PROGRAM


def prepare(place: Place) -> None:
    """Write tables, fit a bundle, and keep what undisturbed runs give."""
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    load = rng.normal(size=N_ROWS)
    columns = {f"c{j}": load * (j + 1) + rng.normal(size=N_ROWS) for j in range(3)}
    table = pd.DataFrame(columns | {"mode": rng.choice(["eco", "normal"], N_ROWS)})
    table.to_csv(place.folder / "new.csv", index=False)
    table.to_parquet(place.folder / "new.parquet", index=False)
    table[:N_NORMAL].to_csv(place.folder / "normal.csv", index=False)
    table[:N_NORMAL].to_parquet(place.folder / "normal.parquet", index=False)
    (place.folder / "parts").mkdir()
    for i in range(N_PARTS):
        table[i * N_NORMAL : (i + 1) * N_NORMAL].to_parquet(place.folder / f"parts/{i}.parquet", index=False)
    (place.folder / "clock").mkdir()
    (place.folder / "clock/sitecustomize.py").write_text(CLOCK)
    (place.folder / "often.py").write_text(OFTEN)
    place.must_run(*LONGER_FIT)
    (place.folder / "out.vae").rename(place.folder / "longer.vae")
    place.must_run("fit", "normal.csv", "-o", "model.vae", *FIT)
    for name in ("csv", "parquet"):
        place.must_run("score", f"new.{name}", "-m", "model.vae", "-o", f"whole.{name}", "-q")
        place.must_run("score", f"normal.{name}", "-m", "model.vae", "-o", f"whole_normal.{name}", "-q")
    place.must_run("score", "parts", "-m", "model.vae", "-o", "whole_parts/", "-q")


def scoring(name: str, output: object, *more: object) -> tuple[object, ...]:
    """The words that score a table of the folder."""
    return ("score", name, "-m", "model.vae", "-o", output, "-q", *more)


def is_whole_bundle(content: bytes) -> bool:
    """Whether bytes are a bundle whose parts have the digests that its manifest holds."""
    import hashlib
    import io

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            digests = json.loads(archive.read("manifest.json"))["digests"]
            return digests["arrays.safetensors"] == hashlib.sha256(archive.read("arrays.safetensors")).hexdigest()
    except (zipfile.BadZipFile, ValueError, KeyError):
        return False


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


def without_rights() -> tuple[str, ...] | None:
    """What starts a program that heeds permissions, as root does not; None where there is no such way."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        return None
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")


def two_lines(done: subprocess.CompletedProcess[bytes], *codes: int) -> list[str]:
    """What is wrong with the end of a run: it leaves with one of `codes`, after an error and a hint."""
    shown = done.stderr.decode(errors="replace")
    problems = [] if done.returncode in codes else [f"exit code {done.returncode}: {shown}"]
    if done.returncode and (not shown.startswith("error: ") or "\nhint: " not in shown or "Traceback" in shown):
        problems.append(f"not an error and a hint: {shown}")
    return problems


Trial = Callable[[Place, Line], None]
