"""Summaries → pages for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vaecli import results
from vaecli.errors import quoted
from vaecli.render.calibrate import calibrate_page
from vaecli.render.check import check_page
from vaecli.render.evaluate_sensors import sensor_evaluate_page
from vaecli.render.explain_sensors import sensor_explain_page
from vaecli.render.flag import flag_page
from vaecli.render.incidents import incident_facts, incident_parts
from vaecli.render.layout import (
    decision,
    empty_table,
    fact_list,
    files_left_out,
    headline,
    new_files,
    plain_cells,
    reason_table,
    warning_lines,
)
from vaecli.render.mark import mark_page, marks_line
from vaecli.render.plan import kinds, left_out, plan_page, settings_page
from vaecli.render.report import report_page, sensor_report_page
from vaecli.render.sample import sample_page
from vaecli.render.score_parts import score_parts_page, spark_page
from vaecli.render.selftest import selftest_page
from vaecli.render.selftest_sensors import sensor_selftest_page
from vaecli.render.sensors import sensor_fit_page, sensor_score_page
from vaecli.results.flat_settings import flat_settings
from vaecli.results.number_format import counted, duration, exact_per_cent, how_often, number, per_cent, size, worth_of

if TYPE_CHECKING:
    from vaecli.render import Summary
    from vaecli.results import (
        ColumnSummary,
        EncodeSummary,
        EvaluateSummary,
        Evaluation,
        ExplainSummary,
        Figure,
        FitSummary,
        InspectSummary,
        ReconstructSummary,
        ScoreSummary,
    )

_SHOWN_CATEGORIES = 8
_SHOWN_DIGEST = 16
_SHOWN_GROUPS = 20


def page(summary: Summary) -> RenderableType:
    """The page of a summary."""
    return _PAGES[type(summary).__name__](summary)


def fit_page(summary: FitSummary) -> RenderableType:
    """What was learned, what the threshold means, and what to type next."""
    facts = [
        ("rows", _rows_used(summary)),
        *marks_line(summary.marks),
        *_distrusted(summary),
        ("columns", kinds(summary.columns)),
        *left_out(summary.columns),
        ("model", _model(summary)),
        ("against", _against_baseline(summary)),
        ("threshold", _threshold_meaning(summary)),
        ("calibration", _calibration(summary)),
        ("bundle", summary.bundle),
        ("next", f"vaecli score NEW_TABLE -m {_quoted(summary.bundle)}"),
    ]
    learned = headline(f"Learned what normal rows look like in {duration(summary.seconds)}")
    return Group(learned, fact_list(facts), *warning_lines(_fit_warnings(summary)))


def score_page(summary: ScoreSummary) -> RenderableType:
    """How many rows were flagged and why, and the worst of them."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        *new_files(summary.since_last_run),
        *files_left_out(summary.bad_files, summary.n_files),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
        *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
        *([("new values", _novel(summary))] if summary.novel_cells else []),
        ("threshold", decision(summary)),
        ("output", "standard output" if summary.output == "-" else summary.output),
        *([("picture", summary.plot)] if summary.plot else []),
        *incident_facts(summary.incidents, summary.incident_file),
    ]
    parts: list[RenderableType] = [headline("Scored"), fact_list(facts), *incident_parts(summary.incidents)]
    if summary.worst:
        parts += [headline("\nMost unusual rows"), reason_table(summary.worst)]
    return Group(*parts, *warning_lines(summary.warnings))


def explain_page(summary: ExplainSummary) -> RenderableType:
    """The rows and their reasons."""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("flagged", f"{summary.anomalies:,}"),
        ("explained", f"{summary.explained:,}"),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("picture", summary.plot)] if summary.plot else []),
        *incident_facts(summary.incidents, summary.incident_file),
    ]
    parts: list[RenderableType] = [headline("Explained"), fact_list(facts), *incident_parts(summary.incidents)]
    if summary.shown:
        parts += [Text(), reason_table(summary.shown)]
        if (more := summary.explained - len(summary.shown)) > 0:
            parts.append(Text(f"… and {counted(more, 'row')} more: --most N shows more, -o FILE writes all"))
    return Group(*parts, *warning_lines(summary.warnings))


def evaluate_page(summary: EvaluateSummary) -> RenderableType:
    """The figures with their intervals, then the simple methods and the groups where they were asked for."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    normal = summary.flagged - summary.true_positives
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("anomalies", f"{summary.anomalies:,} ({per_cent(share)}), by {_named_by(summary)}"),
        *_marks_evaluated(summary),
        ("flagged", f"{summary.flagged:,}: {summary.true_positives:,} anomalies, {counted(normal, 'false alarm')}"),
        *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
        ("threshold", decision(summary)),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("curves", summary.plot)] if summary.plot else []),
    ]
    heads = ("figure", "value") + (("95 % interval",) if summary.has_intervals else ())
    table = empty_table(heads, numeric=("value",))
    for figure in summary.overall.figures:
        table.add_row(*plain_cells(results.METRIC_NAMES[figure.metric], _figure(figure), _ends(figure))[: len(heads)])
    parts: list[RenderableType] = [headline("Evaluated"), fact_list(facts), Text(), table]
    if summary.baselines:
        parts += [headline("\nBeside simple methods"), _methods(summary)]
        parts += [Text(comparison.sentence) for comparison in summary.comparisons]
    if ours := [one for one in summary.groups if one.method == summary.overall.method]:
        parts += [headline("\nBy group, the worst first"), _group_table(ours)]
        if (more := len(ours) - _SHOWN_GROUPS) > 0:
            parts.append(Text(f"… and {counted(more, 'group')} more: -o FILE writes all"))
    return Group(*parts, *warning_lines(summary.warnings))


def encode_page(summary: EncodeSummary) -> RenderableType:
    """How many coordinates went where."""
    shown = ", ".join(summary.columns[:_SHOWN_CATEGORIES])
    more = len(summary.columns) - _SHOWN_CATEGORIES
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("columns", shown if more <= 0 else f"{shown}, … and {more:,} more"),
        ("output", "standard output" if summary.output == "-" else summary.output),
        *([("picture", summary.plot)] if summary.plot else []),
    ]
    return Group(headline("Encoded"), fact_list(facts), *warning_lines(summary.warnings))


def reconstruct_page(summary: ReconstructSummary) -> RenderableType:
    """How many cells were missing, in which columns, and where the expected ones went."""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("filled" if summary.impute else "missing", _missing(summary)),
        *([("new values", _left(summary))] if summary.novel_cells else []),
        ("output", "standard output" if summary.output == "-" else summary.output),
    ]
    return Group(
        headline("Imputed" if summary.impute else "Reconstructed"), fact_list(facts), *warning_lines(summary.warnings)
    )


def inspect_page(summary: InspectSummary) -> RenderableType:
    """Everything that a bundle states about itself."""
    facts = [
        ("bundle", f"{summary.bundle} ({size(summary.size_bytes)}, format {summary.format})"),
        ("written", f"{summary.created_utc} by vaecli {summary.vaecli_version}"),
        ("columns", kinds(summary.columns)),
        *left_out(summary.columns),
        ("schema", summary.schema_fingerprint[:_SHOWN_DIGEST]),
    ]
    parts: list[RenderableType] = [headline("Bundle"), fact_list(facts)]
    for title, values in (
        ("Fit", summary.fit),
        ("Calibration", summary.calibration),
        ("Settings", summary.config),
        ("Digests (SHA-256)", {name: digest[:_SHOWN_DIGEST] for name, digest in summary.digests.items()}),
    ):
        flat = list(flat_settings(values))
        if flat:
            parts += [headline(f"\n{title}"), fact_list(flat)]
    return Group(*parts)


def schema_page(summary: InspectSummary) -> RenderableType:
    """One line per column: kind, part, and its range, categories or the reason why it is left out."""
    table = empty_table(("column", "kind", "part", "values"))
    for column in summary.columns:
        table.add_row(*plain_cells(column.name, column.kind, column.role, column.reason or _values(column)))
    return table


def _named_by(summary: EvaluateSummary) -> str:
    column = [] if summary.label is None else [f"column {quoted(summary.label)}"]
    return " and ".join([*column, *([] if summary.marks is None else ["marks"])])


def _marks_evaluated(summary: EvaluateSummary) -> list[tuple[str, str]]:
    used = summary.marks
    if used is None:
        return []
    ((name, line),) = marks_line(used)
    flagged = f"; flagged are {used.faults_flagged:,} of the faults, {used.normal_flagged:,} of the normal rows"
    return [(name, line + flagged)]


def _rows_used(summary: FitSummary) -> str:
    used = f"{summary.n_rows:,} used"
    if not summary.n_excluded_by_label:
        return used
    called = "labelled" if summary.marks is None else "labelled or marked"
    return f"{used}; {counted(summary.n_excluded_by_label, 'row')} {called} anomalous left out"


def _distrusted(summary: FitSummary) -> list[tuple[str, str]]:
    if summary.n_distrusted is None:
        return []
    share = per_cent(summary.n_distrusted / summary.n_calibration_rows)
    return [("distrusted", f"{counted(summary.n_distrusted, 'row')} ({share}): nothing is normal for being near them")]


def _model(summary: FitSummary) -> str:
    members = counted(summary.n_members, "network")
    steps = counted(summary.n_steps, "step")
    elbo, kl = number(summary.validation_elbo), number(summary.validation_kl)
    return f"{members}, {steps}; ELBO {elbo} nats per row on held-out rows, of which KL {kl}"


def _gain(summary: FitSummary) -> float:
    return summary.validation_elbo - summary.baseline_log_prob


def _is_better(summary: FitSummary) -> bool:
    # a hundredth of a nat is noise
    return _gain(summary) > 0.01


def _against_baseline(summary: FitSummary) -> str:
    if _is_better(summary):
        return f"explains {_gain(summary):.1f} nats per row more than independent columns"
    return "explains held-out rows no better than independent columns"


def _fit_warnings(summary: FitSummary) -> tuple[str, ...]:
    if _is_better(summary):
        return summary.warnings
    useless = (
        "the model found no relation between the columns: it will notice unusual values, but not unusual combinations. "
        "More rows, more columns or --preset best may help."
    )
    return (useless, *summary.warnings)


def _threshold_meaning(summary: FitSummary) -> str:
    level = summary.threshold
    promised = summary.n_effective is None or level <= summary.finest_level
    often = f"{how_often(level)} normal rows" if promised else "how many normal rows that is cannot be promised"
    return (
        f"{level:.10g} flags rows more unusual than {exact_per_cent(level)} of normal rows: "
        f"{often} ({summary.score_kind} score from {number(summary.min_score)} nats)"
    )


def _calibration(summary: FitSummary) -> str:
    rows = counted(summary.n_calibration_rows, "row")
    if summary.n_effective is not None:
        rows = worth_of(summary.n_calibration_rows, summary.n_effective, summary.n_groups)
    scored = f"{rows}, scored by networks that were not trained on them"
    finest = summary.finest_level
    if not finest:
        return f"{scored}; they are too few for any level, so this one is a guess"
    if summary.threshold <= finest:
        return f"{scored}; they resolve levels up to {finest:.6g}"
    return (
        f"{scored}; they resolve levels up to {finest:.6g} only, "
        "so this level rests on a fitted tail model, which is an estimate and not a guarantee"
    )


def _figure(figure: Figure) -> str:
    return "undefined" if figure.value is None else f"{figure.value:.4f}"


def _ends(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.4f} to {figure.high:.4f}"


def _methods(summary: EvaluateSummary) -> Table:
    """What ranks alone, without a threshold, for vaecli and the others."""
    ranked = [figure.metric for figure in summary.baselines[0].figures]
    heads = ["method"]
    for metric in ranked:
        heads += [results.METRIC_NAMES[metric], *(["95 % interval"] if summary.has_intervals else [])]
    table = empty_table(heads, numeric=[results.METRIC_NAMES[metric] for metric in ranked])
    for one in (summary.overall, *summary.baselines):
        told = [one.method]
        for metric in ranked:
            told += [_figure(one.figure(metric)), *([_ends(one.figure(metric))] if summary.has_intervals else [])]
        table.add_row(*plain_cells(*told))
    return table


def _group_table(groups: Sequence[Evaluation]) -> Table:
    """The figures of each group; their intervals are for files and --json."""
    heads = ("group", "rows", "anomalies", *results.METRIC_NAMES.values())
    table = empty_table(heads, numeric=heads[1:])
    for one in groups[:_SHOWN_GROUPS]:
        figures = [_figure(one.figure(metric)) for metric in results.METRIC_NAMES]
        told = ["–" if figure == "undefined" else figure for figure in figures]
        table.add_row(*plain_cells(one.group or "", f"{one.rows:,}", f"{one.anomalies:,}", *told))
    return table


def _novel(summary: ScoreSummary) -> str:
    cells = counted(summary.novel_cells, "cell")
    return f"{cells} with a value that training never saw; each one counts as strong evidence of an anomaly"


def _missing(summary: ReconstructSummary) -> str:
    """`50 cells: temperature 50`, the column with the most first."""
    if not summary.missing_cells:
        return "no cell is missing"
    by_column = sorted(summary.missing_by_column.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {n:,}" for name, n in by_column[:_SHOWN_CATEGORIES])
    more = len(by_column) - _SHOWN_CATEGORIES
    told = shown if more <= 0 else f"{shown}, … and {more:,} more columns"
    return f"{counted(summary.missing_cells, 'cell')}: {told}"


def _left(summary: ReconstructSummary) -> str:
    cells = counted(summary.novel_cells, "cell")
    done = "left as they are" if summary.impute else "replaced like all others"
    return f"{cells} with a value that training never saw, {done}"


def _values(column: ColumnSummary) -> str:
    """The range or the categories of a column."""
    if column.categories:
        shown = ", ".join(column.categories[:_SHOWN_CATEGORIES])
        more = len(column.categories) - _SHOWN_CATEGORIES
        return shown if more <= 0 else f"{shown}, … and {more:,} more"
    if column.minimum is None or column.maximum is None:
        return ""
    if column.kind == "datetime":
        return f"{_moment(column.minimum)} … {_moment(column.maximum)}"
    return f"{column.minimum:.6g} … {column.maximum:.6g}"


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.6g} s"


def _quoted(path: str) -> str:
    """The path as a shell reads it back."""
    import shlex

    return shlex.quote(path)


# by name: a class would be loaded to be compared with, and each costs a verb a thousandth of a second
_PAGES: dict[str, Callable[[Any], RenderableType]] = {
    "FitSummary": fit_page,
    "SensorFitSummary": sensor_fit_page,
    "ScoreSummary": score_page,
    "SensorScoreSummary": sensor_score_page,
    "PartsSummary": score_parts_page,
    "SparkSummary": spark_page,
    "CheckSummary": check_page,
    "ExplainSummary": explain_page,
    "SensorExplainSummary": sensor_explain_page,
    "EvaluateSummary": evaluate_page,
    "SensorEvaluateSummary": sensor_evaluate_page,
    "SelftestSummary": selftest_page,
    "SensorSelftestSummary": sensor_selftest_page,
    "EncodeSummary": encode_page,
    "ReconstructSummary": reconstruct_page,
    "SampleSummary": sample_page,
    "ReportSummary": report_page,
    "SensorReportSummary": sensor_report_page,
    "CalibrateSummary": calibrate_page,
    "FlagSummary": flag_page,
    "MarkSummary": mark_page,
    "InspectSummary": inspect_page,
    "PlanSummary": plan_page,
    "SettingsSummary": settings_page,
}
