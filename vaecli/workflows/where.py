"""Where the rows of a verb that adds up are: a table of this machine and its threads, or a table of a Spark cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaecli.config import ScoreConfig
from vaecli.engines.base import Engine
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError
from vaecli.tables import Source, open_source


def table_and_engine(
    inputs: list[str],
    config: ScoreConfig,
    remote: str | None,
    *,
    adds_up: bool,
    numbers_rows: bool = False,
    once: bool = True,
    lines: Sequence[str] | None = None,
) -> tuple[Source, Engine]:
    """The table in `inputs` and what runs a task on its batches: with `remote` the cluster there.

    `adds_up`, `numbers_rows`, `once` and `lines` as in SparkEngine and `open_source`. Raises UsageError, InputError or
    EnvironmentProblem.
    """
    if remote is None:
        return open_source(inputs, once=once, lines=lines), LocalEngine.of(config)
    if lines is not None:
        raise UsageError("a model of lines reads log files, which Spark does not", "leave out --engine spark")
    from vaecli.engines.spark_tasks import SparkEngine, SparkSource

    return SparkSource.of(inputs, remote), SparkEngine(config.batch_rows, adds_up, numbers_rows)


def refuse_on_spark(bundle: Path, remote: str | None, options: Mapping[str, Any], *, is_of_rows: bool) -> None:
    """Raise UsageError for options that a Spark cluster has no part in, and for a model of series."""
    if remote is None:
        return
    if given := [option for option, value in options.items() if value not in (None, False, ())]:
        raise UsageError(f"--engine spark and {given[0]} contradict each other", f"leave {given[0]} out")
    if not is_of_rows:
        raise UsageError(
            f"{bundle}: is a model of series, whose rows depend on each other: it is not for Spark",
            "fit with --window 0 for a model of rows",
        )


def folder_of(output: str | None) -> str:
    """The folder that a Spark cluster writes to. Raises UsageError for an output that is not one, or not named."""
    if output is None or not output.endswith("/"):
        raise UsageError("--engine spark writes a folder", "name one, with a slash: -o FOLDER/")
    return output
