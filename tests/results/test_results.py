"""The text of a reason: one sentence with the digits that matter."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from vaecli.results import (
    DetectionRate,
    EvaluateSummary,
    Evaluation,
    ExplainSummary,
    FlaggedRow,
    Reason,
    SelftestSummary,
)
from vaecli.results.reasons import TextSpan

NUMBER = Reason("temp_3", 40.0, value=91.2, expected=64.0, low=61.9, high=66.1)
WORD = Reason("mode", 9.5, value="eco", expected="boost", probability=0.934)
GAP = Reason("flow", 12.0, value=None, expected=100.0, low=90.0, high=110.0, probability=0.9983)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (NUMBER, "temp_3 = 91.2, expected 64.0 ± 2.1"),
        (replace(NUMBER, value=62), "temp_3 = 62, within the expected 64.0 ± 2.1"),
        (replace(NUMBER, value=66.1), "temp_3 = 66.1, within the expected 64.0 ± 2.1"),
        (WORD, "mode = eco, expected boost (93 %)"),
        (replace(WORD, probability=0.19), "mode = eco, most probable boost (19 %)"),
        (replace(WORD, value="Boost", similar="boost", is_novel=True), "mode = 'Boost', never seen, nearly 'boost'"),
        (
            replace(WORD, value="Eco", similar="eco", is_novel=True, probability=0.4),
            "mode = 'Eco', never seen, nearly 'eco'; most probable 'boost' (40 %)",
        ),
        (GAP, "flow is missing, usually present (99.8 %)"),
        (replace(WORD, value="turbo", is_novel=True), "mode = turbo, never seen, expected boost (93 %)"),
        (replace(WORD, expected="eco"), "mode = eco, unusual together with the other columns"),
        (replace(WORD, probability=None), "mode = eco, expected boost"),
        (replace(WORD, expected=None, probability=None), "mode = eco"),
        (replace(GAP, probability=None), "flow is missing"),
        (
            Reason("built", 3.0, "2030-01-01T00:00:00Z", "2026-01-12T05:07:24Z"),
            "built = 2030-01-01T00:00:00Z, expected 2026-01-12T05:07:24Z",
        ),
    ],
)
def test_a_reason_is_a_sentence(reason: Reason, sentence: str) -> None:
    """What the cell holds, and what was expected: a number and its spread, a word and how sure it was, or presence."""
    assert reason.sentence == sentence


@pytest.mark.parametrize(
    ("expected", "low", "high", "said"),
    [
        (64.0, 61.9, 66.1, "64.0 ± 2.1"),
        (64.0, 62.5, 66.1, "64.0 ± 1.8"),  # the mean of both sides, where they hardly differ
        (64.0, 63.9, 70.0, "64.0 (63.9 to 70.0)"),
        (64.0, 50.0, 64.0, "64.0 (50.0 to 64.0)"),
        (5.0, 5.0, 5.0, "5 ± 0"),
        (2000.0, 1400.0, 2600.0, "2000 ± 600"),
        (1234567.8, 1234444.4, 1234691.2, "1234568 ± 123"),
        (0.00123, 0.00121, 0.00125, "0.00123 ± 2e-05"),
        (5e11, 4e11, 6e11, "5e+11 ± 1e+11"),
        (-10.0, -10.5, -9.5, "-10.00 ± 0.5"),
        (0.001, -2.0, 2.0, "0 ± 2"),  # zero but for rounding
        (64.0, None, None, "64"),
        (1234.5678, None, None, "1234.57"),
        (64.0, 60.0, math.inf, "64 (60 to inf)"),
    ],
)
def test_an_expectation_has_the_digits_that_its_spread_lets_matter(
    expected: float, low: float | None, high: float | None, said: str
) -> None:
    """Symmetric ranges are written ±, others from … to …; no digit is finer than a tenth of the spread's first."""
    sentence = replace(NUMBER, expected=expected, low=low, high=high).sentence
    assert sentence.partition("expected ")[2] == said


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (91.234, "91.2"),
        (91, "91"),
        (9_000_000, "9000000"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        ("inf", "inf"),
        (1e300, "1e+300"),
        (0.0, "0"),
        (64.0, "64.0"),
    ],
)
def test_a_reading_is_written_as_finely_as_the_expectation(value: float | int | str, written: str) -> None:
    """An integer stays one, what is not a number is named, and a decimal has the digits of what was expected."""
    within = "within the " if value == 64 else ""
    assert replace(NUMBER, value=value).sentence == f"temp_3 = {written}, {within}expected 64.0 ± 2.1"


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.5, "50 %"),
        (0.934, "93 %"),
        (0.99, "99 %"),
        (0.995, "99.5 %"),
        (0.999, "99.9 %"),
        (0.99901, "over 99.9 %"),
        (1.0, "over 99.9 %"),
        (0.004, "0 %"),
    ],
)
def test_no_probability_is_rounded_to_certainty(probability: float, said: str) -> None:
    """Near 1 one decimal more, and never 100 %."""
    word = "expected" if probability >= 0.5 else "most probable"
    assert replace(WORD, probability=probability).sentence == f"mode = eco, {word} boost ({said})"
    usually = f"usually present ({said})" if probability >= 0.5 else "unusual together with the other columns"
    assert replace(GAP, probability=probability).sentence == f"flow is missing, {usually}"


def test_a_gap_and_a_value_in_place_of_one_are_named_as_such() -> None:
    """What the other columns predict stands in the sentence: a value with its range, or that there is none."""
    gap = replace(GAP, probability=0.3, own_probability=0.004)
    assert replace(gap, expected=None).sentence == "flow is missing (probability 0.4 %)"
    told = replace(gap, expected=20.0, low=18.0, high=22.0).sentence
    assert told == "flow is missing (probability 0.4 %), expected 20.0 ± 2"
    there = Reason("flow", 9.0, 20.5, None, probability=0.998)
    assert there.sentence == "flow = 20.5, expected to be missing (99.8 %)"


def test_a_state_is_expected_to_be_another_or_unusual() -> None:
    """A number that is one of a few: which was expected, how surely, and how probable what is there was."""
    state = Reason("status", 9.0, 0, 2.0, probability=0.93, own_probability=0.0004)
    assert state.sentence == "status = 0 (probability 0.04 %), expected 2 (93 %)"
    assert replace(state, own_probability=None).sentence == "status = 0, expected 2"
    assert (
        replace(state, value=2, own_probability=0.93).sentence == "status = 2, unusual together with the other columns"
    )


@pytest.mark.parametrize(
    ("probability", "said"), [(0.00009, "under 0.01 %"), (0.0004, "0.04 %"), (0.02, "2 %"), (0.12, "12 %")]
)
def test_the_probability_of_a_value_is_no_power_of_ten(probability: float, said: str) -> None:
    """One digit below a percent, whole percents above."""
    reason = Reason("flow", 9.0, 0, 49.0, low=46.0, high=52.0, own_probability=probability)
    assert reason.sentence.startswith(f"flow = 0 (probability {said}), expected 49.0 ")


@pytest.mark.parametrize(
    ("span", "phrase"),
    [
        (TextSpan(5, 6, 5, 6, "O", "0", 9.0), 'unusual at character 6 "O", expected "0"'),
        (TextSpan(2, 4, 2, 4, "-2", None, 9.0), 'unusual at characters 3 to 4 "-2"'),
        (TextSpan(9, 9, 9, 9, "", "9", 9.0), '"9" missing at character 10'),
        (TextSpan(0, 12, 0, 12, "SN-20O4-0031", None, 9.0), "unusual from its first character to its last"),
    ],
)
def test_the_characters_of_a_string_are_counted_from_one_and_called_characters(span: TextSpan, phrase: str) -> None:
    """A place, a stretch, a gap; and a string that is unusual throughout is not written twice."""
    assert Reason("serial", 9.0, "SN-20O4-0031", None, spans=(span,)).sentence == f'serial = "SN-20O4-0031", {phrase}'


def test_a_row_names_what_it_needs_and_marks_what_could_be_wrong_instead() -> None:
    """Minor parts are not named; reasons without a role, those of series, are named by their part of the score."""
    first, other = replace(NUMBER, role="responsible"), replace(WORD, role="alternative")
    row = FlaggedRow(7, 60.0, 0.001, True, (first, other, replace(GAP, role="minor")))
    assert [one.phrase for one in row.named] == [first.sentence, f"or {other.sentence}"]
    of_series = FlaggedRow(7, 60.0, 0.001, True, (NUMBER, replace(WORD, nats=2.9)))
    assert of_series.named == (NUMBER,)


@given(
    value=st.floats() | st.integers() | st.text() | st.none(),
    expected=st.floats() | st.text() | st.none(),
    ends=st.tuples(st.floats(), st.floats()) | st.just((None, None)),
    probability=st.floats(0, 1) | st.none(),
)
def test_every_reason_has_a_sentence(value, expected, ends, probability) -> None:
    """Whatever is in a table and whatever a model expects, the sentence begins with the column and ends."""
    sentence = Reason("temp_3", 1.0, value, expected, *ends, probability).sentence
    assert sentence.startswith("temp_3 is missing" if value is None else "temp_3 = ")


def test_json_keeps_the_former_keys() -> None:
    """A renamed key is there under both names with one value: in the summary and in each of its shares."""
    rate = DetectionRate("spike", 2.0, "verdict", 80, 70, 0.875, 0.8, 0.95, 0.5, "mostly")
    common = {"output": None, "plot": None, "bundle": "m.vae", "rows": 99, "score_kind": "combined", "threshold": 0.99}
    common |= {"min_score": 3.0, "uses_tail_model": False, "warnings": (), "seconds": 1.0}
    selftest = SelftestSummary(
        excluded_by_label=3,
        drawn=90,
        flagged_before=1,
        false_alarm_rate=0.01,
        column_limits_false_alarm_rate=0.02,
        known_rows=0,
        seed=0,
        faults=(),
        columns=(rate,),
        untested=(),
        blind_spots=(),
        **common,
    ).to_json()
    assert selftest["excluded_by_label"] == selftest["labelled_out"] == 3
    assert selftest["column_limits_false_alarm_rate"] == selftest["ranges_false_alarm_rate"] == 0.02
    (share,) = selftest["columns"]
    assert share["column_limits_share"] == share["ranges_share"] == 0.5
    assert share["verdict"] == share["word"] == "mostly"
    evaluated = EvaluateSummary(
        label="failed",
        anomalies=9,
        flagged=8,
        true_positives=7,
        unscored=0,
        has_intervals=True,
        overall=Evaluation("vaecli", None, 99, 9, ()),
        baselines=(),
        groups=(),
        comparisons=(),
        **common,
    ).to_json()
    assert evaluated["true_positives"] == evaluated["caught"] == 7


def test_json_has_the_sentence_of_every_reason() -> None:
    """The summary of `explain` names its verb and version, and each reason in words."""
    row = FlaggedRow(17, 61.5, 0.001, True, (NUMBER, WORD), 12.0)
    summary = ExplainSummary("r.csv", "m.vae", 500, 6, 2, "combined", 0.99, (row, replace(row, reasons=())), (), 0.4)
    values = json.loads(json.dumps(summary.to_json()))
    assert (values["schema_version"], values["verb"]) == (2, "explain")
    assert values["shown"][0]["rest"] == 12.0
    assert [reason["sentence"] for reason in values["shown"][0]["reasons"]] == [NUMBER.sentence, WORD.sentence]
    assert values["shown"][1]["reasons"] == []
