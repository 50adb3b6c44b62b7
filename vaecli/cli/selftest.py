"""`vaecli selftest`: which faults a bundle detects, without labels."""

from __future__ import annotations

from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb
from vaecli.config.choices import FAULTS, SERIES_FAULTS, TEXT_FAULTS

Rows = Annotated[
    str | None,
    options.option(
        "N",
        "Rows to draw from the table; each gets every fault at every size (default: 2000; of series 25600, in "
        "stretches of 128).",
    ),
]
Seed = Annotated[str | None, options.option("N", "The same seed and input give the same rows and faults (default: 0).")]
Faults = Annotated[
    list[str] | None,
    options.option(
        "NAMES",
        f"Inject only these faults, separated by commas: {', '.join(FAULTS)}; into text: "
        f"{', '.join(TEXT_FAULTS)}; into series: {', '.join(SERIES_FAULTS)}.",
    ),
]
Output = Annotated[
    str | None,
    options.option(
        "FILE",
        "Write each detection rate, also per column, as a line of CSV, TSV or Parquet; - is standard output.",
        "--output",
        "-o",
    ),
]
Plot = Annotated[
    str | None, options.option("FILE", "Plot the detection rate per fault and column to a .png or .svg file.")
]


def selftest(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    rows: Rows = None,
    faults: Faults = None,
    seed: Seed = None,
    output: Output = None,
    plot: Plot = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Find out which faults a bundle detects at its threshold, and which it misses. No labels needed.

    INPUT holds normal rows, ideally rows the fit has not seen.
    Faults are injected into them, and the flagged share is reported.

    \b
    Examples:
      vaecli selftest fresh.csv
      vaecli selftest fresh.parquet --threshold 0.999 -o seen.csv
      vaecli selftest fresh.csv --faults stuck,swap --rows 10000 --plot seen.png
    """
    from vaecli.config import selftest_config

    verb = Verb(output, as_json, quiet, verbose)
    verb.check(inputs, "the shares", "the shares")
    own = {"rows": rows, "faults": options.names(faults), "seed": seed}
    decision = {"threshold": threshold, "min_score": min_score, "score_kind": score_kind}
    running = {"batch_rows": batch_rows, "workers": workers}
    config = selftest_config(own | decision | running)

    from vaecli.workflows.selftest import selftest as workflow

    verb.run(workflow, inputs, model, output, plot, config)
