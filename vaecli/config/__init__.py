"""Settings, one frozen dataclass per stage or verb, and where they come from.

Defaults < project file (`--config FILE.toml`) < environment (`VAECLI_*`) < flags. Presets choose the
defaults of the model and the training. All mistakes of one run are reported together.
"""

from __future__ import annotations

from vaecli.config.checks import seconds
from vaecli.config.encode import EncodeConfig, encode_config
from vaecli.config.evaluate import EvaluateConfig, evaluate_config
from vaecli.config.explain import ExplainConfig, explain_config
from vaecli.config.fit import fit_config
from vaecli.config.former_names import FormerName
from vaecli.config.reconstruct import ReconstructConfig, reconstruct_config
from vaecli.config.report import ReportConfig, report_config
from vaecli.config.sample import SampleConfig, sample_config
from vaecli.config.score import ScoreConfig, score_config
from vaecli.config.selftest import FAULTS, SelftestConfig, selftest_config
from vaecli.config.stages import (
    DEVICES,
    HETEROSCEDASTIC,
    HOMOSCEDASTIC,
    PRESETS,
    SCORE_KINDS,
    CalibrationConfig,
    ColumnsConfig,
    FamilyConfig,
    FitConfig,
    ModelConfig,
    TrainConfig,
)

__all__ = [
    "DEVICES",
    "FAULTS",
    "HETEROSCEDASTIC",
    "HOMOSCEDASTIC",
    "PRESETS",
    "SCORE_KINDS",
    "CalibrationConfig",
    "ColumnsConfig",
    "EncodeConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "FamilyConfig",
    "FitConfig",
    "FormerName",
    "ModelConfig",
    "ReconstructConfig",
    "ReportConfig",
    "SampleConfig",
    "ScoreConfig",
    "SelftestConfig",
    "TrainConfig",
    "encode_config",
    "evaluate_config",
    "explain_config",
    "fit_config",
    "reconstruct_config",
    "report_config",
    "sample_config",
    "score_config",
    "seconds",
    "selftest_config",
]
