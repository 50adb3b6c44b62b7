"""Warnings about files as a whole: unusually few or many rows, and the same bytes under two names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.errors import MAX_LISTED
from vaecli.results.number_format import counted
from vaecli.tables import Source

if TYPE_CHECKING:
    from vaecli.tables.read.since import Progress


def file_warnings(source: Source, progress: Progress | None) -> tuple[str, ...]:
    """Warnings about the files of `source`, all of whose rows have been read, beside those of earlier runs."""
    rows = rows_of_files(source)
    if progress is None:
        locations = getattr(source, "locations", ())
        if len(locations) < 2:
            return ()
        from vaecli.tables.read.repeated import repeated_files

        return _repeated(repeated_files(locations), rows)
    return (*_unusual(progress, rows), *_repeated(progress.repeated(), rows))


def rows_of_files(source: Source) -> Mapping[str, int]:
    """How many rows were read of each file by its name, where that is known."""
    rows: Mapping[str, int] = getattr(source, "rows_of_files", {})
    return rows


def _unusual(progress: Progress, rows: Mapping[str, int]) -> tuple[str, ...]:
    from vaecli.decisions.usual_rows import UsualRows

    usual = UsualRows.of([n for n in progress.earlier.columns["rows"] if n >= 0])
    if usual is None:
        return ()
    unusual = [(name, rows[name]) for name in progress.new_files if name in rows and not usual.is_usual(rows[name])]
    before = f"{usual.fewest:,}" if usual.fewest == usual.most else f"{usual.fewest:,} to {usual.most:,}"
    return _listed(
        [
            f"{name} has {counted(n, 'row') if n else 'no rows'} where {before} {'is' if usual.most == 1 else 'are'} "
            f"usual (of the {usual.n_files:,} files before)"
            for name, n in unusual
        ],
        "files with an unusual number of rows",
    )


def _repeated(found: list[tuple[str, str]], rows: Mapping[str, int]) -> tuple[str, ...]:
    sentences = [
        f"{name} has the same bytes as {_shown(other, name)}: its rows count twice"
        for name, other in found
        if rows.get(name, 1)
    ]
    return _listed(sentences, "files that repeat others")


def _shown(path: str, beside: str) -> str:
    """A path as `beside` is written: from the current folder on where that is."""
    here = Path.cwd()
    is_shorter = not Path(beside).is_absolute() and Path(path).is_relative_to(here)
    return str(Path(path).relative_to(here)) if is_shorter else path


def _listed(sentences: list[str], what: str) -> tuple[str, ...]:
    more = len(sentences) - MAX_LISTED
    return (*sentences[:MAX_LISTED], *([f"{more:,} more {what}"] if more > 0 else []))
