"""`mark`: keep what a person decided about rows, so that later fits, calibrations and evaluations use it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from vaecli.bundle import load_any_detector
from vaecli.detector import Detector
from vaecli.errors import MAX_LISTED, InputError, SchemaMismatch, UsageError, did_you_mean, quoted
from vaecli.results import Event, OnEvent, ignore
from vaecli.results.mark import Mark, MarkSummary, MarksUsed
from vaecli.schema import Role, Schema
from vaecli.tables import ReadRequest, Source, numbers_of, open_source, refuse_to_overwrite
from vaecli.tables.marks import (
    FAULT,
    NORMAL,
    Marks,
    MarkTally,
    RowName,
    alone_with,
    read_marks,
    row_names,
    write_marks,
)

SUFFIX = ".marks"  # of the file beside a bundle


def mark(
    model: Path,
    file: Path | None,
    *,
    normal: Sequence[str] = (),
    fault: Sequence[str] = (),
    remove: Sequence[str] = (),
    merge: Sequence[Path] = (),
    key: tuple[str, ...] = (),
    show: bool = False,
    on_event: OnEvent = ignore,
) -> MarkSummary:
    """Mark the rows of the files `normal` and `fault` in the marks `file`, by default the one beside the bundle.

    Marks of the rows of the files `remove` are taken back, and those of the files `merge` added. Rows are named by the
    columns `key`, without it by all cells of the columns that the bundle at `model` knows. Raises UsageError,
    InputError, BundleError or EnvironmentProblem; the file then stays as it was.
    """
    file = model.with_name(model.name + SUFFIX) if file is None else file
    tables = {NORMAL: normal, FAULT: fault, None: remove}
    given = [(decision, open_source([path])) for decision, paths in tables.items() for path in paths]
    for _, source in given:
        refuse_to_overwrite(str(file), source.files, "the input")
    schema = _schema_of(model) if given and not key else None
    return mark_sources(file, given, schema, key, merge, show=show, on_event=on_event)


def mark_sources(
    file: Path,
    given: Sequence[tuple[str | None, Source]],
    schema: Schema | None,
    key: tuple[str, ...] = (),
    merge: Sequence[Path] = (),
    *,
    show: bool = False,
    on_event: OnEvent = ignore,
) -> MarkSummary:
    """Mark the rows of sources, each with its decision, None to take marks back. Raises as `mark` does."""
    started = time.monotonic()
    with alone_with(file):
        before = read_marks(file).decisions if file.exists() or not (given or merge) else {}
        wanted, n_rows = _wanted(given, schema, key, on_event)
        n_named = n_rows + _add_merged(wanted, merge, before)
        after = {name: wanted.get(name, decision) for name, decision in before.items()} | wanted
        marks = Marks(str(file), {name: decision for name, decision in after.items() if decision is not None})
        if given or merge:
            write_marks(file, marks)
    marked = {name: decision for name, decision in wanted.items() if decision is not None}
    added = len(marked.keys() - before.keys())
    changed = sum(before.get(name, decision) != decision for name, decision in marked.items())
    removed = len(before.keys() & wanted.keys() - marked.keys())
    unmarked = len(wanted) - len(marked) - removed
    return MarkSummary(
        marks=str(file),
        written=bool(given or merge),
        rows=n_rows,
        added=added,
        changed=changed,
        repeated=n_named - added - changed - removed - unmarked,
        removed=removed,
        unmarked=unmarked,
        normal=marks.count(NORMAL),
        faults=marks.count(FAULT),
        listed=tuple(
            Mark(marks.decisions[name], name.columns, name.key, name.digest) for name in sorted(marks.decisions)
        )
        if show
        else (),
        seconds=time.monotonic() - started,
    )


def marks_used(marks: Marks, tally: MarkTally) -> MarksUsed:
    """What a verb reports of the marks that it was given."""
    return MarksUsed(marks.file, tally.normal, tally.faults, marks.unmet(tally))


def _schema_of(model: Path) -> Schema:
    detector, _ = load_any_detector(model)
    if not isinstance(detector, Detector):
        raise UsageError(f"{model}: is a model of sensors in time, which uses no marks", "fit with --window 0")
    return detector.schema


def _wanted(
    given: Sequence[tuple[str | None, Source]], schema: Schema | None, key: tuple[str, ...], on_event: OnEvent
) -> tuple[dict[RowName, str | None], int]:
    """The new decision of each row, and the number of rows. Raises InputError for rows with two decisions."""
    wanted: dict[RowName, str | None] = {}
    conflicts: list[str] = []
    n_rows = 0
    for decision, source in given:
        columns = _columns(source, schema, key)
        numbers = () if schema is None else numbers_of(schema) & set(columns)
        for batch in source.batches(ReadRequest(columns, numbers=numbers)):
            for i, name in enumerate(row_names(batch, key, columns)):
                if wanted.setdefault(name, decision) != decision:
                    conflicts.append(f"  {batch.where(i)}: {name.shown}")
            n_rows += batch.n_rows
            on_event(Event("reading", n_rows, None))
    if conflicts:
        more = [f"  … and {len(conflicts) - MAX_LISTED:,} more"] if len(conflicts) > MAX_LISTED else []
        raise InputError(
            "rows that the files decide in two ways:\n" + "\n".join(conflicts[:MAX_LISTED] + more),
            "leave each row in one of the files; nothing is marked yet",
        )
    return wanted, n_rows


def _columns(source: Source, schema: Schema | None, key: tuple[str, ...]) -> tuple[str, ...]:
    """The columns to read: those of the key, else those that the model knows, without the label."""
    if schema is None:
        missing = [name for name in key if name not in source.names]
        if missing:
            raise UsageError(
                f"--key {quoted(missing[0])}{did_you_mean(missing[0], source.names)}: {source.name} has no such column",
                "name columns that identify a row, such as a machine and a time",
            )
        return key
    missing = [column.name for column in schema.features if column.name not in source.names]
    if missing:
        raise SchemaMismatch(
            f"{source.name}: columns of the model are missing: {', '.join(map(quoted, missing[:MAX_LISTED]))}",
            "give whole rows of the table, or name them by their key: --key NAMES",
            path=source.name,
            column=missing[0],
        )
    known = {column.name for column in schema.columns if column.role is not Role.LABEL}
    return tuple(name for name in source.names if name in known)


def _add_merged(wanted: dict[RowName, str | None], merge: Iterable[Path], before: dict[RowName, str]) -> int:
    """Add the marks of other files, and return how many there are.

    Raises InputError for one that contradicts another, as neither is known to be later.
    """
    n_marks = 0
    for path in merge:
        for name, decision in read_marks(path).decisions.items():
            other = wanted.get(name, before.get(name, decision))
            if other != decision:
                raise InputError(
                    f"{path}: {name.shown} is marked {decision} there, and {other} here",
                    "decide: mark the row again in one of the files, then merge",
                    path=str(path),
                )
            wanted[name] = decision
            n_marks += 1
    return n_marks
