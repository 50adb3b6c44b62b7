"""The page of a report from its numbers: what it answers, and that any of them may be absent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vaecli.report.data import Contributions, Facts, Outside, ReportData, ScoreHistogram, Stretch, Timeline, Training
from vaecli.report.page import headline, page
from vaecli.results import FlaggedRow, Reason

FACTS = Facts(
    table="new.csv",
    bundle="model.vae",
    rows=1000,
    flagged=10,
    unscored=0,
    missing_cells=0,
    novel_cells=0,
    score_kind="combined",
    threshold=0.99,
    min_score=4.0,
    share_by_chance=0.01,
    uses_tail_model=False,
    n_calibration_rows=5000,
    warnings=(),
)
ROW = FlaggedRow(7, 9.0, 0.002, True, (Reason("temp", 8.0, 91.2, 64.0, 61.9, 66.1),), 1.0)
DATA = ReportData(
    facts=FACTS,
    worst=(ROW,),
    scores=ScoreHistogram((0.0, 4.0, 8.0), (990, 9, 1), (4950, 50, 0)),
    timeline=Timeline(None, False, 1.0, (), 0),
    contributions=Contributions(0, (), 1, 0.0, 0.0),
    map=None,
    profiles=(),
    n_other_columns=0,
    training=Training((), None, None),
    settings=(),
)


@pytest.mark.parametrize(
    ("facts", "p_value", "said"),
    [
        ({}, 0.002, "As usual: 10 of 1,000 rows are flagged, about as many as among normal rows."),
        ({"flagged": 18}, 0.002, "As usual: 18 "),  # 10 + 2.33 √(10 + 2), the 2 from the rows that calibrate
        ({"flagged": 19}, 0.002, "Worth a look: 19 "),
        ({"flagged": 30}, 0.002, "Worth a look: 30 of 1,000 rows are unusual, 3.0 times as many as among normal rows."),
        ({"flagged": 140}, 0.002, "14 times as many"),
        ({}, 1e-9, "Worth a look: 10 of 1,000 rows are unusual, no more than by chance, but row 7 is more anomalous"),
        ({"flagged": 1, "share_by_chance": 1e-9}, 0.002, "1 of 1,000 rows is unusual, where of normal rows hardly any"),
        (
            {"flagged": 100, "share_by_chance": 0.3},
            0.002,
            "100 of 1,000 rows are flagged, fewer than among normal rows.",
        ),
        ({"flagged": 270, "share_by_chance": 0.3}, 0.002, "about as many as among normal rows."),
        (
            {"flagged": 1000, "share_by_chance": 0.95},
            0.002,
            "1,000 rows are unusual, 1.1 times as many as among normal",
        ),
        ({"flagged": 0}, 0.002, "Nothing stands out: none of 1,000 rows is flagged."),
        ({"flagged": 0, "unscored": 1000}, 0.002, "No answer: none of the 1,000 rows could be scored."),
        ({"flagged": 0, "rows": 0}, 0.002, "Nothing to look at: the table has no rows."),
        ({"flagged": 30, "unscored": 400}, 0.002, "30 of 600 rows"),
    ],
)
def test_the_headline_answers(facts: dict[str, float], p_value: float, said: str):
    """As usual, or worth a look: chance is not called an anomaly, and one anomalous row not chance."""
    data = replace(DATA, facts=replace(FACTS, **facts), worst=(replace(ROW, p_value=p_value),))
    assert said in headline(data)
    assert headline(data) in page(data)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"flagged": 1000, "share_by_chance": 1.0, "threshold": None, "min_score": -5.0},
            "1,000 of 1,000 rows are flagged, where all normal rows would be. --min-score -5",
        ),
        (
            {"flagged": 600, "share_by_chance": 0.9996, "threshold": None, "min_score": 0.25},
            "600 of 1,000 rows are flagged, where 99.9 % of normal rows would be. --min-score 0.25",
        ),
        (
            {"flagged": 610, "share_by_chance": 0.6, "threshold": 0.4},
            "610 of 1,000 rows are flagged, where 60 % of normal rows would be. --threshold 0.4",
        ),
    ],
)
def test_a_limit_that_most_normal_rows_meet_is_no_answer(facts: dict[str, float], said: str):
    """Where nearly every row is flagged, the page reports that the limit is useless, not that all is as usual."""
    data = replace(DATA, facts=replace(FACTS, **facts))
    assert headline(data) == f"No answer: {said} is too low to separate anomalous rows from normal ones."
    assert 'class="mark odd"' in page(data)
    odd = replace(data, worst=(replace(ROW, p_value=1e-9),))
    assert headline(odd).startswith(f"Worth a look: row 7 is more anomalous than chance explains. But {said} is too")


def test_a_page_without_anything_is_a_page():
    """No rows, no columns, no curve, no map: a sentence stands where a chart would."""
    facts = replace(FACTS, rows=0, flagged=0)
    empty = ScoreHistogram((0.0, 1.0), (0, 0), (0, 0))
    text = page(replace(DATA, facts=facts, worst=(), scores=empty))
    for said in ("No row is flagged.", "No row has a score.", "the table has no rows", "there is no map"):
        assert said in text
    assert text.count("<section>") == 8


def test_a_model_of_the_tail_is_not_shown_as_a_count():
    """Beyond the calibration rows it reports that none of them scored as high, not a number that a model made up."""
    assert ">none of 5,000<" in page(replace(DATA, worst=(replace(ROW, p_value=1e-12),)))
    assert ">1 in 500<" in page(DATA)


def test_the_same_data_is_the_same_page():
    """Nothing of the moment is on it."""
    assert page(DATA) == page(replace(DATA))


def test_negative_scores_have_no_negative_bars():
    """Scores of log densities may be below zero; then nothing is reported as a share of them."""
    text = page(replace(DATA, contributions=Contributions(1, (), 1, 0.0, -12.0)))
    assert 'width="-' not in text
    assert ">0 %<" in text


@pytest.mark.parametrize(
    ("rows", "flagged", "said"),
    [
        (1, 0, "Outside, far off, lies 1 row, of which none is flagged: all rows together reach from"),
        (1200, 1, "Outside, far off, lie 1,200 rows, of which 1 is flagged: "),
        (1200, 1100, "of which 1,100 are flagged: all rows together reach from 0987-12-02 to 2200-01-01."),
    ],
)
def test_rows_far_off_in_time_are_counted(rows: int, flagged: int, said: str):
    """The caption counts them, how many of them are flagged, and where they lie."""
    outside = Outside(rows, flagged, -30991507200.0, 7_258_118_400.0)
    timeline = Timeline("when", True, 3600.0, (Stretch(1.7e9, 9, 1), Stretch(1.7e9 + 7200, 9, 0)), 0, outside)
    assert said in page(replace(DATA, timeline=timeline))
    assert "far off" not in page(replace(DATA, timeline=replace(timeline, outside=None)))
