"""`check`: how far a table is from the rows of the fit, before its scores are believed."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaecli.bundle import load_any_detector
from vaecli.config.check import CheckConfig
from vaecli.decisions.drift import FAMILY_ERROR, Reference, least_by_chance, most_by_chance
from vaecli.detector import Detector
from vaecli.engines.base import Engine
from vaecli.engines.local import LocalEngine
from vaecli.errors import quoted
from vaecli.results import ChangedColumn, Event, OnEvent, ignore
from vaecli.results.check import LEVELS, CheckSummary, Finding
from vaecli.results.number_format import counted, number, per_cent
from vaecli.runtime import urls
from vaecli.schema import Column
from vaecli.tables import Source, Targets, check_schema, frame_source, open_sink, refuse_to_overwrite
from vaecli.tasks.check import CheckCounts, CheckTask, share_worth
from vaecli.tasks.written_rows import append_table
from vaecli.workflows.bad_files import bad_file_facts, left_out_files, without_bad_files
from vaecli.workflows.check_findings import (
    SCHEMA,
    category_of,
    level_of,
    moment_of,
    rank_of,
    table_of_findings,
    unknown_columns,
    volume,
    worst_level,
)
from vaecli.workflows.drift_warning import DRIFT_FACTOR, nats_of_count, shown_value
from vaecli.workflows.file_warnings import file_warnings
from vaecli.workflows.new_rows import counted_files, opened, progress_of, protect
from vaecli.workflows.where import refuse_on_spark, table_and_engine

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector

TESTS_PER_COLUMN = 5  # distribution; missing more and less often; outside on either side, or unseen
TESTS_OF_SCORES = 2


def check(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: CheckConfig,
    *,
    remote: str | None = None,
    since: Path | None = None,
    bad_files: str | None = None,
    on_event: OnEvent = ignore,
) -> CheckSummary:
    """Compare the table in `inputs` with the rows that the detector in `bundle` learned from.

    With `output` every comparison goes there, a line each; with `remote` the Spark server there has the table. With
    `since`, which a run of `score` keeps, only rows are compared that are new since then; `bad_files` decides what
    happens to files that cannot be read (`left_out_files`). Raises UsageError, InputError, BundleError or
    EnvironmentProblem.
    """
    detector, manifest = load_any_detector(bundle)
    is_of_rows = isinstance(detector, Detector)
    of_files = {"--workers": config.score.workers, "--since-last-run": since, "--bad-files": bad_files}
    refuse_on_spark(bundle, remote, of_files, is_of_rows=is_of_rows)
    left_out = None if remote else left_out_files(bad_files, since, detector, manifest, output)
    lines = detector.lines if isinstance(detector, Detector) else None
    once = isinstance(detector, Detector) or detector.long is None  # a long table is read twice: is it in order?

    # that nothing is new is no drift
    asked = replace(config, expect_rows="0..") if since is not None and config.expect_rows is None else config

    def run() -> CheckSummary:
        progress = progress_of(since, follow=False)
        if progress is not None or left_out is not None:
            table, engine = opened(inputs, detector, progress, left_out, once=once), None
        else:
            table, engine = table_and_engine(inputs, config.score, remote, adds_up=True, once=once, lines=lines)
        source = as_checked(table, detector)
        Targets.of(output, None, bundle, source)
        if progress is not None and output is not None:
            refuse_to_overwrite(output, [*progress.files_at(output), str(since)], "the input or the state")
        protect(None, left_out, bundle, (output,))
        with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
            summary, compared = check_any_source(detector, source, asked, str(bundle), on_event, engine)
            if asked is not config and not summary.rows:
                summary, compared = replace(summary, level="ok", findings=()), tuple(map(_passed, compared))
            if sink is not None:
                append_table(table_of_findings(compared), sink)
        return replace(
            summary,
            output=output and urls.shown(output),
            warnings=(*summary.warnings, *file_warnings(table, progress)),
            since_last_run=counted_files(progress),
            **bad_file_facts(left_out),
        )

    return run() if remote else without_bad_files(run, inputs, detector, left_out)


def _passed(one: Finding) -> Finding:
    return replace(one, level="ok")


def as_checked(source: Source, detector: Detector | SensorDetector) -> Source:
    """The table as the model knows it. Raises SchemaMismatch for columns that are missing or cannot be read."""
    if isinstance(detector, Detector):
        check_schema(source, detector.schema, detector.by_column)
        return source
    from vaecli.workflows.long_table import as_modelled

    modelled = as_modelled(source, detector)
    check_schema(modelled, detector.schema)
    return modelled


def check_any_source(
    detector: Detector | SensorDetector,
    source: Source,
    config: CheckConfig,
    bundle: str,
    on_event: OnEvent = ignore,
    engine: Engine | None = None,
) -> tuple[CheckSummary, tuple[Finding, ...]]:
    """What `check_source` returns, of a model of rows or of series; `source` is as `as_checked` gives it."""
    if isinstance(detector, Detector):
        return check_source(detector, source, config, bundle, on_event, engine)
    from vaecli.workflows.check_sensors import check_series

    return check_series(detector, source, config, bundle, on_event)


def check_source(
    detector: Detector,
    source: Source,
    config: CheckConfig,
    bundle: str,
    on_event: OnEvent = ignore,
    engine: Engine | None = None,
) -> tuple[CheckSummary, tuple[Finding, ...]]:
    """The summary of a check, and every comparison of it, the worst first; rows may be in any order."""
    started = time.monotonic()
    task = CheckTask.of(detector, source.names)
    counts = functools.reduce(
        operator.add, _announced(task, source, engine or LocalEngine.of(config.score), on_event), task.nothing()
    )
    comparison = Comparison(detector, task, counts, config)
    compared = sorted(comparison.findings(), key=lambda one: rank_of(one, config))
    findings = tuple(one for one in compared if one.level != "ok")
    summary = CheckSummary(
        table=source.name,
        bundle=bundle,
        output=None,
        level=worst_level(findings),
        rows=counts.rows,
        n_independent=round(comparison.n_rows),
        n_columns=len(task.references),
        findings=findings,
        unchecked=comparison.unchecked(),
        warnings=unknown_columns(detector.schema, source.names),
        seconds=time.monotonic() - started,
    )
    return summary, tuple(compared)


def _announced(task: CheckTask, source: Source, engine: Engine, on_event: OnEvent) -> Iterator[CheckCounts]:
    n_rows = 0
    for counts in engine.map_batches(task, source, task.needs):
        n_rows += counts.rows
        yield counts
        on_event(Event("checking", n_rows, source.n_rows))


class Comparison:
    """Counts of a table beside those of training, as findings."""

    def __init__(self, detector: Detector, task: CheckTask, counts: CheckCounts, config: CheckConfig) -> None:
        self.detector, self.task, self.counts, self.config = detector, task, counts, config
        self.columns = detector.schema.features
        self.worth = share_worth(detector)
        self.n_rows = counts.rows * self.worth
        self.family = TESTS_PER_COLUMN * len(self.columns) + len(task.constants.columns) + TESTS_OF_SCORES
        self.chances: dict[tuple[bytes, bool, float, float], float] = {}  # columns without ties have one in common

    def findings(self) -> Iterator[Finding]:
        """Every comparison, also of what is as it was."""
        yield volume(self.counts.rows, self.config)
        if not self.counts.rows:
            return
        if self.task.clock is not None:
            yield self._clock(self.task.clock)
        presence = self.detector.ensemble.reference_family.likelihood.presence
        n_training = presence.n_rows * self.worth
        for j, column in enumerate(self.columns):
            reference, bins = self.task.references[j], self.counts.columns[j]
            if reference is not None:
                yield self._distribution(column, reference, bins)
            yield self._missing(column, int(presence.n_missing[j]) / presence.n_rows, int(self.counts.missing[j]))
            if int(self.counts.novel[j]) or reference is None or reference.edges is None:
                novel = int(self.counts.novel[j])
                rows, once = (n_training, 0.0) if reference is None else (reference.n_rows, reference.n_once)
                yield self._new(column, "unseen", novel, rows, "hold a value that training never saw", once)
            if reference is not None and reference.edges is not None:
                ends = [self._shown(column, float(reference.edges[end])) for end in (0, -1)]
                words = f"lie outside {ends[0]} to {ends[1]}, the range of training"
                yield self._new(column, "range", int(bins[0] + bins[-1]), reference.n_rows, words)
        for changed in self.task.constants.changed(self.counts.moved):
            yield self._constant(changed, n_training)
        yield from self._scores()

    def unchecked(self) -> tuple[str, ...]:
        """What the bundle does not let us compare."""
        unknown = [
            quoted(column.name) for column, one in zip(self.columns, self.task.references, strict=True) if one is None
        ]
        if not unknown:
            return ()
        return (
            f"the bundle keeps no counts of {', '.join(unknown)}: fit again to compare how often each value occurs",
        )

    def _clock(self, column: Column) -> Finding:
        times = np.sort(np.concatenate(self.counts.times))
        low, high = column.minimum, column.maximum
        name, level = quoted(column.name, marks=False), "ok"
        sentence = f"{name} goes on"
        shown = [moment_of(column, float(end)) for end in times[[0, -1]]] if times.size else []
        if not times.size:
            level, sentence = "fail", f"{name} has no time in any row"
        elif times.size > 1 and times[0] == times[-1] and low != high:
            level, sentence = "fail", f"{name} stands still: all {times.size:,} rows have the time {shown[0]}"
        elif low is not None and high is not None and high > low and times.size > 1:
            steps = np.diff(times)
            i = int(steps.argmax())
            if steps[i] > high - low:
                ends = [moment_of(column, float(end)) for end in times[i : i + 2]]
                level, sentence = (
                    "fail",
                    f"{name} jumps from {ends[0]} to {ends[1]}, further than all of training is long",
                )
        before = "" if low is None or high is None else f"{moment_of(column, low)} to {moment_of(column, high)}"
        return Finding(level, "clock", column.name, before, " to ".join(shown), None, None, sentence)

    def _distribution(self, column: Column, reference: Reference, bins: np.ndarray) -> Finding:
        distance = float(reference.distance(bins))
        by_chance = self._by_chance(reference, float(bins.sum()) * self.worth)
        name = quoted(column.name, marks=False)
        if reference.edges is None:
            changed = int(np.abs(bins / max(int(bins.sum()), 1) - reference.share).argmax())
            value = category_of(column, changed)
            was, is_ = per_cent(float(reference.share[changed])), per_cent(float(bins[changed] / max(bins.sum(), 1)))
            before, after = f"{value} {was}", f"{value} {is_}"
            sentence = f"{name}: {value} is {is_} of its values, was {was}; {per_cent(distance)} of all have changed"
        else:
            middle = [reference.quantile(one, 0.5) for one in (reference.share, bins)]
            spread = [[reference.quantile(one, rank) for rank in (0.05, 0.95)] for one in (reference.share, bins)]
            before, after = (
                f"median {self._shown(column, mid)}, 90 % from {self._shown(column, low)} to {self._shown(column, up)}"
                for mid, (low, up) in zip(middle, spread, strict=True)
            )
            sentence = f"{name} has moved by {number(distance, 2)} standard deviations: {after}; was {before}"
        level = level_of(distance, by_chance, self.config.warn_distance, self.config.fail_distance)
        return Finding(level, "distribution", column.name, before, after, distance, by_chance, sentence)

    def _missing(self, column: Column, was: float, n_missing: int) -> Finding:
        n, share = self.n_rows, n_missing / self.counts.rows
        n_training = self.detector.ensemble.reference_family.likelihood.presence.n_rows * self.worth
        most = most_by_chance(n_training, was * n_training, n, self.family) - was
        least = was - least_by_chance(n_training, was * n_training, n, self.family)
        effect, by_chance = abs(share - was), most if share > was else least
        name = quoted(column.name, marks=False)
        sentence = f"{name} is missing in {per_cent(share)} of the rows, was {per_cent(was)}"
        level = self._share_level(effect, by_chance)
        return Finding(level, "missing", column.name, per_cent(was), per_cent(share), effect, by_chance, sentence)

    def _new(
        self, column: Column, what: str, n: int, n_training: float, words: str, k_training: float = 0.0
    ) -> Finding:
        share = n / self.counts.rows
        by_chance = most_by_chance(n_training, k_training, self.n_rows, self.family)
        sentence = f"{quoted(column.name, marks=False)}: {counted(n, 'cell')} ({per_cent(share)}) {words}"
        level = self._share_level(share, by_chance)
        return Finding(level, what, column.name, "0 %", per_cent(share), share, by_chance, sentence)

    def _constant(self, changed: ChangedColumn, n_training: float) -> Finding:
        share = changed.rows / self.counts.rows
        by_chance = most_by_chance(n_training, 0.0, self.n_rows, self.family)
        before = "empty" if changed.value is None else f"always {shown_value(changed.value)}"
        sentence = (
            f"{quoted(changed.column, marks=False)} was {before} in training, and is not in "
            f"{counted(changed.rows, 'row')} ({per_cent(share)})"
        )
        level = max(self._share_level(share, by_chance), "warn", key=LEVELS.index)
        return Finding(level, "constant", changed.column, before, per_cent(share), share, by_chance, sentence)

    def _scores(self) -> Iterator[Finding]:
        p_values, alpha = self.counts.p_values, 1 - self.detector.threshold
        distance = abs(self.task.p_values.shift(p_values))  # a shift: new scores spread less than held-out ones
        by_chance = self.task.p_values.by_chance(self.n_rows, self.family, len(self.columns))
        middle = 1 - (self.task.p_values.quantile(p_values, 0.5) or 0.0)
        sentence = (
            f"the scores have moved by {number(distance, 2)} standard deviations: half of them lie above those of "
            f"{per_cent(middle)} of normal rows, which was 50 %"
        )
        level = level_of(distance, by_chance, self.config.warn_distance, self.config.fail_distance)
        if middle < 0.5 and level == "fail":  # calibration rows are held out; rows of training are not
            level, sentence = "warn", f"{sentence}: so low are scores of the rows of training themselves"
        yield Finding(level, "scores", None, "50 %", per_cent(middle), distance, by_chance, sentence)
        share = self.counts.flagged / self.counts.rows
        nats = nats_of_count(round(share * self.n_rows), max(round(self.n_rows), 1), alpha)
        is_certain = nats > -np.log(FAMILY_ERROR / self.family)
        level = "warn" if share > DRIFT_FACTOR * alpha and is_certain else "ok"
        sentence = f"{per_cent(share)} of the rows are flagged where {per_cent(alpha)} of normal rows would be"
        yield Finding(level, "flagged", None, per_cent(alpha), per_cent(share), share, None, sentence)

    def _by_chance(self, reference: Reference, n_rows: float) -> float:
        key = reference.share.tobytes(), reference.edges is None, reference.n_rows, n_rows
        if key not in self.chances:
            self.chances[key] = reference.by_chance(n_rows, self.family, len(self.chances))
        return self.chances[key]

    def _share_level(self, effect: float, by_chance: float) -> str:
        return level_of(effect, by_chance, self.config.warn_share, self.config.fail_share)

    def _shown(self, column: Column, value: float | None) -> str:
        return "–" if value is None else moment_of(column, value) if column.is_date else number(value)
