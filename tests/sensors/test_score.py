"""What `vaecli score` promises for tables of series, through the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import SENSORS, call, fitted, interleaved, plant, scored, scored_and_summary, write
from vaecli.bundle import SENSORS_FORMAT


def scores_of(table: pd.DataFrame) -> np.ndarray:
    return table["anomaly_score"].to_numpy()


# -- rows and their order -----------------------------------------------------------------------


def test_every_row_comes_back_with_a_score(bundle: Path, tmp_path: Path):
    new = plant(300, 5)
    found, summary = scored_and_summary(new, bundle, tmp_path)
    pd.testing.assert_frame_equal(found[new.columns], new)
    assert np.isfinite(scores_of(found)).all()
    assert ((found["p_value"] > 0) & (found["p_value"] <= 1)).all()
    assert (summary["rows"], summary["unscored"], summary["n_groups"]) == (300, 0, 1)
    assert summary["anomalies"] == found["is_anomaly"].sum()


def test_a_fault_is_flagged(bundle: Path, tmp_path: Path):
    """A level shift in one sensor, and a sensor whose noise grows: flagged soon after they begin."""
    new = plant(400, 6)
    new.loc[200:219, "pressure"] += 6
    new.loc[300:, "temperature"] += np.random.default_rng(0).normal(size=100)
    found = scored(new, bundle, tmp_path)["is_anomaly"]
    assert found[:200].mean() < 0.05
    assert found[200:220].mean() > 0.8
    assert found[315:].mean() > 0.5


def test_rows_a_little_out_of_order_are_put_where_they_belong(bundle: Path, tmp_path: Path):
    """They come back in the order of the input; each is scored after the rows that came before and are not later."""
    new = plant(300, 5)
    order = np.argsort(np.arange(300) + np.random.default_rng(0).uniform(0, 5, 300))
    found, summary = scored_and_summary(new.iloc[order], bundle, tmp_path)
    assert found["when"].tolist() == new["when"].iloc[order].tolist()
    assert np.isfinite(scores_of(found)[5:]).all()
    assert summary["late_rows"] > 50
    assert found["is_anomaly"].mean() < 0.1


def test_a_shuffled_table_comes_back_in_its_order(bundle: Path, tmp_path: Path):
    """Most of its rows are older than what is kept: without a score, not flagged, counted."""
    shuffled = plant(300, 5).sample(frac=1, random_state=1)
    found, summary = scored_and_summary(shuffled, bundle, tmp_path)
    assert found["when"].tolist() == shuffled["when"].tolist()
    unscored = np.isnan(scores_of(found))
    assert summary["unscored"] == summary["too_late_rows"] == unscored.sum() > 200
    assert not found["is_anomaly"][unscored].any()
    assert (found["p_value"].isna() == unscored).all()


def test_a_wrong_time_in_the_future_costs_a_few_rows(bundle: Path, tmp_path: Path):
    """One row of the year 2099 makes the next rows too late; then the series begins anew."""
    new = plant(300, 5)
    new.loc[100, "when"] = "2099-01-01T00:00:00"
    found, summary = scored_and_summary(new, bundle, tmp_path)
    assert np.flatnonzero(np.isnan(scores_of(found))).tolist() == list(range(101, 108))
    assert (summary["clocks_set_back"], summary["too_late_rows"]) == (1, 7)
    alone = scored(new[108:], bundle, tmp_path)
    np.testing.assert_array_equal(scores_of(found)[108:], scores_of(alone))


@pytest.mark.parametrize(("seconds", "start", "unscored"), [(60, "2024-10-26 23:00", 0), (10, "2024-10-27 00:20", 7)])
def test_the_hour_that_repeats_in_autumn(tmp_path: Path, seconds: int, start: str, unscored: int):
    """Local time without a zone steps back by an hour: after eight rows the series begins anew."""
    made, _ = fitted(plant(600, step=f"{seconds}s"), tmp_path)
    moments = pd.date_range(start, periods=600, freq=f"{seconds}s", tz="UTC")
    local = moments.tz_convert("Europe/Berlin").tz_localize(None)
    assert (np.diff(local) < pd.Timedelta(0)).sum() == 1
    new = plant(600, 5).assign(when=local.strftime("%Y-%m-%dT%H:%M:%S"))
    found, summary = scored_and_summary(new, made, tmp_path)
    assert (summary["unscored"], summary["clocks_set_back"]) == (unscored, 1)
    assert found["is_anomaly"].mean() < 0.05


def test_offline_does_not_mind_the_order_within_reach(bundle: Path, tmp_path: Path):
    """Neighbours that changed places have the offline scores of all others nearly unchanged."""
    new = plant(300, 5)
    swapped = new.copy()
    swapped.loc[[150, 151]] = new.loc[[151, 150]].to_numpy()
    one = scored(new, bundle, tmp_path / "a", "--offline")
    other = scored(swapped.astype(new.dtypes), bundle, tmp_path / "b", "--offline")
    np.testing.assert_array_equal(scores_of(one)[:110], scores_of(other)[:110])
    assert np.isfinite(scores_of(other)).all()


def test_rows_without_a_time_and_rows_too_late_have_no_score(bundle: Path, tmp_path: Path):
    new = plant(400, 5)
    new.loc[10, "when"] = None
    new.loc[300, "when"] = new.loc[20, "when"]
    new.loc[301, "when"] = new.loc[290, "when"]
    found, summary = scored_and_summary(new, bundle, tmp_path)
    assert np.flatnonzero(np.isnan(scores_of(found))).tolist() == [10, 300]
    assert (summary["rows_without_time"], summary["too_late_rows"], summary["late_rows"]) == (1, 1, 1)
    assert summary["unscored"] == 2
    page = call("score", tmp_path / "new.csv", "-m", bundle, "-o", tmp_path / "again.csv")
    said = " ".join((page.out + page.err).split())
    assert "1 without a time" in said
    assert "1 older than what is kept" in said


def test_repeated_times_are_counted(bundle: Path, tmp_path: Path):
    new = plant(100, 5)
    new.loc[50, "when"] = new.loc[49, "when"]
    found, summary = scored_and_summary(new, bundle, tmp_path)
    assert summary["repeated_times"] == 1
    assert np.isfinite(scores_of(found)).all()


def test_irregular_sampling_is_scored(bundle: Path, tmp_path: Path):
    """The clock orders the rows and shows gaps; steps within them change no score."""
    new = plant(200, 5)
    jittered = new.copy()
    shift = pd.to_timedelta(np.random.default_rng(0).uniform(-25, 25, 200).round(), unit="s")
    jittered["when"] = (pd.to_datetime(new["when"]) + shift).dt.strftime("%Y-%m-%dT%H:%M:%S")
    np.testing.assert_array_equal(
        scores_of(scored(new, bundle, tmp_path / "a")), scores_of(scored(jittered, bundle, tmp_path / "b"))
    )


# -- gaps and groups ----------------------------------------------------------------------------


def test_no_window_spans_a_gap(bundle: Path, tmp_path: Path):
    """The rows after a gap have the scores of a file that begins with them; a shorter step is no gap."""
    new = plant(300, 5)
    moments = pd.to_datetime(new["when"])
    for minutes, gaps in ((60, 1), (8, 0)):
        later = new.copy()
        later["when"] = (
            moments + pd.to_timedelta(np.where(np.arange(300) >= 170, minutes, 0), unit="min")
        ).dt.strftime("%Y-%m-%dT%H:%M:%S")
        found, summary = scored_and_summary(later, bundle, tmp_path / "all")
        alone = scored(later[170:], bundle, tmp_path / "alone")
        assert summary["gaps"] == gaps
        assert np.array_equal(scores_of(found)[170:], scores_of(alone)) == bool(gaps)


@pytest.mark.parametrize("more", [(), ("--offline",)])
def test_interleaved_groups_score_as_each_alone(grouped: Path, tmp_path: Path, more: tuple[str, ...]):
    tables = {"a": plant(250, 7), "b": plant(200, 8), "c": plant(150, 9)}
    found, summary = scored_and_summary(interleaved(tables), grouped, tmp_path / "all", *more)
    for name, table in tables.items():
        alone = scored(table.assign(device=name), grouped, tmp_path / name, *more)
        np.testing.assert_array_equal(scores_of(found[found["device"] == name]), scores_of(alone))
    assert (summary["n_groups"], summary["n_new_groups"], summary["new_groups"]) == (3, 1, ["c"])


def test_a_device_never_seen_is_scored_and_named(grouped: Path, tmp_path: Path):
    new = write(interleaved({"a": plant(100, 7), "zz top": plant(100, 8)}), tmp_path / "new.csv")
    page = call("score", new, "-m", grouped, "-o", tmp_path / "out.csv")
    assert "'zz top'" in page.out + page.err
    assert np.isfinite(scores_of(pd.read_csv(tmp_path / "out.csv"))).all()


def test_a_missing_group_is_a_series(grouped: Path, tmp_path: Path):
    new = plant(120, 7).assign(device="a")
    new.loc[60:, "device"] = None
    found, summary = scored_and_summary(new, grouped, tmp_path)
    assert np.isfinite(scores_of(found)).all()
    assert summary["n_groups"] == 2


# -- cells --------------------------------------------------------------------------------------


def test_missing_cells_and_rows_are_scored(bundle: Path, tmp_path: Path):
    """A missing cell holds the last reading; a few of them flag nothing."""
    new = plant(300, 5)
    holes = new.copy()
    holes.loc[100, "flow"] = np.nan
    holes.loc[200, SENSORS] = np.nan
    holes.loc[0, "temperature"] = np.nan
    held = holes.copy()
    held[SENSORS] = held[SENSORS].ffill()
    found = scored(holes, bundle, tmp_path / "a")
    assert np.isfinite(scores_of(found)).all()
    assert found["is_anomaly"].mean() < 0.1
    np.testing.assert_array_equal(scores_of(found)[1:][60:], scores_of(scored(held, bundle, tmp_path / "b"))[1:][60:])


def test_a_sensor_that_dies_is_flagged(bundle: Path, tmp_path: Path):
    """Readings that stay missing are readings that no longer move."""
    new = plant(400, 5)
    new.loc[200:, SENSORS] = np.nan
    assert scored(new, bundle, tmp_path)["is_anomaly"][240:].mean() > 0.8


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a valve that never moved, a switch and a mode."""
    return fitted(with_states(plant(600)), tmp_path_factory.mktemp("mixed"))[0]


def with_states(table: pd.DataFrame) -> pd.DataFrame:
    hour = np.arange(len(table)) // 40 % 3
    return table.assign(
        valve=0, pump=np.where(hour > 0, "on", "off"), running=hour > 0, mode=np.array(["idle", "fill", "heat"])[hour]
    )


def test_states_are_sensors(mixed: Path, tmp_path: Path):
    new = with_states(plant(300, 5))
    found = scored(new, mixed, tmp_path)
    assert found["is_anomaly"].mean() < 0.1


def test_a_constant_sensor_that_moves_is_flagged(mixed: Path, tmp_path: Path):
    new = with_states(plant(300, 5))
    new.loc[200:204, "valve"] = 1
    assert scored(new, mixed, tmp_path)["is_anomaly"][200:205].all()


def test_a_value_never_seen_is_flagged_and_counted(mixed: Path, tmp_path: Path):
    new = with_states(plant(300, 5))
    new.loc[200:204, "mode"] = "boil"
    found, summary = scored_and_summary(new, mixed, tmp_path)
    assert found["is_anomaly"][200:205].all()
    assert summary["novel_cells"] == 5


def test_an_infinite_reading_is_flagged(bundle: Path, tmp_path: Path):
    new = plant(300, 5)
    new.loc[200, "flow"] = np.inf
    found, summary = scored_and_summary(new, bundle, tmp_path)
    assert found["is_anomaly"][200]
    assert summary["novel_cells"] == 1
    assert np.isfinite(scores_of(found)).all()


def test_a_cell_of_another_kind_is_refused(bundle: Path, tmp_path: Path):
    new = plant(100, 5).astype({"flow": object})
    new.loc[40, "flow"] = "Bad"
    done = call("score", write(new, tmp_path / "new.csv"), "-m", bundle, "-o", tmp_path / "out.csv")
    assert done.code == 4
    assert "Bad" in done.err
    assert not (tmp_path / "out.csv").exists()


def test_a_missing_column_is_refused(bundle: Path, tmp_path: Path):
    for column in ("flow", "when"):
        new = write(plant(100, 5).drop(columns=column), tmp_path / "new.csv")
        done = call("score", new, "-m", bundle, "-o", tmp_path / "out.csv")
        assert done.code == 4
        assert column in done.err


# -- formats, threads, options ------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--offline",)])
def test_csv_and_parquet_score_alike(mixed: Path, tmp_path: Path, more: tuple[str, ...]):
    new = with_states(plant(300, 5))
    new.loc[100, "flow"] = np.nan
    typed = new.assign(when=pd.to_datetime(new["when"]))
    found = [
        scored(table, mixed, tmp_path / suffix, *more, suffix=f".{suffix}")
        for table, suffix in ((new, "csv"), (typed, "parquet"))
    ]
    np.testing.assert_array_equal(scores_of(found[0]), scores_of(found[1]))


WAYS = [(1, 16_384), (2, 64), (3, 100), (4, 37)]


@pytest.mark.parametrize("more", [(), ("--offline",), ("--anomalies-only",)])
def test_threads_and_batches_change_no_byte(grouped: Path, tmp_path: Path, more: tuple[str, ...], monkeypatch):
    """Interleaved groups with a gap and a late row; batches as small as 37 rows."""
    monkeypatch.setattr("vaecli.workflows.score_sensors.GROUPED_ROWS", 1)
    monkeypatch.setattr("vaecli.tables.read.delimited.BLOCK_BYTES", 4_000)
    table = interleaved({"a": plant(250, 7), "b": plant(250, 8)})
    table.loc[100:102, SENSORS] = [90.0, 900.0, 0.0]
    table.loc[300, "when"] = table.loc[280, "when"]
    source, written = write(table, tmp_path / "new.csv"), set()
    for workers, rows in WAYS:
        out = tmp_path / "out.csv"
        done = call(
            "score", source, "-m", grouped, "-o", out, "--quiet", "--workers", workers, "--batch-rows", rows, *more
        )
        assert done.code == 0, done.err
        written.add(out.read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize("kind", ["elbo", "reconstruction", "latent"])
def test_every_kind_of_score_is_there(bundle: Path, tmp_path: Path, kind: str):
    new = plant(200, 5)
    new.loc[150:, "flow"] += 200
    found, summary = scored_and_summary(new, bundle, tmp_path, "--score-kind", kind)
    assert summary["score_kind"] == kind
    assert np.isfinite(scores_of(found)).all()
    assert scores_of(found)[155:].mean() > scores_of(found)[:150].mean()


def test_a_threshold_and_a_gate(bundle: Path, tmp_path: Path):
    new = plant(300, 5)
    new.loc[200:219, "pressure"] += 6
    source = write(new, tmp_path / "new.csv")
    done = call("score", source, "-m", bundle, "-o", tmp_path / "out.csv", "--quiet", "--fail-on", "any")
    assert done.code == 3
    flagged = [
        scored(new, bundle, tmp_path, "--threshold", level)["is_anomaly"].sum() for level in ("0.5", "0.9", "0.99")
    ]
    assert flagged == sorted(flagged, reverse=True)
    assert flagged[0] > flagged[-1]


# -- the other verbs ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "sample"])
def test_verbs_that_know_rows_only_refuse(bundle: Path, tmp_path: Path, verb: str):
    table = () if verb == "sample" else (write(plant(100, 5), tmp_path / "new.csv"),)
    done = call(verb, *table, "-m", bundle, "-o", tmp_path / "out")
    assert done.code == 2
    assert "is a model of sensors in time" in done.err
    assert "--window 0" in done.err
    assert not (tmp_path / "out").exists()


def test_inspect_knows_both(bundle: Path):
    found = call("inspect", bundle, "--json").summary
    assert found["format"] == SENSORS_FORMAT
    assert found["fit"]["model"] == "sensors"
    assert found["fit"]["step"] == 60
    assert "n_effective" in call("inspect", bundle).out + call("inspect", bundle).err


def test_offline_asks_for_a_model_of_series(tmp_path: Path):
    table = write(plant(150).drop(columns="when"), tmp_path / "n.csv")
    model = tmp_path / "m.vae"
    assert call("fit", table, "-o", model, "--preset", "fast", "--max-epochs", "1", "--quiet").code == 0
    for option in (("--offline",), ("--state", tmp_path / "state")):
        done = call("score", table, "-m", model, "-o", tmp_path / "out.csv", *option)
        assert done.code == 2
        assert "model" in done.err
    assert not (tmp_path / "state").exists()


def loaded_by(*words: object) -> set[str]:
    """Which of some large packages a command loads."""
    import subprocess

    probe = (
        "import sys\nfrom vaecli.cli.app import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(*{name.partition('.')[0] for name, module in sys.modules.items() if module is not None}"
        " & {'torch', 'sklearn', 'scipy', 'pandas'})"
    )
    done = subprocess.run([sys.executable, "-c", probe, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_scoring_needs_neither_torch_nor_sklearn(bundle: Path, tmp_path: Path):
    source = write(plant(100, 5), tmp_path / "new.csv")
    assert loaded_by("score", source, "-m", bundle, "-o", tmp_path / "out.csv", "--quiet") == set()
    assert (tmp_path / "out.csv").exists()


def test_fitting_series_needs_no_torch(tmp_path: Path):
    """It takes a second to load."""
    source = write(plant(1500, 5), tmp_path / "normal.csv")
    for more in (["--dry-run"], []):
        assert loaded_by("fit", source, "-o", tmp_path / "m.vae", "--quiet", *more) <= {"sklearn", "scipy"}
    assert (tmp_path / "m.vae").exists()
