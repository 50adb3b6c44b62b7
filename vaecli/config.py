"""Settings, one frozen dataclass a stage, and where they come from.

Defaults < project file (`--config FILE.toml`) < environment (`VAECLI_*`) < flags. Presets choose the
defaults of the model and the training. All mistakes of one run are reported together.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from vaecli.errors import UsageError, listed
from vaecli.gate import Gate

PRESETS = ("fast", "default", "best")
SCORE_KINDS = ("combined", "elbo", "reconstruction", "latent")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class ColumnsConfig:
    """Which columns are modelled, and what part the others play."""

    columns: tuple[str, ...] = ()  # only these; empty means all
    exclude: tuple[str, ...] = ()
    label: str | None = None
    id: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    max_categories: int = 128  # the rest become one "other" category


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The ensemble: members of two families, each held out from one fold of the rows."""

    n_noise: int = 4  # Monte Carlo draws stored for the scores that are expectations
    n_exemplars: int = 3000  # training rows a member whose codes are the exemplar prior
    min_log_variance: float = -6.0
    crossed_below: int = 2000  # training rows below which both families hold out every fold; else they take turns


@dataclass(frozen=True, slots=True)
class FamilyConfig:
    """One kind of network: an MLP encoder beside a linear path, a latent space, a mirrored decoder."""

    n_latent: int
    n_hidden: int
    beta: float  # weight of the KL term in training; 1 is the ELBO


HETEROSCEDASTIC = FamilyConfig(n_latent=16, n_hidden=128, beta=1.0)
HOMOSCEDASTIC = FamilyConfig(n_latent=32, n_hidden=64, beta=0.1)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The torch loop."""

    seed: int = 0
    device: str = "auto"
    max_epochs: int = 300
    max_steps: int = 1000
    batch_rows: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.2  # of the steps, or of the time budget, over which the KL weight grows to `beta`
    patience: int = 8  # checks of the held-out ELBO without improvement before stopping
    time_budget_seconds: float | None = None
    memory_bytes: int = 256 * 2**20  # features kept in memory; beyond it they are streamed from disk


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How scores become decisions."""

    threshold: float = 0.99
    n_folds: int = 4
    max_rows: int = 250_000  # rows whose held-out scores calibrate; a seeded sample beyond it


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Everything `vaecli fit` can be told."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    heteroscedastic: FamilyConfig = HETEROSCEDASTIC  # a variance for every cell: local structure
    homoscedastic: FamilyConfig = HOMOSCEDASTIC  # one variance a column, little KL: distance to what is known
    train: TrainConfig = field(default_factory=TrainConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    preset: str = "default"
    score_kind: str = "combined"
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Everything `vaecli score` can be told. None means: as stored in the bundle."""

    threshold: float | None = None
    min_score: float | None = None
    score_kind: str | None = None
    fail_on: str | None = None
    anomalies_only: bool = False
    prefix: str = ""
    batch_rows: int = 16_384
    explain: int = 0  # columns named for each flagged row; 0: no column `top_columns`
    workers: int | None = None  # threads that score; None: as many as there are cores
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """Everything `vaecli explain` can be told."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    top: int = 3  # reasons a row
    rows: tuple[int, ...] = ()  # rows to explain, from 1, flagged or not; none: the flagged ones
    most: int = 20  # rows in the summary, the oddest; a file gets all


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Everything `vaecli evaluate` can be told."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    label: str | None = None  # None: the column that marked anomalies at fit
    group: str | None = None
    baselines: str | None = None  # a table of normal rows; None: no simple methods to compare with
    bootstrap: int = 1000  # draws behind each interval; 0: no intervals
    seed: int = 0


_PRESETS: dict[str, dict[str, Any]] = {
    "fast": {
        "model.n_exemplars": 1000,
        "model.n_noise": 2,
        "model.crossed_below": 0,
        "heteroscedastic.n_hidden": 64,
        "homoscedastic.n_hidden": 32,
        "train.max_steps": 300,
        "calibration.n_folds": 2,
    },
    "default": {},
    "best": {
        "model.n_exemplars": 6000,
        "model.n_noise": 8,
        "model.crossed_below": 10**9,
        "calibration.n_folds": 5,
    },
}

_STAGES = {
    "columns": ColumnsConfig,
    "model": ModelConfig,
    "heteroscedastic": FamilyConfig,
    "homoscedastic": FamilyConfig,
    "train": TrainConfig,
    "calibration": CalibrationConfig,
}
_TOP_LEVEL = {"preset", "score_kind"}
_OWNERS: dict[str, Any] = {
    **_STAGES,
    "": FitConfig,
    "score": ScoreConfig,
    "explain": ExplainConfig,
    "evaluate": EvaluateConfig,
}
_FIT_VARIABLES = {
    "VAECLI_PRESET": "preset",
    "VAECLI_SCORE_KIND": "score_kind",
    "VAECLI_SEED": "train.seed",
    "VAECLI_DEVICE": "train.device",
    "VAECLI_MAX_EPOCHS": "train.max_epochs",
    "VAECLI_TIME_BUDGET": "train.time_budget_seconds",
    "VAECLI_THRESHOLD": "calibration.threshold",
}
_SCORE_VARIABLES = {
    "VAECLI_SCORE_KIND": "score.score_kind",
    "VAECLI_DEVICE": "score.device",
    "VAECLI_THRESHOLD": "score.threshold",
    "VAECLI_WORKERS": "score.workers",
}


def fit_config(
    flags: Mapping[str, Any],
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> FitConfig:
    """Resolve the settings of one fit.

    `flags` maps dotted names (`train.seed`, `preset`) to values; None means "not given". Raises
    UsageError naming every unknown name and every value out of range, with where it came from.
    """
    problems: list[str] = []
    given = {name: (value, f"{file}: {name} =") for name, value in _from_file(file, problems)}
    given |= _from_environment(_FIT_VARIABLES, environment)
    given |= {name: (value, _flag(name)) for name, value in flags.items() if value not in (None, ())}
    settings = {name: _checked(name, value, said, problems) for name, (value, said) in given.items()}
    problems += _contradictions(settings)
    if problems:
        raise _refusal(problems, "fit")

    settings = {**_PRESETS[settings.get("preset", "default")], **settings}
    return FitConfig(
        columns=ColumnsConfig(**_stage(settings, "columns")),
        model=ModelConfig(**_stage(settings, "model")),
        heteroscedastic=replace(HETEROSCEDASTIC, **_stage(settings, "heteroscedastic")),
        homoscedastic=replace(HOMOSCEDASTIC, **_stage(settings, "homoscedastic")),
        train=TrainConfig(**_stage(settings, "train")),
        calibration=CalibrationConfig(**_stage(settings, "calibration")),
        **{name: value for name, value in settings.items() if "." not in name},
    )


def score_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ScoreConfig:
    """Resolve the settings of one scoring run.

    `flags` maps field names of ScoreConfig to values; None means "not given". A `--min-score` flag
    silences `VAECLI_THRESHOLD`: both decide which rows are flagged. Raises UsageError naming every
    value out of range.
    """
    given = _from_environment(_SCORE_VARIABLES, environment)
    if flags.get("min_score") is not None:
        given.pop("score.threshold", None)
    given |= {f"score.{name}": (value, _flag(name)) for name, value in flags.items() if value is not None}
    problems: list[str] = []
    settings = {name: _checked(name, value, said, problems) for name, (value, said) in given.items()}
    if {"score.threshold", "score.min_score"} <= settings.keys():
        problems.append("--threshold and --min-score both decide which rows are flagged; give one")
    if problems:
        raise _refusal(problems, "score")
    return ScoreConfig(**_stage(settings, "score"))


def explain_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ExplainConfig:
    """Resolve the settings of one explanation: those of `score_config`, and `top`, `rows`, `most`.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _EXPLAIN and value not in (None, ())}
    settings = {name: _checked(f"explain.{name}", value, _EXPLAIN[name], problems) for name, value in own.items()}
    if problems:
        raise _refusal(problems, "explain")
    shared = {name: value for name, value in flags.items() if name not in _EXPLAIN}
    return ExplainConfig(score_config(shared, environment), **settings)


_EXPLAIN = {"top": "--top", "rows": "--row", "most": "--most"}


def evaluate_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> EvaluateConfig:
    """Resolve the settings of one evaluation: those of `score_config`, and its own.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _EVALUATE and value is not None}
    settings = {name: _checked(f"evaluate.{name}", value, f"--{name}", problems) for name, value in own.items()}
    if problems:
        raise _refusal(problems, "evaluate")
    shared = {name: value for name, value in flags.items() if name not in _EVALUATE}
    return EvaluateConfig(score_config(shared, environment), **settings)


_EVALUATE = ("label", "group", "baselines", "bootstrap", "seed")


def _refusal(problems: list[str], verb: str) -> UsageError:
    hint = f"see `vaecli {verb} --help`"
    if len(problems) == 1:
        return UsageError(problems[0], hint)
    return UsageError(f"{len(problems)} problems in the settings:\n{listed(problems)}", hint)


def _flag(name: str) -> str:
    """`train.max_epochs` as it is typed: `--max-epochs`."""
    if name.partition(".")[0] in ("heteroscedastic", "homoscedastic"):
        return name  # no flag says which family is meant
    key = name.rpartition(".")[2].removesuffix("_seconds")
    return "--" + key.replace("_", "-")


def _stage(settings: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The settings of one stage by their bare names."""
    return {name.partition(".")[2]: value for name, value in settings.items() if name.startswith(f"{stage}.")}


def _from_environment(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(value, how a message calls it) of each setting that a variable gives; an empty variable gives none."""
    return {name: (environment[said], said) for said, name in variables.items() if environment.get(said)}


def _from_file(file: Path | None, problems: list[str]) -> list[tuple[str, Any]]:
    if file is None:
        return []
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"{file}: {problem.strerror}", "--config takes a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{file}: not TOML: {problem}", "--config takes a TOML file") from None
    flat: list[tuple[str, Any]] = []
    for name, value in tables.items():
        if isinstance(value, dict) and name in _STAGES:
            flat += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif name in _TOP_LEVEL:
            flat.append((name, value))
        else:
            problems.append(f"{file}: unknown setting {name!r}")
    return flat


def _checked(name: str, value: Any, said: str, problems: list[str]) -> Any:
    """The value as its dataclass field wants it; None after adding a problem. `said` is how messages call it."""
    stage, _, key = name.rpartition(".")
    hints = get_type_hints(_OWNERS[stage])
    if key not in hints:
        known = ", ".join(item.name for item in fields(_OWNERS[stage]))
        where = name if said.startswith("--") else said.removesuffix(" =")  # from Python: no flag is unknown to Typer
        problems.append(f"{where}: unknown setting; {stage} has {known}")
        return None
    if key in _CHOICES:
        return _one_of(_CHOICES[key], value, said, problems)
    if key == "fail_on":
        return _a_gate(value, said, problems)
    expected, convert = _TYPES["duration" if key == "time_budget_seconds" else hints[key]]
    try:
        converted = convert(value)
    except (ValueError, TypeError, OverflowError):
        problems.append(f"{said} {value!r} is not {expected}")
        return None
    return _within(_RANGES.get(name), converted, said, problems)


def _one_of(choices: tuple[str, ...], value: Any, said: str, problems: list[str]) -> str | None:
    if value in choices:
        return str(value)
    problems.append(f"{said} {value!r} is not one of {', '.join(choices)}")
    return None


def _a_gate(value: Any, said: str, problems: list[str]) -> str | None:
    try:
        Gate.parse(str(value))
    except UsageError:
        problems.append(f"{said} {value!r} is not any, a count such as 10, or a share such as 2.5%")
        return None
    return str(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in ([value] if isinstance(value, str) else value))


def seconds(duration: str | float) -> float:
    """`90`, `90s`, `10m`, `1.5h` as seconds. Raises ValueError."""
    if isinstance(duration, int | float):
        return _number(duration)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)?\s*", duration)
    if not match:
        raise ValueError(f"{duration!r} is not a duration such as 90s, 10m or 1.5h")
    return float(match[1]) * {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


# what messages call a type, and how a value becomes one; a flag or a variable gives text, a file its own types
def _row_numbers(value: Any) -> tuple[int, ...]:
    listed_rows = value if isinstance(value, str) else ",".join(map(str, value))
    numbers = tuple(_whole(part) for part in listed_rows.split(","))
    if min(numbers) < 1:
        raise ValueError("rows count from 1")
    return numbers


_TYPES: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    "duration": ("a duration such as 90s, 10m or 1.5h", seconds),
    bool: ("true or false", _truth),
    int: ("a whole number", _whole),
    int | None: ("a whole number", _whole),
    float: ("a number", _number),
    float | None: ("a number", _number),
    str: ("text", _text),
    str | None: ("text", _text),
    tuple[str, ...]: ("a list of column names", _names),
    tuple[int, ...]: ("row numbers, counted from 1", _row_numbers),
}
_CHOICES = {"preset": PRESETS, "score_kind": SCORE_KINDS, "device": DEVICES}

# smallest allowed, largest allowed, whether the ends are excluded
_Range = tuple[float, float, bool]
_RANGES: dict[str, _Range] = {
    "columns.max_categories": (2, 10_000, False),
    "model.n_exemplars": (1, 100_000, False),
    "model.n_noise": (1, 1024, False),
    "model.min_log_variance": (-20, 0, False),
    "model.crossed_below": (0, 10**9, False),
    "heteroscedastic.n_latent": (1, 512, False),
    "heteroscedastic.n_hidden": (1, 4096, False),
    "heteroscedastic.beta": (0, 100, False),
    "homoscedastic.n_latent": (1, 512, False),
    "homoscedastic.n_hidden": (1, 4096, False),
    "homoscedastic.beta": (0, 100, False),
    "train.seed": (0, 2**63 - 1, False),
    "train.max_epochs": (1, 10**6, False),
    "train.max_steps": (1, 10**7, False),
    "train.batch_rows": (2, 10**6, False),
    "train.learning_rate": (0, 1, True),
    "train.weight_decay": (0, 1, False),
    "train.warmup_share": (0, 1, False),
    "train.patience": (1, 10**6, False),
    "train.time_budget_seconds": (0, float("inf"), True),
    "train.memory_bytes": (0, 2**50, False),
    "calibration.threshold": (0, 1, True),
    "calibration.n_folds": (2, 20, False),
    "calibration.max_rows": (100, 10**8, False),
    "score.threshold": (0, 1, True),
    "score.min_score": (float("-inf"), float("inf"), False),
    "score.batch_rows": (1, 10**8, False),
    "score.workers": (1, 1024, False),
    "score.explain": (0, 1000, False),
    "explain.top": (1, 1000, False),
    "explain.most": (1, 1000, False),
    "evaluate.bootstrap": (0, 100_000, False),
    "evaluate.seed": (0, 2**63 - 1, False),
}


def _within(allowed: _Range | None, value: Any, said: str, problems: list[str]) -> Any:
    """The value, or None after adding a problem."""
    if allowed is None or value is None:
        return value
    low, high, open_ends = allowed
    # not-a-number is inside nothing, so it is refused here too
    if low < value < high if open_ends else low <= value <= high:
        return value
    if open_ends and high == float("inf"):
        problems.append(f"{said} {_plain(value)} is not above {_plain(low)}")
        return None
    # "--threshold 99" is meant as per cent
    meant = f"; did you mean {value / 100:.12g}?" if open_ends and high == 1 and 50 <= value < 100 else ""
    between = "strictly between" if open_ends else "between"
    problems.append(f"{said} {_plain(value)} is not {between} {_plain(low)} and {_plain(high)}{meant}")
    return None


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.12g}"


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    """A column that is asked to play two parts, or to be in and out."""
    parts: dict[str, list[str]] = {}
    for part in ("label", "time", "group", "id"):
        named = settings.get(f"columns.{part}") or ()
        for column in dict.fromkeys([named] if isinstance(named, str) else named):
            parts.setdefault(column, []).append(_flag(part))
    problems = [
        f"column {column!r} is named by {' and '.join(flags)}; a column plays one part"
        for column, flags in parts.items()
        if len(flags) > 1
    ]
    excluded = settings.get("columns.exclude") or ()
    both = [column for column in settings.get("columns.columns") or () if column in excluded]
    return problems + [f"column {column!r} is named by --columns and --exclude" for column in both]
