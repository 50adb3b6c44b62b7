"""`vaecli score`: flag the anomalous rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaecli.cli import options
from vaecli.cli.verb import Verb, piped, raise_for_bad_files
from vaecli.errors import GateMet, UsageError

if TYPE_CHECKING:
    from vaecli.results import ScoreSummary
    from vaecli.results.plan import PlanSummary
    from vaecli.results.score_parts import PartsSummary
    from vaecli.results.score_sensors import SensorScoreSummary
    from vaecli.results.score_spark import SparkSummary

Plot = Annotated[
    str | None,
    options.option("FILE", "Plot the scores, those of calibration rows and the threshold to a .png or .svg file."),
]

State = Annotated[
    Path | None,
    options.option(
        "FILE",
        "Keep the last rows of each series in this file: tables that follow each other are scored as one table.",
    ),
]
Events = Annotated[
    str | None,
    options.option(
        "FILE", "Write runs of flagged rows of a series as events: a .csv, .parquet or .jsonl file (models of series)."
    ),
]
IncidentState = Annotated[
    str | None,
    options.option("FILE", "Remember incidents in this file: the next run knows which are new, ongoing or ended."),
]
After = Annotated[
    str | None, options.option("N", "Announce an incident from so many rows of one run on (default: 10).")
]
Cooldown = Annotated[
    str | None,
    options.option("DURATION", "An incident ends after so long without its rows: 90s, 10m, 6h (default: by its rows)."),
]
NotifyCommand = Annotated[
    str | None,
    options.option(
        "CMD", "Run this command once for each new incident, without a shell; the incident is JSON on its input."
    ),
]
NotifyTimeout = Annotated[
    str | None, options.option("DURATION", "Stop that command after 90s, 10m or 1.5h (default: 30s).")
]
Config = Annotated[
    Path | None,
    options.option("FILE.toml", "TOML file with settings under [incidents]; options override it.", "--config"),
]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="Score rows of standard input or a named pipe as they come, and write each at once."),
]

SinceLastRun = Annotated[
    Path | None,
    options.option("STATE", "Score only rows that no earlier run with this file has scored; files may grow or rotate."),
]

Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Keep the parts of a folder whose input, bundle and settings are the same; score the others."
    ),
]


def score(
    inputs: options.Inputs,
    model: options.Model = options.DEFAULT_BUNDLE,
    output: options.ScoredOutput = None,
    threshold: options.Threshold = None,
    min_score: options.MinScore = None,
    score_kind: options.ScoreKind = None,
    fail_on: options.FailOn = None,
    anomalies_only: options.AnomaliesOnly = False,
    explain: options.Explain = None,
    plot: Plot = None,
    state: State = None,
    offline: options.Offline = False,
    events: Events = None,
    merge_gap: options.MergeGap = None,
    min_duration: options.MinDuration = None,
    alarm_budget: options.AlarmBudget = None,
    incidents: options.Incidents = None,
    incident_state: IncidentState = None,
    after: After = None,
    cooldown: Cooldown = None,
    notify_command: NotifyCommand = None,
    notify_timeout: NotifyTimeout = None,
    config_file: Config = None,
    follow: Follow = False,
    since_last_run: SinceLastRun = None,
    bad_files: options.BadFiles = None,
    prefix: options.Prefix = None,
    resume: Resume = False,
    engine: options.Engine = None,
    remote: options.Remote = None,
    batch_rows: options.BatchRows = None,
    workers: options.Workers = None,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score every row of a table and flag the anomalous ones.

    Your columns pass through unchanged, in order; anomaly_score, p_value and is_anomaly are added.

    \b
    Examples:
      vaecli score new.csv
      vaecli score new.parquet -m pump.vae --threshold 0.999 -o flagged.parquet --anomalies-only
      vaecli score new.csv --explain 3 --plot scores.png
      vaecli score data/ -o scored/ --resume
      vaecli score s3://lake/data/ -o s3://lake/scored/ --engine spark --remote sc://host:15002
      vaecli score - -o - < new.csv
      tail -n +1 -F live.csv | vaecli score - --follow --state plant.state
      vaecli score today.csv --quiet --fail-on 2%
    """
    from vaecli.config import score_config
    from vaecli.config.incidents import incident_config
    from vaecli.config.score import check_engine

    verb = Verb(piped(inputs, output), as_json, quiet, verbose)
    verb.check(inputs, "the scored table", "the table")
    decision = {"threshold": threshold, "min_score": min_score, "score_kind": score_kind, "fail_on": fail_on}
    written = {"anomalies_only": anomalies_only, "explain": explain, "prefix": prefix}
    running = {"batch_rows": batch_rows, "workers": workers, "device": device, "offline": offline or None}
    running["follow"] = follow or None
    of_events = {"merge_gap": merge_gap, "min_duration": min_duration, "alarm_budget": alarm_budget}
    config = score_config(decision | written | running | of_events)
    check_engine(engine, remote, "score")

    known = {"incidents": incidents, "incident_state": incident_state, "after": after, "cooldown": cooldown}
    known |= {"notify_command": notify_command, "notify_timeout": notify_timeout}
    of_incidents = incident_config(known, config_file)
    if follow and of_incidents.is_wanted:
        raise UsageError("--incidents and --follow contradict each other", "incidents are written when a table ends")

    from vaecli.workflows.score import score as workflow

    summary = verb.run(
        workflow,
        inputs,
        model,
        verb.output,
        config,
        plot=plot,
        state=state,
        events=events,
        incidents=of_incidents,
        since=since_last_run,
        bad_files=bad_files,
        with_worst=as_json or not quiet,
        dry_run=dry_run,
        resume=resume,
        engine=engine,
        remote=remote,
    )
    raise_for_bad_files(summary, None if config.fail_on is None else _gate_met(config.fail_on, summary))


def _gate_met(
    fail_on: str, summary: ScoreSummary | SensorScoreSummary | PartsSummary | SparkSummary | PlanSummary
) -> GateMet | None:
    from vaecli.config.fail_on import Gate
    from vaecli.results.plan import PlanSummary

    if isinstance(summary, PlanSummary) or not Gate.parse(fail_on).is_met(summary.anomalies, summary.rows):
        return None
    where = "on standard output" if summary.output == "-" else f"in {summary.output}"
    return GateMet(
        f"{summary.anomalies:,} of {summary.rows:,} rows are flagged; --fail-on {fail_on} is met",
        f"the complete scored table is {where}",
    )
