"""`vaecli encode` on real tables: coordinates, maps, what is kept, and that no cut shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def new(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Fresh rows as new.csv and new.parquet beside a bundle, in the current directory."""
    table = fresh_table.assign(note=[f'"{i}", quoted' for i in range(len(fresh_table))])
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    table.to_parquet(tmp_path / "new.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    return table


def encoded(run, *words: str) -> pd.DataFrame:
    done = run("encode", *words, "-o", "codes.parquet", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    return pq.read_table("codes.parquet").to_pandas()


def test_every_row_has_its_coordinates(run, new):
    """A row number from 1 and z1 … zk, float64, in a file beside the input; --json lists what was written."""
    done = run("encode", "new.csv", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert (summary["verb"], summary["output"], summary["rows"]) == ("encode", "new.encoded.csv", 500)
    assert (summary["columns"], summary["n_latent"]) == (["z1", "z2", "z3"], 3)
    found = pd.read_csv("new.encoded.csv")
    assert list(found.columns) == ["row", "z1", "z2", "z3"]
    assert list(found["row"]) == list(range(1, 501))
    assert np.isfinite(found.to_numpy()).all()


def test_the_page_lists_what_was_written(run, new):
    """Rows, columns and the output."""
    lines = run("encode", "new.parquet").out.splitlines()
    assert lines[0] == "Encoded"
    assert [line.split()[0] for line in lines[1:]] == ["rows", "columns", "output"]
    assert lines[2].split(maxsplit=1)[1] == "z1, z2, z3"
    assert lines[3].split() == ["output", "new.encoded.parquet"]


def test_spreads_follow_the_coordinates(run, new):
    """--spreads adds a positive standard deviation to each, and changes no coordinate."""
    plain, found = encoded(run, "new.csv"), encoded(run, "new.csv", "--spreads")
    assert list(found.columns[4:]) == ["z1_spread", "z2_spread", "z3_spread"]
    pd.testing.assert_frame_equal(found[plain.columns], plain)
    assert (found.iloc[:, 4:] > 0).all(axis=None)


def test_dims_makes_a_map(run, new):
    """--dims N: map1 … mapN instead, the same numbers for every N; the load of the machine is what they show."""
    two, one = encoded(run, "new.csv", "--dims", "2", "--spreads"), encoded(run, "new.csv", "--dims", "1")
    assert list(two.columns) == ["row", "map1", "map2", "map1_spread", "map2_spread"]
    np.testing.assert_allclose(two["map1"], one["map1"], atol=1e-9)
    explained = max(abs(np.corrcoef(two[name], new["pressure"])[0, 1]) for name in ("map1", "map2"))
    assert explained > 0.7


def test_a_row_has_its_place_whatever_stands_beside_it(run, new):
    """Axes come from the bundle: a row of a table of fifty lies where it lay in the whole table."""
    whole = encoded(run, "new.csv", "--dims", "2")
    new[100:150].to_csv("few.csv", index=False)
    few = encoded(run, "few.csv", "--dims", "2")
    np.testing.assert_allclose(few[["map1", "map2"]], whole[["map1", "map2"]][100:150], atol=1e-4)


def test_keep_appends_coordinates_to_the_rows(run, new):
    """--keep: each line of the input byte for byte, a comma, the coordinates; a typed table keeps its types."""
    assert run("encode", "new.csv", "--keep").code == 0
    before, after = (Path(name).read_text().splitlines() for name in ("new.csv", "new.encoded.csv"))
    assert all(there.startswith(f"{here},") for here, there in zip(before, after, strict=True))
    kept = encoded(run, "new.parquet", "--keep")
    assert list(kept.columns) == [*new.columns, "z1", "z2", "z3"]
    pd.testing.assert_frame_equal(kept[list(new.columns)], pd.read_parquet("new.parquet"))
    np.testing.assert_allclose(kept["z1"], pd.read_csv("new.encoded.csv")["z1"], rtol=1e-12)


def test_prefix_makes_room_for_taken_names(run, new):
    """A table that has a column z1 is refused with --keep, unless a prefix makes the names different."""
    new.assign(z1=1).to_csv("taken.csv", index=False)
    done = run("encode", "taken.csv", "--keep")
    assert done.code == 2
    assert "already has a column 'z1'" in done.err
    assert "--prefix" in done.err
    assert not Path("taken.encoded.csv").exists()
    assert list(encoded(run, "taken.csv", "--keep", "--prefix", "vae_").columns[-3:]) == ["vae_z1", "vae_z2", "vae_z3"]


def test_what_comes_through_a_pipe_goes_out_through_one(run, new):
    """From standard input to standard output as CSV, the summary on standard error; the same rows as from the file."""
    assert run("encode", "new.csv", "-o", "file.csv").code == 0
    done = subprocess.run(
        [sys.executable, "-m", "vaecli", "encode", "-"],
        input=Path("new.csv").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == Path("file.csv").read_bytes()
    assert done.stderr.startswith(b"Encoded")


def test_workers_may_come_from_the_environment(run, new, monkeypatch: pytest.MonkeyPatch):
    """VAECLI_WORKERS is read; a threshold for scores in the environment is no matter of a code."""
    monkeypatch.setenv("VAECLI_THRESHOLD", "nonsense")
    assert run("encode", "new.csv").code == 0
    monkeypatch.setenv("VAECLI_WORKERS", "0")
    assert "VAECLI_WORKERS" in run("encode", "new.csv").err


def test_a_table_without_rows_has_no_codes(run, new):
    """A header alone gives a header alone."""
    new[:0].to_csv("empty.csv", index=False)
    assert run("encode", "empty.csv").code == 0
    assert pd.read_csv("empty.encoded.csv").shape == (0, 4)
