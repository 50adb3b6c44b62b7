"""`--plot` of score, explain and encode: pictures of the kind their names have, whole, and the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import loaded_by
from vaecli.aggregates import row_sample
from vaecli.latent.encoding import exemplar_coordinates
from vaecli.latent.knn_map import KnnMap
from vaecli.model import tiles
from vaecli.tables.read import delimited

VERBS = {
    "score": ["score", "new.csv", "-o", "out.csv"],
    "explain": ["explain", "new.csv", "-o", "out.csv"],
    "encode": ["encode", "new.csv", "-o", "out.csv", "--dims", "2"],
}


@pytest.fixture
def new(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Fresh rows, some of them absurd, beside a bundle in the current directory."""
    table = fresh_table.copy()
    table.loc[::25, "pressure"] = 400.0
    table["site"] = [f"$x_{i % 11}" for i in range(len(table))]
    table["note"] = "same"
    table.loc[:100, "note"] = None
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return table


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("name", "starts"), [("p.png", b"\x89PNG"), ("p.SVG", b"<?xml")])
def test_a_picture_is_the_same_however_rows_are_cut(
    run, new, verb: str, name: str, starts: bytes, monkeypatch: pytest.MonkeyPatch
):
    """One kind of bytes for any number of workers and batch rows; --json names the file, and so does the page."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(delimited, "SMALLEST_BLOCK_BYTES", 4_000)
    monkeypatch.setattr(tiles, "TILE_ROWS", 128)
    monkeypatch.setattr(row_sample, "MOST_POINTS", 150)
    told = run(*VERBS[verb], "--plot", name, "--json", "--workers", "1", "--batch-rows", "16384")
    assert (told.code, json.loads(told.out)["plot"]) == (0, name)
    picture = Path(name).read_bytes()
    assert picture.startswith(starts)
    shown = run(*VERBS[verb], "--plot", name, "--workers", "4", "--batch-rows", "33")
    assert ["picture", name] in [line.split() for line in shown.out.splitlines()]
    assert Path(name).read_bytes() == picture


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_does_not_change_for_being_drawn(run, new, verb: str):
    """The output with a picture is that without."""
    pytest.importorskip("matplotlib")
    run(*VERBS[verb], "--quiet")
    before = Path("out.csv").read_bytes()
    run(*VERBS[verb], "--quiet", "--plot", "p.png")
    assert Path("out.csv").read_bytes() == before


def test_color_distinguishes_rows(run, new):
    """By a scale for numbers and by colours for words, few, many or missing: each another picture, also than none."""
    pytest.importorskip("matplotlib")
    pictures = set()
    for words in ([], *(["--color", column] for column in ("pressure", "mode", "site", "note"))):
        done = run(*VERBS["encode"], "--plot", "p.svg", *words, "--quiet")
        assert (done.code, done.err) == (0, "")
        pictures.add(Path("p.svg").read_bytes())
    assert len(pictures) == 5


@pytest.mark.parametrize("verb", VERBS)
def test_a_table_without_rows_has_a_picture(run, new, verb: str):
    """An empty table, where nothing is flagged either, is drawn as such."""
    pytest.importorskip("matplotlib")
    new[:0].to_csv("new.csv", index=False)
    done = run(*VERBS[verb], "--plot", "p.png", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("verb", VERBS)
def test_without_matplotlib_there_is_no_picture(run, new, verb: str, monkeypatch: pytest.MonkeyPatch):
    """--plot ends with code 7 and names what to install, before a row is computed."""
    monkeypatch.setattr("vaecli.tables.write.targets.find_spec", lambda _name: None)
    done = run(*VERBS[verb], "--plot", "p.png")
    assert done.code == 7
    assert "error: --plot needs matplotlib" in done.err
    assert "hint: pip install matplotlib" in done.err
    assert not Path("out.csv").exists()


def test_without_umap_there_is_no_umap_map(run, new, monkeypatch: pytest.MonkeyPatch):
    """--map umap without umap-learn ends with code 7 and names what to install; --map pca needs nothing."""
    monkeypatch.setattr("vaecli.latent.umap_map.find_spec", lambda _name: None)
    done = run(*VERBS["encode"], "--map", "umap")
    assert done.code == 7
    assert "error: --map umap needs umap-learn" in done.err
    assert "hint: pip install umap-learn" in done.err
    assert not Path("out.csv").exists()
    assert run(*VERBS["encode"], "--map", "pca", "--quiet").code == 0


def test_rows_lie_among_exemplars_however_they_are_cut(run, new, monkeypatch: pytest.MonkeyPatch):
    """On a map of exemplars the bytes do not depend on workers and batches, nor a place on the rows beside it."""

    def laid_out(codes, dims):
        return KnnMap.of(codes, exemplar_coordinates(codes, dims))

    monkeypatch.setattr("vaecli.workflows.encode.require_umap", lambda: None)
    monkeypatch.setattr("vaecli.workflows.encode.umap_of", laid_out)
    monkeypatch.setattr(delimited, "SMALLEST_BLOCK_BYTES", 4_000)
    monkeypatch.setattr(tiles, "TILE_ROWS", 128)
    found = set()
    for workers, batch_rows in (("1", "16384"), ("4", "33")):
        running = ["--workers", workers, "--batch-rows", batch_rows, "--quiet"]
        assert run(*VERBS["encode"], "--map", "umap", *running).code == 0
        found.add(Path("out.csv").read_bytes())
    assert len(found) == 1
    whole = pd.read_csv("out.csv")[["map1", "map2"]]
    new[100:150].to_csv("new.csv", index=False)
    run(*VERBS["encode"], "--map", "umap", "--quiet")
    np.testing.assert_allclose(pd.read_csv("out.csv")[["map1", "map2"]], whole[100:150], atol=1e-4)


@pytest.mark.slow
def test_a_umap_map_is_written(new):
    """Through the command line with umap-learn itself, the same bytes by two processes."""
    pytest.importorskip("umap", reason="the extra vaecli[umap] is not installed")
    found = set()
    for _ in range(2):
        command = [sys.executable, "-m", "vaecli", *VERBS["encode"], "--map", "umap", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found.add(Path("out.csv").read_bytes())
    assert len(found) == 1
    assert list(pd.read_csv("out.csv").columns) == ["row", "map1", "map2"]


def test_pictures_load_no_more_than_matplotlib(new):
    """Without --plot no verb loads even that; a map of principal axes needs no umap-learn."""
    pytest.importorskip("matplotlib")
    commands = [[*words, "--quiet", *picture] for picture in ([], ["--plot", "p.png"]) for words in VERBS.values()]
    large = {"torch", "sklearn", "scipy", "pandas", "umap", "numba", "matplotlib"}
    loaded = [found & large for found in loaded_by(*commands)]
    assert loaded == [set()] * len(VERBS) + [{"matplotlib"}] * len(VERBS)
