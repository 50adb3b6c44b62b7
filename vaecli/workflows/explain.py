"""`explain`: which columns made a row odd, and what was expected instead."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from vaecli.bundle import load_detector
from vaecli.config import ExplainConfig
from vaecli.decisions.resolve import resolve
from vaecli.plots.figure import refuse_picture
from vaecli.results import ExplainSummary, FlaggedRow, OnEvent, ignore
from vaecli.runtime.parallel import n_cores
from vaecli.tables import ReadRequest, check_schema, frame_source, open_sink, open_source, refuse_to_overwrite
from vaecli.tasks.explain import Explanations, explain_table

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
    on_event: OnEvent = ignore,
) -> ExplainSummary:
    """Explain the flagged rows of the table behind `inputs`, or those that `config.rows` names.

    With `output` every explained row goes there, a line a reason; the summary shows the oddest. With `plot`
    the reasons become a picture. Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    decision = resolve(config.score, detector.calibrations, detector.score_kind, detector.threshold)
    kind = decision.score_kind
    source = open_source(inputs, once=True)
    check_schema(source, detector.schema)
    if output is not None:
        refuse_to_overwrite(output, [str(bundle)], "the bundle")
        refuse_to_overwrite(output, getattr(source, "files", ()), "the input")
    if plot is not None:
        refuse_picture(plot, output, bundle, getattr(source, "files", ()))

    found = Explanations()
    parts = explain_table(
        detector,
        source,
        decision,
        kind=kind,
        top=config.top,
        rows=config.rows,
        batch_rows=config.score.batch_rows,
        workers=config.score.workers or n_cores(),
        on_event=on_event,
    )
    for part in parts if output is None else _written(parts, output):
        found += part
    if plot is not None:
        from vaecli.plots.reasons import plot_attributions

        plot_attributions(plot, found.first, found.later, found.oddest(config.most))
    level = decision.level
    shown = found.found if config.rows else found.oddest(config.most)
    return ExplainSummary(
        output=output,
        bundle=str(bundle),
        rows=found.rows,
        anomalies=found.anomalies,
        explained=found.explained,
        score_kind=kind,
        threshold=level,
        shown=shown,
        warnings=(),
        seconds=time.monotonic() - started,
        plot=plot,
    )


def _written(parts: Iterator[Explanations], output: str) -> Iterator[Explanations]:
    """Each part after its reasons were written; the file appears when all are."""
    with open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        for part in parts:
            for batch in frame_source(reason_table(part.found)).batches(ReadRequest(keep=True)):
                sink.append(sink.render(batch, {}))
            yield part


def reason_table(rows: Sequence[FlaggedRow]) -> pa.Table:
    """One line a reason, strongest first; a row without any has one line that says so."""
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
                    "reason": reason.sentence,
                }
            )
        if not row.reasons or row.rest > 0:
            lines.append({**facts, "rank": len(row.reasons) + 1, "nats": row.rest, "reason": ALL_TOGETHER})
    return pa.Table.from_pylist(lines, schema=SCHEMA)


ALL_TOGETHER = "the columns together: no single one explains this part"
