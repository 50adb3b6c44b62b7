"""`vaecli evaluate`: how good a bundle is on a labelled table."""

from __future__ import annotations

from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb
from vaecli.errors import UsageError

Label = Annotated[
    str | None, options.option("NAME", "Column that marks anomalous rows (default: the label column of the fit).")
]
Group = Annotated[
    str | None,
    options.option("NAME", "Also evaluate each value of this column (a device, a site) separately, worst first."),
]
Baselines = Annotated[
    str | None,
    options.option(
        "TABLE", "Normal rows on which to fit three simple methods for comparison, such as the table of the fit."
    ),
]
Bootstrap = Annotated[
    str | None,
    options.option("N", "Deprecated: 0 leaves the intervals out, other numbers have no effect."),
]
Seed = Annotated[
    str | None,
    options.option("N", "The same seed and input give the same baselines and random scores (default: 0)."),
]
Output = Annotated[
    str | None,
    options.option("FILE", "Write one line per figure as CSV, TSV or Parquet; - is standard output.", "--output", "-o"),
]
Plot = Annotated[str | None, options.option("FILE", "Plot the ROC and precision-recall curves to a .png or .svg file.")]


def evaluate(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    label: Label = None,
    marks: options.Marks = None,
    group: Group = None,
    baselines: Baselines = None,
    output: Output = None,
    plot: Plot = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    offline: options.Offline = False,
    bootstrap: Bootstrap = None,
    seed: Seed = None,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure a bundle on a labelled table: its ranking, and the flags and false alarms at its threshold.

    Reports AUROC, average precision, precision, recall, F1 and false alarms, each with a 95 % interval.
    For a model of sensors in time also VUS-ROC and VUS-PR, events found, their delay, and false alarms a day.

    \b
    Examples:
      vaecli evaluate labelled.csv --label is_fault
      vaecli evaluate labelled.parquet --label is_fault --group site -o figures.csv
      vaecli evaluate labelled.csv --label is_fault --baselines normal.csv --plot curves.png
      vaecli evaluate labelled.csv --label is_fault --json | jq .overall.figures.auroc
    """
    from vaecli.config import evaluate_config
    from vaecli.config.score import check_engine

    if baselines == "-":
        raise UsageError("--baselines takes a file, not standard input", "write the normal rows to a file first")
    verb = Verb(output, as_json, quiet, verbose)
    verb.check(inputs, "the figures", "the figures")
    own = {"label": label, "group": group, "marks": marks, "baselines": baselines, "bootstrap": bootstrap, "seed": seed}
    decision = {"threshold": threshold, "min_score": min_score, "score_kind": score_kind}
    running = {"batch_rows": batch_rows, "workers": workers, "offline": offline or None}
    config = evaluate_config(own | decision | running)

    check_engine(engine, remote, "evaluate")

    from vaecli.workflows.evaluate import evaluate as workflow

    verb.run(workflow, inputs, model, output, plot, config, remote=remote)
