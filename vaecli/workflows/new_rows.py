"""`--since-last-run`: only the rows that no earlier run has scored, and a note of them once the output is complete."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.errors import UsageError
from vaecli.results.score import NewFiles
from vaecli.runtime.atomic_file import require_writable
from vaecli.tables import refuse_to_overwrite

if TYPE_CHECKING:
    from vaecli.tables.read.since import Progress


def progress_of(state: Path | None, *, follow: bool) -> Progress | None:
    """What earlier runs have read, None where all rows are asked for. Raises UsageError and BundleError."""
    if state is None:
        return None
    if follow:
        raise UsageError("--since-last-run and --follow contradict each other", "a stream has no earlier rows")
    from vaecli.tables.read.since import Progress

    return Progress.load(state)


def protect(progress: Progress | None, bundle: Path, outputs: Iterable[str | None]) -> None:
    """Raise for outputs that would replace an input, also one without new rows, or the state, and for the reverse.

    Raises UsageError or EnvironmentProblem.
    """
    if progress is None:
        return
    written = [output for output in outputs if output is not None]
    for output in written:
        refuse_to_overwrite(output, progress.files_at(output), "the input")
    others, state = "the output, the bundle or the input", str(progress.path)
    refuse_to_overwrite(state, [*written, str(bundle), *progress.files_at(state)], others)
    require_writable(progress.path)


def note(progress: Progress | None) -> NewFiles | None:
    """Save what was read, after the output is complete, and count it.

    Raises UnreadableFile, UsageError or EnvironmentProblem.
    """
    if progress is None:
        return None
    progress.save()
    return NewFiles(str(progress.path), *progress.counts)
