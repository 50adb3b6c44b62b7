"""Summaries of sensors → pages for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.errors import quoted
from vaecli.render.incidents import incident_facts, incident_parts
from vaecli.render.layout import decision, fact_list, files_left_out, headline, new_files, reason_table, warning_lines
from vaecli.results.number_format import counted, duration, exact_per_cent, how_often, number, per_cent

if TYPE_CHECKING:
    from vaecli.results.fit_sensors import SensorFitSummary
    from vaecli.results.long_table import LongTable
    from vaecli.results.score_sensors import SensorScoreSummary


def sensor_fit_page(summary: SensorFitSummary) -> RenderableType:
    """What was learned of time and sensors, what the threshold means, and what to type next."""
    import shlex

    facts = [
        ("rows", f"{summary.n_rows:,} used" + _excluded(summary)),
        *([("long table", _long_fit(summary.long))] if summary.long else []),
        ("time", _clock(summary)),
        ("series", _series(summary)),
        ("sensors", f"{summary.n_sensors:,}, of which {summary.n_continuous:,} are continuous"),
        *([("cycle", _cycle(summary))] if summary.n_compared else []),
        ("windows", _windows(summary)),
        ("threshold", _threshold(summary)),
        ("calibration", _calibration(summary)),
        ("bundle", summary.bundle),
        ("next", f"vaecli score NEW_TABLE -m {shlex.quote(summary.bundle)}"),
    ]
    learned = headline(f"Learned what normal windows look like in {duration(summary.seconds)}")
    return Group(learned, fact_list(facts), *warning_lines(summary.warnings))


def sensor_score_page(summary: SensorScoreSummary) -> RenderableType:
    """How many rows were flagged, and what was unusual about their times."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)} of {summary.n_groups:,} series"),
        *([("long table", _long_score(summary.long))] if summary.long else []),
        *new_files(summary.since_last_run),
        *files_left_out(summary.bad_files, summary.n_files),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
        *([("not scored", f"{counted(summary.unscored, 'row')}: {_unscored(summary)}")] if summary.unscored else []),
        *([("late", f"{counted(summary.late_rows, 'row')}, scored where they belong")] if summary.late_rows else []),
        *([("gaps", f"{summary.gaps:,}: windows begin anew after each")] if summary.gaps else []),
        *([("clock set back", _set_back(summary))] if summary.clocks_set_back else []),
        *([("new series", _new(summary))] if summary.n_new_groups else []),
        *([("unknown tags", _others(summary.long))] if summary.long and summary.long.n_other_tags else []),
        *([("no reading", _gaps(summary.long))] if summary.long and summary.long.n_gaps else []),
        *([("repeated", _repeated(summary.long))] if summary.long and summary.long.repeated else []),
        *([("new values", counted(summary.novel_cells, "cell"))] if summary.novel_cells else []),
        ("threshold", _decision(summary)),
        ("output", "standard output" if summary.output == "-" else summary.output),
        *([("events", f"{_events(summary)} in {summary.events}")] if summary.events else []),
        *([("picture", summary.plot)] if summary.plot else []),
        *([("state", summary.state)] if summary.state else []),
        *incident_facts(summary.incidents, summary.incident_file),
    ]
    parts: list[RenderableType] = [headline("Scored"), fact_list(facts), *incident_parts(summary.incidents)]
    if summary.worst:
        parts += [headline("\nMost unusual rows"), reason_table(summary.worst)]
    return Group(*parts, *warning_lines(summary.warnings))


def _cycle(summary: SensorFitSummary) -> str:
    whose = {1: "day", 7: "week"}[summary.cycle_days]
    days = (summary.last_time - summary.first_time) / 86_400
    return (
        f"{counted(summary.n_compared, 'sensor')} also compared with the usual reading at the hour of the {whose}, "
        f"learned from {days / summary.cycle_days:.1f} {whose}s"
    )


def _long_fit(long: LongTable) -> str:
    parts = [f"{counted(long.rows, 'row')} of {counted(long.tags, 'tag')} (column {quoted(long.name)})"]
    parts.append(f"{long.tags_per_stamp:.3g} report at a time, in the mean")
    if long.hold is not None:
        parts.append(f"a reading is held for {counted(long.hold, 'usual step')} of its tag")
    if long.sorted:
        parts.append("sorted by time")
    if long.n_gaps:
        parts.append(_gaps(long))
    if long.other_columns:
        parts.append(f"not modelled: {', '.join(long.other_columns)}")
    return "; ".join(parts)


def _long_score(long: LongTable) -> str:
    in_order = "; it was sorted by time" if long.sorted else ""
    stamps = f"{counted(long.stamps, 'stamp')} of {counted(long.tags, 'tag')}"
    return f"{stamps}; each row has the score of its stamp{in_order}"


def _gaps(long: LongTable) -> str:
    words = ", ".join(f"{quoted(word)} {n:,}" for word, n in long.gaps.items())
    more = long.n_gaps - sum(long.gaps.values())
    return f"{counted(long.n_gaps, 'reading')} missing: {words}" + (f" and {more:,} others" if more else "")


def _repeated(long: LongTable) -> str:
    return f"{counted(long.repeated, 'reading')} of a tag at a stamp that has a later one in the table, which counts"


def _others(long: LongTable) -> str:
    more = long.n_other_tags - len(long.other_tags)
    return ", ".join(map(quoted, long.other_tags)) + (f" and {more:,} more" if more else "") + ": not part of any score"


def _threshold(summary: SensorFitSummary) -> str:
    level = summary.threshold
    promised = level <= summary.finest_level
    often = f"{how_often(level)} normal rows" if promised else "how many normal rows that is cannot be promised"
    return (
        f"{level:.10g} flags rows more unusual than {exact_per_cent(level)} of normal rows: {often} "
        f"({summary.score_kind} score from {number(summary.min_score)} nats)"
    )


def _calibration(summary: SensorFitSummary) -> str:
    rows = f"{counted(summary.n_calibration_rows, 'row')}, scored by models of other stretches of time"
    worth = f"worth about {summary.n_effective:,} independent ones"
    if not summary.finest_level:
        return f"{rows}; {worth}, which is too few to promise any level"
    return f"{rows}; {worth}, which resolve levels up to {summary.finest_level:.4g}"


def _excluded(summary: SensorFitSummary) -> str:
    n = summary.n_excluded_by_label
    return f"; {counted(n, 'row')} labelled anomalous left out" if n else ""


def _clock(summary: SensorFitSummary) -> str:
    if summary.time_column is None:
        return "the order of the rows"
    if not summary.is_date:
        return f"column {quoted(summary.time_column)}, {summary.first_time:g} to {summary.last_time:g}, " + _steps(
            summary
        )
    first, last = (_moment(seconds) for seconds in (summary.first_time, summary.last_time))
    return f"column {quoted(summary.time_column)}, {first} to {last}, " + _steps(summary)


def _steps(summary: SensorFitSummary) -> str:
    unit = " s" if summary.is_date else ""
    return f"a row each {summary.step:.6g}{unit}; windows span no step longer than {summary.max_gap:.6g}{unit}"


def _series(summary: SensorFitSummary) -> str:
    gaps = f", with {counted(summary.n_gaps, 'gap')}" if summary.n_gaps else ""
    return f"{summary.n_groups:,}{gaps}"


def _windows(summary: SensorFitSummary) -> str:
    movement = f", movement over {summary.movement_rows} rows" if summary.movement_rows else ""
    return (
        f"{summary.window_rows} rows in {counted(summary.n_components, 'latent dimension')}; statistics of the last "
        f"{summary.statistics_rows} rows{movement}"
    )


def _unscored(summary: SensorScoreSummary) -> str:
    why = []
    if summary.rows_without_time:
        why.append(f"{summary.rows_without_time:,} without a time")
    if summary.too_late_rows:
        why.append(f"{summary.too_late_rows:,} older than what is kept of their series; sort the table by time")
    if summary.long and summary.long.rows_without_tag:
        why.append(f"{summary.long.rows_without_tag:,} at times at which no tag of the model reported")
    return ", ".join(why)


def _decision(summary: SensorScoreSummary) -> str:
    if summary.alarm_budget is None:
        return decision(summary)
    return (
        f"{summary.score_kind} score from {number(summary.min_score)} nats: held-out normal stretches raise at most "
        f"{summary.alarm_budget} with it, all series together"
    )


def _events(summary: SensorScoreSummary) -> str:
    still = f", {summary.n_open_events:,} of them still open" if summary.n_open_events else ""
    return counted(summary.n_events or 0, "event") + still


def _set_back(summary: SensorScoreSummary) -> str:
    after = "" if summary.clocks_set_back == 1 else " after each"
    return f"{counted(summary.clocks_set_back, 'time')}: windows begin anew{after}"


def _new(summary: SensorScoreSummary) -> str:
    some = ", ".join(quoted(key) for key in summary.new_groups)
    more = summary.n_new_groups - len(summary.new_groups)
    return f"{some}{f' and {more:,} more' if more else ''}: scored, though training had none of them"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
