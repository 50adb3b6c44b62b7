"""A detector in one file: a manifest in JSON and arrays in safetensors, side by side in a ZIP archive.

    model.vae   ZIP, entries stored uncompressed, in this order and no others
    ├── manifest.json        what it is, in words: format, schema, settings, digests
    └── arrays.safetensors   what it knows, in numbers

This package knows names, arrays and JSON; what they mean is the detector's affair. Reading executes nothing
and bounds every size before it allocates. The same manifest and arrays give the same bytes, so a bundle holds
no time of its own: `vaecli inspect` shows the file's. docs/bundle-format.md is the specification.
"""

from __future__ import annotations

from vaecli.bundle.manifest import FORMAT, Manifest
from vaecli.bundle.read import read_bundle
from vaecli.bundle.save_load import load_detector, save_detector
from vaecli.bundle.write import write_bundle

__all__ = ["FORMAT", "Manifest", "load_detector", "read_bundle", "save_detector", "write_bundle"]
