"""Incidents → the lines of a page for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from vaecli.render.layout import empty_table, headline, plain_cells
from vaecli.results.number_format import counted, number

if TYPE_CHECKING:
    from vaecli.results.incidents import Incident

_SHOWN = 10


def incident_facts(incidents: Sequence[Incident] | None, file: str | None) -> list[tuple[str, str]]:
    """How many incidents there are and where they are written; nothing where they were not asked for."""
    if incidents is None:
        return []
    status = Counter(one.status for one in incidents if one.status)
    known = ", ".join(f"{status[name]:,} {name}" for name in ("new", "ongoing", "ended") if status[name])
    n = sum(one.status != "ended" for one in incidents)
    return [("incidents", f"{n:,}{f' ({known})' if known else ''}{f' in {file}' if file else ''}")]


def incident_parts(incidents: Sequence[Incident] | None) -> list[RenderableType]:
    """The incidents of most rows, with what is responsible and a typical reason."""
    if not incidents:
        return []
    table = empty_table(("id", "status", "rows", "peak", "responsible", "typical"), numeric=("rows", "peak"))
    for one in incidents[:_SHOWN]:
        where = "" if one.group is None else f"{one.group}: "
        cells = (one.id, one.status or "", f"{one.rows:,}", number(one.peak_score), where + one.title, one.reason)
        table.add_row(*plain_cells(*cells))
    more = len(incidents) - _SHOWN
    rest = [Text(f"… and {counted(more, 'incident')} more")] if more > 0 else []
    return [headline("\nIncidents"), table, *rest]
