"""What columns hold, beside what they held in training: a small chart each, those that moved most first."""

from __future__ import annotations

from vaecli.report.charts import bar, figure, legend, meter, plot, steps
from vaecli.report.data import CategoryProfile, NumberProfile, Profile, ReportData
from vaecli.report.html import Html, element, escaped, own, together
from vaecli.results.number_format import counted, moment, number, per_cent

NOTABLE = 0.05  # share of cells beyond chance, from which a column counts as moved
MOST_LETTERS = 24  # of a category


def columns(data: ReportData) -> list[Html]:
    """The chart of every profile, and how to read them."""
    if not data.profiles:
        return [element("p", "The model has no columns.")]
    if not data.facts.rows:
        return [element("p", "The table has no rows to compare.")]
    more = ""
    if data.n_other_columns:
        more = f" … and {counted(data.n_other_columns, 'column')} more, each of which has moved less than these."
    return [
        element("p", f"What each column holds here and held in training, the columns that differ most first.{more}"),
        figure(
            legend(("before", "training"), ("line blue", "this table"), ("odd", "outside the usual range of training")),
            element("div", *(_card(profile) for profile in data.profiles), class_="cards"),
            caption="“Moved” is the share of cells that would have to change for the column to look as in training; "
            "so much of it as a table of this size shows by chance is printed beside it. A column may move although "
            "no row is flagged: then all rows have changed a little.",
        ),
    ]


def _card(profile: Profile) -> Html:
    facts = [_moved(profile)]
    if profile.missing_training or profile.missing_scored:
        facts.append(f"empty {per_cent(profile.missing_scored)}, in training {per_cent(profile.missing_training)}")
    if profile.novel:
        facts.append(f"never seen {per_cent(profile.novel)}")
    chart = _numbers(profile) if isinstance(profile, NumberProfile) else _categories(profile)
    return element("div", element("h3", own(profile.column)), element("p", " · ".join(facts)), chart, class_="card")


def _moved(profile: Profile) -> str:
    if isinstance(profile, CategoryProfile) and profile.training is None:
        return "this bundle does not know its training shares"
    told = f"moved {per_cent(profile.moved)}"
    if profile.moved - profile.by_chance < NOTABLE:
        return f"{told}, little more than chance" if profile.moved > profile.by_chance else f"{told}, as by chance"
    return f"{told} (chance {per_cent(profile.by_chance)})"


def _numbers(profile: NumberProfile) -> Html:
    n_bins = len(profile.edges) - 1
    units = n_bins + 2
    top = max(*profile.training, *profile.scored) or 1.0
    marks = [
        bar(i / units, (i + 1) / units, share / top, "before") for i, share in enumerate(profile.training) if share
    ]
    for i, end in ((0, "below"), (n_bins + 1, "above")):
        if share := profile.scored[i]:
            marks.append(bar((i + 0.2) / units, (i + 0.8) / units, share / top, "odd", f"{end}: {per_cent(share)}"))
    places = [(i + 1) / units for i in range(n_bins + 1)]
    marks.append(steps(places, [share / top for share in profile.scored[1:-1]], "after"))
    inwards = 0.5 if profile.is_whole else 0.0
    low, high = profile.edges[0] + inwards, profile.edges[-1] - inwards
    ends = (_value(low, high - low, profile), _value(high, high - low, profile))
    return plot(
        marks,
        alt=f"Shares of values from {ends[0]} to {ends[1]}, in training and here",
        x=[(0.02, ends[0]), (0.98, ends[1])],
        kind="small",
    )


def _value(value: float, span: float, profile: NumberProfile) -> str:
    return moment(value, span) if profile.is_date else number(value if abs(value) > 1e-9 * span else 0.0)


def _categories(profile: CategoryProfile) -> Html:
    training = profile.training or (0.0,) * len(profile.categories)
    rows = list(zip(profile.categories, training, profile.scored, strict=True))
    if profile.n_others:
        rows.append((counted(profile.n_others, "other"), profile.others_training, profile.others_scored))
    top = max((max(before, after) for _, before, after in rows), default=1.0) or 1.0
    parts: list[Html] = []
    for name, before, after in rows:
        parts.append(element("div", own(name or "(empty)", MOST_LETTERS)))
        parts.append(element("div", meter(before / top, "before"), meter(after / top, "here")))
        was = "" if profile.training is None else f"{per_cent(before)} → "
        parts.append(element("div", escaped(f"{was}{per_cent(after)}"), class_="value"))
    return element("div", together(*parts), class_="twins")
