"""`vaecli sample`: new rows from the model."""

from __future__ import annotations

from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb

DEFAULT_OUTPUT = "samples.csv"
DEFAULT_PICTURE = "samples.png"

Output = Annotated[
    str | None,
    options.option(
        "OUT",
        "The table to write: CSV, TSV or Parquet by its extension; - writes CSV to standard output. "
        f"If not given: {DEFAULT_OUTPUT}.",
        "--output",
        "-o",
    ),
]
Rows = Annotated[
    str | None,
    options.option("N", "Number of new rows (default: 1000); with --like, per given row (default: 1).", "--rows", "-n"),
]
Like = Annotated[
    str | None, options.option("FILE", "Draw new rows similar to each row of this table; - reads standard input.")
]
ImageShape = Annotated[
    str | None,
    options.option("HxW", "Write the rows as images, such as 8x8 pixels, top left first: a grid of 100 in a PNG file."),
]
Seed = Annotated[
    str | None, options.option("N", "The same seed gives the same rows (default: 0). Environment: VAECLI_SEED.")
]
BatchRows = Annotated[
    str | None, options.option("N", "Rows that a worker holds in memory at a time; does not change any row.")
]
Workers = Annotated[
    str | None, options.option("N", "Number of threads (default: one per processor core); does not change any row.")
]


def sample(
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    rows: Rows = None,
    like: Like = None,
    image_shape: ImageShape = None,
    seed: Seed = None,
    batch_rows: BatchRows = None,
    workers: Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Draw new rows that resemble the training rows: same kinds, ranges, categories and missing cells.

    They are drawn around training rows and may come close to one: this does not make data anonymous.

    \b
    Examples:
      vaecli sample
      vaecli sample -n 1000000 -o new.parquet --seed 7
      vaecli sample --like faulty.csv -n 20 -o variants.csv
      vaecli sample --image-shape 8x8 -o digits.png
    """
    from vaecli.config import sample_config

    verb = Verb(output if output is not None else _target(like, image_shape), as_json, quiet, verbose)
    verb.check([] if like is None else [like], "the rows", "the table")
    settings = {"rows": rows, "like": like, "image_shape": image_shape, "seed": seed}
    config = sample_config({**settings, "batch_rows": batch_rows, "workers": workers})

    from vaecli.workflows.sample import sample as workflow

    verb.run(workflow, model, verb.output, config)


def _target(like: str | None, image_shape: str | None) -> str:
    """The default target of the rows."""
    if image_shape is not None:
        return DEFAULT_PICTURE
    # what comes in through a pipe goes out through one
    return "-" if like == "-" else DEFAULT_OUTPUT
