"""`vaecli check`: is a table like the rows of the fit?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from vaecli.cli import options
from vaecli.cli.verb import Verb, raise_for_bad_files
from vaecli.errors import DriftFound

ExpectRows = Annotated[
    str | None, options.option("MIN..MAX", "Fail unless the table has so many rows: 900..1100, 500.. or 0..100.")
]
WarnDistance = Annotated[
    str | None, options.option("SD", "Warn of columns and scores that moved this far (default: 0.1).")
]
FailDistance = Annotated[
    str | None,
    options.option("SD", "Fail if one moved this far: standard deviations, or share of categories (default: 0.25)."),
]
WarnShare = Annotated[
    str | None,
    options.option("SHARE", "Warn if this share of a column is unseen, out of range or newly missing (default: 0.01)."),
]
FailShare = Annotated[str | None, options.option("SHARE", "Fail if this share of a column is (default: 0.05).")]
Output = Annotated[
    str | None,
    options.option(
        "FILE", "Write one line per comparison as CSV, TSV or Parquet; - is standard output.", "--output", "-o"
    ),
]
Config = Annotated[
    Path | None, options.option("FILE.toml", "TOML file with limits under [check]; options override it.", "--config")
]

SinceLastRun = Annotated[
    Path | None,
    options.option(
        "STATE", "Compare only rows that no run of score with this file has scored; the file stays as it is."
    ),
]


def check(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: Output = None,
    expect_rows: ExpectRows = None,
    warn_distance: WarnDistance = None,
    fail_distance: FailDistance = None,
    warn_share: WarnShare = None,
    fail_share: FailShare = None,
    config: Config = None,
    since_last_run: SinceLastRun = None,
    bad_files: options.BadFiles = None,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare a table with the rows of the fit: columns, missing cells, scores, clock and number of rows.

    A difference counts from a size of your choice, and only where it is beyond chance. Exit code 6 if one fails.

    \b
    Examples:
      vaecli check new.csv
      vaecli check new.csv --expect-rows 900..1100 && vaecli score new.csv
      vaecli check new.parquet -o drift.csv --fail-distance 0.5
      vaecli check 'incoming/*.csv' --since-last-run pump.state
    """
    from vaecli.config.check import check_config
    from vaecli.config.score import check_engine

    verb = Verb(output, as_json, quiet, verbose)
    verb.check(inputs, "the comparisons", "the comparisons")
    limits = {"warn_distance": warn_distance, "fail_distance": fail_distance}
    limits |= {"warn_share": warn_share, "fail_share": fail_share, "expect_rows": expect_rows}
    settings = check_config(limits | {"batch_rows": batch_rows, "workers": workers}, config)

    check_engine(engine, remote, "check")

    from vaecli.workflows.check import check as workflow

    summary = verb.run(
        workflow, inputs, model, output, settings, remote=remote, since=since_last_run, bad_files=bad_files
    )
    met = None
    if summary.level == "fail":
        worst = summary.findings[0].sentence
        n_failed = sum(one.level == "fail" for one in summary.findings)
        more = "" if n_failed == 1 else f"; {n_failed - 1:,} more"
        met = DriftFound(
            f"{summary.table}: {worst}{more}", "look at what has changed; if it is to stay, fit again on recent rows"
        )
    raise_for_bad_files(summary, met)
