"""A run as a page of Prometheus metrics, in the text format that the textfile collector of node_exporter reads.

The help text of a metric is the same in every file and every version: if it differs between two files of one folder,
the collector drops the samples of one of them. Samples carry no time stamp, which the collector refuses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST_FINDINGS = 100  # series of drift in one file, the worst first

# name to help text, in the order of the page; all are gauges
METRICS = {
    "vaecli_run_info": "The version of vaecli; always 1.",
    "vaecli_running": "1 while a run is under way, and after one that was killed; 0 when it has ended.",
    "vaecli_start_timestamp_seconds": "When the run began.",
    "vaecli_end_timestamp_seconds": "When the run ended.",
    "vaecli_last_success_timestamp_seconds": "When the last run ended whose output is complete (code 0, 3 or 6).",
    "vaecli_exit_code": "Exit code of the run.",
    "vaecli_duration_seconds": "How long the run took.",
    "vaecli_skipped_runs": "Runs that found the lock held and did nothing, since the last run that had it.",
    "vaecli_rows": "Rows that were read.",
    "vaecli_flagged_rows": "Rows that were flagged as anomalous.",
    "vaecli_flagged_ratio": "Flagged rows as a share of all rows.",
    "vaecli_expected_flagged_ratio": "Share of normal rows that the threshold flags.",
    "vaecli_unscored_rows": "Rows that could not be scored.",
    "vaecli_novel_cells": "Cells with a value that training never saw.",
    "vaecli_events": "Runs of flagged rows that were written as events.",
    "vaecli_open_events": "Events that had not ended with the table.",
    "vaecli_drift_level": "How the check of drift ended: 0 ok, 1 warn, 2 fail.",
    "vaecli_drift_findings": "Comparisons with training beyond a limit, by level.",
    "vaecli_drift": "How far what warns or fails is from training: standard deviations, or a share.",
    "vaecli_warnings": "Warnings in the summary of the run.",
    "vaecli_bundle_age_seconds": "Time from the writing of the bundle to the end of the run.",
    "vaecli_bad_files": "Files that were left out, as they cannot be read or do not fit the model.",
}
# what a run that does not know better keeps from the page of the run before
KEPT_ON_FAILURE = ("vaecli_last_success_timestamp_seconds",)

Lines = dict[str, list[str]]  # by the name of the metric: its samples as lines


class Series:
    """Makes the samples of one job and verb: both stand as labels on each."""

    def __init__(self, job: str, verb: str) -> None:
        self.labels = {"job_name": job, "verb": verb}

    def line(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> str:
        """One sample of a metric."""
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in (self.labels | dict(labels or {})).items())
        return f"{name}{{{pairs}}} {_number(value)}"

    def lines(self, values: Mapping[str, float]) -> Lines:
        """One sample of each metric."""
        return {name: [self.line(name, value)] for name, value in values.items()}

    def read(self, page: str) -> Lines:
        """The samples of this job and verb in an earlier page; what is not of our making is left out."""
        found: Lines = {}
        prefix = self.line("", 0)[:-3]  # without the closing brace and the value
        for line in page.split("\n"):  # no other line end ends a sample
            match = re.fullmatch(r"(\w+)(\{.*\}) (\S+)", line)
            if match and match[1] in METRICS and match[2].startswith(prefix) and _is_number(match[3]):
                found.setdefault(match[1], []).append(line)
        return found

    def of_summary(self, summary: Any) -> Lines:
        """What the summary of a fit, a score or a check counts."""
        values: dict[str, float] = {"vaecli_warnings": len(summary.warnings)}
        rows = getattr(summary, "rows", None)
        values["vaecli_rows"] = summary.n_rows if rows is None else rows
        flagged = getattr(summary, "anomalies", None)
        if flagged is not None:
            values["vaecli_flagged_rows"] = flagged
            if rows:
                values["vaecli_flagged_ratio"] = flagged / rows
        if flagged is not None and summary.threshold is not None:
            values["vaecli_expected_flagged_ratio"] = 1 - summary.threshold
        for name, attribute in (
            ("vaecli_unscored_rows", "unscored"),
            ("vaecli_novel_cells", "novel_cells"),
            ("vaecli_events", "n_events"),
            ("vaecli_open_events", "n_open_events"),
        ):
            if (value := getattr(summary, attribute, None)) is not None:
                values[name] = value
        if hasattr(summary, "bad_files"):
            values["vaecli_bad_files"] = len(summary.bad_files)
        lines = self.lines(values)
        if hasattr(summary, "findings"):
            lines |= self._of_drift(summary)
        return lines

    def _of_drift(self, summary: Any) -> Lines:
        findings = summary.findings
        counts = {level: sum(one.level == level for one in findings) for level in ("warn", "fail")}
        measured = [one for one in findings if one.effect is not None][:MOST_FINDINGS]
        name = "vaecli_drift_findings"
        return {
            "vaecli_drift_level": [self.line("vaecli_drift_level", ("ok", "warn", "fail").index(summary.level))],
            name: [self.line(name, n, {"level": level}) for level, n in counts.items()],
            "vaecli_drift": [
                self.line("vaecli_drift", one.effect, {"what": one.what, "column": one.column or ""})
                for one in measured
            ],
        }


def page(lines: Mapping[str, Iterable[str]]) -> str:
    """The samples with the help text and the type of their metric, in one order; each metric stands once."""
    written = []
    for name, help_text in METRICS.items():
        if samples := list(dict.fromkeys(lines.get(name, ()))):
            written += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge", *samples]
    return "".join(f"{line}\n" for line in written)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _escaped(text: str) -> str:
    """A label's value in which no character ends the value or the line."""
    readable = text.encode("utf-8", "replace").decode()
    return readable.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
