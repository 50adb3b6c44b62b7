"""Shares in words, blind spots, and the page and the map that show them."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from vaecli.plots import fault_heatmap
from vaecli.render.console import write
from vaecli.render.summaries import page
from vaecli.results import BlindSpot, DetectionRate, SelftestSummary, Untested, blind_spots_of, verdict_of


def detection_rate(
    fault: str, size: float | None, column: str | None, share: float, n: int = 100, **changes
) -> DetectionRate:
    low, high = max(share - 0.1, 0.0), min(share + 0.1, 1.0)
    one = DetectionRate(fault, size, column, n, round(n * share), share, low, high, 0.0, "partly")
    return dataclasses.replace(one, **changes)


UNTRIED = DetectionRate("stuck", None, "on", 0, 0, None, None, None, None, "not tried")
COLUMNS = (
    detection_rate("spike", 2.0, "flow", 0.1),
    detection_rate("spike", 2.0, "temp", 0.05),
    detection_rate("spike", 8.0, "flow", 0.9),
    detection_rate("spike", 8.0, "temp", 0.35),
    detection_rate("stuck", None, "flow", 0.42),
    detection_rate("stuck", None, "temp", 0.0),
    UNTRIED,
)
SUMMARY = SelftestSummary(
    output="seen.csv",
    plot="map.png",
    bundle="model.vae",
    rows=5000,
    excluded_by_label=3,
    drawn=2000,
    flagged_before=20,
    false_alarm_rate=0.01,
    column_limits_false_alarm_rate=0.01,
    known_rows=0,
    score_kind="combined",
    threshold=0.99,
    min_score=5.0,
    uses_tail_model=False,
    seed=0,
    faults=(
        detection_rate("spike", 2.0, None, 0.08, column_limits_share=0.5),
        detection_rate("spike", 8.0, None, 0.997, high=1.0),
        detection_rate("stuck", None, None, 0.003, low=0.0),
        detection_rate("missing", 1.0, None, 1.0, column_limits_share=None),
    ),
    columns=COLUMNS,
    untested=(Untested("unseen", None, "it takes a categorical column"), Untested("missing", 3.0, "there are two")),
    blind_spots=blind_spots_of(COLUMNS),
    warnings=("beware",),
    seconds=1.5,
)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch):
    """Whoever runs the tests may have a terminal of some width."""
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(summary: SelftestSummary) -> str:
    stream = io.StringIO()
    write(page(summary), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("share", "low", "verdict"),
    [
        (1.0, 0.98, "seen"),
        (0.9, 0.85, "seen"),
        (0.89, 0.85, "mostly"),
        (0.6, 0.5, "mostly"),
        (0.59, 0.5, "partly"),
        (0.3, 0.2, "partly"),
        (0.29, 0.2, "hardly"),
        (0.02, 0.011, "hardly"),
        (0.02, 0.01, "not seen"),
        (0.5, 0.005, "not seen"),
        (0.0, 0.0, "not seen"),
    ],
)
def test_words_have_bounds(share: float, low: float, verdict: str):
    """From 90, 60 and 30 %; what may be no more than the 1 % of false alarms is not seen, however few rows show it."""
    assert verdict_of(share, low, 0.01) == verdict


def test_a_blind_spot_is_sure_at_every_size():
    """Upper ends below one half, also at the size that is seen best; the blindest column first, untried ones never."""
    assert blind_spots_of(COLUMNS) == (BlindSpot("temp", ("spike", "stuck"), 2),)
    more = (*COLUMNS, detection_rate("stuck", None, "rpm", 0.39), detection_rate("spike", 2.0, "rpm", 0.9))
    assert [spot.column for spot in blind_spots_of(more)] == ["temp", "rpm"]


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (("stuck",), "temp: most cases of stuck would pass unnoticed"),
        (
            ("spike", "swap", "borrowed"),
            "temp: most cases of spike, swapped columns and another row's value would pass",
        ),
    ],
)
def test_blind_spots_are_sentences(faults: tuple[str, ...], said: str):
    """Words for a person, not names of options."""
    assert BlindSpot("temp", faults, 7).sentence.startswith(said)


def test_a_column_that_is_never_seen_is_reported():
    """All kinds of fault that were tried."""
    assert BlindSpot("temp", ("spike", "stuck"), 2).sentence == "temp: most faults of every kind would pass unnoticed"


def test_the_hardest_column_has_the_lowest_share():
    """Of the same fault and size; none where one column alone was tried."""
    assert SUMMARY.hardest(SUMMARY.faults[0]) == COLUMNS[1]
    assert SUMMARY.hardest(SUMMARY.faults[3]) is None


def test_json_has_the_sentences():
    """Every blind spot with its sentence beside its parts."""
    (spot,) = SUMMARY.to_json()["blind_spots"]
    assert spot == {
        "column": "temp",
        "faults": ("spike", "stuck"),
        "n_tried": 2,
        "sentence": "temp: most faults of every kind would pass unnoticed",
    }


def test_the_page():
    """Shares never rounded to nothing or all, sizes with units, each fault named once, and where limits do better."""
    text = shown(SUMMARY)
    lines = [line.split("  ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["rows", "2,000 of 5,000, drawn at random, in 1.5 s; 3 rows labelled anomalous left out"] in cells
    assert ["false alarms", "20 (1.0 %) are flagged as they are; faults are put into the other 1,980"] in cells
    assert ["output", "seen.csv"] in cells
    assert ["map", "map.png"] in cells
    assert ["spike", "2 sd", "8 % (0 to 18)", "partly", "temp 5 %", "50 %"] in cells
    assert ["8 sd", ">99 % (90 to 100)", "partly", "temp 35 %", "0 %"] in cells
    assert ["stuck", "<1 % (0 to 10)", "partly", "temp 0 %", "0 %"] in cells
    assert ["missing", "1 cell", "100 % (90 to 100)", "partly", "–"] in cells
    assert "not applicable: unseen category: it takes a categorical column\n" in text
    assert "not applicable: missing (3 cells): there are two\n" in text
    assert "Limits on each column by itself would see more of: spike 2 sd\n" in text
    assert "temp: most faults of every kind would pass unnoticed\n" in text
    assert text.endswith("warning: beware\n")


def test_no_blind_spot_is_reported_too():
    """And many are counted; a name from the table cannot steer a terminal."""
    assert "\nnone: " in shown(dataclasses.replace(SUMMARY, blind_spots=()))
    spots = tuple(BlindSpot(f"c{i}\x1b", ("stuck",), 5) for i in range(13))
    text = shown(dataclasses.replace(SUMMARY, blind_spots=spots))
    assert "c9\\x1b: most" in text
    assert "\x1b" not in text
    assert "… and 3 columns more" in text


def test_the_map_has_a_place_for_every_share(monkeypatch: pytest.MonkeyPatch):
    """Columns × faults, NaN where a column was not tried; of too many columns those in which the least is seen."""
    names, heads, found = fault_heatmap.shares(COLUMNS, ["flow", "temp", "on"])
    assert (names, heads) == (["flow", "temp", "on"], ["spike 2", "spike 8", "stuck"])
    np.testing.assert_array_equal(found, [[0.1, 0.9, 0.42], [0.05, 0.35, 0.0], [np.nan] * 3])
    monkeypatch.setattr(fault_heatmap, "MOST_COLUMNS", 1)
    assert fault_heatmap.shares(COLUMNS, ["flow", "temp"])[0] == ["temp"]
