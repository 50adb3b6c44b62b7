"""`vaecli fit`: learn what normal rows look like."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from vaecli import render
from vaecli.cli import options, unattended
from vaecli.errors import UsageError
from vaecli.runtime.place import place_of


def fit(
    inputs: options.Inputs,
    output: options.BundleOutput = options.DEFAULT_BUNDLE,
    columns: options.Columns = None,
    exclude: options.Exclude = None,
    label: options.Label = None,
    marks: options.Marks = None,
    id: options.Identifiers = None,
    time: options.Time = None,
    group: options.Group = None,
    long: options.Long = None,
    same_unit: options.SameUnit = None,
    text: options.Text = None,
    lines: options.Lines = False,
    window: options.Window = None,
    max_gap: options.MaxGap = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    thousands: options.Thousands = None,
    threshold: options.Threshold = None,
    score_kind: options.ScoreKind = None,
    contamination: options.Contamination = None,
    distrusted: options.Distrusted = None,
    preset: options.Preset = None,
    seed: options.Seed = None,
    max_epochs: options.MaxEpochs = None,
    time_budget: options.TimeBudget = None,
    config_file: options.ConfigFile = None,
    resume: options.Resume = False,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Learn what normal rows look like, calibrate, and write a bundle.

    The rows of all INPUTs are one table. Columns that cannot be modelled are left out and named with the reason.

    \b
    Examples:
      vaecli fit normal.csv
      vaecli fit normal.parquet --exclude operator,site --label failed -o pump.vae
      vaecli fit history.csv --long name=tag,value=value
      vaecli fit app.log --lines
      zcat normal.csv.gz | vaecli fit - --threshold 0.999
    """
    from vaecli.config import fit_config

    options.check_verbosity(quiet=quiet, verbose=verbose)
    options.check_inputs(inputs)
    if str(output) == "-":
        raise UsageError("a bundle cannot go to standard output", "name a file: -o model.vae")
    settings = {
        "columns.columns": options.names(columns),
        "columns.exclude": options.names(exclude),
        "columns.label": label,
        "marks": marks,
        "columns.id": options.names(id),
        "columns.time": time,
        "columns.group": group,
        "columns.long": long,
        "columns.same_unit": options.names(same_unit),
        "columns.text": options.names(text),
        "columns.lines": lines or None,
        "windows.window": window,
        "windows.max_gap_seconds": max_gap,
        "columns.missing": options.names(missing),
        "columns.decimal": decimal,
        "columns.thousands": thousands,
        "calibration.threshold": threshold,
        "score_kind": score_kind,
        "train.contamination": contamination,
        "distrusted": distrusted,
        "preset": preset,
        "train.seed": seed,
        "train.max_epochs": max_epochs,
        "train.time_budget_seconds": time_budget,
        "train.device": device,
        "resume": resume,
    }
    quiet = quiet or unattended.helper() is not None
    with render.warnings_shown(quiet=quiet):
        config = fit_config(settings, config_file)

    from vaecli.runtime.blas import load_for_fits
    from vaecli.runtime.memory import keep_freed_memory
    from vaecli.tables.without_pandas import skip_pandas_import
    from vaecli.workflows import require_fitting_packages

    require_fitting_packages()

    run: Callable[..., render.Summary | None]
    place = place_of(os.environ)
    if dry_run:
        from vaecli.workflows.fit import plan_fit as run
    elif place is not None:
        from vaecli.workflows.fit_on_ranks import fit_on_ranks

        run = partial(fit_on_ranks, place=place)
    else:
        from vaecli.workflows.fit import fit as run

    load_for_fits()
    keep_freed_memory()
    skip_pandas_import(for_good=True)
    with render.progress(quiet=quiet, verbose=verbose) as on_event:
        summary = run(inputs, output, config, on_event=on_event)
    if summary is None:  # the first process of torchrun has it
        return
    unattended.note(summary)
    render.show(summary, as_json=as_json, quiet=quiet)
