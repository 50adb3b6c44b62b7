"""When do runs end an incident: how long after its fault is over, and how often while the fault lasts?

Runs are made of rows of real tables: normal ones that the fit has not seen, of which some are flagged by chance, and
normal rows with one number moved by 3 or 6 standard deviations. A fault lasts for some runs, in as many rows as each
scenario has; 15 runs of normal rows follow. Only flagged rows matter, so each run draws them from those of its table.
The rule of the package is compared with the earlier one, by which any row goes on with an incident and a run without
ends it.

    python benchmarks/incident_ends.py --data DIR [--work DIR]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import explain
import numpy as np
import record

import vaecli
from vaecli.aggregates import incident_sketch
from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems, IncidentSketch
from vaecli.bundle.incident_state import load_incident_state
from vaecli.config.incidents import IncidentConfig
from vaecli.data.cells import Cells
from vaecli.decisions.incident_fate import Counted, Fate, fate
from vaecli.decisions.incident_groups import nearest_known
from vaecli.detector import Detector
from vaecli.results.incidents import Incident, ResponsibleColumn
from vaecli.schema import Kind
from vaecli.tasks.deviations import Whereabouts, coordinates, deviating_rows
from vaecli.tasks.incidents import identity, incident_patterns, named
from vaecli.tasks.reasons import RowsToExplain
from vaecli.workflows import incident_history
from vaecli.workflows.incident_history import remembered

TABLES = ("shuttle", "ai4i2020", "nslkdd", "mammography", "pendigits", "landsat")
SIZES = (3, 6)  # standard deviations
N_COLUMNS = 8  # with a fault, drawn
FAULTY_ROWS = 400  # drawn per fault
LEAST_SEEN = 200  # of them that are flagged; a fault with fewer is left out
CHANCE = 0.01
RUNS_AFTER = 15
MONDAY = datetime(2026, 5, 4, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs of so many rows, `after` of which announce an incident, and the faulty rows of each while it lasts."""

    rows: int
    after: int
    faulty: Sequence[int]
    spread: str = ""  # of the faulty rows: "" as stated, or drawn with this mean from the law named

    def drawn(self, rng: np.random.Generator) -> list[int]:
        """The faulty rows of each run; the first has enough to be announced."""
        first, *rest = self.faulty
        if self.spread == "Poisson":
            return [first, *rng.poisson(rest).tolist()]
        if self.spread == "gamma":  # a standard deviation of half the mean
            return [first, *(int(one) for one in rng.gamma(4, np.array(rest) / 4))]
        return [first, *rest]


SCENARIOS = {
    "40 of 1,500 rows": Scenario(1500, 20, [40] * 6),
    "20 of 1,500 rows": Scenario(1500, 10, [20] * 6),
    "30 of 1,500 rows, uneven": Scenario(1500, 10, [30] * 6, "gamma"),
    "60 of 1,500 rows, fading to 14": Scenario(1500, 10, [60, 45, 34, 25, 19, 14]),
    "12 of 500 rows": Scenario(500, 10, [12] * 6),
    "40 of 10,000 rows": Scenario(10_000, 30, [40] * 6),
    "90 of 10,000 rows, fading to 24": Scenario(10_000, 30, [90, 68, 51, 38, 30, 24]),
    "2 of 60 rows on average": Scenario(60, 10, [12] + [2] * 11, "Poisson"),
}


@dataclass(frozen=True, slots=True)
class Pool:
    """Deviations (n, d) of the flagged rows of a table, in UNITs: normal ones and those of each fault."""

    normal: np.ndarray
    share: float  # of normal rows that are flagged
    faults: Sequence[np.ndarray]
    names: tuple[str, ...]


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = record.parser(__doc__, "incident_ends.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz, mixed/nslkdd and mixed/ai4i2020")
    parser.add_argument("--work", type=Path, help="keeps the bundles for the next run; by default they are not kept")
    parser.add_argument("--repeats", type=int, default=40, help="faults per table and scenario (default 40)")
    record.add_names(parser, "--tables", TABLES)
    options = parser.parse_args()
    options.data = record.data_folder(options.data, "adbench")
    incident_sketch.N_SAMPLED = 10**9  # keeps the number of every row, to know which ones are faulty
    results = record.Results(options.out, ("what", "table", "scenario", "rule"))
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        work.mkdir(parents=True, exist_ok=True)
        for name in options.tables:
            if not results.has(what="chance", table=name, scenario="", rule=""):
                measure(name, work, options, results)
    record.finish(options.out, report(results.rows))


def measure(name: str, work: Path, options: argparse.Namespace, results: record.Results) -> None:
    """All scenarios by both rules on one table."""
    pool = pool_of(name, options.data, work)
    for scenario, settings in SCENARIOS.items():
        for rule in ("earlier", "evidence"):
            found = [played(pool, settings, rule, seed, work) for seed in range(options.repeats)]
            announced = [one for one in found if one[0]]
            results.add(
                {
                    "what": "runs",
                    "table": name,
                    "scenario": scenario,
                    "rule": rule,
                    "faults": len(found),
                    "notifications": [n for n, _ in announced],
                    "open_after": [n for _, n in announced],
                }
            )
    alike = [share_alike(pool, fault) for fault in pool.faults]
    row = {"what": "chance", "table": name, "scenario": "", "rule": "", "flagged": pool.share, "alike": alike}
    results.add(row)


def pool_of(name: str, data: Path, work: Path) -> Pool:
    """The flagged rows of a table: normal ones as they are, and with one number moved."""
    table, bundle = explain.load_table(data, name, 0), work / f"{name}_fast.vae"
    if not bundle.exists():
        vaecli.fit(table.train, seed=0, preset="fast").save(bundle)
    detector = vaecli.load(bundle).detector
    cells = explain._taken(explain.cells_of(detector, table.test), table.normal)
    normal = flagged(detector, cells)
    rng, faults = np.random.default_rng(0), []
    encoders = detector.preprocessor.of_columns
    columns = [j for j, _ in detector.preprocessor.layout.of_kind(Kind.NUMERIC)]
    for j in rng.permutation(columns)[:N_COLUMNS]:
        step = encoders[j][0].moments(encoders[j][1])[1]
        for size in (sign * size for sign in (-1, 1) for size in SIZES):
            rows = rng.permutation(len(cells))[:FAULTY_ROWS]
            values = cells.values[rows].copy()
            values[:, j] += size * step
            seen = flagged(detector, Cells(values, cells.state[rows], np.arange(rows.size)))
            if len(seen) >= LEAST_SEEN:
                faults.append(seen)
    return Pool(normal, len(normal) / len(cells), faults, coordinates(detector))


def flagged(detector: Detector, cells: Cells) -> np.ndarray:
    """Deviations (n, d) of the rows that are flagged at 0.99."""
    decided, flags = explain.scored(detector, cells)
    which = np.flatnonzero(flags)
    rows = RowsToExplain(cells[which], decided.take(which), flags[which], ())
    return deviating_rows(detector, rows, Whereabouts()).deviation


def played(pool: Pool, scenario: Scenario, rule: str, seed: int, work: Path) -> tuple[int, int]:
    """Notifications of a fault while it lasts, and runs after which its incident was open though it was over."""
    state, rng = work / "incidents.state", np.random.default_rng([seed, scenario.rows, sum(scenario.faulty)])
    state.unlink(missing_ok=True)
    fault, faulty = pool.faults[int(rng.integers(len(pool.faults)))], scenario.drawn(rng)
    config, of_fault, open_after = IncidentConfig(incident_state=str(state), after=scenario.after), set[str](), 0
    for run, n_faulty in enumerate([*faulty, *[0] * RUNS_AFTER]):
        found = list(incidents_of(pool, scenario.rows, fault, n_faulty, rng))
        facts, now = {"table": f"{run}", "bundle": "b"}, MONDAY + timedelta(days=run)
        with ruled(rule):
            shown = remembered(state, config, found, facts, "m", now, scored=scenario.rows, chance=CHANCE)
        if n_faulty or run < len(faulty):
            of_fault |= {one.id for one in shown if one.reason == "fault" and one.announced and one.rows}
        else:
            alive = {one.id for one in load_incident_state(state).incidents if one.ended_run is None}
            open_after += bool(alive & of_fault)
    return len(of_fault), open_after


def ruled(rule: str) -> Any:
    """A context in which the fate of incidents is decided by this rule."""
    return mock.patch.object(incident_history, "fate", fate if rule == "evidence" else _earlier)


def _earlier(latest: Counted, *_: object) -> Fate:
    return Fate.GOES_ON if latest.rows else Fate.ENDED


def incidents_of(
    pool: Pool, n_rows: int, fault: np.ndarray, n_faulty: int, rng: np.random.Generator
) -> Iterator[Incident]:
    """The incidents of a run; "fault" is the reason of those of which most rows are faulty."""
    by_chance = pool.normal[rng.integers(0, len(pool.normal), rng.binomial(n_rows, pool.share))]
    rows = np.concatenate([by_chance, fault[rng.integers(0, len(fault), n_faulty)]])
    order = rng.permutation(len(rows))
    rows, is_faulty = rows[order], order >= len(by_chance)
    for mean, members in grouped(rows):
        where = named(pool.names, mean)
        share = is_faulty[members].mean()
        first = int(min(members))
        yield replace(
            EMPTY, id=identity(where, None, first), rows=len(members), deviation=where,
            reason="fault" if share > 0.5 else "chance", first_row=first + 1, span=(first, int(max(members))),
        )  # fmt: skip


EMPTY = Incident(
    "inc-0", None, (ResponsibleColumn("x", "up", 1.0),), None, 1, None, 1, 1, None, None, 9.0, 1, "chance", ()
)


def grouped(rows: np.ndarray) -> list[tuple[np.ndarray, list[int]]]:
    """Groups of the deviations (n, d) of flagged rows: their mean (d,), in standard deviations, and their members."""
    if not len(rows):
        return []
    n, sketch = len(rows), IncidentSketch[None]()
    sketch.add(
        DeviatingItems(
            rows, np.zeros((n, 1), np.int64), np.zeros(n, np.int64), np.arange(n), np.ones(n, np.int64),
            np.zeros(n), [None] * n,
        )
    )  # fmt: skip
    return [(one.deviation / (UNIT * one.n), [kept.at for kept in one.sampled]) for one in incident_patterns(sketch)]


def share_alike(pool: Pool, fault: np.ndarray) -> float:
    """The share of normal rows flagged by chance that would go on with the incident of a fault, by runs of 1,500."""
    rng = np.random.default_rng(0)
    where = grouped(fault[:60])[0][0]
    n_alike = n_rows = 0
    for _ in range(60):
        rows = pool.normal[rng.integers(0, len(pool.normal), rng.binomial(1500, pool.share))]
        for mean, members in grouped(rows):
            n_rows += len(members)
            n_alike += len(members) * int(nearest_known(mean[None], where[None])[0] >= 0)
    return n_alike / max(n_rows, 1)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Two tables: scenarios by rule, and what chance brings by table."""
    tables = [row["table"] for row in rows if row["what"] == "chance"]
    parts = [
        "# When incidents end",
        "`python benchmarks/incident_ends.py --data DIR`",
        f"Faults of one number, in rows of {len(tables)} tables ({', '.join(tables)}), preset `fast`, threshold 0.99. "
        "**Notifications**: how many incidents a fault is announced as while it lasts; the mean, over those that are "
        f"announced at all. **Open**: runs after which its incident was not ended though the fault was over, of "
        f"{RUNS_AFTER}: the mean, the share of faults with 3 or more, and the most. *Earlier*: any row goes on with an "
        "incident, a run without one ends it. *Evidence*: the rule of the package.",
    ]
    lines = ["| faulty rows per run | faults | rule | notifications | open, mean | 3 runs or more | most |"]
    lines += ["|---|--:|---|--:|--:|--:|--:|"]
    for scenario in SCENARIOS:
        for rule in ("earlier", "evidence"):
            of_both = [row for row in rows if row["scenario"] == scenario and row["rule"] == rule]
            sent = np.array([n for row in of_both for n in row["notifications"]])
            late = np.array([n for row in of_both for n in row["open_after"]])
            if sent.size:
                lines.append(
                    f"| {scenario} | {sent.size} of {sum(row['faults'] for row in of_both)} | {rule} | "
                    f"{sent.mean():.2f} | {late.mean():.2f} | {100 * (late >= 3).mean():.0f} % | {late.max()} |"
                )
    parts += ["\n".join(lines), "## What chance brings"]
    parts.append(
        "Of the normal rows that are flagged by chance, the share that would go on with the incident of a fault; the "
        "rule assumes a quarter at most."
    )
    lines = ["| table | normal rows flagged | faults | alike, mean | 9 of 10 faults below | most |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        if row["what"] == "chance":
            alike = np.array(row["alike"])
            lines.append(
                f"| {row['table']} | {100 * row['flagged']:.2f} % | {alike.size} | {100 * alike.mean():.1f} % | "
                f"{100 * np.quantile(alike, 0.9):.1f} % | {100 * alike.max():.1f} % |"
            )
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


if __name__ == "__main__":
    main()
