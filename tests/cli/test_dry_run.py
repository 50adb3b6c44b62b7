"""--dry-run: what a run would do, and nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.messages import contents
from tests.published import assert_published


@pytest.fixture
def place(bundle: Path, fresh_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: fresh.csv, bad.csv without a column, and model.vae."""
    monkeypatch.chdir(tmp_path)
    fresh_table.to_csv("fresh.csv", index=False)
    fresh_table.drop(columns="flow").to_csv("bad.csv", index=False)
    fresh_table.assign(p_value=1).to_csv("taken.csv", index=False)
    Path("model.vae").write_bytes(bundle.read_bytes())
    return tmp_path


def test_a_dry_score(run, place: Path):
    """Files, sizes, bundle and output; no file is written, be it a lock or metrics, and no gate is met."""
    before = contents(place)
    words = "score fresh.csv --dry-run --plot a.png --lock l --metrics m.prom --fail-on 0 --threshold 0.95"
    done = run(*words.split(), "--json")
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert_published(answer)
    assert (answer["verb"], answer["dry_run"], answer["bundle"]) == ("score", True, "model.vae")
    assert answer["reads"] == [{"name": "fresh.csv", "bytes": Path("fresh.csv").stat().st_size}]
    assert answer["writes"] == ["fresh.scored.csv", "a.png"]
    assert (answer["threshold"], answer["series"]) == (0.95, False)
    page = run(*words.split()).out
    assert "nothing was written" in page
    assert "would read   fresh.csv (" in page
    assert contents(place) == before


def test_a_dry_fit(run, place: Path):
    """The columns that would be modelled, and why others would not; no bundle."""
    before = contents(place)
    done = run("fit", "fresh.csv", "-o", "new.vae", "--exclude", "mode", "--dry-run")
    assert done.code == 0
    assert "columns      4 of 5 modelled" in done.out
    assert "left out     mode: " in done.out
    assert "would write  new.vae" in done.out
    assert contents(place) == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("score bad.csv", 4),
        ("score fresh.csv -m other.vae", 5),
        ("score fresh.csv -o no/out.csv", 2),
        ("score fresh.csv -o fresh.csv", 2),
        ("score fresh.csv -o .", 2),
        ("score taken.csv", 2),
        ("score fresh.csv --events e.csv", 2),
        ("score none.csv", 4),
        ("fit none.csv", 4),
        ("fit fresh.csv -o no/new.vae", 2),
        ("fit fresh.csv --label nolabel", 2),
        ("fit fresh.csv --lock fresh.csv", 2),
    ],
)
def test_a_dry_run_finds_what_a_run_would_refuse(run, place: Path, words: str, code: int):
    """The same code and the same two lines as without --dry-run."""
    dry = run(*words.split(), "--dry-run")
    real = run(*words.split())
    assert (dry.code, dry.err) == (real.code, real.err)
    assert dry.code == code
