"""`encode`: the latent coordinates of every row of a table."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.row_sample import MapPoints
from vaecli.bundle import load_detector
from vaecli.config import EncodeConfig
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError, did_you_mean, quoted
from vaecli.latent.knn_map import KnnMap, thinned
from vaecli.latent.umap_map import require_umap, umap_of
from vaecli.results import EncodeSummary, Event, OnEvent, ignore
from vaecli.runtime import urls
from vaecli.tables import (
    Source,
    Targets,
    check_schema,
    default_output,
    exact_types,
    frame_source,
    open_sink,
    open_source,
)
from vaecli.tasks.encode import ROW, EncodeTask, EncodeTotals
from vaecli.tasks.written_rows import Output, Rendered, append_rows
from vaecli.workflows.where import folder_of, refuse_on_spark


def encode(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: EncodeConfig,
    *,
    plot: str | None = None,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> EncodeSummary:
    """Write the codes of the table in `inputs` to `output`, whole or not at all; with `plot` a picture of the map.

    With `remote` the Spark server there reads, computes and writes.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    if remote is not None:
        refuse_on_spark(bundle, remote, {"--workers": config.run.workers, "--plot": plot}, is_of_rows=True)
        from vaecli.workflows.encode_spark import encode_on_spark

        return encode_on_spark(inputs, bundle, folder_of(output), config, remote, on_event)
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    names = coordinate_names(detector, config)
    if config.map == "umap":
        require_umap()
    target = output if output is not None else default_output(inputs, "encoded")
    source = open_source(inputs, once=True, lines=detector.lines)
    check_schema(source, detector.schema)
    Targets.of(target, plot, bundle, source)
    if config.colour_by is not None and config.colour_by not in source.names:
        guess = did_you_mean(config.colour_by, source.names)
        raise UsageError(
            f"{source.name} has no column {quoted(config.colour_by)}{guess}", "name a column: --color NAME"
        )
    knn_map = layout(detector, config, on_event)
    task = EncodeTask(detector, names, config, knn_map, with_points=plot is not None)
    sink = open_sink(
        target,
        source if config.keep else frame_source(ROW.empty_table()),
        [(name, pa.float64()) for name in names],
        prefix=config.run.prefix,
        types=exact_types(detector.schema),
    )
    with sink:
        totals = encode_source(task, source, sink, on_event)
        if plot is not None:
            _draw(plot, totals, detector, knn_map, config)
    return EncodeSummary(
        output=urls.shown(target),
        bundle=str(bundle),
        rows=totals.rows,
        columns=tuple(config.run.prefix + name for name in names),
        n_latent=detector.n_latent,
        warnings=(),
        seconds=time.monotonic() - started,
        plot=plot and urls.shown(plot),
    )


def encode_source(task: EncodeTask, source: Source, sink: Output, on_event: OnEvent = ignore) -> EncodeTotals:
    """Write the codes of every row of `source` to `sink`. Raises InputError."""
    parts = LocalEngine.of(task.config.run).map_batches(Rendered(task, sink), source, task.needs)
    return append_rows(parts, sink, EncodeTotals(), "encoding", source.n_rows, on_event)


def layout(detector: Detector, config: EncodeConfig, on_event: OnEvent = ignore) -> KnnMap | None:
    """The map of UMAP that `config` asks for, None for any other. Raises MissingPackage."""
    if config.map != "umap" or config.dims is None:
        return None
    on_event(Event("laying out the map", 0, None))
    return umap_of(detector.ensemble.reference_family.exemplar_prior, config.dims)


def _draw(plot: str, totals: EncodeTotals, detector: Detector, knn_map: KnnMap | None, config: EncodeConfig) -> None:
    from vaecli.plots.latent_map import draw_map

    exemplars = thinned(detector.exemplar_coordinates(2)) if knn_map is None else knn_map.coordinates
    points = totals.points or MapPoints(np.empty(0, np.int64), np.empty((0, 2)), np.empty(0, object))
    draw_map(plot, points, totals.rows, exemplars, config.colour_by, config.map.upper())


def coordinate_names(detector: Detector, config: EncodeConfig) -> tuple[str, ...]:
    """`z1`, …, or `map1`, … with `dims`; after them with `spreads` `z1_spread`, …

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
