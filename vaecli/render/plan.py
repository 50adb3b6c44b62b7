"""The pages of what a run would do and which settings it would use, and columns as the pages of fits name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.render.layout import empty_table, fact_list, files_left_out, headline, plain_cells
from vaecli.results.number_format import counted, size

if TYPE_CHECKING:
    from vaecli.results import ColumnSummary
    from vaecli.results.plan import PlanSummary
    from vaecli.results.settings import SettingsSummary

_SHOWN_COLUMNS = 20
_SHOWN_FILES = 20


def plan_page(summary: PlanSummary) -> RenderableType:
    """What would be read, modelled and written."""
    by = "each row with those before it" if summary.series else "each row by itself"
    level = "--min-score" if summary.threshold is None else f"{summary.threshold:.10g}"
    facts = [
        *_files(summary),
        *files_left_out(summary.bad_files, summary.n_files),
        ("table", f"{summary.format}, {counted(summary.n_columns, 'column')}"),
        ("columns", kinds(summary.columns)),
        *(left_out(summary.columns) if summary.planned == "fit" else ()),
        ("bundle", summary.bundle),
        ("judged", f"{by}; {summary.score_kind} score, threshold {level}"),
        *(("would write", "standard output" if name == "-" else name) for name in summary.writes),
    ]
    return Group(headline(f"Checked: `vaecli {summary.planned}` would run; nothing was written"), fact_list(facts))


def settings_page(summary: SettingsSummary) -> RenderableType:
    """Every setting with its value and where it comes from."""
    table = empty_table(("setting", "value", "from"))
    for one in summary.settings:
        value = ", ".join(map(str, one.value)) if isinstance(one.value, list | tuple) else one.value
        table.add_row(*plain_cells(one.name, "-" if value is None or value == "" else str(value), one.origin))
    return Group(headline(f"Settings of `vaecli {summary.settings_of}` without options"), table)


def _files(summary: PlanSummary) -> Iterator[tuple[str, str]]:
    for file in summary.reads[:_SHOWN_FILES]:
        yield "would read", file.name if file.bytes is None else f"{file.name} ({size(file.bytes)})"
    if (more := len(summary.reads) - _SHOWN_FILES) > 0:
        yield "", f"… and {counted(more, 'file')} more"


def kinds(columns: Sequence[ColumnSummary]) -> str:
    """`9 of 12 modelled: 7 numeric, 2 categorical`."""
    counts = Counter(column.kind for column in columns if column.role == "feature")
    by_kind = ", ".join(f"{n:,} {kind}" for kind, n in counts.most_common())
    modelled = f"{counts.total():,} of {len(columns):,} modelled"
    return f"{modelled}: {by_kind}" if by_kind else modelled


def left_out(columns: Sequence[ColumnSummary]) -> Iterator[tuple[str, str]]:
    """A line for each column that is not a feature."""
    others = [column for column in columns if column.role != "feature"]
    for i, column in enumerate(others[:_SHOWN_COLUMNS]):
        yield "left out" if i == 0 else "", f"{column.name}: {column.reason or column.role}"
    if len(others) > _SHOWN_COLUMNS:
        yield "", f"… and {len(others) - _SHOWN_COLUMNS:,} more; `vaecli inspect BUNDLE --schema` names them"
