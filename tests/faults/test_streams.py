"""Closed and full standard streams: the exit code stays, and no message lands in a file of the user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

# enough for every stream; the others are further mistakes
FEW = ("score fresh.csv -o out.csv", "score bad.csv -o out.csv", "score fresh.csv -o out.csv -m no.vae --json")
CODES = {
    "score fresh.csv -o out.csv": 0,
    "score fresh.csv -o out.csv --json": 0,
    "score fresh.csv -o out.csv --fail-on any": 3,
    "score fresh.csv --treshold 0.9": 2,
    "score bad.csv -o out.csv": 4,
    "score fresh.csv -o out.csv -m no.vae --json": 5,
    "score fresh.csv -o no/out.csv": 2,
    "inspect": 0,
}


@needs_full
@pytest.mark.parametrize("wanted", [FEW, pytest.param(tuple(CODES)[:-1], marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.parametrize(
    "streams",
    [
        "2>/dev/full",
        pytest.param("2>&-", marks=pytest.mark.slow),  # so does the last but one
        pytest.param("<&-", marks=pytest.mark.slow),
        pytest.param(">&-", marks=pytest.mark.slow),
        pytest.param(">&- 2>&-", marks=pytest.mark.slow),  # the next closes one more
        "<&- >&- 2>&-",
        pytest.param("--verbose 2>/dev/full", marks=pytest.mark.slow),
    ],
)
def test_closed_and_full_streams_leave_the_exit_code(shell, streams: str, wanted: tuple[str, ...]):
    """Success, a gate, and mistakes of each kind."""
    codes = {words: shell(f"$V {words} {streams}").returncode for words in wanted}
    assert codes == {words: CODES[words] for words in codes}
    rows = Path("out.csv").read_text().splitlines()
    assert len(rows) == 1 + len(Path("fresh.csv").read_text().splitlines()) - 1
    assert all("error:" not in row and "hint:" not in row for row in rows)


@needs_full
@pytest.mark.parametrize(
    ("words", "streams"),
    [
        pytest.param(words, streams, marks=[pytest.mark.slow] if streams and "--json" in words else [])
        for words in ("score fresh.csv -o out.csv --json", "score fresh.csv -o out.csv", "inspect --json")
        for streams in ("", "2>/dev/full", "2>&-")
    ],
)
def test_a_summary_that_a_full_disk_refuses_is_7(shell, words: str, streams: str):
    """What was asked for on standard output did not arrive; the table is complete."""
    done = shell(f"$V {words} >/dev/full {streams}")
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    if not streams:
        assert done.stderr.startswith("error: standard output: cannot be written: No space left")
    assert "score" not in words or Path("out.csv").read_text().count("\n") == Path("fresh.csv").read_text().count("\n")


@needs_full
@pytest.mark.parametrize(("words", "code"), [("score bad.csv --json", 4), ("score fresh.csv -m no.vae --json", 5)])
def test_an_error_that_a_full_disk_refuses_keeps_its_code(shell, words: str, code: int):
    """The object of an error is a message as well: one error is reported, and it is the first one."""
    done = shell(f"$V {words} >/dev/full")
    assert done.returncode == code
    assert done.stderr.count("error:") == 1


@needs_full
def test_rows_that_a_full_disk_refuses_are_7(shell):
    """Rows on standard output were asked for."""
    done = shell("$V score fresh.csv -o - >/dev/full")
    assert done.returncode == 7
    assert "nothing was written" not in done.stderr


def test_no_row_is_lost_in_a_pipe_that_does_not_block(program):
    """Programs that start others, such as Node, may hand on a pipe that refuses what does not fit into it."""
    header, *rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    Path("many.csv").write_text(header + "".join(rows) * 100)
    done = program("os.set_blocking(0, False); os.set_blocking(1, False)", "score", "many.csv", "-o", "-")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + 100 * len(rows)


def test_a_reader_of_messages_that_went_away(shell):
    """Nobody reads standard error: the exit code is that of the mistake."""
    assert shell("$V score bad.csv 2> >(exit 0); echo $?").stdout == "4\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_of_ours_takes_a_standard_descriptor(place, closed: str, shell):
    """While files are open, descriptors 0 to 2 are the null device or what the shell gave."""
    Path("watch.py").write_text(
        "import os, sys\n"
        "from vaecli.runtime import atomic_file\n"
        "opened = atomic_file.open_atomic\n"
        "def watching(*arguments, **named):\n"
        "    file = opened(*arguments, **named)\n"
        "    with open('seen.txt', 'a') as seen:\n"
        "        print(file.stream.fileno() > 2, *(os.path.exists(f'/dev/fd/{n}') for n in range(3)), file=seen)\n"
        "    return file\n"
        "atomic_file.open_atomic = watching\n"
        "import vaecli.tables.write.targets as targets\n"
        "targets.open_atomic = watching\n"
        "from vaecli.cli.app import run\n"
        "run()\n"
    )
    assert shell(f"${{V% -m*}} watch.py score fresh.csv -o out.csv --quiet {closed}").returncode == 0
    assert Path("seen.txt").read_text() == "True True True True\n"


def test_a_closed_standard_input_is_an_empty_table(shell):
    """`-` reads the null device: exit code 4 and one message."""
    done = shell("$V score - -o out.csv --json <&-")
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"].startswith("standard input")
