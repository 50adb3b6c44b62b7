"""What the verbs return and announce: summaries at the end, events on the way."""

from __future__ import annotations

from vaecli.results.evaluation import METRIC_NAMES, Comparison, EvaluateSummary, Evaluation, Figure
from vaecli.results.events import SCHEMA_VERSION, Event, OnEvent, ignore
from vaecli.results.reasons import FlaggedRow, Reason
from vaecli.results.report import ReportSummary
from vaecli.results.sample import SampleSummary
from vaecli.results.selftest import BlindSpot, DetectionRate, SelftestSummary, Untested, blind_spots_of, word_of
from vaecli.results.verbs import (
    ColumnSummary,
    EncodeSummary,
    ExplainSummary,
    FitSummary,
    InspectSummary,
    ReconstructSummary,
    ScoreSummary,
    TrainingCheck,
)

__all__ = [
    "METRIC_NAMES",
    "SCHEMA_VERSION",
    "BlindSpot",
    "ColumnSummary",
    "Comparison",
    "DetectionRate",
    "EncodeSummary",
    "EvaluateSummary",
    "Evaluation",
    "Event",
    "ExplainSummary",
    "Figure",
    "FitSummary",
    "FlaggedRow",
    "InspectSummary",
    "OnEvent",
    "Reason",
    "ReconstructSummary",
    "ReportSummary",
    "SampleSummary",
    "ScoreSummary",
    "SelftestSummary",
    "TrainingCheck",
    "Untested",
    "blind_spots_of",
    "ignore",
    "word_of",
]
