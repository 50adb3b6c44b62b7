"""What the verbs return and announce: summaries at the end, events on the way."""

from __future__ import annotations

from vaecli.results.columns import ColumnSummary
from vaecli.results.encode import EncodeSummary
from vaecli.results.evaluate import METRIC_NAMES, Comparison, EvaluateSummary, Evaluation, Figure
from vaecli.results.events import Event, OnEvent, ignore
from vaecli.results.explain import ExplainSummary
from vaecli.results.fit import FitSummary, TrainingCheck
from vaecli.results.inspect import InspectSummary
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.results.reasons import FlaggedRow, Reason
from vaecli.results.reconstruct import ReconstructSummary
from vaecli.results.report import ReportSummary
from vaecli.results.sample import SampleSummary
from vaecli.results.score import ScoreSummary
from vaecli.results.selftest import BlindSpot, DetectionRate, SelftestSummary, Untested, blind_spots_of, verdict_of

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
    "verdict_of",
]
