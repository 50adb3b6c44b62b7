"""`vaecli fit --contamination`: what is distrusted, where it is listed, and what stays as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.cli.conftest import Done
from tests.conftest import QUICK, sensor_table
from vaecli.bundle import read_bundle
from vaecli.scoring.scores import member_scores
from vaecli.tables import frame_source, to_cells

N, N_FAULTS = 400, 12
SETTINGS = ("--label", "fault", "--exclude", "machine")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of which 12 rows, from row 3 on, every thirtieth, are faults that no label marks."""
    monkeypatch.chdir(tmp_path)
    table = sensor_table(N, seed=41).assign(machine=np.arange(N), fault=0)
    table.loc[2 : 30 * N_FAULTS : 30, ["pressure", "flow", "temperature"]] = [40.0, -300.0, 140.0]
    table.loc[1, "fault"] = 1  # which is left out, so that rows and training rows are counted differently
    table.to_csv("table.csv", index=False)
    return tmp_path


def fit(run: Callable[..., Done], quick: Path, *words: str, code: int = 0) -> Done:
    """Fit the table in a second."""
    done = run("fit", "table.csv", "--config", str(quick), *SETTINGS, *words)
    assert done.code == code, done.err
    return done


def test_faults_are_listed_and_counted(run: Callable[..., Done], place: Path, quick: Path) -> None:
    """Their rows in the input, with reasons; the bundle and its summary count them; the networks are the same."""
    summary = json.loads(fit(run, quick, "-o", "a.vae", "--contamination", "3%", "--distrusted", "a.csv", "--json").out)
    listed = pd.read_csv("a.csv")
    assert summary["n_distrusted"] == len(listed) <= 2 * 0.03 * N
    assert set(listed["row"]) >= {3 + 30 * i for i in range(N_FAULTS)}
    listed = listed[listed["row"] % 30 == 3]
    model = vaecli.load("a.vae")
    scored = model.score("table.csv").to_pandas().loc[listed["row"] - 1]
    np.testing.assert_allclose(listed["anomaly_score"], scored["anomaly_score"], rtol=1e-4)
    assert listed["top_columns"].str.contains("pressure|flow|temperature").all()
    assert (listed["isolation"] > 0.5).all()

    inspected = json.loads(run("inspect", "a.vae", "--json").out)
    assert inspected["fit"]["n_distrusted"] == summary["n_distrusted"]
    assert inspected["config"]["train"]["contamination"] == "3%"
    assert "distrusted" in fit(run, quick, "-o", "a.vae", "--contamination", "3%").out
    fit(run, quick, "-o", "b.vae")
    (plain, before), (_, after) = read_bundle(Path("b.vae")), read_bundle(Path("a.vae"))
    assert "contamination" not in plain.config["fit"]["train"]
    assert "n_distrusted" not in plain.summary
    parameters = [name for name in before if "/encoder." in name or "/decoder." in name]
    assert parameters
    for name in parameters:
        np.testing.assert_array_equal(before[name], after[name])


def test_a_person_is_believed(run: Callable[..., Done], place: Path, quick: Path) -> None:
    """Rows marked normal are trusted however isolated, and those marked as faults are not there to be distrusted."""
    table = pd.read_csv("table.csv")
    table[2 : 30 * N_FAULTS : 30][:4].to_csv("normal.csv", index=False)
    assert run("mark", "--normal", "normal.csv", "--key", "machine", "--marks", "m.marks", "-q").code == 0
    words = ("--marks", "m.marks", "--contamination", "3%", "--distrusted", "b.csv", "-o", "b.vae", "--json")
    summary = json.loads(fit(run, quick, *words).out)
    rows = pd.read_csv("b.csv")["row"].tolist()
    assert summary["n_distrusted"] == len(rows)
    assert {row for row in rows if row % 30 == 3} == {3 + 30 * i for i in range(4, N_FAULTS)}


def test_what_makes_no_sense_is_refused(run: Callable[..., Done], place: Path, quick: Path) -> None:
    """A list without a share, a list over the input or the bundle, and a series; nothing is written."""
    assert "which is not given" in fit(run, quick, "--distrusted", "a.csv", code=2).err
    assert "is the input itself" in fit(run, quick, "--contamination", "auto", "--distrusted", "table.csv", code=2).err
    words = ("-o", "a.vae", "--contamination", "auto", "--distrusted", "a.vae")
    assert "is the bundle itself" in fit(run, quick, *words, code=2).err
    series = pd.DataFrame({"when": np.arange(200), "x": np.sin(np.arange(200) / 9), "y": np.cos(np.arange(200) / 9)})
    series.to_csv("series.csv", index=False)
    words = ("fit", "series.csv", "--time", "when", "--window", "16", "--contamination", "auto", "-o", "s.vae")
    done = run(*words)
    assert done.code == 2
    assert "--contamination choose" in done.err
    assert not list(place.glob("*.vae"))


def test_distrusted_rows_are_no_exemplars() -> None:
    """Without the option a fault of training lies on an exemplar, its own; with it, it is far from all."""
    table = sensor_table(200, seed=1)
    table.loc[:4, ["pressure", "flow"]] = [[40.0 + i, -300.0 - 20 * i] for i in range(5)]
    settings = QUICK | {"train.max_steps": 10, "model.n_exemplars": 1000}
    distances = []
    for given in ({}, {"contamination": "10%"}):
        model = vaecli.fit(table, **given, **settings)
        detector = model.detector
        cells = to_cells(next(frame_source(table[:5]).batches()), detector.schema)
        batch = detector.preprocessor.transform(cells)
        distances.append(member_scores(detector.ensemble, batch, "latent")[0].min(axis=1))
    assert model.summary is not None
    assert model.summary.n_distrusted == 20
    assert (distances[0] < 1e-3).all()
    assert (distances[1] > 0.1).all()
