"""Manifest and arrays → one file, whole or not at all, the same bytes every time."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

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


def write_bundle(path: Path, manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the bundle whole or not at all; an earlier file at `path` is replaced in one step.

    Raises BundleError when `path` cannot be written, and ValueError for arrays that the format does not hold
    (a programming error).
    """
    packed = _packed_arrays(arrays)
    if len(packed) > MAX_ARRAYS_BYTES:
        raise BundleError(
            f"{path}: the fitted networks take {len(packed):,} bytes; a bundle holds up to {MAX_ARRAYS_BYTES:,}",
            "fit fewer columns, or a smaller network: model.n_hidden, columns.max_categories",
        )
    filled = replace(manifest, digests={ARRAYS: sha256(packed), MANIFEST: manifest_digest(manifest.to_json())})
    text = json.dumps(filled.to_json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{path}: the schema and settings take {len(text):,} bytes; a bundle holds up to {MAX_MANIFEST_BYTES:,}",
            "leave out the columns with the longest categories: --exclude, columns.max_categories",
        )
    with _replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_entry(MANIFEST), text)
        archive.writestr(_entry(ARRAYS), packed)


def require_writable(path: Path) -> None:
    """Raise BundleError now if `write_bundle` could not write `path`: before a long fit, not after it."""
    target, beside = _target(path)
    try:
        with open(beside, "xb"):
            pass
    except OSError as problem:
        raise _unwritable(path, target, problem) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _packed_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    plain = {name: np.asarray(values, order="C") for name, values in sorted(arrays.items())}
    foreign = [f"{name}: {values.dtype}" for name, values in plain.items() if _stored(values.dtype) is None]
    if foreign:
        raise ValueError(f"a bundle holds {', '.join(DTYPES)}, not:\n{listed(foreign)}")
    return bytes(save(plain))


def _stored(dtype: np.dtype[Any]) -> str | None:
    little = dtype.newbyteorder("<")
    return next((name for name, known in DTYPES.items() if known == little), None)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry that is the same on every day and every system."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _target(path: Path) -> tuple[Path, Path]:
    """Where the bytes go in the end, and a new name beside it; a link keeps pointing at its bundle."""
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as problem:
        raise _unwritable(path, target, problem) from None
    if stat.S_ISDIR(mode):
        raise BundleError(f"{path}: is a directory, not a file", "name a file in it, for example model.vae")
    if not stat.S_ISREG(mode):
        raise BundleError(f"{path}: is not a regular file", "a bundle is written to a file, not to a device or a pipe")
    return target, target.with_name(f".vaecli-{os.urandom(8).hex()}.tmp")


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends well and vanishes when it does not."""
    target, beside = _target(path)
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(beside, target)
    except OSError as problem:
        raise _unwritable(path, target, problem) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the file system lets us."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, target: Path, problem: OSError) -> BundleError:
    if not target.parent.is_dir():
        return BundleError(f"{path}: there is no directory {str(target.parent)!r}", "create it, or choose another -o")
    reason = problem.strerror or problem
    return BundleError(f"{path}: cannot be written: {reason}", "choose another place with -o, or free space")
