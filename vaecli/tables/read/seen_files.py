"""What runs have read of files, and the file that keeps it: columns in JSON, which read and write fast."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vaecli.errors import BundleError
from vaecli.runtime.atomic_file import replacing

_FORMAT = 2
_OF_ROWS = 1  # an object per file, as it was written once
_HINT = "name another file with --since-last-run; or, if it was a state, remove it, and the next run reads all rows"
_UNREAD = "check its rights, or name another file with --since-last-run"
# a file that was written to so shortly before may have been written to once more within one tick of its clock
_TICK_NS = 2 * 10**9


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What was read of a file: whole lines up to `offset`, and `taken` bytes of a last line without an end.

    `line` is the number of the line, from 1, that begins at `offset`; 0 for a file that is read as a whole, as Parquet
    and compressed text are. `digest` is that of all bytes read; `device`, `inode`, `size` and `changed_ns` are of the
    file as it was found at `found_ns`. `rows` is how many rows it had when it was new, -1 where that is not known.
    """

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int
    found_ns: int
    offset: int
    taken: int
    line: int
    digest: str
    rows: int = -1

    @property
    def n_bytes(self) -> int:
        """How many bytes were read, from the start of the file."""
        return self.offset + self.taken

    @property
    def is_settled(self) -> bool:
        """Whether the file was last written well before it was found, so that its status shows any later change."""
        return is_settled(self.changed_ns, self.found_ns)


Status = tuple[int, int, int, int]  # device, inode, size, time of change


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that a run could not read: its status then, the digest of the bundle it did not fit, and the reason.

    `is_passing`: it is read again although nothing has changed. Without an `error` it had no whole line as yet. `line`
    and `row` are 0, `column` is empty where the problem has none.
    """

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int
    model: str
    is_passing: int
    error: str
    hint: str
    line: int
    row: int
    column: str

    @property
    def status(self) -> Status:
        """The status of the file when it was found."""
        return self.device, self.inode, self.size, self.changed_ns


_NAMES = [one.name for one in fields(SeenFile)]
_LATER = {"rows": -1}  # values of columns that earlier versions did not write
_TYPES = {one.name: str if one.type == "str" else int for kind in (SeenFile, RefusedFile) for one in fields(kind)}
_OF_REFUSED = [one.name for one in fields(RefusedFile)]


@dataclass(frozen=True, slots=True)
class SeenFiles:
    """Many of them, a list per field; a folder of a month of minute files has 43,200."""

    columns: Mapping[str, list[Any]]
    refused: tuple[RefusedFile, ...] = ()

    def __len__(self) -> int:
        return len(self.columns["path"])

    def __getitem__(self, i: int) -> SeenFile:
        return SeenFile(*(column[i] for column in self.columns.values()))

    def statuses(self) -> list[Status | None]:
        """Return the status that each file has if nothing is new in it; None where its content has to be read."""
        columns = (self.columns[name] for name in _NAMES[1:8])
        return [
            (device, inode, size, changed_ns) if found_ns - changed_ns > _TICK_NS and size == offset + taken else None
            for device, inode, size, changed_ns, found_ns, offset, taken in zip(*columns, strict=True)
        ]

    def changed(
        self,
        at: Mapping[int, SeenFile],
        without: Iterable[int],
        new: Iterable[SeenFile],
        refused: tuple[RefusedFile, ...] = (),
    ) -> SeenFiles:
        """These with other values `at` some places, some left out, `new` ones after them, and other `refused` ones."""
        left_out = set(without)
        kept = [i for i in range(len(self)) if i not in left_out] if left_out else None
        columns = {}
        for name, values in self.columns.items():
            column = values.copy()
            for i, seen in at.items():
                column[i] = getattr(seen, name)
            column = column if kept is None else [column[i] for i in kept]
            columns[name] = [*column, *(getattr(seen, name) for seen in new)]
        return SeenFiles(columns, refused)

    @classmethod
    def load(cls, path: Path) -> SeenFiles:
        """What the file at `path` holds; nothing where there is no file. Raises BundleError for any other content."""
        try:
            content = json.loads(path.read_bytes())
            if content["format"] not in (_OF_ROWS, _FORMAT):
                raise BundleError(f"{path}: written by a newer vaecli (format {content['format']})", _HINT)
            files = content["files"]
            if content["format"] == _OF_ROWS:
                files = {name: [one[name] for one in files] for name in _NAMES if name not in _LATER}
            earlier = {name: [value] * len(files["path"]) for name, value in _LATER.items() if name not in files}
            columns = _checked(files | earlier, _NAMES)
            refused = _checked(content.get("refused") or {one.name: [] for one in fields(RefusedFile)}, _OF_REFUSED)
            return cls(columns, tuple(RefusedFile(*values) for values in zip(*refused.values(), strict=True)))
        except FileNotFoundError:
            return cls({name: [] for name in _NAMES})
        except OSError as problem:
            raise BundleError(f"{path}: cannot be read: {problem.strerror or problem}", _UNREAD) from None
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise BundleError(f"{path}: is not a state of --since-last-run, or is damaged ({problem})", _HINT) from None

    def save(self, path: Path) -> None:
        """Write the file at `path`, whole or not at all. Raises UsageError or EnvironmentProblem."""
        with replacing(path, is_output=False) as stream:
            content: dict[str, Any] = {"format": _FORMAT, "files": self.columns}
            if self.refused:
                content["refused"] = {name: [getattr(one, name) for one in self.refused] for name in _OF_REFUSED}
            stream.write((json.dumps(content) + "\n").encode())


def _checked(columns: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of these names. Raises ValueError where they are not lists of one length and of their types."""
    for name in names:
        column = columns[name]
        is_list = type(column) is list and len(column) == len(columns["path"])
        if not is_list or not set(map(type, column)) <= {_TYPES[name]}:
            raise ValueError(f"{name!r} holds something else")
    return {name: columns[name] for name in names}


def is_settled(changed_ns: int, found_ns: int) -> bool:
    """Whether a file was last written well before it was found, so that its status shows any later change."""
    return found_ns - changed_ns > _TICK_NS


def real_path(path: str, folders: dict[str, str], *, is_link: bool) -> str:
    """The path of a file without symbolic links; `folders` are those of folders that were found before."""
    if is_link:
        return os.path.realpath(path)
    at = path.rfind("/") + 1
    folder = path[:at]
    if folder not in folders:
        folders[folder] = os.path.join(os.path.realpath(folder or "."), "")
    return folders[folder] + path[at:]
