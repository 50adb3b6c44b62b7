"""Keeps pyarrow from importing pandas in a process that has no use for it."""

from __future__ import annotations

import sys

import pyarrow as pa


def skip_pandas_import() -> None:
    """Let pyarrow find that there is no pandas, unless it is loaded already.

    At its first conversion pyarrow imports pandas, only to know its types: 0.7 s of a job that cron starts every
    minute. It asks once a process, so it is asked now, while the import fails. For the command line only:
    afterwards `to_pandas` does not work in this process.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


class _NoPandas:
    """An import finder to which pandas is not installed."""

    def find_spec(self, name: str, *_others: object) -> None:
        """Refuse pandas; leave everything else to the other finders."""
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
