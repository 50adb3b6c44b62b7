"""`--since-last-run`: only the rows that no earlier run has scored, and a note of them once the output is complete."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.results.score import NewFiles
from vaecli.runtime.atomic_file import require_writable
from vaecli.tables import Source, open_source, refuse_to_overwrite
from vaecli.workflows.file_warnings import rows_of_files

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector
    from vaecli.tables.read.left_out import LeftOut
    from vaecli.tables.read.since import Progress


def progress_of(state: Path | None, *, follow: bool) -> Progress | None:
    """What earlier runs have read, None where all rows are asked for. Raises UsageError and BundleError."""
    if state is None:
        return None
    if follow:
        raise UsageError("--since-last-run and --follow contradict each other", "a stream has no earlier rows")
    from vaecli.tables.read.since import Progress

    return Progress.load(state)


def protect(progress: Progress | None, left_out: LeftOut | None, bundle: Path, outputs: Iterable[str | None]) -> None:
    """Raise for outputs that would replace an input that is not read, or the state, and for the reverse.

    Such an input is one without new rows, or a bad one. Raises UsageError or EnvironmentProblem.
    """
    written = [output for output in outputs if output is not None]
    for output in written:
        refuse_to_overwrite(output, [] if left_out is None else list(left_out.bad), "the input")
    if progress is None:
        return
    for output in written:
        refuse_to_overwrite(output, progress.files_at(output), "the input")
    others, state = "the output, the bundle or the input", str(progress.path)
    refuse_to_overwrite(state, [*written, str(bundle), *progress.files_at(state)], others)
    require_writable(progress.path)


def opened(
    inputs: list[str],
    detector: Detector | SensorDetector,
    progress: Progress | None,
    left_out: LeftOut | None,
    *,
    once: bool = True,
    live: bool = False,
) -> Source:
    """The table in `inputs`; if new rows are asked for and no file is there yet, one without rows.

    Raises as `open_source`.
    """
    lines = detector.lines if isinstance(detector, Detector) else None
    nothing = None if progress is None else lambda: nothing_delivered(detector)
    return open_source(inputs, once=once, live=live, since=progress, lines=lines, left_out=left_out, nothing=nothing)


def nothing_delivered(detector: Detector | SensorDetector) -> Source:
    """A table without rows that has the columns of the fit."""
    import pyarrow as pa

    from vaecli.tables import frame_source, new_schema

    schema = new_schema(detector.schema.columns, as_text=False)
    others = detector.group_columns if isinstance(detector, Detector) else ()
    for name in others:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return frame_source(schema.empty_table())


def note(progress: Progress | None, source: Source) -> NewFiles | None:
    """Save what was read of `source`, after the output is complete, and count it.

    Raises UnreadableFile, UsageError or EnvironmentProblem.
    """
    if progress is None:
        return None
    progress.save(rows_of_files(source))
    return counted_files(progress)


def counted_files(progress: Progress | None) -> NewFiles | None:
    """How many files are new, have grown, and have nothing new."""
    return None if progress is None else NewFiles(str(progress.path), *progress.counts)
