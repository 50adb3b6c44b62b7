"""Summaries, progress and errors → terminal or JSON: the only package that prints.

Data and summaries go to standard output, everything else to standard error. rich is loaded only when
something is to be shown to a person.
"""

from __future__ import annotations

import math
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from vaecli import results
from vaecli.errors import MAX_LINE, EnvironmentProblem, FilesLeftOut, GateMet, VaecliError, cut, harmless
from vaecli.render import log
from vaecli.render.streams import drop_output as drop_output, prepare_streams as prepare_streams, printing
from vaecli.results.json_object import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vaecli.results import (
        CalibrateSummary,
        EncodeSummary,
        EvaluateSummary,
        ExplainSummary,
        FitSummary,
        FlagSummary,
        InspectSummary,
        ReconstructSummary,
        ReportSummary,
        SampleSummary,
        ScoreSummary,
        SelftestSummary,
    )
    from vaecli.results.check import CheckSummary
    from vaecli.results.evaluate_sensors import SensorEvaluateSummary
    from vaecli.results.explain_sensors import SensorExplainSummary
    from vaecli.results.fit_sensors import SensorFitSummary
    from vaecli.results.mark import MarkSummary
    from vaecli.results.plan import PlanSummary
    from vaecli.results.report_sensors import SensorReportSummary
    from vaecli.results.score_parts import PartsSummary
    from vaecli.results.score_sensors import SensorScoreSummary
    from vaecli.results.score_spark import SparkSummary
    from vaecli.results.selftest_sensors import SensorSelftestSummary
    from vaecli.results.settings import SettingsSummary

    Summary = (
        FitSummary
        | CheckSummary
        | SensorFitSummary
        | ScoreSummary
        | PartsSummary
        | SparkSummary
        | SensorScoreSummary
        | ExplainSummary
        | SensorExplainSummary
        | EvaluateSummary
        | SensorEvaluateSummary
        | SelftestSummary
        | SensorSelftestSummary
        | EncodeSummary
        | ReconstructSummary
        | SampleSummary
        | ReportSummary
        | SensorReportSummary
        | CalibrateSummary
        | FlagSummary
        | MarkSummary
        | InspectSummary
        | PlanSummary
        | SettingsSummary
    )


_CELLS = ("value", "expected", "group")  # keys under which an object may hold text of a cell


def progress(*, quiet: bool = False, verbose: bool = False) -> AbstractContextManager[results.OnEvent]:
    """Announce events while the context is open: bars on a terminal, lines with `verbose`, else nothing."""
    from vaecli.render.progress_bar import announcing

    return announcing(quiet=quiet, verbose=verbose)


def show(summary: Summary, *, as_json: bool = False, quiet: bool = False, beside_data: bool = False) -> None:
    """Show a summary: one JSON object, or a page for a person.

    `quiet` silences the page but not the JSON, which was requested by name. `beside_data` means that
    standard output holds the user's data, so the page goes to standard error.
    """
    if as_json:
        say(json_line(summary.to_json()))
        return
    if quiet:
        return
    if beside_data and log.is_json():
        _log_summary(summary)
        return
    from vaecli.render.summaries import page

    _show_page(page(summary), sys.stderr if beside_data else sys.stdout)


def _log_summary(summary: Summary) -> None:
    """The figures of a summary as one line of the log."""
    values = _strict(summary.to_json())
    figures = {name: value for name, value in values.items() if not isinstance(value, list | dict)}
    log.write("info", "done", "", summary=figures)


def show_schema(summary: results.InspectSummary) -> None:
    """List the columns of a bundle: kind, part, range or categories, and why one was left out."""
    from vaecli.render.summaries import schema_page

    _show_page(schema_page(summary), sys.stdout)


@contextmanager
def warnings_shown(*, quiet: bool = False) -> Iterator[None]:
    """Print each warning about a setting that is raised inside as one line on standard error; none with `quiet`."""
    from vaecli.config import FormerName

    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", FormerName)
        yield
    for warning in [] if quiet else raised:
        warn(str(warning.message))


def warn(message: str) -> None:
    """One line on standard error about what does not end the run."""
    _error_lines("warning", harmless(message), "")


def show_skip(message: str, *, as_json: bool = False, quiet: bool = False) -> None:
    """One line on standard error unless `quiet`: nothing was done; with `as_json` an object on standard output too."""
    if not quiet:
        _error_lines("skipped", message, "")
    if as_json:
        with suppress(EnvironmentProblem, BrokenPipeError):
            say(json_line({"schema_version": SCHEMA_VERSION, "skipped": message, "exit_code": 0}))


def show_error(problem: VaecliError, *, as_json: bool = False) -> None:
    """Two lines on standard error, `error:` and `hint:`; with `as_json` an object on standard output too."""
    _error_lines("error", problem.message, problem.hint, exit_code=problem.exit_code)
    # after a run whose output is complete, its summary is the one object that was promised
    if as_json and not isinstance(problem, GateMet | FilesLeftOut):
        _say_error_json(problem.message, problem.hint, problem.exit_code)


def show_stop(message: str, exit_code: int, *, as_json: bool = False) -> None:
    """One line: the run was interrupted or terminated."""
    message = harmless(message)
    _error_lines("error", message, "", exit_code=exit_code)
    if as_json:
        _say_error_json(message, "", exit_code)


def show_bug(problem: BaseException | None, *, as_json: bool = False) -> None:
    """The traceback of an unexpected exception, and how to report it."""
    import vaecli

    lines = "".join(traceback.format_exception(problem))
    if not log.is_json():
        print(lines, end="", file=sys.stderr)
    message = harmless(f"{type(problem).__name__}: {problem}")
    hint = f"this is a bug in vaecli {vaecli.__version__}: please report it with the lines above and your command"
    _error_lines("error", message, hint, exit_code=VaecliError.exit_code, traceback=lines)
    if as_json:
        _say_error_json(message, hint, VaecliError.exit_code)


def say(line: str) -> None:
    """Print one line on standard output. Raises EnvironmentProblem when it cannot be written."""
    with printing():
        print(line)


def json_line(values: dict[str, Any]) -> str:
    """One strict JSON object on one line of ASCII: not-a-number and infinities become null."""
    import json

    return json.dumps(_strict(values), allow_nan=False)


def flush() -> None:
    """Hand over what was printed, so that a reader that went away or a full disk is noticed here."""
    with printing():
        pass


def is_screen(stream: TextIO) -> bool:
    """Whether a person looks at this stream on a terminal that can draw."""
    from vaecli.render.console import is_screen

    return is_screen(stream)


def _say_error_json(message: str, hint: str, exit_code: int) -> None:
    """Print the object of an error; what cannot be written leaves the exit code as it is."""
    with suppress(EnvironmentProblem, BrokenPipeError):
        say(json_line({"schema_version": SCHEMA_VERSION, "error": message, "hint": hint, "exit_code": exit_code}))


def _error_lines(word: str, message: str, hint: str, **more: Any) -> None:
    lines = [f"{word}: {message}"]
    if hint:
        lines.append(f"hint: {hint}")
        more = {"hint": hint, **more}
    log.write(word, message, "\n".join(lines), **more)


def _show_page(page: RenderableType, stream: TextIO) -> None:
    from vaecli.render.console import write

    write(page, stream)


def _strict(value: Any) -> Any:
    """The same values with null for NaN and the infinities, which JSON does not know, and long text cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value if len(value) <= MAX_LINE else f"{value[: MAX_LINE - 1]}…"
    if isinstance(value, dict):
        return {
            str(name): cut(inner) if name in _CELLS and isinstance(inner, str) else _strict(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    return value
