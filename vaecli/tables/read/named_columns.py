"""What all sources share: columns that are requested by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vaecli.errors import InputError, listed, quoted


def requested_columns(names: Sequence[str], columns: Sequence[str] | None, source: str) -> list[str]:
    """The columns to read; None means all of `names`. Raises InputError listing those that the table does not have."""
    if columns is None:
        return list(names)
    known = set(names)
    missing = [column for column in columns if column not in known]
    if missing:
        raise InputError(
            f"{source}: missing columns {', '.join(map(quoted, missing))}", f"it has {', '.join(map(quoted, names))}"
        )
    return list(columns)


def reject_repeated_names(names: Sequence[str], source: str) -> None:
    """Raise InputError listing names that several columns share, and columns without a name."""
    if len(set(names)) == len(names) and all(names):
        return
    problems = [f"{quoted(name)} is given {n} times" for name, n in Counter(names).items() if n > 1]
    problems += [f"column {i + 1} has no name" for i, name in enumerate(names) if not name]
    if problems:
        raise InputError(
            f"{source}: column names are not usable:\n{listed(problems)}", "give every column its own name"
        )
