"""Files that a run leaves out because they cannot be read or do not fit the model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaecli.errors import FilesLeftOut, InputError, counted_files, listed

MOST_CHARACTERS = 300  # of the reason of one file in a list
_AND_MORE = re.compile(r"… and ([\d,]+) more")  # the end of a list (`vaecli.errors.listed`)


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file of which no row is part of the run, and the error that it gives alone.

    `line`, `row` and `column` are the place of the problem, where it has one, as in `VaecliError`. `is_known`: an
    earlier run has named the file, which has not changed since.
    """

    path: str
    error: str
    hint: str
    line: int | None = None
    row: int | None = None
    column: str | None = None
    is_known: bool = False

    @classmethod
    def of(cls, path: str, problem: InputError) -> BadFile:
        """The file at `path`, which gave `problem`."""
        return cls(path, problem.message, problem.hint, problem.line, problem.row, problem.column)

    @property
    def reason(self) -> str:
        """The error on one line, which names the file."""
        first, *items = self.error.split("\n")
        if not first.startswith(self.path):
            first = f"{self.path}: {first}"
        text = f"{first} {items[0].strip().removeprefix(f'{self.path}, ')}" if items and first.endswith(":") else first
        if len(items) > 1:
            rest = _AND_MORE.fullmatch(items[-1].strip())
            n_more = len(items) - 1 if rest is None else len(items) - 2 + int(rest[1].replace(",", ""))
            text += f" (and {n_more:,} more)"
        return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def left_out_error(bad: tuple[BadFile, ...], n_files: int) -> FilesLeftOut:
    """The error that ends a run over `n_files` whose output is complete but for `bad` ones, at least one."""
    new = sum(not one.is_known for one in bad)
    known = "" if new == len(bad) else f", {len(bad) - new:,} of them as before" if new else ", as before"
    hint = f"{bad[0].hint}; " if len(bad) == 1 and bad[0].hint else ""
    return FilesLeftOut(
        f"{counted_files(len(bad), n_files)} left out{known}:\n{listed([one.reason for one in bad])}",
        f"{hint}{'the other files are done; ' if len(bad) < n_files else ''}a file that has changed is tried again",
        path=bad[0].path,
        line=bad[0].line,
        row=bad[0].row,
        column=bad[0].column,
    )
