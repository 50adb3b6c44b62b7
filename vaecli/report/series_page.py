"""`SeriesReportData` → one HTML page: the answer first, then events, series, sensors, what it rests on."""

from __future__ import annotations

import math

from vaecli.report.html import Html, element, escaped, own, together
from vaecli.report.page import CERTAIN, FEW, MOST_WARNINGS, SURE, TELLS_NOTHING, document
from vaecli.report.series_data import SeriesFacts, SeriesReportData
from vaecli.report.series_sections import sections
from vaecli.results.number_format import counted, exact_per_cent, number, per_cent, times


def series_page(data: SeriesReportData) -> str:
    """The whole page as HTML."""
    facts = data.facts
    said = series_headline(data)
    kind = "mark odd" if said.startswith(("Worth", "No answer")) else "mark"
    warnings = [element("p", warning, class_="warning", role="note") for warning in facts.warnings[:MOST_WARNINGS]]
    top = [
        element("p", "vaecli report · ", own(facts.table, 120), class_="from"),
        element("h1", element("span", class_=kind), said),
        *_lead(data),
        _figures(facts),
        *warnings,
    ]
    return document(facts.table, *top, *sections(data))


def series_headline(data: SeriesReportData) -> str:
    """Whether there is something to look at, in a sentence."""
    facts = data.facts
    if not facts.rows:
        return "Nothing to look at: the table has no rows."
    if not facts.scored:
        return f"No answer: none of the {facts.rows:,} rows could be scored."
    where = counted(facts.scored, "row") + (f" of {facts.n_series:,} series" if facts.n_series > 1 else "")
    if not facts.n_events:
        flags = f", though {counted(facts.flagged, 'row')} are flagged" if facts.flagged else ""
        return f"Nothing stands out: no event in {where}{flags}."
    found = f"{counted(facts.n_events, 'event')} in {where}"
    if facts.share_by_chance >= TELLS_NOTHING:
        return f"No answer: {found}, but of normal rows {per_cent(facts.share_by_chance)} would be flagged as well."
    share = facts.flagged / facts.scored
    if share > facts.share_by_chance + _margin(facts):
        if facts.share_by_chance * facts.scored < FEW:
            return f"Worth a look: {found}, where normal rows would hardly raise any."
        ratio = times(share / facts.share_by_chance)
        return f"Worth a look: {found}, with {ratio} times as many flagged rows as normal rows have."
    if data.events and data.events[0].peak_p_value * facts.worth < CERTAIN:
        return f"Worth a look: {found}, the highest of which is beyond what normal rows do by chance."
    how_many = "fewer" if share < facts.share_by_chance - _margin(facts) else "about as many"
    than = "than" if how_many == "fewer" else "as"
    return f"As usual: {found}, with {how_many} flagged rows {than} normal rows have."


def _margin(facts: SeriesFacts) -> float:
    """How far the share of flags is off by chance once in a hundred tables, by a normal approximation.

    Rows that follow each other are worth fewer independent ones, here as in training.
    """
    p = facts.share_by_chance
    return SURE * math.sqrt(p * (1 - p) * (1 / facts.worth + 1 / max(facts.covered.n_effective, 1)))


def _lead(data: SeriesReportData) -> list[Html]:
    facts = data.facts
    if not facts.scored:
        return []
    told = []
    if data.events:
        told.append(
            element(
                "p", "Start with event ", f"{data.events[0].event:,}: ", _bdi(data.events[0].sentence), class_="lead"
            )
        )
    return [*told, element("p", _meaning(facts))]


def _bdi(sentence: str) -> Html:
    return element("bdi", escaped(sentence, 600), dir="ltr")


def _meaning(facts: SeriesFacts) -> str:
    kind, least = facts.score_kind, number(facts.min_score)
    judged = "the rows before and after it" if facts.offline else "the rows before it"
    begin = f"Each row is judged together with {judged} in its series. "
    if facts.alarm_budget is not None:
        return (
            f"{begin}A row is flagged when its {kind} score is at least {least} nats: held-out normal stretches of "
            f"training raise at most {facts.alarm_budget} with it, all series together."
        )
    of_normal = f"{per_cent(facts.share_by_chance)} of normal rows"
    if facts.threshold is None:
        return f"{begin}A row is flagged when its {kind} score is at least {least} nats: {of_normal} score as much."
    told = (
        f"{begin}A row is flagged when it is more unusual than {exact_per_cent(facts.threshold)} of normal rows, which "
        f"is a {kind} score from {least} nats."
    )
    if facts.threshold > facts.covered.finest_level:
        told += " How many normal rows that flags cannot be promised: training is worth too few independent rows."
    return told


def _figures(facts: SeriesFacts) -> Html:
    share = facts.flagged / facts.scored if facts.scored else 0.0
    new = "" if not facts.n_new_series else f"{facts.n_new_series:,} that training did not have"
    still = "" if not facts.n_open else f"{facts.n_open:,} not ended with the table"
    entries = [
        ("rows", f"{facts.rows:,}", "" if not facts.unscored else f"{facts.unscored:,} not scored"),
        ("series", f"{facts.n_series:,}", new or ("" if not facts.gaps else counted(facts.gaps, "gap"))),
        ("flagged rows", f"{facts.flagged:,}", f"{per_cent(share)} of the scored rows"),
        ("events", f"{facts.n_events:,}", still),
    ]
    cells = [
        element("div", element("dt", word), element("dd", value, *([element("small", more)] if more else [])))
        for word, value, more in entries
    ]
    if facts.first:
        span = together(
            element("dt", "from … to"), element("dd", element("small", facts.first), element("small", facts.last))
        )
        cells.append(element("div", span))
    return element("dl", *cells, class_="figures")
