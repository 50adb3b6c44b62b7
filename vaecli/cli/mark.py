"""`vaecli mark`: keep what a person decided about rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb
from vaecli.errors import UsageError

Normal = Annotated[
    list[str] | None,
    options.option("FILE", "The rows of this table are normal: false alarms. Repeat it for more; - is standard input."),
]
Fault = Annotated[list[str] | None, options.option("FILE", "The rows of this table are faults; files as in --normal.")]
Remove = Annotated[
    list[str] | None, options.option("FILE", "Take back the marks of the rows of this table; files as in --normal.")
]
Key = Annotated[
    list[str] | None,
    options.option(
        "NAMES",
        "Columns that name a row (default: all cells of the columns that the bundle knows). Lists as in fit --columns.",
    ),
]
MarksFile = Annotated[
    Path | None,
    options.option("FILE", "The file of marks to change (default: the bundle's name with .marks after it)."),
]
Merge = Annotated[
    list[Path] | None, options.option("FILE", "Add the marks of another file of marks. Repeat it for more.")
]
List = Annotated[bool, typer.Option("--list", help="List all marks in the file.")]


def mark(
    model: options.Model = options.DEFAULT_BUNDLE,
    normal: Normal = None,
    fault: Fault = None,
    key: Key = None,
    marks: MarksFile = None,
    remove: Remove = None,
    merge: Merge = None,
    show: List = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Mark rows as normal or as faults, for the next fit, calibrate and evaluate with --marks FILE.

    Only the name of a row is kept: the texts of its key, or a digest of its cells.

    \b
    Examples:
      vaecli mark --normal false_alarms.csv --fault confirmed.csv
      vaecli mark --fault confirmed.csv --key machine,when --marks pump.marks
      vaecli mark --list
    """
    given = [*(normal or ()), *(fault or ()), *(remove or ())]
    verb = Verb(None, as_json, quiet, verbose)
    if given.count("-") > 1:
        raise UsageError("- (standard input) is one table, and holds rows of one kind", "write the others to a file")
    for path in given:
        verb.check([path], "the marks", "them")
    if remove and (normal or fault or merge):
        raise UsageError("--remove takes marks back, and is given alone", "run the two one after the other")
    if key is not None and not given:
        raise UsageError("--key names the rows of a table, and none is given", "add --normal, --fault or --remove")
    if not (given or merge or show):
        raise UsageError("nothing is asked: give --normal, --fault, --remove, --merge or --list", "vaecli mark --help")

    from vaecli.workflows.mark import mark as workflow

    verb.run(
        workflow,
        model,
        marks,
        normal=normal or (),
        fault=fault or (),
        remove=remove or (),
        merge=merge or (),
        key=options.names(key),
        show=show,
    )
