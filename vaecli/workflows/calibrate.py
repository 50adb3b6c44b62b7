"""`calibrate`: new p-values and thresholds from fresh normal rows, without a new fit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.bundle import load_detector, save_detector
from vaecli.calibration.by_group import MOST_GROUPS, GroupCalibrations
from vaecli.calibration.conformal import Calibration, alpha_of, rows_needed
from vaecli.calibration.effective_rows import Dependence
from vaecli.config import CalibrateConfig
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import InputError, SchemaMismatch, UsageError, did_you_mean, quoted
from vaecli.results import CalibratedGroup, CalibrateSummary, Event, OnEvent, ignore
from vaecli.results.number_format import counted
from vaecli.runtime.atomic_file import require_writable
from vaecli.tables import Source, check_schema, open_source, refuse_to_overwrite
from vaecli.tables.marks import Marks
from vaecli.tasks.calibrate import CalibrateTask, FreshRows
from vaecli.tasks.known_rows import are_known, rows_if_all_known
from vaecli.workflows.drift_warning import dependence_warning
from vaecli.workflows.mark import marks_used

FEWEST_ROWS = 8
FEW_ROWS = 300  # below which the share of normal rows above a threshold is known to a factor of two


def calibrate(
    bundle: Path, inputs: list[str], output: Path, config: CalibrateConfig, *, on_event: OnEvent = ignore
) -> CalibrateSummary:
    """Calibrate the detector in `bundle` by the normal rows in `inputs` and write it to `output`, whole or not at all.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    detector, manifest = load_detector(bundle)
    require_writable(output)
    source = open_source(inputs, lines=detector.lines)
    refuse_to_overwrite(str(output), source.files, "the input")
    refuse_to_overwrite(str(output), filter(None, [config.marks]), "the file of --marks")
    calibrated, summary = calibrate_source(detector, source, config, on_event=on_event)
    report = recalibrated_report(manifest.summary, summary)
    save_detector(output, calibrated, manifest.config["fit"], report)
    return replace(summary, bundle=str(output), former_bundle=str(bundle))


def calibrate_source(
    detector: Detector, source: Source, config: CalibrateConfig, *, on_event: OnEvent = ignore
) -> tuple[Detector, CalibrateSummary]:
    """The detector with new calibrations by the rows of `source`. Raises UsageError or InputError."""
    started = time.monotonic()
    _refuse(detector, source, config)
    level = config.threshold if config.threshold is not None else detector.threshold
    marks = Marks.given(config.marks, source)
    fresh = _read(detector, source, config, marks, on_event)
    _require_rows(fresh, detector.score_kind, source.name)
    calibrations = {kind: _everyone(detector.calibrations[kind], fresh, kind, config) for kind in fresh.scores}
    groups, small, min_rows = _groups(fresh, level, config, detector)
    offsets = {kind: detector.novelty_offset(kind) for kind in detector.calibrations}
    calibrated = replace(detector, calibrations=calibrations, threshold=level, novelty_offsets=offsets, groups=groups)
    summary = _summary(detector, calibrated, fresh, small, min_rows, config, started)
    return calibrated, replace(summary, marks=None if marks is None else marks_used(marks, fresh.marked))


def recalibrated_report(summary: Mapping[str, Any], calibrated: CalibrateSummary) -> dict[str, Any]:
    """The report of a fit with what a new calibration changed; the rest stays as the fit reported it."""
    changed = {
        name: getattr(calibrated, name) for name in ("threshold", "min_score", "n_calibration_rows", "finest_level")
    }
    kept = {name: value for name, value in summary.items() if name not in ("n_effective", "n_groups")}
    if calibrated.n_effective is not None:
        changed["n_effective"] = calibrated.n_effective
        changed["n_groups"] = calibrated.n_groups
    by = {} if calibrated.by is None else {"by": calibrated.by, "n_groups": len(calibrated.groups)}
    marks = {} if calibrated.marks is None else {"marks": calibrated.marks.to_report()}
    of_calibration = {"rows": calibrated.rows, "added": calibrated.added, **by, **marks}
    return kept | changed | {"warnings": list(calibrated.warnings), "recalibrated": of_calibration}


def _refuse(detector: Detector, source: Source, config: CalibrateConfig) -> None:
    schema = detector.schema
    check_schema(source, schema, detector.by_column)
    if config.by is not None and config.by not in source.names:
        raise UsageError(
            f"--by {quoted(config.by)}{did_you_mean(config.by, source.names)}: {source.name} has no such column",
            "name a column of devices, sites or products",
        )
    missing = [column.name for column in (schema.time, schema.group) if column and column.name not in source.names]
    if missing:
        raise SchemaMismatch(
            f"{source.name}: the column {quoted(missing[0])}, by which the fit found dependent rows, is missing",
            "give a table with it: without it nobody knows how much the rows are worth",
            path=source.name,
            column=missing[0],
        )
    if config.add and detector.calibrations[detector.score_kind].effective is not None:
        raise UsageError(
            "--add: the model was fitted with --time or --group, and what its rows and more are worth together "
            "is not known",
            "leave out --add: the fresh rows then replace those of the fit",
        )
    if config.add and detector.groups is not None:
        raise UsageError(
            "--add: the bundle has calibrations by group, and more rows would have to belong to them",
            "leave out --add, and give --by again",
        )


def _read(
    detector: Detector, source: Source, config: CalibrateConfig, marks: Marks | None, on_event: OnEvent
) -> FreshRows:
    label = next((column for column in detector.schema.columns if column.role == "label"), None)
    known = label if label is not None and label.name in source.names else None
    task = CalibrateTask(detector, known, config.by, marks)
    parts: list[FreshRows] = []
    n_rows = 0
    for part in LocalEngine.of(config.run).map_batches(task, source, task.needs):
        parts.append(part)
        n_rows += part.p_value.size + part.n_labelled_out
        on_event(Event("scoring", n_rows, source.n_rows))
    if not parts:
        raise InputError(f"{source.name}: there are no rows", "give a table with fresh normal rows")
    return FreshRows.concatenate(parts)


def _require_rows(fresh: FreshRows, kind: str, name: str) -> None:
    n_scored = int((~np.isnan(fresh.scores[kind])).sum())
    if n_scored < FEWEST_ROWS:
        raise InputError(
            f"{name}: {counted(n_scored, 'normal row')} with a score; at least {FEWEST_ROWS} are needed to calibrate",
            "give more rows: 99 resolve the level 0.99, some hundred measure it",
        )


def _everyone(former: Calibration, fresh: FreshRows, kind: str, config: CalibrateConfig) -> Calibration:
    if config.add:
        return former.extended(fresh.scores[kind])
    return Calibration.of(fresh.scores[kind], _dependence(fresh, np.ones(fresh.p_value.size, bool)))


def _dependence(fresh: FreshRows, which: np.ndarray, within: str | None = None) -> Dependence | None:
    """Which of the rows `which` (n,) bool resemble each other; `within` is the group that they all belong to."""
    if fresh.group is not None and within is None:
        group = np.unique(fresh.group[which].astype(str), return_inverse=True)[1]
        return Dependence(group=group)
    if fresh.time is None:
        return None
    return Dependence(fresh.time[which]).limited_by(fresh.features[which])


def _groups(
    fresh: FreshRows, level: float, config: CalibrateConfig, detector: Detector
) -> tuple[GroupCalibrations | None, dict[str, int], int | None]:
    """The calibrations of groups with enough rows, the rows of the others, and how many are enough."""
    if config.by is None or fresh.by is None:
        return None, {}, None
    min_rows = config.min_rows if config.min_rows is not None else max(rows_needed(level), FEWEST_ROWS)
    scored = ~np.isnan(fresh.scores[detector.score_kind])
    named = np.array([name is not None for name in fresh.by], bool) & scored
    names, n_rows = np.unique(fresh.by[named].astype(str), return_counts=True)
    if names.size > MOST_GROUPS:
        raise UsageError(
            f"--by {quoted(config.by)} has {names.size:,} different values; {MOST_GROUPS:,} groups at most",
            "name a column that groups rows, such as a device or a site",
        )
    own = [str(name) for name, n in zip(names, n_rows, strict=True) if n >= min_rows]
    same_column = detector.schema.group is not None and detector.schema.group.name == config.by
    by_kind: dict[str, list[Calibration]] = {kind: [] for kind in fresh.scores}
    for name in own:
        which = named & (fresh.by == name)
        dependence = _dependence(fresh, which, name if same_column else None)
        for kind, calibrations in by_kind.items():
            calibrations.append(Calibration.of(fresh.scores[kind][which], dependence))
    small = {str(name): int(n) for name, n in zip(names, n_rows, strict=True) if n < min_rows}
    return (
        GroupCalibrations(config.by, tuple(own), {kind: tuple(found) for kind, found in by_kind.items()}),
        small,
        min_rows,
    )


def _summary(
    former: Detector,
    detector: Detector,
    fresh: FreshRows,
    small: dict[str, int],
    min_rows: int | None,
    config: CalibrateConfig,
    started: float,
) -> CalibrateSummary:
    kind, level = detector.score_kind, detector.threshold
    calibration, alpha = detector.calibrations[kind], alpha_of(level)
    groups = _calibrated_groups(detector, fresh, alpha)
    unscored = int(np.isnan(fresh.p_value).sum())
    return CalibrateSummary(
        bundle="",
        former_bundle="",
        rows=fresh.p_value.size,
        excluded_by_label=fresh.n_labelled_out,
        unscored=unscored,
        added=config.add,
        score_kind=kind,
        threshold=level,
        min_score=calibration.threshold(level),
        former_threshold=former.threshold,
        former_min_score=former.calibrations[kind].threshold(former.threshold),
        flagged_before=float((fresh.p_value <= alpha).sum()) / max(fresh.p_value.size - unscored, 1),
        n_calibration_rows=calibration.n_rows,
        finest_level=calibration.finest_level,
        n_effective=None if calibration.effective is None else calibration.effective.n,
        n_groups=(None if calibration.effective is None else calibration.effective.n_groups) or None,
        by=config.by,
        groups=groups,
        small_groups=small,
        min_rows=min_rows,
        warnings=(
            *_known(former, fresh),
            *_forgotten(former, config),
            *_warnings(detector, calibration, groups, small, min_rows),
        ),
        seconds=time.monotonic() - started,
    )


def _calibrated_groups(detector: Detector, fresh: FreshRows, alpha: float) -> tuple[CalibratedGroup, ...]:
    if detector.groups is None or fresh.by is None:
        return ()
    found = []
    for name, calibration in zip(detector.groups.names, detector.groups.by_kind[detector.score_kind], strict=True):
        p_value = fresh.p_value[fresh.by == name]
        flagged = float((p_value <= alpha).sum()) / calibration.n_rows
        found.append(
            CalibratedGroup(
                name, calibration.n_rows, flagged, calibration.threshold(detector.threshold), calibration.finest_level
            )
        )
    return tuple(sorted(found, key=lambda group: -group.flagged_before))


def _known(former: Detector, fresh: FreshRows) -> tuple[str, ...]:
    n_rows = fresh.p_value.size
    if_all_known = rows_if_all_known(n_rows, fresh.n_remembered, former.schema.n_rows)
    if not are_known(fresh.n_known, if_all_known):
        return ()
    return (
        f"{fresh.n_known:,} of {n_rows:,} rows are exactly like one that the bundle remembers of its fit, where "
        f"{if_all_known:,.0f} would be if all were rows of the fit: the networks know them, so that more of new normal "
        "rows are flagged than promised",
    )


def _forgotten(former: Detector, config: CalibrateConfig) -> tuple[str, ...]:
    if former.by_column in (None, config.by):
        return ()
    column = quoted(former.by_column)
    return (f"the earlier calibrations by {column} are not kept: give --by {column} again if groups differ",)


def _warnings(
    detector: Detector,
    calibration: Calibration,
    groups: tuple[CalibratedGroup, ...],
    small: dict[str, int],
    min_rows: int | None,
) -> tuple[str, ...]:
    level, warnings = detector.threshold, []
    if not calibration.resolves(level) and calibration.effective is not None:
        warnings.append(dependence_warning(calibration, calibration.effective, level))
    elif not calibration.resolves(level):
        warnings.append(
            f"threshold {level:g} needs {rows_needed(level):,} normal rows to be measured; there are "
            f"{calibration.n_rows:,}, so beyond level {calibration.finest_level:.4g} a fitted tail decides: "
            "a model, not a guarantee"
        )
    elif calibration.effective is None and calibration.n_rows < FEW_ROWS:
        warnings.append(
            f"only {calibration.n_rows:,} rows calibrate: the real share of normal rows above the threshold "
            "may differ from the stated one by a factor of two"
        )
    if small:
        shown = ", ".join(f"{quoted(name, marks=False)} ({n:,})" for name, n in list(small.items())[:10])
        more = f", and {len(small) - 10:,} more" if len(small) > 10 else ""
        warnings.append(
            f"{counted(len(small), 'group')} with fewer than {min_rows:,} rows {'is' if len(small) == 1 else 'are'} "
            f"judged by all rows together: {shown}{more}"
        )
    if detector.groups is not None and not groups:
        warnings.append("no group has enough rows for a calibration of its own: all are judged together")
    unresolved = [group for group in groups if group.finest_level < level]
    if unresolved:
        shown = ", ".join(quoted(group.group, marks=False) for group in unresolved[:10])
        warnings.append(f"threshold {level:g} is finer than the rows of these groups resolve: {shown}")
    return tuple(warnings)
