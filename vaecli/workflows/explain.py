"""`explain`: which columns made a row anomalous, and what was expected instead."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from vaecli.bundle import load_any_detector
from vaecli.config import ExplainConfig
from vaecli.config.incidents import IncidentConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.base import Engine
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError
from vaecli.results import Event, ExplainSummary, FlaggedRow, OnEvent, ignore
from vaecli.runtime import urls
from vaecli.tables import Source, Targets, check_schema, frame_source, open_sink
from vaecli.tasks.deviations import PlaceColumns
from vaecli.tasks.explain import ExplainTask, Explanations
from vaecli.tasks.incidents import RowIncidents, quiet_of
from vaecli.tasks.written_rows import Output, append_table
from vaecli.workflows.incidents import check_incident_outputs, write_incidents
from vaecli.workflows.score import decision_of, refuse_for_rows
from vaecli.workflows.where import refuse_on_spark, table_and_engine

if TYPE_CHECKING:
    from vaecli.results.explain_sensors import SensorExplainSummary

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("anomaly_score", pa.float64()),
        ("p_value", pa.float64()),
        ("is_anomaly", pa.bool_()),
        ("rank", pa.int32()),
        ("column", pa.string()),
        ("nats", pa.float64()),
        ("value", pa.string()),
        ("expected", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("probability", pa.float64()),
        ("own_probability", pa.float64()),
        ("role", pa.string()),
        ("reason", pa.string()),
    ]
)


def explain(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ExplainConfig,
    *,
    plot: str | None = None,
    incidents: str | None = None,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> ExplainSummary | SensorExplainSummary:
    """Explain the flagged rows of the table in `inputs`, of series their events, or the rows of `config.rows`.

    With `output` every explained row goes there, one line per reason; the summary shows the most anomalous. With `plot`
    the reasons become a picture; `incidents` is a file of incidents of flagged rows. With `remote` the Spark server
    there has the table, whose rows are numbered in the order of its partitions.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_any_detector(bundle)
    only_here = {"--row": config.rows, "--incidents": incidents, "--workers": config.score.workers}
    refuse_on_spark(bundle, remote, only_here, is_of_rows=isinstance(detector, Detector))
    if not isinstance(detector, Detector):  # what series need is loaded for them alone
        from vaecli.workflows.explain_sensors import explain_sensors

        return explain_sensors(detector, inputs, bundle, output, config, plot, incidents, started, on_event)
    refuse_for_rows(bundle, config.score)
    decision = decision_of(detector, config.score)
    source, engine = table_and_engine(inputs, config.score, remote, adds_up=output is None, lines=detector.lines)
    check_schema(source, detector.schema, detector.by_column)
    Targets.of(output, plot, bundle, source)

    wanted = IncidentConfig(incidents)
    check_incident_outputs(wanted, bundle, source, [output, plot])
    collected = RowIncidents(detector, quiet_of(detector, decision)) if wanted.is_wanted else None
    with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        total = explain_source(detector, source, decision, config, sink, collected, on_event, engine)
    found = None if collected is None else collected.incidents(decision.score_kind)
    if found is not None:
        write_incidents(wanted, found)
    highest = total.highest(config.most)
    if plot is not None:
        from vaecli.plots.reasons import Parts, plot_attributions

        plot_attributions(plot, total.first, total.later, [Parts.of(row) for row in highest])
    return ExplainSummary(
        output=output and urls.shown(output),
        bundle=str(bundle),
        rows=total.rows,
        anomalies=total.anomalies,
        explained=total.n_explained,
        score_kind=decision.score_kind,
        threshold=decision.level,
        shown=total.explained if config.rows else highest,
        warnings=(),
        seconds=time.monotonic() - started,
        plot=plot and urls.shown(plot),
        incidents=found,
        incident_file=incidents and urls.shown(incidents),
    )


def explain_source(
    detector: Detector,
    source: Source,
    decision: Decision,
    config: ExplainConfig,
    sink: Output | None,
    collected: RowIncidents | None = None,
    on_event: OnEvent = ignore,
    engine: Engine | None = None,
) -> Explanations:
    """Explain rows of `source`, by threads or another `engine`; all go to `sink`, those that deviate to `collected`.

    Raises UsageError for rows beyond the end of the table, and InputError.
    """
    places = None if collected is None else PlaceColumns.of(detector, source.names)
    task, total = ExplainTask(detector, decision, config, places), Explanations()
    for part in (engine or LocalEngine.of(config.score)).map_batches(task, source, task.needs):
        if collected is not None and part.deviating is not None:
            collected.add(part.deviating)
        if sink is not None:
            append_table(reason_table(part.explained), sink)
        total += part
        on_event(Event("explaining", total.rows, source.n_rows))
    if beyond := [row for row in config.rows if row > total.rows]:
        raise UsageError(
            f"--row {', '.join(map(str, beyond))}: {source.name} has {total.rows:,} rows",
            "the first row is number 1",
        )
    return total


def reason_table(rows: Sequence[FlaggedRow]) -> pa.Table:
    """One line per reason, strongest first; a row without reasons has one line of its own."""
    lines = []
    for row in rows:
        facts = {"row": row.row, "anomaly_score": row.score, "p_value": row.p_value, "is_anomaly": row.is_anomaly}
        for rank, reason in enumerate(row.reasons, start=1):
            lines.append(
                {
                    **facts,
                    "rank": rank,
                    "column": reason.column,
                    "nats": reason.nats,
                    "value": None if reason.value is None else str(reason.value),
                    "expected": None if reason.expected is None else str(reason.expected),
                    "low": reason.low,
                    "high": reason.high,
                    "probability": reason.probability,
                    "own_probability": reason.own_probability,
                    "role": reason.role,
                    "reason": reason.sentence,
                }
            )
        if not row.reasons or row.rest > 0:
            lines.append({**facts, "rank": len(row.reasons) + 1, "nats": row.rest, "reason": ALL_TOGETHER})
    return pa.Table.from_pylist(lines, schema=SCHEMA)


ALL_TOGETHER = "the columns together: no single one explains this part"
