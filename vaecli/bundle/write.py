"""Writes a bundle: manifest and arrays → one file, atomically, with the same bytes every time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from vaecli.bundle.manifest import (
    ARRAYS,
    DTYPES,
    MANIFEST,
    MAX_ARRAYS_BYTES,
    MAX_MANIFEST_BYTES,
    Manifest,
    manifest_digest,
    sha256,
)
from vaecli.errors import BundleError, listed
from vaecli.runtime.atomic_file import replacing


def write_bundle(path: Path, manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the bundle; it replaces an earlier file at `path` in one step when it is complete.

    Raises UsageError or EnvironmentProblem when `path` cannot be written (see `atomic_file`), BundleError when the
    detector is too large, and ValueError for arrays of a type that the format does not have (a programming error).
    """
    packed = _packed_arrays(arrays)
    if len(packed) > MAX_ARRAYS_BYTES:
        raise BundleError(
            f"{path}: the fitted networks take {len(packed):,} bytes; a bundle holds up to {MAX_ARRAYS_BYTES:,}",
            "fit fewer columns, or smaller networks: columns.max_categories, model.n_exemplars",
        )
    filled = replace(manifest, digests={ARRAYS: sha256(packed), MANIFEST: manifest_digest(manifest.to_json())})
    text = json.dumps(filled.to_json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{path}: the schema and settings take {len(text):,} bytes; a bundle holds up to {MAX_MANIFEST_BYTES:,}",
            "leave out the columns with the longest categories: --exclude, columns.max_categories",
        )
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_entry(MANIFEST), text)
        archive.writestr(_entry(ARRAYS), packed)


def _packed_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    plain = {name: np.asarray(values, order="C") for name, values in sorted(arrays.items())}
    unsupported = [f"{name}: {values.dtype}" for name, values in plain.items() if not _is_supported(values.dtype)]
    if unsupported:
        raise ValueError(f"a bundle holds {', '.join(DTYPES)}, not:\n{listed(unsupported)}")
    return bytes(save(plain))


def _is_supported(dtype: np.dtype[Any]) -> bool:
    return dtype.newbyteorder("<") in DTYPES.values()


def _entry(name: str) -> zipfile.ZipInfo:
    """An uncompressed entry whose metadata does not depend on the day or the system."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry
