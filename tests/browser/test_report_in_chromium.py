"""A report in a real browser: it opens without errors and requests, fits, and nothing in it runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import vaecli
from tests.browser import hostile
from tests.cli.test_report_pictures import strokes
from tests.conftest import QUICK

pytestmark = pytest.mark.browser

HEADINGS = [
    "Most unusual rows",
    "Incidents",
    "Responsible columns",
    "Scores against normal rows",
    "Over time, by when",
    "Map of the rows",
    "Columns, training against this table",
    "How the model learned",
    "Settings",
]


@dataclass(frozen=True)
class Reported:
    """A hostile table, reported."""

    page: Path
    text: str


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The page about a hostile table, whose file has a hostile name."""
    folder = tmp_path_factory.mktemp("hostile")
    normal = hostile.hostile_table(300, 0, odd=False)
    vaecli.fit(normal, time="when", **QUICK).save(folder / "model.vae")
    table = folder / "<img src=x onerror=alert(1)>.parquet"
    hostile.hostile_table(200, 1, odd=True).to_parquet(table)
    words = ["report", str(table), "-m", str(folder / "model.vae"), "-o", str(folder / "page.html"), "--quiet"]
    subprocess.run([sys.executable, "-m", "vaecli", *words], check=True)
    return Reported(folder / "page.html", (folder / "page.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_without_errors_requests_and_overflow(browser, hostile_report: Reported, width: int, dark: bool):
    """Nothing is asked for but the file itself, the console is silent, and the page is no wider than the window."""
    asked, errors = browser.open(hostile_report.page, width, dark=dark)
    assert [url for url in asked if not url.startswith("data:")] == [hostile_report.page.as_uri()]
    assert errors == []
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_nothing_in_the_table_runs(browser, hostile_report: Reported):
    """No element comes of a header, a cell, a category or a file name: each is there as text."""
    browser.open(hostile_report.page, 1280)
    assert browser.ask("window.ran") is None
    assert browser.ask("document.scripts.length") == 0
    for tag in ("img", "iframe", "a", "object", "form"):
        assert browser.ask(f"document.getElementsByTagName('{tag}').length") == 0, tag
    handlers = (
        "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name))).length"
    )
    assert browser.ask(handlers) == 0
    text = browser.ask("document.body.textContent")
    for told in (hostile.SCRIPT, hostile.IMAGE, hostile.LINK, hostile.ARABIC, hostile.CATEGORIES[0][:20]):
        assert told in text
    assert hostile.NEVER_SEEN[:60] in text
    assert "<img src=x onerror=alert(1)>.parquet" in text
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert "\x1b" not in text


def test_every_part_is_there(browser, hostile_report: Reported):
    """A headline that answers, a heading for every section, and charts with descriptions."""
    browser.open(hostile_report.page, 1280)
    assert browser.ask("document.querySelector('h1').textContent").startswith("Worth a look: ")
    assert browser.ask("[...document.querySelectorAll('h2')].map(e => e.textContent)") == HEADINGS
    charts = browser.ask("[...document.querySelectorAll('svg[role=img]')].map(e => e.getAttribute('aria-label'))")
    assert len(charts) >= 8
    assert all(charts)
    sizes = browser.ask(
        "[...document.querySelectorAll('svg[role=img]')]"
        ".map(e => e.getBoundingClientRect()).map(r => r.width * r.height)"
    )
    assert min(sizes) > 5_000


@pytest.fixture(scope="module")
def pictures_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about a table of pictures of 4 × 4 pixels."""
    folder = tmp_path_factory.mktemp("pictures")
    vaecli.fit(strokes(300, 0), same_unit="all", **QUICK).save(folder / "model.vae")
    strokes(60, 1).assign(p12=8).to_csv(folder / "new.csv", index=False)
    words = ["report", "new.csv", "-m", "model.vae", "--image-shape", "4x4", "-o", "page.html", "--quiet"]
    subprocess.run([sys.executable, "-m", "vaecli", *words], check=True, cwd=folder)
    return folder / "page.html"


@pytest.mark.parametrize("width", [1280, 400])
def test_pictures_are_drawn_without_a_request(browser, pictures_report: Path, width: int):
    """Each is inside the page, loaded, sharp, as large as is meant, described in words, and within the window."""
    asked, errors = browser.open(pictures_report, width)
    assert [url for url in asked if not url.startswith("data:")] == [pictures_report.as_uri()]
    assert errors == []
    assert browser.ask("document.documentElement.scrollWidth") <= width
    images = browser.ask(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.alt !== '', i.width, i.height,"
        " i.getBoundingClientRect().right <= innerWidth, getComputedStyle(i).imageRendering])"
    )
    side = 72 if width == 1280 else 54
    assert len(images) >= 3 * 20
    assert {tuple(image) for image in images} == {(True, 4, 4, True, side, side, True, "pixelated")}


@pytest.mark.parametrize("width", [1280, 400])
def test_no_letters_lie_over_others(browser, hostile_report: Reported, width: int):
    """The texts beside and below a plot do not overlap, and none leaves the window."""
    browser.open(hostile_report.page, width)
    boxes = browser.ask(
        "[...document.querySelectorAll('.plot')].map(p => [...p.querySelectorAll('.beside span, .below span, .unit')]"
        ".map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => [r.left, r.top, r.right, r.bottom]))"
    )
    for plot in boxes:
        for i, (left, top, right, bottom) in enumerate(plot):
            assert left >= 0
            assert right <= width
            for other_left, other_top, other_right, other_bottom in plot[:i]:
                apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
                assert apart, (plot[i], plot[:i])
