"""The sections of a page about series: each has a heading, a question, a chart, and how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from vaecli.report.charts import bar, figure, legend, meter, plot, ribbon, round_steps, stroke, uprights
from vaecli.report.html import Html, element, escaped, own
from vaecli.report.incidents import incidents
from vaecli.report.sections import section, setting, settings_table
from vaecli.report.series_data import (
    Covered,
    EventDetail,
    ScoreBin,
    SensorChart,
    SeriesDetail,
    SeriesLine,
    SeriesReportData,
)
from vaecli.results.number_format import counted, duration, moment, number, per_cent
from vaecli.results.sensor_events import SensorEvent

MOST_EVENTS = 50  # in the table
MOST_SERIES = 30
MOST_RESPONSIBLE = 15
MOST_LETTERS = 400  # of a sentence
MOST_NAMES = 8  # of values without order, beside their chart
_LOGARITHMIC = 5.0  # times the threshold; an axis that reaches further grows by factors
_FAR = 5.0  # times the band of training, beyond which readings are drawn at the edge
_GROUND = 0.05  # of a chart below and above its readings


def sections(data: SeriesReportData) -> list[Html]:
    """The sections that have something to show, from the answer to what it rests on."""
    return [
        section("Events", *_events(data)),
        *([section("Incidents", *incidents(data.incidents, len(data.incidents)))] if data.incidents else []),
        *([section("Series", *_series(data))] if data.series else []),
        section("Scores and sensors over time", *_drawn(data)),
        section("Responsible sensors", *_responsible(data)),
        section("What training covers", *_coverage(data.facts.covered)),
        section("Settings", *_settings(data)),
    ]


# -- events -------------------------------------------------------------------------------------


def _events(data: SeriesReportData) -> list[Html]:
    n_events = data.facts.n_events
    if not data.events:
        return [element("p", "There is no event: no run of flagged rows.")]
    shown = data.events[:MOST_EVENTS]
    which = "All events" if len(shown) == n_events else f"The {len(shown)} highest of {n_events:,} events"
    with_series = shown[0].group is not None
    heads = [
        "event",
        *(["series"] if with_series else []),
        "start",
        "end",
        "duration",
        "peak, nats",
        "sensors responsible",
    ]
    covered = data.facts.covered
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(_event(event, covered, with_series=with_series) for event in shown)),
    )
    return [
        element(
            "p",
            f"{which}, the highest peak first. An event is a run of flagged rows of one series. A sensor's value is "
            "its reading furthest from what was expected; expected is the mean, ± one standard deviation, of the rows "
            "before the event.",
        ),
        element("div", table, class_="events"),
    ]


def _event(event: SensorEvent, covered: Covered, *, with_series: bool) -> Html:
    cells = [("event", escaped(f"{event.event:,}"))]
    if with_series:
        cells.append(("series", own(event.group or "(none)")))
    cells += [
        ("start", escaped(str(event.start))),
        ("end", escaped(f"{event.end}{' (open)' if event.open else ''}")),
        ("duration", escaped(_length(event, covered))),
        ("peak, nats", escaped(number(event.peak_score))),
    ]
    sensors = [
        element("li", element("b", f"{sensor.direction}: "), own(sensor.reason.sentence, 220))
        for sensor in event.sensors
    ]
    sentence = element("p", own(event.sentence, MOST_LETTERS), class_="sentence")
    told = element("td", element("ol", *sensors), element("details", element("summary", "in a sentence"), sentence))
    return element("tr", *(element("td", text, data_label=name) for name, text in cells), told)


def _length(event: SensorEvent, covered: Covered) -> str:
    """How long an event lasted, and how many rows that are."""
    rows = counted(event.rows, "row")
    if covered.clock is None:
        return rows
    span = event.times[1] - event.times[0]
    return f"{duration(span) if covered.is_moment else number(span)}, {rows}"


# -- series -------------------------------------------------------------------------------------


def _series(data: SeriesReportData) -> list[Html]:
    shown = data.series[:MOST_SERIES]
    heads = ("series", "flagged rows", "events", "highest score", "rows", "from", "to")
    rows = [_series_row(line) for line in shown]
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    n_all = data.facts.n_series
    which = "All series" if len(shown) == n_all else f"The {len(shown)} worst of {n_all:,} series"
    return [
        element("p", f"{which}, those with the most flagged rows first."),
        element("div", table, class_="events"),
    ]


def _series_row(line: SeriesLine) -> Html:
    new = [element("span", " not in training", class_="nats")] if line.is_new else []
    share = line.flagged / line.rows if line.rows else 0.0
    cells = (
        f"{line.flagged:,} ({per_cent(share)})",
        f"{line.events:,}",
        number(line.highest) if math.isfinite(line.highest) else "–",
        f"{line.rows:,}",
        line.first,
        line.last,
    )
    return element("tr", element("td", own(line.name or "(none)"), *new), *(element("td", cell) for cell in cells))


# -- scores and sensors over time -----------------------------------------------------------------


def _drawn(data: SeriesReportData) -> list[Html]:
    if not data.drawn:
        return [element("p", "Nothing to show: no row has a time and a score.")]
    parts = [
        element(
            "p",
            "When rows were unusual, and below it what the sensors responsible did before, during and after the "
            "highest events." + (" The worst series come first." if len(data.drawn) > 1 else ""),
        ),
        legend(
            ("readings", "scores or readings, from the least to the largest"),
            ("odd", "of flagged rows"),
            ("event", "event"),
            ("limit", f"threshold, {number(data.facts.min_score)} nats, or what was expected before the event"),
            ("band", "training, mean ± 2 deviations"),
        ),
    ]
    for detail in data.drawn:
        if detail.name is not None:
            parts.append(element("h3", own(detail.name or "(none)")))
        parts.append(_line(detail, data))
        parts += [_event_detail(one, data.facts.covered) for one in detail.details]
    return parts


def _line(detail: SeriesDetail, data: SeriesReportData) -> Html:
    facts, bins = data.facts, detail.bins
    low, high = bins[0].begin, bins[-1].end
    span = (high - low) or 1.0
    limit = facts.min_score
    bottom = min(0.0, min(one.low for one in bins))
    top = max(max(one.high for one in bins), limit) * 1.03
    is_log = limit > 0 and top > _LOGARITHMIC * limit

    def height(score: float) -> float:
        if is_log:
            return math.log1p((score - bottom) / limit) / math.log1p((top - bottom) / limit)
        return (score - bottom) / ((top - bottom) or 1.0)

    def place(time: float) -> float:
        return min(max((time - low) / span, 0.0), 1.0)

    marks = [
        bar(place(begin), max(place(end), place(begin) + 0.002), 1.0, "event")
        for begin, end in detail.spans
        if end >= low and begin <= high
    ]
    for run in _runs(bins, facts.covered.max_gap):
        middles = [place(0.5 * (one.begin + one.end)) for one in run]
        marks.append(ribbon(middles, [height(one.low) for one in run], [height(one.high) for one in run], "scores"))
    flagged = [one for one in bins if one.flagged]
    at = [(place(0.5 * (one.begin + one.end)), height(max(one.low, limit)), height(one.high)) for one in flagged]
    marks.append(uprights(at, "odd"))
    if bottom <= limit <= top:
        marks.append(stroke([(0, 1 - height(limit)), (1, 1 - height(limit))], "limit"))
    ticks = [bottom, *_by_factors(limit, top)] if is_log else round_steps(bottom, top, 4)
    outside = "" if not detail.n_outside else f" {counted(detail.n_outside, 'row')} far off in time are not drawn."
    hidden = detail.n_events - len(detail.spans)
    more = "" if hidden <= 0 else f" The {len(detail.spans)} highest of {detail.n_events:,} events are shaded."
    chart = plot(
        marks,
        alt=f"Scores along time, with {counted(detail.n_events, 'event')}",
        x=_times(low, high, facts.covered),
        y=[(height(value), number(value)) for value in ticks],
        unit=f"{facts.score_kind} score, nats",
        kind="low",
    )
    return figure(
        chart,
        caption=f"Each step across is a stretch of {_width(bins[0], facts.covered)}. "
        f"The line is broken where the clock has a gap.{more}{outside}",
    )


def _runs(bins: Sequence[ScoreBin], max_gap: float) -> list[list[ScoreBin]]:
    """Bins without a gap of the clock between them."""
    runs = [[bins[0]]]
    for before, one in pairwise(bins):
        if one.begin - before.end > max_gap:
            runs.append([])
        runs[-1].append(one)
    return runs


def _by_factors(limit: float, top: float) -> list[float]:
    """The threshold, and the powers of ten with their doubles and halves above it that are not too near each other."""
    values = [factor * 10.0**k for k in range(-3, 12) for factor in (1, 3)]
    return [limit, *(value for value in values if 2 * limit < value <= top)][:7]


def _width(one: ScoreBin, covered: Covered) -> str:
    width = one.end - one.begin
    if covered.clock is None:
        return counted(round(width), "row")
    return duration(width) if covered.is_moment else number(width)


def _times(low: float, high: float, covered: Covered, n_ticks: int = 5) -> list[tuple[float, str]]:
    """Evenly spaced times below a chart; rows count from 1."""
    values = [(i / (n_ticks - 1), low + (high - low) * i / (n_ticks - 1)) for i in range(n_ticks)]
    if covered.clock is None:
        return [(place, f"{round(value) + 1:,}") for place, value in values]
    return [(place, moment(value, high - low) if covered.is_moment else number(value)) for place, value in values]


def _event_detail(detail: EventDetail, covered: Covered) -> Html:
    event = detail.event
    head = element("p", element("b", f"Event {event.event:,}"), " ", own(f"from {event.start} to {event.end}"))
    cards = [_sensor(detail, chart, covered) for chart in detail.sensors]
    return element(
        "div",
        head,
        element("div", *cards, class_="cards"),
        class_="event-detail",
    )


def _sensor(detail: EventDetail, chart: SensorChart, covered: Covered) -> Html:
    """One small chart: a sensor's readings around an event."""
    sensor, reason = chart.sensor, chart.sensor.reason
    title = element("h3", own(reason.column), f" {sensor.direction}")
    told = element("p", own(reason.sentence, 220))
    present = [value for value in (*chart.low, *chart.high) if value is not None]
    if not present:
        return element("div", title, told, element("p", "no readings"), class_="card")
    expected = reason.expected if isinstance(reason.expected, int | float) else None
    shown = [*present, *(chart.band or ()), *([] if expected is None else [expected])]
    low, high = min(shown), max(shown)
    cut = element("p", "readings far outside are drawn at the edge")
    if chart.band is not None and chart.band[0] < chart.band[1]:
        reach = _FAR * (chart.band[1] - chart.band[0])
        low, high = max(low, chart.band[0] - reach), min(high, chart.band[1] + reach)
    is_cut = low > min(shown) or high < max(shown)
    margin = _GROUND * (high - low) or abs(high) * _GROUND or 0.5
    low, high = low - margin, high + margin
    span = detail.end - detail.begin
    n_bins = len(chart.low)

    def height(value: float) -> float:
        return min(max((value - low) / (high - low), 0.0), 1.0)

    begin, end = ((time - detail.begin) / span for time in detail.event.times[:2])
    marks = [bar(begin, max(end, begin + 1 / n_bins), 1.0, "event")]
    if chart.band is not None:
        marks.append(ribbon([0, 1], [height(chart.band[0])] * 2, [height(chart.band[1])] * 2, "band"))
    if expected is not None:
        marks.append(stroke([(0, 1 - height(expected)), (1, 1 - height(expected))], "limit"))
    places: list[tuple[float, float, float, bool]] = []
    for i, (least, most) in enumerate(zip(chart.low, chart.high, strict=True)):
        if least is not None and most is not None:
            places.append(((i + 0.5) / n_bins, height(least), height(most), detail.flagged[i]))
    marks += _reading_lines(places, 3 / n_bins + 2 * covered.max_gap / span)
    marks.append(uprights([(x, a, b) for x, a, b, flagged in places if flagged], "odd"))
    plotted = _small_plot(marks, chart, detail, covered, low, high)
    return element("div", title, told, *([cut] if is_cut else []), plotted, class_="card")


def _reading_lines(places: Sequence[tuple[float, float, float, bool]], far: float) -> list[Html]:
    """Ribbons from the least to the largest reading, broken where readings lie `far` apart."""
    marks, run = [], list(places[:1])
    for before, one in pairwise(places):
        if one[0] - before[0] > far:
            marks.append(run)
            run = []
        run.append(one)
    return [
        ribbon([x for x, *_ in run], [low for _, low, *_ in run], [high for _, _, high, _ in run], "readings")
        for run in [*marks, run]
    ]


def _small_plot(
    marks: Sequence[Html], chart: SensorChart, detail: EventDetail, covered: Covered, low: float, high: float
) -> Html:
    if chart.names:
        ticks = [
            ((i - low) / (high - low), name[:12]) for i, name in enumerate(chart.names[:MOST_NAMES]) if low <= i <= high
        ]
    else:
        ticks = [((value - low) / (high - low), number(value)) for value in round_steps(low, high, 3)]
    return plot(
        marks,
        alt="Readings before, during and after the event",
        x=[(0.02 + 0.96 * place, text) for place, text in _times(detail.begin, detail.end, covered, 3)],
        y=ticks,
        kind="sensor",
    )


# -- sensors ------------------------------------------------------------------------------------


def _responsible(data: SeriesReportData) -> list[Html]:
    if not data.responsible:
        return [element("p", "There is no event, so there is nothing to attribute to sensors.")]
    shown, n_events = data.responsible[:MOST_RESPONSIBLE], data.facts.n_events
    bars = []
    for one in shown:
        ways = ", ".join(f"{direction} {n:,}" for direction, n in one.directions)
        bars.append(
            element(
                "div",
                element("div", own(one.column), class_="name"),
                meter(one.n_events / n_events, "odd"),
                element("div", f"{counted(one.n_events, 'event')}, first in {one.n_first:,}", class_="value"),
                element("div", ways, class_="ways"),
                class_="bar",
            )
        )
    more = len(data.responsible) - len(shown)
    also = "" if more <= 0 else f" {counted(more, 'other column')} are responsible less often."
    return [
        element("p", "Where to look first: in how many events a sensor is one of the up to three responsible."),
        figure(
            *bars,
            caption="Below each name is the way it went: up or down from what was expected, flat where it hardly "
            "moves any more, noisy where it moves more than usual, changed for values without order." + also,
        ),
    ]


# -- training -----------------------------------------------------------------------------------


def _coverage(covered: Covered) -> list[Html]:
    unit = " s" if covered.is_moment else ""
    worth = f"{counted(covered.n_rows, 'row')}, worth about {counted(covered.n_effective, 'independent row')}"
    if covered.finest_level:
        levels = f"levels up to {covered.finest_level:.4g}; how many normal rows a finer one flags cannot be promised"
    else:
        levels = "none: training is worth too few independent rows to promise how many normal rows are flagged"
    rows = [
        ("clock", "the order of the rows" if covered.clock is None else covered.clock),
        ("time", f"{covered.first} to {covered.last}"),
        ("series", f"{covered.n_series:,}"),
        ("sensors", f"{covered.n_sensors:,}"),
        ("step", f"a row each {covered.step:.6g}{unit}"),
        ("windows", f"{covered.window} rows; none spans a step longer than {covered.max_gap:.6g}{unit}"),
        ("calibration", worth),
        ("levels that are resolved", levels),
    ]
    table = element("table", element("tbody", *(setting(name, value) for name, value in rows)), class_="settings")
    return [*(element("p", f"{sentence[0].upper()}{sentence[1:]}.") for sentence in covered.missing), table]


# -- settings -----------------------------------------------------------------------------------


def _settings(data: SeriesReportData) -> list[Html]:
    facts = data.facts
    decided = facts.alarm_budget or ("--min-score" if facts.threshold is None else f"level {facts.threshold:.10g}")
    first = (
        ("table", facts.table),
        *([("rows of the table", facts.long)] if facts.long else []),
        ("score", f"{facts.score_kind}{', offline' if facts.offline else ''}"),
        ("threshold", f"{decided}: scores from {number(facts.min_score)} nats"),
    )
    return settings_table((*first, *data.settings))
