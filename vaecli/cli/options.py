"""The options that several verbs share, each defined once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vaecli.config.choices import BAD_FILES, DEVICES, ENGINES, PRESETS, SCORE_KINDS
from vaecli.errors import UsageError, quoted

DEFAULT_BUNDLE = Path("model.vae")

_COLUMNS = "Columns"
_DECISION = "Decision"
_TRAINING = "Training"
_OUTPUT = "Output"
_RUNNING = "Running"


def option(metavar: str, help: str, *names: str, panel: str | None = None) -> Any:
    """An option with a value; without `names` its name is that of the parameter."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel)


def choice(values: Sequence[str], help: str, panel: str) -> Any:
    """An option whose value is one of `values`, which the shell completes."""
    return typer.Option(metavar="|".join(values), help=help, rich_help_panel=panel, autocompletion=lambda: list(values))


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
    choice(DEVICES, "Where to compute; auto uses CUDA when available. Environment: VAECLI_DEVICE.", panel=_RUNNING),
]
ScoreKind = Annotated[
    str | None,
    choice(
        SCORE_KINDS, "Which score to use; fit calibrates all of them. Environment: VAECLI_SCORE_KIND.", panel=_DECISION
    ),
]
Threshold = Annotated[
    str | None,
    option(
        "LEVEL",
        "Flag rows more unusual than this share of normal rows: 0.99 flags about 1 normal row in 100. "
        "Environment: VAECLI_THRESHOLD.",
        panel=_DECISION,
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
    option(
        "NAMES",
        "Model only these columns. Repeat it, or separate names by commas; "
        """a name that holds a comma goes in double quotes: '"a, b",c'.""",
        panel=_COLUMNS,
    ),
]
Exclude = Annotated[
    list[str] | None, option("NAMES", "Leave these columns out; names as in --columns.", panel=_COLUMNS)
]
Label = Annotated[
    str | None,
    option(
        "NAME",
        "Column that marks anomalous rows: those rows are left out of training; the column is never a feature.",
        panel=_COLUMNS,
    ),
]
Marks = Annotated[
    str | None,
    option(
        "FILE",
        "Decisions that `vaecli mark` keeps: rows marked as faults count as anomalies, rows marked normal as normal, "
        "whatever a label states.",
        panel=_COLUMNS,
    ),
]
Identifiers = Annotated[
    list[str] | None, option("NAMES", "Columns that identify a row; names as in --columns.", "--id", panel=_COLUMNS)
]
Time = Annotated[
    str | None, option("NAME", "Column that orders the rows; neighbours in time are held out together.", panel=_COLUMNS)
]
Group = Annotated[
    str | None, option("NAME", "Column whose equal values (a device, a site) are held out together.", panel=_COLUMNS)
]
Text = Annotated[
    list[str] | None,
    option(
        "NAMES",
        "Columns of strings that are judged character by character: serial numbers, codes, messages; names as in "
        "--columns. Others are found where hardly any value comes twice and the characters are predictable.",
        panel=_COLUMNS,
    ),
]
Lines = Annotated[
    bool,
    typer.Option(
        "--lines",
        help="INPUT is lines without columns, a log: each is judged as a string; times at their beginning order them.",
        rich_help_panel=_COLUMNS,
    ),
]
Window = Annotated[
    str | None,
    option(
        "auto|N",
        "Rows of a time series that are judged together; 0 judges every row by itself. auto (default) uses windows "
        "where one column is a clock and rows that follow each other resemble each other.",
        panel=_COLUMNS,
    ),
]
MaxGap = Annotated[
    str | None,
    option(
        "DURATION",
        "No window spans a longer step in time: 90s, 10m or 1.5h (default: by the steps of the training table); "
        "in its own units where the clock only counts.",
        panel=_COLUMNS,
    ),
]
Long = Annotated[
    str | None,
    option(
        "name=COLUMN,value=COLUMN",
        "The table has a row per sensor and time: the columns with the sensor's name (tag) and its reading. With "
        "every=1m after them, readings of one minute share a stamp. Options that take NAMES mean tags then.",
        panel=_COLUMNS,
    ),
]
SameUnit = Annotated[
    list[str] | None,
    option(
        "NAMES|all",
        "Columns measured in one unit (pixels of an image, bins of a spectrum); they share one scale.",
        panel=_COLUMNS,
    ),
]
Missing = Annotated[
    list[str] | None,
    option(
        "WORDS",
        "Words and numbers that mean missing, here and in every table scored later: -9999,Bad,No Data; "
        "NAME=WORD is for one column. Lists as in --columns.",
        panel=_COLUMNS,
    ),
]
Decimal = Annotated[
    str | None, option(",|.", "Decimal mark of numbers in text (default: as the cells suggest).", panel=_COLUMNS)
]
Thousands = Annotated[
    str | None, option("MARK", "Mark between thousands of numbers in text, such as a comma.", panel=_COLUMNS)
]
Contamination = Annotated[
    str | None,
    option(
        "auto|P%",
        "The table holds anomalies that no label marks: distrust this share of its rows, the most isolated ones; auto "
        "means 5%.",
        panel=_TRAINING,
    ),
]
Distrusted = Annotated[
    str | None,
    option("FILE", "Write the rows that --contamination distrusts and why: CSV, TSV or Parquet.", panel=_OUTPUT),
]
Seed = Annotated[
    str | None,
    option(
        "N", "The same seed and input give the same bundle (default: 0). Environment: VAECLI_SEED.", panel=_TRAINING
    ),
]
Preset = Annotated[
    str | None,
    choice(PRESETS, "Size of the networks and length of training. Environment: VAECLI_PRESET.", panel=_TRAINING),
]
MaxEpochs = Annotated[
    str | None,
    option("N", "Stop after this many passes over the rows. Environment: VAECLI_MAX_EPOCHS.", panel=_TRAINING),
]
TimeBudget = Annotated[
    str | None,
    option(
        "DURATION",
        "Stop training after 90s, 10m or 1.5h and keep the best so far. Environment: VAECLI_TIME_BUDGET.",
        panel=_TRAINING,
    ),
]
ConfigFile = Annotated[
    Path | None,
    option(
        "FILE.toml",
        "TOML file of settings; environment variables and options override it.",
        "--config",
        panel=_TRAINING,
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
    option(
        "OUT",
        "The scored table; - writes CSV to standard output; with a slash at its end, a folder of one file per input "
        "file. If not given: INPUT.scored, same extension.",
        "--output",
        "-o",
        panel=_OUTPUT,
    ),
]
MinScore = Annotated[
    str | None,
    option("SCORE", "Flag rows whose score is at least this, instead of a threshold level.", panel=_DECISION),
]
FailOn = Annotated[
    str | None,
    option(
        "any|N|P%",
        "Exit with code 3 if any row, more than N rows or more than P % of the rows are flagged; "
        "the output is written in full all the same.",
        panel=_DECISION,
    ),
]
AnomaliesOnly = Annotated[
    bool, typer.Option("--anomalies-only", help="Write only the flagged rows.", rich_help_panel=_OUTPUT)
]
Prefix = Annotated[
    str | None,
    option(
        "TEXT",
        "Prefix for the names of the added columns, for tables that already have columns of these names.",
        panel=_OUTPUT,
    ),
]
BatchRows = Annotated[
    str | None, option("N", "Rows that a worker holds in memory at a time; does not change any output.", panel=_RUNNING)
]
Explain = Annotated[
    str | None,
    option(
        "K",
        "Add top_columns to flagged rows: the K columns that contribute most, as name:nats; 0 adds none.",
        panel=_OUTPUT,
    ),
]
Workers = Annotated[
    str | None,
    option("N", "Number of threads (default: one per processor core); does not change any output.", panel=_RUNNING),
]
Engine = Annotated[
    str | None, choice(ENGINES, "Where the rows are computed: here, or where Spark has them.", panel=_RUNNING)
]
BadFiles = Annotated[
    str | None,
    choice(
        BAD_FILES,
        "Leave files out that cannot be read or do not fit (exit code 4), or stop at one (default: stop; with "
        "--since-last-run skip).",
        panel=_RUNNING,
    ),
]
Remote = Annotated[str | None, option("sc://HOST:PORT", "The Spark Connect server of --engine spark.", panel=_RUNNING)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check the inputs, print what would be read and written, and stop.", rich_help_panel=_RUNNING
    ),
]

# models of series
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Let the score of a row of a series depend on the rows that follow it too."),
]
MergeGap = Annotated[
    str | None,
    option(
        "N|DURATION", "Events of a series closer than so many rows, or than 90s, 10m or 1.5h, are one (the window)."
    ),
]
MinDuration = Annotated[
    str | None, option("N|DURATION", "Leave out events of fewer rows, or shorter than 90s, 10m or 1.5h.")
]
Incidents = Annotated[
    str | None,
    option(
        "FILE",
        "Group flagged rows, or events of series, by the columns responsible, and write these incidents to a .csv, "
        ".parquet or .json file.",
    ),
]
AlarmBudget = Annotated[
    str | None,
    option(
        "N/PERIOD",
        "Flag from the score that normal stretches of training reach in at most so many events per hour, day, week or "
        "month, all series together: 1/day.",
    ),
]


def names(given: Sequence[str] | None) -> tuple[str, ...]:
    """Column names from a repeatable, comma-separated option, without repetitions, in order.

    Each value is one CSV record, so a name that holds a comma is written in double quotes. Raises UsageError.
    """
    import csv

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
