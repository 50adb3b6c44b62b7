"""`sample`: new rows like those of training, or like given ones."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from vaecli.bundle import load_detector
from vaecli.config import SampleConfig
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import InputError, UsageError
from vaecli.plots.pixel_grid import MOST_PICTURES, Pixels, grid, png
from vaecli.results import OnEvent, SampleSummary, ignore
from vaecli.runtime import urls
from vaecli.runtime.atomic_file import require_writable, write_bytes
from vaecli.tables import (
    Source,
    Targets,
    check_schema,
    format_of_name,
    frame_source,
    new_schema,
    open_sink,
    open_source,
)
from vaecli.tasks.sample import SampleTask, SampleTotals, prior_ranges, ranges_around
from vaecli.tasks.written_rows import Output, Rendered, append_rows


def sample(bundle: Path, output: str, config: SampleConfig, *, on_event: OnEvent = ignore) -> SampleSummary:
    """Write new rows to `output`, whole or not at all; `-` is standard output.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    if config.image_shape is not None:
        return draw(bundle, output, config, config.image_shape)
    started = time.monotonic()
    if output.lower().endswith(".png"):
        raise UsageError(f"{output}: a table is not a picture", "give the pixels of a row: --image-shape 8x8")
    detector, _ = load_detector(bundle)
    source = None if config.like is None else _given_rows(config.like, detector)
    Targets.of(output, None, bundle, source)
    schema = new_schema(detector.schema.features, as_text=_is_text(output))
    with open_sink(output, frame_source(schema.empty_table()), ()) as sink:
        n_rows = sample_rows(detector, source, sink, schema, config, on_event)
    return _summary(detector, bundle, output, config, n_rows, tuple(schema.names), started)


def sample_rows(
    detector: Detector,
    source: Source | None,
    output: Output,
    schema: pa.Schema,
    config: SampleConfig,
    on_event: OnEvent = ignore,
) -> int:
    """Write new rows, or with a `source` rows around each of its rows, in its order; returns how many.

    Neither `batch_rows` nor `workers` changes a byte.
    """
    sampler, n_rows = detector.sampler(config.seed), config.n_rows
    total: int | None = n_rows
    if source is None:
        ranges = prior_ranges(n_rows, config.batch_rows)
    else:
        ranges = ranges_around(detector, sampler, source, n_rows, config.batch_rows)
        total = None if source.n_rows is None else source.n_rows * n_rows
    parts = LocalEngine.of(config).map_items(Rendered(SampleTask(sampler, schema), output), ranges)
    return append_rows(parts, output, SampleTotals(), "sampling", total, on_event).rows


def draw(bundle: Path, output: str, config: SampleConfig, shape: tuple[int, int]) -> SampleSummary:
    """Write new rows as one picture to `output`, a PNG file: the rows that `sample` would write to a table.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    if not output.lower().endswith(".png"):
        raise UsageError(f"{output}: pictures are written as PNG", "name a .png file: -o samples.png")
    detector, _ = load_detector(bundle)
    pixels = Pixels.of(detector.schema)
    pixels.require(shape)
    source = None if config.like is None else _given_rows(config.like, detector)
    Targets.of(output, None, bundle, source)
    require_writable(output)
    with threadpool_limits(1, "blas"):  # as a table of the same rows is drawn
        rows = _few_rows(detector, source, config)
    write_bytes(output, png(grid(pixels.pictures(rows), shape, pixels.low, pixels.high)))
    return _summary(detector, bundle, output, config, len(rows), pixels.names, started)


def _summary(
    detector: Detector,
    bundle: Path,
    output: str,
    config: SampleConfig,
    n_rows: int,
    columns: tuple[str, ...],
    started: float,
) -> SampleSummary:
    return SampleSummary(
        output=output and urls.shown(output),
        bundle=str(bundle),
        rows=n_rows,
        columns=columns,
        seed=config.seed,
        like=config.like and urls.shown(config.like),
        rows_each=None if config.like is None else config.n_rows,
        warnings=warnings_of(detector),
        seconds=time.monotonic() - started,
        image_shape=config.image_shape,
    )


def _few_rows(detector: Detector, source: Source | None, config: SampleConfig) -> np.ndarray:
    """The features (n, c) of so many new rows as one picture can show. Raises UsageError."""
    too_many = UsageError(
        f"a picture shows at most {MOST_PICTURES:,} rows", "draw fewer: --rows, or --like with a shorter table"
    )
    if source is None and config.n_rows > MOST_PICTURES:
        raise too_many
    sampler = detector.sampler(config.seed)
    if source is None:
        return sampler.rows(0, config.n_rows).values
    parts: list[np.ndarray] = []
    for rows in ranges_around(detector, sampler, source, config.n_rows, MOST_PICTURES):
        parts.append(rows.draw(sampler).values)
        if sum(map(len, parts)) > MOST_PICTURES:
            raise too_many
    if not parts:
        raise InputError(f"{source.name}: there are no rows", "give a table with rows to draw around")
    return np.concatenate(parts)


def warnings_of(detector: Detector) -> tuple[str, ...]:
    """What the user of new rows should know about this bundle."""
    if detector.marginals is not None:
        return ()
    return (
        "the bundle is of a vaecli that did not keep how often each value occurred: new rows repeat the distribution "
        "of a column only roughly; fit again for better ones",
    )


def _given_rows(like: str, detector: Detector) -> Source:
    source = open_source([like], once=True, lines=detector.lines)
    check_schema(source, detector.schema)
    return source


def _is_text(output: str) -> bool:
    return output == "-" or format_of_name(output) in ("csv", "tsv")
