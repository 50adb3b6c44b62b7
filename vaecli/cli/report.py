"""`vaecli report`: one HTML page about a table."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli import render
from vaecli.cli import options
from vaecli.config import report_config
from vaecli.errors import UsageError

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT.html",
        help="The page; - writes it to standard output. If not given: INPUT.report.html, beside the input.",
    ),
]
ImageShape = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Draw each row as an image of this height and width in pixels, such as 8x8; pixels are read row by row.",
    ),
]


def report(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    image_shape: ImageShape = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write one HTML page about a table: is there something to look at, where, and why.

    The page is one file that opens offline in any browser, runs no script, and stays below 2 MB.

    \b
    Examples:
      vaecli report new.csv
      vaecli report new.parquet -m pump.vae --threshold 0.999 -o pump.html
      vaecli report digits.csv -m digits.vae --image-shape 8x8
      vaecli report today.csv --quiet
    """
    options.check_verbosity(quiet=quiet, verbose=verbose)
    options.check_inputs(inputs)
    # what comes in through a pipe goes out through one
    target = "-" if output is None and inputs == ["-"] else output
    if target == "-" and as_json:
        raise UsageError("--json and the page cannot share standard output", "write the page with -o FILE")
    config = report_config(
        {
            "threshold": threshold,
            "min_score": min_score,
            "score_kind": score_kind,
            "image_shape": image_shape,
            "batch_rows": batch_rows,
            "workers": workers,
        }
    )

    from vaecli.tables.without_pandas import skip_pandas_import
    from vaecli.workflows.report import report as run

    skip_pandas_import()
    with render.progress(quiet=quiet, verbose=verbose) as on_event:
        summary = run(inputs, model, target, config, on_event=on_event)
    render.show(summary, as_json=as_json, quiet=quiet, beside_data=target == "-")
