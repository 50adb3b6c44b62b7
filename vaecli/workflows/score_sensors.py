"""`score` for series of sensors: every row after the rows of its series that came before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.config import ScoreConfig
from vaecli.config.explain import MOST_ROWS
from vaecli.config.spans import AlarmBudget, Span
from vaecli.decisions.threshold import Decision
from vaecli.engines.live import LiveEngine
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError
from vaecli.results import OnEvent
from vaecli.runtime.memory import keep_freed_memory
from vaecli.runtime.parallel import map_in_order
from vaecli.scoring.look_ahead import looking_ahead
from vaecli.scoring.window_scores import score_of
from vaecli.sensors.detector import KINDS, SensorDetector
from vaecli.sensors.events import Event, EventRules, Tracker
from vaecli.sensors.history import Histories
from vaecli.tables import LongSource, Source
from vaecli.tables.write.event_file import EventWriter
from vaecli.tasks.events import N_SENSORS, RunFound, event_of
from vaecli.tasks.long_rows import only_later
from vaecli.tasks.sensors import (
    GROUPED_ROWS,
    DecidedWork,
    ReadSensors,
    ScoreSensors,
    SensorRows,
    SensorTotals,
    SensorWork,
    in_order,
    joined,
    with_event_rows,
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
    *,
    n_worst: int = 0,
    events: EventLog | None = None,
    line_width: float | None = None,
    of_stamps: bool = False,
    numbers: Sequence[int] = (),
) -> SensorTotals:
    """Score every row of `source` into `output`, with `config.offline` looking ahead.

    The `n_worst` rows with the highest scores are explained, and those numbered `numbers`, from 1; `events` are written
    where they are asked for. With `line_width` the totals hold scores along time, in bins of at least that width. With
    `of_stamps` the rows of a long table are its stamps.
    """
    score = _score_looking_ahead if config.offline else _score_series
    rules = None if events is None else events.rules
    wanted = np.unique([min(number, MOST_ROWS) - 1 for number in numbers]).astype(np.int64)
    task = ScoreSensors(
        detector, decision, config.anomalies_only, config.explain, n_worst, rules, line_width, of_stamps, wanted
    )
    keep_freed_memory()
    with threadpool_limits(1, "blas"):  # of every thread until the last batch is scored, longer than batches are read
        return score(task, source, output, config, histories, on_event, events)


@dataclass(slots=True)
class EventLog:
    """Writes the events of a run as they end, and counts them."""

    detector: SensorDetector
    rules: EventRules
    writers: Sequence[EventWriter]
    most: int = N_SENSORS  # sensors named for each
    n_events: int = 0
    n_open: int = 0

    def following(self, parts: Iterable[tuple[object, SensorTotals]]) -> Generator[tuple[object, SensorTotals]]:
        """The same parts; events are written when their rows are past."""
        tracker: Tracker[RunFound] = Tracker(self.rules)
        for rendered, totals in parts:
            self._write(tracker.add(totals.series), is_open=False)
            yield rendered, totals
        self._write(tracker.rest(), is_open=True)

    def _write(self, events: Sequence[Event[RunFound]], *, is_open: bool) -> None:
        first = self.n_events + 1
        written = [
            event_of(self.detector, event, first + i, is_open=is_open, most=self.most) for i, event in enumerate(events)
        ]
        for writer in self.writers:
            writer.write(written)
        self.n_events += len(events)
        self.n_open += is_open * len(events)


def event_rules(detector: SensorDetector, decision: Decision, config: ScoreConfig) -> EventRules:
    """The rules of events that `config` asks for. Raises UsageError for durations where a model has no clock."""
    merge, least = (Span.parse(text) if text else Span() for text in (config.merge_gap, config.min_duration))
    for flag, span in (("--merge-gap", merge), ("--min-duration", least)):
        if span.seconds is not None and detector.schema.time is None:
            raise UsageError(f"{flag}: the model has no clock", "give a number of rows")
    return EventRules(
        decision.min_score,
        detector.clock.max_gap,
        detector.model.shape.window if merge.rows is None else merge.rows,
        merge.seconds,
        least.rows or 1,
        least.seconds or 0.0,
    )


def within_budget(detector: SensorDetector, config: ScoreConfig, budget: AlarmBudget) -> Decision:
    """The decision whose events on held-out normal rows stay within a budget for all series of training together.

    Raises UsageError where the bundle did not count events, and for budgets that its time does not resolve.
    """
    kind, rates = config.score_kind or detector.score_kind, detector.rates
    if rates is None:
        raise UsageError(
            "--alarm-budget: the bundle has not counted events: its clock does not hold moments",
            "give --threshold or --min-score",
        )
    of_one = budget.per_day / detector.clock.groups
    if of_one * rates.days[0] < 1:
        days = rates.days[0] / detector.clock.groups
        raise UsageError(
            f"--alarm-budget {config.alarm_budget}: training covers {days:.3g} days, which resolve budgets from "
            f"{1 / days:.2g} a day",
            "give a larger budget, or fit more normal time",
        )
    found = KINDS.index(f"offline/{kind}" if config.offline else kind)
    return Decision(kind, None, None, rates.score_for(found, of_one), uses_tail_model=False)


def _score_series(
    task: ScoreSensors,
    source: Source,
    output: Output,
    config: ScoreConfig,
    histories: Histories,
    on_event: OnEvent,
    events: EventLog | None,
) -> SensorTotals:
    """Score every row of `source` into `output` and keep the last rows of each series in `histories`.

    The same rows give the same scores in one source or in several that follow each other.
    """
    detector, rendered = task.detector, Rendered(task, output)
    with closing(sensor_rows(detector, source, config, of_stamps=task.of_stamps)) as rows:
        work = in_order(only_later(rows, histories, source) if isinstance(source, LongSource) else rows, histories)
        if config.follow:
            live = map(rendered.process, map(task.scored, work))
            return append_rows(live, output, SensorTotals(), "scoring", None, on_event)
        parts = _explained(task, rendered, task.scored, work, engine_of(config, detector).workers)
        with closing(parts if events is None else events.following(parts)) as followed:
            return append_rows(followed, output, SensorTotals(), "scoring", source.n_rows, on_event)


def _score_looking_ahead(
    task: ScoreSensors,
    source: Source,
    output: Output,
    config: ScoreConfig,
    histories: Histories,
    on_event: OnEvent,
    events: EventLog | None,
) -> SensorTotals:
    """The same with knowledge of what follows each row: the source is read twice, 40 bytes per row are kept."""
    detector, kind = task.detector, task.decision.score_kind
    engine = engine_of(config, detector)
    surprisals, times, groups, codes = [], [], [], dict[str, int]()
    with closing(sensor_rows(detector, source, config, of_stamps=task.of_stamps)) as rows:

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
        score = ahead(detector, found, time, group, kind)
    calibration = detector.calibrations[f"offline/{kind}"]

    def scored(work: SensorWork) -> DecidedWork:
        first = work.rows.batch.first_row
        return task.decided(work, score[first : first + work.rows.batch.n_rows], calibration)

    with closing(sensor_rows(detector, source, config, of_stamps=task.of_stamps)) as rows:
        work = in_order(rows, detector.histories())
        parts = _explained(task, Rendered(task, output), scored, work, engine.workers)
        with closing(parts if events is None else events.following(parts)) as followed:
            return append_rows(followed, output, SensorTotals(), "scoring", source.n_rows, on_event)


def _explained(
    task: ScoreSensors,
    rendered: Rendered[DecidedWork, SensorTotals],
    scored: Callable[[SensorWork], DecidedWork],
    work: Iterable[SensorWork],
    n_workers: int,
) -> Generator[tuple[object, SensorTotals]]:
    """Score, explain and render batches, in their order.

    Which rows of an event are explained depends on the rows before: with events, the scores of several batches wait. As
    batches of many series are large, no more than one waits beside those in work.
    """
    if task.rules is None:
        yield from map_in_order(lambda part: rendered.process(scored(part)), work, n_workers, n_workers + 1)
        return
    with closing(map_in_order(scored, work, n_workers, n_workers + 1)) as decided:
        yield from map_in_order(rendered.process, with_event_rows(decided, task.rules), n_workers, n_workers + 1)


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


def sensor_rows(
    detector: SensorDetector, source: Source, config: ScoreConfig, *, of_stamps: bool = False
) -> Generator[SensorRows]:
    """The batches of a source, read by several threads; of a long table with its own rows, or only with its stamps."""
    task = ReadSensors(detector)
    if isinstance(source, LongSource) and not of_stamps:
        of_rows = engine_of(config, detector)
        parts = source.parts(replace(task.needs, batch_rows=of_rows.batch_rows))
        yield from map_in_order(task.process_part, parts, of_rows.workers)
        return
    engine = LiveEngine(config.batch_rows) if config.follow else engine_of(config, detector)
    rows = engine.map_batches(task, source, task.needs)
    yield from rows if detector.schema.group is None or config.follow else joined(rows, GROUPED_ROWS)


def engine_of(config: ScoreConfig, detector: SensorDetector) -> LocalEngine:
    """The engine, with batches large enough for interleaved series."""
    engine = LocalEngine.of(config)
    if detector.schema.group is None:
        return engine
    return replace(engine, batch_rows=max(engine.batch_rows, GROUPED_ROWS))
