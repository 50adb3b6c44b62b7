"""Runs that nobody watches: one at a time, and what they leave for a monitor, however they end."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.cli.conftest import CHECK, SCORE, Pretence
from tests.published import assert_published
from vaecli.cli import unattended
from vaecli.errors import BundleError, InputError
from vaecli.results.check import Finding
from vaecli.runtime import atomic_file

LOCKABLE = ("fit", "score", "check", "explain", "evaluate", "selftest", "encode", "reconstruct", "report")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def held() -> Iterator[None]:
    """Another run that holds the lock on run.lock."""
    with open("run.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def metrics(path: str = "pump.prom") -> dict[str, float]:
    """The samples by name, without those that have labels of their own."""
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r'vaecli_(\w+)\{job_name="pump",verb="\w+"\} (\S+)', line) for line in lines]
    return {match[1]: float(match[2]) for match in found if match}


def looking(then: object = SCORE) -> tuple[list[dict[str, float]], object]:
    """A workflow that notes what the metrics say while it runs."""
    seen: list[dict[str, float]] = []

    def workflow() -> object:
        seen.append(metrics())
        if isinstance(then, BaseException):
            raise then
        return then

    return seen, workflow


# -- metrics --------------------------------------------------------------------------------------


def test_a_run_that_is_done(run, workflows: Pretence):
    """What it counted, when it ended, and nothing beside the file."""
    Path("model.vae").write_bytes(b"")
    os.utime("model.vae", (1_000_000, 1_000_000))
    assert run("score", "a.csv", "--metrics", "pump.prom").code == 0
    found = metrics()
    assert (found["rows"], found["flagged_rows"], found["flagged_ratio"]) == (1000, 20, 0.02)
    assert found["expected_flagged_ratio"] == pytest.approx(0.01)
    assert (found["exit_code"], found["running"], found["skipped_runs"]) == (0, 0, 0)
    assert found["start_timestamp_seconds"] <= found["end_timestamp_seconds"]
    assert found["last_success_timestamp_seconds"] == found["end_timestamp_seconds"]
    assert found["bundle_age_seconds"] == pytest.approx(found["end_timestamp_seconds"] - 1_000_000)
    assert 0 <= found["duration_seconds"] < 60
    assert sorted(os.listdir()) == ["model.vae", "pump.prom"]


def test_nothing_is_written_without_the_option(run, workflows: Pretence):
    """A run leaves no metrics by itself, and --help leaves none either."""
    run("score", "a.csv")
    run("score", "--metrics", "pump.prom", "--help")
    assert os.listdir() == []


@pytest.mark.parametrize("verb", ["fit", "check"])
def test_the_other_verbs_with_metrics(run, workflows: Pretence, verb: str):
    """A fit counts the rows of training, a check those that it compared."""
    assert run(verb, "a.csv", "--metrics", "pump.prom").code == 0
    assert metrics()["rows"] == (1200 if verb == "fit" else 1000)


def test_drift_is_done_and_named(run, workflows: Pretence):
    """A check that fails has done its work: a success with exit code 6 and the level of the drift."""
    finding = Finding("fail", "range", "flow", "0 %", "9 %", 0.09, 0.01, "flow lies outside")
    workflows.answers["check"] = dataclasses.replace(CHECK, level="fail", findings=(finding,))
    assert run("check", "a.csv", "--metrics", "pump.prom").code == 6
    found = metrics()
    assert (found["exit_code"], found["drift_level"]) == (6, 2)
    assert found["last_success_timestamp_seconds"] == found["end_timestamp_seconds"]


def test_a_gate_is_done(run, workflows: Pretence):
    """--fail-on: exit code 3, and the figures are there."""
    assert run("score", "a.csv", "--fail-on", "any", "--metrics", "pump.prom").code == 3
    assert (metrics()["exit_code"], metrics()["flagged_rows"]) == (3, 20)


FAILURES = {
    "input": (InputError("a.csv: empty"), 4),
    "bundle": (BundleError("model.vae: not a bundle"), 5),
    "bug": (ZeroDivisionError("division by zero"), 1),
    "interrupt": (KeyboardInterrupt(), 130),
    "reader": (BrokenPipeError(32, "Broken pipe"), 141),
    "memory": (MemoryError(), 7),
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("ending", ["done", "gate", "drift", "skipped", "under way", *FAILURES])
def test_promtool_accepts_the_page_of_a_run(run, workflows: Pretence, ending: str):
    """Prometheus' own checker has nothing to report, however the run ended, and while it is under way."""
    checked: list[object] = []

    def check() -> None:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=Path("a.prom").read_bytes(), capture_output=True, check=False
        )
        checked.append((done.returncode, done.stdout, done.stderr))

    verb, more = ("check" if ending == "drift" else "score"), ["--fail-on", "any"] if ending == "gate" else []
    if ending in FAILURES:
        workflows.answers[verb] = FAILURES[ending][0]
    elif ending == "under way":
        workflows.answers[verb] = lambda: (check(), SCORE)[1]
    elif ending == "drift":
        finding = Finding("fail", "range", 'flow "raw"\n\\', "0 %", "9 %", 0.09, 0.01, "flow lies outside")
        workflows.answers[verb] = dataclasses.replace(CHECK, level="fail", findings=(finding,))
    with open("run.lock", "w") as file:
        if ending == "skipped":
            fcntl.flock(file, fcntl.LOCK_EX)
        run(verb, "a.csv", *more, "--metrics", "a.prom", "--lock", "run.lock")
    check()
    assert checked == [(0, b"", b"")] * (2 if ending == "under way" else 1)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_run_keeps_the_last_success(run, workflows: Pretence, failure: str):
    """The code of the failure, the time of the last success, and no figure of the run before."""
    problem, code = FAILURES[failure]
    run("score", "a.csv", "--metrics", "pump.prom")
    before = metrics()
    workflows.answers["score"] = problem
    assert run("score", "a.csv", "--metrics", "pump.prom").code == code
    found = metrics()
    assert (found["exit_code"], found["running"]) == (code, 0)
    assert found["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert found["end_timestamp_seconds"] > before["end_timestamp_seconds"]
    assert "rows" not in found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_run_says_so(run, workflows: Pretence, number: int):
    """SIGTERM and SIGHUP: 143 and 129 in the metrics too."""
    workflows.answers["score"] = lambda: os.kill(os.getpid(), number)
    code = run("score", "a.csv", "--metrics", "pump.prom").code
    assert code == 128 + number
    assert (metrics()["exit_code"], metrics()["running"]) == (code, 0)


def test_a_run_under_way_says_so(run, workflows: Pretence):
    """Until it ends the page says that it runs and keeps the figures of the run before: what `kill -9` leaves."""
    run("score", "a.csv", "--metrics", "pump.prom")
    before = metrics()
    seen, workflows.answers["score"] = looking()
    run("score", "a.csv", "--metrics", "pump.prom")
    assert seen[0]["running"] == 1
    assert seen[0]["start_timestamp_seconds"] > before["start_timestamp_seconds"]
    changing = ("running", "start_timestamp_seconds")
    assert {name: value for name, value in seen[0].items() if name not in changing} == {
        name: value for name, value in before.items() if name not in changing
    }


@pytest.mark.parametrize("words", ["--no-such --metrics pump.prom", "--metrics=pump.prom --threshold 7"])
def test_a_mistyped_run_says_so(run, workflows: Pretence, words: str):
    """Usage errors are found before or after the options are read: exit code 2 either way."""
    assert run("score", "a.csv", *words.split()).code == 2
    assert metrics()["exit_code"] == 2


def test_metrics_end_in_prom(run, workflows: Pretence):
    """The collector reads no other files, and a table named by mistake is not replaced."""
    Path("a.csv").write_text("a\n1\n")
    done = run("score", "a.csv", "--metrics", "a.csv")
    assert (done.code, workflows.calls) == (2, [])
    assert done.err.startswith("error: --metrics a.csv: the collector reads files that end in .prom\nhint: ")
    assert Path("a.csv").read_text() == "a\n1\n"


def test_metrics_that_cannot_be_written_are_found_before_the_work(run, workflows: Pretence):
    """A folder that does not exist is a usage error, and the workflow does not begin."""
    done = run("score", "a.csv", "--metrics", "no/pump.prom")
    assert (done.code, workflows.calls) == (2, [])
    assert "no/pump.prom: no such directory" in done.err


def test_metrics_that_fail_at_the_end_fail_no_run(run, workflows: Pretence, monkeypatch: pytest.MonkeyPatch):
    """A disk that is full by then: one warning, and the exit code of the run."""
    real, n_calls = atomic_file.replacing, []

    def full_at_the_end(*given: object, **named: object) -> object:
        n_calls.append(1)
        if len(n_calls) > 1:
            raise atomic_file.EnvironmentProblem("pump.prom: cannot be written: No space left on device")
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic_file, "replacing", full_at_the_end)
    done = run("score", "a.csv", "--quiet", "--metrics", "pump.prom")
    assert (done.code, done.out) == (0, "")
    assert done.err == ("warning: the metrics are not written: pump.prom: cannot be written: No space left on device\n")


def test_a_bundle_that_cannot_exist_leaves_the_exit_code(run, workflows: Pretence):
    """Its age is left out of the metrics, whatever hinders a look at it."""
    workflows.answers["score"] = BundleError("there is no such bundle")
    assert run("score", "a.csv", "-m", "n" * 300, "--metrics", "pump.prom").code == 5
    assert metrics()["exit_code"] == 5
    assert "bundle_age_seconds" not in metrics()


def test_metrics_need_no_locks_of_the_file_system(run, workflows: Pretence, monkeypatch: pytest.MonkeyPatch):
    """Where flock is refused, as on some network file systems, the metrics are written all the same."""

    def refused(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert run("score", "a.csv", "--metrics", "pump.prom").code == 0
    assert metrics()["exit_code"] == 0


def test_the_file_that_is_written_is_no_file_of_the_collector(
    run, workflows: Pretence, monkeypatch: pytest.MonkeyPatch
):
    """Its name until the rename neither ends in .prom nor begins with a dot."""
    renamed = []
    real = os.replace

    def watched(temporary: str, target: str) -> None:
        renamed.append(os.path.basename(temporary))
        real(temporary, target)

    monkeypatch.setattr(os, "replace", watched)
    run("score", "a.csv", "--metrics", "pump.prom")
    assert len(renamed) == 2
    assert all(name.startswith("vaecli-") and name.endswith(".part") for name in renamed)


# -- one run at a time ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", LOCKABLE)
def test_a_held_lock_is_7(run, workflows: Pretence, held: None, verb: str):
    """Nothing is done, and the message names the lock."""
    done = run(verb, "a.csv", "--lock", "run.lock")
    assert (done.code, workflows.calls) == (7, [])
    assert done.err.startswith("error: run.lock: another run holds the lock\nhint: ")


def test_a_held_lock_can_be_skipped(run, workflows: Pretence, held: None):
    """--skip-if-locked: 0, one line, with --quiet none; with --json an object."""
    words = ("score", "a.csv", "--lock", "run.lock", "--skip-if-locked")
    done = run(*words)
    assert (done.code, done.out, done.err) == (0, "", "skipped: run.lock: another run holds the lock\n")
    assert run(*words, "--quiet").err == ""
    answer = json.loads(run(*words, "--quiet", "--json").out)
    assert_published(answer)
    assert answer == {"schema_version": 2, "skipped": "run.lock: another run holds the lock", "exit_code": 0}
    assert workflows.calls == []


def test_a_lock_is_given_back(run, workflows: Pretence):
    """Run after run gets it, also after one that failed; the file is made once and stays empty."""
    for answer, code in ((SCORE, 0), (InputError("a.csv: empty"), 4), (SCORE, 0)):
        workflows.answers["score"] = answer
        assert run("score", "a.csv", "--lock", "run.lock").code == code
    assert Path("run.lock").read_bytes() == b""


def test_a_lock_is_held_while_the_run_goes_on(run, workflows: Pretence):
    """Neither `flock` nor another vaecli gets it meanwhile."""
    taken = []

    def workflow() -> object:
        with open("run.lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                taken.append(False)
        return SCORE

    workflows.answers["score"] = workflow
    assert run("score", "a.csv", "--lock", "run.lock").code == 0
    assert taken == [False]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("--skip-if-locked", "--skip-if-locked needs --lock"),
        ("--lock a.csv", "--lock a.csv: is a file of this run"),
        ("--lock ./model.vae", "--lock ./model.vae: is a file of this run"),
        ("--lock out.csv -o out.csv", "--lock out.csv: is a file of this run"),
        ("--lock no/run.lock", "no/run.lock: no such directory"),
    ],
)
def test_locks_that_cannot_be_meant(run, workflows: Pretence, words: str, names: str):
    """A usage error with a hint, before anything is done."""
    done = run("score", "a.csv", *words.split())
    assert (done.code, workflows.calls) == (2, [])
    assert names in done.err.splitlines()[0]
    assert os.listdir() == []


@pytest.mark.parametrize("skip", [True, False])
def test_a_skipped_run_says_so(run, workflows: Pretence, skip: bool):
    """It is counted; what the last run found, and that another is under way, stays."""
    run("score", "a.csv", "--metrics", "pump.prom")
    before = metrics()
    words = ["score", "a.csv", "--metrics", "pump.prom", "--lock", "run.lock", *["--skip-if-locked"] * skip]
    with open("run.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(2):
            run(*words)
    assert metrics() == before | {"skipped_runs": 2, "exit_code": 0 if skip else 7}
    assert run(*words).code == 0
    assert metrics()["skipped_runs"] == 0


# -- names that are empty, and locks on files of the run --------------------------------------------


OPTIONS = [
    (verb, option)
    for verb in ("fit", "score", "check", "explain", "evaluate", "selftest", "encode", "reconstruct", "report", "flag")
    for option in unattended.file_options(
        unattended.signature(getattr(import_module(f"vaecli.cli.{verb}"), verb), verb)
    )
]


def test_the_options_that_name_files_are_found():
    """By their metavars, short names too."""
    assert {"-o", "--output", "-m", "--model", "--lock", "--metrics", "--since-last-run", "--state"} <= {
        option for verb, option in OPTIONS if verb == "score"
    }
    assert "--threshold" not in {option for _, option in OPTIONS}


@pytest.mark.parametrize(("verb", "option"), OPTIONS)
def test_an_empty_name_is_refused(run, workflows: Pretence, verb: str, option: str):
    """A variable of a script that is not set: two lines that name the option, and nothing runs."""
    done = run(verb, "a.csv", option, "")
    assert done.code == 2
    assert done.err == f"error: {option} names no file: its value is empty\nhint: name a file; is a variable not set?\n"
    assert os.listdir() == []


@pytest.mark.parametrize("mistake", ["--oops", "--threshold", "--threshold 2", "--log-format yaml", "-o  --lock"])
def test_metrics_by_a_wrong_name_harm_nothing(run, workflows: Pretence, mistake: str):
    """A name that is not FILE.prom is a mistake, and what lies there stays, whatever else is wrong with the words."""
    Path("victim.csv").write_text("a,b\n1,2\n")
    assert run("score", "a.csv", "--metrics", "victim.csv", *mistake.split(" ")).code == 2
    assert Path("victim.csv").read_text() == "a,b\n1,2\n"
    assert os.listdir() == ["victim.csv"]


@pytest.mark.parametrize(
    "more",
    [
        "--since-last-run x",
        "--state x",
        "--incident-state x",
        "--incidents x",
        "--events x",
        "--plot x",
        "--metrics x.prom --lock x.prom",
        "-o y --manifest --lock y.manifest.json",
        "-o x",
        "-m x",
        "--config x",
    ],
)
def test_a_lock_is_no_file_of_the_run(run, workflows: Pretence, more: str):
    """Files that a run replaces take their lock with them: two runs would both hold it."""
    done = run("score", "a.csv", *(["--lock", "x"] if "--lock" not in more else []), *more.split())
    assert done.code == 2
    assert "is a file of this run" in done.err
    assert "--lock" in done.err
    assert set(os.listdir()) <= {"x.prom"}  # which reports the failure
