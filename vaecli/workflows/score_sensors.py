"""`score` for series of sensors: every row after the rows of its series that came before."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.engines.live import LiveEngine
from vaecli.engines.local import LocalEngine
from vaecli.results import OnEvent
from vaecli.runtime.parallel import map_in_order
from vaecli.scoring.look_ahead import looking_ahead
from vaecli.scoring.window_scores import score_of
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.history import Histories
from vaecli.tables import Source
from vaecli.tasks.sensors import (
    GROUPED_ROWS,
    ReadSensors,
    ScoreSensors,
    SensorRows,
    SensorTotals,
    SensorWork,
    decided,
    in_order,
)
from vaecli.tasks.written_rows import Output, Rendered, append_rows


def score_rows(
    detector: SensorDetector,
    source: Source,
    output: Output,
    decision: Decision,
    config: ScoreConfig,
    histories: Histories,
    on_event: OnEvent,
) -> SensorTotals:
    """Score every row of `source` into `output`, with `config.offline` looking ahead."""
    score = _score_looking_ahead if config.offline else _score_series
    with threadpool_limits(1, "blas"):  # of every thread until the last batch is scored, longer than batches are read
        return score(detector, source, output, decision, config, histories, on_event)


def _score_series(
    detector: SensorDetector,
    source: Source,
    output: Output,
    decision: Decision,
    config: ScoreConfig,
    histories: Histories,
    on_event: OnEvent,
) -> SensorTotals:
    """Score every row of `source` into `output` and keep the last rows of each series in `histories`.

    The same rows give the same scores in one source or in several that follow each other.
    """
    task = Rendered(ScoreSensors(detector, decision, config.anomalies_only), output)
    with closing(sensor_rows(detector, source, config)) as rows:
        work = in_order(rows, histories)
        if config.follow:
            return append_rows(map(task.process, work), output, SensorTotals(), "scoring", None, on_event)
        parts = map_in_order(task.process, work, engine_of(config, detector).workers)
        with closing(parts):
            return append_rows(parts, output, SensorTotals(), "scoring", source.n_rows, on_event)


def _score_looking_ahead(
    detector: SensorDetector,
    source: Source,
    output: Output,
    decision: Decision,
    config: ScoreConfig,
    histories: Histories,
    on_event: OnEvent,
) -> SensorTotals:
    """The same with knowledge of what follows each row: the source is read twice, 40 bytes per row are kept."""
    engine = engine_of(config, detector)
    surprisals, times, groups, codes = [], [], [], dict[str, int]()
    with closing(sensor_rows(detector, source, config)) as rows:

        def measured(work: SensorWork) -> tuple[np.ndarray, SensorRows]:
            found = detector.readout_surprisals(work.stretches, work.rows.batch.n_rows)
            return found, replace(work.rows, scaled=work.rows.scaled[:0])

        for found, part in map_in_order(measured, in_order(rows, histories), engine.workers):
            surprisals.append(found)
            times.append(part.time)
            code = np.array([codes.setdefault(key, len(codes)) for key in part.keys], np.int32)
            groups.append(code[part.group])
    score = np.empty(0)
    if surprisals:
        found, time, group = np.concatenate(surprisals, axis=1), np.concatenate(times), np.concatenate(groups)
        score = ahead(detector, found, time, group, decision.score_kind)
    calibration = detector.calibrations[f"offline/{decision.score_kind}"]
    task = ScoreSensors(detector, decision, config.anomalies_only)

    def written(part: SensorRows) -> tuple[object, SensorTotals]:
        first = part.batch.first_row
        done = decided(part, score[first : first + part.batch.n_rows], calibration, task)
        return output.render(done.batch, done.added, done.keep), done.totals

    with closing(sensor_rows(detector, source, config)) as rows:
        parts = map_in_order(written, rows, engine.workers)
        with closing(parts):
            return append_rows(parts, output, SensorTotals(), "scoring", source.n_rows, on_event)


def ahead(
    detector: SensorDetector, surprisals: np.ndarray, time: np.ndarray, group: np.ndarray, kind: str
) -> np.ndarray:
    """Scores (n,) of the rows of a table with knowledge of what follows, from their surprisals (7, n)."""
    score = np.full(time.size, np.nan)
    order = np.lexsort((time, group))
    order = order[np.isfinite(surprisals[:, order]).any(0)]
    shape = detector.model.shape
    breaks = (np.diff(group[order]) != 0) | (np.diff(time[order]) > detector.clock.max_gap)
    for rows in np.split(order, np.flatnonzero(breaks) + 1):
        if rows.size:
            score[rows] = score_of(looking_ahead(surprisals[:, rows], shape), kind, shape)
    return score


def sensor_rows(detector: SensorDetector, source: Source, config: ScoreConfig) -> Generator[SensorRows]:
    """The batches of a source, read by several threads."""
    task = ReadSensors(detector)
    engine = LiveEngine(config.batch_rows) if config.follow else engine_of(config, detector)
    yield from engine.map_batches(task, source, task.needs)


def engine_of(config: ScoreConfig, detector: SensorDetector) -> LocalEngine:
    """The engine, with batches large enough for interleaved series."""
    engine = LocalEngine.of(config)
    if detector.schema.group is None:
        return engine
    return replace(engine, batch_rows=max(engine.batch_rows, GROUPED_ROWS))
