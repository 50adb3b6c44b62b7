"""Are the columns that an explanation names the ones that are wrong? One, two or three wrong cells in normal rows.

Faults are those of `explain.py`: in normal test rows that are complete and not flagged at 0.99 one number is shifted by
4 to 8 standard deviations, or swapped with that of another normal row. **Two** and **three** wrong cells: other columns
of a shifted row are shifted too, by 3 to 8. Over the rows that are flagged then, of the three columns with the largest
parts of the score: which are named, and which of them are wrong? Beside today's rule stands the earlier one, which
named every column with more than a twentieth of the score. What roles cost is timed on shifted rows, with and without
them in turn.

    python benchmarks/named_columns.py --data DIR [--work DIR]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import explain
import numpy as np
import record

import vaecli
from vaecli.data.cells import PRESENT, Cells
from vaecli.detector import Detector
from vaecli.scoring import attribution
from vaecli.scoring.roles import ALTERNATIVE, MINOR, roles

FAULTS = {"shift": 1, "swap": 1, "two": 2, "three": 3}  # wrong cells per row
FURTHER = (3.0, 8.0)  # standard deviations of a second and a third cell
MOST, EARLIER = 3, 0.05
TIMED_ROWS, PAIRS = 50, 7
RULES = ("earlier", "today", "today, without alternatives")


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = record.parser(__doc__, "named_columns.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz, mixed/nslkdd and mixed/ai4i2020")
    parser.add_argument("--work", type=Path, help="keeps the bundles for the next run; by default they are not kept")
    parser.add_argument("--rows", type=int, default=40, help="corrupted rows per column, at most (default 40)")
    record.add_names(parser, "--tables", explain.TABLES)
    options = parser.parse_args()
    options.data = record.data_folder(options.data, "adbench")
    results = record.Results(options.out, ("table", "fault", "rows"))
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        work.mkdir(parents=True, exist_ok=True)
        for name in options.tables:
            measure(name, work, options, results)
    record.finish(options.out, report(results.rows))


def measure(name: str, work: Path, options: argparse.Namespace, results: record.Results) -> None:
    """All faults in one table that are not measured yet, or with `--redo` all."""
    key = {"table": name, "rows": options.rows}
    faults = [fault for fault in (*FAULTS, "seconds") if options.redo or not results.has(**key, fault=fault)]
    if not faults:
        return
    table, bundle = explain.load_table(options.data, name, 0), work / f"{name}_fast.vae"
    if not bundle.exists():
        vaecli.fit(table.train, seed=0, preset="fast").save(bundle)
    detector = vaecli.load(bundle).detector
    cells = explain._taken(explain.cells_of(detector, table.test), table.normal)
    _, flags = explain.scored(detector, cells)
    usual = np.flatnonzero(~flags & (cells.state == PRESENT).all(1))
    for fault in faults:
        if fault == "seconds":
            wrong, _ = corrupted(detector, cells, usual, "shift", options.rows)
            results.add({"table": name, "fault": fault, "rows": options.rows, **seconds(detector, wrong)})
            continue
        wrong, columns = corrupted(detector, cells, usual, fault, options.rows)
        results.add({"table": name, "fault": fault, "rows": options.rows, **named(detector, wrong, columns)})


def corrupted(detector: Detector, cells: Cells, usual: np.ndarray, fault: str, n_rows: int) -> tuple[Cells, np.ndarray]:
    """Rows with wrong cells, and their columns (n, k)."""
    question = fault if fault in explain.FAULTS else "shift"
    wrong, first = explain.corrupted(detector, cells, usual, question, 0, n_rows)
    values, columns = wrong.values.copy(), first[:, None]
    rng, encoders, tried = np.random.default_rng(0), detector.preprocessor.of_columns, np.unique(first)
    for _ in range(FAULTS[fault] - 1):
        further = np.array([rng.choice(np.setdiff1d(tried, row)) for row in columns])
        steps = rng.choice((-1.0, 1.0), further.size) * rng.uniform(*FURTHER, further.size)
        scale = np.array([encoders[j][0].moments(encoders[j][1])[1] for j in further])
        values[np.arange(further.size), further] += steps * scale
        columns = np.column_stack([columns, further])
    return Cells(values, wrong.state, wrong.row), columns


def named(detector: Detector, wrong: Cells, columns: np.ndarray) -> dict[str, Any]:
    """Counts over the flagged rows, by rule: columns named, wrong ones among them, rows with one that is not wrong."""
    decided, flags = explain.scored(detector, wrong)
    which = np.flatnonzero(flags)
    score, rows = decided.scored.score[which], explain._taken(wrong, which)
    found = detector.explain(rows, decided.take(which), most=MOST)
    counts = {rule: {"named": 0, "wrong": 0, "rows_with_false": 0} for rule in RULES}
    for i, is_wrong in enumerate(set(row.tolist()) for row in columns[which]):
        part, role = found.attribution[i], found.role[i]
        first = [int(j) for j in np.argsort(-part, kind="stable")[:MOST] if part[j] > 0]
        by_rule = (
            {j for j in first if part[j] > EARLIER * score[i]},
            {j for j in first if role[j] != MINOR},
            {j for j in first if role[j] not in (MINOR, ALTERNATIVE)},
        )
        for rule, of_row in zip(RULES, by_rule, strict=True):
            counts[rule]["named"] += len(of_row)
            counts[rule]["wrong"] += len(of_row & is_wrong)
            counts[rule]["rows_with_false"] += bool(of_row - is_wrong)
    return {"corrupted": len(wrong), "flagged": int(which.size), "wrong_cells": int(columns[which].size)} | counts


def seconds(detector: Detector, wrong: Cells) -> dict[str, Any]:
    """Processor seconds per row to explain some of the flagged rows, without roles and with, in pairs."""
    decided, flags = explain.scored(detector, wrong)
    which = np.random.default_rng(0).permutation(np.flatnonzero(flags))[:TIMED_ROWS]
    rows, of_rows = explain._taken(wrong, which), decided.take(which)
    took: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(PAIRS):
        for word, replaced in (("without", _no_roles), ("with", roles)):
            with mock.patch.object(attribution, "roles", replaced):
                start = time.process_time()
                detector.explain(rows, of_rows, most=MOST)
                took[word].append(round((time.process_time() - start) / which.size, 6))
    return took


def _no_roles(_: object, parts: np.ndarray, *__: object) -> np.ndarray:
    return np.zeros(parts.size, np.uint8)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """One table: faults and tables by rule, and means over tables."""
    parts = [
        "# Which columns does an explanation name?",
        "`python benchmarks/named_columns.py --data DIR`",
        "Preset `fast`, seed 0. **Correct**: of the columns named, the share that is wrong in the row. **Found**: of "
        "the wrong cells, the share that is named. **Rows with a false name**: a column is named whose cell is right. "
        "*Earlier*: up to three columns, each with more than a twentieth of the score. *Today*: columns without which "
        "the row would not be usual, and (*alternatives*) those that could be wrong in place of the first.",
    ]
    lines = ["| wrong cells | table | rows | rule | correct | found | rows with a false name |"]
    lines += ["|---|---|--:|---|--:|--:|--:|"]
    for fault in FAULTS:
        of_fault = [row for row in rows if row["fault"] == fault]
        for row in of_fault:
            for rule in RULES:
                lines.append(_line(fault, row["table"], f"{row['flagged']:,}", rule, _figures(row, rule)))
        for rule in RULES if of_fault else ():
            mean = np.mean([_figures(row, rule) for row in of_fault], axis=0)
            lines.append(_line(fault, f"mean over {len(of_fault)} tables", "–", rule, mean))
    parts += ["\n".join(lines), f"## Milliseconds of a processor per row, medians of {PAIRS} pairs"]
    lines = ["| table | without roles | with roles | ratio, median of pairs |", "|---|--:|--:|--:|"]
    for row in (row for row in rows if row["fault"] == "seconds"):
        without, with_roles = np.array(row["without"]), np.array(row["with"])
        lines.append(
            f"| {row['table']} | {1000 * np.median(without):.2f} | {1000 * np.median(with_roles):.2f} | "
            f"{np.median(with_roles / without):.2f} |"
        )
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def _figures(row: dict[str, Any], rule: str) -> tuple[float, float, float]:
    found = row[rule]
    return (
        found["wrong"] / max(found["named"], 1),
        found["wrong"] / row["wrong_cells"],
        found["rows_with_false"] / row["flagged"],
    )


def _line(fault: str, table: str, rows: str, rule: str, figures: Sequence[float]) -> str:
    shares = " | ".join(f"{100 * one:.1f} %" for one in figures)
    return f"| {fault} | {table} | {rows} | {rule} | {shares} |"


if __name__ == "__main__":
    main()
