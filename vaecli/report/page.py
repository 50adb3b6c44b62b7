"""`ReportData` → one HTML page: the answer first, then where, why, and what it rests on.

The page needs nothing: its policy forbids every request and every script, and it has neither.
"""

from __future__ import annotations

import math

from vaecli.report import sections
from vaecli.report.css import STYLE
from vaecli.report.data import Facts, ReportData
from vaecli.report.html import Html, element, own, together
from vaecli.results.number_format import counted, exact_per_cent, number, per_cent, times

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
MOST_WARNINGS = 8
CERTAIN = 0.01  # chance that no row of a normal table is as anomalous as one is
FEW = 0.1  # rows by chance, below which a ratio to them means nothing
TELLS_NOTHING = 0.5  # of normal rows flagged: to be among them is no sign of anything
SURE = 2.33  # standard deviations beyond which a count is not chance, once in a hundred tables


def page(data: ReportData) -> str:
    """The whole page as HTML."""
    return document(data.facts.table, *_top(data), *sections.sections(data))


def document(table: str, *content: Html) -> str:
    """A whole page about a table as HTML, with its policy, style and foot."""
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'),
        element("title", f"{table[:100]} · vaecli report"),
        element("style", STYLE),
    )
    body = element("body", element("main", *content, _foot()))
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def headline(data: ReportData) -> str:
    """Whether there is something to look at, in a sentence."""
    facts = data.facts
    if not facts.rows:
        return "Nothing to look at: the table has no rows."
    if not facts.scored:
        return f"No answer: none of the {facts.rows:,} rows could be scored."
    if not facts.flagged:
        return f"Nothing stands out: none of {counted(facts.scored, 'row')} is flagged."
    are = "is" if facts.flagged == 1 else "are"
    found = f"{facts.flagged:,} of {counted(facts.scored, 'row')} {are}"
    if is_beyond_chance(facts):
        if by_chance(facts) < FEW:
            return f"Worth a look: {found} unusual, where of normal rows hardly any would be."
        ratio = facts.flagged / by_chance(facts)
        return f"Worth a look: {found} unusual, {times(ratio)} times as many as among normal rows."
    tells_nothing = f"{found} flagged, where {_of_normal(facts)} would be. {_too_low(facts)}."
    if data.worst and data.worst[0].p_value * facts.scored < CERTAIN:
        anomalous_row = f"row {data.worst[0].row:,} is more anomalous than chance explains"
        if facts.share_by_chance >= TELLS_NOTHING:
            return f"Worth a look: {anomalous_row}. But {tells_nothing}"
        return f"Worth a look: {found} unusual, no more than by chance, but {anomalous_row}."
    if facts.share_by_chance >= TELLS_NOTHING:
        return f"No answer: {tells_nothing}"
    how_many = "fewer than" if is_below_chance(facts) else "about as many as"
    return f"As usual: {found} flagged, {how_many} among normal rows."


def by_chance(facts: Facts) -> float:
    """How many rows would be flagged if all of them were normal."""
    return facts.share_by_chance * facts.scored


def is_beyond_chance(facts: Facts) -> bool:
    """Whether more rows are flagged than a normal table has once in a hundred times, by a normal approximation."""
    return facts.flagged > by_chance(facts) + _margin(facts)


def is_below_chance(facts: Facts) -> bool:
    """Whether fewer rows are flagged than a normal table has once in a hundred times."""
    return facts.flagged < by_chance(facts) - _margin(facts)


def _margin(facts: Facts) -> float:
    others = 1 - facts.share_by_chance
    return SURE * math.sqrt(by_chance(facts) * others * (1 + facts.scored / max(facts.n_calibration_rows, 1))) + 0.5


def _of_normal(facts: Facts) -> str:
    return "all normal rows" if facts.share_by_chance >= 1 else f"{per_cent(facts.share_by_chance)} of normal rows"


def _too_low(facts: Facts) -> str:
    option = f"--min-score {facts.min_score:g}" if facts.threshold is None else f"--threshold {facts.threshold:g}"
    return f"{option} is too low to separate anomalous rows from normal ones"


def _top(data: ReportData) -> list[Html]:
    facts = data.facts
    said = headline(data)
    kind = "mark odd" if said.startswith(("Worth", "No answer")) else "mark"
    warnings = [element("p", warning, class_="warning", role="note") for warning in facts.warnings[:MOST_WARNINGS]]
    return [
        element("p", "vaecli report · ", own(facts.table, 120), class_="from"),
        element("h1", element("span", class_=kind), said),
        *_lead(data),
        _figures(facts),
        *warnings,
    ]


def _lead(data: ReportData) -> list[Html]:
    facts = data.facts
    if not facts.scored:
        return []
    told = []
    if data.worst and data.worst[0].reasons:
        worst = data.worst[0]
        told.append(together(f"Start with row {worst.row:,}: ", sections.sentence(worst.reasons[0]), Html(". ")))
    shown = data.contributions
    if shown.columns and shown.n_rows > 1:
        first = max(shown.columns, key=lambda column: column.n_first)
        if first.n_first >= 0.25 * shown.n_rows:
            told.append(
                together(
                    "Of the flagged rows that were explained, ",
                    f"{per_cent(first.n_first / shown.n_rows)} have ",
                    element("b", own(first.column)),
                    " as the first reason.",
                )
            )
    return (
        [element("p", *told, class_="lead"), element("p", _meaning(facts))] if told else [element("p", _meaning(facts))]
    )


def _meaning(facts: Facts) -> str:
    if facts.threshold is None:
        return (
            f"A row is flagged when its {facts.score_kind} score is at least {number(facts.min_score)} nats, as "
            f"set by --min-score: {_of_normal(facts)} score as much."
        )
    told = (
        f"A row is flagged when it is more unusual than {exact_per_cent(facts.threshold)} of the normal rows that the "
        f"model learned from; so {per_cent(facts.share_by_chance)} of normal rows are flagged by chance."
    )
    if facts.uses_tail_model:
        told += " That level is finer than these rows can measure: a fitted tail decides, an estimate and no guarantee."
    return told


def _figures(facts: Facts) -> Html:
    share = facts.flagged / facts.scored if facts.scored else 0.0
    entries = [
        ("rows", f"{facts.rows:,}", "" if not facts.unscored else f"{facts.unscored:,} not scored"),
        ("flagged", f"{facts.flagged:,}", f"{per_cent(share)} of the scored rows"),
        ("by chance alone", f"{number(round(by_chance(facts), 1))}", "if all rows were normal"),
        ("empty cells", f"{facts.missing_cells:,}", "in the columns that are modelled"),
        ("values never seen", f"{facts.novel_cells:,}", "cells unlike anything in training"),
    ]
    return element(
        "dl",
        *(
            element("div", element("dt", word), element("dd", value, *([element("small", more)] if more else [])))
            for word, value, more in entries
        ),
        class_="figures",
    )


def _foot() -> Html:
    return element(
        "footer",
        "Written by vaecli report. This page is one file: it loads nothing and runs no script. "
        "A nat is a unit of surprisal: one more nat, and what was seen is 2.7 times as improbable.",
    )
