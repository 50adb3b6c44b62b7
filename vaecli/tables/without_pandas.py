"""Keeps pyarrow from importing pandas and dateutil in a process that does not use them."""

from __future__ import annotations

import sys

import pyarrow as pa


def skip_pandas_import(*, for_good: bool = False) -> None:
    """Make pyarrow believe that pandas is not installed, unless it is already imported.

    At its first conversion pyarrow imports pandas to know its types, which takes 0.7 s: too long for a job that cron
    starts every minute. It tries once per process; this function makes it try now, while the import fails. The same
    conversion, and each later one without a type, imports dateutil, whose intervals no table holds. With `for_good`
    no package finds either later: scikit-learn imports pandas with its first module. For the command line
    only: afterwards `to_pandas` does not work in this process.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        if not for_good:
            sys.meta_path.remove(finder)


class _NoPandas:
    """An import finder that reports pandas, and dateutil, as not installed."""

    def find_spec(self, name: str, *_others: object) -> None:
        """Raise ModuleNotFoundError for both; leave every other module to the other finders."""
        if name in ("pandas", "dateutil"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
