"""Commands that hints give: they run as they stand, for a file of any name and for standard input."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

GOOD = [f"{i},{i % 7}.5,word{i % 3}" for i in range(40)]
NAMES = "number,reading,mode"
BAD = {
    "a header twice": [NAMES, *GOOD[:20], NAMES, *GOOD[20:]],
    "no header": GOOD,
    "a title above": ["Export of pump 7", "", NAMES, *GOOD],
    "comments": ["# one", "# two", NAMES, *GOOD],
    "delimiters at the end": [NAMES, *(f"{row}," for row in GOOD)],
    "not UTF-8": [NAMES + ",stra\xdfe", *(f"{row},k\xe4se" for row in GOOD)],
    "zero bytes": [NAMES, *GOOD[:20], "\0" * 40, *GOOD[20:]],
}


@pytest.mark.parametrize("name", ["-", "my file's.csv", "plain.csv"])
@pytest.mark.parametrize("what", BAD)
def test_the_command_of_a_hint_runs(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str):
    """Pasted into a shell it makes table.csv of the rows; the producer of a pipe is piped into it."""
    monkeypatch.chdir(tmp_path)
    content = "\n".join([*BAD[what], ""]).encode("latin-1")
    if name != "-":
        Path(name).write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    done = run("fit", name, "-o", "m.vae", "-q", "--dry-run")
    if done.code == 0:
        pytest.skip("this is read")
    assert done.code == 4, done.err
    [command] = re.findall(r"`((?:awk|sed|iconv|tr|grep) .*?)`", done.err)
    target = command.rpartition("> ")[2]
    ran = subprocess.run(["bash", "-c", command], input=content, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b""), command
    assert Path(target).read_bytes().count(b"word") >= 38
