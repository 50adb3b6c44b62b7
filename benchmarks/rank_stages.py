"""Runs `vaecli` as torchrun would, and writes the seconds of each stage of a fit to `stages-RANK.json`.

A stage is a function of vaecli, named in STAGES. Its seconds are those of its calls without the stages within them: of
computing, by all threads of the process, and on the wall, where waiting for other ranks shows.

    python -m torch.distributed.run --nproc-per-node 2 benchmarks/rank_stages.py fit train.parquet -o model.vae
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# the stage, and the functions whose calls it is: module, then class and function
STAGES = {
    "import and set up": (),
    "meet the other ranks": ("torch.distributed:init_process_group", "torch.distributed:destroy_process_group"),
    "read the rows": (
        "vaecli.workflows.fit:infer_schema",
        "vaecli.workflows.fit:is_series",
        "vaecli.workflows.fit:read_normal_rows",
        "vaecli.workflows.fit:identity_of",
        "vaecli.workflows.fit_on_ranks:infer_schema",
        "vaecli.workflows.fit_on_ranks:is_series",
        "vaecli.workflows.fit_on_ranks:read_normal_rows",
        "vaecli.workflows.fit_on_ranks:identity_of",
    ),
    "start parameters": ("vaecli.training.fit_ensemble:start_parameters",),
    "train: batches": ("vaecli.training.loop:on_device",),
    "train: noise": ("torch:randn",),
    "train: gradients": ("vaecli.training.loop:Family.step",),
    "train: AdamW": ("vaecli.training.adamw:AdamW.step",),
    "train: held-out looks": ("vaecli.training.loop:HeldOut.check",),
    "exchange": ("torch.distributed:all_reduce", "torch.distributed:broadcast_object_list",
                 "torch.distributed:all_gather_object"),
    "train: the rest": ("vaecli.training.trainer:Here.train", "vaecli.workflows.fit_on_ranks:train"),
    "exemplars": ("vaecli.training.fit_ensemble:choose_exemplars",),
    "centres": ("vaecli.training.fit_ensemble:choose_centers",),
    "calibrate: limits of cells": ("vaecli.calibration.calibrate:_cell_limits",),
    "calibrate: scores": ("vaecli.calibration.calibrate:_scored",),
    "calibrate: scales": ("vaecli.scoring.surprisal:SurprisalScale.of", "vaecli.scoring.max_cell:MaxCellScale.of"),
    "calibrate: cross-fitting": ("vaecli.calibration.calibrate:cross_fitted_scores",
                                 "vaecli.calibration.calibrate:held_out_scores"),
    "calibrate: neighbours": ("vaecli.calibration.calibrate:fit_neighbour_judge",),
    "calibrate: single cells": ("vaecli.workflows.fit:fit_cell_judges",),
    "calibrate: strings": ("vaecli.calibration.calibrate:fit_string_judge",),
    "calibrate: the rest": ("vaecli.workflows.fit:calibrated",),
    "write": ("vaecli.workflows.fit:save_detector",),
}  # fmt: skip


class Stages:
    """The seconds of each stage so far, of computing and on the wall."""

    def __init__(self) -> None:
        self.cpu = dict.fromkeys(STAGES, 0.0)
        self.wall = dict.fromkeys(STAGES, 0.0)
        self._open = ["import and set up"]
        self._last = (0.0, time.monotonic())

    def _book(self) -> None:
        now = time.process_time(), time.monotonic()
        self.cpu[self._open[-1]] += now[0] - self._last[0]
        self.wall[self._open[-1]] += now[1] - self._last[1]
        self._last = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls by the main thread are of that stage."""
        import threading

        @functools.wraps(function)
        def called(*given: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*given, **named)
            self._book()
            self._open.append(stage)
            try:
                return function(*given, **named)
            finally:
                self._book()
                self._open.pop()

        return called

    def write(self) -> None:
        """Write them for this rank."""
        self._book()
        found = {name: [round(self.cpu[name], 3), round(self.wall[name], 3)] for name in STAGES}
        Path(f"stages-{os.environ['RANK']}.json").write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    """Time the stages of the command."""
    stages = Stages()
    for stage, functions in STAGES.items():
        for name in functions:
            module, _, path = name.partition(":")
            *owners, last = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            found = owner.__dict__[last]
            if isinstance(found, classmethod):
                setattr(owner, last, classmethod(stages.timed(stage, found.__func__)))
            else:
                setattr(owner, last, stages.timed(stage, found))
    from vaecli.cli.app import run
    from vaecli.workflows import fit_on_ranks

    fit = fit_on_ranks.fit_on_ranks

    def written(*given: Any, **named: Any) -> Any:
        try:
            return fit(*given, **named)
        finally:
            stages.write()  # here, as the command line leaves without what Python does at its end

    fit_on_ranks.fit_on_ranks = written
    run()


if __name__ == "__main__":
    main()
