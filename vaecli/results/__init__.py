"""What the verbs return and announce: summaries at the end, events on the way.

A verb needs one summary of ten, so every name is loaded when first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaecli.runtime.lazy_names import loaded_when_used

if TYPE_CHECKING:
    from vaecli.results.calibrate import CalibratedGroup as CalibratedGroup, CalibrateSummary as CalibrateSummary
    from vaecli.results.columns import ColumnSummary as ColumnSummary
    from vaecli.results.encode import EncodeSummary as EncodeSummary
    from vaecli.results.evaluate import (
        METRIC_NAMES as METRIC_NAMES,
        Comparison as Comparison,
        EvaluateSummary as EvaluateSummary,
        Evaluation as Evaluation,
        Figure as Figure,
    )
    from vaecli.results.events import Event as Event, OnEvent as OnEvent, ignore as ignore
    from vaecli.results.explain import ExplainSummary as ExplainSummary
    from vaecli.results.fit import FitSummary as FitSummary, TrainingCheck as TrainingCheck
    from vaecli.results.flag import FlagSummary as FlagSummary
    from vaecli.results.inspect import InspectSummary as InspectSummary
    from vaecli.results.json_object import SCHEMA_VERSION as SCHEMA_VERSION
    from vaecli.results.reasons import FlaggedRow as FlaggedRow, Reason as Reason
    from vaecli.results.reconstruct import ReconstructSummary as ReconstructSummary
    from vaecli.results.report import ReportSummary as ReportSummary
    from vaecli.results.sample import SampleSummary as SampleSummary
    from vaecli.results.score import ChangedColumn as ChangedColumn, ScoreSummary as ScoreSummary
    from vaecli.results.selftest import (
        FAULT_NAMES as FAULT_NAMES,
        BlindSpot as BlindSpot,
        DetectionRate as DetectionRate,
        SelftestSummary as SelftestSummary,
        Untested as Untested,
        blind_spots_of as blind_spots_of,
        verdict_of as verdict_of,
    )

__getattr__ = loaded_when_used(
    "vaecli.results",
    {
        "calibrate": "CalibratedGroup CalibrateSummary",
        "columns": "ColumnSummary",
        "encode": "EncodeSummary",
        "evaluate": "METRIC_NAMES Comparison EvaluateSummary Evaluation Figure",
        "events": "Event OnEvent ignore",
        "explain": "ExplainSummary",
        "fit": "FitSummary TrainingCheck",
        "flag": "FlagSummary",
        "inspect": "InspectSummary",
        "json_object": "SCHEMA_VERSION",
        "reasons": "FlaggedRow Reason",
        "reconstruct": "ReconstructSummary",
        "report": "ReportSummary",
        "sample": "SampleSummary",
        "score": "ChangedColumn ScoreSummary",
        "selftest": "BlindSpot DetectionRate FAULT_NAMES SelftestSummary Untested blind_spots_of verdict_of",
    },
)
