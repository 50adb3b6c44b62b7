"""Runs over several files of which some cannot be read or do not fit: the others are done, and those are named.

A run begins as if all files were good. Only if it fails, each file is read by itself, and the run begins again with
those that are good: its output is what they alone give, and a run without bad files costs nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import vaecli
from vaecli.bundle import Manifest
from vaecli.config.choices import BAD_FILES
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.errors import InputError, SchemaMismatch, UsageError, VaecliError, counted_files, listed, quoted
from vaecli.results.bad_files import BadFile
from vaecli.runtime import outputs
from vaecli.runtime.urls import is_url
from vaecli.tables import ReadRequest, Source, check_schema, to_cells

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector
    from vaecli.tables.read.left_out import LeftOut
    from vaecli.tables.read.locations import Location

S = TypeVar("S")


def left_out_files(
    choice: str | None, since: Path | None, detector: Detector | SensorDetector, manifest: Manifest, output: str | None
) -> LeftOut | None:
    """The files that a run with `detector` leaves out, none as yet; None if a bad file is to stop the run.

    `choice` is "skip" or "stop"; None is "skip" for a job that reads what is new, with the state `since`. If
    `output` is a stream, whose rows cannot be taken back, each file is read by itself first. Raises UsageError for
    another choice.
    """
    if choice not in (None, *BAD_FILES):
        raise UsageError(f"--bad-files {choice!r} is not one of {', '.join(BAD_FILES)}", "give `skip` or `stop`")
    if choice == "stop" or (choice is None and since is None):
        return None
    from vaecli.tables.read.left_out import LeftOut
    from vaecli.tables.write.targets import is_stream

    def read_alone(location: Location, root: str) -> None:
        _read_file(location, root, detector)

    def open_alone(location: Location, root: str) -> None:
        _check_columns(_opened_alone(location, root, detector), detector)

    model = "|".join((vaecli.__version__, *(manifest.digests[name] for name in sorted(manifest.digests))))
    reads_first = output is not None and is_stream(output)
    option = "--bad-files skip" if since is None else "--since-last-run"
    return LeftOut(option, model, read_alone, open_alone, may_be_all=since is not None, reads_first=reads_first)


def without_bad_files(
    run: Callable[[], S], inputs: Sequence[str], detector: Detector | SensorDetector, left_out: LeftOut | None
) -> S:
    """What `run` returns, which is called again for as long as it fails and files are found that it can leave out.

    `run` opens `inputs` with `left_out`, and completes no output before all rows are read. Raises what `run` raises
    where no file is at fault or none is to be left out; if several files differ, with those that do not fit the model.
    """
    before = (outputs.complete_outputs(), outputs.n_streams())
    while True:
        try:
            return run()
        except InputError as problem:
            if (outputs.complete_outputs(), outputs.n_streams()) != before:
                raise
            if left_out is None:
                raise _explained(problem, inputs, detector) from problem
            if not _leave_out_more(left_out, problem, [column.name for column in detector.schema.columns]):
                raise


def bad_file_facts(left_out: LeftOut | None) -> dict[str, Any]:
    """What a summary holds of files that were left out: these, and how many files there are."""
    return {} if left_out is None else {"bad_files": left_out.files, "n_files": left_out.n_files}


def _leave_out_more(left_out: LeftOut, problem: InputError, names: Sequence[str]) -> bool:
    """Find the files for which a run has failed with `problem`; whether there are any.

    Where nothing is new, no file is bad: one of an earlier run, or of an earlier model, gave only names of columns.
    """
    from vaecli.tables.read.new_rows import NothingNew

    locations = left_out.locations
    if len(locations) == 1 and not left_out.may_be_all:
        return False
    if isinstance(locations[0] if locations else None, NothingNew):
        left_out.has_old_columns = True
        return True
    n_before = len(left_out.bad)
    is_of_columns = problem.line is None and problem.row is None
    for columns_only in (True, False) if is_of_columns else (False,):
        good = [one for one in locations if left_out.is_good(one, columns_only=columns_only)]
        _leave_out_unlike(good, left_out, names)
        if len(left_out.bad) > n_before:
            return True
    if problem.path in {one.name for one in locations}:
        assert problem.path is not None
        left_out.add(problem.path, problem, is_passing=True)
    return len(left_out.bad) > n_before


def _leave_out_unlike(locations: Sequence[Location], left_out: LeftOut, names: Sequence[str]) -> None:
    """Leave out files that are good by themselves but have other columns than most, and so are not of their table.

    Where equally many have different ones, those with the columns `names` of the fit stay, or else the first.
    """
    from vaecli.tables.read.open import open_locations

    if len(locations) < 2 or _is_one_table(locations, left_out.root):
        return
    shapes = []
    for location in locations:
        source = open_locations([location], location.name, None, (), left_out.root)
        delimiters = [header.delimiter for header in getattr(source, "headers", ())]
        shapes.append((source.format, tuple(source.names), *delimiters))
    n_files = Counter(shapes)
    most = max(n_files, key=lambda shape: (n_files[shape], shape[1] == tuple(names)))
    like = locations[shapes.index(most)]
    for location in locations:
        try:
            open_locations([like, location], location.name, None, (), left_out.root)
        except InputError as problem:
            others = "most other files" if 2 * n_files[most] > len(shapes) else like.name
            left_out.add(location.name, _unlike(problem, location.name, others), is_passing=True)


def _unlike(problem: InputError, name: str, others: str) -> InputError:
    """The part of `problem` that is about the file `name`; all of it where none is."""
    own = [line.strip() for line in problem.message.split("\n") if line.strip().startswith(f"{name}: ")]
    return InputError(f"{own[0]}, unlike {others}", problem.hint, path=name) if len(own) == 1 else problem


def _is_one_table(locations: Sequence[Location], root: str) -> bool:
    from vaecli.tables.read.open import open_locations

    try:
        open_locations(locations, locations[0].name, None, (), root)
    except InputError:
        return False
    return True


def _read_file(location: Location, root: str, detector: Detector | SensorDetector) -> None:
    """Read all rows of a file by itself as scoring reads them. Raises InputError."""
    source = _opened_alone(location, root, detector)
    _check_columns(source, detector)
    if isinstance(detector, Detector):
        needs = features_of(detector.schema, detector.group_columns, keep=True)
        for batch in source.batches(needs):
            to_cells(batch, detector.schema, detector.by_column)
        return
    from vaecli.tasks.sensors import ReadSensors
    from vaecli.workflows.long_table import as_modelled

    if as_modelled(source, detector) is not source:  # a long table, of which any file may lack some of the sensors
        for _ in source.batches(ReadRequest()):
            pass
        return
    task = ReadSensors(detector)
    for batch in source.batches(task.needs):
        task.process(batch)


def _explained(problem: InputError, inputs: Sequence[str], detector: Detector | SensorDetector) -> InputError:
    """`problem`, or if it is about the columns of several files, the error that names those which do not fit."""
    if problem.line is not None or problem.row is not None or "-" in inputs or any(map(is_url, inputs)):
        return problem
    from vaecli.tables.read.folders import path_of, root_of
    from vaecli.tables.read.found_files import find_files

    try:
        locations = [one.location for one in find_files(inputs)]
    except VaecliError:
        return problem
    root = root_of(inputs, map(path_of, locations))
    bad: list[tuple[BadFile, tuple[str, ...]]] = []
    known: set[str] = set()
    for location in locations:
        names: tuple[str, ...] = ()
        try:
            source = _opened_alone(location, root, detector)
            names = tuple(source.names)
            _check_columns(source, detector)
            known.update(names)
        except InputError as own:
            bad.append((BadFile.of(location.name, own), names))
    if not bad or len(bad) == len(locations):
        return problem
    reasons = [one.reason + _has_also([name for name in names if name not in known]) for one, names in bad]
    return SchemaMismatch(
        f"{counted_files(len(bad), len(locations))} not like the table of the fit:\n{listed(reasons)}",
        f"{bad[0][0].hint}; --bad-files skip leaves such files out",
        path=bad[0][0].path,
        column=bad[0][0].column,
    )


def _has_also(names: Sequence[str]) -> str:
    """Columns that no file like the table of the fit has: a renamed one may be among them."""
    return f"; has also {', '.join(map(quoted, names))}" if names else ""


def _opened_alone(location: Location, root: str, detector: Detector | SensorDetector) -> Source:
    from vaecli.tables.read.open import open_alone

    return open_alone(location, root, detector.lines if isinstance(detector, Detector) else None)


def _check_columns(source: Source, detector: Detector | SensorDetector) -> None:
    """Look at the columns of a file by itself. Raises InputError."""
    from vaecli.workflows.long_table import as_modelled

    if as_modelled(source, detector) is source:
        check_schema(source, detector.schema, detector.by_column if isinstance(detector, Detector) else None)
