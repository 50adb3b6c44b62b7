"""`vaecli flag`: decide again over a scored table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb, piped
from vaecli.errors import GateMet, InputError

Scored = Annotated[
    list[str],
    typer.Argument(metavar="SCORED", help="What `vaecli score` wrote; - reads standard input.", show_default=False),
]
Output = Annotated[
    str | None,
    options.option(
        "OUT",
        "The table with its new flags; - writes CSV to standard output. If not given: SCORED.flagged, same extension.",
        "--output",
        "-o",
    ),
]
Level = Annotated[
    str | None, options.option("LEVEL", "Flag rows more unusual than this share of normal rows; a floor beside --top.")
]
Fdr = Annotated[
    str | None,
    options.option(
        "Q", "Flag so that on average at most this share of the flagged rows is normal (Benjamini-Hochberg): 0.05."
    ),
]
Top = Annotated[str | None, options.option("N", "Flag the N most unusual rows.")]
PerDay = Annotated[
    str | None,
    options.option("N", "Flag at most N events a day, the most unusual ones of those at --threshold (0.99)."),
]
Time = Annotated[str | None, options.option("NAME", "Column that holds when a row was, for --per-day and rules.")]
GroupOption = Annotated[str | None, options.option("NAME", "Column whose values are separate series, for --per-day.")]
MergeGap = Annotated[
    str | None,
    options.option("N|DURATION", "Flagged rows so many rows, or 90s, 10m or 1.5h, apart are one event (1 row)."),
]
Rules = Annotated[
    Path | None,
    options.option("FILE.toml", "Do not flag rows that these rules know; the output names the rule in suppressed_by."),
]
CalibrationRows = Annotated[
    str | None,
    options.option("M", "How many normal rows gave the p-values, for --fdr without the bundle."),
]


def flag(
    inputs: Scored,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    threshold: Level = None,
    fdr: Fdr = None,
    top: Top = None,
    per_day: PerDay = None,
    time: Time = None,
    group: GroupOption = None,
    merge_gap: MergeGap = None,
    rules: Rules = None,
    calibration_rows: CalibrationRows = None,
    fail_on: options.FailOn = None,
    anomalies_only: options.AnomaliesOnly = False,
    prefix: options.Prefix = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Decide again which rows of a scored table are flagged.

    The bundle is needed for --fdr and for rules that name a column only; nothing is scored again.

    \b
    Examples:
      vaecli flag new.scored.csv --threshold 0.999
      vaecli flag new.scored.parquet --fdr 0.05 -o found.parquet
      vaecli flag new.scored.csv --per-day 3 --time when --group device --rules known.toml
    """
    from vaecli.config import flag_config
    from vaecli.config.fail_on import Gate

    verb = Verb(piped(inputs, output), as_json, quiet, verbose)
    verb.check(inputs, "the table", "the table")
    decision = {"threshold": threshold, "fdr": fdr, "top": top, "per_day": per_day, "fail_on": fail_on}
    of_days = {"time": time, "group": group, "merge_gap": merge_gap, "calibration_rows": calibration_rows}
    running = {"anomalies_only": anomalies_only or None, "prefix": prefix, "batch_rows": batch_rows, "workers": workers}
    config = flag_config(decision | of_days | running, rules=rules)

    from vaecli.workflows.flag import flag as workflow

    summary = verb.run(workflow, inputs, model, verb.output, config)
    if config.fail_on is None:
        return
    where = "on standard output" if summary.output == "-" else f"in {summary.output}"
    if not summary.rows:
        raise InputError("there are no rows, of which --fail-on could approve", f"the empty table is {where}")
    if Gate.parse(config.fail_on).is_met(summary.anomalies, summary.rows):
        raise GateMet(
            f"{summary.anomalies:,} of {summary.rows:,} rows are flagged; --fail-on {config.fail_on} is met",
            f"the complete table is {where}",
        )
