"""`vaecli report`: one HTML page about a table."""

from __future__ import annotations

from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb, piped

Output = Annotated[
    str | None,
    options.option(
        "OUT.html",
        "The page; - writes it to standard output. If not given: INPUT.report.html, next to the input.",
        "--output",
        "-o",
    ),
]
ImageShape = Annotated[
    str | None,
    options.option(
        "HxW", "Draw each row as an image of this height and width in pixels, such as 8x8; pixels are read row by row."
    ),
]


def report(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    offline: options.Offline = False,
    merge_gap: options.MergeGap = None,
    min_duration: options.MinDuration = None,
    alarm_budget: options.AlarmBudget = None,
    image_shape: ImageShape = None,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write one HTML page about a table: how many rows are anomalous, which, and why.

    The page is one file below 2 MB that opens offline in any browser and runs no script.

    \b
    Examples:
      vaecli report new.csv
      vaecli report new.parquet -m pump.vae --threshold 0.999 -o pump.html
      vaecli report plant.parquet -m plant.vae --alarm-budget 1/day
      vaecli report digits.csv -m digits.vae --image-shape 8x8
      vaecli report today.csv --quiet
    """
    from vaecli.config import report_config
    from vaecli.config.score import check_engine

    verb = Verb(piped(inputs, output), as_json, quiet, verbose)
    verb.check(inputs, "the page", "the page")
    decision = {"threshold": threshold, "min_score": min_score, "score_kind": score_kind}
    running = {"batch_rows": batch_rows, "workers": workers, "offline": offline or None}
    of_events = {"merge_gap": merge_gap, "min_duration": min_duration, "alarm_budget": alarm_budget}
    config = report_config({"image_shape": image_shape} | decision | running | of_events)

    check_engine(engine, remote, "report")

    from vaecli.workflows.report import report as workflow

    verb.run(workflow, inputs, model, verb.output, config, remote=remote)
