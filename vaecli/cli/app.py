"""The console script: one Typer app, and the one place where problems become exit codes."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import vaecli
from vaecli import render
from vaecli.errors import EnvironmentProblem, UsageError, VaecliError

# 128 and the number of the signal, as shells count
INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143

# in the order of the help; each is a function of its own module, which is imported when it is asked for
_VERBS = (
    "fit",
    "score",
    "explain",
    "evaluate",
    "selftest",
    "encode",
    "reconstruct",
    "sample",
    "report",
    "inspect",
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (without the program's name) and leave with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(_run(words))
    finally:
        signal.signal(signal.SIGTERM, previous)


def run() -> NoReturn:
    """The program: `main`, and then gone at once.

    What an interpreter does on its way out, freeing every module and thread, is a tenth of a second that a job started
    every minute pays every minute. Everything that was written is closed by now.
    """
    code = 1
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _run(words: list[str]) -> int:
    """The exit code of a command line."""
    as_json = "--json" in words
    # what is not asked for costs nothing: reading the options of ten verbs takes longer than a small table
    asked = words[:1] if words[:1] and words[0] in _VERBS else _VERBS
    app = _app(asked, as_json=as_json)
    try:
        code = app(words or ["--help"], prog_name="vaecli", standalone_mode=False)
        render.flush()
    except typer.TyperException as problem:
        verb = next((word for word in words if word in _VERBS), "")
        hint = f"see `vaecli {verb} --help`" if verb else "see `vaecli --help`"
        return _explain(UsageError(problem.format_message(), hint), as_json=as_json)
    except SystemExit as left:
        # Typer leaves with 1 where a reader of the help went away
        return _explain(left.__context__, as_json=as_json) if _is_reader_gone(left.__context__) else int(left.code or 0)
    except BaseException as problem:
        return _explain(problem, as_json=as_json)
    return (code or 0) if words else UsageError.exit_code


def _app(verbs: Sequence[str], *, as_json: bool) -> typer.Typer:
    app = typer.Typer(
        help=_ABOUT,
        context_settings={"help_option_names": ["-h", "--help"]},
        # boxes and colours are for people: a pipe and a cron mail get plain text
        rich_markup_mode="rich" if render.is_screen(sys.stdout) else None,
        pretty_exceptions_enable=False,
    )
    app.callback(help=_ABOUT)(_about)
    for name in verbs:
        verb = getattr(importlib.import_module(f"vaecli.cli.{name}"), name)
        app.command(name)(_with_exit_codes(verb, as_json=as_json))
    return app


_ABOUT = """Find anomalous rows in tables with a variational autoencoder.

Learn once from rows that are mostly normal; score any later table with the same columns.

\b
Examples:
  vaecli fit normal.csv
  vaecli score new.csv --threshold 0.99
  vaecli explain new.csv
  vaecli inspect model.vae --schema
"""


def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Options before the verb."""


def _show_version(wanted: bool) -> None:
    if wanted:
        render.say(f"vaecli {vaecli.__version__}")
        raise typer.Exit


def _with_exit_codes(verb: Callable[..., None], *, as_json: bool) -> Callable[..., None]:
    """The verb, with every exception explained before Typer sees it.

    Typer has exit codes of its own for an interrupt and for a reader that went away.
    """

    @functools.wraps(verb)
    def answer(**given: Any) -> None:
        try:
            verb(**given)
            render.flush()
        except BaseException as problem:
            code = _explain(problem, as_json=as_json, streamed=_streams(**given))
            raise typer.Exit(code) from None

    return answer


def _streams(inputs: Sequence[str] = (), output: object = "", like: str | None = None, **_others: Any) -> bool:
    """Whether a command writes rows to standard output, which nobody can take back."""
    return output == "-" or (output is None and "-" in (like, *inputs))


class _Terminated(BaseException):
    """SIGTERM as an exception, so that half-written files are removed on the way out."""


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _explain(problem: BaseException | None, *, as_json: bool, streamed: bool = False) -> int:
    """Show what went wrong, and return the exit code for scripts."""
    if _is_reader_gone(problem):
        # the interpreter flushes standard output once more on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return READER_GONE
    match problem:
        case KeyboardInterrupt():
            render.show_stop(f"interrupted{_left_behind(problem, streamed)}", INTERRUPTED, as_json=as_json)
            return INTERRUPTED
        case _Terminated():
            render.show_stop(f"terminated{_left_behind(problem, streamed)}", TERMINATED, as_json=as_json)
            return TERMINATED
        case VaecliError():
            render.show_error(problem, as_json=as_json)
            return problem.exit_code
        case MemoryError() | OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return _explain(_shortage(problem), as_json=as_json)
        case SystemExit(code=int(code)):
            return code
        case _:
            render.show_bug(problem, as_json=as_json)
            return VaecliError.exit_code


def _left_behind(stop: BaseException, streamed: bool) -> str:
    """What an end before its time leaves: as the workflow noted, else nothing, unless rows went out already."""
    notes = getattr(stop, "__notes__", [])
    if notes:
        return f"; {notes[0]}"
    return "" if streamed else "; nothing was written"


def _shortage(problem: MemoryError | OSError) -> EnvironmentProblem:
    if isinstance(problem, MemoryError):
        return EnvironmentProblem("too little free memory", "try a smaller --batch-rows (score) or --preset fast (fit)")
    where = f"{problem.filename}: " if problem.filename else ""
    return EnvironmentProblem(f"{where}no space left to write", "free some space, or write elsewhere with -o")


def _is_reader_gone(problem: BaseException | None) -> bool:
    return isinstance(problem, OSError) and problem.errno == errno.EPIPE
