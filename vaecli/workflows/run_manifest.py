"""The manifest of a run: what went in, what came out, with which bundle and versions. Written beside the output."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import vaecli
from vaecli.runtime import inputs, outputs, urls
from vaecli.runtime.atomic_file import write_bytes

MANIFEST_VERSION = 1
SUFFIX = ".manifest.json"
_PACKAGES = ("numpy", "pyarrow", "torch")
_PIECE_BYTES = 2**20


def write_manifest(
    output: str,
    *,
    run_id: str,
    words: Sequence[str],
    bundle: str | None,
    summary: Mapping[str, Any],
    started: float,
    seconds: float,
    exit_code: int,
) -> None:
    """Write the manifest of a run beside its `output`, which is complete; `started` is in seconds since 1970.

    Raises UsageError or EnvironmentProblem, and OSError for a file that has gone meanwhile.
    """
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "run_id": run_id,
        "verb": summary["verb"],
        "command": [urls.scrubbed(word, "") for word in words],
        "started_utc": _moment(started),
        "ended_utc": _moment(started + seconds),
        "seconds": seconds,
        "exit_code": exit_code,
        "inputs": [_input(file) for file in inputs.opened()],
        "bundle": None if bundle is None else _file(bundle),
        "outputs": [_file(name) for name in outputs.complete_outputs()],
        "versions": _versions(),
        "summary": {name: value for name, value in summary.items() if not isinstance(value, list | tuple | dict)},
    }
    text = json.dumps(manifest, indent=2, default=str)
    write_bytes(output + SUFFIX, f"{text}\n".encode(), is_output=False)


def _input(file: inputs.OpenedFile) -> dict[str, Any]:
    """What was read of a file; of a stream or URL its name."""
    if file.path is None or file.end is None:
        return {"file": file.name, "bytes": None, "sha256": None}
    digest = _digest(file.path, file.start, file.end)
    entry: dict[str, Any] = {"file": file.name, "bytes": file.end - file.start, "sha256": digest}
    return entry | {"from_byte": file.start} if file.start else entry


def _file(name: str) -> dict[str, Any]:
    path = urls.without_file_scheme(name)
    if urls.is_url(name) or not os.path.isfile(path):
        return {"file": urls.shown(name), "bytes": None, "sha256": None}
    size = os.path.getsize(path)
    return {"file": name, "bytes": size, "sha256": _digest(path, 0, size)}


def _digest(path: str, start: int, end: int) -> str | None:
    """SHA-256 of a part of a file; None where the file has become shorter."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
            digest.update(piece)
            start += len(piece)
    return digest.hexdigest() if start == end else None


def _versions() -> dict[str, str]:
    found = {"vaecli": vaecli.__version__, "python": platform.python_version(), "platform": sys.platform}
    for package in _PACKAGES:
        if package in sys.modules:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
    return found


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
