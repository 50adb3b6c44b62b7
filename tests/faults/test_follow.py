"""`score - --follow`: real processes, rows written one at a time."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.faults.conftest import PROGRAM
from vaecli.cli.app import main

FOLLOW = [*PROGRAM, "score", "-", "--follow", "-q"]
Start = Callable[..., "Stream"]


class Stream:
    """A running `score - --follow`."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [*FOLLOW, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.seen = b""

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    def read_lines(self, n: int) -> list[str]:
        """The next `n` lines, each of which must come within a minute."""
        out = self.process.stdout
        assert out is not None
        while self.seen.count(b"\n") < n:
            assert select.select([out], [], [], 60)[0], f"nothing comes after {self.seen!r}"
            piece = os.read(out.fileno(), 65536)
            assert piece, self.process.communicate()[1].decode()
            self.seen += piece
        lines = self.seen.decode().splitlines(keepends=True)
        self.seen = "".join(lines[n:]).encode()
        return lines[:n]

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """(exit code, what else it wrote, standard error) after a signal, or after the end of the input."""
        if number is not None:
            self.process.send_signal(number)
            self.process.wait(60)
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, (self.seen + out).decode(), error.decode()


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    started: list[Stream] = []

    def begin(*words: str) -> Stream:
        started.append(Stream(*words))
        return started[-1]

    yield begin
    for stream in started:
        if stream.process.poll() is None:
            stream.process.kill()
        with stream.process:  # closes its pipes
            pass


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with plant.vae, a bundle of two devices' sensors, and later.csv, rows that follow."""
    folder = tmp_path_factory.mktemp("plant")
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(700, 2))
    for t in range(1, 700):
        steps[t] += 0.9 * steps[t - 1]
    table = pd.DataFrame(
        {"time": 1_700_000_000 + np.arange(700) // 2, "device": np.where(np.arange(700) % 2, "b", "a")}
    )
    table[["flow", "heat"]] = steps.round(3)
    table[:640].to_csv(folder / "train.csv", index=False)
    table[640:].to_csv(folder / "later.csv", index=False)
    series = ["--time", "time", "--group", "device", "--window", "8"]
    with pytest.raises(SystemExit) as left:
        main(["fit", str(folder / "train.csv"), *series, "-q", "-o", str(folder / "plant.vae")])
    assert not left.value.code
    return folder


def plain(*words: str) -> str:
    return subprocess.run([*PROGRAM, "score", *words], capture_output=True, text=True, check=True, timeout=120).stdout


def test_each_row_comes_back_before_the_next_is_written(start: Start):
    """And all are those of the table at once."""
    rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    stream = start()
    stream.write("".join(rows[:2]))
    got = stream.read_lines(2)
    for row in rows[2:12]:
        stream.write(row)
        got += stream.read_lines(1)
    stream.write("".join(rows[12:]))
    code, rest, error = stream.end()
    assert (code, error) == (0, "")
    assert "".join(got) + rest == plain("fresh.csv", "-q", "-o", "-")


def test_pieces_of_a_series_with_a_state_are_the_series(start: Start, plant: Path):
    """After SIGTERM the state is that of the rows written, and the next run goes on in the same file."""
    header, *rows = (plant / "later.csv").read_text().splitlines(keepends=True)
    words = ("-m", str(plant / "plant.vae"), "--state", "plant.state", "-o", "scored.csv")
    stream = start(*words)
    stream.write(header + "".join(rows[:20]))
    for _ in range(600):
        if Path("scored.csv").exists() and Path("scored.csv").read_text().count("\n") == 21:
            break
        select.select([], [], [], 0.1)
    code, _, error = stream.end(signal.SIGTERM)
    assert (code, error) == (143, "error: terminated; the rows that came are in scored.csv\n")
    stream = start(*words)
    stream.write(header + "".join(rows[20:]))
    assert stream.end() == (0, "", "")
    assert Path("scored.csv").read_text() == plain(str(plant / "later.csv"), "-q", "-m", words[1], "-o", "-")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_whole_lines(start: Start, number: int, code: int):
    header, *rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    stream = start()
    stream.write(header + rows[0] + rows[1][:5])
    got = stream.read_lines(2)
    returned, rest, error = stream.end(number)
    assert (returned, rest) == (code, "")
    assert got[1].startswith(rows[0].strip())
    assert "the rows that came are in standard output" in error


@pytest.mark.parametrize(
    ("bad", "words"),
    [("high", "line 4"), ('"1" 2', "line 4"), ("1\0", "line 4")],
    ids=["no number", "stray quote", "NUL"],
)
def test_rows_above_a_bad_one_are_written(start: Start, bad: str, words: str):
    """Though all arrive together."""
    header, *rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    place = header.strip().split(",").index("pressure")
    cells = rows[2].strip().split(",")
    cells[place] = bad
    stream = start()
    stream.write(header + rows[0])
    stream.read_lines(2)
    stream.write(rows[1] + ",".join(cells) + "\n" + rows[3])
    code, rest, error = stream.end()
    assert code == 4
    assert words in error
    assert rest.startswith(rows[1].strip())
    assert rest.count("\n") == 1


def test_a_row_is_complete_when_its_quotes_are_closed(start: Start):
    header, *rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    stream = start()
    stream.write(f"note,{header}first,{rows[0]}" + '"two\n')
    stream.read_lines(2)
    stream.write(f'lines",{rows[1]}')
    got = "".join(stream.read_lines(2))
    assert got.startswith(f'"two\nlines",{rows[1].strip()},')
    assert stream.end()[0] == 0


def test_the_end_of_the_reader_ends_the_run(start: Start):
    header, *rows = Path("fresh.csv").read_text().splitlines(keepends=True)
    stream = start()
    stream.write(header + rows[0])
    stream.read_lines(2)
    assert stream.process.stdout is not None
    stream.process.stdout.close()
    stream.write(rows[1])
    assert stream.process.wait(60) == 141
    assert stream.process.stderr is not None
    assert stream.process.stderr.read() == b""


def test_fail_on_counts_all_rows_at_the_end(start: Start):
    stream = start("--fail-on", "any", "--anomalies-only", "--explain", "1", "--prefix", "x_")
    stream.write(Path("fresh.csv").read_text())
    code, rest, _ = stream.end()
    assert code == 3
    assert rest.splitlines()[0].endswith("x_anomaly_score,x_p_value,x_is_anomaly,x_top_columns")
    assert all(",true," in line for line in rest.splitlines()[1:])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("score - --follow < fresh.parquet", "Parquet; --follow reads plain CSV or TSV"),
        ("gzip < fresh.csv | $V score - --follow", "compressed; --follow reads plain CSV or TSV"),
        ("score fresh.csv --follow", "--follow reads standard input or a named pipe, not files"),
        ("score - --follow --offline < fresh.csv", "--follow and --offline contradict each other"),
        ("score - --follow -o out.parquet < fresh.csv", "--follow writes rows as they come, to plain CSV or TSV"),
        ("score - --follow -o bad.csv < fresh.csv", "--follow adds rows to a file, and it holds something else"),
    ],
)
def test_what_cannot_be_followed_is_refused(shell, line: str, words: str):
    done = shell(line if "$V" in line else f"$V {line}")
    assert done.returncode == 2
    assert words in done.stderr
    assert not Path("out.parquet").exists()


def test_a_named_pipe_is_followed(shell):
    done = shell("mkfifo pipe; cat fresh.csv > pipe & $V score pipe --follow -q -o -")
    assert done.returncode == 0
    assert done.stdout == plain("fresh.csv", "-q", "-o", "-")
