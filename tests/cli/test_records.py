"""What a run records for programs: a manifest beside its output, and messages with its identifier."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest

import vaecli
from vaecli.errors import EnvironmentProblem, InputError


@pytest.fixture
def place(bundle: Path, fresh_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a.csv and b.csv with 30 rows, and model.vae."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAECLI_RUN_ID", raising=False)
    for name in ("a.csv", "b.csv"):
        fresh_table[:30].to_csv(name, index=False)
    Path("model.vae").write_bytes(bundle.read_bytes())
    return tmp_path


def entry(name: str) -> dict[str, object]:
    data = Path(name).read_bytes()
    return {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def manifest(name: str) -> dict:
    return json.loads(Path(f"{name}.manifest.json").read_text())


# -- the manifest ---------------------------------------------------------------------------------


def test_a_manifest_of_a_score(run, place: Path):
    """Inputs, bundle and outputs with size and digest, versions, figures, and the words that were typed."""
    words = ["score", "a.csv", "b.csv", "-o", "out.csv", "--fail-on", "0%", "--threshold", "0.5", "--manifest", "-q"]
    assert run(*words).code == 3
    found = manifest("out.csv")
    assert found["inputs"] == [entry("a.csv"), entry("b.csv")]
    assert (found["bundle"], found["outputs"]) == (entry("model.vae"), [entry("out.csv")])
    assert (found["verb"], found["command"], found["exit_code"]) == ("score", words, 3)
    assert (found["summary"]["rows"], found["summary"]["threshold"]) == (60, 0.5)
    assert found["versions"]["vaecli"] == vaecli.__version__
    assert {"python", "numpy", "pyarrow"} <= found["versions"].keys()
    assert found["started_utc"] < found["ended_utc"]
    assert len(found["run_id"]) == 16


def test_a_manifest_names_the_new_rows_only(run, place: Path):
    """With --since-last-run the bytes that were read, and where they begin."""
    words = ("score", "a.csv", "--since-last-run", "s", "-o", "out.csv", "--manifest", "-q")
    run(*words)
    before = Path("a.csv").stat().st_size
    with open("a.csv", "a") as file:
        file.write(Path("b.csv").read_text().partition("\n")[2])
    assert run(*words).code == 0
    [found] = manifest("out.csv")["inputs"]
    new = Path("a.csv").read_bytes()[before:]
    assert found == {
        "file": "a.csv",
        "bytes": len(new),
        "sha256": hashlib.sha256(new).hexdigest(),
        "from_byte": before,
    }


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("check a.csv -o out.csv", "out.csv"),
        ("explain a.csv -o out.csv", "out.csv"),
        ("encode a.csv", "a.encoded.csv"),
        ("reconstruct a.csv", "a.reconstructed.csv"),
        ("sample -n 3 -o out.csv", "out.csv"),
        ("report a.csv", "a.report.html"),
        ("calibrate model.vae b.csv -o new.vae", "new.vae"),
    ],
)
def test_every_output_can_have_one(run, place: Path, words: str, output: str):
    """Whatever the verb: beside its output, which it lists."""
    done = run(*words.split(), "--manifest", "-q")
    assert done.code in (0, 6), done.err
    found = manifest(output)
    assert found["outputs"] == [entry(output)]
    assert found["bundle"] == entry("model.vae")


@pytest.mark.parametrize(
    "words",
    ["check a.csv", "explain a.csv", "score a.csv -o -", "score - ", "score a.csv -o s3://bucket/out.csv"],
)
def test_without_an_output_file_there_is_none(run, place: Path, words: str):
    """A usage error before anything is read."""
    done = run(*words.split(), "--manifest")
    assert done.code == 2
    assert "--manifest is written beside an output file, and there is none" in done.err


def test_a_folder_of_parts_has_its_own(run, place: Path):
    """Its manifest is written by the run itself, and none beside the folder."""
    done = run("score", "a.csv", "-o", "parts/", "--manifest")
    assert (done.code, "has a manifest of its own" in done.err, Path("parts").exists()) == (2, True, False)


def test_a_failed_run_leaves_the_earlier_manifest(run, place: Path):
    """It belongs to the output that is still there."""
    assert run("score", "a.csv", "-o", "out.csv", "--manifest", "-q").code == 0
    before = manifest("out.csv")
    assert run("score", "none.csv", "-o", "out.csv", "--manifest", "-q").code == 4
    assert manifest("out.csv") == before


def test_a_manifest_that_cannot_be_written_is_7(run, place: Path, monkeypatch: pytest.MonkeyPatch):
    """The output is complete, and the message names what is missing."""

    def full(*_: object, **__: object) -> None:
        raise EnvironmentProblem("out.csv.manifest.json: cannot be written: No space left on device")

    monkeypatch.setattr("vaecli.workflows.run_manifest.write_bytes", full)
    done = run("score", "a.csv", "-o", "out.csv", "--manifest", "-q")
    assert (done.code, Path("out.csv").exists()) == (7, True)
    assert done.err == (
        "error: the manifest is not written: out.csv.manifest.json: cannot be written: No space left on device\n"
        "hint: the output is complete\n"
    )


def test_no_secret_of_a_url_is_in_a_manifest(run, place: Path):
    """What was typed is shown without user, password and query."""
    words = ("score", "a.csv", "-o", "out.csv", "--prefix=https://me:secret@host/x?token=secret", "--manifest", "-q")
    assert run(*words).code == 0
    assert "secret" not in Path("out.csv.manifest.json").read_text()


# -- messages -------------------------------------------------------------------------------------


def lines(err: str) -> list[dict]:
    found = [json.loads(line) for line in err.splitlines()]
    assert len({(one["run_id"], one["verb"]) for one in found}) == 1
    assert all(one["time"].endswith("+00:00") for one in found)
    return found


def test_an_error_is_an_object(run, workflows):
    """Message, hint and exit code, in one line; standard output stays as it is."""
    workflows.answers["score"] = InputError("a.csv, line 3:\n  'x'", "mend it")
    done = run("score", "a.csv", "--log-format", "json")
    [found] = lines(done.err)
    assert (found["level"], found["message"], found["hint"]) == ("error", "a.csv, line 3:\n  'x'", "mend it")
    assert (found["exit_code"], done.code, done.out) == (4, 4, "")


def test_mistakes_and_bugs_are_objects(run, workflows):
    """Also before the options are read, and with the traceback of a bug."""
    assert lines(run("score", "a.csv", "--log-format=json", "--no-such").err)[0]["exit_code"] == 2
    workflows.answers["score"] = ZeroDivisionError("division by zero")
    [found] = lines(run("score", "a.csv", "--log-format", "json").err)
    assert (found["exit_code"], "ZeroDivisionError" in found["traceback"]) == (1, True)
    workflows.answers["score"] = KeyboardInterrupt()
    assert lines(run("score", "a.csv", "--log-format", "json").err)[0]["exit_code"] == 130


def test_stages_and_the_summary_are_objects(run, place: Path, monkeypatch: pytest.MonkeyPatch):
    """Stages as with --verbose; the figures where rows go to standard output; with --quiet nothing."""
    monkeypatch.setenv("VAECLI_RUN_ID", "dag 7")
    done = run("score", "a.csv", "-o", "-", "--log-format", "json")
    stage, summary = lines(done.err)
    assert stage["message"].startswith("scoring: 30 rows in ")
    assert (summary["level"], summary["summary"]["rows"], summary["run_id"]) == ("info", 30, "dag 7")
    assert done.out.count("\n") == 31
    assert run("score", "a.csv", "-o", "-", "--log-format", "json", "-q").err == ""


def test_a_log_format_that_is_none(run, workflows):
    """A usage error names the two that there are."""
    done = run("score", "a.csv", "--log-format", "xml")
    assert (done.code, workflows.calls) == (2, [])
    assert done.err.startswith("error: --log-format 'xml' is not one of text, json\n")
    assert not os.path.exists("model.vae")
