"""The files of a run that cannot be read or do not fit, and are left out where others can be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vaecli.errors import InputError, UnreadableFile, VaecliError, listed
from vaecli.results.bad_files import BadFile
from vaecli.runtime import inputs as opened_files
from vaecli.tables.read.locations import LocalFile, Location, unreadable

if TYPE_CHECKING:
    from vaecli.tables.read.found_files import FoundFile


@dataclass(slots=True)
class LeftOut:
    """What a run knows of bad files; it reads again without them as often as it finds more.

    `model` is the digest of the bundle, for which files are good or bad. `read_alone` reads a file by itself as the run
    reads it, `open_alone` only what names its columns; both raise InputError, and their second argument is the folder
    below which folders belong to the table.
    """

    option: str  # which asked for it, for messages
    model: str
    read_alone: Callable[[Location, str], None]
    open_alone: Callable[[Location, str], None]
    may_be_all: bool = False  # a run of which no file is left has no rows, and is no failure
    reads_first: bool = False  # every file by itself before the first row: rows go where they cannot be taken back
    bad: dict[str, BadFile] = field(default_factory=dict)  # by the name as it was found
    passing: set[str] = field(default_factory=set)  # those that may be good at the next run without a change
    has_old_columns: bool = False  # where nothing is new, the files of earlier runs do not fit the model
    n_files: int = 0
    locations: tuple[Location, ...] = ()  # that the run was to read when it was last opened
    root: str = ""

    @property
    def files(self) -> tuple[BadFile, ...]:
        """The files that are left out, for the summary."""
        return tuple(self.bad.values())

    def begin(self, n_files: int, root: str, closed: Sequence[str]) -> None:
        """Begin to read `n_files` with this `root`; `closed` are folders whose files cannot be listed."""
        self.n_files, self.root, self.locations = n_files + len(closed), root, ()
        for folder in closed:
            self.add(folder, unreadable(folder, PermissionError()), is_passing=True)

    def add(self, path: str, problem: VaecliError, *, is_passing: bool = False) -> None:
        """Leave the file at `path` out for `problem`; raises it where it is not one of the input."""
        if not isinstance(problem, InputError):
            raise problem
        self.bad[path] = BadFile.of(path, problem)
        opened_files.forget(path)
        if is_passing:
            self.passing.add(path)

    def readable(self, found: Sequence[FoundFile]) -> list[Location]:
        """The files found that can be opened and are not left out yet."""
        locations: list[Location] = []
        for one in found:
            if one.path in self.bad:
                continue
            try:
                locations.append(LocalFile.found(one.path))
            except VaecliError as problem:
                self.add(one.path, problem, is_passing=True)
        return self.good(locations, ())

    def good(self, locations: Sequence[Location], doubtful: Collection[str]) -> list[Location]:
        """Return the files that the run is to read.

        The `doubtful` ones, with `reads_first` all, are read alone before. Raises InputError where all are left out.
        """
        good = [one for one in locations if not (self.reads_first or one.name in doubtful) or self.is_good(one)]
        self._require_some(good)
        return good

    def is_good(self, location: Location, *, columns_only: bool = False) -> bool:
        """Whether a file can be read by itself, or its columns can; one that cannot is left out."""
        try:
            (self.open_alone if columns_only else self.read_alone)(location, self.root)
            location.require_unchanged()
        except InputError as problem:
            self.add(location.name, problem, is_passing=_is_passing(location, problem))
            return False
        return True

    def _require_some(self, locations: Sequence[Location]) -> None:
        """Raise the error of the only file, or one that lists all, where one is to be left and none is."""
        if locations or not self.bad or self.may_be_all:
            return
        bad, *others = self.bad.values()
        message = bad.error
        if others:
            reasons = [one.reason for one in (bad, *others)]
            message = f"none of {len(reasons):,} files can be read and fits the model:\n{listed(reasons)}"
        raise InputError(message, bad.hint, path=bad.path, line=bad.line, row=bad.row, column=bad.column)


def _is_passing(location: Location, problem: InputError) -> bool:
    """Whether the file may be good later although its content stays: its rights, its disk, or a writer at work."""
    if isinstance(problem, UnreadableFile):
        return True
    try:
        location.require_unchanged()
    except InputError:
        return True
    return False
