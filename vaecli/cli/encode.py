"""`vaecli encode`: the latent coordinates of every row."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb, piped
from vaecli.errors import UsageError

Output = Annotated[
    str | None,
    options.option(
        "OUT",
        "The table of coordinates; - writes CSV to standard output. If not given: INPUT.encoded, same extension.",
        "--output",
        "-o",
    ),
]
Dims = Annotated[
    str | None,
    options.option("N", "Write N columns map1, map2, ... instead: coordinates of the code on a map of N dimensions."),
]
Map = Annotated[
    str | None,
    options.option(
        "KIND", "Method: pca (default) or umap, which keeps small neighbourhoods better and needs umap-learn."
    ),
]
Plot = Annotated[str | None, options.option("FILE", "Plot the map of --dims 2 or more to a .png or .svg file.")]
Color = Annotated[str | None, options.option("NAME", "Colour the points of the plot by this column.")]
Spreads = Annotated[bool, typer.Option("--spreads", help="Add the posterior standard deviation of each coordinate.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Append the coordinates to your columns instead of to a row number.")
]


def encode(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    dims: Dims = None,
    map: Map = None,  # the option's name
    plot: Plot = None,
    color: Color = None,
    spreads: Spreads = False,
    keep: Keep = False,
    prefix: options.Prefix = None,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write the latent code of every row: the few numbers to which the model compresses its columns.

    The output has a row number and z1, z2, ...: coordinates for plots, clustering and neighbour search.

    \b
    Examples:
      vaecli encode new.csv
      vaecli encode new.parquet --dims 2 -o map.csv
      vaecli encode new.csv --dims 2 --map umap --plot map.png --color site
      vaecli encode new.csv --keep --spreads
    """
    from vaecli.config import encode_config
    from vaecli.config.score import check_engine

    verb = Verb(piped(inputs, output), as_json, quiet, verbose)
    verb.check(inputs, "the coordinates", "the table")
    own = {"dims": dims, "map": map, "color": color, "spreads": spreads, "keep": keep}
    config = encode_config(own | {"prefix": prefix, "batch_rows": batch_rows, "workers": workers})
    if plot is not None and (config.dims or 0) < 2:
        raise UsageError("--plot draws a map of two dimensions", "add --dims 2")
    if color is not None and plot is None:
        raise UsageError("--color colours a picture, but none is asked for", "add --plot FILE")

    check_engine(engine, remote, "encode")

    from vaecli.workflows.encode import encode as workflow

    verb.run(workflow, inputs, model, verb.output, config, plot=plot, remote=remote)
