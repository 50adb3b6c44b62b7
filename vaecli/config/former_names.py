"""Settings that were renamed: the former name still works, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

_CURRENT_NAMES = {"model.crossed_below": "model.full_crossfit_below"}


class FormerName(FutureWarning):
    """A setting was given by a name that it no longer has."""


def to_current_names(given: Mapping[str, tuple[Any, str]], problems: list[str]) -> dict[str, tuple[Any, str]]:
    """The settings under their current names; a former one warns, and is a problem beside the current one.

    Values are (value, what messages call the setting), which is kept.
    """
    for former, current in _CURRENT_NAMES.items():
        if former in given and current in given:
            problems.append(f"{former} is the former name of {current}; give {current} only")
        elif former in given:
            # the caller of `vaecli.fit`, which calls fit_config through one function, and that one more
            warnings.warn(f"{former} is now called {current}", FormerName, stacklevel=6)
    return {_CURRENT_NAMES.get(name, name): value for name, value in given.items()}
