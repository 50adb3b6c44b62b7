"""Bundles that earlier versions wrote load and score as they did, forever."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.bundle import ROWS_FORMAT, SENSORS_FORMAT
from vaecli.bundle.manifest import OLDEST
from vaecli.calibration.conformal import alpha_of
from vaecli.errors import BundleError
from vaecli.schema import Kind

HERE = Path(__file__).parent
BUNDLES = sorted(path.name for path in HERE.glob("bundle_v*") if int(path.name.removeprefix("bundle_v")) >= OLDEST)
RECALIBRATED = sorted(path.name for path in HERE.glob("recalibrated_v*"))
SENSORS = sorted(path.name for path in HERE.glob("sensors_v*"))
CENTERS = sorted(path.name for path in HERE.glob("centers_v*"))
TEXT = sorted(path.name for path in HERE.glob("text_v*"))
LARGEST_BYTES = 300_000


@pytest.fixture(params=BUNDLES)
def folder(request: pytest.FixtureRequest) -> Path:
    """One golden folder."""
    return HERE / str(request.param)


@pytest.fixture(params=SENSORS)
def series_folder(request: pytest.FixtureRequest) -> Path:
    """One golden folder of sensors."""
    return HERE / str(request.param)


def kinds_in(folder: Path) -> list[str]:
    """The kinds of score that scored.csv knows."""
    return [name.removesuffix(".p_value") for name in pd.read_csv(folder / "scored.csv") if name.endswith(".p_value")]


def check_scores(folder: Path, within: float) -> None:
    """Every kind scores every row as on the day of making, from the same CSV."""
    model, expected = (
        vaecli.load(folder / "model.vae"),
        pd.read_csv(folder / "scored.csv"),
    )
    assert len(kinds_in(folder)) >= 4
    for kind in kinds_in(folder):
        found = model.score(str(folder / "rows.csv"), score_kind=kind)
        np.testing.assert_allclose(found["anomaly_score"], expected[f"{kind}.anomaly_score"], rtol=within, atol=within)
        # far out in the tail an error of 1e-5 in a score is a larger one in its p-value
        np.testing.assert_allclose(found["p_value"], expected[f"{kind}.p_value"], rtol=1e-3)


def test_scores_are_what_they_were(folder: Path) -> None:
    """Every kind scores every row as on the day of making, to 1e-5."""
    check_scores(folder, 1e-5)


def test_scores_of_series_are_what_they_were(series_folder: Path) -> None:
    """Every kind scores every row as on the day of making, and the same rows are flagged and without a score.

    To 1e-4: with OpenBLAS's kernels for AVX-512 the whitened statistics of windows differ by 3e-5 from those for AVX2.
    """
    check_scores(series_folder, 1e-4)
    test_p_values_are_what_they_were(series_folder)
    expected = pd.read_csv(series_folder / "scored.csv")
    for kind in kinds_in(series_folder):
        assert expected[f"{kind}.anomaly_score"].isna().sum() == 1
        assert 3 <= (expected[f"{kind}.p_value"] <= 0.01).sum() < 100
    test_golden_bundles_stay_small(series_folder)


@pytest.mark.parametrize("name", RECALIBRATED)
def test_recalibrated_bundles_score_as_they_did(name: str) -> None:
    """Scores and p-values are those of the day of making: groups by their own rows, others by all."""
    test_scores_are_what_they_were(HERE / name)
    groups = vaecli.load(HERE / name / "model.vae").detector.groups
    assert (groups.column, set(groups.names)) == ("mode", {"eco", "normal"})
    test_golden_bundles_stay_small(HERE / name)


@pytest.mark.parametrize("name", CENTERS)
def test_a_bundle_with_centres_scores_as_it_did(name: str) -> None:
    """Its rows are compared with the centres that it holds, and not with its exemplars."""
    test_scores_are_what_they_were(HERE / name)
    families = vaecli.load(HERE / name / "model.vae").detector.ensemble.families
    assert all(family.nearest is family.centers for family in families)
    test_golden_bundles_stay_small(HERE / name)


@pytest.mark.parametrize("name", TEXT)
def test_a_bundle_with_text_scores_as_it_did(name: str) -> None:
    """Strings are read by the models that it holds."""
    folder = HERE / name
    test_scores_are_what_they_were(folder)
    assert pd.read_csv(folder / "scored.csv")["combined.p_value"][:3].max() < 0.02
    test_golden_bundles_stay_small(folder)


def test_columns_out_of_order_stay_so() -> None:
    """Format 3 mixed up the columns of tables without categories, and calibrated so: such a bundle scores as it did."""
    test_scores_are_what_they_were(HERE / "switches_v3")
    model = vaecli.load(HERE / "switches_v3" / "model.vae")
    assert [family.likelihood.schema_order for family in model.detector.ensemble.families] == [True, False]


def test_a_bundle_out_of_order_can_be_saved_again(tmp_path: Path) -> None:
    """Written in today's format it still scores as it did."""
    for name in ("rows.csv", "scored.csv"):
        (tmp_path / name).write_bytes((HERE / "switches_v3" / name).read_bytes())
    vaecli.load(HERE / "switches_v3" / "model.vae").save(tmp_path / "model.vae")
    test_scores_are_what_they_were(tmp_path)


def test_p_values_are_what_they_were(folder: Path) -> None:
    """The calibration gives the kept scores the kept p-values, to 1e-5, and the same thresholds flag the same rows."""
    model, expected = (
        vaecli.load(folder / "model.vae"),
        pd.read_csv(folder / "scored.csv"),
    )
    for kind in kinds_in(folder):
        calibration = model.detector.calibrations[kind]
        score, p_value = (expected[f"{kind}.{name}"].to_numpy() for name in ("anomaly_score", "p_value"))
        np.testing.assert_allclose(calibration.p_value(score), p_value, rtol=1e-5)
        for level in (0.9, 0.99):
            np.testing.assert_array_equal(score >= calibration.threshold(level), p_value <= alpha_of(level))


def test_every_kind_of_column_is_there(folder: Path) -> None:
    """The golden table has numbers with gaps, switches, categories with and without "other", and dates."""
    features = vaecli.load(folder / "model.vae").schema.features
    assert {Kind.NUMERIC, Kind.BOOLEAN, Kind.CATEGORICAL, Kind.DATETIME} <= {column.kind for column in features}
    assert {column.has_other for column in features if column.kind is Kind.CATEGORICAL} == {True, False}
    assert {column.n_missing > 0 for column in features if column.kind is Kind.NUMERIC} == {True, False}


def test_the_golden_rows_are_anomalous_and_ordinary(folder: Path) -> None:
    """Both flagged and unflagged rows are kept, so that a bundle that flags everything or nothing would show."""
    expected = pd.read_csv(folder / "scored.csv")
    for kind in kinds_in(folder):
        assert 3 <= (expected[f"{kind}.p_value"] <= 0.01).sum() <= 15


def test_golden_bundles_stay_small(folder: Path) -> None:
    """A repository carries them forever."""
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST_BYTES


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_a_bundle_too_old_to_read_is_refused() -> None:
    """Format 1 could not be translated: whoever has such a bundle is asked to fit again, not warned of damage."""
    with pytest.raises(BundleError, match=r"written by vaecli 0\.1\.0, format 1; this one reads from 2 on") as refusal:
        vaecli.load(HERE / "bundle_v1" / "model.vae")
    assert "fit again" in str(refusal.value.hint)


def test_todays_format_has_a_golden_bundle() -> None:
    """A new format comes with its golden bundle."""
    assert f"bundle_v{ROWS_FORMAT}" in BUNDLES
    for name, found in (("recalibrated", RECALIBRATED), ("centers", CENTERS), ("text", TEXT)):
        assert f"{name}_v{ROWS_FORMAT}" in found
    detector = vaecli.load(HERE / f"bundle_v{ROWS_FORMAT}" / "model.vae").detector
    assert detector.cells is not None
    assert detector.cells.levels is not None  # which is what is new in it
    if not SENSORS:
        pytest.skip("the golden bundle of sensors is made when their score is final")
    assert f"sensors_v{SENSORS_FORMAT}" in SENSORS


def test_an_existing_one_is_never_made_anew(make: ModuleType) -> None:
    """`make golden` refuses to touch a folder that exists."""
    folder = HERE / f"bundle_v{ROWS_FORMAT}"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SystemExit, match="never made anew"):
        make.main(*[folder] * 5)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_making_one_gives_the_files_that_the_tests_read(make: ModuleType, tmp_path: Path) -> None:
    """The script works today, not only on the day of the last format."""
    names = ("bundle", "sensors", "recalibrated", "centers", "text")
    rows, sensors, recalibrated, centers, text = (tmp_path / f"{name}_v0" for name in names)
    make.main(rows, sensors, recalibrated, centers, text)
    for folder in (rows, sensors, recalibrated, centers, text):
        assert sorted(path.name for path in folder.iterdir()) == ["model.vae", "rows.csv", "scored.csv"]
    test_scores_are_what_they_were(rows)
    test_scores_are_what_they_were(centers)
    test_the_golden_rows_are_anomalous_and_ordinary(rows)
    test_scores_of_series_are_what_they_were(sensors)
    test_scores_are_what_they_were(text)
    test_scores_are_what_they_were(recalibrated)
