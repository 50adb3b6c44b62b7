"""Names as long as the file system allows, and one byte more: whole outputs or a clear error before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaecli.workflows.fit import _checkpoint_path

OVER = "the file system does not allow a name this long: 256 bytes"


def named(n_bytes: int, extension: str, letter: str = "n") -> str:
    return letter * ((n_bytes - len(extension)) // len(letter.encode())) + extension


@pytest.mark.parametrize("n_bytes", [244, 245, pytest.param(250, marks=pytest.mark.slow), 255])
def test_a_bundle_with_a_long_name(program, n_bytes: int):
    """Fitted with a checkpoint beside it, and scored with; no temporary name is longer than the file system allows."""
    name = named(n_bytes, ".vae")
    often = "import vaecli.training.schedule as schedule\nschedule.SECONDS_BETWEEN_CHECKPOINTS = 0\n"
    fitted = program(often, "fit", "fresh.csv", "--config", "quick.toml", "-o", name)
    assert (fitted.returncode, fitted.stderr) == (0, "")
    assert "warning: the progress" not in fitted.stdout
    assert program("", "score", "fresh.csv", "-m", name, "-o", "out.csv", "-q").returncode == 0
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
def test_a_name_that_is_too_long(program, words: str):
    """Refused before the table is read, with nothing written."""
    before = sorted(Path().iterdir())
    names = {extension: named(256, f".{extension}") for extension in ("vae", "csv", "png", "html")}
    done = program("", *words.format(**names).split())
    assert done.returncode == 2
    assert OVER in done.stderr
    assert done.stderr.count("\n") == 2
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(("words", "code"), [("score {csv}", 4), ("score fresh.csv -m {vae}", 5), ("inspect {vae}", 5)])
def test_an_input_whose_name_is_too_long(program, words: str, code: int):
    """It cannot exist."""
    done = program("", *words.format(csv=named(256, ".csv"), vae=named(256, ".vae")).split())
    assert done.returncode == code
    assert "Traceback" not in done.stderr


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
    paths = {_checkpoint_path(Path(name)) for name in names}
    assert len(paths) == len(names)
    assert all(len(path.name.encode()) <= 255 for path in paths)
