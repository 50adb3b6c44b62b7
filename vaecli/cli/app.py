"""The console script: one Typer app, and the one place where problems become exit codes."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import vaecli
from vaecli import render
from vaecli.cli import unattended
from vaecli.errors import EnvironmentProblem, LockHeld, RankLost, UsageError, VaecliError, shortage
from vaecli.runtime import arrow_pool, environment, outputs, process_limits, program, watchdog
from vaecli.runtime.place import Place

# 128 and the number of the signal, as shells count
HUNG_UP, INTERRUPTED, READER_GONE, TERMINATED = 129, 130, 141, 143

SECONDS_TO_BE_STOPPED = 3.0  # within which torchrun ends a process because another one has ended

_NAME = "vaecli"
_COMPLETION = f"_{_NAME}_COMPLETE".upper()  # the variable by which a shell asks Typer to complete a command line

# in the order of the help; each is a function of its own module, which is imported when it is asked for
_VERBS = (
    "fit",
    "check",
    "score",
    "explain",
    "evaluate",
    "selftest",
    "encode",
    "reconstruct",
    "sample",
    "report",
    "calibrate",
    "flag",
    "mark",
    "inspect",
    "config",
    "schema",
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (without the program's name) and leave with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    outputs.forget_all()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # nohup hands SIGHUP down as ignored
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, _stop)
    try:
        sys.exit(_run(words))
    finally:
        for number in caught:
            signal.signal(number, before[number])


def run() -> NoReturn:
    """The program: `main`, and then gone at once.

    What an interpreter does on its way out, freeing every module and thread, is a tenth of a second that a job started
    every minute pays every minute. Everything that was written is closed by now.
    """
    code = 1
    program.begin()
    arrow_pool.choose()
    environment.limit_blas()
    render.prepare_streams()
    leave = None
    if (limited := process_limits.limit()) is not None:
        from vaecli.runtime import supervisor

        process_limits.use_few_arenas()
        unattended.prepare(sys.argv[1:])  # the first process may have to report of a run that began now
        leave = supervisor.divide(limited[1], _report_end)
    watchdog.start(_show_end)
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except _Stopped as stop:
        code = stop.exit_code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if leave is not None:
        leave(code)
    os._exit(code)


def _report_end(problem: EnvironmentProblem) -> int:
    """Report how the process of a run ended that could not itself, in its metrics too; the exit code."""
    return unattended.end(_explain(problem, as_json="--json" in sys.argv[1:]))


def _show_end(message: str, exit_code: int) -> None:
    """What the watchdog prints: it ends a run in the midst of something, so only what is complete is named."""
    complete = outputs.complete_outputs()
    render.show_stop(message + (f"; complete: {', '.join(complete)}" if complete else ""), exit_code)


def _run(words: list[str]) -> int:
    """The exit code of a command line, which its metrics have too."""
    unattended.prepare(words)
    return unattended.end(_answer(words))


def _answer(words: list[str]) -> int:
    """The exit code of a command line."""
    as_json = "--json" in words
    app = _app(words, as_json=as_json)
    try:
        code = app(words or ["--help"], prog_name=_NAME, standalone_mode=False)
        if not code:
            render.flush()
    except typer.TyperException as problem:
        message = problem.format_message()
        return _explain(UsageError(message, _usage_hint(message, words)), as_json=as_json)
    except SystemExit as left:
        # Typer leaves with 1 where a reader of the help went away
        return _explain(left.__context__, as_json=as_json) if _is_reader_gone(left.__context__) else int(left.code or 0)
    except BaseException as problem:
        return _explain(problem, as_json=as_json)
    return (code or 0) if words else UsageError.exit_code


def _usage_hint(message: str, words: Sequence[str]) -> str:
    """Where to read on, and for words in another order and a forgotten input how to write it."""
    verb = next((word for word in words if word in _VERBS), "")
    if verb and words[0] != verb and not words[0].startswith("-"):
        return f"the verb comes first: `vaecli {verb} INPUT`"
    page = f"see `vaecli {verb} --help`" if verb else "see `vaecli --help`"
    return f"name a table, or - for standard input; {page}" if "Missing argument 'INPUT" in message else page


def _app(words: Sequence[str], *, as_json: bool) -> typer.Typer:
    """What Typer needs to answer a command line: reading the options of all verbs takes longer than a small table."""
    app = typer.Typer(
        help=_ABOUT,
        context_settings={"help_option_names": ["-h", "--help"]},
        # boxes and colours are for people: a pipe and a cron mail get plain text
        rich_markup_mode="rich" if render.is_screen(sys.stdout) else None,
        pretty_exceptions_enable=False,
    )
    app.callback(help=_ABOUT)(_about)
    first = words[0] if words else ""
    has_options = any(word in _VERBS for word in words) or _COMPLETION in os.environ
    for name in [first] if first in _VERBS else _VERBS:
        verb = getattr(importlib.import_module(f"vaecli.cli.{name}"), name)
        app.command(name)(_with_exit_codes(verb, name, as_json=as_json) if has_options else _listed(verb))
    return app


def _listed(verb: Callable[..., None]) -> Callable[[], None]:
    """A verb in the help of the program, without its options: no word of the command line is its name."""

    def named() -> None:
        raise AssertionError("a verb that is only listed is run")

    named.__doc__ = verb.__doc__
    return named


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


def _with_exit_codes(verb: Callable[..., None], name: str, *, as_json: bool) -> Callable[..., None]:
    """The verb, with every exception explained before Typer sees it.

    Typer has exit codes of its own for an interrupt and for a reader that went away.
    """

    @functools.wraps(verb)
    def answer(**given: Any) -> None:
        try:
            unattended.begin(given, files)
            if name not in unattended.WITHOUT_LOCK:
                process_limits.require(name)
            verb(**given)
            render.flush()
        except BaseException as problem:
            code = _explain(problem, as_json=as_json, streamed=_streams(**given), quiet=given.get("quiet", False))
            raise typer.Exit(code) from None

    parameters = unattended.signature(verb, name)
    files = unattended.file_options(parameters)
    answer.__annotations__ = {key: one.annotation for key, one in parameters.parameters.items()}
    answer.__signature__ = parameters  # type: ignore[attr-defined]
    return answer


def _streams(inputs: Sequence[str] = (), output: object = "", like: str | None = None, **_others: Any) -> bool:
    """Whether a command writes rows to standard output, which nobody can take back."""
    return output == "-" or (output is None and "-" in (like, *inputs))


class _Stopped(BaseException):
    """SIGTERM or SIGHUP as an exception, so that half-written files are removed on the way out."""

    def __init__(self, word: str, exit_code: int) -> None:
        super().__init__(word)
        self.word = word
        self.exit_code = exit_code


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    # one is enough: a second must not interrupt the removal of half-written files
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise _Stopped("hung up", HUNG_UP) if number == signal.SIGHUP else _Stopped("terminated", TERMINATED)


def _explain(problem: BaseException | None, *, as_json: bool, streamed: bool = False, quiet: bool = False) -> int:
    """Show what went wrong, and return the exit code for scripts."""
    if (place := unattended.helper()) is not None and _is_not_its_own(problem, place):
        return getattr(problem, "exit_code", INTERRUPTED if isinstance(problem, KeyboardInterrupt) else 1)
    if _is_reader_gone(problem):
        # the interpreter flushes standard output once more on its way out
        render.drop_output()
        return READER_GONE
    match problem:
        case LockHeld(exit_code=0):
            render.show_skip(problem.message, as_json=as_json, quiet=quiet)
            return 0
        case KeyboardInterrupt():
            render.show_stop(f"interrupted{_left_behind(problem, streamed)}", INTERRUPTED, as_json=as_json)
            return INTERRUPTED
        case _Stopped():
            render.show_stop(f"{problem.word}{_left_behind(problem, streamed)}", problem.exit_code, as_json=as_json)
            return problem.exit_code
        case VaecliError():
            render.show_error(problem, as_json=as_json)
            if isinstance(problem, RankLost):
                # torchrun ends the other one with this one, before it has named its reason
                with contextlib.suppress(_Stopped, KeyboardInterrupt):
                    time.sleep(2 * SECONDS_TO_BE_STOPPED)
            return problem.exit_code
        case BaseException() if (short := shortage(problem)) is not None:
            return _explain(short, as_json=as_json)
        case SystemExit(code=int(code)):
            return code
        case _:
            render.show_bug(problem, as_json=as_json)
            return VaecliError.exit_code


def _is_not_its_own(problem: BaseException | None, place: Place) -> bool:
    """Whether a process of torchrun ends for another one; else its message names its rank.

    What all processes meet, the first one reports, and torchrun stops the others before they print it too.
    """
    if problem is None or not isinstance(problem, Exception) or isinstance(problem, RankLost):
        return True
    time.sleep(SECONDS_TO_BE_STOPPED)
    if isinstance(problem, VaecliError):
        problem.message = f"rank {place.rank} of {place.n}: {problem.message}"
    return False


def _left_behind(stop: BaseException, streamed: bool) -> str:
    """What an end before its time leaves: complete outputs, else what the workflow noted, else nothing.

    Rows that went to standard output already cannot be named as nothing.
    """
    if complete := outputs.complete_outputs():
        return f"; complete: {', '.join(complete)}"
    notes = getattr(stop, "__notes__", [])
    if notes:
        return f"; {notes[0]}"
    return "" if streamed else "; nothing was written"


def _is_reader_gone(problem: BaseException | None) -> bool:
    return isinstance(problem, OSError) and problem.errno == errno.EPIPE
