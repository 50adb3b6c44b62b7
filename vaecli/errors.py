"""Every problem a user can meet: one sentence, one hint, one exit code.

VaecliError
├── UsageError          2   the options contradict each other or make no sense
├── GateMet             3   --fail-on or another gate; the output is complete
├── InputError          4   a table is unreadable, malformed or does not match the schema
├── BundleError         5   a bundle is missing, damaged, foreign or of a newer format
└── EnvironmentProblem  7   the device, the lock or an optional package asked for is not there

Anything else that escapes is a bug in vaecli (exit code 1). Errors are translated into two
lines, `error:` and `hint:`, in one place: `vaecli.render`.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 10


class VaecliError(Exception):
    """A problem the user can act on. `message` may hold several lines; `hint` says what to try."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VaecliError):
    """Options that contradict each other, or a value out of range."""

    exit_code = 2


class GateMet(VaecliError):
    """`--fail-on` (or another gate) was met. Raised after the output is complete."""

    exit_code = 3


class InputError(VaecliError):
    """A table that cannot be read, or whose columns or values do not fit the schema."""

    exit_code = 4


class BundleError(VaecliError):
    """A bundle that is missing, damaged, not a bundle, or written by a newer vaecli."""

    exit_code = 5


class EnvironmentProblem(VaecliError):
    """What was asked for is not on this machine: a device, a lock, an optional package."""

    exit_code = 7


def listed(items: Sequence[str]) -> str:
    """The first ten items, one per line, and the number of the others."""
    shown = "\n".join(f"  {item}" for item in items[:MAX_LISTED])
    more = len(items) - MAX_LISTED
    return shown if more <= 0 else f"{shown}\n  … and {more:,} more"


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """` (did you mean 'x'?)` with the most similar of `names`; an empty text when none is similar."""
    from difflib import get_close_matches  # not at start-up: only a mistyped name needs it

    by_lower = {other.strip().lower(): other for other in reversed(names)}
    close = get_close_matches(name.strip().lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""
