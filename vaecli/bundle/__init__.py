"""A detector in one file: a manifest in JSON and arrays in safetensors, in a ZIP archive.

    model.vae   ZIP, entries stored uncompressed, in this order and no others
    ├── manifest.json        format, schema, settings, digests
    └── arrays.safetensors   the arrays of the detector, by name

This package handles names, arrays and JSON; the detector gives them their meaning. Reading executes nothing
and checks every size before it allocates memory. The same manifest and arrays give the same bytes, so a bundle holds
no timestamp: `vaecli inspect` shows that of the file. docs/bundle-format.md is the specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaecli.runtime.lazy_names import loaded_when_used

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

# who reads a bundle does not write one
__getattr__ = loaded_when_used(
    "vaecli.bundle",
    {
        "manifest": "FORMAT ROWS_FORMAT SENSORS_FORMAT Manifest",
        "read": "read_bundle",
        "save_load": "load_any_detector load_detector save_detector",
        "write": "write_bundle",
    },
)
