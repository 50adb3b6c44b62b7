"""`reconstruct`: every cell of a table, or every missing one, as the model expects it."""

from __future__ import annotations

import time
from pathlib import Path

from vaecli.bundle import load_detector
from vaecli.config import ReconstructConfig
from vaecli.results import OnEvent, ReconstructSummary, ignore
from vaecli.runtime.parallel import n_cores
from vaecli.tables import check_schema, default_output, numbers_of, open_sink, open_source, refuse_to_overwrite
from vaecli.tasks.encode import reconstruct_table


def reconstruct(
    inputs: list[str], bundle: Path, output: str | None, config: ReconstructConfig, *, on_event: OnEvent = ignore
) -> ReconstructSummary:
    """Write the table behind `inputs` as the detector in `bundle` expects it to `output`, whole or not at all.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    target = output
    if target is None:
        target = default_output(inputs, "imputed" if config.impute else "reconstructed")
    refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs, once=True)
    check_schema(source, detector.schema)
    with open_sink(target, source, (), numbers=numbers_of(detector.schema)) as sink:
        tally = reconstruct_table(
            detector,
            source,
            sink,
            impute=config.impute,
            batch_rows=config.run.batch_rows,
            workers=config.run.workers or n_cores(),
            on_event=on_event,
        )
    missing = {column.name: int(n) for column, n in zip(detector.schema.features, tally.missing, strict=True) if n}
    return ReconstructSummary(
        output=target,
        bundle=str(bundle),
        rows=tally.rows,
        impute=config.impute,
        missing_cells=sum(missing.values()),
        missing_by_column=missing,
        novel_cells=tally.novel,
        warnings=(),
        seconds=time.monotonic() - started,
    )
