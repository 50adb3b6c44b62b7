"""A command line in this process, workflows that only pretend, and settings that make real ones quick."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vaecli.cli.app import main
from vaecli.results import (
    CalibrateSummary,
    ColumnSummary,
    DetectionRate,
    EncodeSummary,
    EvaluateSummary,
    Evaluation,
    ExplainSummary,
    FitSummary,
    FlaggedRow,
    InspectSummary,
    Reason,
    ReconstructSummary,
    ReportSummary,
    SampleSummary,
    ScoreSummary,
    SelftestSummary,
)
from vaecli.results.check import CheckSummary

COLUMNS = (
    ColumnSummary("temp", "numeric", "feature", minimum=-1.5, maximum=99.0),
    ColumnSummary("site", "categorical", "feature", categories=("north", "south")),
    ColumnSummary("UDI", "numeric", "key", "every value is different"),
)
FIT = FitSummary(
    bundle="model.vae",
    n_rows=1200,
    n_excluded_by_label=3,
    columns=COLUMNS,
    n_members=5,
    n_steps=600,
    validation_elbo=-4.1,
    validation_kl=1.5,
    baseline_log_prob=-7.3,
    threshold=0.99,
    score_kind="elbo",
    min_score=12.0,
    n_calibration_rows=1200,
    finest_level=0.999,
    warnings=(),
    seconds=4.2,
)
ODD_ROW = FlaggedRow(
    row=17,
    score=81.0,
    p_value=0.001,
    is_anomaly=True,
    reasons=(Reason("temp", 40.0, 91.2, 64.0, 61.9, 66.1), Reason("site", 9.5, "north", "south", probability=0.93)),
    rest=31.5,
)
SCORE = ScoreSummary(
    output="new.scored.csv",
    bundle="model.vae",
    rows=1000,
    anomalies=20,
    unscored=0,
    novel_cells=0,
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
    rows=1000,
    anomalies=20,
    explained=20,
    score_kind="elbo",
    threshold=0.99,
    shown=(ODD_ROW,),
    warnings=(),
    seconds=0.4,
)
EVALUATE = EvaluateSummary(
    output=None,
    plot=None,
    bundle="model.vae",
    label="is_fault",
    rows=1000,
    anomalies=20,
    flagged=25,
    true_positives=15,
    unscored=0,
    score_kind="elbo",
    threshold=0.99,
    min_score=12.0,
    uses_tail_model=False,
    has_intervals=False,
    overall=Evaluation("vaecli", None, 1000, 20, ()),
    baselines=(),
    groups=(),
    comparisons=(),
    warnings=(),
    seconds=0.4,
)
SELFTEST = SelftestSummary(
    output=None,
    plot=None,
    bundle="model.vae",
    rows=1000,
    excluded_by_label=0,
    drawn=500,
    flagged_before=5,
    false_alarm_rate=0.01,
    column_limits_false_alarm_rate=0.01,
    known_rows=0,
    score_kind="elbo",
    threshold=0.99,
    min_score=12.0,
    uses_tail_model=False,
    seed=0,
    faults=(DetectionRate("stuck", None, None, 400, 100, 0.25, 0.21, 0.29, 0.0, "hardly"),),
    columns=(DetectionRate("stuck", None, "temp", 400, 100, 0.25, 0.21, 0.29, 0.0, "hardly"),),
    untested=(),
    blind_spots=(),
    warnings=(),
    seconds=0.4,
)
ENCODE = EncodeSummary(
    output="new.encoded.csv",
    bundle="model.vae",
    rows=1000,
    columns=("z1", "z2"),
    n_latent=2,
    warnings=(),
    seconds=0.4,
)
RECONSTRUCT = ReconstructSummary(
    output="new.imputed.csv",
    bundle="model.vae",
    rows=1000,
    impute=True,
    missing_cells=7,
    missing_by_column={"temp": 7},
    novel_cells=0,
    warnings=(),
    seconds=0.4,
)
SAMPLE = SampleSummary(
    output="samples.csv",
    bundle="model.vae",
    rows=1000,
    columns=("temp", "site"),
    seed=0,
    like=None,
    rows_each=None,
    warnings=(),
    seconds=0.4,
)
REPORT = ReportSummary(
    output="new.report.html",
    bundle="model.vae",
    rows=1000,
    anomalies=20,
    unscored=0,
    score_kind="elbo",
    threshold=0.99,
    min_score=12.0,
    uses_tail_model=False,
    headline="Worth a look: 20 of 1,000 rows are unusual.",
    size_bytes=123_456,
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
    config={"train": {"seed": 0}},
    calibration={"n_rows": 1200},
    digests={"weights": "cd" * 32},
    fit={"validation_elbo": -4.1},
)

CHECK = CheckSummary("new.csv", "model.vae", None, "ok", 1000, 1000, 4, (), (), (), 0.1)

CALIBRATE = CalibrateSummary(
    bundle="new.vae",
    former_bundle="model.vae",
    rows=500,
    excluded_by_label=0,
    unscored=0,
    added=False,
    score_kind="combined",
    threshold=0.99,
    min_score=4.0,
    former_threshold=0.99,
    former_min_score=3.0,
    flagged_before=0.04,
    n_calibration_rows=500,
    finest_level=0.998,
    n_effective=None,
    n_groups=None,
    by=None,
    groups=(),
    small_groups={},
    min_rows=None,
    warnings=(),
    seconds=1.0,
)


@dataclass
class Pretence:
    """What the pretended workflows answer, and how they were called."""

    answers: dict[str, Any] = field(
        default_factory=lambda: {
            "fit": FIT,
            "check": CHECK,
            "score": SCORE,
            "explain": EXPLAIN,
            "evaluate": EVALUATE,
            "selftest": SELFTEST,
            "encode": ENCODE,
            "reconstruct": RECONSTRUCT,
            "sample": SAMPLE,
            "report": REPORT,
            "calibrate": CALIBRATE,
            "inspect": INSPECT,
        }
    )
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def verb(self, name: str) -> Callable[..., Any]:
        def pretend(*arguments: Any, **named: Any) -> Any:
            self.calls.append((arguments, named))
            answer = self.answers[name]
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

        return pretend


@pytest.fixture
def workflows(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    """Workflows that answer at once with a summary, or raise what they are given."""
    pretence = Pretence()
    for name in pretence.answers:
        module = ModuleType(f"vaecli.workflows.{name}")
        setattr(module, name, pretence.verb(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return pretence


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests."""
    for name in (
        "MODEL",
        "PRESET",
        "SCORE_KIND",
        "SEED",
        "DEVICE",
        "MAX_EPOCHS",
        "TIME_BUDGET",
        "THRESHOLD",
        "WORKERS",
    ):
        monkeypatch.delenv(f"VAECLI_{name}", raising=False)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Done:
    """What remains of a command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run one command line: `run("score", "a.csv")`."""

    def run_words(*words: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(words)
        captured = capsys.readouterr()
        if find_spec("torch") is None and "fitting needs torch" in captured.err:
            pytest.skip("fitting needs torch")
        return Done(int(left.value.code or 0), captured.out, captured.err)

    return run_words


Vae = Callable[..., Done]


@pytest.fixture
def vae(run: Callable[..., Done]) -> Vae:
    """Run one command line that leaves with `code`."""

    def ran(*words: str, code: int = 0) -> Done:
        done = run(*words)
        assert done.code == code, done.err
        return done

    return ran


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settings file with which a real fit takes a quarter of a second."""
    path = tmp_path_factory.mktemp("settings") / "quick.toml"
    path.write_text(
        "[train]\nmax_steps = 12\n"
        "[model]\nn_noise = 2\nn_exemplars = 20\n"
        "[heteroscedastic]\nn_hidden = 8\nn_latent = 2\n[homoscedastic]\nn_hidden = 8\nn_latent = 2\n"
        "[calibration]\nn_folds = 3\n"
    )
    return path


PROBE = """
import json, sys
from vaecli.cli.app import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as left:
        assert not left.code, words
    print(*{name.partition(".")[0] for name, module in sys.modules.items() if module is not None}, file=sys.stderr)
"""


def loaded_by(*commands: list[str]) -> list[set[str]]:
    """The names of the packages that a process has loaded after each of the command lines that it runs in turn."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)], capture_output=True, text=True, check=True
    )
    loaded = [set(line.split()) for line in done.stderr.splitlines()]
    assert len(loaded) == len(commands)
    assert "vaecli" in loaded[0]
    return loaded
