"""What a run that nobody watches does around its verb: hold a lock, and leave metrics however it ends."""

from __future__ import annotations

import inspect
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import OptionInfo

import vaecli
from vaecli import render
from vaecli.cli.options import choice, option
from vaecli.errors import EnvironmentProblem, FilesLeftOut, LockHeld, UsageError, VaecliError, quoted
from vaecli.runtime import inputs
from vaecli.runtime.place import Place, place_of
from vaecli.runtime.urls import is_url, shown

_RUNNING = "Running"
WITH_METRICS = ("fit", "check", "score")
WITHOUT_LOCK = ("inspect", "config", "schema")
_WITHOUT_OUTPUT = ("mark",)
_WITHOUT_DEFAULT_OUTPUT = ("check", "explain", "evaluate", "selftest")
_LONGEST_ID = 128
_FILES = ("FILE", "OUT", "BUNDLE", "SCORED", "STATE", "TABLE")  # the metavars, up to a dot, of options that name a file
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DONE = (0, 3, 6)  # exit codes of runs whose output is complete

Metrics = Annotated[
    str | None,
    option(
        "FILE.prom",
        "Write figures of the run for the textfile collector of Prometheus, also of a run that fails.",
        panel=_RUNNING,
    ),
]
Lock = Annotated[
    str | None,
    option("FILE", "Run only if no other run holds the lock on this file; else exit with code 7.", panel=_RUNNING),
]
Manifest = Annotated[
    bool,
    typer.Option(
        "--manifest",
        help="Write OUTPUT.manifest.json: inputs, bundle and outputs with digests, versions, figures.",
        rich_help_panel=_RUNNING,
    ),
]
LogFormat = Annotated[
    str | None,
    choice(
        ("text", "json"),
        "Messages as lines of text, or as an object per line with the identifier of the run.",
        panel=_RUNNING,
    ),
]
SkipIfLocked = Annotated[
    bool,
    typer.Option(
        "--skip-if-locked", help="With --lock: exit with code 0 if another run holds it.", rich_help_panel=_RUNNING
    ),
]


@dataclass(slots=True)
class _Run:
    """The run of this process: what was asked for, and what is known of it so far."""

    verb: str
    metrics: str | None = None
    lock: str | None = None
    bundle: Path | None = None
    summary: render.Summary | None = None
    has_begun: bool = False  # noted in its metrics
    is_skipped: bool = False
    wants_manifest: bool = False
    words: tuple[str, ...] = ()
    id: str = ""
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    held: ExitStack = field(default_factory=ExitStack)


_run = _Run("")


def signature(verb: Callable[..., None], name: str) -> inspect.Signature:
    """The parameters of a verb with those that this module handles, before --json and its kin."""
    own = inspect.signature(verb, eval_str=True)
    added: list[tuple[str, Any, Any]] = []
    if name in WITH_METRICS:
        added.append(("metrics", Metrics, None))
    if name not in WITHOUT_LOCK:
        added += [("lock", Lock, None), ("skip_if_locked", SkipIfLocked, False)]
    if name not in (*WITHOUT_LOCK, *_WITHOUT_OUTPUT):
        added.append(("manifest", Manifest, False))
    added.append(("log_format", LogFormat, None))
    parameters = list(own.parameters.values())
    names = list(own.parameters)
    at = names.index("as_json") if "as_json" in names else len(names)
    parameters[at:at] = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for key, annotation, default in added
    ]
    return own.replace(parameters=[one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters])


def prepare(words: Sequence[str]) -> None:
    """Begin a command line; its words are all that is known if they turn out to be no command."""
    global _run
    _run = _Run(words[0] if words else "", words=tuple(words))
    _run.id = os.environ.get("VAECLI_RUN_ID", "")[:_LONGEST_ID] or os.urandom(8).hex()
    render.log.begin(_run.id, _run.verb, as_json=_value_in(words, "--log-format") == "json")
    inputs.forget_all()
    if _run.verb in WITH_METRICS and helper() is None:
        _run.metrics = _value_in(words, "--metrics")
        if _run.metrics is not None and not _is_page(_run.metrics):
            _run.metrics = None  # a name by mistake, as that of a table, is never written to


def _is_page(path: str) -> bool:
    return path.endswith(".prom")


def helper() -> Place | None:
    """The place of a process of torchrun that trains for the first one, and neither prints nor writes."""
    place = place_of(os.environ) if _run.verb == "fit" else None
    return None if place is None or place.is_first else place


def note(summary: render.Summary) -> None:
    """Keep the summary of the run for its metrics."""
    _run.summary = summary


def file_options(parameters: inspect.Signature) -> tuple[str, ...]:
    """The options of a verb that name a file, as they are written on the command line."""
    found: list[str] = []
    for name, one in parameters.parameters.items():
        for info in getattr(one.annotation, "__metadata__", ()):
            if isinstance(info, OptionInfo) and (info.metavar or "").partition(".")[0] in _FILES:
                given = [info.default, *(info.param_decls or ())]  # Typer takes the first name for a default
                found += [one for one in given if isinstance(one, str)] or [f"--{name.replace('_', '-')}"]
    return tuple(found)


def begin(given: dict[str, Any], files: Sequence[str] = ()) -> None:
    """Take the lock, and leave metrics of a run under way; removes its own options from `given`.

    `files` are the options that name a file: an empty name is mostly a variable of a script that is not set.

    Raises LockHeld, whose exit code is 0 with --skip-if-locked, UsageError or EnvironmentProblem.
    """
    if empty := [name for name in files if _value_in(_run.words, name) == ""]:
        raise UsageError(f"{empty[0]} names no file: its value is empty", "name a file; is a variable not set?")
    is_dry = given.get("dry_run", False)
    skip, metrics = given.pop("skip_if_locked", False), given.pop("metrics", None)
    _run.lock, _run.metrics = given.pop("lock", None), None
    wants_manifest, log_format = given.pop("manifest", False), given.pop("log_format", None)
    if helper() is not None:
        _run.lock, metrics, wants_manifest, skip = None, None, False, False
    if log_format not in (None, "text", "json"):
        raise UsageError(
            f"--log-format {quoted(log_format)} is not one of text, json", f"see `vaecli {_run.verb} --help`"
        )
    if metrics is not None and not _is_page(metrics):
        raise UsageError(f"--metrics {shown(metrics)}: the collector reads files that end in .prom", "name FILE.prom")
    _run.metrics = None if is_dry else metrics
    _run.bundle = given.get("output" if _run.verb == "fit" else "model")
    if wants_manifest:
        _require_output(given)
        _run.wants_manifest = not is_dry
    if skip and _run.lock is None:
        raise UsageError("--skip-if-locked needs --lock", "name the file that is locked: --lock FILE")
    if _run.lock is not None:
        _refuse_data(_run.lock, given | {"metrics": metrics})
    if _run.lock is not None and not is_dry:
        from vaecli.runtime.lock import locked

        try:
            _run.held.enter_context(locked(_run.lock))
        except LockHeld as held:
            _run.is_skipped = True
            held.exit_code = 0 if skip else LockHeld.exit_code
            raise
    if _run.metrics is not None:
        try:
            _write_metrics(None)
        except VaecliError:
            _run.metrics = None
            raise
        _run.has_begun = True


def end(code: int) -> int:
    """Write the manifest and the metrics of a run that ends with an exit code, then give the lock back.

    The exit code is another if the manifest cannot be written, as it was asked for beside the output. Metrics that
    cannot be written are a warning: they must not fail a run. A signal that comes now is too late.
    """
    code = _with_manifest(code)
    if _run.metrics is not None and (_run.has_begun or code or _run.is_skipped):
        before = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPS}
        try:
            _write_metrics(code)
        except VaecliError as problem:
            render.warn(f"the metrics are not written: {problem.message}")
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    _run.held.close()
    return code


def _require_output(given: dict[str, Any]) -> None:
    """Raise UsageError for a run whose output is no file of this machine."""
    output = given.get("output")
    if str(output).endswith("/"):
        raise UsageError("--manifest: a folder of parts has a manifest of its own", "leave --manifest out")
    is_stream = output == "-" or (output is None and "-" in given.get("inputs", ()))
    if is_stream or is_url(str(output)) or (output is None and _run.verb in _WITHOUT_DEFAULT_OUTPUT):
        raise UsageError("--manifest is written beside an output file, and there is none", "name one: -o FILE")
    if output is not None and os.path.isdir(manifest := f"{output}.manifest.json"):
        raise UsageError(f"--manifest: {shown(manifest)} is a directory", "move it away, or choose another -o FILE")


def _with_manifest(code: int) -> int:
    """The exit code of the run once its manifest is written, where one was asked for."""
    if not _run.wants_manifest or code not in (*_DONE, FilesLeftOut.exit_code) or _run.summary is None:
        return code
    from vaecli.workflows.run_manifest import write_manifest

    summary = _run.summary.to_json()
    makes_bundle = _run.verb in ("fit", "calibrate")
    bundle = summary.get("former_bundle") if makes_bundle else summary.get("bundle")
    try:
        write_manifest(
            summary["bundle"] if makes_bundle else summary["output"],
            run_id=_run.id,
            words=_run.words,
            bundle=bundle,
            summary=summary,
            started=_run.started,
            seconds=time.monotonic() - _run.clock,
            exit_code=code,
        )
    except (VaecliError, OSError) as problem:
        message = problem.message if isinstance(problem, VaecliError) else str(problem)
        failure = EnvironmentProblem(f"the manifest is not written: {message}", "the output is complete")
        render.show_error(failure)
        return failure.exit_code
    return code


def _write_metrics(code: int | None) -> None:
    """Replace the file of metrics: by that of a run under way, where there is no exit code yet."""
    assert _run.metrics is not None
    from vaecli.results.metrics import KEPT_ON_FAILURE, Series, page
    from vaecli.runtime.atomic_file import replacing
    from vaecli.runtime.lock import in_turn

    path = _run.metrics
    series = Series(Path(path).name.removesuffix(".prom"), _run.verb)
    # the run that holds the lock and one that is skipped may write at the same time
    with in_turn(os.path.dirname(os.path.realpath(path))):
        earlier = series.read(_earlier_page(path))
        seconds = time.monotonic() - _run.clock
        now = _run.started + seconds  # the clock may have been set meanwhile
        if _run.is_skipped:
            skipped = 1 + _value_of(earlier.get("vaecli_skipped_runs"))
            failure = {"vaecli_exit_code": code} if code else {}  # an earlier failure is still the latest result
            lines = earlier | series.lines({"vaecli_skipped_runs": skipped, **failure})
        elif code is None:
            lines = earlier | series.lines({"vaecli_running": 1, "vaecli_start_timestamp_seconds": _run.started})
        else:
            lines = {name: samples for name, samples in earlier.items() if name in KEPT_ON_FAILURE}
            values = {
                "vaecli_running": 0,
                "vaecli_start_timestamp_seconds": _run.started,
                "vaecli_end_timestamp_seconds": now,
                "vaecli_exit_code": code,
                "vaecli_duration_seconds": seconds,
                "vaecli_skipped_runs": 0,
            }
            if code in _DONE:
                values["vaecli_last_success_timestamp_seconds"] = now
            if _run.bundle is not None:
                with suppress(OSError):  # no bundle, or one that may not be looked at
                    values["vaecli_bundle_age_seconds"] = now - _run.bundle.stat().st_mtime
            lines |= series.lines(values) | ({} if _run.summary is None else series.of_summary(_run.summary))
        lines["vaecli_run_info"] = [series.line("vaecli_run_info", 1, {"version": vaecli.__version__})]
        with replacing(path, is_output=False, hidden=False) as stream:
            stream.write(page(lines).encode())


def _earlier_page(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _value_of(lines: Sequence[str] | None) -> float:
    """The value of the only sample of a metric, 0 without one."""
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def _refuse_data(lock: str, given: dict[str, Any]) -> None:
    """Raise UsageError for a lock on a file of the run, which the run would replace under its own lock."""
    files = [value for value in given.values() if isinstance(value, str | Path)]
    files += [*given.get("inputs", ()), f"{given.get('output')}.manifest.json"]
    if os.path.realpath(lock) in (os.path.realpath(one) for one in files):
        raise UsageError(f"--lock {quoted(lock, marks=False)}: is a file of this run", "name a file of its own")


def _value_in(words: Sequence[str], name: str) -> str | None:
    """The last value of an option among words that may hold mistakes."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=False):
        if word == "--":
            break
        if word == name:
            found = following
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found
