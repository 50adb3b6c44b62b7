"""`check` of a table of series: clean tables pass, faults are named, and what a table cannot show is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.published import assert_published
from tests.sensors.conftest import START, call, fitted, interleaved, plant, write
from vaecli.results.check import Finding

GOLDEN = Path(__file__).parents[1] / "golden"
N_TRAINING = 3_000
AFTER = "2024-03-03T02:00:00"  # when training has ended

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two days of the plant, a row per minute, with a state that changes each hour."""
    return fitted(with_state(plant(N_TRAINING)), tmp_path_factory.mktemp("check"))[0]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of six days of a sensor that follows the hour, a row per five minutes."""
    return fitted(daily(6), tmp_path_factory.mktemp("days"))[0]


def with_state(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(state=np.where(np.arange(len(table)) // 60 % 2, "run", "idle"))


def later(n: int, seed: int = 7) -> pd.DataFrame:
    return with_state(plant(n, seed, start=AFTER))


def daily(n_days: int, start: str = "2024-03-01", seed: int = 0) -> pd.DataFrame:
    n, rng = n_days * 288, np.random.default_rng(seed)
    hour = np.arange(n) / 12 % 24
    usual = 20 + 5 * np.sin((hour - 9) * np.pi / 12)
    when = pd.date_range(start, periods=n, freq="5min").strftime("%Y-%m-%dT%H:%M:%S")
    other = np.cumsum(rng.normal(size=n)) * 0.0 + rng.normal(50, 2, n)
    return pd.DataFrame({"when": when, "outside": usual + rng.normal(0, 0.4, n), "noise": other}).round(3)


def checked(table: pd.DataFrame, bundle: Path, folder: Path, *more: object) -> tuple[int, dict[str, Any]]:
    """(the exit code, the JSON object) of a check."""
    done = call("check", write(table, folder / "new.csv"), "-m", bundle, "--json", *more)
    answer = json.loads(done.out)
    if done.code in (0, 6):
        assert_published(answer)
    return done.code, answer


def failures(answer: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(one["what"], one["column"]) for one in answer["findings"] if one["level"] == "fail"}


@pytest.mark.parametrize("n_rows", [1, 5, 40, 400, 2_000])
def test_a_table_that_goes_on_passes(model: Path, tmp_path: Path, n_rows: int):
    """A row, minutes, hours or days of the same process: none fails, and what is too short to compare is named."""
    code, answer = checked(later(n_rows), model, tmp_path)
    assert (code, answer["rows"]) == (0, n_rows)
    assert bool(answer["unchecked"]) is (n_rows < 8)
    assert {one["level"] for one in answer["findings"]} <= {"warn"}


def changed(name: str, of: Callable[[np.ndarray], Any]) -> Change:
    return lambda table: table.assign(**{name: of(table[name].to_numpy())})


FAULTS: dict[str, tuple[Change, str, str]] = {
    "offset": (changed("pressure", lambda x: x + 4), "pressure", "distribution"),
    "gain": (changed("flow", lambda x: 100 + 4 * (x - 100)), "flow", "distribution"),
    "other unit": (changed("temperature", lambda x: 1.8 * x + 32), "temperature", "range"),
    "stuck": (changed("flow", lambda x: np.where(np.arange(x.size) < 200, x, x[200])), "flow", "stuck"),
    "silent": (changed("flow", lambda x: np.where(np.arange(x.size) < 200, x, np.nan)), "flow", "silent"),
    "no reading": (changed("flow", lambda x: x * np.nan), "flow", "silent"),
    "some missing": (changed("flow", lambda x: np.where(np.arange(x.size) % 7 == 0, np.nan, x)), "flow", "missing"),
    "new state": (changed("state", lambda x: np.where(np.arange(x.size) % 9 == 0, "alarm", x)), "state", "unseen"),
    "one state": (changed("state", lambda x: np.full(x.size, "run")), "state", ""),
    "every second row": (lambda table: table[::2], "when", "step"),
    "seconds": (
        lambda table: table.assign(when=pd.date_range(AFTER, periods=len(table), freq="s").astype(str)),
        "when",
        "step",
    ),
    "rows twice": (lambda table: pd.concat([table, table]).sort_values("when"), "when", "repeated"),
    "newest first": (lambda table: table[::-1], "when", "order"),
    "rows lost": (lambda table: table[np.arange(len(table)) % 60 < 30], "when", "gaps"),
    "one time": (lambda table: table.assign(when=AFTER), "when", "clock"),
    "no time": (lambda table: table.assign(when=""), "when", "clock"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(model: Path, tmp_path: Path, fault: str):
    """A fault of half a day fails with its column and its kind; a state that lasts is no fault of one comparison."""
    change, column, what = FAULTS[fault]
    code, answer = checked(change(later(720)), model, tmp_path)
    if what:
        assert code == 6
        assert (what, column) in failures(answer)
    else:
        assert ("unseen", column) not in failures(answer)


def test_half_a_day_is_no_drift(days: Path, tmp_path: Path):
    """A night is colder than all days together, as other nights were: only what is new at its hour is named."""
    next_day = daily(1, "2024-03-07", seed=3)
    night = next_day[:72]
    assert checked(night, days, tmp_path)[0] == 0
    warm = night.assign(outside=next_day["outside"].to_numpy()[144:216])  # as at noon
    code, answer = checked(warm, days, tmp_path)
    assert code == 6
    assert ("cycle", "outside") in failures(answer)


def test_a_clock_that_names_a_zone_now(days: Path, tmp_path: Path):
    """Moments with an offset where training had none are other hours: a failure where hours are compared."""
    table = daily(1, "2024-03-07", seed=3)
    code, answer = checked(table.assign(when=table["when"] + "+05:00"), days, tmp_path)
    assert code == 6
    assert ("zone", "when") in failures(answer)


@pytest.mark.parametrize("start", ["2024-10-27T00:00:00", "2024-03-31T00:00:00"], ids=["autumn", "spring"])
def test_a_change_to_or_from_summer_time(model: Path, tmp_path: Path, start: str):
    """An hour that local time has twice, or leaves out, is one event: it never fails."""
    table = with_state(plant(1_380, 5, start=start))
    at = pd.date_range(start, periods=len(table), freq="min", tz="UTC").tz_convert("Europe/Berlin")
    at = at - pd.Timedelta("1h") if "03-31" not in start else at
    code, _ = checked(table.assign(when=at.strftime("%Y-%m-%dT%H:%M:%S")), model, tmp_path)
    assert code == 0


def test_an_irregular_clock_is_no_wrong_step(tmp_path: Path):
    """Steps of chance length have medians that differ: a table passes whose steps are like those of training."""

    def irregular(table: pd.DataFrame, seed: int, start: str) -> pd.DataFrame:
        steps = np.random.default_rng(seed).exponential(60, len(table)).cumsum()
        when = pd.to_datetime(start) + pd.to_timedelta(steps.round(1), unit="s")
        return table.assign(when=when.astype(str))

    bundle, _ = fitted(irregular(plant(1_500), 0, START), tmp_path)
    for n_rows in (20, 300):
        code, answer = checked(irregular(plant(n_rows, 9), 1, "2024-03-05"), bundle, tmp_path)
        assert (code, failures(answer)) == (0, set())
    assert ("step", "when") in failures(checked(irregular(plant(300, 9), 1, "2024-03-05")[::4], bundle, tmp_path)[1])


def test_the_series_of_a_fault_is_named(tmp_path: Path):
    """A fault of one device of several is named with the device; a device that training did not have is a warning."""
    training = interleaved({name: plant(1_000, seed) for seed, name in enumerate("abc")})
    bundle, _ = fitted(training, tmp_path, "--group", "device")
    parts = {name: plant(300, 10 + seed, start=AFTER) for seed, name in enumerate("abc")}
    assert checked(interleaved(parts), bundle, tmp_path)[0] == 0
    parts["b"] = parts["b"].assign(flow=np.nan)
    code, answer = checked(interleaved(parts), bundle, tmp_path)
    silent = next(one for one in answer["findings"] if one["what"] == "silent")
    assert (code, silent["column"], silent["group"]) == (6, "flow", "b")
    assert " of b " in silent["sentence"]
    code, answer = checked(interleaved({"new": plant(300, 10, start=AFTER)}), bundle, tmp_path)
    assert (code, [one["what"] for one in answer["findings"]]) == (0, ["series"])


def test_a_long_table_names_the_tag_that_is_silent(tmp_path: Path):
    """A row per sensor and time: a tag without rows fails, one that training did not have is named."""

    def long(table: pd.DataFrame) -> pd.DataFrame:
        return table.melt("when", var_name="tag", value_name="value").sort_values("when", kind="stable")

    bundle, _ = fitted(long(plant(1_000)), tmp_path, "--long", "name=tag,value=value")
    table = plant(300, 4, start=AFTER)
    assert checked(long(table), bundle, tmp_path)[0] == 0
    code, answer = checked(long(table.rename(columns={"flow": "level"})), bundle, tmp_path)
    assert (code, answer["rows"]) == (6, 300)
    assert ("silent", "flow") in failures(answer)
    assert any("level" in one for one in answer["warnings"])
    assert checked(table, bundle, tmp_path)[0] == 0  # a wide table with the tags as columns


@pytest.mark.parametrize("name", ["sensors_v5", "sensors_v7", "sensors_v11"])
def test_earlier_bundles_state_what_they_lack(tmp_path: Path, name: str):
    """A bundle without stretches checks what it can, and names what it cannot."""
    folder = GOLDEN / name
    done = call("check", folder / "rows.csv", "-m", folder / "model.vae", "--json")
    answer = json.loads(done.out)
    assert_published(answer)
    assert done.code in (0, 6)
    assert "fit again" in answer["unchecked"][0]
    compared = vaecli.load(folder / "model.vae").check(str(folder / "rows.csv"))
    assert compared.level == answer["level"]


def test_one_device_of_several(grouped: Path, tmp_path: Path):
    """A file of one known device is no other table, and no device is missing; its fault names the sensor alone."""
    one = plant(200, 12, start=AFTER).assign(device="a")
    code, answer = checked(one, grouped, tmp_path)
    assert (code, failures(answer)) == (0, set())
    assert ("silent", "flow") in failures(checked(one.assign(flow=np.nan), grouped, tmp_path)[1])


def test_a_model_without_a_clock(tmp_path: Path):
    """Rows that are numbered have no clock to compare; sensors are compared all the same."""
    bundle, _ = fitted(plant(600).drop(columns="when"), tmp_path, "--window", "32")
    table = plant(300, 5).drop(columns="when")
    code, answer = checked(table, bundle, tmp_path, "-o", tmp_path / "found.csv")
    assert (code, answer["findings"]) == (0, [])
    whats = set(pd.read_csv(tmp_path / "found.csv")["what"])
    assert not whats & {"clock", "step", "gaps", "repeated", "order", "zone"}
    assert ("stuck", "flow") in failures(checked(table.assign(flow=100.0), bundle, tmp_path)[1])


def test_one_fault_of_the_clock_is_one_failure(model: Path, tmp_path: Path):
    """A step five times as long is no gap after every row."""
    table = later(720)[::5]
    assert failures(checked(table, model, tmp_path)[1]) == {("step", "when")}


def test_one_row_out_of_range_is_beyond_chance(model: Path, grouped: Path, tmp_path: Path):
    """None of 3,000 rows lay so far out, so the next does by chance once in 3,001 tables; of 600 rows it only warns."""
    code, answer = checked(later(1).assign(flow=1e6), model, tmp_path)
    assert (code, failures(answer)) == (6, {("range", "flow")})
    code, answer = checked(plant(1, 3).assign(flow=1e6, device="a"), grouped, tmp_path)
    assert (code, [one["what"] for one in answer["findings"]]) == (0, ["range"])


def test_python_and_the_command_line_find_the_same(model: Path, tmp_path: Path):
    """`Model.check` has the findings of the command line, of a file and of a frame."""
    table = later(300).assign(flow=lambda rows: rows["flow"] + 80)
    _, answer = checked(table, model, tmp_path)
    for given in (str(tmp_path / "new.csv"), table):
        summary = vaecli.load(model).check(given)
        assert [one.sentence for one in summary.findings] == [one["sentence"] for one in answer["findings"]]


def test_a_missing_column_is_the_schemas(model: Path, tmp_path: Path):
    """A sensor that is not in the table, or whose cells are words, is exit code 4, as for `score`."""
    assert checked(later(50).drop(columns="flow"), model, tmp_path)[0] == 4
    assert checked(later(50).assign(flow="broken"), model, tmp_path)[0] == 4


def test_the_file_and_batches(model: Path, tmp_path: Path):
    """-o has every comparison in the columns of a finding; neither batches nor threads change a figure."""
    table = later(720).assign(flow=lambda rows: rows["flow"] + 80)
    answers = []
    for words in (("--batch-rows", 64, "--workers", 3), ("--workers", 1)):
        code, answer = checked(table, model, tmp_path, "-o", tmp_path / "found.csv", *words)
        assert code == 6
        answers.append({key: value for key, value in answer.items() if key != "seconds"})
    assert answers[0] == answers[1]
    lines = pd.read_csv(tmp_path / "found.csv")
    assert set(lines.columns) == set(Finding.__dataclass_fields__)
    assert {"ok", "fail"} <= set(lines["level"])
    assert answers[0]["findings"][0]["column"] == "flow"


def test_no_rows_fail(model: Path, tmp_path: Path):
    """An empty table never passes in silence."""
    code, answer = checked(later(20)[:0], model, tmp_path)
    assert (code, answer["findings"][0]["what"]) == (6, "rows")
    assert checked(later(20), model, tmp_path, "--expect-rows", "100..")[0] == 6


def test_only_new_files_and_only_good_ones(model: Path, tmp_path: Path):
    """Files that the last score has read are not compared again, and one that cannot be read is left out and named."""
    first = write(later(100), tmp_path / "a.csv")
    state = tmp_path / "seen.state"
    words = ("--state", tmp_path / "series.state", "--since-last-run", state, "-o", tmp_path / "scored.csv")
    assert call("score", first, "-m", model, *words).code == 0
    new = plant(300, 7, start="2024-03-04")
    write(with_state(new).assign(flow=np.nan), tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("when,flow\nno,columns\n")
    pattern = tmp_path / "?.csv"
    done = call("check", pattern, "-m", model, "--since-last-run", state, "--json")
    answer = done.summary
    assert answer["rows"] == 300
    assert [Path(one["path"]).name for one in answer["bad_files"]] == ["c.csv"]
    assert ("silent", "flow") in failures(answer)


def test_an_hour_that_comes_twice_is_a_clock_set_back(model: Path, tmp_path: Path):
    """A warning that names it, and no rows without a score, as there are none."""
    table = later(400)
    _, answer = checked(pd.concat([table[:200], table[140:]]), model, tmp_path)
    [order] = [one for one in answer["findings"] if one["what"] == "order"]
    assert order["sentence"] == "when: the clock was set back 1 time, after which windows begin anew"


def test_a_table_is_worth_a_row_at_least(model: Path, tmp_path: Path):
    """Few rows of a slow series are worth less than one independent row: the page rounds up."""
    page = call("check", write(later(8), tmp_path / "new.csv"), "-m", model).out
    assert "worth about 1 independent row columns" in " ".join(page.split())


def test_a_table_without_rows_has_no_short_series(model: Path, tmp_path: Path):
    """The page names what is the matter: that there is nothing to compare."""
    page = " ".join(call("check", write(later(8)[:0], tmp_path / "new.csv"), "-m", model).out.split())
    assert "no rows" in page
    assert "fewer than" not in page
