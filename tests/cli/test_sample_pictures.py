"""`sample --image-shape` and `fit --same-unit` as a user meets them: what is drawn, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.plots.test_pixel_grid import decoded
from vaecli.data.number_features import Numbers
from vaecli.plots.pixel_grid import grid

QUICK = {
    "train.max_steps": 60,
    "heteroscedastic.n_hidden": 8,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_hidden": 8,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 30,
}


def crosses(n_rows: int, seed: int) -> pd.DataFrame:
    """Pictures of 2 × 3 pixels: two that move together, one nearly always blank, one 0 or 1, two that never vary."""
    rng = np.random.default_rng(seed)
    ink = rng.integers(1, 8, n_rows)
    pixels = {
        "p00": ink,
        "p01": np.full(n_rows, 3),
        "p02": 8 - ink + rng.integers(0, 2, n_rows),
        "p10": np.where(np.arange(n_rows) % 50 == 0, 2, 0),
        "p11": rng.integers(0, 2, n_rows),
        "p12": np.zeros(n_rows, np.int64),
    }
    return pd.DataFrame(pixels)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of such pictures."""
    path = tmp_path_factory.mktemp("pictures") / "model.vae"
    vaecli.fit(crosses(400, 0), same_unit="all", **QUICK).save(path)
    return path


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with that bundle and a table of five pictures."""
    (tmp_path / "model.vae").write_bytes(made.read_bytes())
    crosses(5, 1).to_csv(tmp_path / "five.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_picture_shows_the_rows_of_the_table(run, here: Path):
    """The grid is that of the rows which the same seed writes as CSV; pixels that never varied are in their place."""
    assert run("sample", "-n", "12", "--seed", "3", "-o", "rows.csv").code == 0
    rows = pd.read_csv("rows.csv").assign(p01=3, p12=0)[list(crosses(1, 0))]
    done = run("sample", "-n", "12", "--seed", "3", "--image-shape", "2x3", "-o", "rows.png", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert (summary["rows"], summary["image_shape"], summary["columns"]) == (12, [2, 3], list(rows.columns))
    expected = grid(rows.to_numpy(float), (2, 3), 0, 8)
    np.testing.assert_array_equal(decoded(Path("rows.png").read_bytes()), expected)


def test_a_hundred_pictures_by_default(run, here: Path):
    """samples.png shows 100 rows; the same seed gives the same bytes, and an earlier picture is replaced."""
    Path("samples.png").write_bytes(b"an earlier one")
    done = run("sample", "--image-shape", "2x3")
    assert done.code == 0
    assert "rows     100 in" in done.out
    assert "picture  each row 2 × 3 pixels" in done.out
    first = Path("samples.png").read_bytes()
    assert run("sample", "--image-shape", "2X3", "--quiet").out == ""
    assert Path("samples.png").read_bytes() == first
    run("sample", "--image-shape", "2x3", "--seed", "1")
    assert Path("samples.png").read_bytes() != first


def test_pictures_around_given_ones(run, here: Path):
    """--like draws around each row of a table, in its order, as the table of the same command holds them."""
    assert run("sample", "--like", "five.csv", "-n", "2", "-o", "rows.csv").code == 0
    assert run("sample", "--like", "five.csv", "-n", "2", "--image-shape", "2x3", "-o", "rows.png").code == 0
    rows = pd.read_csv("rows.csv").assign(p01=3, p12=0)[list(crosses(1, 0))]
    assert len(rows) == 10
    np.testing.assert_array_equal(decoded(Path("rows.png").read_bytes()), grid(rows.to_numpy(float), (2, 3), 0, 8))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image-shape", "3x3"], "--image-shape 3x3 means 9 columns; the bundle has 6 that are numbers (2 of them"),
        (["--image-shape", "6"], "--image-shape '6' is not a height and a width in pixels, such as 8x8"),
        (["--image-shape", "0x6"], "--image-shape '0x6' is not a height and a width"),
        (["--image-shape", "2x3x1"], "--image-shape '2x3x1' is not a height and a width"),
        (["--image-shape", "2x3", "-o", "rows.csv"], "rows.csv: pictures are written as PNG"),
        (["--image-shape", "2x3", "-o", "-"], "-: pictures are written as PNG"),
        (["--image-shape", "2x3", "-n", "10001"], "a picture shows at most 10,000 rows"),
        (["--image-shape", "2x3", "--like", "five.csv", "-n", "2001"], "a picture shows at most 10,000 rows"),
        (["--image-shape", "2x3", "-o", "none/rows.png"], "no such directory"),
        (["-o", "rows.png"], "rows.png: a table is not a picture"),
    ],
    ids=str,
)
def test_mistakes_are_reported_in_two_lines(run, here: Path, words: list[str], said: str):
    """An error and a hint, exit code 2, and no file."""
    before = {path.name for path in Path().iterdir()}
    done = run("sample", *words)
    assert (done.code, done.err.count("\n")) == (2, 2)
    assert said in done.err.splitlines()[0]
    assert {path.name for path in Path().iterdir()} == before


def test_a_picture_never_replaces_the_bundle(run, here: Path):
    """Whatever the bundle is called."""
    Path("model.vae").rename("model.png")
    before = Path("model.png").read_bytes()
    done = run("sample", "-m", "model.png", "--image-shape", "4x4", "-o", "model.png")
    assert done.code == 2
    assert "the bundle" in done.err
    assert Path("model.png").read_bytes() == before


def test_no_rows_are_no_picture(run, here: Path):
    """A table without rows gives nothing to draw around: exit code 4, and no file."""
    crosses(5, 1)[:0].to_csv("none.csv", index=False)
    done = run("sample", "--like", "none.csv", "--image-shape", "2x3")
    assert (done.code, done.err.splitlines()[0]) == (4, "error: none.csv: there are no rows")
    assert not Path("samples.png").exists()


def test_columns_that_are_no_pixels_are_named(run, bundle: Path):
    """A bundle with words among its features draws no picture, and the message names them."""
    done = run("sample", "-m", str(bundle), "--image-shape", "1x5", "-o", "rows.png")
    assert done.code == 2
    assert "columns that are no pixels:" in done.err
    assert "'mode' is categorical" in done.err
    assert "'pump_on' is boolean" in done.err


def test_pictures_load_nothing_that_only_fitting_needs(here: Path):
    """A picture is drawn without torch, scikit-learn, SciPy, pandas and matplotlib."""
    probe = (
        "import sys\nfrom vaecli.cli.app import main\n"
        "try:\n    main(['sample', '--image-shape', '2x3', '--quiet'])\n"
        "except SystemExit as left:\n    assert not left.code\n"
        "loaded = {name.partition('.')[0] for name, module in sys.modules.items() if module is not None}\n"
        "print(*loaded & {'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib'})\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_one_unit_from_the_command_line_is_that_of_python(run, here: Path, quick: Path):
    """--same-unit: all or names, one scale for them, kept in the bundle; a name that the table lacks is an error."""
    crosses(400, 0).to_csv("normal.csv", index=False)
    assert run("fit", "normal.csv", "--same-unit", "all", "--config", str(quick), "-o", "all.vae").code == 0
    assert run("fit", "normal.csv", "--same-unit", "p00,p02,p10", "--config", str(quick), "-o", "three.vae").code == 0
    scales = [vaecli.load(name).detector.preprocessor.encoder(Numbers).scale for name in ("all.vae", "three.vae")]
    assert [set(np.round(scale, 9)) for scale in scales] == [{round(float(scale[0]), 9)} for scale in scales]
    assert [scale.size for scale in scales] == [4, 3]  # p11, of zeros and ones, is a number only if named
    assert vaecli.load("three.vae").settings["columns"]["same_unit"] == ["p00", "p02", "p10"]
    done = run("fit", "normal.csv", "--same-unit", "p99")
    assert (done.code, "--same-unit 'p99'" in done.err) == (2, True)


def test_a_rare_grey_does_not_rule_the_score():
    """A dot in a pixel that is nearly always blank is anomalous by itself, but in one unit it is a small difference."""
    table, row = crosses(400, 0), crosses(40, 2)
    dotted = row.assign(p10=2)
    blank = row.assign(p10=0)
    rises = []
    for told in ({}, {"same_unit": "all"}):
        model = vaecli.fit(table, **QUICK, **told)
        scores = [model.score(one)["anomaly_score"].to_numpy() for one in (dotted, blank)]
        rises.append(np.median(scores[0] - scores[1]))
    assert rises[1] < 0.6 * rises[0]
