"""A detector in one file: a manifest in JSON and arrays in safetensors, in a ZIP archive.

    model.vae   ZIP, entries stored uncompressed, in this order and no others
    ├── manifest.json        format, schema, settings, digests
    └── arrays.safetensors   the arrays of the detector, by name

This package handles names, arrays and JSON; the detector gives them their meaning. Reading executes nothing
and checks every size before it allocates memory. The same manifest and arrays give the same bytes, so a bundle holds
no timestamp: `vaecli inspect` shows that of the file. docs/bundle-format.md is the specification.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaecli.bundle.manifest import (
        FORMAT as FORMAT,
        ROWS_FORMAT as ROWS_FORMAT,
        SENSORS_FORMAT as SENSORS_FORMAT,
        Manifest as Manifest,
    )
    from vaecli.bundle.read import read_bundle as read_bundle
    from vaecli.bundle.save_load import (
        load_any_detector as load_any_detector,
        load_detector as load_detector,
        save_detector as save_detector,
    )
    from vaecli.bundle.write import write_bundle as write_bundle

# who reads a bundle does not write one, so every name is loaded when first used (PEP 562)
_HOME = {
    "FORMAT": "manifest",
    "ROWS_FORMAT": "manifest",
    "SENSORS_FORMAT": "manifest",
    "Manifest": "manifest",
    "read_bundle": "read",
    "load_any_detector": "save_load",
    "load_detector": "save_load",
    "save_detector": "save_load",
    "write_bundle": "write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vaecli.bundle' has no attribute {name!r}")
    return getattr(import_module(f"vaecli.bundle.{_HOME[name]}"), name)
