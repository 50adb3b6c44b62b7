"""A week of daily files whose runs are killed: each lasting fault is told once."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import sensor_table

LISTENER = "import json, sys; print(json.load(sys.stdin)['id'], file=open(sys.argv[1], 'a'))"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_week_of_killed_runs_tells_each_fault_once(tmp_path: Path, bundle: Path, seed: int) -> None:
    """Each day's run is killed three times, with its process group, at any moment of its length, and run again."""
    draw, seconds, n_killed = random.Random(seed), 1.0, 0
    heard = tmp_path / "heard"
    command = shlex.join([sys.executable, "-I", "-S", "-c", LISTENER, str(heard)])
    for day in range(7):
        table = sensor_table(400, seed=20 + day)
        table.loc[20:59, "pressure"] += 25
        if day >= 2:
            table.loc[200:239, "flow"] -= 400
        table.to_csv(tmp_path / "day.csv", index=False)
        words = [sys.executable, "-m", "vaecli", "score", str(tmp_path / "day.csv"), "-m", str(bundle), "--quiet"]
        words += ["--incident-state", str(tmp_path / "s"), "--incidents", str(tmp_path / f"{day}.json")]
        words += ["--after", "20", "--notify-command", command, "-o", str(tmp_path / f"{day}.csv")]
        for _ in range(3):
            with subprocess.Popen(words, start_new_session=True) as running:
                try:
                    running.wait(draw.uniform(0.5, 1.05) * seconds)
                except subprocess.TimeoutExpired:
                    os.killpg(running.pid, signal.SIGKILL)
                    n_killed += 1
        started = time.monotonic()
        subprocess.run(words, check=True)
        seconds = time.monotonic() - started
        found = json.loads((tmp_path / f"{day}.json").read_text())["incidents"]
        announced = [one["id"] for one in found if one["announced"] and one["status"] != "ended"]
        assert len(announced) == (1 if day < 2 else 2)
        assert len((tmp_path / f"{day}.csv").read_text().splitlines()) == 401
    ids = heard.read_text().split()
    assert len(ids) == len(set(ids)) == 2
    assert n_killed >= 7
