"""Settings, one frozen dataclass per stage or verb, and where they come from.

Defaults < project file (`--config FILE.toml`) < environment (`VAECLI_*`) < flags. Presets choose the
defaults of the model and the training. All mistakes of one run are reported together.

A verb needs the settings of one verb of ten, so every name is loaded when first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaecli.runtime.lazy_names import loaded_when_used

if TYPE_CHECKING:
    from vaecli.config.calibrate import CalibrateConfig as CalibrateConfig, calibrate_config as calibrate_config
    from vaecli.config.checks import seconds as seconds
    from vaecli.config.choices import (
        DEVICES as DEVICES,
        ENGINES as ENGINES,
        FAULTS as FAULTS,
        PRESETS as PRESETS,
        SCORE_KINDS as SCORE_KINDS,
        SERIES_FAULTS as SERIES_FAULTS,
        TEXT_FAULTS as TEXT_FAULTS,
    )
    from vaecli.config.encode import EncodeConfig as EncodeConfig, encode_config as encode_config
    from vaecli.config.evaluate import EvaluateConfig as EvaluateConfig, evaluate_config as evaluate_config
    from vaecli.config.explain import ExplainConfig as ExplainConfig, explain_config as explain_config
    from vaecli.config.fit import fit_config as fit_config
    from vaecli.config.flag import FlagConfig as FlagConfig, flag_config as flag_config
    from vaecli.config.former_names import FormerName as FormerName
    from vaecli.config.long_form import LongForm as LongForm
    from vaecli.config.reconstruct import (
        ReconstructConfig as ReconstructConfig,
        reconstruct_config as reconstruct_config,
    )
    from vaecli.config.report import ReportConfig as ReportConfig, report_config as report_config
    from vaecli.config.sample import SampleConfig as SampleConfig, sample_config as sample_config
    from vaecli.config.score import ScoreConfig as ScoreConfig, score_config as score_config
    from vaecli.config.selftest import (
        SelftestConfig as SelftestConfig,
        selftest_config as selftest_config,
    )
    from vaecli.config.stages import (
        HETEROSCEDASTIC as HETEROSCEDASTIC,
        HOMOSCEDASTIC as HOMOSCEDASTIC,
        CalibrationConfig as CalibrationConfig,
        ColumnsConfig as ColumnsConfig,
        FamilyConfig as FamilyConfig,
        FitConfig as FitConfig,
        ModelConfig as ModelConfig,
        TrainConfig as TrainConfig,
    )

__getattr__ = loaded_when_used(
    "vaecli.config",
    {
        "calibrate": "CalibrateConfig calibrate_config",
        "checks": "seconds",
        "choices": "DEVICES ENGINES FAULTS PRESETS SCORE_KINDS SERIES_FAULTS TEXT_FAULTS",
        "encode": "EncodeConfig encode_config",
        "evaluate": "EvaluateConfig evaluate_config",
        "explain": "ExplainConfig explain_config",
        "fit": "fit_config",
        "flag": "FlagConfig flag_config",
        "former_names": "FormerName",
        "long_form": "LongForm",
        "reconstruct": "ReconstructConfig reconstruct_config",
        "report": "ReportConfig report_config",
        "sample": "SampleConfig sample_config",
        "score": "ScoreConfig score_config",
        "selftest": "SelftestConfig selftest_config",
        "stages": "HETEROSCEDASTIC HOMOSCEDASTIC "
        "CalibrationConfig ColumnsConfig FamilyConfig FitConfig ModelConfig TrainConfig",
    },
)
