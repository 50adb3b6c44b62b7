"""`vaecli reconstruct`: every cell, or every missing one, as the model expects it."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli import render
from vaecli.cli import options
from vaecli.config import reconstruct_config
from vaecli.errors import UsageError

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The table to write; - writes CSV to standard output. "
        "If not given: INPUT.reconstructed or INPUT.imputed, same extension.",
    ),
]
Impute = Annotated[
    bool,
    typer.Option(
        "--impute", help="Fill missing cells only, from the rest of their row; leave all other cells unchanged."
    ),
]


def reconstruct(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    impute: Impute = False,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write every row as the model reconstructs it, or with --impute only fill its missing cells.

    Values are in your units, spellings and formats; columns that are not modelled pass through.

    \b
    Examples:
      vaecli reconstruct new.csv
      vaecli reconstruct new.csv --impute
      vaecli reconstruct new.parquet --impute -m pump.vae -o filled.parquet
    """
    options.check_verbosity(quiet=quiet, verbose=verbose)
    options.check_inputs(inputs)
    # what comes in through a pipe goes out through one
    target = "-" if output is None and inputs == ["-"] else output
    if target == "-" and as_json:
        raise UsageError("--json and the table cannot share standard output", "write the table with -o FILE")
    config = reconstruct_config({"impute": impute, "batch_rows": batch_rows, "workers": workers})

    from vaecli.tables.without_pandas import skip_pandas_import
    from vaecli.workflows.reconstruct import reconstruct as run

    skip_pandas_import()
    with render.progress(quiet=quiet, verbose=verbose) as on_event:
        summary = run(inputs, model, target, config, on_event=on_event)
    render.show(summary, as_json=as_json, quiet=quiet, beside_data=target == "-")
