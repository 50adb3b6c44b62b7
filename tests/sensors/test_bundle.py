"""A bundle of sensors: what it holds, that it scores as it was fitted, and that forged ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.sensors.conftest import call, fitted, plant, write
from vaecli.bundle import read_bundle, write_bundle
from vaecli.errors import BundleError, UsageError

Arrays = dict[str, np.ndarray]
Damage = Callable[[Arrays, str], None]


def not_finite(arrays: Arrays, name: str) -> None:
    arrays[name].flat[0] = np.nan


def of_another_type(arrays: Arrays, name: str) -> None:
    arrays[name] = arrays[name].astype(np.int32 if arrays[name].dtype != np.int32 else np.float32)


def shorter(arrays: Arrays, name: str) -> None:
    arrays[name] = arrays[name][:-1]


def flat(arrays: Arrays, name: str) -> None:
    arrays[name] = arrays[name].reshape(-1, 1, 1)


def missing(arrays: Arrays, name: str) -> None:
    del arrays[name]


@pytest.fixture(scope="module")
def with_all_readouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of rows enough for every read-out."""
    return fitted(plant(1000), tmp_path_factory.mktemp("long"))[0]


@pytest.mark.parametrize("damage", [not_finite, of_another_type, shorter, flat, missing])
def test_a_forged_array_is_refused(with_all_readouts: Path, tmp_path: Path, damage: Damage):
    """Every array, damaged in every way, is an error of the bundle and not a score."""
    manifest, original = read_bundle(with_all_readouts)
    assert all(array.size for array in original.values())
    let_through = []
    for name in original:
        arrays = {key: array.copy() for key, array in original.items()}
        if damage is not_finite and arrays[name].dtype.kind != "f":
            continue
        damage(arrays, name)
        write_bundle(tmp_path / "forged.vae", manifest, arrays)
        try:
            vaecli.load(tmp_path / "forged.vae")
            let_through.append(name)
        except BundleError:
            pass
    assert let_through == []


SETTINGS: list[tuple[str, Any]] = [
    ("threshold", 1.5),
    ("threshold", "x"),
    ("margin", 0.5),
    ("score_kind", "best"),
    ("score_kind", "offline/combined"),
    ("known_groups", [1]),
    ("known_groups", None),
    ("clock", {}),
    ("clock", None),
    ("shape", {}),
    ("shape", None),
    ("long", None),
    ("long", {"name": "tag"}),
    ("long", {"name": "tag", "value": "tag"}),
    ("long", {"name": "tag", "value": ["value"]}),
    ("long", {"name": "tag", "value": "value", "every": 0.0}),
    ("long", {"name": "tag", "value": "value", "every": "1m"}),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_forged_settings_are_refused(bundle: Path, tmp_path: Path, name: str, value: Any):
    manifest, arrays = read_bundle(bundle)
    settings = manifest.config["detector"] | {name: value}
    write_bundle(tmp_path / "forged.vae", replace(manifest, config={**manifest.config, "detector": settings}), arrays)
    done = call(
        "score", write(plant(50), tmp_path / "new.csv"), "-m", tmp_path / "forged.vae", "-o", tmp_path / "out.csv"
    )
    assert done.code == 5, done.err
    assert not (tmp_path / "out.csv").exists()


def test_a_forged_long_form_needs_a_clock(tmp_path: Path):
    clockless, _ = fitted(plant(200).drop(columns="when"), tmp_path, "--window", "16")
    manifest, arrays = read_bundle(clockless)
    settings = manifest.config["detector"] | {"long": {"name": "tag", "value": "value"}}
    write_bundle(tmp_path / "forged.vae", replace(manifest, config={**manifest.config, "detector": settings}), arrays)
    done = call("score", write(plant(50), tmp_path / "new.csv"), "-m", tmp_path / "forged.vae")
    assert (done.code, "the long table has no clock" in done.err) == (5, True)


@pytest.mark.parametrize("part", ["shape", "clock"])
@pytest.mark.parametrize("value", [-1, 10**9, 0.5, "x", None, 1e300, True])
def test_forged_numbers_never_end_in_a_traceback(bundle: Path, tmp_path: Path, part: str, value: Any):
    """Each number of the shape and of the clock: refused, or harmless."""
    manifest, arrays = read_bundle(bundle)
    source = write(plant(50), tmp_path / "new.csv")
    for name in manifest.config["detector"][part]:
        settings = dict(manifest.config["detector"])
        settings[part] = settings[part] | {name: value}
        forged = replace(manifest, config={**manifest.config, "detector": settings})
        write_bundle(tmp_path / "forged.vae", forged, arrays)
        done = call("score", source, "-m", tmp_path / "forged.vae", "-o", tmp_path / "out.csv", "--quiet")
        assert done.code in (0, 5), (name, done.err)


def test_the_same_table_gives_the_same_bytes(bundle: Path, tmp_path: Path):
    done = call("fit", write(plant(600), tmp_path / "normal.csv"), "-o", tmp_path / "m.vae", "--quiet")
    assert done.code == 0
    assert (tmp_path / "m.vae").read_bytes() == bundle.read_bytes()


# -- from Python --------------------------------------------------------------------------------


def test_python_fits_and_scores_as_the_command_line(bundle: Path, tmp_path: Path):
    model = vaecli.fit(plant(600))
    new = plant(200, 5)
    assert (
        call("score", write(new, tmp_path / "new.csv"), "-m", bundle, "-o", tmp_path / "out.csv", "--quiet").code == 0
    )
    expected = pd.read_csv(tmp_path / "out.csv")
    for found in (model.score(new), vaecli.load(bundle).score(str(tmp_path / "new.csv")).to_pandas()):
        for name in ("anomaly_score", "p_value", "is_anomaly"):
            np.testing.assert_array_equal(found[name], expected[name])
    assert model.summary.model == "sensors"
    assert model.summary.step == 60


def test_python_looks_ahead(bundle: Path, tmp_path: Path):
    new = plant(200, 5)
    source = write(new, tmp_path / "new.csv")
    assert call("score", source, "-m", bundle, "-o", tmp_path / "out.csv", "--quiet", "--offline").code == 0
    found = vaecli.load(bundle).score(new, offline=True)
    np.testing.assert_array_equal(found["anomaly_score"], pd.read_csv(tmp_path / "out.csv")["anomaly_score"])
    assert (found["anomaly_score"] != vaecli.load(bundle).score(new)["anomaly_score"]).any()


def test_python_keeps_the_index_of_a_frame(bundle: Path):
    new = plant(200, 5)
    new.loc[150:160, "pressure"] += 8
    new.index = pd.Index(range(1000, 1200), name="n")
    found = vaecli.load(bundle).score(new, anomalies_only=True)
    assert found.index.isin(range(1150, 1200)).all()
    assert len(found) > 5


def test_a_model_of_sensors_draws_no_rows(bundle: Path):
    with pytest.raises(UsageError, match="draws no rows"):
        vaecli.load(bundle).sample(3)


def test_a_model_saved_again_has_the_same_bytes(bundle: Path, tmp_path: Path):
    vaecli.load(bundle).save(tmp_path / "again.vae")
    assert (tmp_path / "again.vae").read_bytes() == bundle.read_bytes()
