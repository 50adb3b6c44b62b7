"""Files that follow each other, with `--state`, score as one table: to the bit, in CSV and Parquet."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from tests.sensors.conftest import SENSORS, Done, call, interleaved, plant, read, scored, write


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    """Two devices and a third that comes late: a gap, late rows, a missing time and missing cells."""
    table = interleaved({"a": plant(250, 7), "b": plant(250, 8)})
    moments = pd.to_datetime(table["when"]) + pd.to_timedelta(np.where(np.arange(500) > 300, 3, 0), unit="h")
    table["when"] = moments.dt.strftime("%Y-%m-%dT%H:%M:%S")
    table.loc[400:, "device"] = np.where(np.arange(100) % 5 == 0, "c", table.loc[400:, "device"])
    table.loc[[120, 440], "when"] = table.loc[[100, 415], "when"].to_numpy()
    table.loc[30, "when"] = None
    table.loc[[0, 77, 301, 302], "flow"] = np.nan
    table.loc[350:359, SENSORS] = [9.0, 300.0, 61.0]
    return table


@pytest.mark.parametrize(
    ("suffix", "n_pieces"),
    [pytest.param(".csv", 100, marks=pytest.mark.slow), (".csv", 20), (".csv", 2), (".parquet", 20)],
)
def test_pieces_score_as_the_whole(grouped: Path, day: pd.DataFrame, tmp_path: Path, suffix: str, n_pieces: int):
    whole = scored(day, grouped, tmp_path, suffix=suffix)
    state, parts = tmp_path / "state", []
    edges = np.linspace(0, len(day), n_pieces + 1).round().astype(int)
    for first, last in pairwise(edges):
        parts.append(scored(day[first:last], grouped, tmp_path / "piece", "--state", state, suffix=suffix))
    pieces = pd.concat(parts, ignore_index=True)
    for name in ("anomaly_score", "p_value"):
        np.testing.assert_array_equal(pieces[name], whole[name])
    assert pieces["is_anomaly"].tolist() == whole["is_anomaly"].tolist()
    assert whole["anomaly_score"].isna().sum() == 1


def test_a_file_that_grows_scores_as_the_whole(grouped: Path, day: pd.DataFrame, tmp_path: Path):
    """`--since-last-run` beside `--state`: each run reads only its new rows, and judges them with those before."""
    whole, table = scored(day, grouped, tmp_path), tmp_path / "log.csv"
    lines, parts = (tmp_path / "new.csv").read_text().splitlines(keepends=True), []
    table.write_text(lines[0])
    for first, last in pairwise([1, 101, 102, 290, 501]):
        with table.open("a") as log:
            log.writelines(lines[first:last])
        states = ("--since-last-run", tmp_path / "rows", "--state", tmp_path / "state")
        assert call("score", table, "-m", grouped, "-o", tmp_path / "out.csv", *states, "-q").code == 0
        parts.append(read(tmp_path / "out.csv"))
    pieces = pd.concat(parts, ignore_index=True)
    np.testing.assert_array_equal(pieces["anomaly_score"], whole["anomaly_score"])
    alone = call("score", table, "-m", grouped, "--since-last-run", tmp_path / "rows", "-o", tmp_path / "out.csv")
    assert (alone.code, "keep these with --state FILE" in alone.err) == (2, True)


def test_files_of_two_formats_follow_each_other(grouped: Path, day: pd.DataFrame, tmp_path: Path):
    whole, state = scored(day, grouped, tmp_path), tmp_path / "state"
    one = scored(day[:200], grouped, tmp_path / "one", "--state", state)
    other = scored(day[200:], grouped, tmp_path / "other", "--state", state, suffix=".parquet")
    np.testing.assert_array_equal([*one["anomaly_score"], *other["anomaly_score"]], whole["anomaly_score"])


def test_a_clock_set_back_between_two_files(bundle: Path, tmp_path: Path):
    """The rows that show it may be in different files."""
    new = plant(300, 5)
    new.loc[100, "when"] = "2099-01-01T00:00:00"
    whole, state = scored(new, bundle, tmp_path), tmp_path / "state"
    parts = [scored(new[i:j], bundle, tmp_path, "--state", state) for i, j in pairwise([0, 101, 103, 106, 109, 300])]
    np.testing.assert_array_equal(pd.concat(parts)["anomaly_score"], whole["anomaly_score"])


def test_a_day_without_its_state_begins_anew(bundle: Path, tmp_path: Path):
    new = plant(200, 5)
    whole = scored(new, bundle, tmp_path)
    alone = scored(new[100:], bundle, tmp_path)
    assert (alone["anomaly_score"].to_numpy() != whole["anomaly_score"][100:].to_numpy()).sum() > 50


def test_a_run_that_fails_leaves_the_state(bundle: Path, tmp_path: Path):
    """The file can be repaired and scored again."""
    new, state = plant(200, 5), tmp_path / "state"
    whole = scored(new, bundle, tmp_path)
    scored(new[:100], bundle, tmp_path, "--state", state)
    before = state.read_bytes()
    broken = new[100:].astype({"flow": object})
    broken.loc[150, "flow"] = "Bad"
    source = write(broken, tmp_path / "broken.csv")
    assert call("score", source, "-m", bundle, "-o", tmp_path / "x.csv", "--state", state).code == 4
    assert state.read_bytes() == before
    rest = scored(new[100:], bundle, tmp_path, "--state", state)
    np.testing.assert_array_equal(rest["anomaly_score"], whole["anomaly_score"][100:])


def with_state(bundle: Path, folder: Path, state: Path, *more: str) -> Done:
    source = write(plant(50, 5), folder / "new.csv")
    return call("score", source, "-m", bundle, "-o", folder / "out.csv", "--state", state, *more)


def test_a_state_of_another_bundle_is_refused(bundle: Path, grouped: Path, tmp_path: Path):
    scored(interleaved({"a": plant(50)}), grouped, tmp_path, "--state", tmp_path / "state")
    done = with_state(bundle, tmp_path, tmp_path / "state")
    assert done.code == 5
    assert "another model" in done.err
    assert not (tmp_path / "out.csv").exists()


def test_offline_and_state_contradict_each_other(bundle: Path, tmp_path: Path):
    done = with_state(bundle, tmp_path, tmp_path / "state", "--offline")
    assert done.code == 2
    assert "--offline" in done.err
    assert "--state" in done.err


@pytest.mark.parametrize("name", ["new.csv", "out.csv"])
def test_a_state_replaces_no_table(bundle: Path, tmp_path: Path, name: str):
    done = with_state(bundle, tmp_path, tmp_path / name)
    assert done.code == 2
    assert len(read(tmp_path / "new.csv")) == 50
    assert not (tmp_path / "out.csv").exists()
    assert with_state(bundle, tmp_path, bundle).code == 2


def test_a_state_that_cannot_be_written_is_refused_first(bundle: Path, tmp_path: Path):
    done = with_state(bundle, tmp_path, tmp_path / "none" / "state")
    assert done.code == 2
    assert not (tmp_path / "out.csv").exists()


def shorter(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = arrays[name][:-1]


def of_another_type(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = (arrays[name] * 0).astype(np.float16)


def missing(arrays: dict[str, np.ndarray], name: str) -> None:
    del arrays[name]


NAMES = ["version", "model", "keys", "rows", "n_refused", "refused", "time", "readings", "missing", "support"]


@pytest.mark.parametrize("damage", [shorter, of_another_type, missing])
@pytest.mark.parametrize("name", NAMES)
def test_a_forged_state_is_refused(bundle: Path, tmp_path: Path, damage, name: str):
    state = tmp_path / "state"
    assert with_state(bundle, tmp_path, state).code == 0
    arrays = load_file(state)
    assert sorted(arrays) == sorted(NAMES)
    damage(arrays, name)
    save_file(arrays, state)
    done = with_state(bundle, tmp_path, state)
    assert done.code == 5, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", -1),
        ("rows", 10**9),
        ("n_refused", -1),
        ("time", np.nan),
        ("readings", np.nan),
        ("readings", np.inf),
        ("version", 2),
    ],
)
def test_a_state_of_values_that_cannot_be_is_refused(bundle: Path, tmp_path: Path, name: str, value: float):
    state = tmp_path / "state"
    assert with_state(bundle, tmp_path, state).code == 0
    arrays = load_file(state)
    arrays[name].flat[0] = value
    save_file(arrays, state)
    assert with_state(bundle, tmp_path, state).code == 5


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, b"\x10\0\0\0\0\0\0\0{}", os.urandom(4096)])
def test_a_file_that_is_no_state_is_refused(bundle: Path, tmp_path: Path, content: bytes):
    (tmp_path / "state").write_bytes(content)
    done = with_state(bundle, tmp_path, tmp_path / "state")
    assert done.code == 5
    assert (tmp_path / "state").read_bytes() == content


def test_a_truncated_state_is_refused(bundle: Path, tmp_path: Path):
    state = tmp_path / "state"
    assert with_state(bundle, tmp_path, state).code == 0
    whole = state.read_bytes()
    for n in (1, 7, 100, len(whole) // 2, len(whole) - 1):
        state.write_bytes(whole[:n])
        assert with_state(bundle, tmp_path, state).code == 5


def test_a_folder_is_no_state(bundle: Path, tmp_path: Path):
    assert with_state(bundle, tmp_path, tmp_path).code in (2, 5)
