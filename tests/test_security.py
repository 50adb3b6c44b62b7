"""The threat model: each line of docs/security.md has a test that exists, and those that no other file holds."""

from __future__ import annotations

import ast
import os
import pickle
import re
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.engines.plain_results import plain_result
from vaecli.results.reasons import field_name
from vaecli.runtime.atomic_file import open_atomic
from vaecli.tables.marks import MarkTally

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vaecli"
# modules and functions that execute what they are given
MODULES = {"pickle", "marshal", "shelve", "joblib", "cloudpickle", "dill", "subprocess", "runpy", "code", "pty"}
CALLS = {"eval", "exec", "compile", "__import__"}
OF_OS = {"system", "popen", "execv", "execve", "execvp", "spawnv", "posix_spawn", "fork"}


def executing(tree: ast.AST) -> list[str]:
    """What could run something: imports, calls and attributes by name."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [one.name for one in names if one.name.partition(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                found.append(name)
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OF_OS:
                found.append(f"os.{name}")
    return found


def test_nothing_executes():
    """No module unpickles, evaluates text or starts a program, but for these.

    Those of `--notify-command` start the user's; tasks travel pickled from the driver to a Spark cluster, which runs
    what the driver sends it anyway, and results come back through `plain_result`. A fit and the process that trains for
    it, which it starts, speak in pickles through pipes that no one else has. Under a
    limit on memory the program forks itself, before it has read anything, and starts no other.
    """
    found = {path.name: executing(ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")}
    starting = {name: ["subprocess"] for name in ("notify.py", "notifier.py")}
    pickling = {name: ["pickle"] for name in ("spark_tasks.py", "plain_results.py")}
    both = {"python_process.py": ["pickle", "subprocess"]}
    forking = {"supervisor.py": ["os.fork"]}
    assert {name: what for name, what in found.items() if what} == starting | pickling | both | forking


class Called:
    """Wants a function called when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return os.getcwd, ()


@pytest.mark.parametrize("result", [Called(), Path("/"), vaecli.fit, {"a": [Called()]}])
def test_a_cluster_has_nothing_run_here(result: object):
    """A result that names a function, a foreign class or a function of ours is refused."""
    with pytest.raises(pickle.UnpicklingError, match="is no part of a result"):
        plain_result(pickle.dumps(result))


def test_results_of_a_cluster_are_read():
    """Records of this package, arrays, numbers and containers come back as they were."""
    tally = MarkTally(normal=3)
    found = plain_result(pickle.dumps((tally, {"a": np.arange(3.0), "b": np.float32(2)}, frozenset({1}), slice(2))))
    assert found[0] == tally
    assert found[1]["a"].tolist() == [0, 1, 2]
    assert found[2:] == (frozenset({1}), slice(2))


@pytest.mark.parametrize("text", ["import pickle", "from subprocess import run", "eval(1)", "os.system(1)"])
def test_what_executes_is_found(text: str):
    """The check above finds what it looks for."""
    assert executing(ast.parse(text))


def test_every_threat_has_its_test():
    """docs/security.md: each line of the table names tests, and each of them is there."""
    rows = re.findall(r"^\| (?!threat|---)(.+)\|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert len(rows) > 12
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert tests, row
        for file, name in tests:
            assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (file, name)


def test_a_temporary_file_is_new_and_of_the_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody else reads an unfinished output, and what lies at its name is not written through."""
    file = open_atomic(tmp_path / "out.csv")
    mode = Path(file.temporary).stat().st_mode
    assert (stat.S_ISREG(mode), stat.S_IMODE(mode)) == (True, 0o600)
    file.abort()
    (tmp_path / "victim").write_text("mine")
    names = iter([b"taken", b"free"])
    monkeypatch.setattr("vaecli.runtime.temporary.os.urandom", lambda _: next(names))
    taken = Path(file.temporary).name.replace(file.temporary.split("-")[-1], f"{b'taken'.hex()}.part")
    (tmp_path / taken).symlink_to("victim")
    with pytest.raises(FileExistsError):
        open_atomic(tmp_path / "out.csv")
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@sum", "\tx"])
def test_no_added_cell_is_a_formula(model: vaecli.Model, fresh_table: pd.DataFrame, name: str):
    """Names in `top_columns` are quoted where they begin like one; the other columns are numbers and truths."""
    assert field_name(name) == f'"{name}"'
    scored = model.score(fresh_table[:20], explain=2)
    assert [scored[one].dtype.kind for one in ("anomaly_score", "p_value", "is_anomaly")] == ["f", "f", "b"]
