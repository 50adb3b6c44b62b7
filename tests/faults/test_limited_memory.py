"""`ulimit -v` and `ulimit -d`: a run succeeds, or ends with one message that names the limit. None hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.messages import assert_is_a_message

SCORE = "score fresh.csv -o out.csv -q"
FIT = "fit fresh.csv --config quick.toml -o out.vae -q"


def assert_done_or_refused(done, output: str) -> None:
    assert done.returncode in (0, 7), done.stderr
    if done.returncode:
        assert_is_a_message(done.stderr)
        assert not Path(output).exists()
    else:
        assert done.stderr == ""
    assert not list(Path().glob(".vaecli-*"))


@pytest.mark.parametrize("words", ["score fresh.csv -o out.csv", "fit fresh.csv -o out.vae", "explain fresh.csv"])
def test_a_limit_below_what_a_verb_takes(shell, words: str) -> None:
    """It is refused before libraries are loaded, which would loop, abort, or leave with a code of their own."""
    done = shell(f"ulimit -v 300000; $V {words} 2>&1 >/dev/null")
    assert done.returncode == 7
    assert done.stdout.startswith("error: the memory of a process is limited to 293 MB (`ulimit -v`), and `")
    assert not Path("out.csv").exists()


def test_the_output_under_a_limit_is_that_without(shell) -> None:
    """Byte by byte, with the threads that fit."""
    assert shell(f"$V {SCORE.replace('out', 'free')} && ulimit -v 600000 && $V {SCORE}").returncode == 0
    assert Path("out.csv").read_bytes() == Path("free.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["-v 500000", "-v 520000", "-v 560000", "-v 650000", "-v 900000", "-d 520000"])
@pytest.mark.parametrize("verb", ["score", "check", "explain", "selftest", "report"])
def test_reading_verbs_under_a_limit(shell, verb: str, limit: str) -> None:
    """As a small limit becomes a large one."""
    output = "out.html" if verb == "report" else "out.csv"
    assert_done_or_refused(shell(f"ulimit {limit}; $V {verb} fresh.csv -o {output} -q"), output)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["-v 650000", "-v 1050000", "-v 1100000", "-v 1200000", "-v 2000000", "-d 1050000"])
def test_a_fit_under_a_limit(shell, limit: str) -> None:
    """Of both its processes."""
    assert_done_or_refused(shell(f"ulimit {limit}; $V {FIT}"), "out.vae")


ONLY_ON_LINUX = "del os.pipe2, os.sched_getaffinity, signal.sigtimedwait, os.posix_fadvise, os.posix_fallocate"


@pytest.mark.parametrize(
    "limit", ["RLIMIT_NOFILE, (200, 200)", "RLIMIT_NPROC, (4000, 4000)", "RLIMIT_AS, (2**32,) * 2"]
)
def test_a_system_that_is_not_linux(program, limit: str) -> None:
    """What only Linux has is not asked for, with and without a limit: macOS lacks these functions."""
    change = f"import resource; {ONLY_ON_LINUX}; resource.setrlimit(resource.{limit})"
    done = program(change, *SCORE.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("out.csv").exists()
