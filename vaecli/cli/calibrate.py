"""`vaecli calibrate`: new thresholds and p-values from fresh normal rows, without a new fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb
from vaecli.errors import UsageError

Bundle = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="The bundle to calibrate anew; it is not changed.", readable=False)
]
NewBundle = Annotated[
    Path, typer.Option("--output", "-o", metavar="BUNDLE", help="The new bundle to write.", readable=False)
]
By = Annotated[
    str | None,
    options.option(
        "NAME",
        "Calibrate each group of this column (a device, a site) by its own rows; scored tables must have it too.",
    ),
]
MinRows = Annotated[
    str | None,
    options.option(
        "N", "Rows that a group needs for a calibration of its own (default: as many as resolve the threshold level)."
    ),
]
Add = Annotated[bool, typer.Option("--add", help="Keep the earlier calibration rows, and add these.")]
Level = Annotated[str | None, options.option("LEVEL", "The new default level (default: that of the bundle).")]


def calibrate(
    bundle: Bundle,
    inputs: options.Inputs,
    output: NewBundle,
    by: By = None,
    min_rows: MinRows = None,
    add: Add = False,
    threshold: Level = None,
    marks: options.Marks = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Give a bundle new thresholds and p-values by fresh normal rows, without a new fit.

    The networks stay as they are. Rows that the label column of the fit marks are left out.

    \b
    Examples:
      vaecli calibrate model.vae last_week.csv -o model.vae
      vaecli calibrate model.vae normal.parquet --by device -o by_device.vae
      vaecli calibrate model.vae more.csv --add -o model.vae
    """
    from vaecli.config import calibrate_config

    verb = Verb(str(output), as_json, quiet, verbose)
    verb.check(inputs, "the bundle", "it")
    if str(output) == "-":
        raise UsageError("a bundle cannot go to standard output", "name a file: -o model.vae")
    given = {"by": by, "min_rows": min_rows, "add": add or None, "threshold": threshold, "marks": marks}
    config = calibrate_config(given | {"batch_rows": batch_rows, "workers": workers})

    from vaecli.workflows.calibrate import calibrate as workflow

    verb.run(workflow, bundle, inputs, output, config)
