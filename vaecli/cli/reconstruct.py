"""`vaecli reconstruct`: every cell, or every missing one, as the model expects it."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb, piped

Output = Annotated[
    str | None,
    options.option(
        "OUT",
        "The table to write; - writes CSV to standard output. "
        "If not given: INPUT.reconstructed or INPUT.imputed, same extension.",
        "--output",
        "-o",
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
    engine: options.Engine = None,
    remote: options.Remote = None,
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
    from vaecli.config import reconstruct_config
    from vaecli.config.score import check_engine

    verb = Verb(piped(inputs, output), as_json, quiet, verbose)
    verb.check(inputs, "the table", "the table")
    config = reconstruct_config({"impute": impute, "batch_rows": batch_rows, "workers": workers})

    check_engine(engine, remote, "reconstruct")

    from vaecli.workflows.reconstruct import reconstruct as workflow

    verb.run(workflow, inputs, model, verb.output, config, remote=remote)
