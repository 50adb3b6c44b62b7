"""The files that inputs name, with one look at each: what a job needs over folders of files of which few are new."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from vaecli.errors import UsageError
from vaecli.runtime.urls import is_url, shown, without_file_scheme
from vaecli.tables.read.locations import (
    STANDARD_INPUT,
    LocalFile,
    matches,
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


def find_files(inputs: Sequence[str]) -> list[FoundFile]:
    """The files that `inputs` name, as `find_locations` finds them, in its order.

    What is listed and gone by the time of the look is left out. Raises UnreadableFile, and UsageError for
    what is not a file of this machine.
    """
    require_inputs(inputs)
    found: list[FoundFile] = []
    for text in inputs:
        if text == "-" or is_url(text):
            raise _not_a_file(STANDARD_INPUT if text == "-" else shown(text))
        path = without_file_scheme(text)
        is_pattern = glob.has_magic(path) and not os.path.lexists(path)
        n_before = len(found)
        try:
            found += _listed(matches(path)) if is_pattern else _files_at(path)
        except OSError as problem:
            raise unreadable(str(problem.filename or text), problem) from None
        if len(found) == n_before:
            raise no_match(text)
    return found


def _files_at(path: str) -> Sequence[FoundFile]:
    """The file at `path`, or the Parquet files below it. Raises OSError."""
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        return (FoundFile(path, status, os.path.islink(path)),)
    if stat.S_ISDIR(status.st_mode):
        return _listed(parquet_below(path))
    raise _not_a_file(path)


def _listed(names: Sequence[str]) -> list[FoundFile]:
    """The files of a list, without those that were removed since it was made. Raises OSError."""
    found: list[FoundFile] = []
    for name in names:
        try:
            status = os.lstat(name)
            if stat.S_ISREG(status.st_mode):
                found.append(FoundFile(name, status, is_link=False))
            else:
                found += _files_at(name)
        except FileNotFoundError:
            if os.path.islink(name):  # to nowhere
                raise
    return found


def _not_a_file(name: str) -> UsageError:
    return UsageError(
        f"--since-last-run reads files, not streams or URLs: {name}",
        "give files of this machine, a folder or a pattern",
    )
