"""`--dry-run`: what a run would read and write, from the checks that every run begins with."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vaecli.results.plan import PlannedFile, PlanSummary
from vaecli.runtime.urls import is_url, shown
from vaecli.schema import Schema
from vaecli.tables import Source
from vaecli.tables.read.locations import STANDARD_INPUT, STANDARD_INPUT_FILE
from vaecli.workflows.column_summaries import column_summaries


def plan(
    verb: str,
    source: Source,
    bundle: object,
    writes: Iterable[object],
    schema: Schema,
    threshold: float | None,
    score_kind: str,
    *,
    series: bool,
) -> PlanSummary:
    """The summary of a run that has been checked; `writes` are its outputs, None for those not asked for."""
    return PlanSummary(
        planned=verb,
        format=source.format,
        n_columns=len(source.names),
        reads=tuple(PlannedFile(_name(file), _size(file)) for file in source.files),
        bundle=str(bundle),
        writes=tuple(shown(str(output)) for output in writes if output is not None),
        series=series,
        columns=column_summaries(schema),
        threshold=threshold,
        score_kind=score_kind,
    )


def _name(file: str) -> str:
    return STANDARD_INPUT if file == STANDARD_INPUT_FILE else shown(file)


def _size(file: str) -> int | None:
    """The size in bytes of a file of this machine."""
    is_file = not is_url(file) and file != STANDARD_INPUT_FILE and os.path.isfile(file)
    return os.path.getsize(file) if is_file else None
