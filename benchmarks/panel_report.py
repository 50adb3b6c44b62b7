"""What the panel shows: means, paired differences with standard errors over families, and choices left out in turn."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import peers
import record

LEAST_ROWS = 100  # training rows from which a table may not be far behind
ALARM_ROWS = 300
N_WORST = 5

Values = Mapping[str, float]  # of a figure, by table


@dataclass(frozen=True, slots=True)
class Paired:
    """A mean difference over families, and its standard error; NaN of one family."""

    mean: float
    error: float
    families: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What choosing the best of several variants shows: on all families, and on those it was not chosen on."""

    best: str  # of all families
    in_sample: float  # its mean over families
    left_out: float  # the mean over families, each with the variant that is best on the others
    chosen: dict[str, int]  # by how many families left out


def by_family(values: Values, family: Mapping[str, str]) -> dict[str, float]:
    """The mean over the tables of each family."""
    grouped: dict[str, list[float]] = defaultdict(list)
    for table, value in values.items():
        grouped[family[table]].append(value)
    return {name: sum(found) / len(found) for name, found in grouped.items()}


def paired(ours: Values, theirs: Values, family: Mapping[str, str]) -> Paired:
    """How far `ours` is above `theirs` on the tables that both have, every family counting the same."""
    gaps = list(by_family({table: ours[table] - theirs[table] for table in ours if table in theirs}, family).values())
    n = len(gaps)
    mean = sum(gaps) / n
    error = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - 1) / n) if n > 1 else math.nan
    return Paired(mean, error, n)


def leave_families_out(variants: Mapping[str, Values], family: Mapping[str, str]) -> LeftOut:
    """Choose the variant of the best mean over all families but one, and judge it on that one; each family in turn.

    Tables that a variant lacks are left out for all; the first of equally good variants is chosen.
    Raises ValueError where the variants share fewer than two families.
    """
    shared = set.intersection(*(set(values) for values in variants.values()))
    means = {name: by_family({t: values[t] for t in shared}, family) for name, values in variants.items()}
    families = sorted({family[table] for table in shared})
    if len(families) < 2:
        raise ValueError("leaving a family out takes two families that every variant was measured on")
    total = {name: sum(found[one] for one in families) for name, found in means.items()}
    chosen = {one: max(total, key=lambda name: total[name] - means[name][one]) for one in families}
    best = max(total, key=lambda name: total[name])
    left_out = sum(means[chosen[one]][one] for one in families) / len(families)
    return LeftOut(best, total[best] / len(families), left_out, dict(Counter(chosen.values()).most_common()))


def report(rows: Iterable[Mapping[str, Any]], cap: int) -> str:
    """Markdown of everything measured with at most `cap` rows a table."""
    rows = [row for row in rows if row["cap"] == cap]
    if not rows:
        record.stop(f"Nothing is measured yet with --max-rows {cap}.")
    methods = sorted({(row["method"], row["variant"]) for row in rows}, key=_order)
    family = {row["table"]: row["family"] for row in rows}
    tables = list(dict.fromkeys(row["table"] for row in rows))
    of = {method: _of(rows, method) for method in methods}
    ours = [method for method in methods if method[0] == "vaecli"]
    rivals = [method for method in methods if method[0] != "vaecli"]
    parts = [
        "# Panel",
        f"{len(tables)} tables of {len(set(family.values()))} families, at most {cap:,} rows, seeds "
        f"{', '.join(map(str, sorted({row['seed'] for row in rows})))}: mean over seeds, then plain mean over tables. "
        "Families of tables kept apart for checking are not here.",
        _means(methods, of),
        *(_against(one, rivals, of, family) for one in ours),
        *_alarms(ours, of),
        *_left_out(ours, of, family),
    ]
    for title, field in (("AUROC", "auroc"), ("Average precision", "ap")):
        parts += [f"## {title} by table", _by_table(tables, methods, of, field, family)]
    return "\n\n".join([*parts, record.machine_line(record.machine())]) + "\n"


def _order(method: tuple[str, str]) -> tuple[int, str]:
    return list(peers.NAMES).index(method[0]), method[1]


def _name(method: tuple[str, str]) -> str:
    return f"{peers.NAMES[method[0]]} {method[1]}".strip()


def _of(rows: Sequence[Mapping[str, Any]], method: tuple[str, str]) -> dict[str, dict[str, float]]:
    """Of one method: by figure and table the mean over seeds."""
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if (row["method"], row["variant"]) == method:
            for field in ("auroc", "ap", "fit_seconds", "score_seconds", "false_alarms", "recall", "n_train"):
                if field in row:
                    seen[field][row["table"]].append(row[field])
    return {field: {table: sum(v) / len(v) for table, v in found.items()} for field, found in seen.items()}


def _means(methods: Sequence[tuple[str, str]], of: Mapping[tuple[str, str], Mapping[str, Values]]) -> str:
    lines = [
        (
            _name(one),
            len(of[one]["auroc"]),
            record.mean(of[one]["auroc"].values()),
            record.mean(of[one]["ap"].values()),
            *(f"{record.mean(of[one][field].values()):.2f}" for field in ("fit_seconds", "score_seconds")),
        )
        for one in methods
    ]
    return record.markdown_table(("method", "tables", "AUROC", "AP", "fit, mean s", "score, mean s"), lines)


def _against(
    one: tuple[str, str],
    rivals: Sequence[tuple[str, str]],
    of: Mapping[tuple[str, str], Mapping[str, Values]],
    family: Mapping[str, str],
) -> str:
    lines, worst = [], ""
    for rival in rivals:
        told = [paired(of[one][field], of[rival][field], family) for field in ("auroc", "ap")]
        gaps = {t: of[one]["auroc"][t] - of[rival]["auroc"][t] for t in of[one]["auroc"] if t in of[rival]["auroc"]}
        ahead = sum(gap >= 0 for gap in gaps.values())
        differences = (f"{found.mean:+.4f} ± {found.error:.4f}" for found in told)
        lines.append(
            (_name(rival), len(gaps), told[0].families, *differences, f"{ahead} ({100 * ahead / len(gaps):.0f} %)")
        )
        if rival[0] == "knn5":
            enough = sorted((gap, t) for t, gap in gaps.items() if of[one]["n_train"][t] >= LEAST_ROWS)
            worst = "; ".join(f"{t} {gap:+.3f} ({of[one]['n_train'][t]:.0f})" for gap, t in enough[:N_WORST])
    header = ("against", "tables", "families", "AUROC, mean ± standard error", "AP", "tables at or above")
    text = f"## {_name(one)} against each peer\n\nPaired, every family counting the same.\n\n"
    text += record.markdown_table(header, lines)
    if not worst:
        return text
    return f"{text}\n\nFarthest behind kNN-5 in AUROC of tables with {LEAST_ROWS} training rows or more: {worst}."


def _alarms(ours: Sequence[tuple[str, str]], of: Mapping[tuple[str, str], Mapping[str, Values]]) -> list[str]:
    lines = []
    for one in ours:
        shares = of[one]["false_alarms"]
        enough = {table: share for table, share in shares.items() if of[one]["n_train"][table] >= ALARM_ROWS}
        worst = max(enough, key=lambda table: enough[table]) if enough else None
        means = (record.percent(record.mean(found.values())) for found in (shares, enough))
        shown = f"{worst} {record.percent(enough[worst])}" if worst else None
        lines.append((_name(one), len(shares), *means, shown, record.percent(record.mean(of[one]["recall"].values()))))
    if not lines:
        return []
    header = ("", "tables", "mean", f"mean, ≥ {ALARM_ROWS} training rows", "worst of those", "anomalies found")
    return ["## False alarms at 0.99\n\n" + record.markdown_table(header, lines)]


def _left_out(
    ours: Sequence[tuple[str, str]], of: Mapping[tuple[str, str], Mapping[str, Values]], family: Mapping[str, str]
) -> list[str]:
    if len(ours) < 2:
        return []
    shared = set.intersection(*(set(of[one]["auroc"]) for one in ours))
    if len({family[table] for table in shared}) < 2:
        return []
    lines = []
    for title, fields in (("AUROC", ("auroc",)), ("AP", ("ap",)), ("mean of both", ("auroc", "ap"))):
        values = {_name(one): {t: sum(of[one][f][t] for f in fields) / len(fields) for t in shared} for one in ours}
        told = leave_families_out(values, family)
        chosen = ", ".join(f"{name} {n} times" for name, n in told.chosen.items())
        lines.append((title, told.best, told.in_sample, told.left_out, chosen))
    text = (
        f"## Choosing among the {len(ours)} variants of vaecli\n\nOn {len(shared)} tables that all were measured on; "
        "means over families. Left out: each family judged by the variant that is best on the others.\n\n"
    )
    header = ("chosen by", "best of all families", "its mean", "left out", "chosen")
    return [text + record.markdown_table(header, lines)]


def _by_table(
    tables: Sequence[str],
    methods: Sequence[tuple[str, str]],
    of: Mapping[tuple[str, str], Mapping[str, Values]],
    field: str,
    family: Mapping[str, str],
) -> str:
    lines = []
    for table in tables:
        n_train = record.mean(of[one]["n_train"].get(table) for one in methods)
        lines.append((table, family[table], f"{n_train:.0f}", *(of[one][field].get(table) for one in methods)))
    return record.markdown_table(("table", "family", "training rows", *map(_name, methods)), lines)
