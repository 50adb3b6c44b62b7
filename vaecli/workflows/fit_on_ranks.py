"""`fit` started by torchrun: the first process fits and writes the bundle, the others train members of the ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vaecli.config import FitConfig
from vaecli.errors import RankLost, UsageError
from vaecli.model.device import torch_device
from vaecli.results import FitSummary, OnEvent, ignore
from vaecli.results.fit_sensors import SensorFitSummary
from vaecli.runtime.blas import one_blas_thread
from vaecli.runtime.place import Place
from vaecli.tables import open_source
from vaecli.tables.infer.infer_schema import infer_schema
from vaecli.tables.marks import Marks
from vaecli.training.fit_ensemble import plans_of
from vaecli.training.loop import train
from vaecli.training.ranks import Ranks, ranks_of
from vaecli.workflows.fit import IDENTITY, checkpoint_path, fit, identity_of, likelihoods_for
from vaecli.workflows.sensor_data import is_series
from vaecli.workflows.training_data import read_normal_rows


def fit_on_ranks(
    inputs: list[str], output: Path, config: FitConfig, place: Place, *, on_event: OnEvent
) -> FitSummary | SensorFitSummary | None:
    """Fit as `fit` does, the members of the ensemble side by side; None in all processes but the first.

    Raises what `fit` raises, UsageError for a table from a pipe, EnvironmentProblem where a rank is lost.
    """
    if "-" in inputs and place.n > 1:
        raise UsageError(
            "-: a pipe has one reader, and every rank reads the table", "write it to a file that all ranks can read"
        )
    with ranks_of(place, config.train.device) as ranks, one_blas_thread():
        if not place.is_first:
            _train_along(inputs, config, ranks)
            return None
        try:
            return fit(inputs, output, config, on_event=on_event, ranks=ranks)
        except RankLost as lost:
            if checkpoint_path(output).is_file():
                lost.hint += f"; the same command with --resume goes on from {checkpoint_path(output)}"
            raise


def _train_along(inputs: list[str], config: FitConfig, ranks: Ranks) -> None:
    """Read the table and train this rank's members. A table of series is fitted by the first rank alone."""
    source = open_source(inputs, lines=() if config.columns.lines else None)
    if config.columns.long is not None:
        return
    schema = infer_schema(source, config.columns)
    if is_series(source, schema, config, ignore):
        return
    normal = read_normal_rows(source, schema, config, ignore, Marks.given(config.marks, source))
    schema = normal.schema  # with the classes of text columns
    ranks.require_equal(IDENTITY, identity_of(normal, schema, config, torch_device(config.train.device)))
    resume = ranks.agreed(None)
    plans = plans_of(normal.rows, normal.n_folds, likelihoods_for(normal, schema, config), config)
    train(normal.rows, plans, config.train, on_checkpoint=_sent_along, resume=resume, crew=ranks)


def _sent_along(_progress: dict[str, Any], _arrays: dict[str, np.ndarray]) -> None:
    """The first rank, which has them too, writes them."""
