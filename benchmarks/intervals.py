"""Do the 95 % intervals of `vaecli evaluate` hold the truth in 95 of 100 tables, and how wide are they?

Tables are drawn whose true figures are known: normal rows score N(0, 1), and a row above their 0.99 level is flagged.
There are three worlds. In `shifted` anomalies score N(d, 1). In `hidden` most score far above every normal row and the
rest like normal rows, so that a few anomalies may all be of the easy kind. `outliers` is `shifted` with 2 % of the
normal rows far above everything. Average precision, precision and F1 have the truth of the table's own share of
anomalies. Beside the intervals of the package stand those of the bootstrap
that it had before (stratified, percentile, 1,000 draws), for shares Wilson's, for AUROC and average precision the
logit-normal ones of DeLong's variance and of Boyd, Eng & Page (2013), all on the same tables.

For differences two methods score N(d, 1) and N(d', 1) with a correlation, on the same rows.

    python benchmarks/intervals.py
    python benchmarks/intervals.py --quick
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import record
from scipy.stats import norm

from vaecli.evaluation import metrics
from vaecli.evaluation.faults import wilson
from vaecli.evaluation.intervals import Z

KEYS = ("world", "anomalies", "normal", "auroc")
WORLDS = ("shifted", "hidden", "outliers")
PAIRED = "two methods"
POSITIVES = (3, 5, 10, 20, 100)
NORMALS = (200, 2_000)
AREAS = (0.7, 0.9, 0.99)
OTHERS = {0.7: 0.7, 0.9: 0.8, 0.99: 0.97}  # AUROC of the second method, for differences
CORRELATION = 0.7  # of the two methods' scores, among anomalies and among normal rows
CUT = float(norm.isf(0.01))
FAR = 12.0
N_DRAWS = 1_000
PAIRED_DRAWS = 200  # they are made row by row
BOOTSTRAPPED = 4  # one in so many tables is, since draws take most of the time
EXACT_ROWS = 400_000

Ends = tuple[float, float]
Intervals = dict[tuple[str, str], Ends]  # by metric and method


@dataclass(frozen=True)
class World:
    """Anomalies that score N(`shift`, 1), but for a share `hidden` of them that scores like normal rows.

    Of the normal rows a share `outliers` scores N(FAR, 1), the rest N(0, 1).
    """

    shift: float
    hidden: float = 0.0
    outliers: float = 0.0

    @classmethod
    def of(cls, name: str, auroc: float) -> World:
        """The one of that name and AUROC, which outliers lower a little."""
        if name == "hidden":
            return cls(FAR, hidden=2 * (1 - auroc))
        return cls(float(norm.ppf(auroc)) * math.sqrt(2), outliers=0.02 if name == "outliers" else 0.0)

    def scores(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Those of n anomalies."""
        return rng.normal(size=n) + self.shift * (rng.random(n) >= self.hidden)

    def normal_scores(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Those of n normal rows."""
        return rng.normal(size=n) + FAR * (rng.random(n) < self.outliers)

    def above(self, score: np.ndarray | float) -> np.ndarray:
        """The share of anomalies above each score."""
        return self.hidden * norm.sf(score) + (1 - self.hidden) * norm.sf(np.asarray(score) - self.shift)

    def normal_above(self, score: np.ndarray | float) -> np.ndarray:
        """The share of normal rows above each score."""
        return self.outliers * norm.sf(np.asarray(score) - FAR) + (1 - self.outliers) * norm.sf(score)

    def precision_mean(self, n_anomalies: int, n_normals: int) -> float:
        """Average precision of ever more rows with that share of anomalies."""
        scores = self.scores(EXACT_ROWS, np.random.default_rng(0))
        true, false = n_anomalies * self.above(scores), n_normals * self.normal_above(scores)
        return float((true / (true + false)).mean())

    def truth(self, auroc: float, n_anomalies: int, n_normals: int) -> dict[str, float]:
        """Every figure."""
        recall, alarms = float(self.above(CUT)), float(self.normal_above(CUT))
        true, false = n_anomalies * recall, n_normals * alarms
        beaten = (1 - self.outliers) * auroc
        if self.outliers:
            beaten += self.outliers * float(norm.cdf((self.shift - FAR) / math.sqrt(2)))
        return {
            "auroc": beaten,
            "average_precision": self.precision_mean(n_anomalies, n_normals),
            "precision": true / (true + false),
            "recall": recall,
            "f1": 2 * true / (n_anomalies + true + false),
            "false_alarm_rate": alarms,
        }


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for world in options.worlds:
        for n_anomalies, n_normals, auroc in _cells():
            cell: dict[str, Any] = {"anomalies": n_anomalies, "normal": n_normals, "auroc": auroc}
            if results.has(world=world, **cell):
                continue
            if world == PAIRED:
                figures = paired(**cell, n_tables=options.tables // BOOTSTRAPPED)
            else:
                figures = single(world, **cell, n_tables=options.tables)
            results.add({"world": world} | cell | {"figures": figures})
            covered = {f"{row['metric']} {row['method']}": row["covered"] for row in figures}
            print(world, cell, covered, file=sys.stderr)
    markdown = options.out.with_suffix(".md")
    markdown.write_text(report(results.rows), encoding="utf-8")
    print(markdown.read_text(encoding="utf-8"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, help="tables of each kind (default 2000; a quarter for pairs)")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "intervals.jsonl")
    parser.add_argument("--quick", action="store_true", help="100 tables of each kind")
    parser.add_argument("--worlds", default=",".join((*WORLDS, PAIRED)), help="comma-separated (default: all)")
    options = parser.parse_args()
    options.worlds = options.worlds.split(",")
    options.tables = options.tables or (100 if options.quick else 2_000)
    return options


def _cells() -> Iterator[tuple[int, int, float]]:
    for n_anomalies in POSITIVES:
        for n_normals in NORMALS:
            for auroc in AREAS:
                yield n_anomalies, n_normals, auroc


def single(world: str, *, anomalies: int, normal: int, auroc: float, n_tables: int) -> list[dict[str, Any]]:
    """Coverage and mean width by metric and method."""
    drawn = World.of(world, auroc)
    truth = drawn.truth(auroc, anomalies, normal)
    rng = np.random.default_rng([anomalies, normal, round(100 * auroc), WORLDS.index(world)])
    seen: dict[tuple[str, str], list[Ends]] = {}
    for i in range(n_tables):
        score = np.concatenate([drawn.scores(anomalies, rng), drawn.normal_scores(normal, rng)])
        rows = metrics.Labelled(np.arange(score.size) < anomalies, score > CUT, {"vaecli": score})
        for key, ends in _intervals(rows, rng if i % BOOTSTRAPPED == 0 else None).items():
            seen.setdefault(key, []).append(ends)
    return [_summary(metric, method, ends, truth[metric]) for (metric, method), ends in seen.items()]


def paired(*, anomalies: int, normal: int, auroc: float, n_tables: int) -> list[dict[str, Any]]:
    """The same for differences between two methods."""
    worlds = [World.of("shifted", area) for area in (auroc, OTHERS[auroc])]
    truth = {
        "auroc": auroc - OTHERS[auroc],
        "average_precision": worlds[0].precision_mean(anomalies, normal) - worlds[1].precision_mean(anomalies, normal),
    }
    mix = np.linalg.cholesky([[1, CORRELATION], [CORRELATION, 1]]).T
    is_anomaly = np.arange(anomalies + normal) < anomalies
    rng = np.random.default_rng([anomalies, normal, round(100 * auroc), 9])
    seen: dict[tuple[str, str], list[Ends]] = {}
    for _ in range(n_tables):
        scores = rng.normal(size=(is_anomaly.size, 2)) @ mix + is_anomaly[:, None] * [world.shift for world in worlds]
        rows = metrics.Labelled(is_anomaly, scores[:, 0] > CUT, {"one": scores[:, 0], "other": scores[:, 1]})
        for key, ends in _differences(rows, rng).items():
            seen.setdefault(key, []).append(ends)
    return [_summary(metric, method, ends, truth[metric]) for (metric, method), ends in seen.items()]


def _summary(metric: str, method: str, ends: list[Ends], truth: float) -> dict[str, Any]:
    low, high = np.array(ends).T
    exists = ~np.isnan(low)  # precision of a table without flags does not
    low, high = low[exists], high[exists]
    return {
        "metric": metric,
        "method": method,
        "truth": round(truth, 5),
        "tables": int(exists.sum()),
        "covered": round(float(((low <= truth) & (truth <= high)).mean()), 4),
        "width": round(float((high - low).mean()), 4),
        "without_width": round(float((high - low <= 0).mean()), 4),
    }


# -- the intervals ------------------------------------------------------------------------------


def _intervals(rows: metrics.Labelled, rng: np.random.Generator | None) -> Intervals:
    """Of one table by every method; by the bootstrap only with a generator."""
    found = metrics.evaluate(rows)
    figures = found.figures["vaecli"]
    n_anomalies = int(rows.is_anomaly.sum())
    n_normals = rows.is_anomaly.size - n_anomalies
    hits = int(rows.flagged[:n_anomalies].sum())
    alarms = int(rows.flagged.sum()) - hits
    ends: Intervals = {(metric, "vaecli"): (figure.low, figure.high) for metric, figure in figures.items()}
    ends["recall", "Wilson"] = wilson(hits, n_anomalies)
    ends["precision", "Wilson"] = wilson(hits, hits + alarms)
    ends["false_alarm_rate", "Wilson"] = wilson(alarms, n_normals)
    low, high = wilson(hits, n_anomalies + alarms)
    ends["f1", "Wilson"] = 2 * low / (1 + low), 2 * high / (1 + high)
    auroc, precision = figures["auroc"].value, figures["average_precision"].value
    ends["auroc", "logit"] = _logit(auroc, math.sqrt(found.areas["vaecli"]["auroc"].variance))
    ends["average_precision", "logit"] = _logit(precision, math.sqrt(precision * (1 - precision) / n_anomalies))
    if rng is None:
        return ends
    areas = bootstrap_areas(found.areas["vaecli"]["auroc"].ranks, rng)
    drawn = dict(zip(metrics.RANKED, areas, strict=True))
    true = rng.binomial(n_anomalies, hits / n_anomalies, N_DRAWS)
    false = rng.binomial(n_normals, alarms / n_normals, N_DRAWS)
    with np.errstate(invalid="ignore"):
        drawn |= {"recall": true / n_anomalies, "false_alarm_rate": false / n_normals}
        drawn |= {"precision": true / (true + false), "f1": 2 * true / (n_anomalies + true + false)}
    return ends | {(metric, "bootstrap"): _middle(values) for metric, values in drawn.items()}


def _differences(rows: metrics.Labelled, rng: np.random.Generator) -> Intervals:
    found = metrics.evaluate(rows)
    ends: Intervals = {}
    one, other = found.areas["one"], found.areas["other"]
    drawn = _paired_draws(one["auroc"].ranks, other["auroc"].ranks, rng)
    for metric in metrics.RANKED:
        gap = found.difference(metric, "one", "other")
        a, b = one[metric], other[metric]
        half = Z * math.sqrt(max(a.variance + b.variance - 2 * a.covariance(b), 0))
        ends[metric, "vaecli"] = gap.low, gap.high
        ends[metric, "normal"] = gap.value - half, gap.value + half
        ends[metric, "bootstrap"] = _middle(drawn[metric])
    return ends


def _logit(value: float, error: float) -> Ends:
    """Without width at 0 and 1, where there is no logit."""
    if not 0 < value < 1:
        return value, value
    middle, half = math.log(value / (1 - value)), Z * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-x)) if x > -700 else 0.0 for x in (middle - half, middle + half))
    return low, high


def bootstrap_areas(ranks: metrics.Ranks, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(AUROC, average precision) of each draw, anomalies from the anomalies and normal rows from the normal rows."""
    n_anomalies, n_normals = ranks.anomaly.size, ranks.normal.size
    places = [np.bincount(ranks.anomaly, minlength=ranks.n_distinct)]
    places.append(np.bincount(ranks.normal, minlength=ranks.normal_places))
    anomalies = rng.multinomial(n_anomalies, places[0] / n_anomalies, N_DRAWS)
    normals = rng.multinomial(n_normals, places[1] / n_normals, N_DRAWS)
    return _areas(anomalies, normals)


def _areas(anomalies: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each draw, from how often each place was drawn."""
    n_anomalies, n_normals = anomalies[0].sum(), normals[0].sum()
    normals = np.cumsum(normals, 1)
    above, false = normals[:, :-1:2], normals[:, 1::2]
    true = np.cumsum(anomalies, 1)
    auroc = (anomalies * (2 * n_normals - above - false)).sum(1) / (2 * n_anomalies * n_normals)
    return auroc, (anomalies * true / np.maximum(true + false, 1)).sum(1) / n_anomalies


def _paired_draws(one: metrics.Ranks, other: metrics.Ranks, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Differences on the same drawn rows."""
    anomalies = rng.integers(0, one.anomaly.size, (PAIRED_DRAWS, one.anomaly.size))
    normals = rng.integers(0, one.normal.size, (PAIRED_DRAWS, one.normal.size))
    areas = [
        _areas(_counted(of.anomaly[anomalies], of.n_distinct), _counted(of.normal[normals], of.normal_places))
        for of in (one, other)
    ]
    return dict(zip(metrics.RANKED, (a - b for a, b in zip(*areas, strict=True)), strict=True))


def _counted(places: np.ndarray, n_places: int) -> np.ndarray:
    flat = places + np.arange(len(places))[:, None] * n_places
    return np.bincount(flat.ravel(), minlength=len(places) * n_places).reshape(len(places), n_places)


def _middle(draws: np.ndarray) -> Ends:
    exists = draws[~np.isnan(draws)]
    if not exists.size:
        return math.nan, math.nan
    low, high = np.quantile(exists, (0.025, 0.975))
    return float(low), float(high)


# -- the tables ---------------------------------------------------------------------------------


def report(cells: list[dict[str, Any]]) -> str:
    """The worst cell of each metric and method by number of anomalies, then AUROC cell by cell."""
    tables = max(figure["tables"] for cell in cells for figure in cell["figures"])
    rows = [cell | figure for cell in cells for figure in cell["figures"]]
    parts = [
        "# Do the intervals of `vaecli evaluate` cover?",
        "Tables whose true figures are known; nominal coverage 95 %. “Shifted”: anomalies score N(d, 1). “Hidden”: "
        "most anomalies score far above every normal row, the others like normal rows. “Outliers”: 2 % of the normal "
        "rows score far above everything. Bootstrap: what the intervals "
        "were before. The coverage is that of the worst cell among 200 and 2,000 normal rows and AUROC 0.7, 0.9 and "
        "0.99; in brackets the mean width over these cells. “No width” is the share of tables whose interval has none. "
        f"{tables:,} tables a cell, a quarter of them for the bootstrap and for differences.",
    ]
    for world in (*WORLDS, PAIRED):
        title = "Differences of two methods on the same rows" if world == PAIRED else world.capitalize()
        parts += [f"## {title}", _worst([row for row in rows if row["world"] == world])]
    of_auroc = [row for row in rows if row["world"] in WORLDS and row["metric"] == "auroc"]
    parts += ["## AUROC, cell by cell", _by_cell(of_auroc)]
    parts.append(record.machine_line(record.machine()))
    return "\n\n".join(parts) + "\n"


def _worst(rows: list[dict[str, Any]]) -> str:
    lines = []
    for metric, method in dict.fromkeys((row["metric"], row["method"]) for row in _ordered(rows)):
        cells = [row for row in rows if (row["metric"], row["method"]) == (metric, method)]
        told = []
        for n in POSITIVES:
            of_n = [row for row in cells if row["anomalies"] == n]
            worst = min((row["covered"] for row in of_n), default=math.nan)
            told.append(f"{100 * worst:.1f} % ({np.mean([row['width'] for row in of_n]):.3f})")
        none = max(row["without_width"] for row in cells)
        lines.append((metric, method, *told, f"{100 * none:.0f} %"))
    heads = ("figure", "interval", *(f"{n} anomalies" for n in POSITIVES), "no width, worst cell")
    return record.markdown_table(heads, lines)


def _by_cell(rows: list[dict[str, Any]]) -> str:
    methods = list(dict.fromkeys(row["method"] for row in _ordered(rows)))
    cells = dict.fromkeys((row["world"], row["anomalies"], row["normal"], row["auroc"]) for row in rows)
    found = {(row["world"], row["anomalies"], row["normal"], row["auroc"], row["method"]): row for row in rows}
    lines = []
    for cell in cells:
        told = [found[*cell, method] for method in methods]
        lines.append((*cell, *(f"{100 * row['covered']:.1f} % ({row['width']:.3f})" for row in told)))
    return record.markdown_table(("world", "anomalies", "normal rows", "AUROC", *methods), lines)


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    order = ("vaecli", "bootstrap", "Wilson", "logit", "normal")
    return sorted(rows, key=lambda row: (metrics.METRICS.index(row["metric"]), order.index(row["method"])))


if __name__ == "__main__":
    main()
