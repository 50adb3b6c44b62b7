"""Tables that a Python program gives and gets back: paths, frames and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.tables.read.frames import frame_source
from vaecli.tables.read.open import open_source
from vaecli.tables.source import Source


def given_source(table: Any, lines: Sequence[str] | None = None) -> Source:
    """A path or several, a frame or an array, opened as one table. Raises as `open_source` and `frame_source` do."""
    if isinstance(table, str | Path):
        return open_source([str(table)], lines=lines)
    if isinstance(table, Sequence) and table and all(isinstance(path, str | Path) for path in table):
        return open_source([str(path) for path in table], lines=lines)
    return frame_source(table)


def is_pandas(table: Any) -> bool:
    """Whether a table is a DataFrame of pandas, which is not imported for the question."""
    return type(table).__module__.partition(".")[0] == "pandas"


def with_added(frame: Any, added: Mapping[str, np.ndarray]) -> Any:
    """A copy of the DataFrame with the columns `added`, (n,) each and of new names, after its own.

    As `frame.assign`, which lays out the names of all columns anew for each.
    """
    import pandas as pd

    if type(frame) is not pd.DataFrame or frame.columns.nlevels > 1:  # names of several parts, and relatives of pandas
        return frame.assign(**added)
    beside = pd.DataFrame(dict(enumerate(added.values())), index=frame.index)
    beside.columns = _index_of(tuple(added))
    found = pd.concat([frame, beside], axis=1)
    if frame.columns.name is not None:
        found.columns.name = frame.columns.name
    found.attrs = dict(frame.attrs)
    return found


@lru_cache(maxsize=8)
def _index_of(names: tuple[str, ...]) -> Any:
    """The names as pandas has them, which it takes as long to make as to append their columns."""
    import pandas as pd

    return pd.Index(names)


def with_columns(frame: Any, added: Any, names: Sequence[str]) -> Any:
    """A copy of the DataFrame with the columns `names` of the Arrow table `added`; its index and types stay."""
    frame = frame.copy()
    for name in names:
        frame[name] = added.column(name).to_numpy()
    return frame
