"""A folder of parts that one or more processes fill: a lock per part, a record of each finished one, a manifest.

    scored/day=1/a.parquet          a part, written whole or not at all
    scored/_manifest.json           what all parts are and were made of; written last, so its absence means "not whole"
    scored/_vaecli/                 only while the folder is filled, or after a run was stopped
    ├── run.json                    by which run: the digest of everything that the parts depend on
    ├── previous.json               the manifest of an earlier run that `--resume` goes on from
    └── parts/day=1/a.parquet.json  the lock of a part, which holds its record once it is finished

Locks (flock) end with the process that holds them, so nothing has to be cleaned up after one that was killed. Readers
of Parquet folders (Spark, DuckDB, pyarrow, this package) skip names that begin with an underscore.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from vaecli.errors import EnvironmentProblem, UsageError, listed
from vaecli.runtime.atomic_file import translated, write_bytes

MANIFEST = "_manifest.json"
_WORK = "_vaecli"

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """One part, which this process alone may write until the claim ends."""

    file: IO[bytes]
    known: Record | None  # what an earlier run, or another process of this one, recorded of the part

    def record(self, values: Mapping[str, Any]) -> None:
        """Keep what is known of the finished part. One that was cut off while it was written counts as none."""
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps(values).encode())
        self.file.flush()


@dataclass(frozen=True, slots=True)
class PartsFolder:
    """A folder that this process fills, possibly beside others with the same `run`."""

    path: str
    run: str
    previous: Mapping[str, Record]  # the records of an earlier whole run, by part

    def target(self, part: str) -> str:
        """The path of a part; the folders on the way to it are made. Raises EnvironmentProblem."""
        path = os.path.join(self.path, part)
        with translated(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    @contextmanager
    def claimed(self, part: str) -> Iterator[Claim | None]:
        """The right to write a part, or None while another process has it. Raises EnvironmentProblem."""
        path = self._record_path(part)
        with translated(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = open(path, "a+b")  # noqa: SIM115 - closed below, which gives up the lock
        with file:
            if not _try_to_lock(file, fcntl.LOCK_EX):
                yield None
                return
            file.seek(0)
            yield Claim(file, _record(file.read()) or self.previous.get(part))

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which makes the folder whole. Raises EnvironmentProblem."""
        content = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
        write_bytes(os.path.join(self.path, MANIFEST), content)

    def _record_path(self, part: str) -> str:
        return os.path.join(self.path, _WORK, "parts", f"{part}.json")


@contextmanager
def opened_folder(path: str, run: str, parts: Collection[str], *, resume: bool) -> Iterator[PartsFolder]:
    """Make the folder at `path`, or join the processes that fill it, to write `parts` (paths within it).

    `run` is a digest of everything that all parts depend on. Without `resume` nothing of an earlier run is used, unless
    another process is at work on the same one. Raises UsageError for a folder that cannot be made or holds other files,
    which a reader of the folder would take for parts, and EnvironmentProblem where another run is filling it.
    """
    with translated(path):
        if os.path.exists(path) and not os.path.isdir(path):
            raise UsageError(f"{path}: is a file, not a folder", "name another folder: -o FOLDER/")
        with suppress(FileExistsError):
            os.mkdir(path)
        _reject_other_files(path, parts)
        with _starting(path) as work:
            members = open(os.path.join(work, "run.json"), "a+b")  # noqa: SIM115 - closed below
            if _try_to_lock(members, fcntl.LOCK_EX):
                _begin(path, work, members, run, resume)
            else:
                members.seek(0)
                if (_record(members.read()) or {}).get("run") != run:
                    members.close()
                    raise EnvironmentProblem(
                        f"{path}: another run, with another bundle or other settings, is filling this folder",
                        "wait until it has ended, or name another folder: -o FOLDER/",
                    )
            fcntl.flock(members, fcntl.LOCK_SH)
        previous = _parts_of(os.path.join(work, "previous.json"))
    with members:
        yield PartsFolder(path, run, previous)
        with translated(path), _starting(path) as work:
            if _try_to_lock(members, fcntl.LOCK_EX):  # the last one
                _remove(work)


def file_digest(path: str) -> str:
    """The SHA-256 of a file, empty where there is none. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _begin(path: str, work: str, members: IO[bytes], run: str, resume: bool) -> None:
    """Start a run that is alone in the folder: what earlier ones left is kept to resume from, or dropped."""
    manifest, previous = os.path.join(path, MANIFEST), os.path.join(work, "previous.json")
    if resume:
        with suppress(FileNotFoundError):
            os.replace(manifest, previous)
    else:
        shutil.rmtree(os.path.join(work, "parts"), ignore_errors=True)
        for name in (manifest, previous):
            with suppress(FileNotFoundError):
                os.unlink(name)
    members.truncate(0)
    members.write(json.dumps({"run": run}).encode())
    members.flush()


@contextmanager
def _starting(path: str) -> Iterator[str]:
    """Hold off other processes that begin or end a run in this folder; yields the folder of locks and records."""
    work = os.path.join(path, _WORK)
    name = os.path.join(work, "start.lock")
    while True:
        os.makedirs(work, exist_ok=True)
        try:
            file = open(name, "wb")  # noqa: SIM115 - closed below, which gives up the lock
        except FileNotFoundError:  # the last process of a run has just removed the folder
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(name), os.fstat(file.fileno())):
                    yield work
                    return


def _remove(work: str) -> None:
    """Remove the folder of locks and records; what others wait for goes last, so that they find all of it gone."""
    shutil.rmtree(os.path.join(work, "parts"), ignore_errors=True)
    for name in ("previous.json", "run.json", "start.lock"):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(work, name))
    with suppress(OSError):  # another run may have begun
        os.rmdir(work)


def _reject_other_files(path: str, parts: Collection[str]) -> None:
    known, others = set(parts), []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        visible = (os.path.join(folder, name) for name in names if not name.startswith((".", "_")))
        others += [name for file in visible if (name := os.path.relpath(file, path)) not in known]
    if others:
        raise UsageError(
            f"{path}: holds files that are not parts of this output, and would be read with it:\n"
            f"{listed(sorted(others))}",
            "name a new folder, or move them away",
        )


def _parts_of(manifest: str) -> dict[str, Record]:
    """The records in the manifest of an earlier run, by part; none where there is no manifest, or not one of ours."""
    try:
        with open(manifest, "rb") as file:
            values = _record(file.read()) or {}
        return {record["output"]: {**record, "run": values["run"]} for record in values["inputs"]}
    except (FileNotFoundError, KeyError, TypeError):
        return {}


def _record(text: bytes) -> Record | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _try_to_lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
