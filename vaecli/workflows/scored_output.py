"""Where the rows of a scoring run go: the user's columns, and those that are added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.runtime.signals import held_signals
from vaecli.tables import ColumnTypes, Sink, Source, open_live_sink, open_sink

ADDED = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))


def added_columns(explain: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of each column after the user's."""
    return (*ADDED, ("top_columns", pa.string())) if explain else ADDED


def settings_of_rows(decision: Decision, config: ScoreConfig) -> dict[str, Any]:
    """The settings that, beside the bundle, say what is added to each row."""
    return {
        "score_kind": decision.score_kind,
        "threshold": decision.level,
        "min_score": None if decision.level is not None else decision.min_score,
        "anomalies_only": config.anomalies_only,
        "explain": config.explain,
        "prefix": config.prefix,
    }


@contextmanager
def opened_sink(
    target: str,
    source: Source,
    columns: Sequence[tuple[str, pa.DataType]],
    config: ScoreConfig,
    types: ColumnTypes,
) -> Iterator[Sink]:
    """The output of a run: whole or not at all, or with `config.follow` rows as they come.

    What a stopped stream leaves is noted on the exception.
    """
    if not config.follow:
        with open_sink(target, source, columns, prefix=config.prefix, types=types) as sink:
            yield sink
        return
    try:
        with held_signals(), open_live_sink(target, source, columns, prefix=config.prefix, types=types) as sink:
            yield sink
    except BaseException as stop:
        stop.add_note(f"the rows that came are in {'standard output' if target == '-' else target}")
        raise
