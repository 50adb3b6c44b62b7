"""Another process of this interpreter imports what this one would, and none is left when starting is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vaecli.runtime.python_process import PythonProcess


def test_it_imports_from_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from folders with a colon in their name, and where the environment names others."""
    place = tmp_path / "a b:c"
    place.mkdir()
    (place / "answering.py").write_text(
        "import sys\nfrom vaecli.runtime.python_process import channel_of_child\n"
        "def answer():\n    channel_of_child().send(sys.path)\n"
    )
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = PythonProcess.start("answering", "answer")
    assert started.channel.receive() == sys.path
    started.end()


@pytest.mark.parametrize(("options", "isolated"), [(["-I", "-W", "error"], 1), (["-W", "error"], 0)])
def test_it_has_the_options_of_the_interpreter(tmp_path: Path, options: list[str], isolated: int) -> None:
    """An isolated interpreter starts an isolated one, and warnings that are errors stay so."""
    (tmp_path / "answering.py").write_text(
        "import sys\nfrom vaecli.runtime.python_process import channel_of_child\n"
        "def answer():\n"
        "    channel = channel_of_child()\n"
        "    channel.send((sys.flags.isolated, sys.warnoptions))\n"
        "    channel.writer.close()\n"  # else it would warn of that, if it is not killed before
    )
    script = (
        "import sys; sys.path[:] = sys.argv[1:]\n"
        "from vaecli.runtime.python_process import PythonProcess\n"
        "started = PythonProcess.start('answering', 'answer')\n"
        "print(started.channel.receive()); started.end()\n"
    )
    command = [sys.executable, *options, "-c", script, str(tmp_path), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"({isolated}, ['error'])\n", "")


def test_an_interrupt_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is gone before the interrupt is raised."""
    begun: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*words: object, **settings: object) -> subprocess.Popen[bytes]:
        begun.append(popen(*words, **settings))  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return begun[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PythonProcess.start("time", "time")
    assert begun[0].returncode is not None
