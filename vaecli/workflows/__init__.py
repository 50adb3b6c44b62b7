"""One straight line per verb."""

from __future__ import annotations

from importlib.util import find_spec

from vaecli.errors import MissingPackage

_FITTING = {"torch": "torch", "sklearn": "scikit-learn"}  # the module, and what pip calls it


def require_fitting_packages() -> None:
    """Raise EnvironmentProblem on a host that is set up to score only."""
    missing = [package for module, package in _FITTING.items() if find_spec(module) is None]
    if missing:
        raise MissingPackage(
            f"fitting needs {' and '.join(missing)}, not installed here: this host can only score",
            f"pip install {' '.join(missing)}, or fit on another machine and copy the bundle here",
        )
