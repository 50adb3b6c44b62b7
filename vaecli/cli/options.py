"""The options that several verbs share, each defined once."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vaecli.config import DEVICES, PRESETS, SCORE_KINDS
from vaecli.errors import UsageError, quoted

DEFAULT_BUNDLE = Path("model.vae")

_COLUMNS = "Columns"
_DECISION = "Decision"
_TRAINING = "Training"
_OUTPUT = "Output"
_RUNNING = "Running"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="CSV, TSV (also .gz, .zst) or Parquet: files, a folder of Parquet, a glob, a URL; - reads standard input.",
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(DEVICES),
        help="Where to compute; auto uses CUDA when available. Environment: VAECLI_DEVICE.",
        autocompletion=lambda: list(DEVICES),
        rich_help_panel=_RUNNING,
    ),
]
ScoreKind = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(SCORE_KINDS),
        help="Which score to use; fit calibrates all of them. Environment: VAECLI_SCORE_KIND.",
        autocompletion=lambda: list(SCORE_KINDS),
        rich_help_panel=_DECISION,
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="Flag rows more unusual than this share of normal rows: 0.99 flags about 1 normal row in 100. "
        "Environment: VAECLI_THRESHOLD.",
        rich_help_panel=_DECISION,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of the summary.", rich_help_panel=_OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=_OUTPUT)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Log each stage even when stderr is not a terminal.", rich_help_panel=_OUTPUT),
]

# fit only
BundleOutput = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="BUNDLE",
        envvar="VAECLI_MODEL",
        help="The bundle to write.",
        readable=False,  # not checked by Typer, as a bundle of others may be replaced
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES",
        help="Model only these columns. Repeat it, or separate names by commas; "
        """a name that holds a comma goes in double quotes: '"a, b",c'.""",
        rich_help_panel=_COLUMNS,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="NAMES", help="Leave these columns out; names as in --columns.", rich_help_panel=_COLUMNS),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column that marks anomalous rows: those rows are left out of training; the column is never a feature.",
        rich_help_panel=_COLUMNS,
    ),
]
Identifiers = Annotated[
    list[str] | None,
    typer.Option(
        "--id", metavar="NAMES", help="Columns that identify a row; names as in --columns.", rich_help_panel=_COLUMNS
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column that orders the rows; neighbours in time are held out together.",
        rich_help_panel=_COLUMNS,
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column whose equal values (a device, a site) are held out together.",
        rich_help_panel=_COLUMNS,
    ),
]
SameUnit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES|all",
        help="Columns measured in one unit (pixels of an image, bins of a spectrum); they share one scale.",
        rich_help_panel=_COLUMNS,
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="The same seed and input give the same bundle (default: 0). Environment: VAECLI_SEED.",
        rich_help_panel=_TRAINING,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PRESETS),
        help="Size of the networks and length of training. Environment: VAECLI_PRESET.",
        autocompletion=lambda: list(PRESETS),
        rich_help_panel=_TRAINING,
    ),
]
MaxEpochs = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Stop after this many passes over the rows. Environment: VAECLI_MAX_EPOCHS.",
        rich_help_panel=_TRAINING,
    ),
]
TimeBudget = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Stop training after 90s, 10m or 1.5h and keep the best so far. Environment: VAECLI_TIME_BUDGET.",
        rich_help_panel=_TRAINING,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="TOML file of settings; environment variables and options override it.",
        rich_help_panel=_TRAINING,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted fit of the same table.", rich_help_panel=_TRAINING)
]

# score only
Model = Annotated[
    Path,
    typer.Option(
        "--model",
        "-m",
        metavar="BUNDLE",
        envvar="VAECLI_MODEL",
        help="The bundle that `vaecli fit` wrote.",
        readable=False,  # not checked by Typer, which would leave with its own exit code
    ),
]
ScoredOutput = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The scored table; - writes CSV to standard output. If not given: INPUT.scored, same extension.",
        rich_help_panel=_OUTPUT,
    ),
]
MinScore = Annotated[
    str | None,
    typer.Option(
        metavar="SCORE",
        help="Flag rows whose score is at least this, instead of a threshold level.",
        rich_help_panel=_DECISION,
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        metavar="any|N|P%",
        help="Exit with code 3 if any row, more than N rows or more than P % of the rows are flagged; "
        "the output is written in full all the same.",
        rich_help_panel=_DECISION,
    ),
]
AnomaliesOnly = Annotated[
    bool, typer.Option("--anomalies-only", help="Write only the flagged rows.", rich_help_panel=_OUTPUT)
]
Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Prefix for the names of the added columns, for tables that already have columns of these names.",
        rich_help_panel=_OUTPUT,
    ),
]
BatchRows = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Rows that a worker holds in memory at a time; does not change any output.",
        rich_help_panel=_RUNNING,
    ),
]
Explain = Annotated[
    str | None,
    typer.Option(
        metavar="K",
        help="Add top_columns to flagged rows: the K columns that contribute most, as name:nats; 0 adds none.",
        rich_help_panel=_OUTPUT,
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Number of threads (default: one per processor core); does not change any output.",
        rich_help_panel=_RUNNING,
    ),
]


def names(given: Sequence[str] | None) -> tuple[str, ...]:
    """Column names from a repeatable, comma-separated option, without repetitions, in order.

    Each value is one CSV record, so a name that holds a comma is written in double quotes. Raises UsageError.
    """
    found: list[str] = []
    for value in given or ():
        try:
            found += next(csv.reader([value], skipinitialspace=True, strict=True), [])
        except csv.Error:
            raise UsageError(
                f"{quoted(value)} is not a list of column names",
                """separate names by commas; a name that holds a comma or a quote is written '"like, this"'""",
            ) from None
    return tuple(dict.fromkeys(name for name in found if name))


def check_inputs(inputs: Sequence[str]) -> None:
    """Raise UsageError if the run would wait for a table typed at the terminal."""
    if "-" not in inputs:
        return
    if len(inputs) > 1:
        raise UsageError("- (standard input) cannot be read together with files", "give either")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input is a terminal, not a table", "for example: zcat table.csv.gz | vaecli …")


def check_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Raise UsageError for --quiet with --verbose."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose contradict each other", "give one of them")
