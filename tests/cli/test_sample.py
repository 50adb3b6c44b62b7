"""`vaecli sample` as a user meets it: what is written, what decides it, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MODES = {"eco", "normal", "boost"}


@pytest.fixture
def new(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Forty fresh rows as new.csv and new.parquet beside a bundle, in the current directory."""
    table = fresh_table[:40].assign(note="free text")
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    table.to_parquet(tmp_path / "new.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    return table


def sampled(run, *words: str) -> pd.DataFrame:
    done = run("sample", *words, "-o", "out.parquet", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    return pq.read_table("out.parquet").to_pandas()


def test_a_thousand_rows_in_the_users_columns(run, new):
    """samples.csv with the modelled columns in their order, in their spellings; --json lists what was written."""
    done = run("sample", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert (summary["verb"], summary["output"], summary["rows"]) == ("sample", "samples.csv", 1000)
    assert (summary["seed"], summary["like"], summary["warnings"]) == (0, None, [])
    found = pd.read_csv("samples.csv")
    assert list(found.columns) == summary["columns"] == list(new.columns[:-1])
    assert len(found) == 1000
    assert set(found["pump_on"]) == {"yes", "no"}
    assert set(found["mode"]) == MODES
    assert 0.05 < found["temperature"].isna().mean() < 0.15


def test_the_page_lists_what_was_written(run, new):
    """Rows, columns, the seed and the output; with --like around what."""
    lines = run("sample").out.splitlines()
    assert lines[0] == "Sampled"
    assert [line.split()[0] for line in lines[1:]] == ["rows", "columns", "seed", "output"]
    assert "like     new.csv, 2 rows for each" in run("sample", "--like", "new.csv", "-n", "2").out


def test_rows_and_seed_decide(run, new, monkeypatch: pytest.MonkeyPatch):
    """-n counts, fewer rows are the first of more, the seed gives others; --seed overrides VAECLI_SEED."""
    many, few, other = sampled(run, "-n", "300"), sampled(run, "--rows", "20"), sampled(run, "-n", "300", "--seed", "7")
    pd.testing.assert_frame_equal(few, many[:20])
    assert (many["flow"] != other["flow"]).mean() > 0.95
    monkeypatch.setenv("VAECLI_SEED", "7")
    pd.testing.assert_frame_equal(sampled(run, "-n", "300"), other)
    pd.testing.assert_frame_equal(sampled(run, "-n", "300", "--seed", "0"), many)


def test_rows_around_given_ones_follow_them(run, new):
    """--like: N rows for each row of the file, in its order, near it; one for each by default."""
    found = sampled(run, "--like", "new.csv", "-n", "25")
    assert len(found) == 25 * len(new)
    around = found["pressure"].to_numpy().reshape(len(new), 25).mean(1)
    assert np.corrcoef(around, new["pressure"])[0, 1] > 0.9
    assert len(sampled(run, "--like", "new.parquet")) == len(new)
    pd.testing.assert_frame_equal(sampled(run, "--like", "new.parquet", "-n", "25"), found)


def test_standard_output_is_for_rows(run, new):
    """-o - writes CSV there and the page to standard error; what comes through a pipe goes out through one."""
    assert run("sample", "--like", "new.csv", "-o", "file.csv").code == 0
    command = [sys.executable, "-m", "vaecli", "sample", "--like", "-"]
    done = subprocess.run(command, input=Path("new.csv").read_bytes(), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, Path("file.csv").read_bytes())
    assert done.stderr.startswith(b"Sampled")
    command = [sys.executable, "-m", "vaecli", "sample", "-n", "3", "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 4


def test_given_rows_have_to_be_of_the_table(run, new):
    """A missing column and a broken cell are reported as `score` reports them, and nothing is written."""
    new.drop(columns="flow").to_csv("short.csv", index=False)
    done = run("sample", "--like", "short.csv")
    assert (done.code, "a column is missing: " not in done.out) == (4, True)
    assert "'flow'" in done.err
    new.astype({"flow": object}).assign(flow="broken").to_csv("broken.csv", index=False)
    assert run("sample", "--like", "broken.csv").code == 4
    assert not Path("samples.csv").exists()


def test_names_that_hold_a_line_break_are_quoted(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path):
    """What was drawn from a bundle can be scored by it, whatever its columns are called."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(60, 2)), columns=["new\nline", 'a "b", c']).to_csv("x.csv", index=False)
    assert run("fit", "x.csv", "--config", str(quick), "--quiet").code == 0
    assert run("sample", "-n", "5").code == 0
    assert run("score", "samples.csv").code == 0


def test_an_old_bundle_warns(run, new):
    """A bundle that does not know how often values occurred warns, and gives rows all the same."""
    golden = Path(__file__).parent.parent / "golden/bundle_v2/model.vae"
    done = run("sample", "-m", str(golden), "-n", "10")
    assert done.code == 0
    assert "warning: the bundle is of a vaecli that did not keep how often each value occurred" in done.out
    assert len(pd.read_csv("samples.csv")) == 10


def test_what_comes_out_is_of_the_kind_that_went_in(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path):
    """Floats of 0 and 1, postcodes, codes, narrow types and zones keep their type in Parquet, their spelling in CSV."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "load": rng.normal(size=60),
            "half": pa.array(rng.integers(0, 2, 60).astype(float)),
            "steps": pa.array(rng.integers(0, 9, 60).astype(float)),
            "narrow": pa.array(rng.integers(0, 9, 60), pa.int16()),
            "postcode": pa.array(rng.choice(["01234", "80331", "10115"], 60)),
            "code": pa.array(rng.choice(["10", "20"], 60)).dictionary_encode(),
            "when": pa.array(1000 * rng.integers(10**9, 2 * 10**9, 60), pa.timestamp("ms", tz="+02:00")),
        }
    )
    pq.write_table(table, "x.parquet")
    assert run("fit", "x.parquet", "--config", str(quick), "--quiet").code == 0
    assert run("sample", "-n", "50", "-o", "new.parquet", "--quiet").code == 0
    found = pq.read_table("new.parquet")
    assert found.schema.remove_metadata() == table.schema.remove_metadata()
    assert set(found["postcode"].to_pylist()) == {"01234", "80331", "10115"}
    assert run("sample", "-n", "50", "-o", "new.csv", "--quiet").code == 0
    text = pd.read_csv("new.csv", dtype=str)
    assert set(text["postcode"]) == {"01234", "80331", "10115"}
    assert text["when"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+02:00").all()
    assert run("score", "new.csv", "--quiet").code == run("score", "new.parquet", "--quiet").code == 0
