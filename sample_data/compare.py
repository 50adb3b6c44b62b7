"""Compare a scored CSV table with its label column: what was found, what was a false alarm.

    python sample_data/compare.py demo/shuttle.scored.csv

Standard library only. vaecli does not use the labels; they pass through to the output with the other columns.
"""

from __future__ import annotations

import argparse
import csv
import signal
from bisect import bisect_left, bisect_right
from itertools import groupby
from pathlib import Path

Row = dict[str, str]


def main() -> None:
    """Print the comparison."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="what `vaecli score` wrote, with a label column")
    parser.add_argument("--label", default="label", help="column that is 1 for an anomaly, 0 otherwise")
    parser.add_argument("--events", action="store_true", help="the rows are a series: count runs of labelled rows too")
    parser.add_argument("--show", default="", help="comma-separated columns of the most anomalous rows to print")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scored = [row for row in rows if row["anomaly_score"]]
    anomalies = [row for row in scored if row[options.label] == "1"]
    normal = [row for row in scored if row[options.label] == "0"]
    print_counts(anomalies, normal, len(rows) - len(scored))
    if options.events:
        print_events(scored, options.label)
    if options.show:
        print_most_anomalous(scored, [*options.show.split(","), options.label])


def print_counts(anomalies: list[Row], normal: list[Row], n_unscored: int) -> None:
    """The two shares that matter, and the area under the ROC curve."""
    found, alarms = n_flagged(anomalies), n_flagged(normal)
    print(f"{'':22}{'rows':>8}{'flagged':>9}")
    print(f"{'labelled anomalies':22}{len(anomalies):8,}{found:9,}   {found / len(anomalies):.1%} found")
    print(f"{'normal rows':22}{len(normal):8,}{alarms:9,}   {alarms / len(normal):.1%} false alarms")
    area = auroc(scores(anomalies), scores(normal))
    print(f"AUROC {area:.4f}: an anomaly scores higher than a normal row in {area:.1%} of all pairs")
    if n_unscored:
        print(f"{n_unscored:,} rows could not be scored and are left out")


def print_events(rows: list[Row], label: str) -> None:
    """How many events, runs of labelled rows, hold a flagged row."""
    events = [list(run) for is_event, run in groupby(rows, lambda row: row[label] == "1") if is_event]
    found = sum(n_flagged(event) > 0 for event in events)
    print(f"{len(events)} events of {min(map(len, events))} to {max(map(len, events))} rows, {found} found")


def print_most_anomalous(rows: list[Row], columns: list[str], n_shown: int = 5) -> None:
    """The rows with the highest scores."""
    top = sorted(rows, key=lambda row: -float(row["anomaly_score"]))[:n_shown]
    shown = [*columns, "anomaly_score"]
    table = [shown] + [[*(row[name] for name in columns), f"{float(row['anomaly_score']):.2f}"] for row in top]
    widths = [max(len(line[j]) for line in table) for j in range(len(shown))]
    print("\nThe most anomalous rows:")
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def n_flagged(rows: list[Row]) -> int:
    """How many of the rows were flagged."""
    return sum(row["is_anomaly"].lower() == "true" for row in rows)


def scores(rows: list[Row]) -> list[float]:
    """The scores, ascending."""
    return sorted(float(row["anomaly_score"]) for row in rows)


def auroc(high: list[float], low: list[float]) -> float:
    """Share of pairs in which the score from `high` is the larger one; a tie counts half. Both ascending."""
    wins = sum(bisect_left(low, score) + bisect_right(low, score) for score in high)
    return wins / (2 * len(high) * len(low))


if __name__ == "__main__":
    main()
