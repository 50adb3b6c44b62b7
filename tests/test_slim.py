"""A host that only scores: without torch, scikit-learn, SciPy and pandas every row gets the same score."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import vaecli
from vaecli.cli.app import main

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-scoring.txt"
FOR_FITTING = {"pandas", "scikit-learn", "scipy", "torch"}  # requirements that are left out
ABSENT = ("pandas", "scipy", "sklearn", "torch")  # modules that are then not there
MOST_BYTES = 300_000_000

# an interpreter to which these modules are not installed, before vaecli is imported
PRETENCE = f"""
import sys
from importlib.machinery import PathFinder
class Slim(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {ABSENT} else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Slim
"""
COMMAND_LINE = "import sys; from vaecli.cli.app import main; main(sys.argv[1:])"
REFUSAL = "fitting needs torch and scikit-learn, not installed here: this host can only score"


@dataclass(frozen=True)
class Host:
    """How to run `vaecli` and Python on a host, and the folder to run them in."""

    vaecli: tuple[str, ...]
    python: tuple[str, ...]
    folder: Path
    prelude: str = ""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command line."""
        return self._done([*self.vaecli, *words])

    def execute(self, code: str, *words: str) -> str:
        """What a program prints; it has to succeed."""
        done = self._done([*self.python, "-c", self.prelude + code, *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _done(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("VAECLI_", "PYTHONPATH"))
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment | {"COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


class Here:
    """This process, which has everything."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command line."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
            main(words)
        printed = (stream.buffer.getvalue().decode() for stream in (out, err))
        return subprocess.CompletedProcess(words, int(left.value.code or 0), *printed)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Here:
    """The environment of these tests, as a host with the same width."""
    for name in [name for name in os.environ if name.startswith("VAECLI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    return Here()


@pytest.fixture
def pretended(tmp_path: Path) -> Host:
    """The same environment, as if nothing for fitting were installed."""
    return Host((sys.executable, "-c", PRETENCE + COMMAND_LINE), (sys.executable,), tmp_path, PRETENCE)


# -- what to install ------------------------------------------------------------------------------


def test_the_slim_requirements_are_those_of_the_project():
    """Each line is a dependency of pyproject.toml, range included; only the three for fitting are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    slim = [line for line in lines if line and not line.startswith("#")]
    left_out = set(project["dependencies"]) - set(slim)
    assert sorted(slim) == sorted(set(slim) & set(project["dependencies"]))
    assert {re.split(r"[^\w-]", requirement)[0] for requirement in left_out} == FOR_FITTING


def test_the_pretence_hides_what_is_left_out(pretended: Host):
    """The modules are there in these tests, and neither found nor imported on the pretended host."""
    pytest.importorskip("torch")
    assert all(map(find_spec, ABSENT))
    assert _found(pretended) == []


# -- what works -----------------------------------------------------------------------------------


def test_help_answers(pretended: Host, full: Here):
    """`vaecli --help` and the help of every verb are those of a full install."""
    check_help(pretended, full)


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_scoring_gives_the_same_bytes(
    pretended: Host, full: Here, bundle: Path, fresh_table: pd.DataFrame, extension: str
):
    """A CSV and a Parquet file are scored to the bytes that a full install writes."""
    check_score(pretended, full, bundle, fresh_table, extension)


def test_explaining_gives_the_same_bytes(pretended: Host, full: Here, bundle: Path, fresh_table: pd.DataFrame):
    """The reasons that `vaecli explain` writes are those of a full install."""
    check_explain(pretended, full, bundle, fresh_table)


def test_inspecting_prints_the_same(pretended: Host, full: Here, bundle: Path):
    """`vaecli inspect` prints what it prints on a full install."""
    check_inspect(pretended, full, bundle)


def test_python_scores_arrow_tables(pretended: Host, model: vaecli.Model, bundle: Path, fresh_table: pd.DataFrame):
    """`vaecli.load(...).score` of an Arrow table gives the very scores of a full install."""
    check_python(pretended, model, bundle, fresh_table)


# -- what does not, and its message -------------------------------------------------------------------


def test_fit_is_refused_in_two_lines(pretended: Host, normal_csv: Path):
    """`vaecli fit` names what is missing and how to get it, leaves with 7 and writes nothing."""
    check_fit(pretended, normal_csv)


def test_python_refuses_to_fit(pretended: Host):
    """`vaecli.fit` raises vaecli's own EnvironmentProblem."""
    check_python_fit(pretended)


@pytest.mark.parametrize("absent", [{"sklearn": "scikit-learn"}, {"torch": "torch"}], ids=str)
def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, absent: dict[str, str]):
    """Where one of the packages is there, the message and the hint name the other alone."""
    monkeypatch.setattr("vaecli.workflows.find_spec", lambda name: None if name in absent else object())
    (package,) = absent.values()
    with pytest.raises(vaecli.VaecliError, match=f"^fitting needs {package}, not installed here") as caught:
        vaecli.fit(pa.table({"x": [1.0]}))
    assert caught.value.hint.startswith(f"pip install {package}, or fit on another machine")


def test_mistakes_in_options_come_first(pretended: Host, normal_csv: Path):
    """A wrong option is reported before a missing package: the command line can be checked on any host."""
    done = pretended.run("fit", str(normal_csv), "--threshold", "2")
    assert done.returncode == 2
    assert "torch" not in done.stderr


def test_cuda_is_refused_in_two_lines(pretended: Host, bundle: Path, normal_csv: Path):
    """`score --device cuda` reports that it needs torch, and leaves with 7."""
    check_cuda(pretended, bundle, normal_csv)


# -- the real thing -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_slim_install_keeps_every_promise(
    full: Here,
    model: vaecli.Model,
    bundle: Path,
    normal_csv: Path,
    fresh_table: pd.DataFrame,
    tmp_path: Path,
):
    """The two commands of docs/how-to/scoring-hosts.md make such a host, in less than 300 MB."""
    environment = tmp_path / "slim"
    try:
        host = _installed(environment, tmp_path)
        assert _found(host) == []
        (packages,) = environment.glob("lib/python*/site-packages")
        assert Path(host.execute("import vaecli; print(vaecli.__file__)").strip()).is_relative_to(packages)
        check_help(host, full)
        for extension in ("csv", "parquet"):
            check_score(host, full, bundle, fresh_table, extension)
        check_explain(host, full, bundle, fresh_table)
        check_inspect(host, full, bundle)
        check_python(host, model, bundle, fresh_table)
        check_fit(host, normal_csv)
        check_python_fit(host)
        check_cuda(host, bundle, normal_csv)
        # last, so that what was compiled on the way counts
        assert sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file()) < MOST_BYTES
    finally:
        shutil.rmtree(environment, ignore_errors=True)


def _installed(environment: Path, folder: Path) -> Host:
    """A fresh environment with the slim requirements and a copy of this project."""
    source = folder / "source"
    shutil.copytree(ROOT / "vaecli", source / "vaecli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    _pip(environment, "-r", str(REQUIREMENTS), "-c", str(ROOT / "constraints.txt"))
    _pip(environment, "--no-deps", str(source))
    python = str(environment / "bin/python")
    return Host((str(environment / "bin/vaecli"),), (python,), folder)


def _pip(environment: Path, *words: str) -> None:
    command = [environment / "bin/python", "-m", "pip", "install", "--retries", "1", *words]
    done = subprocess.run(command, cwd=environment, capture_output=True, text=True, check=False)
    if done.returncode and "connection broken" in done.stderr:
        pytest.skip("needs a package index, and none was reached")
    assert done.returncode == 0, done.stderr


# -- promises, the same for a pretended and a real host -------------------------------------------


def check_help(host: Host, full: Here) -> None:
    for words in (["--help"], ["fit", "--help"], ["score", "--help"], ["explain", "--help"], ["inspect", "--help"]):
        done, expected = host.run(*words), full.run(*words)
        assert (done.returncode, done.stdout) == (0, expected.stdout), done.stderr
        assert "Usage: vaecli" in done.stdout


def check_score(host: Host, full: Here, bundle: Path, rows: pd.DataFrame, extension: str) -> None:
    table, here, there = (host.folder / f"{name}.{extension}" for name in ("new", "here", "there"))
    rows.to_csv(table, index=False) if extension == "csv" else rows.to_parquet(table, index=False)
    words = ["score", str(table), "-m", str(bundle), "--quiet", "-o"]
    done = host.run(*words, str(here))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # the host has no torch, so a GPU that may be there is of no use to it
    assert full.run(*words, str(there), "--device", "cpu").returncode == 0
    assert here.read_bytes() == there.read_bytes()
    assert len(pd.read_csv(here) if extension == "csv" else pd.read_parquet(here)) == len(rows)


def check_explain(host: Host, full: Here, bundle: Path, rows: pd.DataFrame) -> None:
    table, here, there = (host.folder / f"{name}.csv" for name in ("odd", "here", "there"))
    rows.to_csv(table, index=False)
    words = ["explain", str(table), "-m", str(bundle), "--row", "1,17", "--quiet", "-o"]
    done = host.run(*words, str(here))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert full.run(*words, str(there)).returncode == 0
    assert here.read_bytes() == there.read_bytes()
    assert len(here.read_text().splitlines()) > 2


def check_inspect(host: Host, full: Here, bundle: Path) -> None:
    for option in ("--schema", "--json"):
        done, expected = host.run("inspect", str(bundle), option), full.run("inspect", str(bundle), option)
        assert (done.returncode, done.stdout) == (0, expected.stdout), done.stderr
        assert "pressure" in done.stdout


def check_python(host: Host, model: vaecli.Model, bundle: Path, rows: pd.DataFrame) -> None:
    path = host.folder / "arrow.parquet"
    rows.to_parquet(path, index=False)
    program = (
        "import json, sys, vaecli, pyarrow.parquet as pq\n"
        "scored = vaecli.load(sys.argv[2]).score(pq.read_table(sys.argv[1]))\n"
        "print(json.dumps(scored['anomaly_score'].to_pylist()))\n"
    )
    scores = json.loads(host.execute(program, str(path), str(bundle)))
    expected = model.score(pa.Table.from_pandas(rows, preserve_index=False), device="cpu")
    assert scores == expected["anomaly_score"].to_pylist()


def check_fit(host: Host, table: Path) -> None:
    done = host.run("fit", str(table), "-o", "new.vae")
    assert (done.returncode, done.stdout) == (7, "")
    error, hint = done.stderr.splitlines()
    assert error == f"error: {REFUSAL}"
    assert hint == "hint: pip install torch scikit-learn, or fit on another machine and copy the bundle here"
    assert not (host.folder / "new.vae").exists()


def check_python_fit(host: Host) -> None:
    program = (
        "import vaecli, pyarrow as pa\n"
        "try:\n    vaecli.fit(pa.table({'x': [1.0, 2.0]}))\n"
        "except vaecli.VaecliError as problem:\n    print(type(problem).__name__, problem.exit_code, problem.message)\n"
    )
    assert host.execute(program) == f"MissingPackage 7 {REFUSAL}\n"


def check_cuda(host: Host, bundle: Path, table: Path) -> None:
    done = host.run("score", str(table), "-m", str(bundle), "-o", "cuda.csv", "--device", "cuda")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "error: --device cuda needs torch\nhint: pip install torch, or use --device cpu\n"
    assert not (host.folder / "cuda.csv").exists()


def _found(host: Host) -> list[str]:
    """Which of the modules that fitting needs can be imported on a host."""
    program = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        importlib.import_module(name)\n"
        "    except ModuleNotFoundError:\n        continue\n"
        "    print(name)\n"
    )
    return host.execute(program, *ABSENT).split()
