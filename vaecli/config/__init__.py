"""Settings, one frozen dataclass per stage or verb, and where they come from.

Defaults < project file (`--config FILE.toml`) < environment (`VAECLI_*`) < flags. Presets choose the
defaults of the model and the training. All mistakes of one run are reported together.
"""

from __future__ import annotations

from vaecli.config.checks import seconds as seconds
from vaecli.config.encode import EncodeConfig as EncodeConfig, encode_config as encode_config
from vaecli.config.evaluate import EvaluateConfig as EvaluateConfig, evaluate_config as evaluate_config
from vaecli.config.explain import ExplainConfig as ExplainConfig, explain_config as explain_config
from vaecli.config.fit import fit_config as fit_config
from vaecli.config.former_names import FormerName as FormerName
from vaecli.config.reconstruct import ReconstructConfig as ReconstructConfig, reconstruct_config as reconstruct_config
from vaecli.config.report import ReportConfig as ReportConfig, report_config as report_config
from vaecli.config.sample import SampleConfig as SampleConfig, sample_config as sample_config
from vaecli.config.score import ScoreConfig as ScoreConfig, score_config as score_config
from vaecli.config.selftest import (
    FAULTS as FAULTS,
    SelftestConfig as SelftestConfig,
    selftest_config as selftest_config,
)
from vaecli.config.stages import (
    DEVICES as DEVICES,
    HETEROSCEDASTIC as HETEROSCEDASTIC,
    HOMOSCEDASTIC as HOMOSCEDASTIC,
    PRESETS as PRESETS,
    SCORE_KINDS as SCORE_KINDS,
    CalibrationConfig as CalibrationConfig,
    ColumnsConfig as ColumnsConfig,
    FamilyConfig as FamilyConfig,
    FitConfig as FitConfig,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
)
