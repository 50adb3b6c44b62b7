"""The manifest of a bundle, and the limits and rules that its writer and its reader share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from vaecli.errors import listed

# The bump rule. Raise FORMAT when a released vaecli would misread or reject what this one writes: a manifest key or
# an array is renamed, removed, or changes its meaning, shape or unit. A new key or array that older readers may
# ignore needs no bump. With a bump: the translation of the old format goes to vaecli/bundle/format_<old>.py and stays
# there forever; a bundle written by the last release of the old format goes to tests/golden/bundle_v<old>/ and is never
# edited again; see CHANGELOG.md. Whatever the format, `manifest.json` stays the first entry and keeps `format`
# and `version`, so that every reader can report which vaecli is needed.
FORMAT = 13  # the newest that is read
# of bundles of rows; in those of 10, with text columns, and of 8, without, no levels judge; in those of 6 no neighbours
# nor centres, in those of 4 no cells
ROWS_FORMAT = 12
SENSORS_FORMAT = 13  # of bundles of sensors
SILENCE_FORMAT = 11  # of those whose judge of single sensors does not know what training supports
LIMITS_FORMAT = 7  # of those whose judge does not know either how long one may be silent
UNJUDGED_FORMAT = 5  # of those without a judge of single sensors, which score as they did
SCHEMA_ORDER_FORMAT = 4  # formats 2 and 3 are translated by format_3.py, and score as they did
OLDEST = 2  # format 1, of vaecli 0.1.0, held networks and scores that no longer exist: nothing to translate

MANIFEST = "manifest.json"
ARRAYS = "arrays.safetensors"

MAX_MANIFEST_BYTES = 16 * 2**20
# what fits below 2 GiB together with the manifest: above that a ZIP needs its 64-bit extension, which readers differ on
MAX_ARRAYS_BYTES = 2**31 - 2**25
MAX_DIRECTORY_BYTES = 64 * 2**10

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a bundle; every value is plain JSON.

    `version` is that of the vaecli that wrote it. `digests` holds the SHA-256 of each part and is set by
    `write_bundle`; that of the manifest covers all its other keys.
    """

    format: int
    version: str
    schema: dict[str, Any]
    schema_fingerprint: str
    config: dict[str, Any]
    summary: dict[str, Any]
    digests: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values; `from_json` is the inverse."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest in `values`, without unknown keys. Raises ValueError naming every missing or mistyped key."""
        problems = [problem for name, kind in _KEYS.items() if (problem := _key_problem(values, name, kind))]
        if problems:
            raise ValueError(listed(problems))
        return cls(**{name: values[name] for name in _KEYS})


_KEYS: dict[str, type] = {
    "format": int,
    "version": str,
    "schema": dict,
    "schema_fingerprint": str,
    "config": dict,
    "summary": dict,
    "digests": dict,
}
_JSON_WORDS = {int: "a whole number", str: "text", dict: "an object"}


def _key_problem(values: Mapping[str, Any], name: str, kind: type) -> str:
    if name not in values:
        return f"{name!r} is missing"
    if type(values[name]) is not kind:  # isinstance would accept `true` as a number
        return f"{name!r} is not {_JSON_WORDS[kind]}"
    if name == "digests" and not all(isinstance(digest, str) for digest in values[name].values()):
        return "'digests' holds something other than text"
    return ""


def manifest_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of all keys except the digests, in canonical JSON, as hexadecimal digits."""
    others = {name: value for name, value in values.items() if name != "digests"}
    text = json.dumps(others, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return sha256(text.encode())


def sha256(content: bytes) -> str:
    """SHA-256 of `content` as hexadecimal digits, as `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()
