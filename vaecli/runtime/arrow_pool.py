"""Which allocator pyarrow takes in the program `vaecli`: jemalloc, where the installed library has it.

With pyarrow's own choice, mimalloc, scoring a Parquet file of 30 columns takes 37 MB more memory
(docs/adr/0046-memory-of-a-scoring-process.md). The library reads the name once, from the environment, when it is
loaded, and warns of one that it lacks; so the header that its package comes with is asked first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

from vaecli.runtime.environment import add

VARIABLE = "ARROW_DEFAULT_MEMORY_POOL"
_HEADER = Path("include", "arrow", "util", "config.h")


def choose(environment: MutableMapping[str, str] = os.environ) -> None:
    """Name jemalloc in the environment, unless it names an allocator, pyarrow is loaded already or has no jemalloc."""
    if VARIABLE not in environment and "pyarrow" not in sys.modules and _has_jemalloc():
        add(VARIABLE, "jemalloc", environment)


def _has_jemalloc() -> bool:
    """Whether the header of the installed pyarrow names jemalloc; False where there is none."""
    found = find_spec("pyarrow")
    for folder in () if found is None else found.submodule_search_locations or ():
        try:
            lines = (Path(folder) / _HEADER).read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            continue
        return "#define ARROW_JEMALLOC" in (line.strip() for line in lines)
    return False
