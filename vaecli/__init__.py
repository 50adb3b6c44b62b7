"""vaecli: anomaly detection on tables with a variational autoencoder.

    import vaecli
    model = vaecli.fit("normal.parquet")
    model.save("model.vae")
    scored = vaecli.load("model.vae").score(frame)

A `Model` is what `fit` and `load` return; a bundle is the file that it is saved to.

Importing this package imports nothing heavy: every public name is loaded when first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0.dev0"

_HOME = {
    "Model": "vaecli.api",
    "Schema": "vaecli.schema",
    "VaecliError": "vaecli.errors",
    "fit": "vaecli.api",
    "load": "vaecli.api",
    "mark": "vaecli.api",
    "score": "vaecli.api",
}

__all__ = ["Model", "Schema", "VaecliError", "__version__", "fit", "load", "mark", "score"]


def __getattr__(name: str) -> Any:
    if name == "spark":
        return import_module("vaecli.spark")
    if name not in _HOME:
        raise AttributeError(f"module 'vaecli' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
