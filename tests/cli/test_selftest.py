"""`vaecli selftest` as a user meets it: shares that add up, blind spots, options, and bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from vaecli.config import FAULTS
from vaecli.evaluation.faults import wilson

N = 500


@pytest.fixture
def new(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Fresh normal rows as new.csv beside a bundle, in the current directory."""
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    fresh_table.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return fresh_table


@pytest.fixture
def tested(run) -> Callable[..., dict]:
    """The JSON of a self-test that succeeds: `tested("new.csv", "--rows", "100")`."""

    def tested_words(*words: str) -> dict:
        done = run("selftest", *words, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return tested_words


def sight(summary: dict, fault: str, size: float | None = None, column: str | None = None) -> dict:
    (found,) = [
        one
        for one in summary["faults" if column is None else "columns"]
        if (one["fault"], one["size"], one["column"]) == (fault, size, column)
    ]
    return found


# -- figures --------------------------------------------------------------------------------------


def test_shares_add_up(run, tested, new):
    """Every fault at every size: columns sum to the whole, intervals are Wilson's, false alarms are score's."""
    summary = tested("new.csv")
    assert (summary["verb"], summary["schema_version"]) == ("selftest", 2)
    assert (summary["rows"], summary["drawn"], summary["seed"]) == (N, N, 0)
    scored = json.loads(run("score", "new.csv", "-o", "scored.csv", "--json").out)
    assert summary["flagged_before"] == scored["anomalies"]
    assert summary["false_alarm_rate"] == scored["anomalies"] / N
    assert list(dict.fromkeys(one["fault"] for one in summary["faults"])) == list(FAULTS)
    for one in summary["faults"]:
        of_columns = [c for c in summary["columns"] if (c["fault"], c["size"]) == (one["fault"], one["size"])]
        assert sum(c["rows"] for c in of_columns) == one["rows"] <= N - summary["flagged_before"]
        assert sum(c["flagged"] for c in of_columns) == one["flagged"]
        assert one["share"] == one["flagged"] / one["rows"]
        assert (one["low"], one["high"]) == wilson(one["flagged"], one["rows"])
    assert sight(summary, "spike", 8.0)["share"] > 0.9
    assert sight(summary, "unseen")["verdict"] == "seen"


def test_the_page_is_for_a_plant_engineer(run, new):
    """One line per fault and size with its interval, a word and the hardest column; then blind spots in sentences."""
    done = run("selftest", "new.csv")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "Self-test"
    assert [line.split("  ")[1] for line in lines[1:4]] == ["rows", "false alarms", "threshold"]
    assert lines[5].split("  ")[0] == "fault"
    (stuck,) = [line for line in lines if line.startswith("stuck")]
    assert "temperature 0 %" in stuck
    assert any(line.startswith("temperature: most cases of") and "stuck" in line for line in lines)
    assert lines[-1].startswith("Each row is judged by itself.")


def test_blind_spots_are_columns_that_nothing_predicts(tested, new):
    """Temperature and mode move with no other column: their borrowed values pass; those of pressure do not all."""
    summary = tested("new.csv")
    blind = {spot["column"]: spot for spot in summary["blind_spots"]}
    assert {"stuck", "borrowed"} <= set(blind["temperature"]["faults"])
    assert "another row's value would pass unnoticed" in blind["temperature"]["sentence"]
    assert "wrong" in blind["mode"]["faults"]
    assert not {"spike", "missing", "unseen"} & {fault for spot in blind.values() for fault in spot["faults"]}
    n_blind = [len(spot["faults"]) for spot in summary["blind_spots"]]
    assert n_blind == sorted(n_blind, reverse=True)


# -- options --------------------------------------------------------------------------------------


def test_a_table_of_all_shares(run, tested, new):
    """-o: a line per fault, size and column, the column empty for all together; CSV, TSV and Parquet hold the same."""
    summary = tested("new.csv", "-o", "seen.parquet")
    assert summary["output"] == "seen.parquet"
    found = pq.read_table("seen.parquet").to_pandas()
    told = pd.DataFrame(summary["faults"] + summary["columns"])
    pd.testing.assert_frame_equal(found, told[list(found.columns)], check_dtype=False)
    assert list(found.columns) == [
        "fault", "size", "column", "rows", "flagged", "share", "low", "high", "ranges_share", "word",
        "column_limits_share", "verdict",
    ]  # fmt: skip
    found = found.where(found.notna())  # None as NaN, which is how text is read back
    for name, separator in (("seen.csv", ","), ("seen.tsv", "\t")):
        assert run("selftest", "new.csv", "-o", name, "--quiet").out == ""
        pd.testing.assert_frame_equal(pd.read_csv(name, sep=separator), found, check_dtype=False, rtol=1e-12)
    done = run("selftest", "new.csv", "-o", "-")
    assert done.out == Path("seen.csv").read_text()
    assert done.err.startswith("Self-test")


@pytest.mark.parametrize("extension", ["png", "svg"])
def test_a_map_of_what_is_seen(tested, new, extension: str):
    """--plot: a picture of its kind, the same bytes each time."""
    pytest.importorskip("matplotlib")
    assert tested("new.csv", "--plot", f"one.{extension}")["plot"] == f"one.{extension}"
    tested("new.csv", "--plot", f"two.{extension}")
    picture = Path(f"one.{extension}").read_bytes()
    assert picture == Path(f"two.{extension}").read_bytes()
    assert picture.startswith(b"\x89PNG" if extension == "png" else b"<?xml")


def test_faults_may_be_chosen(tested, new):
    """--faults, repeated or with commas: the same lines as among all, in the order of all."""
    whole, few = tested("new.csv"), tested("new.csv", "--faults", "stuck,spike", "--faults", "swap")
    assert list(dict.fromkeys(one["fault"] for one in few["faults"])) == ["spike", "swap", "stuck"]
    for part in ("faults", "columns"):
        assert few[part] == [one for one in whole[part] if one["fault"] in ("spike", "swap", "stuck")]


def test_rows_are_drawn(tested, new):
    """--rows N takes N of them, others for another --seed."""
    small = tested("new.csv", "--rows", "100")
    assert (small["rows"], small["drawn"]) == (N, 100)
    assert small["faults"][0]["rows"] <= 100
    assert tested("new.csv", "--rows", "100", "--seed", "0")["faults"] == small["faults"]
    other = tested("new.csv", "--rows", "100", "--seed", "1")
    assert other["seed"] == 1
    assert other["faults"] != small["faults"]


def test_a_lower_level_sees_more(tested, new):
    """--threshold and --min-score decide what counts as seen; --score-kind which score."""
    strict, loose = (tested("new.csv", "--threshold", level, "--faults", "shift") for level in ("0.995", "0.8"))
    assert (strict["threshold"], loose["threshold"]) == (0.995, 0.8)
    assert loose["flagged_before"] > strict["flagged_before"]
    assert sight(loose, "shift", 2.0)["share"] > sight(strict, "shift", 2.0)["share"] + 0.1
    raw = tested("new.csv", "--min-score", str(loose["min_score"]), "--faults", "shift")
    assert raw["threshold"] is None
    assert [one["flagged"] for one in raw["faults"]] == [one["flagged"] for one in loose["faults"]]
    kind = tested("new.csv", "--score-kind", "latent", "--faults", "shift")
    assert kind["score_kind"] == "latent"
    assert kind["faults"] != tested("new.csv", "--faults", "shift")["faults"]


# -- rows that are not what they should be --------------------------------------------------------


def test_rows_of_the_fit_are_noticed(tested, new, normal_csv: Path):
    """The table of the fit gives figures that flatter, and the summary reports it; of fresh rows it does not."""
    fresh, known = tested("new.csv"), tested(str(normal_csv))
    assert (fresh["warnings"], fresh["known_rows"]) == ([], 0)
    assert known["known_rows"] > 20
    (warning,) = known["warnings"]
    assert "exactly like one that the bundle remembers of its fit" in warning


def test_rows_of_another_process_are_noticed(tested, new):
    """Far more false alarms than the level promises: the figures name the rest, and the summary reports it."""
    far = new.assign(flow=np.where(np.arange(N) % 2 == 0, 500.0, new["flow"]))
    far.to_csv("far.csv", index=False)
    (warning,) = tested("far.csv")["warnings"]
    assert "these rows are not like those of the fit" in warning


def test_labelled_rows_are_left_out(run, tested, new, quick: Path, normal_table: pd.DataFrame):
    """A bundle that knows a label column takes the rows that it marks for no normal ones."""
    normal_table.assign(fault=0).to_csv("train.csv", index=False)
    assert run("fit", "train.csv", "--label", "fault", "--config", str(quick), "-o", "l.vae", "-q").code == 0
    new.assign(fault=(np.arange(N) < 40).astype(int)).to_csv("marked.csv", index=False)
    summary = tested("marked.csv", "-m", "l.vae", "--faults", "spike")
    assert (summary["rows"], summary["excluded_by_label"], summary["drawn"]) == (N, 40, N - 40)
    new.to_csv("unmarked.csv", index=False)
    assert tested("unmarked.csv", "-m", "l.vae", "--faults", "spike")["excluded_by_label"] == 0


def test_what_a_table_cannot_have_is_listed(run, tested, new, quick: Path, normal_table: pd.DataFrame):
    """One column of numbers: nothing to swap with, no words; each is named with the reason."""
    normal_table[["pressure", "note"] if "note" in normal_table else ["pressure"]].to_csv("one.csv", index=False)
    assert run("fit", "one.csv", "--config", str(quick), "-o", "one.vae", "-q").code == 0
    summary = tested("one.csv", "-m", "one.vae")
    assert {(one["fault"], one["size"]) for one in summary["untested"]} == {
        ("swap", None),
        ("missing", 3.0),
        ("unseen", None),
        ("wrong", None),
    }
    page = run("selftest", "one.csv", "-m", "one.vae").out
    assert "not applicable: swapped columns: it takes two columns of numbers" in page
    assert "not applicable: missing (3 cells): there are fewer than 3 columns" in page


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (lambda rows: rows[:0], [], "too few normal rows, 0; at least 20 are needed"),
        (lambda rows: rows[:19], [], "too few normal rows, 19; at least 20 are needed"),
        (
            lambda rows: rows.assign(flow=1e6),
            [],
            "too few rows that are not flagged as they are, 0; at least 20 are needed",
        ),
        (lambda rows: rows, ["--min-score", "-1"], "too few rows that are not flagged as they are, 0"),
        (lambda rows: rows.drop(columns="flow"), [], "flow"),
        (lambda rows: rows.assign(flow="broken"), [], "column flow"),
    ],
    ids=["empty", "few", "all flagged", "all flagged by score", "column gone", "not a number"],
)
def test_tables_that_will_not_do(run, new, change: Callable, words: list[str], said: str):
    """Exit code 4, what is wrong, what to try, and no file."""
    change(new).to_csv("bad.csv", index=False)
    done = run("selftest", "bad.csv", *words, "-o", "out.csv")
    assert done.code == 4
    assert said in done.err
    assert "hint: " in done.err
    assert not Path("out.csv").exists()


def test_without_matplotlib_there_is_no_map(run, new, monkeypatch: pytest.MonkeyPatch):
    """--plot names what to install before anything is scored."""
    monkeypatch.setattr("vaecli.tables.write.targets.find_spec", lambda name: None)
    done = run("selftest", "new.csv", "--plot", "map.png")
    assert done.code == 7
    assert "pip install" in done.err
    assert not Path("map.png").exists()


def test_it_reads_a_pipe(new):
    """From standard input, the same figures as from the file."""
    words = [sys.executable, "-m", "vaecli", "selftest", "-", "--faults", "spike", "-o", "-", "-q"]
    piped = subprocess.run(words, input=Path("new.csv").read_bytes(), capture_output=True, check=True).stdout
    words[words.index("-")] = "new.csv"
    assert piped == subprocess.run(words, capture_output=True, check=True).stdout
    assert piped.startswith(b"fault,size,column")
