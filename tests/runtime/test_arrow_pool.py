"""The program takes jemalloc for pyarrow where it can, silently, and tells no other program."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from vaecli.runtime import arrow_pool
from vaecli.runtime.arrow_pool import VARIABLE, choose

LOADED = (
    "from vaecli.runtime.arrow_pool import choose; choose(); import pyarrow; "
    "print(pyarrow.default_memory_pool().backend_name)"
)


def loaded(**environment: str) -> subprocess.CompletedProcess[str]:
    """The allocator that pyarrow takes in a process after `choose`."""
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", LOADED], env=others | environment, capture_output=True, text=True, check=True
    )


def test_pyarrow_takes_jemalloc_where_it_has_it() -> None:
    """The header names the allocators that the library has, and the library takes the one chosen without a warning."""
    done = loaded()
    assert (done.stdout.strip() == "jemalloc") == ("jemalloc" in pa.supported_memory_backends())
    assert not done.stderr


def test_an_allocator_that_the_environment_names_stays() -> None:
    """Whoever names an allocator gets it."""
    assert loaded(**{VARIABLE: "system"}).stdout.strip() == "system"


def test_nothing_is_chosen_once_pyarrow_is_loaded_or_without_jemalloc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that comes too late, or of an allocator that is not there, is not written."""
    environment: dict[str, str] = {}
    choose(environment)  # this process has imported pyarrow
    monkeypatch.delitem(sys.modules, "pyarrow")
    monkeypatch.setattr(arrow_pool, "_has_jemalloc", lambda: False)
    choose(environment)
    assert environment == {}
