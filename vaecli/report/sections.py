"""The sections of a page: each has a heading, a question, a chart, and how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaecli.report.charts import bar, dots, figure, legend, meter, plot, round_steps, steps, stroke
from vaecli.report.columns import columns
from vaecli.report.data import Point, ReportData, Timeline
from vaecli.report.html import Html, element, escaped, own, together
from vaecli.report.images import pictures
from vaecli.report.incidents import incidents
from vaecli.results import FlaggedRow, Reason, TrainingCheck
from vaecli.results.number_format import bin_width, counted, moment, number, per_cent
from vaecli.results.reasons import TextSpan

MOST_SETTINGS = 80
LEAST_SHARE = 1e-6  # at the foot of the scores' axis, when rows are that many
LONGEST_STRING = 120  # characters of one that are shown
ALL_TOGETHER = "the columns together: no single one explains this part"


def sections(data: ReportData) -> list[Html]:
    """The sections that have something to show, from the answer to what it rests on."""
    return [
        section("Most unusual rows", *_worst(data)),
        *([section("Incidents", *incidents(data.incidents, data.n_incidents))] if data.incidents else []),
        *([section("Pictures", *pictures(data, data.pictures))] if data.pictures is not None else []),
        section("Responsible columns", *_contributions(data)),
        section("Scores against normal rows", *_scores(data)),
        section(
            f"Over time, by {_cut(data.timeline.column)}" if data.timeline.column else "Along the table",
            *_timeline(data),
        ),
        section("Map of the rows", *_map(data)),
        section("Columns, training against this table", *columns(data)),
        section("How the model learned", *_training(data)),
        section("Settings", *_settings(data)),
    ]


def section(heading: str, *parts: str) -> Html:
    """A part of the page under its heading."""
    return element("section", element("h2", heading), *parts)


def _cut(text: str | None, most: int = 60) -> str:
    text = text or ""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _said(text: str) -> Html:
    return element("p", text)


# -- rows ---------------------------------------------------------------------------------------


def _worst(data: ReportData) -> list[Html]:
    if not data.worst:
        return [_said("No row is flagged.")]
    shown, flagged = len(data.worst), data.facts.flagged
    which = "All flagged rows" if shown == flagged else f"The {shown} most anomalous of {flagged:,} flagged rows"
    heads = ("row", "score", "as anomalous among normal rows", "why: cell, expected instead, part of the score")
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(_row(row, data.facts.n_calibration_rows) for row in data.worst)),
    )
    return [
        _said(
            f"{which}, the most anomalous first. Rows count from 1, the header not counted. What a column is "
            "expected to hold comes from the other cells of the same row."
        ),
        element("div", table, class_="worst"),
    ]


def _row(row: FlaggedRow, n_normal: int) -> Html:
    """One row of the table."""
    told = [(reason.nats, sentence(reason)) for reason in row.named]
    if row.rest > 0.5 * row.score or not told:
        told.append((row.rest, escaped(ALL_TOGETHER)))
    reasons = [
        element("li", text, " ", element("span", f"{number(nats, 3)} nats", class_="nats")) for nats, text in told
    ]
    return element(
        "tr",
        element("td", f"{row.row:,}", data_label="row"),
        element("td", number(row.score), data_label="score"),
        element("td", _odds(row.p_value, n_normal), data_label="as anomalous among normal rows"),
        element("td", element("ol", *reasons)),
    )


def _odds(p_value: float, n_normal: int) -> str:
    """A p-value that only a tail model gives, below 1 in all calibration rows, is not shown as a count."""
    if p_value < 1 / (n_normal + 1):
        return f"none of {n_normal:,}"
    return f"1 in {number(round(1 / p_value))}" if p_value <= 0.5 else per_cent(p_value)


def sentence(reason: Reason) -> Html:
    """The reason's sentence, its column marked; what comes from the table keeps its own direction of writing.

    Characters that make a string unusual are marked in it.
    """
    before = reason.before
    if reason.spans:
        column = element("b", own(reason.column), class_="column")
        phrases = element("bdi", escaped(reason.spans_phrase, 220), dir="ltr")
        return together(before, column, " = ", _marked_string(str(reason.value), reason.spans), ", ", phrases)
    rest, name = reason.sentence.removeprefix(reason.column), element("b", own(reason.column), class_="column")
    return together(before, name, element("bdi", escaped(rest, 220), dir="ltr"))


def _marked_string(text: str, spans: Sequence[TextSpan]) -> Html:
    """The string around its first span, with all spans in it marked; a place where something is missing is a bar."""
    first = max(spans[0].start - LONGEST_STRING // 2, 0)
    last = min(first + LONGEST_STRING, len(text))
    parts, done = ["“" if first == 0 else "“…"], first
    for span in sorted(spans, key=lambda span: span.start):
        start, stop = max(span.start, done), min(max(span.stop, done), last)
        if span.start < done or start > last:
            continue
        parts += [escaped(text[done:start]), element("mark", escaped(text[start:stop]) if stop > start else "|")]
        done = stop
    parts += [escaped(text[done:last]), "”" if last == len(text) else "…”"]
    return element("bdi", *parts, dir="ltr", class_="string")


# -- responsible columns ---------------------------------------------------------------------------


def _contributions(data: ReportData) -> list[Html]:
    found = data.contributions
    if not found.n_rows:
        return [_said("No row is flagged, so there is nothing to attribute to columns.")]
    rest = max(found.rest, 0.0)  # scores may be negative: log densities are
    total = sum(column.nats for column in found.columns) + found.others + rest or 1.0
    scale = max(rest, found.others, 1e-12, *(column.nats for column in found.columns))
    rows = [(own(column.column), column.nats, f", first in {column.n_first:,}", "odd") for column in found.columns]
    if found.n_others and found.others > 0:
        rows.append((escaped(f"{counted(found.n_others, 'other column')}"), found.others, "", "normal"))
    rows.append((escaped("the columns together"), rest, "", "normal"))
    bars = [
        element(
            "div",
            element("div", name, class_="name"),
            meter(nats / scale, kind),
            element("div", _share(nats / total) + first, class_="value"),
            class_="bar",
        )
        for name, nats, first, kind in rows
    ]
    all_of_them = found.n_rows >= data.facts.flagged
    which = (
        "all flagged rows"
        if all_of_them
        else f"the {found.n_rows} most anomalous of {data.facts.flagged:,} flagged rows"
    )
    return [
        _said("Where to look first: what makes the flagged rows anomalous, column by column."),
        figure(
            *bars,
            caption=f"Added up over {which}: how much of the score each column takes away when its cell is replaced by "
            "what the other columns lead one to expect, and in how many rows it is the first reason. “The columns "
            "together” is what no single cell explains: unusual combinations.",
        ),
    ]


def _share(share: float) -> str:
    return per_cent(share) if share >= 0.001 or share == 0 else "under 0.1 %"


# -- scores -------------------------------------------------------------------------------------


def _scores(data: ReportData) -> list[Html]:
    found, facts = data.scores, data.facts
    n_scored, n_normal = sum(found.scored), sum(found.normal)
    if not n_scored:
        return [_said("No row has a score.")]
    low, high = found.edges[0], found.edges[-1]
    smallest = min(
        count / n for counts, n in ((found.scored, n_scored), (found.normal, n_normal)) for count in counts if count
    )
    decades = next((k for k in range(1, 7) if 10.0**-k <= smallest), 6)
    n_bins = len(found.edges) - 1
    units = n_bins + 4  # the bins, a gap, and one more as wide as three

    def height(count: int, n: int) -> float:
        share = count / n if n else 0.0
        return max(0.0, 1 + math.log10(share) / decades) + 0.004 if share >= LEAST_SHARE else 0.0

    def place(score: float) -> float:
        return (score - low) / (high - low) * n_bins / units

    limit = facts.min_score
    marks: list[Html] = []
    for i, count in enumerate(found.scored[:-1]):
        if count:
            kind = "odd" if found.edges[i] >= limit else "here"
            title = f"{number(found.edges[i])} to {number(found.edges[i + 1])} nats: {counted(count, 'row')}"
            marks.append(bar((i + 0.06) / units, (i + 0.94) / units, height(count, n_scored), kind, title))
    beyond_kind = "odd" if high >= limit else "here"
    beyond = found.scored[-1]
    if beyond:
        title = f"beyond {number(high)} nats: {counted(beyond, 'row')}"
        marks.append(bar((n_bins + 1) / units, 1.0, height(beyond, n_scored), beyond_kind, title))
    edges = [i / units for i in range(n_bins + 1)]
    marks.append(steps(edges, [height(count, n_normal) for count in found.normal[:-1]], "outline"))
    if found.normal[-1]:
        marks.append(steps([(n_bins + 1) / units, 1.0], [height(found.normal[-1], n_normal)], "outline"))
    has_limit = low <= limit <= high
    if has_limit:
        marks.append(stroke([(place(limit), 0), (place(limit), 1)], "limit"))
    ticks = [(place(value), number(value)) for value in round_steps(low, high) if place(value) < 0.85]
    y = [(1 - k / decades, per_cent(10.0**-k)) for k in range(decades + 1)]
    entries = [("here", "rows of this table"), ("odd", "of them flagged"), ("line", "normal rows")]
    if has_limit:
        entries.append(("limit", f"threshold, {number(limit)} nats"))
    off = ""
    if beyond:
        largest = f", the largest {number(data.worst[0].score)}" if data.worst else ""
        off = f" {counted(beyond, 'row')} ({per_cent(beyond / n_scored)}) score beyond {number(high)} nats{largest}: "
        off += "the bar on the right."
    chart = plot(
        marks,
        alt=f"Histogram of the scores of {n_scored:,} rows against those of {n_normal:,} normal rows",
        x=[*ticks, (0.99, "more")],
        y=y,
        unit="share of rows",
    )
    return [
        _said("How anomalous the rows are, beside the normal rows on which the threshold was set."),
        figure(
            legend(*entries),
            chart,
            caption=f"Across: the {facts.score_kind} score in nats, more anomalous to the right. Upwards: the share "
            "of rows, each line ten times the one below. Bars that stand above the outline are scores that this table "
            f"has more often than normal rows do.{off}",
        ),
    ]


# -- time ---------------------------------------------------------------------------------------


def _timeline(data: ReportData) -> list[Html]:
    found, chance = data.timeline, data.facts.share_by_chance
    if not found.stretches:
        why = "no row has a readable time" if found.column else "the table has no rows"
        return [_said(f"Nothing to show: {why}.")]
    low, high = found.stretches[0].start, found.stretches[-1].start + found.width
    last = high if found.column is not None else float(data.facts.rows)
    if found.column is None:
        high = last + 1
    span = high - low
    shares = [stretch.flagged / stretch.rows for stretch in found.stretches]
    top = _nice_top(max(max(shares), min(2 * chance, 1.0)))
    marks = []
    for stretch, share in zip(found.stretches, shares, strict=True):
        left, right = (stretch.start - low) / span, min((stretch.start + found.width - low) / span, 1.0)
        when = _when(stretch.start, span, found.is_date)
        title = f"{when}: {stretch.flagged:,} of {counted(stretch.rows, 'row')} flagged"
        marks.append(bar(left, right, 0.012, "normal"))
        marks.append(bar(left + 0.08 * (right - left), right - 0.08 * (right - left), share / top, "odd", title))
    if chance <= top:
        marks.append(stroke([(0, 1 - chance / top), (1, 1 - chance / top)], "limit"))
    n_ticks = 5 if span > 4 else 2
    ticks = [(i / (n_ticks - 1), low + (last - low) * i / (n_ticks - 1)) for i in range(n_ticks)]
    if found.column is None:
        ticks = [(place, round(value)) for place, value in ticks]
    below = [(place, _when(value, span, found.is_date)) for place, value in ticks]
    each = bin_width(found.width) if found.is_date else number(found.width)
    if found.column is None:
        each = counted(int(found.width), "row")
    without = _not_shown(found)
    along = "Time, in UTC," if found.is_date else "The number of the row" if found.column is None else "The time column"
    chart = plot(
        marks,
        alt="Share of rows that are flagged, from the first to the last",
        x=below,
        y=[(value / top, per_cent(value)) for value in round_steps(0, top, 4)],
        unit="flagged rows",
        kind="low",
    )
    return [
        _said("When unusual rows came: in a burst, more and more, or all along."),
        figure(
            legend(
                ("odd", "share of rows flagged"),
                ("limit", f"by chance alone, {per_cent(chance)}"),
                ("normal", "there are rows"),
            ),
            chart,
            caption=f"{along} runs to the right; each bar is a stretch of {each}, its height the share of its rows "
            f"that are flagged. Where the line at the foot is broken there are no rows.{without}",
        ),
    ]


def _not_shown(found: Timeline) -> str:
    """Rows that are in no stretch."""
    told = ""
    if found.outside is not None:
        off, span = found.outside, found.outside.last - found.outside.first
        first, last = (_when(value, span, found.is_date) for value in (off.first, off.last))
        told = f" Outside, far off, {'lies' if off.rows == 1 else 'lie'} {counted(off.rows, 'row')}, of which "
        told += f"{'none' if not off.flagged else f'{off.flagged:,}'} {'is' if off.flagged <= 1 else 'are'} flagged: "
        told += f"all rows together reach from {first} to {last}."
    if found.n_without_time:
        told += f" {counted(found.n_without_time, 'row')} without a readable time are not shown."
    return told


def _nice_top(value: float) -> float:
    for top in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
        if value <= top:
            return top
    return 1.0


def _when(value: float, span: float, is_date: bool) -> str:
    return moment(value, span) if is_date else number(value)


# -- map ----------------------------------------------------------------------------------------


def _map(data: ReportData) -> list[Html]:
    found = data.map
    if found is None:
        return [_said("The model describes a row by a single number, so there is no map.")]
    frame = _frame((*found.training, *found.normal), found.flagged)
    groups = [
        (_placed(points, frame), kind)
        for points, kind in ((found.training, "training"), (found.normal, "here"), (found.flagged, "odd"))
    ]
    n_outside = sum(not (0 <= x <= 1 and 0 <= y <= 1) for points, _ in groups[1:] for x, y in points)
    marks = [dots([(_within(x), _within(y)) for x, y in points], kind) for points, kind in groups]
    outside = (
        f" {counted(n_outside, 'dot')} beyond the frame {'is' if n_outside == 1 else 'are'} drawn at its edge."
        if n_outside
        else ""
    )
    chart = plot(
        marks,
        alt=f"Map of {len(found.normal):,} rows that are not flagged and {len(found.flagged):,} flagged rows",
        x=[(0.99, "first direction →")],
        unit="second direction ↑",
        kind="map",
    )
    return [
        _said("Each dot is a row; rows that the model takes to be similar lie near each other."),
        figure(
            legend(("training", "rows of training"), ("here dot", "rows of this table"), ("odd dot", "flagged rows")),
            chart,
            caption="The two directions along which training rows differ most. A group of flagged dots is one kind of "
            "anomaly; flagged dots among the others are rows that are anomalous in a way the map has no room for. "
            f"Shown are a sample of the rows and the most anomalous flagged ones.{outside}",
        ),
    ]


Frame = tuple[float, float, float, float]


def _frame(usual: Sequence[Point], flagged: Sequence[Point]) -> Frame:
    """From the bulk of the usual rows a wide margin outwards, or as far as any row is."""
    ends: list[float] = []
    for axis in (0, 1):
        values = sorted(point[axis] for point in usual) or sorted(point[axis] for point in flagged) or [0.0]
        everyone = [*values, *(point[axis] for point in flagged)]
        low, high = values[int(0.01 * (len(values) - 1))], values[int(0.99 * (len(values) - 1))]
        margin = 0.6 * (high - low) or 1.0
        ends += [max(low - margin, min(everyone) - 0.05 * margin), min(high + margin, max(everyone) + 0.05 * margin)]
    return ends[0], ends[1], ends[2], ends[3]


def _placed(points: Sequence[Point], frame: Frame) -> list[Point]:
    left, right, low, high = frame
    width, height = (right - left) or 1.0, (high - low) or 1.0
    return [((x - left) / width, 1 - (y - low) / height) for x, y in points]


def _within(place: float) -> float:
    return min(max(place, 0.006), 0.994)


# -- training -----------------------------------------------------------------------------------


def _training(data: ReportData) -> list[Html]:
    found = data.training
    if len(found.history) < 2:
        return [_said("This bundle holds no training curve: it is older than the curve, or training was very short.")]
    elbo = _curve(found.history, "elbo", found.kept, found.baseline)
    kl = _curve(found.history, "kl", found.kept, None)
    against = ""
    if found.baseline is not None and found.kept is not None:
        gain = found.kept.elbo - found.baseline
        against = f" It ends {number(abs(gain))} nats per row {'above' if gain >= 0 else 'below'} independent columns, "
        against += "which know no relation between columns."
    return [
        _said("Whether training went well: the curve should rise and then flatten."),
        element(
            "div",
            figure(
                elbo,
                caption="ELBO of rows that the networks were not trained on, nats per row: higher means that the model "
                f"finds normal rows more probable. The dot is the state that was kept.{against}",
            ),
            figure(
                kl,
                caption="KL of the same rows, nats per row: how much the code holds about a row. Near zero, the model "
                "would ignore its code.",
            ),
            class_="pair",
        ),
    ]


def _curve(history: Sequence[TrainingCheck], what: str, kept: TrainingCheck | None, baseline: float | None) -> Html:
    points = [(float(check.step), float(getattr(check, what))) for check in history]
    ascending = sorted(value for _, value in points)
    low, high = ascending[0], ascending[-1]
    quarter = ascending[len(ascending) // 4]
    low = max(low, quarter - 1.5 * (high - quarter))  # the first steps may be far below all others
    near = baseline is not None and low - 2 * (high - low) <= baseline <= high + 2 * (high - low)
    if baseline is not None and near:
        low, high = min(low, baseline), max(high, baseline)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    first, last = points[0][0], points[-1][0]

    def place(step: float, value: float) -> Point:
        return (step - first) / max(last - first, 1.0), min(1 - (value - low) / (high - low), 1.0)

    marks = [stroke([place(*point) for point in points], "curve")]
    if baseline is not None and near:
        marks.append(stroke([(0, place(first, baseline)[1]), (1, place(first, baseline)[1])], "limit"))
    if kept is not None:
        marks.append(dots([place(kept.step, float(getattr(kept, what)))], "kept"))
    chart = plot(
        marks,
        alt=f"{what.upper()} of held-out rows at each check, from {number(points[0][1])} to {number(points[-1][1])}",
        x=[(place(value, low)[0], number(value)) for value in round_steps(first, last, 4)],
        y=[(1 - place(first, value)[1], number(value)) for value in round_steps(low, high, 4)],
        unit=f"{what.upper()}, nats per row, by step of training",
        kind="low",
    )
    entries = [("line blue", f"{what.upper()} of held-out rows")]
    return together(legend(*entries, *([("limit", "independent columns")] if near else [])), chart)


# -- settings -----------------------------------------------------------------------------------


def _settings(data: ReportData) -> list[Html]:
    facts = data.facts
    decision = f"level {facts.threshold:.10g}" if facts.threshold is not None else "--min-score"
    first = (
        ("table", facts.table),
        ("score", facts.score_kind),
        ("threshold", f"{decision}: scores from {number(facts.min_score)} nats"),
        ("normal rows that calibrate", f"{facts.n_calibration_rows:,}"),
    )
    return settings_table((*first, *data.settings))


def settings_table(settings: Sequence[tuple[str, str]]) -> list[Html]:
    """Names and values in a folded table."""
    rows = (setting(name, value) for name, value in settings[:MOST_SETTINGS])
    table = element("table", element("tbody", *rows), class_="settings")
    return [element("details", element("summary", "What this page was made with"), table)]


def setting(name: str, value: str) -> Html:
    """A name and a value in a table."""
    return element("tr", element("td", escaped(name, 80)), element("td", own(value, 160)))
