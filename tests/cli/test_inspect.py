"""`vaecli inspect` on a real bundle."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

import vaecli
from vaecli.bundle import ROWS_FORMAT

FEATURES = ["pressure", "flow", "temperature", "pump_on", "mode"]


def test_the_page_for_people(run, bundle: Path):
    """Where it is, what it was fitted on, what it decides by, its settings and its digests."""
    done = run("inspect", str(bundle))
    said = re.sub(r"\s+", " ", done.out)
    assert (done.code, done.err) == (0, "")
    assert "5 of 5 modelled: 3 numeric, 1 boolean, 1 categorical" in said
    for expected in (
        f"vaecli {vaecli.__version__}",
        "threshold 0.99",
        "n_hidden 16",
        "max_steps 120",
        "arrays.safetensors",
    ):
        assert expected in said


def test_json_is_the_whole_truth(run, bundle: Path):
    """--json: one strict object with a version; its digests are those of the parts in the file."""
    done = run("inspect", str(bundle), "--json")
    told = json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (told["schema_version"], told["verb"], told["format"]) == (2, "inspect", ROWS_FORMAT)
    assert told["size_bytes"] == bundle.stat().st_size
    assert [column["name"] for column in told["columns"]] == FEATURES
    assert told["config"]["heteroscedastic"]["n_hidden"] == 16
    assert (told["calibration"]["threshold"], told["calibration"]["n_rows"]) == (0.99, 600)
    assert told["fit"]["n_rows"] == 600
    with zipfile.ZipFile(bundle) as archive:
        arrays = archive.read("arrays.safetensors")
    assert told["digests"]["arrays.safetensors"] == hashlib.sha256(arrays).hexdigest()


def test_schema_lists_the_columns(run, bundle: Path):
    """--schema: one line per column with its kind, part and range or categories."""
    lines = run("inspect", str(bundle), "--schema").out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [name, kind, "feature"]
        for name, kind in zip(FEATURES, ["numeric"] * 3 + ["boolean", "categorical"], strict=True)
    ]
    assert "…" in lines[1]
    assert lines[4].split()[3:] == ["no,", "yes"]
    assert lines[5].split()[3:] == ["normal,", "eco,", "boost"]


def test_the_bundle_has_a_usual_name(run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without an argument it is model.vae here, or what VAECLI_MODEL names."""
    monkeypatch.chdir(tmp_path)
    assert run("inspect").code == 5
    Path("model.vae").write_bytes(bundle.read_bytes())
    assert run("inspect").code == 0
    Path("model.vae").rename("other.vae")
    monkeypatch.setenv("VAECLI_MODEL", "other.vae")
    assert "other.vae" in run("inspect").out


def test_inspecting_changes_nothing(run, bundle: Path):
    """The file and its folder stay as they were."""
    before = {path: path.read_bytes() for path in bundle.parent.iterdir()}
    run("inspect", str(bundle))
    assert {path: path.read_bytes() for path in bundle.parent.iterdir()} == before
