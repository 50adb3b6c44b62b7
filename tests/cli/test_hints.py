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
    "an average at the end": [NAMES, *GOOD, ",Average,"],
    "totals with more fields": [NAMES, *GOOD, "Sum,780,120,,", "Average,19.5,3.0,,"],
    "a note at the end": [NAMES, *GOOD, "", "(40 rows affected)"],
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
    [command] = re.findall(r"`((?:awk|sed|iconv|tr|grep|head) .*?)`", done.err)
    target = command.rpartition("> ")[2]
    ran = subprocess.run(["bash", "-c", command], input=content, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b""), command
    assert Path(target).read_bytes().count(b"word") >= 38
    assert not re.search(b"Average|Sum|affected", Path(target).read_bytes())


def test_a_footer_of_a_scored_table(run, normal_csv: Path, bundle: Path, tmp_path: Path):
    """Its cells are no numbers: the hint cuts it, and one far above the end is no footer."""
    lines = normal_csv.read_text().splitlines()
    for at, is_footer in ((len(lines), True), (9, False)):
        table = tmp_path / "export.csv"
        table.write_text("\n".join([*lines[:at], "Average,100,60,,", *lines[at:], ""]))
        done = run("score", str(table), "-m", str(bundle), "-o", str(tmp_path / "out.csv"))
        assert done.code == 4
        assert ("if the last line holds totals or a note: `head -n -1 " in done.err) == is_footer


@pytest.mark.parametrize(
    ("header", "is_long"),
    [("Tag,Timestamp,Value", True), ("entity_id,last_changed,state", True), ("city,Timestamp,Value", False)],
)
def test_words_among_the_readings_of_a_long_table(run, tmp_path: Path, header: str, is_long: bool):
    """The hint has the option that reads such a table, status words included, ready to paste."""
    names = header.split(",")
    rows = [
        f"{tag},2026-11-01 00:{i:02d}:00,{'Bad Input' if i == 7 else 20 + (i * k) % 7}"
        for i in range(60)
        for k, tag in enumerate(("flow", "level", "speed"), 1)
    ]
    (tmp_path / "long.csv").write_text("\n".join([header, *rows, ""]))
    words = ["fit", str(tmp_path / "long.csv"), "-o", str(tmp_path / "m.vae"), "--dry-run"]
    done = run(*words)
    assert done.code == 4
    option = f"--long name={names[0]},value={names[2]}"
    assert (option in done.err) == is_long
    if is_long:
        assert run(*words, *option.split()).code == 0
