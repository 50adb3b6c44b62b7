"""A page of metrics: what Prometheus reads back is what was written."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vaecli.results.check import CheckSummary, Finding
from vaecli.results.metrics import METRICS, MOST_FINDINGS, Series, page

DRIFTED = CheckSummary(
    "new.csv",
    "model.vae",
    None,
    "fail",
    1000,
    1000,
    4,
    (
        Finding("fail", "range", 'flow "raw"\n\\', "0 %", "9 %", 0.09, 0.01, "…"),
        Finding("warn", "scores", None, "50 %", "20 %", 0.2, 0.1, "…"),
        Finding("warn", "clock", "time", "", "", None, None, "…"),
    ),
    (),
    ("one",),
    0.1,
)


def unescaped(text: str) -> str:
    """A label as Prometheus reads it."""
    parts = text.split("\\\\")
    return "\\".join(part.replace('\\"', '"').replace("\\n", "\n") for part in parts)


def test_help_texts_never_change():
    """Two files that differ in a help text lose samples without an error; new metrics are added, none is reworded."""
    frozen = dict(list(METRICS.items())[:21])
    digest = hashlib.sha256(repr(sorted(frozen.items())).encode()).hexdigest()
    assert digest[:16] == "e5de8a85a5822f1a"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_labels_are_read_back(text: str):
    """Whatever a job and a column are called: one line, which ends where it should and holds the same text."""
    series = Series(text, "check")
    written = page({"vaecli_drift": [series.line("vaecli_drift", 1.0, {"column": text})]})
    help_line, type_line, sample, end = written.split("\n")
    assert (help_line.split()[1:3], type_line, end) == (
        ["HELP", "vaecli_drift"],
        "# TYPE vaecli_drift gauge",
        "",
    )
    body = sample.removeprefix('vaecli_drift{job_name="').removesuffix('"} 1.0')
    job, column = body.split('",verb="check",column="')
    assert (unescaped(job), unescaped(column)) == (text, text)
    assert series.read(written) == {"vaecli_drift": [sample]}


def test_only_samples_of_the_same_job_and_verb_are_kept():
    """A page of another job, a stray line, a metric of others and a value that is no number are not carried on."""
    ours, other = Series("a", "fit"), Series("a", "score")
    lines = [ours.line("vaecli_rows", 3), other.line("vaecli_rows", 4), ours.line("up", 1), "vaecli_rows{} x y"]
    lines.append(ours.line("vaecli_skipped_runs", 1) + "x")
    assert ours.read("\n".join(lines)) == {"vaecli_rows": lines[:1]}


def test_drift_is_a_series_per_finding():
    """A check gives its level, how many comparisons warn and fail, and the size of each that has one."""
    lines = Series("c", "check").of_summary(DRIFTED)
    assert lines["vaecli_drift_level"] == ['vaecli_drift_level{job_name="c",verb="check"} 2']
    assert [line.rpartition(" ")[2] for line in lines["vaecli_drift_findings"]] == ["2", "1"]
    assert len(lines["vaecli_drift"]) == 2
    assert 'what="scores",column=""' in lines["vaecli_drift"][1]


def test_drift_is_bounded():
    """A table of thousands of drifted columns does not make thousands of series."""
    many = tuple(Finding("warn", "range", f"c{i}", "", "", 0.1, 0.0, "…") for i in range(1000))
    summary = CheckSummary("new.csv", "model.vae", None, "warn", 9, 9, 1000, many, (), (), 0.1)
    assert len(Series("c", "check").of_summary(summary)["vaecli_drift"]) == MOST_FINDINGS


@pytest.mark.parametrize(
    ("value", "written"),
    [(float("nan"), "NaN"), (float("inf"), "+Inf"), (-float("inf"), "-Inf"), (3, "3"), (1e-9, "1e-09")],
)
def test_numbers_as_prometheus_spells_them(value: float, written: str):
    """What is not finite has names of its own."""
    assert Series("j", "fit").line("vaecli_rows", value).endswith(f"}} {written}")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_page():
    """Prometheus' own checker finds neither an error nor anything to improve, whatever the column is called."""
    series = Series('pump "7"\\', "check")
    lines = series.lines(dict.fromkeys(METRICS, 1.5)) | series.of_summary(DRIFTED)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page(lines), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_python_client_of_prometheus_reads_the_page():
    """Where promtool cannot be had: the parser of prometheus-client finds every sample, without time stamps."""
    parser = pytest.importorskip("prometheus_client.parser")
    series = Series('pump "7"\\', "check")
    lines = series.lines(dict.fromkeys(METRICS, 1.5)) | series.of_summary(DRIFTED)
    families = list(parser.text_string_to_metric_families(page(lines)))
    assert [family.name for family in families] == list(METRICS)
    samples = [sample for family in families for sample in family.samples]
    assert len(samples) == sum(map(len, lines.values()))
    assert all(sample.timestamp is None and sample.labels["job_name"] == 'pump "7"\\' for sample in samples)


MONITORING = Path(__file__).parents[2] / "docs/how-to/monitoring.md"


def test_the_page_of_docs_names_every_metric():
    """docs/how-to/monitoring.md: its tables and alerts name each metric, and none that is not written."""
    assert set(re.findall(r"\bvaecli_\w+", MONITORING.read_text())) == METRICS.keys()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_alerts(tmp_path: Path):
    """The rules that the page shows are rules."""
    [rules] = re.findall(r"```yaml\n(.*?)```", MONITORING.read_text(), re.DOTALL)
    (tmp_path / "rules.yaml").write_text(rules)
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "7 rules found" in done.stdout
