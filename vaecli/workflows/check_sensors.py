"""`check` for a model of series: how far a table is from the series of the fit, before its scores are believed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.config.check import CheckConfig
from vaecli.results import Event, OnEvent, ignore
from vaecli.results.check import CheckSummary, Finding
from vaecli.results.number_format import counted
from vaecli.runtime.parallel import map_in_order
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.history import Late
from vaecli.sensors.stretches import SHORTEST
from vaecli.tables import LongSource, Source
from vaecli.tasks.check_sensors import CheckedTable, ReadChecked
from vaecli.tasks.sensors import SensorWork, in_order
from vaecli.workflows.check_findings import rank_of, unknown_columns, volume, worst_level
from vaecli.workflows.clock_findings import ClockComparison
from vaecli.workflows.long_table import long_summary
from vaecli.workflows.score_sensors import engine_of
from vaecli.workflows.series_findings import SeriesComparison

NOT_KEPT = (
    "the bundle keeps no stretches of its training series (an earlier vaecli wrote it): fit again to compare "
    "distributions, missing cells, readings that never move and the steps of the clock with what chance does"
)


def check_series(
    detector: SensorDetector, source: Source, config: CheckConfig, bundle: str, on_event: OnEvent = ignore
) -> tuple[CheckSummary, tuple[Finding, ...]]:
    """The summary of a check, and every comparison of it, the worst first."""
    started = time.monotonic()
    table, late = counted_table(detector, source, config, on_event)
    n_rows = int(table.time.size)
    comparison = SeriesComparison(detector, table, config)
    compared = [volume(n_rows, config)]
    if n_rows:
        compared += ClockComparison(detector, table, late, config, comparison.family).findings()
        compared += comparison.findings()
    compared.sort(key=lambda one: rank_of(one, config))
    findings = tuple(one for one in compared if one.level != "ok")
    summary = CheckSummary(
        table=source.name,
        bundle=bundle,
        output=None,
        level=worst_level(findings),
        rows=n_rows,
        n_independent=min(round(n_rows * comparison.worth), n_rows),
        n_columns=len(detector.schema.features),
        findings=findings,
        unchecked=_unchecked(detector, comparison) if n_rows else (),
        warnings=(*_unknown(detector, source),),
        seconds=time.monotonic() - started,
    )
    return summary, tuple(compared)


def counted_table(
    detector: SensorDetector, source: Source, config: CheckConfig, on_event: OnEvent
) -> tuple[CheckedTable, Late]:
    """What is counted of a table, whose rows are scored on the way, and what was unusual about their order."""
    engine, task, table = engine_of(config.score, detector), ReadChecked(detector), CheckedTable.of(detector)
    histories = detector.histories()

    def scored(work: SensorWork) -> tuple[SensorWork, np.ndarray]:
        return work, detector.score(work.stretches, work.rows.batch.n_rows, detector.score_kind)

    with (
        threadpool_limits(1, "blas"),
        closing(engine.map_batches(task, source, task.needs)) as parts,  # type: ignore[type-var]
        closing(
            map_in_order(scored, in_order(table.counted(parts), histories), engine.workers, engine.workers + 1)
        ) as found,
    ):
        n_rows = 0
        for work, score in found:
            table.add_scores(work, score)
            n_rows += work.rows.batch.n_rows
            on_event(Event("checking", n_rows, source.n_rows))
    return table, histories.seen


def _unchecked(detector: SensorDetector, comparison: SeriesComparison) -> tuple[str, ...]:
    if detector.stretches is None:
        return (NOT_KEPT,)
    if comparison.is_short:
        rows = counted(SHORTEST, "row")
        return (f"the series of the table have fewer than {rows} each: too short to compare distributions",)
    return ()


def _unknown(detector: SensorDetector, source: Source) -> Iterator[str]:
    """Warnings of columns, or tags of a long table, that the model does not have."""
    if not isinstance(source, LongSource):
        yield from unknown_columns(detector.schema, source.names)
        return
    found = long_summary(source)
    if found.n_other_tags:
        shown = ", ".join(found.other_tags)
        more = found.n_other_tags - len(found.other_tags)
        yield f"tags that training did not have, not compared: {shown}" + (f", and {more:,} more" if more else "")
