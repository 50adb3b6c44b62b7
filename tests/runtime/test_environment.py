"""Variables that the program sets for libraries: none replaces one of the user's, and none reaches another program."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vaecli.runtime import arrow_pool
from vaecli.runtime.environment import BLAS_THREADS, add, as_before, limit_blas

THREADS = (
    "import vaecli.cli.app as app\n"
    "from threadpoolctl import threadpool_info\n"
    "def main():\n"
    "    import numpy\n"
    "    print(*{one['num_threads'] for one in threadpool_info() if one['internal_api'] == 'openblas'})\n"
    "    raise SystemExit(0)\n"
    "app.main = main\n"
    "app.run()\n"
)


def test_what_is_set_is_taken_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a command of the user's; a name that came from outside is passed on."""
    monkeypatch.delitem(sys.modules, "pyarrow")
    monkeypatch.setattr(arrow_pool, "_has_jemalloc", lambda: True)
    environment = {"PATH": "/bin"}
    arrow_pool.choose(environment)
    limit_blas(environment)
    assert environment[arrow_pool.VARIABLE] == "jemalloc"
    assert environment[BLAS_THREADS] == "1"
    assert as_before(environment) == {"PATH": "/bin"}
    assert as_before({BLAS_THREADS: "1"}) == {BLAS_THREADS: "1"}


def test_a_value_of_the_user_stays() -> None:
    """Whoever names one gets it, and so do the programs that are started."""
    environment = {"NAME": "theirs"}
    add("NAME", "ours", environment)
    assert environment == as_before(environment) == {"NAME": "theirs"}


@pytest.mark.parametrize(("given", "found"), [(None, "1"), pytest.param("2", "2", marks=pytest.mark.slow)])
def test_openblas_starts_no_threads(given: str | None, found: str) -> None:
    """In the program, unless the environment gives their number."""
    others = {name: value for name, value in os.environ.items() if name not in (BLAS_THREADS, "OMP_NUM_THREADS")}
    environment = others | ({} if given is None else {BLAS_THREADS: given})
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [found]
