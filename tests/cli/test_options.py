"""What is typed arrives in the workflow's config."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vaecli.cli.options import names
from vaecli.config import FitConfig, ScoreConfig
from vaecli.errors import UsageError


def test_fit_with_nothing_but_a_table(run, workflows):
    """The defaults: model.vae, and the default settings."""
    run("fit", "a.csv", "b.csv")
    ((inputs, output, config), _), *_ = workflows.calls
    assert (inputs, output, config) == (["a.csv", "b.csv"], Path("model.vae"), FitConfig())


def test_every_option_of_fit_arrives(run, workflows, tmp_path: Path):
    """Each flag sets its own setting."""
    file = tmp_path / "s.toml"
    file.write_text("[homoscedastic]\nn_latent = 3\n")
    line = (
        "fit a.csv -o b.vae --columns a,b --columns c --exclude d --label e --id f,g --time h --group i "
        "--threshold 0.95 --score-kind reconstruction --preset fast --seed 7 --max-epochs 9 --time-budget 2m "
        f"--device cpu --resume -v --config {file}"
    )
    assert run(*line.split()).code == 0
    ((_, output, config), _), *_ = workflows.calls
    assert output == Path("b.vae")
    columns = config.columns
    assert (columns.columns, columns.exclude, columns.label) == (("a", "b", "c"), ("d",), "e")
    assert (columns.id, columns.time, columns.group) == (("f", "g"), "h", "i")
    assert (config.calibration.threshold, config.score_kind, config.preset) == (0.95, "reconstruction", "fast")
    train = config.train
    assert (train.seed, train.max_epochs, train.time_budget_seconds, train.device) == (7, 9, 120, "cpu")
    assert (config.resume, config.homoscedastic.n_latent) == (True, 3)


def test_score_with_nothing_but_a_table(run, workflows):
    """The defaults: model.vae, an output beside the input, and the settings of the bundle."""
    run("score", "a.csv")
    assert workflows.calls[0][0] == (["a.csv"], Path("model.vae"), None, ScoreConfig())


def test_every_option_of_score_arrives(run, workflows):
    """Each flag sets its own setting."""
    line = (
        "score a.csv -m b.vae -o c.csv --threshold 0.95 --score-kind reconstruction --fail-on 50% --anomalies-only "
        "--prefix v_ --batch-rows 10 --device cpu"
    )
    assert run(*line.split()).code == 0
    assert workflows.calls[0][0] == (
        ["a.csv"],
        Path("b.vae"),
        "c.csv",
        ScoreConfig(
            threshold=0.95,
            score_kind="reconstruction",
            fail_on="50%",
            anomalies_only=True,
            prefix="v_",
            batch_rows=10,
            device="cpu",
        ),
    )


def test_a_negative_minimum_score_is_a_value(run, workflows):
    """`--min-score -3.5` is no unknown option."""
    assert run("score", "a.csv", "--min-score", "-3.5").code == 0
    assert workflows.calls[0][0][3].min_score == -3.5


@pytest.mark.parametrize("words", [["fit", "a"], ["score", "a"], ["inspect"]], ids=" ".join)
def test_the_environment_names_the_bundle(run, workflows, monkeypatch: pytest.MonkeyPatch, words: list[str]):
    """VAECLI_MODEL is where every verb looks for the bundle."""
    monkeypatch.setenv("VAECLI_MODEL", "other.vae")
    run(*words)
    assert Path("other.vae") in workflows.calls[0][0]


def test_a_pipe_in_is_a_pipe_out(run, workflows):
    """`vaecli score -` writes to standard output by default, and keeps it free of summaries."""
    done = run("score", "-")
    assert workflows.calls[0][0][2] == "-"
    assert done.out == ""
    assert "flagged" in done.err
    run("score", "-", "-o", "x.csv")
    assert workflows.calls[1][0][2] == "x.csv"


def test_a_terminal_is_no_table(run, workflows, monkeypatch: pytest.MonkeyPatch):
    """`vaecli score -` without a pipe explains itself instead of waiting."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    done = run("score", "-")
    assert done.code == 2
    assert "standard input is a terminal" in done.err


def test_inspect_lists_the_schema(run, workflows):
    """`--schema` shows kinds, ranges, categories and reasons."""
    out = run("inspect", "model.vae", "--schema").out
    for expected in ("temp", "numeric", "-1.5 … 99", "north, south", "every value is different"):
        assert expected in out


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, ()),
        (["a,b", "c"], ("a", "b", "c")),
        (["a, b"], ("a", "b")),
        (['"a, b",c'], ("a, b", "c")),
        (['"say ""hi"""'], ('say "hi"',)),
        (["a,,a"], ("a",)),
        (['5" pipe'], ('5" pipe',)),
        ([""], ()),
    ],
)
def test_names(given_: list[str] | None, expected: tuple[str, ...]):
    """Names repeat or are separated by commas; one that holds a comma goes in double quotes."""
    assert names(given_) == expected


@given(st.lists(st.text(min_size=1).filter(lambda name: "\r" not in name and "\n" not in name and "\0" not in name)))
def test_every_name_can_be_typed(columns: list[str]):
    """Whatever a column is called, its name in double quotes means it."""
    typed = ",".join('"' + name.replace('"', '""') + '"' for name in columns)
    assert names([typed]) == tuple(dict.fromkeys(columns))


@pytest.mark.parametrize("typed", ['"a', '"a"b'])
def test_what_is_no_list_of_names(typed: str):
    """Quotes that do not close are a usage error."""
    with pytest.raises(UsageError, match="not a list of column names"):
        names([typed])
