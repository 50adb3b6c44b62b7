"""Exit codes are a contract: what a script, a cron job or a shell can rely on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vaecli.errors import GateMet, InputError

# a program whose `score` reports that it has begun, and then waits with a temporary file beside its output
WAITING = """
import pathlib, sys, time, types
def score(inputs, bundle, output, config, **others):
    half = pathlib.Path(inputs[0] + ".tmp")
    half.touch()
    try:
        print("begun", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        half.unlink()
module = sys.modules["vaecli.workflows.score"] = types.ModuleType("vaecli.workflows.score")
module.score = score
from vaecli.cli.app import main
main(sys.argv[1:])
"""
# a program whose `score` writes rows to standard output for as long as somebody reads them
WRITING = """
import sys, types
def score(inputs, bundle, output, config, **others):
    for _ in range(100_000):
        sys.stdout.write("1,2,3\\n")
module = sys.modules["vaecli.workflows.score"] = types.ModuleType("vaecli.workflows.score")
module.score = score
from vaecli.cli.app import main
main(sys.argv[1:])
"""


def test_the_user_text_of_a_problem_cannot_steer_the_terminal(run, workflows):
    """Control characters of a file name or a cell are shown as escapes."""
    workflows.answers["score"] = InputError("a\x1b[2J.csv: bad cell '\x07\u202e'", "x\r")
    err = run("score", "x").err
    assert err == "error: a\\x1b[2J.csv: bad cell '\\x07\\u202e'\nhint: x\\r\n"


@pytest.mark.parametrize(
    "words",
    [
        ["fitt"],
        ["score"],
        ["score", "x", "--no-such"],
        ["score", "x", "--threshold"],
        ["score", "x", "--threshold", "half"],
        ["score", "x", "--threshold", "1"],
        ["score", "x", "--threshold", "0.9", "--min-score", "3"],
        ["score", "x", "--fail-on", "some"],
        ["score", "x", "-q", "-v"],
        ["score", "x", "-", "-o", "y"],
        ["score", "x", "-o", "-", "--json"],
        ["fit", "x", "-o", "-"],
        ["fit", "x", "--exclude", 'a"b,"c'],
        ["fit", "x", "--preset", "huge"],
        ["inspect", "a", "b"],
    ],
    ids=" ".join,
)
def test_usage_is_2(run, workflows, words: list[str]):
    """A command line that makes no sense never starts a workflow."""
    done = run(*words)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "\nhint: " in done.err
    assert workflows.calls == []


def test_a_usage_error_names_the_verb_to_ask(run):
    """The hint of a mistyped option is the help of its verb."""
    assert "hint: see `vaecli score --help`" in run("score", "x", "--treshold", "3").err
    assert "Did you mean 'fit'" in run("fitt").err


def test_a_met_gate_is_3_after_the_summary(run, workflows):
    """`--fail-on` leaves with 3, and the summary is complete."""
    done = run("score", "x", "--fail-on", "1%")
    assert done.code == 3
    assert "20 (2.0 %)" in done.out
    assert "error: 20 of 1,000 rows are flagged; --fail-on 1% is met" in done.err
    assert "hint: the complete scored table is in new.scored.csv" in done.err


@pytest.mark.parametrize("limit", ["20", "2%", "100%"])
def test_a_gate_that_is_not_met_is_0(run, workflows, limit: str):
    """As many as the limit is not more than the limit."""
    assert run("score", "x", "--fail-on", limit).code == 0


def test_a_met_gate_leaves_one_json_object(run, workflows):
    """With --json the summary is the one object; the gate shows in the exit code."""
    done = run("score", "x", "--fail-on", "any", "--json")
    assert done.code == 3
    assert json.loads(done.out)["anomalies"] == 20


def test_a_met_gate_is_printed_despite_quiet(run, workflows):
    """A quiet cron job mails when, and only when, the gate is met."""
    silent = run("score", "x", "--fail-on", "50", "--quiet")
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert "is met" in run("score", "x", "--fail-on", "any", "--quiet").err


def test_a_workflow_may_meet_a_gate_itself(run, workflows):
    """GateMet from below is 3 as well."""
    workflows.answers["score"] = GateMet("too many", "look")
    assert run("score", "x").code == 3


@pytest.mark.parametrize("shortage", [MemoryError(), OSError(errno.ENOSPC, "No space left", "out.csv")])
def test_a_full_machine_is_no_bug(run, workflows, shortage: BaseException):
    """Too little memory or disk is 7: the machine, not the program."""
    workflows.answers["score"] = shortage
    done = run("score", "x")
    assert done.code == 7
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [["fit", "x"], ["score", "x"]], ids=" ".join)
def test_an_interrupt_is_130(run, workflows, words: list[str]):
    """Ctrl-C reports in one line that nothing was written."""
    workflows.answers[words[0]] = KeyboardInterrupt()
    done = run(*words)
    assert (done.code, done.out, done.err) == (130, "", "error: interrupted; nothing was written\n")


def test_an_interrupted_stream_does_not_claim_that_nothing_was_written(run, workflows):
    """Rows that went to standard output cannot be taken back."""
    workflows.answers["score"] = KeyboardInterrupt()
    assert run("score", "x", "-o", "-").err == "error: interrupted\n"
    assert run("score", "-").err == "error: interrupted\n"


@pytest.mark.parametrize(
    ("sent", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_cleans_up(tmp_path: Path, sent: signal.Signals, code: int, said: str):
    """A signal ends the run by its own code, and temporary files go."""
    table = tmp_path / "x"
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, "score", str(table)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "begun\n"
        assert list(tmp_path.iterdir()) == [tmp_path / "x.tmp"]
        process.send_signal(sent)
        err = process.stderr.read()
    assert process.returncode == code
    assert err == f"error: {said}; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_went_away_is_141_without_a_word():
    """`vaecli score … | head -1` ends quietly."""
    program = [sys.executable, "-c", WRITING, "score", "x", "-o", "-"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_help_for_a_reader_that_went_away_is_141():
    """`vaecli --help | true` ends quietly, too."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "vaecli", "--help"], stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_summary_for_a_reader_that_went_away_is_141():
    """A summary that nobody reads is no failure of ours."""
    program = WRITING.replace("100_000", "1")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-c", program, "score", "x"], stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_signal_handler_is_given_back(run, workflows):
    """Python code that calls `main` keeps its own answer to SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    run("score", "x")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_warning_of_the_model_is_no_failure(run, workflows):
    """Warnings are part of the summary and leave 0."""
    workflows.answers["fit"] = replace(workflows.answers["fit"], warnings=("few rows",))
    done = run("fit", "x")
    assert done.code == 0
    assert "warning: few rows" in done.out
