"""Columns of text as a user meets them: found or named, scored, explained."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.bundle import ROWS_FORMAT, read_bundle

SETTINGS = {
    "train.max_steps": 120,
    "heteroscedastic.n_hidden": 16,
    "homoscedastic.n_hidden": 16,
    "heteroscedastic.n_latent": 3,
    "homoscedastic.n_latent": 3,
    "model.n_exemplars": 50,
    "calibration.n_folds": 2,
}


def orders(n: int, seed: int) -> pd.DataFrame:
    """A serial number with a format, a message that follows a number, and a number by itself."""
    rng = np.random.default_rng(seed)
    hot = rng.random(n) < 0.5
    return pd.DataFrame(
        {
            "temp": np.where(hot, 90, 40) + 5 * rng.normal(size=n),
            "load": rng.normal(size=n),
            "serial": [f"SN-{rng.integers(2000, 2025)}-{rng.integers(10_000):04d}" for _ in range(n)],
            "message": [
                f"ERROR pump {rng.integers(9)} overheated" if one else f"INFO valve {rng.integers(9)} moved"
                for one in hot
            ],
        }
    )


@pytest.fixture(scope="module")
def model() -> vaecli.Model:
    return vaecli.fit(orders(500, 0), text=["serial", "message"], **SETTINGS)


@pytest.fixture(scope="module")
def fresh() -> pd.DataFrame:
    return orders(400, 1)


@pytest.fixture
def beside(model: vaecli.Model, fresh: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle, and rows of which five are wrong, in the current folder."""
    monkeypatch.chdir(tmp_path)
    model.save("model.vae")
    wrong = fresh[:6].copy()
    wrong.loc[0, "serial"] = "SN-20O4-0031"
    wrong.loc[1, "message"] = "ERROR pump 3 \x1b[31movreheated"
    wrong.loc[2, ["temp", "message"]] = [90.0, "INFO valve 3 moved"]
    wrong.loc[3, "serial"] = "SN-2004-0031<script>alert('ü')</script>"
    wrong.loc[4, "load"] = 9.0
    wrong.to_csv("wrong.csv", index=False)
    return tmp_path


def flagged(model: vaecli.Model, table: pd.DataFrame) -> float:
    return float(np.asarray(model.score(table)["is_anomaly"]).mean())


def test_neither_text_nor_numbers_drown_the_other(model: vaecli.Model, fresh: pd.DataFrame):
    """Normal rows are rarely flagged; a wrong character, a wrong number and a wrong combination nearly always."""
    assert flagged(model, fresh) < 0.03
    letter = fresh.assign(serial=fresh["serial"].str.replace("20", "2O", n=1))
    assert flagged(model, letter) > 0.98
    assert flagged(model, fresh.assign(load=fresh["load"] + 8)) > 0.95
    hot = fresh["message"].str.startswith("ERROR")
    other = fresh.assign(temp=np.where(hot, 40.0, 90.0))
    mean = [np.asarray(model.score(table)["anomaly_score"]) for table in (fresh, other)]
    assert (mean[1][:, None] > mean[0][None]).mean() > 0.9  # AUROC; each alone is at chance


def test_a_bundle_scores_to_the_bit(model: vaecli.Model, fresh: pd.DataFrame, beside: Path):
    """Saved and loaded, rows score as they did, and alone as among others."""
    assert read_bundle(Path("model.vae"))[0].format == ROWS_FORMAT
    again = np.asarray(vaecli.load("model.vae").score(fresh)["anomaly_score"])
    assert (again == np.asarray(model.score(fresh)["anomaly_score"])).all()


def test_wrong_strings_of_two_columns_are_two_incidents(
    run, model: vaecli.Model, fresh: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The class of a string does not show that its characters are wrong; a coordinate of its own does."""
    monkeypatch.chdir(tmp_path)
    model.save("model.vae")
    wrong = fresh[:120].copy()
    wrong.loc[:39, "serial"] = wrong.loc[:39, "serial"].str.replace("20", "2O", n=1)
    wrong.loc[40:79, "message"] += "<script>"
    wrong.loc[80:, "load"] = 9.0
    wrong.to_csv("wrong.csv", index=False)
    assert run("score", "wrong.csv", "-m", "model.vae", "--incidents", "incidents.json").code == 0
    found = json.loads(Path("incidents.json").read_text())["incidents"]
    titles = {one["title"]: one["rows"] for one in found if one["rows"] > 20}
    assert sorted(titles) == ["load up", "message changed", "serial changed"]
    assert min(titles["message changed"], titles["serial changed"]) >= 35


def test_reasons_name_characters(run, beside: Path):
    """Place, character and what was expected; offsets in characters and bytes; nothing steers the terminal."""
    done = run("explain", "wrong.csv", "--row", "1", "--row", "2", "--row", "3", "--row", "4")
    assert 'serial = "SN-20O4-0031", unusual at character 6 "O", expected "0"' in done.out
    assert "\x1b[31m" not in done.out
    assert "\\x1b[31m" in done.out
    assert 'message = "INFO valve 3 moved", expected one like "ERROR pump' in done.out
    rows = json.loads(run("explain", "wrong.csv", "--row", "1", "--row", "4", "--json").out)["shown"]
    first, injected = (row["reasons"][0]["spans"][0] for row in rows)
    assert (first["start"], first["stop"], first["text"], first["expected"]) == (5, 6, "O", "0")
    assert "<script>" in rows[1]["reasons"][0]["value"]
    assert injected["byte_stop"] - injected["byte_start"] == len(injected["text"].encode())
    assert injected["start"] >= 9


def test_reasons_of_other_columns_have_no_spans(run, beside: Path):
    """A number beside text is explained as ever."""
    (row,) = json.loads(run("explain", "wrong.csv", "--row", "5", "--json").out)["shown"]
    assert row["reasons"][0]["column"] == "load"
    assert "spans" not in row["reasons"][0]


def test_missing_strings_are_missing(model: vaecli.Model, fresh: pd.DataFrame):
    """Unexpected where training had none, and of no class."""
    scored = model.score(fresh.assign(serial=None))
    assert np.asarray(scored["is_anomaly"]).all()


def test_columns_found_named_and_left_out(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Predictable strings that hardly repeat are found; random keys, identifiers and excluded columns are not."""
    monkeypatch.chdir(tmp_path)
    table, rng = orders(300, 2), np.random.default_rng(0)
    note = [f"{text} in hall {rng.integers(1000)}" for text in table["message"]]
    note[:20] = note[20:40]  # some come twice, so that the column does not name rows
    code = ["".join(rng.choice(list("0123456789abcdef"), 24)) for _ in note]
    code[:20] = code[20:40]
    table.assign(note=note, code=code, serial_id=table["serial"]).to_csv("orders.csv", index=False)

    def columns(*words: str) -> dict[str, list[str]]:
        plan = json.loads(run("fit", "orders.csv", "--dry-run", "--json", *words).out)
        return {one["name"]: [one["kind"], one["role"]] for one in plan["columns"]}

    found = columns()
    assert found["note"] == ["text", "feature"]
    assert found["code"] == ["categorical", "feature"]
    assert found["serial_id"] == ["categorical", "feature"]
    assert columns("--exclude", "note")["note"][1] == "ignored"
    assert columns("--text", "serial,code")["serial"] == columns("--text", "serial,code")["code"] == ["text", "feature"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--text", "seriel"), 2, "did you mean 'serial'"),
        (("--text", "serial", "--exclude", "serial"), 2, "two parts"),
        (("--text", "count"), 4, "it holds numbers, not text"),
    ],
)
def test_columns_that_cannot_be_text(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words, code, message):
    """Names that the table does not have, two parts, and types without characters."""
    monkeypatch.chdir(tmp_path)
    orders(60, 0).assign(count=np.arange(60) % 7).to_parquet("orders.parquet", index=False)
    done = run("fit", "orders.parquet", *words)
    assert done.code == code
    assert message in done.err


LOG = "2024-03-{:02d} 08:{:02d}:{:02d},123 INFO pump {} started in hall {}\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two rotated logs, one of them packed, and a bundle fitted to them by a pattern."""
    folder, rng = tmp_path_factory.mktemp("log"), np.random.default_rng(0)

    def lines(day: int, n: int) -> str:
        return "".join(LOG.format(day, i // 60, i % 60, rng.integers(9), rng.integers(1000)) for i in range(n))

    (folder / "app.log.1").write_text(lines(1, 150))
    (folder / "app.log.2.gz").write_bytes(gzip.compress(lines(2, 150).encode()))
    (folder / "app.log").write_bytes(lines(3, 20).encode() + b"\n2024-03-03 09:00:00 PANIC \xff\r\nno time at all\n")
    vaecli.fit([str(path) for path in sorted(folder.glob("app.log.*"))], lines=True, **SETTINGS).save(
        folder / "model.vae"
    )
    return folder


def test_a_log_is_scored_and_explained(run, log: Path, monkeypatch: pytest.MonkeyPatch):
    """Lines become rows with their time; a foreign line is the worst; blank lines are none; the bundle remembers."""
    monkeypatch.chdir(log)
    assert run("score", "app.log").code == 0
    scored = pd.read_csv("app.log.scored.csv")
    assert list(scored.columns[:2]) == ["time", "line"]
    assert len(scored) == 22
    assert scored["time"][20] == "2024-03-03 09:00:00"
    assert scored["line"][20] == "PANIC \ufffd"
    assert np.isnan(scored["time"][21])
    assert scored["line"][21] == "no time at all"
    assert set(scored["anomaly_score"].nlargest(2).index) == {20, 21}
    assert 'line = "no time at all", unusual from its first character to its last' in run("explain", "app.log").out
    kinds = {one["name"]: one["role"] for one in json.loads(run("inspect", "--json").out)["columns"]}
    assert kinds == {"time": "time", "line": "feature"}


def test_lines_of_a_log_are_not_followed(run, log: Path, monkeypatch: pytest.MonkeyPatch):
    """--since-last-run is refused; --lines contradicts --long."""
    monkeypatch.chdir(log)
    done = run("score", "app.log", "-o", "out.csv", "--since-last-run", "state")
    assert (done.code, "cannot be followed" in done.err) == (2, True)
    done = run("fit", "app.log", "--lines", "--long", "name=a,value=b")
    assert (done.code, "--lines and --long" in done.err) == (2, True)


@pytest.mark.slow
def test_new_rows_have_strings(model: vaecli.Model, beside: Path, run):
    """Of the formats of training, by seed and number of the row alone; hardly any is one of training."""
    new = model.sample(300, seed=3).to_pandas()
    assert new["serial"].str.fullmatch(r"SN-2\d{3}-\d{4}").mean() > 0.9
    assert new["message"].str.startswith(("ERROR pump", "INFO valve")).mean() > 0.95
    assert (new["temp"][new["message"].str.startswith("ERROR")] > 65).mean() > 0.7
    assert new["serial"].isin(orders(500, 0)["serial"]).mean() < 0.03
    assert model.sample(20, seed=3).to_pandas().equals(new[:20])
    like = model.sample(1, seed=3, like="wrong.csv").to_pandas()
    assert like["message"].notna().all()


def test_strings_are_reconstructed_and_not_made_up(run, beside: Path):
    """`reconstruct` gives the string of the expected class, `--impute` leaves gaps; `encode` and `check` run."""
    table = pd.read_csv("wrong.csv")
    table["serial"] = table["serial"].where(table.index != 0)
    table.to_csv("gap.csv", index=False)
    assert run("reconstruct", "gap.csv", "-o", "again.csv").code == 0
    assert pd.read_csv("again.csv")["serial"].str.startswith("SN-").all()
    done = run("reconstruct", "gap.csv", "--impute", "-o", "filled.csv")
    assert "strings are not imputed" in done.out + done.err
    assert pd.read_csv("filled.csv")["serial"].isna().tolist() == [True, *[False] * 5]
    assert run("encode", "wrong.csv", "-o", "codes.csv").code == 0
    assert json.loads(run("check", "wrong.csv", "--json").out)["verb"] == "check"


def test_the_report_marks_characters(run, beside: Path):
    """Spans are marked in the string; markup of the table is escaped."""
    assert run("report", "wrong.csv", "-o", "page.html").code == 0
    page = Path("page.html").read_text()
    assert "SN-20<mark>O</mark>4-0031" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_faults_of_strings_are_tried(model: vaecli.Model, beside: Path, fresh: pd.DataFrame, run):
    """`selftest` types strings wrongly and cuts them: most are seen, in the columns of text alone."""
    fresh.to_csv("fresh.csv", index=False)
    found = json.loads(run("selftest", "fresh.csv", "--faults", "mistyped,truncated", "--json").out)
    assert {one["column"] for one in found["columns"]} == {"serial", "message"}
    for one in found["faults"]:
        assert one["rows"] > 300
        assert one["share"] > 0.6
