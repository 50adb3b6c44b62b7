"""Every problem a user can meet: one sentence, one hint, one exit code.

VaecliError
├── UsageError              2   the options contradict each other or make no sense
├── GateMet                 3   --fail-on or another gate; the output is complete
│   └── DriftFound          6   `check` found drift beyond a limit; the output is complete
├── InputError              4   a table is unreadable, malformed or does not match the schema
│   ├── UnreadableFile          it is not there, may not be read, or is not a table
│   ├── MalformedText           a line of delimited text is not a row of the table
│   ├── SchemaMismatch          columns of the model are missing, or have another type
│   ├── UnreadableCell          a cell does not hold what its column holds
│   └── FilesLeftOut            some files of several; the output is complete for the others
├── BundleError             5   a bundle is missing, damaged, foreign or of a newer format
└── EnvironmentProblem      7   the device, the lock or an optional package asked for is not there
    ├── MissingPackage          an optional package is not installed
    ├── MissingDevice           there is no such device
    ├── LockHeld                another run holds the lock
    └── RankLost                another process of torchrun has ended

Catch the kind that you can handle:

    try:
        scored = model.score(table)
    except SchemaMismatch as problem:
        print(problem.path, problem.column)

Any other exception that escapes is a bug in vaecli (exit code 1). Errors are translated into two
lines, `error:` and `hint:`, in one place: `vaecli.render`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MAX_LISTED = 10
MAX_QUOTED = 80  # characters of a cell or a name that a message shows
MAX_LINE = 2_000  # characters of one line of a message, which may hold a path


class VaecliError(Exception):
    """A problem the user can act on; `str` of it is the message, and the hint on a line of its own.

    `message` may hold several lines; `hint` names what to try and may be empty. Where they are known, the other
    attributes locate the problem, or the first of several: `path` is the file as it was named (`frame` for a table in
    memory), `line` its line in a text file, `row` its row in the whole table without the header, both counted from 1,
    and `column` the name of its column.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        path: str | None = None,
        line: int | None = None,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.message = harmless(message)
        self.hint = harmless(hint)
        super().__init__(self.message)
        self.path = path
        self.line = line
        self.row = row
        self.column = column

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(VaecliError):
    """Options contradict each other, or a value is out of range."""

    exit_code = 2


class GateMet(VaecliError):
    """`--fail-on` (or another gate) was met. It is raised after the output is complete."""

    exit_code = 3


class DriftFound(GateMet):
    """`check` found a table that is further from training than a limit. It is raised after the output is complete."""

    exit_code = 6


class InputError(VaecliError):
    """A table cannot be read, or its columns or values do not fit the schema."""

    exit_code = 4


class UnreadableFile(InputError):
    """A file is not there, may not be read, or is not a table."""


class MalformedText(InputError):
    """A line of delimited text is not a row of the table."""


class SchemaMismatch(InputError):
    """Columns that the model was trained on are missing, or have another type."""


class UnreadableCell(InputError):
    """A cell does not hold what its column holds: a word among numbers, an impossible date, an unclear label."""


class FilesLeftOut(InputError):
    """Some files of several cannot be read or do not fit. It is raised after the output of the others is complete."""


class BundleError(VaecliError):
    """A bundle is missing, damaged, not a bundle, or written by a newer vaecli."""

    exit_code = 5


class EnvironmentProblem(VaecliError):
    """What was asked for cannot be had on this machine: a device, a lock, an optional package."""

    exit_code = 7


class MissingPackage(EnvironmentProblem):
    """An optional package is not installed."""


class MissingDevice(EnvironmentProblem):
    """The device that was asked for is not there."""


class LockHeld(EnvironmentProblem):
    """Another run holds the lock; its `exit_code` is 0 where such a run is to be skipped."""


class RankLost(EnvironmentProblem):
    """Another process of torchrun has ended before the fit was done."""


_NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "allocate memory",
    "failed to map segment",
)
_NO_THREADS = ("start new thread", "launch worker thread")
_UNSPECIFIC = ("OSError", "RuntimeError", "ImportError", "OutOfMemoryError", "ArrowException")  # torch, pyarrow


def shortage(problem: BaseException) -> EnvironmentProblem | None:
    """What the machine is short of, where that is why `problem` was raised: memory, threads, disk space, open files."""
    reason = str(problem).partition("\n")[0]
    match problem:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            is_memory = True
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            where = f"{problem.filename}: " if problem.filename else ""
            return EnvironmentProblem(f"{where}no space left to write", "free some space, or write elsewhere with -o")
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return EnvironmentProblem("too many open files", "raise the limit (`ulimit -n`), or give fewer files")
        case BlockingIOError(errno=errno.EAGAIN, filename=None):  # of a fork
            return _no_threads(reason)
        case Exception() if type(problem).__name__ in _UNSPECIFIC:  # libraries that have no type of error for it
            if any(words in reason for words in _NO_THREADS):
                return _no_threads(reason)
            is_memory = any(words in reason.lower() for words in _NO_MEMORY)
        case _:
            is_memory = False
    if not is_memory:
        return None
    message = f"too little free memory: {quoted(reason, 200, marks=False)}" if reason else "too little free memory"
    return EnvironmentProblem(message, "try a smaller --batch-rows (score) or --preset fast (fit)")


def _no_threads(reason: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"no more threads or processes can be started: {quoted(reason, 200, marks=False)}",
        "raise the limit on them (`ulimit -u`, that of the container) or on memory (`ulimit -v`), or try --workers 1",
    )


@contextmanager
def located(path: str) -> Iterator[None]:
    """Give errors that are raised inside, and name no file yet, `path`."""
    try:
        yield
    except VaecliError as problem:
        problem.path = problem.path or path
        raise


def listed(items: Sequence[str]) -> str:
    """Join the first ten items, one per line, and count the rest."""
    shown = "\n".join(f"  {item}" for item in items[:MAX_LISTED])
    more = len(items) - MAX_LISTED
    return shown if more <= 0 else f"{shown}\n  … and {more:,} more"


def counted_files(n: int, n_files: int) -> str:
    """How many of the files are meant, with the verb: `2 of 12 files are`."""
    if n == n_files == 1:
        return "the only file is"
    return f"{n:,} of {n_files:,} files {'is' if n == 1 else 'are'}"


def quoted(value: object, most: int = MAX_QUOTED, *, marks: bool = True) -> str:
    """A cell or a name of the user's as messages and summaries show it: on one line, and at most `most` characters.

    No cell can look like a message of its own or steer a terminal. A longer text is cut and ends in `…`. Text has
    quotation marks around it, without `marks` none.
    """
    short = cut(value if isinstance(value, str) else repr(value), most)
    return repr(short) if marks and isinstance(value, str) else escaped(short)


def cut(text: str, most: int = MAX_QUOTED) -> str:
    """The text, which ends in `…` where it was longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escaped(text: str) -> str:
    """The text with line ends, control characters and all that could steer a terminal as escapes, `\\x1b` for one."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def harmless(message: str) -> str:
    """The message, whose lines after the first are items of a list and indented: no other line is one of ours."""
    lines = re.split(r"\n(?=  )", message)
    return "\n".join(line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…" for line in map(escaped, lines))


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """` (did you mean 'x'?)` with the most similar of `names`; an empty text when none is similar."""
    from difflib import get_close_matches  # not at start-up: only a mistyped name needs it

    by_lower = {other.strip().lower(): other for other in reversed(names)}
    close = get_close_matches(name.strip().lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {quoted(by_lower[close[0]])}?)" if close else ""
