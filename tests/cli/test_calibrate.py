"""`vaecli calibrate`: new thresholds from fresh normal rows, the networks as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.cli.conftest import Vae
from tests.conftest import sensor_table
from vaecli.bundle import ROWS_FORMAT, read_bundle


def noisy(n_rows: int, seed: int, site: str, noise: float) -> pd.DataFrame:
    """Rows of a site where pressure and flow go apart by `noise` more than in training."""
    table = sensor_table(n_rows, seed)
    table["pressure"] += noise * np.random.default_rng([seed, 9]).normal(size=n_rows)
    return table.assign(site=site)


@pytest.fixture(scope="module")
def sites() -> pd.DataFrame:
    """A calm site, a noisy one, and one with few rows."""
    parts = [noisy(600, 11, "calm", 0.0), noisy(600, 12, "noisy", 2.0), noisy(30, 13, "small", 0.0)]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sites: pd.DataFrame, bundle: Path) -> Path:
    """A folder with the bundle and fresh rows; it is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("model.vae").write_bytes(bundle.read_bytes())
    sites.to_csv("sites.csv", index=False)
    return tmp_path


def test_the_networks_stay_byte_for_byte(vae: Vae, place: Path) -> None:
    """All arrays but those of the calibration are equal; schema and settings too; the format is the newest."""
    before = Path("model.vae").read_bytes()
    vae("calibrate", "model.vae", "sites.csv", "-o", "new.vae", "--by", "site")
    assert Path("model.vae").read_bytes() == before
    (old, arrays), (new, changed) = read_bundle(Path("model.vae")), read_bundle(Path("new.vae"))
    assert new.format == ROWS_FORMAT
    assert (new.schema, new.config["fit"]) == (old.schema, old.config["fit"])
    for name, values in arrays.items():
        if not name.startswith("calibration/"):
            np.testing.assert_array_equal(changed[name], values)
    assert {name.partition("/")[0] for name in changed.keys() - arrays.keys()} == {"by"}


def test_scores_stay_and_p_values_are_those_of_the_fresh_rows(vae: Vae, place: Path, sites: pd.DataFrame) -> None:
    """A score is what it was, with never-seen cells too; its p-value is (1 + fresh rows as high) / (m + 1)."""
    vae("calibrate", "model.vae", "sites.csv", "-o", "new.vae")
    later = sensor_table(300, seed=20)
    later.loc[::10, "mode"] = "turbo"
    old, new = vaecli.load("model.vae"), vaecli.load("new.vae")
    before, after = old.score(later), new.score(later)
    np.testing.assert_array_equal(after["anomaly_score"], before["anomaly_score"])
    fresh = np.sort(old.score(sites)["anomaly_score"].to_numpy())
    at_least = fresh.size - np.searchsorted(fresh, after["anomaly_score"].to_numpy())
    within = at_least > 0
    np.testing.assert_allclose(after["p_value"].to_numpy()[within], (1 + at_least[within]) / (1 + fresh.size))


def test_normal_rows_with_new_values_become_normal(vae: Vae, place: Path) -> None:
    """A category that came after the fit is flagged always; calibrated on such rows, seldom."""
    fresh, later = sensor_table(900, seed=30).assign(mode="turbo"), sensor_table(900, seed=31).assign(mode="turbo")
    fresh.to_csv("fresh.csv", index=False)
    done = vae("calibrate", "model.vae", "fresh.csv", "-o", "new.vae")
    assert "the earlier calibration flags 100 % of these rows" in done.out
    assert vaecli.load("model.vae").score(later)["is_anomaly"].all()
    assert vaecli.load("new.vae").score(later)["is_anomaly"].mean() < 0.03


def test_each_group_by_its_own_rows(vae: Vae, place: Path) -> None:
    """The noisy site is flagged as seldom as the calm one; small, unseen and unnamed ones are judged by all rows."""
    summary = json.loads(vae("calibrate", "model.vae", "sites.csv", "-o", "by.vae", "--by", "site", "--json").out)
    vae("calibrate", "model.vae", "sites.csv", "-o", "all.vae")
    assert [(group["group"], group["rows"]) for group in summary["groups"]] == [("noisy", 600), ("calm", 600)]
    assert (summary["small_groups"], summary["min_rows"]) == ({"small": 30}, 99)
    assert "small (30)" in " ".join(summary["warnings"])
    by, everyone = vaecli.load("by.vae"), vaecli.load("all.vae")
    later = noisy(2000, 40, "noisy", 2.0)
    assert by.score(later)["is_anomaly"].mean() < 0.025 < everyone.score(later)["is_anomaly"].mean() * 2
    calm = noisy(2000, 41, "calm", 0.0)
    assert everyone.score(calm)["is_anomaly"].mean() < 0.5 * by.score(calm)["is_anomaly"].mean()
    for other in ("small", "unheard of", None):
        rows = noisy(200, 42, "x", 0.5).assign(site=other)
        np.testing.assert_array_equal(by.score(rows)["p_value"], everyone.score(rows)["p_value"])


def test_verbs_honour_the_groups_and_ask_for_their_column(vae: Vae, place: Path) -> None:
    """score, explain, evaluate and report flag the same rows, by file and by frame; without the column they refuse."""
    vae("calibrate", "model.vae", "sites.csv", "-o", "by.vae", "--by", "site")
    later = pd.concat([noisy(300, 50, "noisy", 2.0), noisy(300, 51, "calm", 2.0)], ignore_index=True)
    later.assign(fault=np.arange(600) % 2).to_csv("later.csv", index=False)
    flagged = int(vaecli.load("by.vae").score(later)["is_anomaly"].sum())
    assert flagged > 0
    for words in (["score"], ["explain"], ["evaluate", "--label", "fault"], ["report"]):
        output = {"report": ["-o", "r.html"], "score": ["-o", "s.csv"]}.get(words[0], [])
        summary = json.loads(vae(*words[:1], "later.csv", *words[1:], *output, "-m", "by.vae", "--json").out)
        assert summary.get("anomalies" if words[0] != "evaluate" else "flagged") == flagged
    later.drop(columns="site").to_csv("bare.csv", index=False)
    assert "'site'" in vae("score", "bare.csv", "-m", "by.vae", code=4).err
    assert "'site'" in vae("selftest", "bare.csv", "-m", "by.vae", code=4).err
    assert (
        "groups of 'site' by their own rows"
        in vae("calibrate", "by.vae", "sites.csv", "-o", "c.vae", "--by", "site").out
    )
    assert "by 'site' are not kept" in vae("calibrate", "by.vae", "sites.csv", "-o", "c.vae").out


def test_a_rate_by_group_uses_the_rows_of_each(vae: Vae, place: Path, sites: pd.DataFrame) -> None:
    """`flag --fdr` floors p-values at 1/601 in a group of 600 rows and at 1/1231 elsewhere."""
    vae("calibrate", "model.vae", "sites.csv", "-o", "by.vae", "--by", "site")
    later = pd.concat([noisy(300, 60, "noisy", 2.0), noisy(300, 61, "elsewhere", 0.0)], ignore_index=True)
    later.loc[::20, "pressure"] = 300.0
    model = vaecli.load("by.vae")
    scored = model.score(later)
    floored = np.maximum(scored["p_value"], np.where(scored["site"] == "noisy", 1 / 601, 1 / 1231))
    k = np.arange(1, 601)
    n_flagged = int(k[np.sort(floored) <= 0.1 * k / 600].max(initial=0))
    assert model.flag(scored, fdr=0.1)["is_anomaly"].sum() == n_flagged >= 30


def test_more_rows_are_added(vae: Vae, place: Path, sites: pd.DataFrame) -> None:
    """--add pools the 600 rows of the fit with the fresh ones; p-values are those of all together."""
    summary = json.loads(vae("calibrate", "model.vae", "sites.csv", "-o", "new.vae", "--add", "--json").out)
    assert summary["n_calibration_rows"] == 600 + len(sites)
    old, new = vaecli.load("model.vae"), vaecli.load("new.vae")
    kind = old.detector.score_kind
    pooled = np.r_[old.detector.calibrations[kind].scores, old.score(sites)["anomaly_score"]]
    score = np.linspace(pooled.min(), pooled.max(), 50)
    expected = (1 + (pooled[None, :] >= score[:, None]).sum(1)) / (pooled.size + 1)
    np.testing.assert_allclose(new.detector.calibrations[kind].p_value(score), expected)


def test_a_new_level_and_too_few_rows(vae: Vae, place: Path, sites: pd.DataFrame) -> None:
    """The level becomes the default of the bundle; one that the rows do not resolve is named; 7 rows are refused."""
    sites[:50].to_csv("few.csv", index=False)
    done = vae("calibrate", "model.vae", "few.csv", "-o", "new.vae", "--threshold", "0.999")
    assert "threshold 0.999 needs 999 normal rows to be measured; there are 50" in done.out
    assert vaecli.load("new.vae").threshold == 0.999
    assert vaecli.load("new.vae").fit_report["n_calibration_rows"] == 50
    sites[:7].to_csv("few.csv", index=False)
    assert (
        "7 normal rows with a score; at least 8" in vae("calibrate", "model.vae", "few.csv", "-o", "x.vae", code=4).err
    )
    sites[:0].to_csv("few.csv", index=False)
    assert "there are no rows" in vae("calibrate", "model.vae", "few.csv", "-o", "x.vae", code=4).err
    assert not Path("x.vae").exists()


def test_rows_of_the_fit_are_noticed(vae: Vae, place: Path, normal_csv: Path) -> None:
    """The networks know them and would score later rows higher: a warning counts them, not for fresh rows."""
    words = ["calibrate", "model.vae", "-o", "new.vae"]
    assert "exactly like one that the bundle remembers of its fit" in vae(*words, str(normal_csv)).out
    assert "remembers" not in vae(*words, "sites.csv").out


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ("--by sight", 2, "--by 'sight' (did you mean 'site'?)"),
        ("--by site --add", 2, "--add and --by contradict"),
        ("--min-rows 20", 2, "--min-rows is that of a group"),
        ("--threshold 99", 2, "--threshold 99"),
        ("-o -", 2, "cannot go to standard output"),
        ("-o sites.csv", 2, "is the input itself"),
    ],
)
def test_mistakes(vae: Vae, place: Path, words: str, code: int, problem: str) -> None:
    """Each is named, and nothing is written."""
    assert problem in vae("calibrate", "model.vae", "sites.csv", "-o", "x.vae", *words.split(), code=code).err
    assert not Path("x.vae").exists()


def test_groups_are_told_apart_alike_in_every_format(vae: Vae, place: Path, sites: pd.DataFrame) -> None:
    """Numbers name the same groups as text, as whole numbers and as floats with a gap."""
    table = sites.assign(site=sites["site"].map({"calm": 7, "noisy": 8, "small": 9}))
    table.to_csv("n.csv", index=False)
    vae("calibrate", "model.vae", "n.csv", "-o", "by.vae", "--by", "site")
    model = vaecli.load("by.vae")
    expected = model.score("n.csv")["p_value"].to_numpy()
    for kind in ("int64", "float64", "Int64"):
        np.testing.assert_array_equal(model.score(table.astype({"site": kind}))["p_value"].to_numpy(), expected)


def test_rows_with_a_clock_are_worth_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run, quick: Path) -> None:
    """A model fitted with --time counts fresh rows of one series by what they are worth, and refuses --add."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    level = np.zeros(3000)
    for t in range(1, 3000):
        level[t] = 0.98 * level[t - 1] + 0.2 * rng.normal()
    table = pd.DataFrame({"t": np.arange(3000), "a": level + 0.1 * rng.normal(size=3000), "b": level})
    table[:1500].to_csv("one.csv", index=False)
    table[1500:].to_csv("two.csv", index=False)
    words = ["--time", "t", "--window", "0", "--config", str(quick), "-q"]
    assert run("fit", "one.csv", *words).code == 0
    done = run("calibrate", "model.vae", "two.csv", "-o", "new.vae", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["n_effective"] < 300
    assert "is not known" in run("calibrate", "model.vae", "two.csv", "-o", "x.vae", "--add").err
    table[1500:].drop(columns="t").to_csv("bare.csv", index=False)
    assert "the column 't'" in run("calibrate", "model.vae", "bare.csv", "-o", "x.vae").err
