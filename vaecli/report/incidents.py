"""The section of a page that groups what is flagged: how many different things are wrong."""

from __future__ import annotations

from collections.abc import Sequence

from vaecli.report.html import Html, element, escaped
from vaecli.results import FlaggedRow
from vaecli.results.incidents import Incident
from vaecli.results.number_format import number

MOST_SHOWN = 12


def incidents(found: Sequence[Incident], n_all: int) -> list[Html]:
    """The incidents `found`, of `n_all`: those of most rows, with the columns responsible and a typical reason."""
    shown = found[:MOST_SHOWN]
    which = "All incidents" if len(shown) == n_all else f"The {len(shown)} largest of {n_all:,} incidents"
    of_what = "rows" if shown[0].events is None else "events"
    heads = (of_what, "peak score", "from … to", "what: columns responsible, and a typical reason")
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(_line(one) for one in shown)),
    )
    return [
        element("p", f"{which}: flagged {of_what} that deviate in the same way, the most frequent first."),
        element("div", table, class_="worst incidents"),
    ]


def _line(one: Incident) -> Html:
    begin, end = (one.first_row, one.last_row) if one.start is None else (one.start, one.end)
    when = f"{begin}" if begin == end else f"{begin} … {end}"
    examples = [f"row {row:,}" for row in _rows(one)]
    what = [element("li", element("b", element("bdi", escaped(one.title, 220), dir="ltr"), class_="column"))]
    what.append(element("li", element("bdi", escaped(one.reason, 220), dir="ltr")))
    if one.group is not None:
        word = "group " if one.events is None else "series "
        what.append(element("li", word, element("bdi", escaped(one.group, 120), dir="ltr")))
    if examples:
        what.append(element("li", f"for example {', '.join(examples)}"))
    n = one.rows if one.events is None else one.events
    return element(
        "tr",
        element("td", f"{n:,}", data_label="rows" if one.events is None else "events"),
        element("td", number(one.peak_score), data_label="peak score"),
        element("td", element("bdi", escaped(when, 120), dir="ltr"), data_label="from … to"),
        element("td", element("ol", *what)),
    )


def _rows(one: Incident) -> list[int]:
    return [example.row for example in one.examples if isinstance(example, FlaggedRow)]
