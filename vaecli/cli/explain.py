"""`vaecli explain`: which columns make a row anomalous, and what was expected instead."""

from __future__ import annotations

from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb

Rows = Annotated[
    list[str] | None,
    options.option(
        "N", "Explain this row, flagged or not; the first is 1. Repeat it, or separate numbers by commas.", "--row"
    ),
]
Top = Annotated[str | None, options.option("K", "Reasons per row or event, strongest first (default: 3).")]
Most = Annotated[
    str | None, options.option("N", "Rows or events to show, most anomalous first (default: 20); a file gets all.")
]
Output = Annotated[
    str | None,
    options.option("FILE", "Write one line per reason as CSV, TSV or Parquet; - is standard output.", "--output", "-o"),
]

Plot = Annotated[
    str | None,
    options.option("FILE", "Plot the contributing columns and the most anomalous rows to a .png or .svg file."),
]


def explain(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    rows: Rows = None,
    top: Top = None,
    most: Most = None,
    plot: Plot = None,
    incidents: options.Incidents = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    offline: options.Offline = False,
    merge_gap: options.MergeGap = None,
    min_duration: options.MinDuration = None,
    alarm_budget: options.AlarmBudget = None,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Explain why rows are flagged: the columns responsible, their values, and the values expected.

    Of series in time it explains events: which sensors, which way, and since when; or rows with --row.

    A column's nats are how far the score falls if its cell is replaced by the value expected from the other columns.

    \b
    Examples:
      vaecli explain new.csv
      vaecli explain new.csv --row 17 --top 5
      vaecli explain new.parquet -o reasons.csv --plot reasons.png
      vaecli explain new.csv --json | jq .shown[0]
    """
    from vaecli.config import explain_config
    from vaecli.config.score import check_engine

    verb = Verb(output, as_json, quiet, verbose)
    verb.check(inputs, "the reasons", "the reasons")
    own = {"rows": ",".join(rows) if rows else None, "top": top, "most": most}
    decision = {"threshold": threshold, "min_score": min_score, "score_kind": score_kind}
    running = {"batch_rows": batch_rows, "workers": workers, "offline": offline or None}
    of_events = {"merge_gap": merge_gap, "min_duration": min_duration, "alarm_budget": alarm_budget}
    config = explain_config(own | decision | running | of_events)

    check_engine(engine, remote, "explain")

    from vaecli.workflows.explain import explain as workflow

    verb.run(workflow, inputs, model, output, config, plot=plot, incidents=incidents, remote=remote)
