"""`torchrun … -m vaecli fit`: the bundle of one process, one voice, and a fit that survives a killed rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv, parquet

import vaecli

pytestmark = pytest.mark.slow  # every process imports torch

N_ROWS = 300
QUICKLY = ("--preset", "fast", "--max-epochs", "30")
SLOWLY = """
import time, vaecli.training.schedule as schedule, vaecli.training.loop as loop
schedule.SECONDS_BETWEEN_CHECKPOINTS = 0
drawn = loop.Run.drawn
def slow(self, *given):
    time.sleep(0.02)
    return drawn(self, *given)
loop.Run.drawn = slow
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    load = rng.normal(size=N_ROWS)
    sites = rng.choice(["north", "south"], N_ROWS)
    lines = [f"{x:.4f},{2 * x + e:.4f},{s}" for x, e, s in zip(load, rng.normal(size=N_ROWS), sites, strict=True)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,site", *lines]) + "\n")
    return path


def torchrun(n: int, words: Sequence[str], *, module: Sequence[str] = ("-m", "vaecli"), cwd: Path) -> subprocess.Popen:
    """The command of n ranks on this machine, at a port of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    return subprocess.Popen(
        [*launcher, *module, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def test_the_bundle_is_the_same_for_any_number_of_ranks(table: Path, tmp_path: Path) -> None:
    """One and two ranks write the same bytes, and one summary; the bundle scores."""
    bundles = []
    for n in (1, 2):
        bundle = tmp_path / f"{n}.vae"
        code, out, err = ended(torchrun(n, ["fit", str(table), "-o", str(bundle), *QUICKLY], cwd=tmp_path))
        assert code == 0, err
        assert out.count("300 rows") == 1
        bundles.append(bundle.read_bytes())
        assert not Path(f"{bundle}.checkpoint").exists()
    assert bundles[0] == bundles[1]
    assert vaecli.load(tmp_path / "2.vae").score(table).num_rows == N_ROWS


def test_lines_of_a_log_give_the_bundle_of_one_process(tmp_path: Path) -> None:
    """`--lines` under torchrun: every rank reads the lines itself; one and two ranks write the same bytes."""
    rng = np.random.default_rng(0)
    stamps = (f"2024-03-01 {i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}" for i in range(0, 10 * N_ROWS, 10))
    lines = [f"{stamp} INFO valve {rng.integers(99)} moved to {rng.integers(100)} %" for stamp in stamps]
    log = tmp_path / "app.log"
    log.write_text("\n".join(lines) + "\n")
    bundles = []
    for n in (1, 2):
        words = ["fit", str(log), "--lines", "-o", str(tmp_path / f"{n}.vae"), *QUICKLY]
        code, out, err = ended(torchrun(n, words, cwd=tmp_path))
        assert code == 0, err
        assert out.count("300 used") == 1
        bundles.append((tmp_path / f"{n}.vae").read_bytes())
    assert bundles[0] == bundles[1]
    wrong = tmp_path / "wrong.log"
    wrong.write_text("\n".join([*lines[:20], "2024-03-01 09:00:00 kernel: Oops: 0002 [#1] SMP"]) + "\n")
    scored = vaecli.load(tmp_path / "2.vae").score(wrong)
    assert np.argmax(scored["anomaly_score"]) == 20


def test_a_killed_rank_ends_the_fit_and_it_goes_on(table: Path, tmp_path: Path) -> None:
    """SIGKILL of a rank: the first one names the checkpoint, and --resume gives the same bytes."""
    script = tmp_path / "slowly.py"
    script.write_text(SLOWLY + "from vaecli.cli.app import run\nrun()\n")
    whole, bundle = tmp_path / "whole.vae", tmp_path / "model.vae"
    assert ended(torchrun(2, ["fit", str(table), "-o", str(whole), *QUICKLY], cwd=tmp_path))[0] == 0
    words = ["fit", str(table), "-o", str(bundle), *QUICKLY]
    process = torchrun(2, words, module=[str(script)], cwd=tmp_path)
    checkpoint = Path(f"{bundle}.checkpoint")
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process_of_rank(1, str(script), process.pid), signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 1
    assert err.count(f" {checkpoint}") == 1  # after "goes on from" or, where torchrun was quicker, "is in"
    assert "error: another rank has ended" in err or "terminated; the training so far is in" in err
    assert not bundle.exists()
    code, _, err = ended(torchrun(1, [*words, "--resume"], cwd=tmp_path))
    assert code == 0, err
    assert bundle.read_bytes() == whole.read_bytes()


def process_of_rank(rank: int, script: str, parent: int) -> int:
    """The process with that rank among the children of torchrun."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
            parents = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if script.encode() in words and f"RANK={rank}".encode() in variables and int(parents) == parent:
            return int(entry.name)
    raise AssertionError("there is no such rank")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["fit", "absent.csv"], 4, "error: absent.csv"),
        (["fit", "-"], 2, "error: -: a pipe has one reader"),
        (["fit", "table.csv", "--threshold", "2"], 2, "error: "),
        (["fit", "table.csv", *QUICKLY, "--lock", "run.lock"], 0, ""),
    ],
)
def test_a_problem_of_all_ranks_is_reported_once(
    words: list[str], code: int, message: str, table: Path, tmp_path: Path
) -> None:
    """Only the first rank speaks, and its code is in the report of torchrun; a lock is that of the first rank."""
    assert table.exists()
    left, out, err = ended(torchrun(2, words, cwd=tmp_path))
    assert left == (1 if code else 0), err
    assert err.count("error: ") == (1 if code else 0), out + err
    assert message in err
    if code:
        assert f"exitcode  : {code} " in err


def test_more_ranks_than_members(table: Path, tmp_path: Path) -> None:
    """Three ranks for the two members of `fast` are refused."""
    _, _, err = ended(torchrun(3, ["fit", str(table), *QUICKLY], cwd=tmp_path))
    assert err.count("there are 3 ranks and 2 members") == 1


def test_a_problem_of_one_rank_names_it(table: Path, tmp_path: Path) -> None:
    """Ranks that read different tables do not train: every rank sees it, the first one reports it."""
    script = tmp_path / "other.py"
    script.write_text(
        "import os, sys\nfrom vaecli.cli.app import run\n"
        f"if os.environ['RANK'] == '1':\n    sys.argv[2] = {str(tmp_path / 'absent.csv')!r}\nrun()\n"
    )
    code, _, err = ended(torchrun(2, ["fit", str(table), *QUICKLY], module=[str(script)], cwd=tmp_path))
    assert code == 1
    assert "error: rank 1 of 2: " in err


def test_different_rows_are_not_trained_on(table: Path, tmp_path: Path) -> None:
    """A rank with another table is found before training."""
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("north", "west"))
    script = tmp_path / "other.py"
    script.write_text(
        "import os, sys\nfrom vaecli.cli.app import run\n"
        f"if os.environ['RANK'] == '1':\n    sys.argv[2] = {str(other)!r}\nrun()\n"
    )
    _, _, err = ended(torchrun(2, ["fit", str(table), *QUICKLY], module=[str(script)], cwd=tmp_path))
    assert "error: rank 1 of 2 has rows or settings other than those of rank 0" in err


def test_the_page_on_many_gpus(table: Path, tmp_path: Path) -> None:
    """docs/how-to/many-gpus.md: the commands for one machine do what they show; a short fit is enough."""

    parquet.write_table(csv.read_csv(table), tmp_path / "normal.parquet")
    text = (Path(__file__).parents[2] / "docs/how-to/many-gpus.md").read_text(encoding="utf-8")
    commands = [line.split() for line in text.splitlines() if line.startswith("torchrun --standalone")]
    assert ["--resume" in words for words in commands] == [False, True]
    for launcher, *options in commands:
        split = options.index("-m")
        assert (launcher, options[:3]) == ("torchrun", ["--standalone", "--nproc-per-node", "2"])
        words = [*options[split + 2 :], "--max-epochs", "2"]
        code, out, err = ended(torchrun(2, words, module=options[split : split + 2], cwd=tmp_path))
        assert code == 0, err
        assert out.count("pump.vae") >= 1
