"""Settings come from defaults, a file, the environment and flags, and every mistake is named at once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vaecli.config import FitConfig, FormerName, ScoreConfig, fit_config, score_config, seconds
from vaecli.config.fail_on import Gate
from vaecli.errors import UsageError


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "vaecli.toml"
    file.write_text('preset = "fast"\n[train]\nseed = 1\nmax_epochs = 10\n[columns]\nexclude = ["a", "b"]\n')
    return file


def refused(*arguments, **named) -> str:
    with pytest.raises(UsageError) as caught:
        fit_config(*arguments, **{"environment": {}, **named})
    return caught.value.message


def test_defaults_need_nothing():
    """Without any setting, the configuration is the default one."""
    assert fit_config({}, environment={}) == FitConfig()
    assert score_config({}, environment={}) == ScoreConfig()


def test_a_flag_goes_before_the_environment_before_the_file(settings_file: Path):
    """Defaults < file < environment < flags."""
    environment = {"VAECLI_SEED": "2", "VAECLI_MAX_EPOCHS": "20"}
    config = fit_config({"train.seed": 3}, settings_file, environment)
    assert (config.train.seed, config.train.max_epochs) == (3, 20)
    assert config.columns.exclude == ("a", "b")
    assert config.preset == "fast"


def test_a_former_name_works_and_warns(tmp_path: Path):
    """`model.crossed_below` sets `model.full_crossfit_below`, from a file or from Python, with one warning each."""
    file = tmp_path / "old.toml"
    file.write_text("[model]\ncrossed_below = 5\n")
    for flags, path in (({}, file), ({"model.crossed_below": 5}, None)):
        with pytest.warns(FormerName, match="model.crossed_below is now called model.full_crossfit_below") as warned:
            config = fit_config(flags, path, environment={})
        assert (config.model.full_crossfit_below, len(warned)) == (5, 1)


def test_a_former_name_beside_the_current_one_is_a_mistake(tmp_path: Path):
    """Two names of one setting are ambiguous, wherever they come from."""
    file = tmp_path / "old.toml"
    file.write_text("[model]\ncrossed_below = 5\n")
    assert "model.crossed_below is the former name" in refused({"model.full_crossfit_below": 6}, file)


def test_an_empty_variable_and_a_flag_not_given_are_ignored():
    """`VAECLI_SEED=` and an option left out leave the default alone."""
    assert fit_config({"train.seed": None, "columns.id": ()}, environment={"VAECLI_SEED": ""}) == FitConfig()


def test_columns_of_one_unit_raise_the_floor_of_variances():
    """With `same_unit` the floor is −3 unless it is given; without it nothing moves."""
    told = fit_config({"columns.same_unit": ("a", "b")}, environment={})
    assert (told.columns.same_unit, told.model.min_log_variance) == (("a", "b"), -3)
    given = {"columns.same_unit": ("all",), "model.min_log_variance": -5}
    assert fit_config(given, environment={}).model.min_log_variance == -5
    assert fit_config({}, environment={}).model.min_log_variance == -6


def test_a_preset_moves_the_defaults_and_no_more(tmp_path: Path):
    """Explicit settings of a file override those of a preset."""
    file = tmp_path / "a.toml"
    file.write_text("[heteroscedastic]\nn_hidden = 7\n")
    config = fit_config({"preset": "fast"}, file, {})
    assert config.heteroscedastic.n_hidden == 7
    assert config.homoscedastic.n_hidden < FitConfig().homoscedastic.n_hidden
    assert config.train.max_steps < FitConfig().train.max_steps


def test_all_mistakes_are_named_at_once_with_their_origin(tmp_path: Path):
    """A flag is named as typed, a variable by its name, a file by its path and setting."""
    file = tmp_path / "bad.toml"
    file.write_text('speed = 1\n[train]\npatience = "long"\nn_layers = 3\nlearning_rate = 2.0\nseed = true\n')
    message = refused(
        {"train.max_epochs": "x", "calibration.threshold": 99.0, "train.time_budget_seconds": "soon"},
        file,
        environment={"VAECLI_DEVICE": "tpu"},
    )
    for expected in (
        "9 problems",
        f"{file}: unknown setting 'speed'",
        f"{file}: train.patience = 'long' is not a whole number",
        f"{file}: train.n_layers: unknown setting; train has seed, device",
        f"{file}: train.learning_rate = 2 is not strictly between 0 and 1",
        f"{file}: train.seed = True is not a whole number",
        "--max-epochs 'x' is not a whole number",
        "--time-budget 'soon' is not a duration such as 90s",
        "--threshold 99 is not strictly between 0 and 1; did you mean 0.99?",
        "VAECLI_DEVICE 'tpu' is not one of auto, cpu, cuda",
    ):
        assert expected in message


def test_one_mistake_is_one_line():
    """A single mistake is reported without a list."""
    assert refused({"train.seed": -1}) == "--seed -1 is not between 0 and 9223372036854775807"


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_huge_numbers_are_refused_not_raised(value: int):
    """A number that no float holds is out of range like any other."""
    assert str(value) in refused({"train.seed": value})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "1"])
def test_a_threshold_is_strictly_between_0_and_1(value: str):
    """Not-a-number, the infinities and both ends are no level."""
    assert "--threshold" in refused({"calibration.threshold": value})


@pytest.mark.parametrize("text", ["seed = ", "a = [1", "\udc80"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str):
    """A broken settings file is a usage error with its name, not a traceback."""
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert f"{file}: not TOML" in refused({}, file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    """A missing file and a folder are usage errors with their names."""
    assert "missing.toml: No such file" in refused({}, tmp_path / "missing.toml")
    assert f"{tmp_path}: Is a directory" in refused({}, tmp_path)


@pytest.mark.parametrize(
    "text", ["train = 3", "[columns]\nexclude = 3", "[columns]\nexclude = [3]", "[columns]\nlabel = 3"]
)
def test_a_file_with_other_types_is_refused(tmp_path: Path, text: str):
    """A stage that is no table and names that are no text are named."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    assert str(file) in refused({}, file)


def test_a_column_plays_one_part():
    """Columns in two parts, and columns both in and out, are all listed."""
    message = refused(
        {
            "columns.label": "y",
            "columns.time": "y",
            "columns.id": ("a", "a", "g"),
            "columns.group": "g",
            "columns.columns": ("a", "b"),
            "columns.exclude": ("b",),
        }
    )
    assert "'y' is named by --label and --time" in message
    assert "'g' is named by --group and --id" in message
    assert "'b' is named by --columns and --exclude" in message
    assert "'a'" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172800), (" 5 m ", 300), (7, 7)],
)
def test_durations(text: str | float, expected: float):
    """A duration is a number and s, m, h or d; seconds without."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "1w", "1e3", "10 minutes", True])
def test_what_is_no_duration(text: str):
    """Anything else is refused."""
    with pytest.raises((ValueError, TypeError)):
        seconds(text)


def test_score_settings_list_their_mistakes():
    """Flags of `score` are checked together, as those of `fit` are."""
    with pytest.raises(UsageError) as caught:
        score_config({"threshold": "1.5", "score_kind": "best", "batch_rows": "0", "fail_on": "half"}, environment={})
    for expected in ("--threshold 1.5", "--score-kind 'best'", "--batch-rows 0", "--fail-on 'half'"):
        assert expected in caught.value.message


def test_score_settings_become_their_types():
    """Text from a command line becomes numbers."""
    config = score_config({"threshold": "0.999", "batch_rows": "10", "fail_on": "2%"}, environment={})
    assert config == ScoreConfig(threshold=0.999, batch_rows=10, fail_on="2%")


def test_a_threshold_and_a_minimum_score_contradict():
    """Two flags cannot both decide, but a flag silences a variable."""
    with pytest.raises(UsageError, match="give one"):
        score_config({"threshold": 0.9, "min_score": 3}, environment={})
    config = score_config({"min_score": "3"}, environment={"VAECLI_THRESHOLD": "0.9"})
    assert (config.threshold, config.min_score) == (None, 3.0)


def test_score_reads_the_environment():
    """A variable sets what no flag does."""
    environment = {"VAECLI_THRESHOLD": "0.9", "VAECLI_DEVICE": "cpu", "VAECLI_SCORE_KIND": "reconstruction"}
    config = score_config({"threshold": "0.99"}, environment=environment)
    assert (config.threshold, config.device, config.score_kind) == (0.99, "cpu", "reconstruction")


@pytest.mark.parametrize("wrong", [{"min_score": float("nan")}, {"threshold": 1.0}, {"batch_rows": 0}, {"device": "x"}])
def test_settings_made_in_python_are_checked_too(wrong: dict):
    """Values of Python's own types are refused as on the command line, and taken when they are right."""
    with pytest.raises(UsageError):
        score_config(wrong, environment={})
    assert score_config({"threshold": 0.5}, environment={}) == ScoreConfig(threshold=0.5)


@pytest.mark.parametrize(
    ("text", "flagged", "rows", "met"),
    [
        ("any", 0, 10, False),
        ("any", 1, 10, True),
        ("10", 10, 100, False),
        ("10", 11, 100, True),
        ("2.5%", 25, 1000, False),
        ("2.5%", 26, 1000, True),
        ("29%", 29, 100, False),  # 0.29 * 100 is 28.999…
        ("0%", 0, 0, False),
    ],
)
def test_a_gate_is_met_above_its_limit(text: str, flagged: int, rows: int, met: bool):
    """`--fail-on` counts what is more than its limit."""
    assert Gate.parse(text).is_met(flagged, rows) is met


@given(percent=st.integers(0, 100), rows=st.integers(0, 10**6), flagged=st.integers(0, 10**6))
def test_a_share_is_compared_exactly(percent: int, rows: int, flagged: int):
    """A gate in per cent never rounds."""
    assert Gate.parse(f"{percent}%").is_met(flagged, rows) is (Fraction(flagged) * 100 > percent * rows)


@pytest.mark.parametrize("text", ["", "all", "-1", "1.5", "101%", "%", "1e3", "5 %", "any%"])
def test_what_is_no_gate(text: str):
    """Anything else than any, N and P% is a usage error."""
    with pytest.raises(UsageError, match="fail-on"):
        Gate.parse(text)
