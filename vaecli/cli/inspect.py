"""`vaecli inspect`: what is in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaecli import render
from vaecli.cli import options


def inspect(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="[BUNDLE]", envvar="VAECLI_MODEL", help="The bundle that `vaecli fit` wrote.", readable=False
        ),
    ] = options.DEFAULT_BUNDLE,
    schema: Annotated[
        bool, typer.Option("--schema", help="List the columns: kind, role, range or categories, reason if left out.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what is in a bundle: its columns, settings, calibration and digests.

    \b
    Examples:
      vaecli inspect model.vae
      vaecli inspect model.vae --schema
      vaecli inspect model.vae --json
    """
    from vaecli.workflows.inspect import inspect as run

    summary = run(bundle)
    if schema and not as_json:
        render.show_schema(summary)
    else:
        render.show(summary, as_json=as_json)
