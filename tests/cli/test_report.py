"""`vaecli report` on real tables: what the page shows, that no cut matters, and that no table breaks it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.conftest import QUICK, sensor_table
from vaecli.bundle import load_detector, save_detector

MOST_BYTES = 2_000_000
HEADINGS = (
    "Most unusual rows",
    "Incidents",
    "Responsible columns",
    "Scores against normal rows",
    "Along the table",
    "Map of the rows",
    "Columns, training against this table",
    "How the model learned",
    "Settings",
)


@pytest.fixture
def new(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """500 fresh rows, twelve of them anomalous, as new.csv beside a bundle, in the current directory."""
    table = sensor_table(500, seed=1)
    table.loc[100:111, "pressure"] += 30
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return table


class Reader(HTMLParser):
    """What a browser would see: balanced elements, their attributes and the text."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.headings: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data


def reported(run, *words: str, headings: tuple[str, ...] = HEADINGS) -> Reader:
    """The page about a table, which has to be whole, small and without anything active."""
    done = run("report", *words, "-o", "page.html", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    content = Path("page.html").read_bytes()
    assert len(content) < MOST_BYTES
    page = Reader(content.decode())
    assert not page.tags & {"script", "img", "iframe", "a", "object", "embed", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "xlink:href")}
    flagged = "Incidents" in page.headings  # a section that only flagged rows have
    assert flagged == bool(re.search(r"All incidents|largest of", page.text))
    assert tuple(page.headings) == tuple(name for name in headings if flagged or name != "Incidents")
    assert not re.search(r"\bnan\b|\binf\b|None", page.text.replace("= inf, never seen", ""))
    return page


def test_the_page_answers_first(run, new):
    """Beside the input by default; the headline reports a finding, where to start and which columns."""
    done = run("report", "new.csv", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    scored = run("score", "new.csv", "--json")
    assert (summary["verb"], summary["output"], summary["rows"]) == ("report", "new.report.html", 500)
    assert summary["anomalies"] == json.loads(scored.out)["anomalies"]
    assert summary["warnings"] == json.loads(scored.out)["warnings"]
    content = Path("new.report.html").read_bytes()
    assert summary["size_bytes"] == len(content)
    page = Reader(content.decode())
    assert summary["headline"].startswith("Worth a look: ")
    assert summary["headline"] in page.text
    worst = json.loads(scored.out)["worst"][0]
    assert f"Start with row {worst['row']}: pressure = " in page.text
    assert "have pressure as the first reason" in page.text
    assert "none of 600" in page.text


def test_the_summary_names_the_page(run, new):
    """What was found, how many rows, and the file."""
    lines = run("report", "new.csv").out.splitlines()
    assert lines[0] == "Reported"
    assert [line.split()[0] for line in lines[1:5]] == ["found", "rows", "flagged", "page"]
    assert lines[4].split(maxsplit=1)[1].startswith("new.report.html (")


def test_the_policy_forbids_everything(run, new):
    """Should a browser ever find something to load or to run, it may not."""
    reported(run, "new.csv")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', Path("page.html").read_text())
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_another_threshold_is_another_page(run, new):
    """--threshold, --min-score and --score-kind decide as they do in score."""
    default = reported(run, "new.csv").text
    for words, said in (
        (["--threshold", "0.9"], "more unusual than 90 %"),
        (["--min-score", "3"], "at least 3 nats, as set by --min-score"),
        (["--score-kind", "elbo"], "the elbo score in nats"),
    ):
        text = reported(run, "new.csv", *words).text
        assert said in text
        assert said not in default
    assert "a fitted tail decides" in reported(run, "new.csv", "--threshold", "0.9999").text


def test_a_usual_table_is_reported_as_usual(run, new, normal_csv: Path):
    """The training rows themselves: no more are flagged than by chance."""
    assert re.search(r"As usual: |Nothing stands out: ", reported(run, str(normal_csv)).text)


def test_nothing_flagged_is_good_news(run, new):
    """A table of which no row is flagged has a page that reports so everywhere."""
    text = reported(run, "new.csv", "--min-score", "1e9").text
    assert "Nothing stands out: none of 500 rows is flagged." in text
    assert "No row is flagged, so there is nothing to attribute to columns." in text


def test_a_score_that_all_rows_reach_is_no_answer(run, new):
    """--min-score below all scores flags everything; the page does not call that usual and names anomalous rows."""
    text = reported(run, "new.csv", "--min-score", "-1000").text
    assert re.search(r"Worth a look: row 1\d\d is more anomalous than chance explains\. But 500 of 500 rows are", text)
    assert (
        "where all normal rows would be. --min-score -1000 is too low to separate anomalous rows from normal ones."
        in text
    )


def test_a_table_without_rows_has_a_page(run, new):
    """A header alone."""
    new[:0].to_csv("empty.csv", index=False)
    assert "Nothing to look at: the table has no rows." in reported(run, "empty.csv").text


def test_gaps_infinities_and_news_are_shown(run, new):
    """Empty rows, infinite values and categories never seen have their place."""
    new.loc[100:111, "pressure"] -= 30
    new.loc[:4, ["pressure", "flow", "temperature"]] = np.nan
    new.loc[50, "pressure"] = np.inf
    new.loc[51:60, "mode"] = "turbo"
    new.to_csv("new.csv", index=False)
    text = reported(run, "new.csv").text
    assert "turbo, never seen" in text
    assert "pressure = inf, never seen" in text
    assert "empty 1.0 %, in training 0 %" in text
    assert "never seen 2.0 %" in text
    assert "pressure is missing" in text


def test_one_row_is_enough(run, new):
    """The smallest table has every section."""
    new[100:101].to_csv("one.csv", index=False)
    assert "1 of 1 row is" in reported(run, "one.csv").text


def test_time_comes_from_the_time_column(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The column of --time, also where it is no feature; times that cannot be read, or lie far off, are counted."""
    monkeypatch.chdir(tmp_path)
    table = sensor_table(300, seed=0).assign(at=pd.date_range("2026-01-01", periods=300, freq="h").astype(str))
    vaecli.fit(table, time="at", **QUICK | {"train.max_steps": 20}).save("model.vae")
    headings = tuple("Over time, by at" if name == "Along the table" else name for name in HEADINGS)
    table.loc[:4, "at"] = ["never", "", "2026-13-01", "now", "2200-01-01 00:00:00"]
    table.loc[200:220, "pressure"] += 30
    table.to_csv("new.csv", index=False)
    text = reported(run, "new.csv", headings=headings).text
    assert "4 rows without a readable time are not shown" in text
    assert "a stretch of 3 hours" in text
    assert "Outside, far off, lies 1 row, of which none is flagged: all rows together reach from 2026-01-01 to " in text
    page = Path("page.html").read_text()
    assert "<title>2026-01-09: " in page
    table.drop(columns="at").to_csv("new.csv", index=False)
    reported(run, "new.csv")


def test_a_lone_date_is_the_time(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without --time, the only date among the columns that are modelled."""
    monkeypatch.chdir(tmp_path)
    table = sensor_table(300, seed=0).assign(
        built=pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(300) % 90, "D")
    )
    vaecli.fit(table, **QUICK | {"train.max_steps": 20}).save("model.vae")
    table.to_parquet("new.parquet")
    headings = tuple("Over time, by built" if name == "Along the table" else name for name in HEADINGS)
    assert "a stretch of 1 day" in reported(run, "new.parquet", headings=headings).text


def test_the_training_curve_survives_the_bundle(run, new):
    """The curve of this fit, and none from a bundle that does not hold one, whose categories then have no past."""
    text = reported(run, "new.csv").text
    assert "Whether training went well" in text
    assert re.search(r"nats per row (above|below) independent columns", text)
    assert re.search(r"normal\d+ % → \d+ %", text)
    detector, manifest = load_detector(Path("model.vae"))
    summary = {name: value for name, value in manifest.summary.items() if name != "history"}
    save_detector(Path("model.vae"), replace(detector, marginals=None), manifest.config["fit"], summary)
    text = reported(run, "new.csv").text
    assert "holds no training curve" in text
    assert "this bundle does not know its training shares" in text


def test_wide_tables_and_long_texts_stay_small(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path):
    """Hundreds of columns with long names, cells of a hundred thousand letters: below 2 MB, the rest counted."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 300)), columns=[f"{'sensor ' * 100}{i}" for i in range(300)])
    table["kind"] = rng.choice(["a", "b"], 60)
    table.to_csv("wide.csv", index=False)
    assert run("fit", "wide.csv", "--config", str(quick), "--quiet").code == 0
    table["kind"] = "<" * 100_000
    table.iloc[:30, :20] += 100
    table.to_csv("wide.csv", index=False)
    text = reported(run, "wide.csv").text
    assert "… and 277 columns more" in text
    assert "other columns" in text
    assert "<" * 300 not in text


@pytest.mark.parametrize("word", ["عربي", "日本語", "tab\tand\x07bell", "\u202eturned", "😀", "a&b<c>\"d'"])
def test_any_word_is_shown_as_text(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path, word: str):
    """Headers, categories and cells in any script; what would steer the page is shown as its escape."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({word: rng.normal(size=80), "kind": rng.choice([word, "other"], 80)})
    table.to_parquet("words.parquet")
    assert run("fit", "words.parquet", "--config", str(quick), "--quiet").code == 0
    table.loc[0, word] = 1e6
    table.loc[1, "kind"] = word * 2
    table.to_parquet("words.parquet")
    text = reported(run, "words.parquet").text
    assert not {"\x07", "\u202e", "\t"} & set(text)
    shown = word.replace("\t", "\\t").replace("\x07", "\\x07").replace("\u202e", "\\u202e")
    assert f"{shown} = " in text


def test_one_column_is_enough(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path):
    """A table of a single number."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x": np.random.default_rng(0).normal(size=80)}).to_csv("x.csv", index=False)
    assert run("fit", "x.csv", "--config", str(quick), "--quiet").code == 0
    reported(run, "x.csv")


def test_what_comes_through_a_pipe_goes_out_through_one(run, new):
    """The page on standard output, the summary on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "vaecli", "report", "-"],
        input=Path("new.csv").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert Reader(done.stdout.decode()).headings == list(HEADINGS)
    assert done.stderr.startswith(b"Reported")
