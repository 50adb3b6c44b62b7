"""Long tables, a row per tag and time, fit and score as their pivots: to the bit, through the command line."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import vaecli
from tests.sensors.conftest import SENSORS, call, fitted, interleaved, plant, read, scored, scored_and_summary, write
from vaecli.bundle import SENSORS_FORMAT
from vaecli.bundle.save_load import load_any_detector
from vaecli.tables.read import long as reading

LONG = ("--long", "name=tag,value=value")
ADDED = ["anomaly_score", "p_value", "is_anomaly"]


def melted(wide: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """The same readings, one per row, in the order of time; no row for a missing one."""
    keys = keys or ("when",)
    table = wide.melt(id_vars=list(keys), var_name="tag", value_name="value").dropna(subset="value")
    return table.sort_values([*keys, "tag"], kind="stable", ignore_index=True)


def pivoted(long: pd.DataFrame) -> pd.DataFrame:
    """The wide table of the same readings, of which the last counts."""
    table = long.drop_duplicates(["when", "tag"], keep="last").pivot(index="when", columns="tag", values="value")
    return table.reset_index().rename_axis(columns=None)


def irregular(n: int, seed: int) -> pd.DataFrame:
    """A plant whose sensors report at different moments, two in three at each."""
    table = plant(n, seed)
    table[SENSORS] = table[SENSORS].mask(np.random.default_rng(seed).random((n, 3)) < 1 / 3)
    return table


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle of a long table of irregular readings, and one of its pivot."""
    folder = tmp_path_factory.mktemp("long")
    table = melted(irregular(600, 0))
    return fitted(table, folder / "long", *LONG)[0], fitted(pivoted(table), folder / "wide", "--time", "when")[0]


def of_stamps(scored_long: pd.DataFrame, stamps: pd.Series) -> pd.DataFrame:
    """The added columns by stamp, which all rows of a stamp share."""
    by_stamp = scored_long.groupby("when")[ADDED]
    assert (by_stamp.nunique(dropna=False) == 1).all().all()
    return by_stamp.first().loc[stamps].reset_index(drop=True)


def table_like(long: pd.DataFrame, bundle: Path, folder: Path, *more: object, suffix: str = ".csv") -> pd.DataFrame:
    """The scored long table, whose own columns are the input's."""
    found = scored(long, bundle, folder, *more, suffix=suffix)
    pd.testing.assert_frame_equal(found[list(long.columns)], read(folder / f"new{suffix}"))
    return found


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("order", ["by time", "by tag", "shuffled"])
@pytest.mark.parametrize("more", [(), ("--offline",)])
def test_a_long_table_scores_as_its_pivot(
    bundles: tuple[Path, Path], tmp_path: Path, suffix: str, order: str, more: tuple[str, ...]
):
    """To the bit, in any order of its rows; its rows come back in theirs."""
    long = melted(irregular(300, 5))
    long.loc[450:452, "value"] += 30
    expected = scored(pivoted(long), bundles[1], tmp_path / "wide", *more, suffix=suffix)
    if order == "by tag":
        long = long.sort_values("tag", kind="stable", ignore_index=True)
    if order == "shuffled":
        long = long.sample(frac=1, random_state=1, ignore_index=True)
    found = of_stamps(table_like(long, bundles[0], tmp_path, *more, suffix=suffix), expected["when"])
    pd.testing.assert_frame_equal(found, expected[ADDED], check_exact=True)
    assert found["is_anomaly"].any()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_long_table_scores_as_its_pivot(bundles: tuple[Path, Path], tmp_path: Path, data: st.DataObject):
    """With gaps, tags that stay away, readings that repeat, and parts that end anywhere."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(2, 150))
    wide = plant(n, 1)
    away = rng.random((n, 3)) < data.draw(st.sampled_from([0, 0.5, 0.9]))
    away[rng.integers(n)] = False
    wide[SENSORS] = wide[SENSORS].mask(away)
    late = pd.to_timedelta(np.cumsum(rng.random(n) < 0.03) * 3, unit="h")
    wide["when"] = (pd.to_datetime(wide["when"]) + late).dt.strftime("%Y-%m-%dT%H:%M:%S")
    long = melted(wide)
    again = long.sample(frac=0.1, random_state=int(rng.integers(99))).assign(value=lambda rows: rows["value"] + 1)
    long = pd.concat([long, again], ignore_index=True).sort_values("when", kind="stable", ignore_index=True)
    expected = scored(pivoted(long), bundles[1], tmp_path / "wide")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PART_BYTES", data.draw(st.sampled_from([1, 2000, 2**26])))
        found, summary = scored_and_summary(long, bundles[0], tmp_path)
    assert summary["long"]["repeated"] == len(again)
    pd.testing.assert_frame_equal(of_stamps(found, expected["when"]), expected[ADDED], check_exact=True)


def test_devices_share_a_long_table(tmp_path: Path):
    """`--group` works as for the wide table; a device that is new is named."""
    order = ["when", "device", *sorted(SENSORS)]  # of the pivot
    normal = interleaved({"a": plant(300, 1), "b": plant(300, 2)})[order]
    new = interleaved({"a": plant(100, 3), "c": plant(100, 4)})[order]
    wide, _ = fitted(normal, tmp_path / "wide", "--group", "device")
    long, summary = fitted(melted(normal, "when", "device"), tmp_path / "long", "--group", "device", *LONG)
    assert summary["n_groups"] == 2
    expected = scored(new, wide, tmp_path)
    found, of_long = scored_and_summary(melted(new, "when", "device"), long, tmp_path / "new")
    assert of_long["new_groups"] == ["c"]
    each = found.groupby(["when", "device"])["anomaly_score"].first().loc[pd.MultiIndex.from_frame(new[order[:2]])]
    np.testing.assert_array_equal(each, expected["anomaly_score"])


@pytest.mark.parametrize("n_pieces", [2, 40])
def test_files_that_follow_each_other_score_as_the_whole(bundles: tuple[Path, Path], tmp_path: Path, n_pieces: int):
    """With `--state`, if they are cut between stamps; in a file rows may have any order."""
    long, state, parts = melted(irregular(200, 5)), tmp_path / "state", []
    whole = scored(long, bundles[0], tmp_path)
    stamps = sorted(set(long["when"]))
    for first, last in pairwise(np.linspace(0, len(stamps), n_pieces + 1).round().astype(int)):
        piece = long[long["when"].isin(stamps[first:last])].sort_values("tag")
        parts.append(scored(piece, bundles[0], tmp_path / "piece", "--state", state))
    pieces = pd.concat(parts).sort_values(["when", "tag"], ignore_index=True)
    pd.testing.assert_frame_equal(pieces, whole, check_exact=True)


def test_a_stamp_in_two_files_is_refused(bundles: tuple[Path, Path], tmp_path: Path):
    """Its first rows were scored before it was complete; neither the output nor the state is touched."""
    long, state = melted(plant(60, 5)), tmp_path / "state"
    scored(long[:91], bundles[0], tmp_path / "one", "--state", state)
    before = state.read_bytes()
    rest, output = write(long[91:], tmp_path / "rest.csv"), tmp_path / "rest.scored.csv"
    done = call("score", rest, "-m", bundles[0], "-o", output, "--state", state)
    assert done.code == 4
    assert "rest.csv, line 2" in done.err
    assert "cut files between stamps" in done.err
    assert not output.exists()
    assert state.read_bytes() == before


def home(n: int, seed: int) -> pd.DataFrame:
    """What Home Assistant exports: one entity after the other, text states, and a few words."""
    table = plant(n, seed).rename(columns={"when": "last_changed"})
    table["last_changed"] += ".250Z"
    table["pump"] = np.where(np.arange(n) // 20 % 2 == 0, "on", "off")
    table.columns = ["last_changed", *(f"sensor.{name}" for name in SENSORS), "switch.pump"]
    long = table.astype(str).melt(id_vars="last_changed", var_name="entity_id", value_name="state")
    long.loc[[5, 6, n + 7], "state"] = "unavailable"
    long.loc[3 * n + 3, "state"] = "unknown"
    return long[["entity_id", "state", "last_changed"]]


def test_an_export_of_home_assistant(tmp_path: Path):
    """The clock is found though its column is in no order; words are gaps and no values, of switches too."""
    bundle, fit = fitted(home(400, 0), tmp_path, "--long", "name=entity_id,value=state")
    assert fit["time_column"] == "last_changed"
    clock = next(column for column in fit["columns"] if column["role"] == "time")
    assert clock["reason"].startswith("it orders the rows")
    assert fit["long"]["sorted"]
    assert (fit["long"]["rows"], fit["long"]["stamps"], fit["long"]["tags"]) == (1600, 400, 4)
    assert fit["long"]["gaps"] == {"unavailable": 3, "unknown": 1}
    pump = next(column for column in fit["columns"] if column["name"] == "switch.pump")
    assert sorted(pump["categories"]) == ["off", "on"]
    found, summary = scored_and_summary(home(100, 5), bundle, tmp_path / "new")
    assert found["anomaly_score"].notna().all()
    assert summary["long"]["n_gaps"] == 4
    assert summary["novel_cells"] == 0


def test_an_export_of_influxdb(tmp_path: Path):
    """One field after the other, with the bounds of the query in every row, which are no clock."""
    long = melted(plant(200)).sort_values("tag", kind="stable")
    long.columns = ["_time", "_field", "_value"]
    long = long.assign(result="", _start="2024-03-01T00:00:00", _stop="2024-03-02T00:00:00", _measurement="plant")
    _, fit = fitted(long, tmp_path, "--long", "name=_field,value=_value")
    assert (fit["time_column"], fit["long"]["stamps"]) == ("_time", 200)
    assert fit["long"]["other_columns"] == ["result", "_start", "_stop", "_measurement"]


def test_words_among_new_numbers_are_gaps(bundles: tuple[Path, Path], tmp_path: Path):
    """One word of a device does not refuse a file: the reading is missing, and the words are counted."""
    long = melted(plant(80, 5)).astype({"value": object})
    empty = long.copy()
    long.loc[[9, 12, 20], "value"] = ["Bad Input", "Sensor fault 7", "Sensor fault 7"]
    empty.loc[[9, 12, 20], "value"] = None
    found, summary = scored_and_summary(long, bundles[0], tmp_path)
    assert summary["long"]["gaps"] == {"Sensor fault 7": 2, "Bad Input": 1}
    expected = scored(empty, bundles[0], tmp_path / "empty")
    pd.testing.assert_frame_equal(found[ADDED], expected[ADDED], check_exact=True)
    page = call("score", tmp_path / "new.csv", "-m", bundles[0], "-o", tmp_path / "again.csv").out
    assert "3 readings missing: 'Sensor fault 7' 2, 'Bad Input' 1" in page


def test_fit_asks_about_words_that_it_does_not_know(tmp_path: Path):
    """They may be readings; the message proposes the option, with which they are missing."""
    long = melted(plant(200)).astype({"value": object})
    long.loc[[31, 61], "value"] = "Sensor fault 7"
    source = write(long, tmp_path / "normal.csv")
    done = call("fit", source, "-o", tmp_path / "m.vae", *LONG)
    assert done.code == 4
    where = "normal.csv, line 32 (the first row of its stamp)"
    assert f"{where}: column 'pressure' holds numbers, not 'Sensor fault 7'" in done.err
    assert "--missing 'Sensor fault 7'" in done.err
    assert call("fit", source, "-o", tmp_path / "m.vae", *LONG, "--missing", "Sensor fault 7", "-q").code == 0
    assert call("fit", source, "-o", tmp_path / "m.vae", *LONG, "--missing", "pressure=Sensor fault 7", "-q").code == 0


def test_tags_that_come_and_go_are_named(bundles: tuple[Path, Path], tmp_path: Path):
    """Unknown ones get the score of their stamp; a stamp without a tag of the model has none."""
    long = melted(plant(80, 5))
    alone = pd.DataFrame({"when": ["2024-03-01T00:10:30"], "tag": ["door"], "value": [1.0]})
    door = long[long["tag"] == "flow"].assign(tag="door")
    new = pd.concat([long[long["tag"] != "temperature"], door, alone]).sort_values("when", ignore_index=True)
    found, summary = scored_and_summary(new, bundles[0], tmp_path)
    expected = scored(long[long["tag"] != "temperature"], bundles[0], tmp_path / "known")
    stamps = sorted(set(long["when"]))
    lonely = found["when"] == "2024-03-01T00:10:30"
    assert found[lonely]["anomaly_score"].isna().all()
    assert not found[lonely]["is_anomaly"].any()
    pd.testing.assert_frame_equal(
        of_stamps(found[~lonely], pd.Series(stamps)), of_stamps(expected, pd.Series(stamps)), check_exact=True
    )
    assert summary["unscored"] == summary["long"]["rows_without_tag"] == 1
    assert (summary["long"]["other_tags"], summary["long"]["silent_tags"]) == (["door"], ["temperature"])
    assert any("no reading of 'temperature'" in warning for warning in summary["warnings"])
    page = call("score", tmp_path / "new.csv", "-m", bundles[0], "-o", tmp_path / "again.csv").out
    assert "unknown tags  'door': not part of any score" in page
    assert "1 row: 1 at times at which no tag of the model reported" in page


def test_rows_without_a_time_or_a_tag(bundles: tuple[Path, Path], tmp_path: Path):
    """Without a time there is no score; without a tag there is that of the stamp."""
    long = melted(plant(80, 5))
    long.loc[20, "when"], long.loc[40, "tag"] = None, None
    found, summary = scored_and_summary(long, bundles[0], tmp_path)
    assert np.flatnonzero(found["anomaly_score"].isna()).tolist() == [20]
    assert summary["rows_without_time"] == summary["unscored"] == 1
    assert summary["rows"] == len(long)


def test_a_wide_table_is_scored_too(bundles: tuple[Path, Path], tmp_path: Path):
    """With the tags as columns; a table that is neither long nor wide is refused."""
    wide = plant(80, 5)
    expected = scored(wide, bundles[1], tmp_path)
    found, summary = scored_and_summary(wide, bundles[0], tmp_path)
    assert summary["long"] is None
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    done = call("score", write(pd.DataFrame({"when": ["2024-03-01"], "x": [1]}), tmp_path / "x.csv"), "-m", bundles[0])
    assert done.code == 4
    assert "neither the columns 'tag' and 'value' of a long table nor the tags of the model as columns" in done.err


def test_reasons_and_events_name_tags(bundles: tuple[Path, Path], tmp_path: Path):
    long = melted(plant(120, 5))
    stuck = (long["tag"] == "flow") & (long.index >= 240) & (long.index < 270)
    long.loc[stuck, "value"] = 900.0
    events = tmp_path / "events.csv"
    found, summary = scored_and_summary(
        long, bundles[0], tmp_path, "--explain", "2", "--events", events, "--merge-gap", "60"
    )
    flagged = found[found["is_anomaly"]]
    assert flagged["top_columns"].str.contains("flow").all()
    assert found.loc[~found["is_anomaly"], "top_columns"].isna().all()
    worst = summary["worst"][0]
    assert worst["reasons"][0]["column"] == "flow"
    assert found.loc[worst["row"] - 1, "anomaly_score"] == pytest.approx(worst["score"])
    event = pd.read_csv(events).iloc[0]
    assert event["sensors"].startswith("flow") if "sensors" in event else "flow" in " ".join(map(str, event))
    only = scored(long, bundles[0], tmp_path / "only", "--anomalies-only")
    pd.testing.assert_frame_equal(only, flagged[list(only.columns)].reset_index(drop=True))


def test_reasons_name_what_a_silent_tag_holds(tmp_path: Path):
    """A tag that reports on change is not missing between its reports; beyond its scale only a bound is known."""
    wide = plant(400)
    wide["flow"], wide["mode"] = wide["flow"].where(wide.index % 3 == 0), np.where(wide.index // 30 % 2 == 0, "a", "b")
    wide["mode"] = wide["mode"].where(wide["mode"] != wide["mode"].shift())
    bundle, _ = fitted(melted(wide), tmp_path, *LONG)
    new = wide.copy()
    new.loc[200, "flow"], new.loc[201:239, "flow"], new.loc[260:, "mode"] = 5000.0, np.nan, np.nan
    new.loc[[260, 263], "pressure"] = 500.0
    events = tmp_path / "events.jsonl"
    found, summary = scored_and_summary(melted(new), bundle, tmp_path / "new", "--explain", "4", "--events", events)
    assert found.loc[(found["when"] > new["when"][200]) & (found["when"] < new["when"][239]), "is_anomaly"].any()
    reasons = [reason for row in summary["worst"] for reason in row["reasons"]]
    assert all(reason["value"] is not None for reason in reasons)
    bounds = [reason["value"] for reason in reasons if reason["column"] == "flow" and isinstance(reason["value"], str)]
    assert any(value.startswith("at least ") and 200 < float(value.split()[-1]) < 5000 for value in bounds)
    told = [sensor for line in events.read_text().splitlines() for sensor in json.loads(line)["sensors"]]
    assert told
    assert all(sensor["value"] is not None for sensor in told)


def test_evaluate_counts_stamps(bundles: tuple[Path, Path], tmp_path: Path):
    """A stamp is labelled if one of its rows is; the figures are those of the wide table."""
    wide = plant(300, 5)
    wide.loc[100:119, "flow"] = 300
    long = melted(wide).assign(fault=0)
    long.loc[(long["tag"] == "flow") & (long["value"] == 300), "fault"] = 1
    wide["fault"] = (wide["flow"] == 300).astype(int)
    words = ("--label", "fault", "--json", "-m")
    of_long = call("evaluate", write(long, tmp_path / "long.csv"), *words, bundles[0]).summary
    of_wide = call("evaluate", write(wide, tmp_path / "wide.csv"), *words, bundles[1]).summary
    for values in (of_long, of_wide):
        for name in ("bundle", "seconds"):
            values.pop(name)
    assert of_long == of_wide
    assert of_long["anomalies"] == 20


def test_labelled_stamps_are_left_out(tmp_path: Path):
    long = melted(plant(300)).assign(fault=0, unit="bar")
    long.loc[[300, 301, 330], "fault"] = 1
    _, summary = fitted(long, tmp_path, *LONG, "--label", "fault", "--exclude", "unit,temperature")
    assert (summary["n_excluded_by_label"], summary["n_sensors"]) == (2, 2)
    assert summary["long"]["other_columns"] == ["unit"]


def test_the_bundle_remembers(bundles: tuple[Path, Path], tmp_path: Path):
    done = call("inspect", bundles[0])
    assert "columns.long" in done.out
    assert "name=tag,value=value" in done.out
    found = call("inspect", bundles[0], "--json").summary
    assert (found["format"], found["fit"]["long"]["name"], found["fit"]["long"]["value"]) == (
        SENSORS_FORMAT,
        "tag",
        "value",
    )
    assert "long" not in call("inspect", bundles[1], "--json").summary["fit"]


def test_a_long_frame_from_python(bundles: tuple[Path, Path]):
    """`fit(frame, long=…)`; the frame comes back with its index."""
    table = melted(irregular(600, 0)).set_index(np.arange(600, 600 + len(melted(irregular(600, 0)))))
    table["when"] = pd.to_datetime(table["when"])
    model = vaecli.fit(table, long="name=tag,value=value")
    found, again = model.score(table), vaecli.load(bundles[0]).score(table)
    assert found.index.equals(table.index)
    pd.testing.assert_series_equal(found["anomaly_score"], again["anomaly_score"], check_exact=True)
    with pytest.raises(vaecli.errors.UsageError, match="name=COLUMN"):
        vaecli.fit(table, long="tag")


def staggered(n: int, seed: int) -> pd.DataFrame:
    """A long table of sensors that report in turn, each every minute, none together."""
    long = melted(plant(n, seed))
    second = long["tag"].map({"flow": 5, "pressure": 25, "temperature": 45})
    moment = pd.to_datetime(long["when"]) + pd.to_timedelta(second, "s")
    return long.assign(when=moment.dt.strftime("%Y-%m-%dT%H:%M:%S"))


def test_sensors_that_never_report_together(tmp_path: Path):
    """There is a warning; with `every`, the scores are those of a row per minute, and files are cut between minutes."""
    normal, new = staggered(300, 0), staggered(100, 5)
    _, summary = fitted(normal, tmp_path, *LONG)
    assert any("1 of 3 tags report at a stamp" in warning for warning in summary["warnings"])
    long, summary = fitted(normal, tmp_path / "long", "--long", "name=tag,value=value,every=1m")
    assert (summary["step"], summary["long"]["stamps"], summary["long"]["tags_per_stamp"]) == (60, 300, 3)
    assert not any("report at a stamp" in warning for warning in summary["warnings"])
    order = ["when", *sorted(SENSORS)]
    wide, _ = fitted(plant(300, 0)[order], tmp_path / "wide")
    found, expected = scored(new, long, tmp_path), scored(plant(100, 5), wide, tmp_path / "new")
    np.testing.assert_array_equal(found["anomaly_score"], np.repeat(expected["anomaly_score"], 3))
    shuffled = new.sample(frac=1, random_state=1)
    again = scored(shuffled, long, tmp_path).sort_values("when", ignore_index=True)
    pd.testing.assert_frame_equal(again, found, check_exact=True)
    early = new.assign(value=0.0, when=new["when"].str.replace(r"\d$", "1", regex=True))  # 4 s before each reading
    both = scored(pd.concat([new, early]), long, tmp_path / "both").iloc[:300]
    np.testing.assert_array_equal(both["anomaly_score"], found["anomaly_score"])
    state = tmp_path / "state"
    parts = [scored(new[:150], long, tmp_path, "--state", state), scored(new[150:], long, tmp_path, "--state", state)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), found, check_exact=True)
    later = staggered(200, 5)[300:]
    scored(later[:4], long, tmp_path, "--state", state)
    done = call("score", write(later[4:], tmp_path / "rest.csv"), "-m", long, "--state", state)
    assert (done.code, "cut files between stamps" in done.err) == (4, True)


def test_a_silent_tag_is_held_for_so_many_of_its_steps(tmp_path: Path):
    """Then it reads as usual: as if it had reported its median, whether in one table, in pieces, or in a wide one."""
    bundle, summary = fitted(melted(plant(600)), tmp_path, "--long", "name=tag,value=value,hold=20")
    assert summary["long"]["hold"] == 20
    long = melted(plant(200, 3))
    stamps = sorted(set(long["when"]))
    silent = (long["tag"] == SENSORS[0]) & long["when"].isin(stamps[60:150])
    median = load_any_detector(bundle)[0].scale.median[sorted(SENSORS).index(SENSORS[0])]
    expected = long.copy()
    expected.loc[silent & long["when"].isin(stamps[80:]), "value"] = median
    expected = expected[~(silent & long["when"].isin(stamps[:80]))]
    new = long[~silent]
    told, of_told = scored_and_summary(expected, bundle, tmp_path / "told")
    found, of_found = scored_and_summary(new, bundle, tmp_path / "found")
    pd.testing.assert_frame_equal(of_stamps(found, stamps), of_stamps(told, stamps), check_exact=True)
    assert "70 readings of tags silent for longer than 20 usual steps" in " ".join(of_found["warnings"])
    assert not any("silent for longer" in warning for warning in of_told["warnings"])
    wide = scored(pivoted(new), bundle, tmp_path / "wide")
    pd.testing.assert_frame_equal(wide[ADDED], of_stamps(told, stamps), check_exact=True)
    pieces = [
        scored(new[new["when"].isin(part)], bundle, tmp_path / "piece", "--state", tmp_path / "state")
        for part in (stamps[:70], stamps[70:90], stamps[90:])
    ]
    pd.testing.assert_frame_equal(of_stamps(pd.concat(pieces), stamps), of_stamps(told, stamps), check_exact=True)


def test_epoch_milliseconds_and_every(tmp_path: Path):
    """`every` is in seconds whatever the clock counts in."""
    long = staggered(300, 0)
    long["when"] = pd.to_datetime(long["when"]).astype("datetime64[ms]").astype("int64")
    _, summary = fitted(long, tmp_path, "--long", "name=tag,value=value,every=60s")
    assert (summary["time_column"], summary["step"], summary["long"]["stamps"]) == ("when", 60, 300)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--long", "tag,value"), 2, "--long 'tag,value' is not name=COLUMN,value=COLUMN"),
        (("--long", "name=tag,value=tag"), 2, "--long 'name=tag,value=tag' is not name=COLUMN,value=COLUMN"),
        (
            ("--long", "name=tag,value=value,every=soon"),
            2,
            "every=soon' is not name=COLUMN,value=COLUMN[,every=DURATION]",
        ),
        (("--long", "name=tag,value=value,every=0s"), 2, "every=0s' is not name=COLUMN,value=COLUMN[,every=DURATION]"),
        (("--long", "name=tag,value=value,hold=0"), 2, "hold=0' is not name=COLUMN,value=COLUMN"),
        (("--long", "name=tag,value=value,hold=1h"), 2, "hold=1h' is not name=COLUMN,value=COLUMN"),
        (("--long", "name=tag,value=value,unit=bar"), 2, "is not name=COLUMN,value=COLUMN"),
        (("--long", "name=tags,value=value"), 2, "name='tags' (did you mean 'tag'?)"),
        ((*LONG, "--window", "0"), 2, "--long and --window 0 contradict each other"),
        ((*LONG, "--same-unit", "all"), 2, "--long and --same-unit contradict each other"),
        ((*LONG, "--time", "tag"), 2, "column 'tag' is named by --long and --time"),
        ((*LONG, "--exclude", "flw"), 2, "--exclude 'flw' (did you mean 'flow'?)"),
        ((*LONG, "--time", "unit"), 4, "--time 'unit'"),
        ((*LONG, "--label", "flow"), 2, "flow"),
    ],
)
def test_what_a_fit_refuses(tmp_path: Path, words: tuple[str, ...], code: int, message: str):
    source = write(melted(plant(100)).assign(unit="bar"), tmp_path / "normal.csv")
    done = call("fit", source, "-o", tmp_path / "m.vae", *words)
    assert (done.code, message in done.err) == (code, True), done.err
    assert "hint:" in done.err
    assert not (tmp_path / "m.vae").exists()


def test_a_clock_that_is_not_certain_is_asked_for(tmp_path: Path):
    long = melted(plant(200))
    one, other = (long["when"].sample(frac=1, random_state=seed).to_numpy() for seed in (1, 2))
    several = long.assign(when=one, updated=other)
    done = call("fit", write(several, tmp_path / "two.csv"), "-o", tmp_path / "m.vae", *LONG)
    assert done.code == 2
    assert "'when' and 'updated' may be the clock" in done.err
    done = call("fit", write(long.drop(columns="when"), tmp_path / "none.csv"), "-o", tmp_path / "m.vae", *LONG)
    assert done.code == 2
    assert "no column of the table is the clock" in done.err


def test_tags_like_columns_are_refused(tmp_path: Path):
    long = melted(plant(100)).replace({"tag": {"flow": "when"}})
    done = call("fit", write(long, tmp_path / "normal.csv"), "-o", tmp_path / "m.vae", *LONG)
    assert done.code == 4
    assert "a tag is called 'when', as is a column of the table" in done.err


def test_what_a_score_refuses(bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Tables too large to be sorted, streams, and long tables without the clock."""
    long = melted(plant(100, 5))
    source, output = write(long.sort_values("tag"), tmp_path / "new.csv"), tmp_path / "out.csv"
    no_clock = write(long.rename(columns={"when": "stamp"}), tmp_path / "clock.csv")
    done = call("score", no_clock, "-m", bundles[0], "-o", output)
    assert (done.code, "'when' (the time)" in done.err) == (4, True), done.err
    done = call("score", source, "-m", bundles[0], "-o", output, "--follow")
    assert done.code == 2
    monkeypatch.setattr(reading, "MOST_SORTED_ROWS", 200)
    done = call("score", source, "-m", bundles[0], "-o", output)
    assert done.code == 4
    assert "not in the order of column 'when' has more than 200 rows" in done.err
    assert "sort it by when first" in done.err
    monkeypatch.setattr(reading, "PART_BYTES", 1)
    same = write(long.assign(when="2024-03-01T00:00:00"), tmp_path / "same.csv")
    done = call("score", same, "-m", bundles[0], "-o", output)
    assert (done.code, "more than 200 rows have the same time" in done.err) == (4, True), done.err
    assert not output.exists()


def test_a_stream_of_a_long_table_is_refused(
    bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = write(melted(plant(20, 5)), tmp_path / "new.csv")
    with open(source) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        done = call("score", "-", "-m", bundles[0], "--follow")
    assert done.code == 2
    assert "--follow: rows of a long table cannot be scored before their stamp is complete" in done.err


def test_a_table_from_standard_input(bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is read twice all the same."""
    source, output = write(melted(plant(50, 5)).sort_values("tag"), tmp_path / "new.csv"), tmp_path / "out.csv"
    with open(source) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert call("score", "-", "-m", bundles[0], "-o", output, "-q").code == 0
    assert len(read(output)) == 150


def test_events_of_a_long_table_are_explained(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    """As those of its pivot; single rows are refused with what to do instead."""
    new = plant(300, 5)
    new.loc[150:200, SENSORS[0]] += 40
    long = melted(new)
    found = []
    for name, table, bundle in (("long", long, bundles[0]), ("wide", pivoted(long), bundles[1])):
        path = write(table, tmp_path / f"{name}.csv")
        done = call("explain", path, "-m", bundle, "-o", tmp_path / f"{name}.parquet")
        assert done.code == 0, done.err
        found.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    assert len(found[0]) > 0
    pd.testing.assert_frame_equal(*found)
    done = call("explain", tmp_path / "long.csv", "-m", bundles[0], "--row", "3")
    assert done.code == 2
    assert "long table" in done.err


@pytest.mark.parametrize("more", [(), ("--offline",)])
def test_a_report_of_a_long_table_shows_its_pivot(
    bundles: tuple[Path, Path], tmp_path: Path, more: tuple[str, ...]
) -> None:
    """The same events, charts and counts; it says that its rows are stamps, and names silent tags."""
    new = plant(300, 5)
    new.loc[150:200, SENSORS[0]] += 40
    long = melted(new)
    pages, found = [], []
    for name, table, bundle in (("long", long, bundles[0]), ("wide", pivoted(long), bundles[1])):
        path = write(table, tmp_path / f"{name}.csv")
        done = call("report", path, "-m", bundle, "-o", tmp_path / f"{name}.html", "--json", *more)
        assert done.code == 0, done.err
        found.append(json.loads(done.out))
        pages.append((tmp_path / f"{name}.html").read_text())
    assert found[0]["long"]["rows"] == len(long)
    same = {"rows", "anomalies", "unscored", "n_events", "sensors", "headline", "n_groups"}
    assert {name: found[0][name] for name in same} == {name: found[1][name] for name in same}
    assert found[0]["n_events"] > 0
    drawings = [re.findall(r"<svg.*?</svg>", page, re.DOTALL) for page in pages]
    assert drawings[0] == drawings[1] != []
    assert "900 rows, read as 300 stamps" in pages[0]
    silent = write(long[long["tag"] != SENSORS[1]], tmp_path / "silent.csv")
    done = call("report", silent, "-m", bundles[0], "-o", tmp_path / "silent.html", *more)
    assert done.code == 0
    assert f"no reading of '{SENSORS[1]}'" in done.out


def test_a_long_table_is_tested_with_faults_as_its_pivot(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    """The same shares of faults seen."""
    long = melted(plant(1500, 6))
    found = []
    for name, table, bundle in (("long", long, bundles[0]), ("wide", pivoted(long), bundles[1])):
        path = write(table, tmp_path / f"{name}.csv")
        done = call("selftest", path, "-m", bundle, "--faults", "spike,drift", "--json")
        assert done.code == 0, done.err
        found.append(json.loads(done.out)["faults"])
    assert found[0] == found[1]
