"""The files that inputs name, with one look at each: what a job needs over folders of files of which few are new."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from vaecli.errors import UnreadableFile, UsageError
from vaecli.runtime.urls import is_url, shown, without_file_scheme
from vaecli.tables.read.locations import (
    STANDARD_INPUT,
    LocalFile,
    matching,
    no_match,
    parquet_below,
    require_inputs,
    state_in,
    unreadable,
)


class FoundFile(NamedTuple):
    """A regular file of which nothing but its status was read; `path` is as the user wrote it."""

    path: str
    status: os.stat_result
    is_link: bool

    @property
    def location(self) -> LocalFile:
        """The file, to be read."""
        return LocalFile(self.path, state_in(self.status))


def find_files(
    inputs: Sequence[str],
    option: str = "--since-last-run",
    *,
    may_be_none: bool = False,
    closed: list[str] | None = None,
) -> list[FoundFile]:
    """The files that `inputs` name, as `find_locations` finds them, in its order.

    What is listed and gone by the time of the look is left out. With `may_be_none` a folder without Parquet files is
    no error, and neither is a pattern without files if its folder is there. Folders that match the folder of a pattern
    and may not be listed are added to `closed`, where it is given. Raises UnreadableFile, and UsageError, which names
    `option`, for what is not a file of this machine.
    """
    require_inputs(inputs)
    found: list[FoundFile] = []
    for text in inputs:
        if text == "-" or is_url(text):
            raise _not_a_file(STANDARD_INPUT if text == "-" else shown(text), option)
        path = without_file_scheme(text)
        is_pattern = glob.has_magic(path) and not os.path.lexists(path)
        n_before = len(found)
        try:
            if is_pattern:
                paths = matching(path)
                if not paths:
                    _require_folder(path)
                if closed is not None:
                    closed += _closed_folders(path)
                found += _listed(paths, option, may_be_none=may_be_none)
            else:
                found += _files_at(path, option, may_be_none=may_be_none)
        except OSError as problem:
            raise unreadable(str(problem.filename or text), problem) from None
        if len(found) == n_before and not may_be_none:
            raise no_match(text)
    return found


def _require_folder(pattern: str) -> None:
    """Raise UnreadableFile or OSError where the folder of a pattern is not there or may not be listed."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    try:
        os.listdir(folder or ".")
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableFile(
            f"{pattern}: there is no folder {folder}", "check the path and the current directory", path=pattern
        ) from None


def _closed_folders(pattern: str) -> list[str]:
    """The folders that a pattern with wildcards in its folder would look into but may not."""
    folder = os.path.dirname(pattern)
    found = glob.glob(folder, recursive=True) if glob.has_magic(folder) else []
    return sorted(one for one in found if os.path.isdir(one) and not os.access(one, os.R_OK | os.X_OK))


def _files_at(path: str, option: str, *, may_be_none: bool = False) -> Sequence[FoundFile]:
    """The file at `path`, or the Parquet files below it. Raises OSError."""
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        return (FoundFile(path, status, os.path.islink(path)),)
    if stat.S_ISDIR(status.st_mode):
        return _listed(parquet_below(path, may_be_none=may_be_none), option, may_be_none=may_be_none)
    raise _not_a_file(path, option)


def _listed(names: Sequence[str], option: str, *, may_be_none: bool) -> list[FoundFile]:
    """The files of a list, without those that were removed since it was made. Raises OSError."""
    found: list[FoundFile] = []
    for name in names:
        try:
            status = os.lstat(name)
            if stat.S_ISREG(status.st_mode):
                found.append(FoundFile(name, status, is_link=False))
            else:
                found += _files_at(name, option, may_be_none=may_be_none)
        except FileNotFoundError:
            if os.path.islink(name):  # to nowhere
                raise
    return found


def _not_a_file(name: str, option: str) -> UsageError:
    return UsageError(
        f"{option} reads files, not streams or URLs: {name}",
        "give files of this machine, a folder or a pattern",
    )
