"""Names as long as the file system allows, and one byte more: whole outputs or a clear error before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import run as run
from vaecli.workflows.fit import checkpoint_path

pytestmark = pytest.mark.usefixtures("place")

OVER = "the file system does not allow a name this long: 256 bytes"


def named(n_bytes: int, extension: str, letter: str = "n") -> str:
    return letter * ((n_bytes - len(extension)) // len(letter.encode())) + extension


@pytest.mark.parametrize("n_bytes", [244, 245, pytest.param(250, marks=pytest.mark.slow), 255])
def test_a_bundle_with_a_long_name(run, n_bytes: int, monkeypatch: pytest.MonkeyPatch):
    """Fitted with a checkpoint beside it, and scored with; no temporary name is longer than the file system allows."""
    name = named(n_bytes, ".vae")
    monkeypatch.setattr("vaecli.training.schedule.SECONDS_BETWEEN_CHECKPOINTS", 0)
    fitted = run("fit", "fresh.csv", "--config", "quick.toml", "-o", name)
    assert (fitted.code, fitted.err) == (0, "")
    assert "warning: the progress" not in fitted.out
    assert run("score", "fresh.csv", "-m", name, "-o", "out.csv", "-q").code == 0
    assert not [path for path in Path().iterdir() if path.name.endswith((".checkpoint", ".part"))]


@pytest.mark.parametrize("n_bytes", [245, 255])
def test_a_long_output(shell, n_bytes: int):
    """A table is written under a temporary name of fixed length."""
    name = named(n_bytes, ".csv")
    assert shell(f"$V score fresh.csv -o {name} -q").returncode == 0
    assert Path(name).exists()


@pytest.mark.parametrize(
    "words",
    [
        "fit fresh.csv -o {vae}",
        "score fresh.csv -o {csv}",
        "score fresh.csv -o out.csv --plot {png}",
        "explain fresh.csv -o {csv}",
        "encode fresh.csv -o {csv}",
        "reconstruct fresh.csv -o {csv}",
        "sample -n 5 -o {csv}",
        "selftest fresh.csv -o {csv}",
        "report fresh.csv -o {html}",
    ],
)
def test_a_name_that_is_too_long(run, words: str):
    """Refused before the table is read, with nothing written."""
    before = sorted(Path().iterdir())
    names = {extension: named(256, f".{extension}") for extension in ("vae", "csv", "png", "html")}
    done = run(*words.format(**names).split())
    assert done.code == 2
    assert OVER in done.err
    assert done.err.count("\n") == 2
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(("words", "code"), [("score {csv}", 4), ("score fresh.csv -m {vae}", 5), ("inspect {vae}", 5)])
def test_an_input_whose_name_is_too_long(run, words: str, code: int):
    """It cannot exist."""
    done = run(*words.format(csv=named(256, ".csv"), vae=named(256, ".vae")).split())
    assert done.code == code
    assert done.err.startswith("error: ")


def test_the_derived_output_of_a_long_input(shell):
    """`INPUT.scored.csv` would be too long: the message names -o, and the input is unharmed."""
    name = named(252, ".csv")
    Path("fresh.csv").rename(name)
    done = shell(f"$V score {name}")
    assert done.returncode == 2
    assert "-o FILE" in done.stderr


@pytest.mark.parametrize("letter", ["n", "é", "漢"])
def test_checkpoints_of_different_bundles_differ(letter: str):
    """Long names are distinguished by a digest, and cut between characters."""
    names = [named(n_bytes, f"{i}.vae", letter) for n_bytes in (245, 250, 255) for i in range(10)]
    paths = {checkpoint_path(Path(name)) for name in names}
    assert len(paths) == len(names)
    assert all(len(path.name.encode()) <= 255 for path in paths)
