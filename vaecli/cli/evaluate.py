"""`vaecli evaluate`: how good a bundle is on a labelled table."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli import render
from vaecli.cli import options
from vaecli.config import evaluate_config
from vaecli.errors import UsageError

Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The column that marks anomalous rows (default: the one that marked them at fit).",
    ),
]
Group = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Evaluate each value of this column (a device, a site) by itself, worst first."),
]
Baselines = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="Normal rows to fit three simple methods on, for comparison; the table of the fit, say.",
    ),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="0 leaves the intervals out. Other numbers are out of use: nothing is drawn any more."
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(metavar="N", help="The same seed and input give the same simple methods (0 if not given)."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write every figure as a line of CSV, TSV or Parquet; - is standard output.",
    ),
]
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Draw the ROC and precision-recall curves: a .png or .svg file."),
]


def evaluate(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    label: Label = None,
    group: Group = None,
    baselines: Baselines = None,
    output: Output = None,
    plot: Plot = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    bootstrap: Bootstrap = None,
    seed: Seed = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure a bundle on a labelled table: how well it ranks, and what its threshold catches and costs.

    AUROC, average precision, precision, recall, F1 and false alarms, each with a 95 % interval.

    \b
    Examples:
      vaecli evaluate labelled.csv --label is_fault
      vaecli evaluate labelled.parquet --label is_fault --group site -o figures.csv
      vaecli evaluate labelled.csv --label is_fault --baselines normal.csv --plot curves.png
      vaecli evaluate labelled.csv --label is_fault --json | jq .overall.figures.auroc
    """
    options.check_verbosity(quiet=quiet, verbose=verbose)
    options.check_inputs(inputs)
    if baselines == "-":
        raise UsageError("--baselines takes a file, not standard input", "write the normal rows to a file first")
    if output == "-" and as_json:
        raise UsageError("--json and the figures cannot share standard output", "write the figures with -o FILE")
    config = evaluate_config(
        {
            "label": label,
            "group": group,
            "baselines": baselines,
            "bootstrap": bootstrap,
            "seed": seed,
            "threshold": threshold,
            "min_score": min_score,
            "score_kind": score_kind,
            "batch_rows": batch_rows,
            "workers": workers,
        }
    )

    from vaecli.tables.without_pandas import skip_pandas_import
    from vaecli.workflows.evaluate import evaluate as run

    skip_pandas_import()
    with render.progress(quiet=quiet, verbose=verbose) as on_event:
        summary = run(inputs, model, output, plot, config, on_event=on_event)
    render.show(summary, as_json=as_json, quiet=quiet, beside_data=output == "-")
