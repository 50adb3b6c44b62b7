"""`report --image-shape` as a user meets it: what is drawn, beside what, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.cli.test_report import HEADINGS, MOST_BYTES, Reader
from tests.cli.test_sample_pictures import QUICK
from tests.plots.test_pixel_grid import decoded
from vaecli.plots.pixel_grid import Pixels, greys, png
from vaecli.tasks import report_images

SHAPE = (4, 4)
WITH_PICTURES = (*HEADINGS[:2], "Pictures", *HEADINGS[2:])


def strokes(n_rows: int, seed: int) -> pd.DataFrame:
    """Pictures of 4 × 4 pixels from 0 to 8: one upright stroke of one grey, and a left margin that is always blank."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2, (n_rows, 4, 4))
    drawn[np.arange(n_rows), :, rng.integers(1, 4, n_rows)] += rng.integers(3, 8, n_rows)[:, None]
    drawn[:, :, 0] = 0
    return pd.DataFrame(drawn.reshape(n_rows, 16), columns=[f"p{i}{j}" for i in range(4) for j in range(4)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of such pictures."""
    path = tmp_path_factory.mktemp("pictures") / "model.vae"
    vaecli.fit(strokes(300, 0), same_unit="all", **QUICK).save(path)
    return path


@pytest.fixture
def new(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Sixty fresh pictures as new.csv beside that bundle, in the current directory; rows 8 and 31 have a bar across."""
    table = strokes(60, 1)
    table.loc[[7, 30], ["p11", "p12", "p13"]] = 8
    (tmp_path / "model.vae").write_bytes(made.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return table


@dataclass(frozen=True)
class Drawn:
    """One row of the section."""

    row: int
    score: str
    found: np.ndarray
    redrawn: np.ndarray
    attribute: np.ndarray


def section(page: str) -> str:
    """The part of a page between the heading of its pictures and the next."""
    return page[page.index("<h2>Pictures</h2>") : page.index("<h2>Responsible columns</h2>")]


def walls(run, *words: str) -> list[list[Drawn]]:
    """The groups of pictures on the page about a table."""
    done = run("report", *words, "--image-shape", "4x4", "-o", "page.html", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    page = Path("page.html").read_text()
    flagged = "No row is flagged." not in page and "The table has no rows" not in page
    assert tuple(Reader(page).headings) == tuple(name for name in WITH_PICTURES if flagged or name != "Incidents")
    found = []
    for wall in section(page).split('class="wall"')[1:]:
        figures = re.findall(r"<figure>(.*?)<figcaption><b>row ([\d,]+)</b> score (\S+)</figcaption>", wall)
        found.append([Drawn(int(row.replace(",", "")), score, *parts(images)) for images, row, score in figures])
        assert len(found[-1]) == wall.count("<figure>")
    return found


def parts(images: str) -> list[np.ndarray]:
    """The greys of the pictures of one row."""
    told = re.findall(r'<img src="data:image/png;base64,([A-Za-z0-9+/=]+)" alt="Row \d+: [\w ]+">', images)
    assert len(told) == images.count("<img") == 3
    return [decoded(base64.b64decode(one)) for one in told]


def test_a_row_stands_beside_what_the_model_makes_of_it(run, new):
    """The row's pixels with its margin, its reconstruction, and the attributions: the darkest is the first reason.

    The most anomalous rows come first, then some that are not flagged, which have hardly any attribution.
    """
    odd, normal = walls(run, "new.csv")
    explained = json.loads(run("explain", "new.csv", "--json").out)["shown"]
    assert run("reconstruct", "new.csv", "-o", "redrawn.csv", "--quiet").code == 0
    redrawn = pd.read_csv("redrawn.csv")
    assert {one.row for one in odd[:2]} == {8, 31}
    assert [one.row for one in odd] == [one["row"] for one in explained]
    assert len(normal) == report_images.MOST_NORMAL
    assert not {one.row for one in odd} & {one.row for one in normal}
    for one in (*odd, *normal):
        mine = new.iloc[one.row - 1].to_numpy(float).reshape(SHAPE)
        np.testing.assert_array_equal(one.found, greys(mine, 0, 8))
        theirs = redrawn.assign(**{f"p{i}0": 0 for i in range(4)})[list(new)].iloc[one.row - 1].to_numpy(float)
        assert np.abs(one.redrawn.astype(int) - greys(theirs.reshape(SHAPE), 0, 8)).max() <= 1
        assert (one.attribute[:, 0] == 255).all()
    for one, told in zip(odd, explained, strict=True):
        assert f"{told['score']:.4g}" == one.score
        first = told["reasons"][0]["column"]
        assert one.attribute[int(first[1]), int(first[2])] == one.attribute.min()
    assert max(one.attribute.min() for one in odd[:2]) < 60
    assert np.mean([one.attribute.mean() for one in normal]) > np.mean([one.attribute.mean() for one in odd])


def test_no_picture_unless_it_is_asked_for(run, new):
    """Without the option the page has neither the section nor an image; with it the summaries report it."""
    assert run("report", "new.csv", "-o", "page.html", "--quiet").code == 0
    page = Reader(Path("page.html").read_text())
    assert tuple(page.headings) == HEADINGS
    assert "img" not in page.tags
    assert json.loads(run("report", "new.csv", "--json").out)["image_shape"] is None
    assert json.loads(run("report", "new.csv", "--image-shape", "4X4", "--json").out)["image_shape"] == [4, 4]
    assert "pictures  each row 4 × 4 pixels" in run("report", "new.csv", "--image-shape", "4x4").out


def test_workers_and_batches_change_no_byte(run, new):
    """The same pictures for 1, 2 and 4 workers, and however many rows they hold at a time."""
    found = set()
    for workers, batch_rows in ((1, 16_384), (2, 17), (4, 5)):
        walls(run, "new.csv", "--workers", str(workers), "--batch-rows", str(batch_rows))
        found.add(Path("page.html").read_bytes())
    assert len(found) == 1


def test_tables_without_anomalous_rows_or_rows_have_a_page(run, new):
    """Nothing flagged: the rows that are not. All flagged: the forty most anomalous only. No rows: no picture."""
    [normal] = walls(run, "new.csv", "--min-score", "1e9")
    assert len(normal) == report_images.MOST_NORMAL
    assert "No row is flagged." in section(Path("page.html").read_text())
    [odd] = walls(run, "new.csv", "--min-score=-1e9")
    assert len(odd) == report_images.MOST_ODD
    new[:0].to_csv("none.csv", index=False)
    assert walls(run, "none.csv") == []


def test_gaps_are_reported(run, new):
    """An empty pixel and an infinite one have a grey of their own, which the page explains where there is one."""
    walls(run, "new.csv")
    assert "an empty cell" not in Path("page.html").read_text()
    new = new.astype(object)
    new.loc[7, "p11"], new.loc[30, "p12"] = "", "inf"
    new.to_csv("new.csv", index=False)
    odd = {one.row: one for one in walls(run, "new.csv")[0]}
    assert (odd[8].found[1, 1], odd[31].found[1, 2]) == (160, 160)
    assert "Even grey: an empty cell, or a value that is not a number." in Path("page.html").read_text()
    assert "4 pixels that never varied" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image-shape", "4x5"], "--image-shape 4x5 means 20 columns; the bundle has 16 that are numbers (4 of them"),
        (["--image-shape", "16"], "--image-shape '16' is not a height and a width in pixels, such as 8x8"),
        (["--image-shape", "0x16"], "--image-shape '0x16' is not a height and a width"),
    ],
    ids=str,
)
def test_mistakes_are_reported_in_two_lines(run, new, words: list[str], said: str):
    """An error and a hint, exit code 2, and no file."""
    before = {path.name for path in Path().iterdir()}
    done = run("report", "new.csv", *words)
    assert (done.code, done.err.count("\n")) == (2, 2)
    assert said in done.err.splitlines()[0]
    assert {path.name for path in Path().iterdir()} == before


def test_columns_that_are_no_pixels_are_named(run, new, bundle: Path):
    """A bundle with words among its features has no pictures, and the message names them."""
    done = run("report", "new.csv", "-m", str(bundle), "--image-shape", "1x5")
    assert done.code == 2
    assert "columns that are no pixels:" in done.err
    assert "'mode' is categorical" in done.err


def test_large_pictures_are_refused(run, new, monkeypatch: pytest.MonkeyPatch):
    """A picture that a page has no room for is an error that names the largest size."""
    monkeypatch.setattr(report_images, "MOST_PIXELS", 15)
    done = run("report", "new.csv", "--image-shape", "4x4")
    assert done.code == 2
    assert "means 16 pixels; a page shows pictures of at most 15" in done.err


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (28, 28), (64, 64), (100, 40), (256, 256), (65_536, 1), (1, 65_536)])
def test_a_page_stays_small(shape: tuple[int, int]):
    """Pictures of nothing but noise, as many as a page shows of them, take half of its two megabytes."""
    n_pixels = shape[0] * shape[1]
    none = np.zeros(n_pixels)
    frame = report_images.ImageLayout(Pixels(("pixel",) * n_pixels, none.astype(np.int64), none, 0.0, 1.0), shape)
    noise = png(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert 1 <= frame.n_odd <= report_images.MOST_ODD
    assert 0 <= frame.n_normal <= report_images.MOST_NORMAL
    assert 3 * (frame.n_odd + frame.n_normal) * len(base64.b64encode(noise)) < MOST_BYTES / 2
