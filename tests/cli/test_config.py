"""`vaecli config show`: the settings that a verb would use, and where each comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.published import assert_published
from vaecli.config import fit_config
from vaecli.config.origins import VARIABLES


def shown(run, *words: str) -> dict[str, tuple[object, str]]:
    done = run("config", "show", *words, "--json")
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert_published(answer)
    return {one["name"]: (one["value"], one["origin"]) for one in answer["settings"]}


def test_every_origin(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Default, preset, file and variable; the variable wins over the file, and both over the preset."""
    file = tmp_path / "s.toml"
    file.write_text('preset = "fast"\n[train]\nseed = 5\nmax_epochs = 9\n[columns]\nsame_unit = ["a", "b"]\n')
    monkeypatch.setenv("VAECLI_SEED", "7")
    found = shown(run, "fit", "--config", str(file))
    assert found["train.seed"] == (7, "VAECLI_SEED")
    assert found["train.max_epochs"] == (9, str(file))
    assert found["preset"] == ("fast", str(file))
    assert found["model.n_exemplars"] == (1000, "preset fast")
    assert found["model.min_log_variance"] == (-3.0, "columns.same_unit")
    assert found["train.learning_rate"] == (0.003, "default")
    config = fit_config({}, file)
    assert (config.train.seed, config.train.max_epochs, config.model.n_exemplars) == (7, 9, 1000)


def test_the_bundle(run, monkeypatch: pytest.MonkeyPatch):
    """Where every verb looks for the bundle."""
    assert shown(run)["bundle"] == ("model.vae", "default")
    monkeypatch.setenv("VAECLI_MODEL", "pump.vae")
    assert shown(run)["bundle"] == ("pump.vae", "VAECLI_MODEL")


def test_settings_of_score_and_check(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Variables of scoring, and the limits of a file."""
    monkeypatch.setenv("VAECLI_THRESHOLD", "0.9")
    monkeypatch.setenv("VAECLI_WORKERS", "2")
    score = shown(run, "score")
    assert (score["threshold"], score["explain"]) == ((0.9, "VAECLI_THRESHOLD"), (0, "default"))
    file = tmp_path / "s.toml"
    file.write_text('[incidents]\nincident_state = "s"\ncooldown = "6h"\n')
    score = shown(run, "score", "--config", str(file))
    assert score["incidents.cooldown_seconds"] == (21_600.0, str(file))
    assert score["incidents.incident_state"] == ("s", str(file))
    assert score["incidents.after"] == (10, "default")
    file.write_text("[check]\nwarn_share = 0.02\n")
    check = shown(run, "check", "--config", str(file))
    assert check["warn_share"] == (0.02, str(file))
    assert check["fail_share"] == (0.05, "default")
    assert check["workers"] == (2, "VAECLI_WORKERS")


def test_the_page(run):
    """For a person: a line per setting."""
    done = run("config", "show")
    assert done.out.splitlines()[0] == "Settings of `vaecli fit` without options"
    assert "train.seed                 0          default\n" in done.out
    assert run("config", "show", "--quiet").out == ""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("config", "Missing argument 'show'"),
        ("config list", "config can show, not 'list'"),
        ("config show encode", "'encode' has no settings to show"),
        ("config show score --config none.toml", "none.toml: No such file"),
        ("config show --config none.toml", "none.toml: No such file"),
    ],
)
def test_what_cannot_be_shown(run, words: str, names: str):
    """Usage errors of two lines."""
    done = run(*words.split())
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 2)
    assert names in done.err.splitlines()[0]


def test_a_setting_out_of_range_is_refused(run, monkeypatch: pytest.MonkeyPatch):
    """As the verb itself would refuse it."""
    monkeypatch.setenv("VAECLI_SEED", "-3")
    done = run("config", "show")
    assert (done.code, "VAECLI_SEED" in done.err) == (2, True)


def test_a_variable_that_nothing_reads_is_named(run, monkeypatch: pytest.MonkeyPatch):
    """A slip in the name of a variable would otherwise be a setting that is silently not made."""
    monkeypatch.setenv("VAECLI_TRESHOLD", "0.9")
    monkeypatch.setenv("VAECLI_RUN_ID", "7")
    done = run("config", "show", "score")
    assert done.code == 0
    said = "VAECLI_TRESHOLD: no verb reads this variable (did you mean 'VAECLI_THRESHOLD'?)"
    assert done.err == f"warning: {said}\n"
    assert run("config", "show", "score", "--quiet").err == ""


def test_every_variable_that_is_read_is_known():
    """The list is that of the sources."""
    sources = [path.read_text() for path in (Path(__file__).parents[2] / "vaecli").rglob("*.py")]
    assert set(VARIABLES) == {name for text in sources for name in re.findall(r"VAECLI_[A-Z]\w*", text)}
