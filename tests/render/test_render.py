"""What a person sees, what a program reads, and that neither can be steered by the user's data."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vaecli import render
from vaecli.errors import InputError, escaped
from vaecli.render.progress_bar import figures
from vaecli.results import (
    ColumnSummary,
    Event,
    ExplainSummary,
    FitSummary,
    FlaggedRow,
    InspectSummary,
    Reason,
    ScoreSummary,
)
from vaecli.results.number_format import counted, duration, exact_per_cent, how_often, number, per_cent, size

ROOT = Path(render.__file__).parents[2]
COLUMNS = (
    ColumnSummary("temp", "numeric", "feature", minimum=-1.5, maximum=99.0),
    ColumnSummary("speed", "numeric", "feature"),
    ColumnSummary("site", "categorical", "feature", categories=tuple("abcdefghijkl")),
    ColumnSummary("seen", "datetime", "feature", minimum=-31e9, maximum=86400.0),
    ColumnSummary("UDI", "numeric", "key", "every value is different"),
    ColumnSummary("failed", "boolean", "label"),
)
FIT = FitSummary(
    bundle="my pump.vae",
    n_rows=43_500,
    n_excluded_by_label=3,
    columns=COLUMNS,
    n_members=5,
    n_steps=600,
    validation_elbo=-4.1,
    validation_kl=1.5,
    baseline_log_prob=-7.3,
    threshold=0.99,
    score_kind="elbo",
    min_score=12.345,
    n_calibration_rows=43_500,
    finest_level=0.99998,
    warnings=("speed: 99 % missing",),
    seconds=41.2,
)
ODD_ROW = FlaggedRow(
    row=14_017,
    score=81.25,
    p_value=2.3e-5,
    is_anomaly=True,
    reasons=(
        Reason("temp", 40.0, 91.2, 64.0, 61.9, 66.1),
        Reason("site", 9.5, "q", "a", probability=0.93, is_novel=True),
        Reason("speed", 0.5, None, 3.0, 2.0, 4.0, 0.998),
    ),
    rest=31.25,
)
SCORE = ScoreSummary(
    output="new.scored.csv",
    bundle="model.vae",
    rows=14_500,
    anomalies=912,
    unscored=3,
    novel_cells=12,
    score_kind="elbo",
    threshold=0.99,
    min_score=12.0,
    uses_tail_model=False,
    worst=(ODD_ROW,),
    warnings=(),
    seconds=0.4,
)
EXPLAIN = ExplainSummary(
    output=None,
    bundle="model.vae",
    rows=14_500,
    anomalies=912,
    explained=912,
    score_kind="elbo",
    threshold=0.99,
    shown=(ODD_ROW, replace(ODD_ROW, row=3, score=1.5, p_value=0.4, is_anomaly=False, reasons=(), rest=1.5)),
    warnings=(),
    seconds=0.4,
)
INSPECT = InspectSummary(
    bundle="model.vae",
    size_bytes=123_456,
    format=1,
    vaecli_version="0.1.0",
    created_utc="2026-11-22T20:00:00Z",
    schema_fingerprint="ab" * 32,
    columns=COLUMNS,
    config={"train": {"seed": 0, "time_budget_seconds": None}, "preset": "default"},
    calibration={"levels": [0.9, 0.99], "scores": list(range(1000)), "nested": [{"a": 1}]},
    digests={"weights": "cd" * 32},
    fit={"validation_elbo": -4.123456789},
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]):
    """The page of a summary as it goes into a file: `shown(FIT)`."""

    def show(summary, **named) -> str:
        render.show(summary, **named)
        return capsys.readouterr().out

    return show


def on_a_terminal(program: str, *, columns: int = 80, out: str = "both", **environment: str) -> tuple[str, str]:
    """What a program shows on a terminal, and what arrives on standard output when `out` is "pipe"."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if out == "pipe" else follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
        cwd=ROOT,
    ) as process:
        os.close(follower)
        seen = b""
        while chunk := _read(leader):
            seen += chunk
        piped = process.stdout.read() if process.stdout else b""
    os.close(leader)
    assert process.returncode == 0, seen.decode()
    return seen.decode(), piped.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # how Linux reports that the other side has closed
        return b""


def page_program(summary) -> str:
    names = "ColumnSummary, ExplainSummary, FitSummary, FlaggedRow, InspectSummary, Reason, ScoreSummary"
    return f"from vaecli import render\nfrom vaecli.results import {names}\nrender.show({summary!r})"


# ---------------------------------------------------------------- fit


def test_a_fit_shows_what_a_person_needs(shown):
    """Rows, columns by kind, what was left out and why, the gain, the threshold in words, and what to type next."""
    text = shown(FIT)
    for expected in (
        "43,500 used; 3 rows labelled anomalous left out",
        "4 of 6 modelled: 2 numeric, 1 categorical, 1 datetime",
        "UDI: every value is different",
        "failed: label",
        "explains 3.2 nats per row more than independent columns",
        "0.99 flags rows more unusual than 99 % of normal rows: about 1 in 100 normal rows",
        "43,500 rows, scored by networks that were not trained on them; they resolve levels up to 0.99998",
        "vaecli score NEW_TABLE -m 'my pump.vae'",
        "warning: speed: 99 % missing",
    ):
        assert expected in text
    assert "no relation" not in text


@pytest.mark.parametrize("baseline", [-4.1, -4.105, -3.0])
def test_a_useless_model_is_reported(shown, baseline: float):
    """A model that is not better than independent columns is reported in a warning."""
    text = shown(replace(FIT, baseline_log_prob=baseline))
    assert "no better than independent columns" in text
    assert "warning: the model found no relation between the columns" in text


def test_a_level_finer_than_the_calibration_rows_is_reported(shown):
    """A tail model is called an estimate and not a guarantee."""
    text = shown(replace(FIT, threshold=0.9999, finest_level=0.999, n_calibration_rows=1000))
    assert "0.9999 flags rows more unusual than 99.99 % of normal rows: about 1 in 10,000 normal rows" in text
    assert "an estimate and not a guarantee" in text


def test_many_columns_left_out_are_counted(shown):
    """A thousand identifiers do not fill a thousand lines."""
    many = tuple(ColumnSummary(f"c{i}", "text", "ignored", "free text") for i in range(1000))
    text = shown(replace(FIT, columns=many))
    assert text.count("free text") == 20
    assert "… and 980 more" in text


# ---------------------------------------------------------------- score


def test_a_score_shows_what_a_person_needs(shown):
    """Rows, flagged rows and their share, rows without a score, where the output is, and the worst rows."""
    text = shown(SCORE)
    for expected in (
        "14,500 in 0.4 s",
        "912 (6.3 %)",
        "3 rows",
        "12 cells with a value that training never saw",
        "0.99: more unusual than 99 % of normal rows; about 1 in 100 normal rows",
        "new.scored.csv",
        "14,017  81.25  2.3e-05    40  temp = 91.2, expected 64.0 ± 2.1\n",
        "                         9.5  site = q, never seen, expected a (93 %)\n",
    ):
        assert expected in text


def test_a_quiet_table_has_no_list_of_rows(shown):
    """No flagged row, no unscored row, no line about them."""
    text = shown(replace(SCORE, anomalies=0, unscored=0, novel_cells=0, worst=()))
    assert "0 (0 %)" in text
    assert "Most unusual" not in text
    assert "not scored" not in text


def test_no_rows_at_all(shown):
    """An empty table divides by nothing."""
    assert "0 (0 %)" in shown(replace(SCORE, rows=0, anomalies=0, worst=()))


def test_a_minimum_score_is_shown_as_such(shown):
    """--min-score promises no share of normal rows."""
    text = shown(replace(SCORE, threshold=None, min_score=3.5))
    assert "from 3.5 nats, as set by --min-score" in text
    assert "normal rows" not in text


def test_a_tail_model_is_reported(shown):
    """A level that a tail model decides is not sold as a guarantee."""
    assert "not a guarantee" in shown(replace(SCORE, uses_tail_model=True))
    assert "not a guarantee" not in shown(SCORE)


def test_a_summary_beside_data_goes_to_standard_error(capsys: pytest.CaptureFixture[str]):
    """Standard output belongs to the scored rows."""
    render.show(SCORE, beside_data=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "912 (6.3 %)" in captured.err


# ---------------------------------------------------------------- explain


def test_reasons_have_a_line_each(shown):
    """A row's number, score and p-value stand beside its first reason; what hardly counts is left to --json."""
    head, first, second, last = shown(EXPLAIN).partition("row  ")[2].splitlines()[:4]
    assert head.split() == ["score", "p_value", "nats", "reason"]
    assert first.split("  ")[-1] == "temp = 91.2, expected 64.0 ± 2.1"
    assert second.split(maxsplit=1) == ["9.5", "site = q, never seen, expected a (93 %)"]
    assert last.split()[:4] == ["3", "1.5", "0.4", "1.5"]
    assert "speed" not in shown(EXPLAIN)  # half a nat of eighty


@pytest.mark.parametrize(("rest", "is_told"), [(30.0, False), (50.0, True)])
def test_what_no_column_explains_is_named_where_it_is_most_of_it(shown, rest: float, is_told: bool):
    """An unusual combination is called one, where it outweighs the columns."""
    text = shown(replace(EXPLAIN, shown=(replace(ODD_ROW, rest=rest),)))
    assert ("the columns together: no single one explains this part" in text) == is_told


def test_an_explanation_shows_what_a_person_needs(shown):
    """Rows, flagged rows, explained rows, and how to see the others."""
    text = re.sub(r" +", " ", shown(EXPLAIN))
    for expected in (
        "rows 14,500 in 0.4 s",
        "flagged 912",
        "explained 912",
        "… and 910 rows more: --most N shows more, -o FILE writes all",
    ):
        assert expected in text
    assert "output" not in text
    assert " output reasons.csv\n" in re.sub(r" +", " ", shown(replace(EXPLAIN, output="reasons.csv")))
    assert "more: " not in shown(replace(EXPLAIN, explained=2))


def test_nothing_to_explain_is_reported(shown):
    """No flagged row, no list of reasons."""
    text = shown(replace(EXPLAIN, anomalies=0, explained=0, shown=()))
    assert re.sub(r" +", " ", text).splitlines()[1:] == [" rows 14,500 in 0.4 s", " flagged 0", " explained 0"]


# ---------------------------------------------------------------- inspect


def test_an_inspection_shows_settings_without_pages_of_numbers(shown):
    """Nested settings are flat; long lists and empty settings are left to --json."""
    text = shown(INSPECT)
    for expected in ("123 kB, format 1", "train.seed", "0.9, 0.99", "-4.12346", "cdcdcdcdcdcdcdcd\n"):
        assert expected in text
    for unexpected in ("999,", "time_budget_seconds", "nested"):
        assert unexpected not in text


def test_the_schema_has_a_line_a_column(capsys: pytest.CaptureFixture[str]):
    """Kind, part, and range, categories or reason."""
    render.show_schema(INSPECT)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(COLUMNS)
    assert lines[1].split("  ")[-1] == "-1.5 … 99"
    assert lines[3].endswith("a, b, c, d, e, f, g, h, … and 4 more")
    assert lines[4].endswith("0987-08-25 16:53:20 … 1970-01-02 00:00:00")
    assert lines[5].endswith("every value is different")


# ---------------------------------------------------------------- for programs


@pytest.mark.parametrize("summary", [FIT, SCORE, EXPLAIN, INSPECT], ids=["fit", "score", "explain", "inspect"])
def test_json_is_one_line(shown, summary):
    """--json is one object on one line, with its version and verb, and every field of the summary."""
    text = shown(summary, as_json=True)
    assert text.count("\n") == 1
    values = json.loads(text)
    assert values["schema_version"] == 2
    assert set(summary.__slots__) < set(values)


def test_json_knows_no_nan(shown):
    """Not-a-number and the infinities are null."""
    text = shown(replace(FIT, validation_elbo=float("nan"), min_score=float("-inf")), as_json=True)
    values = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert values["validation_elbo"] is None
    assert values["min_score"] is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(config=st.dictionaries(st.text(), json_values, max_size=3))
def test_json_is_always_strict(config: dict):
    """Whatever a bundle holds, --json prints strict JSON in ASCII."""
    text = render.json_line(replace(INSPECT, config=config).to_json())
    assert text.isascii()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


# ---------------------------------------------------------------- terminals


def test_a_file_gets_plain_lines(shown):
    """No escapes, no boxes, no blanks at line ends, and no name of a file is cut or folded."""
    long = "x" * 300
    for summary in (
        replace(FIT, bundle=long),
        replace(SCORE, output=long),
        replace(INSPECT, bundle=long),
    ):
        text = shown(summary)
        assert long in text
        assert "\x1b" not in text
        assert not any("\u2500" <= character <= "\u257f" for character in text)
        assert all(line == line.rstrip() for line in text.splitlines())


def test_a_given_width_is_kept(shown, monkeypatch: pytest.MonkeyPatch):
    """COLUMNS folds the page, in a file as on a terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    for summary in (FIT, SCORE, EXPLAIN, INSPECT):
        assert max(len(line) for line in shown(summary).splitlines()) <= 60


def test_a_terminal_gets_colours_and_its_width():
    """On a terminal the page is as wide as the terminal, and coloured."""
    seen, _ = on_a_terminal(page_program(FIT), columns=50)
    assert "\x1b[" in seen
    assert max(len(line) for line in _without_escapes(seen).splitlines()) <= 50


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colours_where_none_are_wanted(environment: dict[str, str]):
    """NO_COLOR and TERM=dumb are respected."""
    seen, _ = on_a_terminal(page_program(SCORE), **environment)
    assert "\x1b[3" not in seen
    if "TERM" in environment:
        assert "\x1b" not in seen


def _without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_stream_that_knows_no_unicode_gets_codes():
    """A terminal in an old encoding shows a code for what it cannot show."""
    program = page_program(replace(FIT, bundle="Pümpe…"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=ROOT,
    )
    assert b"P\\xfcmpe\\u2026" in done.stdout


# ---------------------------------------------------------------- the user's data


@pytest.mark.parametrize("name", ["[red]x[/red]", "[/]", "\x1b[31mx", "a\nb", "\u202ex", "\x9b31m", ":smile:"])
def test_names_are_shown_as_they_are(shown, name: str):
    """No column name, category or file name is markup, an escape sequence or an emoji."""
    columns = (ColumnSummary(name, "numeric", "ignored", name),)
    for text in (
        shown(replace(FIT, columns=columns, bundle=name, warnings=(name,))),
        shown(replace(SCORE, worst=(FlaggedRow(1, 1.0, 0.1, True, (Reason(name, 1.0, name, name),)),), output=name)),
        shown(replace(EXPLAIN, shown=(FlaggedRow(1, 1.0, 0.1, True, (Reason("x", 1.0, name, "y"),)),))),
        shown(replace(EXPLAIN, shown=(FlaggedRow(1, 1.0, 0.1, True, (Reason("x", 1.0, "y", name),)),))),
        shown(replace(INSPECT, columns=columns, config={name: name})),
    ):
        assert escaped(name) in text
        assert all(line.isprintable() for line in text.split("\n"))


@given(st.text())
def test_printable_text_is_printable(text: str):
    """Escaping leaves nothing that steers a terminal, and changes nothing that does not."""
    assert escaped(text).isprintable()
    assert text != escaped(text) or text.isprintable()


def test_an_error_lists_its_lines(capsys: pytest.CaptureFixture[str]):
    """Messages of several lines keep them; what is between is escaped."""
    render.show_error(InputError("a.csv: 2 mistakes:\n  line 1\n  line \x1b[0m2", "look"))
    assert capsys.readouterr().err == "error: a.csv: 2 mistakes:\n  line 1\n  line \\x1b[0m2\nhint: look\n"


# ---------------------------------------------------------------- progress

EVENTS = (
    Event("reading", 1000),
    Event("training", 50, 100, "steps", (("elbo", -3.21234), ("kl", 1.5))),
    Event("training", 100, 100, "steps", (("elbo", -3.0), ("kl", 1.5))),
    Event("writing", 10, 20),
)
PROGRESS = f"""
import sys
from vaecli import render
from vaecli.results import Event
with render.progress(quiet={{quiet}}, verbose={{verbose}}) as on_event:
    for event in {EVENTS!r}:
        on_event(event)
        sys.stdout.write("data\\n")
"""


def test_no_terminal_no_progress(capsys: pytest.CaptureFixture[str]):
    """A cron mail holds no progress."""
    with render.progress() as on_event:
        for event in EVENTS:
            on_event(event)
    assert capsys.readouterr() == ("", "")


def test_verbose_writes_a_line_a_stage(capsys: pytest.CaptureFixture[str]):
    """A log has one line for each stage that ended, with its figures, on standard error."""
    with render.progress(verbose=True) as on_event:
        for event in EVENTS:
            on_event(event)
    out, err = capsys.readouterr()
    assert out == ""
    reading, training, writing = err.splitlines()
    assert reading.startswith("reading: 1,000 rows in 0.")
    assert training.startswith("training: 100 steps, elbo -3  kl 1.5, in 0.")
    assert writing.startswith("writing: 10 rows in 0.")


def test_a_long_stage_shows_that_it_lives(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A log reports from time to time how far a long stage has come."""
    monkeypatch.setattr("vaecli.render.progress_bar.LOG_EVERY_SECONDS", 0.0)
    with render.progress(verbose=True) as on_event:
        on_event(Event("training", 1))
        on_event(Event("training", 2))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("training: 2 rows so far, 0.")
    assert second.startswith("training: 2 rows in 0.")


def test_a_run_that_fails_ends_its_log_without_a_lie(capsys: pytest.CaptureFixture[str]):
    """A stage that broke is not reported as done."""

    def broken_run() -> None:
        with render.progress(verbose=True) as on_event:
            on_event(Event("reading", 1))
            raise InputError("broken")

    with pytest.raises(InputError):
        broken_run()
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_bars_and_figures():
    """Stage, rate and figures are on the screen, and gone when the run is over."""
    seen, _ = on_a_terminal(PROGRESS.format(quiet=False, verbose=False), columns=120)
    for expected in ("reading", "training", "elbo -3", "kl 1.5", "━"):
        assert expected in _without_escapes(seen)
    assert "\x1b[2K" in seen


def test_bars_leave_standard_output_alone():
    """Rows written while a bar is on the screen arrive in the pipe, all of them and nothing else."""
    seen, piped = on_a_terminal(PROGRESS.format(quiet=False, verbose=False), out="pipe")
    assert piped == "data\n" * len(EVENTS)
    assert "data" not in seen


@pytest.mark.parametrize(("quiet", "term"), [(True, "xterm"), (False, "dumb")])
def test_no_bars_where_none_are_wanted(quiet: bool, term: str):
    """--quiet and TERM=dumb draw nothing."""
    seen, _ = on_a_terminal(PROGRESS.format(quiet=quiet, verbose=False), out="pipe", TERM=term)
    assert seen == ""


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (0.99, "about 1 in 100"),
        (0.999, "about 1 in 1,000"),
        (0.95, "about 1 in 20"),
        (0.5, "about 1 in 2"),
        (0.3, "about 70 in 100"),
        (0.985, "about 1.5 in 100"),
        (0.999999, "about 1 in 1,000,000"),
    ],
)
def test_how_often(level: float, said: str):
    """A level is reported as one row in how many."""
    assert how_often(level) == said


@given(st.integers(2, 10**6))
def test_how_often_inverts_the_level(one_in: int):
    """The level 1 - 1/N flags one normal row in N."""
    assert how_often(float(1 - Fraction(1, one_in))) == f"about 1 in {one_in:,}"


def test_numbers_as_people_write_them():
    """Shares, sizes, durations and counts."""
    assert exact_per_cent(0.9995) == "99.95 %"
    assert per_cent(0.9999) == "99.9 %"
    assert [size(n) for n in (1, 999, 1000, 1_234_567, 5 * 10**12)] == ["1 B", "999 B", "1 kB", "1.23 MB", "5e+03 GB"]
    assert [duration(s) for s in (0.421, 12.3, 200, 7500)] == ["0.42 s", "12 s", "3 min 20 s", "2 h 05 min"]
    assert [counted(n, "row") for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]
    assert [number(value) for value in (12.3456, 41_023.4, -3.25)] == ["12.35", "41,023", "-3.25"]
    assert figures(Event("x", 1, values=(("elbo", 1.0), ("kl", 0.123456)))) == "elbo 1  kl 0.1235"
