"""`encode`: the latent coordinates of every row of a table."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa

from vaecli.bundle import load_detector
from vaecli.config import EncodeConfig
from vaecli.cores import n_cores
from vaecli.detector import Detector
from vaecli.engines.rebuild import ROW, encode_table
from vaecli.errors import UsageError
from vaecli.results import EncodeSummary, OnEvent, ignore
from vaecli.tables import (
    default_output,
    frame_source,
    match_schema,
    numbers_of,
    open_sink,
    open_source,
    refuse_to_overwrite,
)


def encode(
    inputs: list[str], bundle: Path, output: str | None, config: EncodeConfig, *, on_event: OnEvent = ignore
) -> EncodeSummary:
    """Write the codes of the table behind `inputs` to `output`, whole or not at all.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    names = coordinate_names(detector, config)
    target = output if output is not None else default_output(inputs, "encoded")
    refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs, once=True)
    match_schema(source, detector.schema)
    refuse_to_overwrite(target, getattr(source, "files", ()), "the input")
    sink = open_sink(
        target,
        source if config.keep else frame_source(ROW.empty_table()),
        [(name, pa.float64()) for name in names],
        prefix=config.run.prefix,
        numbers=numbers_of(detector.schema),
    )
    with sink:
        n_rows = encode_table(
            detector,
            source,
            sink,
            names,
            dims=config.dims,
            keep=config.keep,
            batch_rows=config.run.batch_rows,
            workers=config.run.workers or n_cores(),
            on_event=on_event,
        )
    return EncodeSummary(
        output=target,
        bundle=str(bundle),
        rows=n_rows,
        columns=tuple(config.run.prefix + name for name in names),
        n_latent=detector.n_latent,
        warnings=(),
        seconds=time.monotonic() - started,
    )


def coordinate_names(detector: Detector, config: EncodeConfig) -> tuple[str, ...]:
    """`z1`, …, or `map1`, … with `dims`; behind them with `spreads` `z1_spread`, …

    Raises UsageError for a map of more dimensions than the code has.
    """
    if config.dims is not None and config.dims > detector.n_latent:
        raise UsageError(
            f"--dims {config.dims}: the codes of this bundle have {detector.n_latent} dimensions",
            "give at most that many, or leave --dims out for all coordinates",
        )
    stem, n = ("z", detector.n_latent) if config.dims is None else ("map", config.dims)
    means = tuple(f"{stem}{i + 1}" for i in range(n))
    return (*means, *(f"{name}_spread" for name in means)) if config.spreads else means
