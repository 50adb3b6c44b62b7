"""`reconstruct`: every cell of a table, or every missing one, as the model expects it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vaecli.bundle import load_detector
from vaecli.config import ReconstructConfig
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import quoted
from vaecli.results import OnEvent, ReconstructSummary, ignore
from vaecli.runtime import urls
from vaecli.schema import Kind
from vaecli.tables import Source, Targets, check_schema, default_output, exact_types, open_sink, open_source
from vaecli.tables.write.replace_cells import Spelling
from vaecli.tasks.reconstruct import ReconstructTask, ReconstructTotals
from vaecli.tasks.written_rows import Output, Rendered, append_rows
from vaecli.workflows.where import folder_of, refuse_on_spark


def reconstruct(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ReconstructConfig,
    *,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> ReconstructSummary:
    """Write the table in `inputs` as the detector in `bundle` expects it to `output`, whole or not at all.

    With `remote` the Spark server there reads, computes and writes.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    if remote is not None:
        refuse_on_spark(bundle, remote, {"--workers": config.run.workers}, is_of_rows=True)
        from vaecli.workflows.reconstruct_spark import reconstruct_on_spark

        return reconstruct_on_spark(inputs, bundle, folder_of(output), config, remote, on_event)
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    target = output
    if target is None:
        target = default_output(inputs, "imputed" if config.impute else "reconstructed")
    source = open_source(inputs, once=True, lines=detector.lines)
    check_schema(source, detector.schema)
    Targets.of(target, None, bundle, source)
    task = ReconstructTask(detector, Spelling.of(source), config.impute)
    with open_sink(target, source, (), types=exact_types(detector.schema)) as sink:
        totals = reconstruct_source(task, source, sink, config, on_event)
    missing, warnings = missing_of(detector, totals, impute=config.impute)
    return ReconstructSummary(
        output=urls.shown(target),
        bundle=str(bundle),
        rows=totals.rows,
        impute=config.impute,
        missing_cells=sum(missing.values()),
        missing_by_column=missing,
        novel_cells=totals.novel,
        warnings=warnings,
        seconds=time.monotonic() - started,
    )


def reconstruct_source(
    task: ReconstructTask, source: Source, sink: Output, config: ReconstructConfig, on_event: OnEvent = ignore
) -> ReconstructTotals:
    """Write every row of `source` as the model expects it to `sink`. Raises InputError."""
    stage = "imputing" if config.impute else "reconstructing"
    parts = LocalEngine.of(config.run).map_batches(Rendered(task, sink), source, task.needs)
    return append_rows(parts, sink, task.no_totals, stage, source.n_rows, on_event)


def missing_of(
    detector: Detector, totals: ReconstructTotals, *, impute: bool
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of missing cells of each column that has any, and warnings; strings are not imputed."""
    counted = dict(zip(detector.schema.features, totals.missing.tolist(), strict=True))
    unfilled = [column.name for column, n in counted.items() if n and impute and column.kind is Kind.TEXT]
    missing = {column.name: n for column, n in counted.items() if n and column.name not in unfilled}
    return missing, _not_imputed(unfilled)


def _not_imputed(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"strings are not imputed, the model would make them up: {', '.join(map(quoted, names))}",)
