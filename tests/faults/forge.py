"""Forges bundles systematically: one change of a manifest field or an array each, with digests made right again."""

from __future__ import annotations

import contextlib
import copy
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from vaecli.bundle import manifest as limits, read_bundle
from vaecli.schema import Schema

HUGE = 10**30
_GONE = object()
# what stands in the place of a field: wrong types, ends of ranges, counts that nothing has
VALUES: dict[str, Any] = {
    "removed": _GONE,
    "null": None,
    "true": True,
    "text": "x",
    "empty text": "",
    "list": [1, "x", None],
    "empty list": [],
    "object": {"a": {"b": 1}},
    "zero": 0,
    "negative": -1,
    "half": 0.5,
    "large": 2**40,
    "huge": HUGE,
    "huge float": 1e300,
    "control text": "a\x1b[31m\nerror: b",
}
# entries that come after the first two of a list, as checks of a training or columns, are of the same kind
_FIRST = 2

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], None]
Path_ = tuple[str | int, ...]


def forgeries(path: Path) -> Iterator[tuple[str, Change]]:
    """The name of each forgery of the bundle at `path`, and the change of its manifest and arrays that makes it."""
    manifest, arrays = read_bundle(path)
    values = manifest.to_json()
    for place in _places(values):
        for word, value in VALUES.items():
            yield f"{'.'.join(map(str, place))}: {word}", _field(place, value)
        if isinstance(_at(values, place), list):
            yield f"{'.'.join(map(str, place))}: repeated", _repeated(place)
    for name, array in arrays.items():
        for word, change in _ARRAYS.items():
            if (changed := change(array)) is not None:
                yield f"{name}: {word}", _array(name, changed)
        yield f"{name}: removed", _array(name, None)
        yield f"{name}: renamed", _renamed(name)


def write(path: Path, like: Path, change: Change) -> None:
    """Write the bundle `like` with one change; all of its digests are right."""
    manifest, arrays = read_bundle(like)
    values = copy.deepcopy(manifest.to_json())
    change(values, arrays)
    packed = bytes(save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}))
    write_parts(path, values, packed)


def write_parts(path: Path, values: dict[str, Any], packed: bytes) -> None:
    """Write a bundle of this manifest and these packed arrays, whose digests are made right where they can be."""
    if isinstance(values.get("schema"), dict):
        with contextlib.suppress(Exception):  # there is none of such a schema
            values["schema_fingerprint"] = Schema.from_json(values["schema"]).fingerprint
    if isinstance(values.get("digests"), dict):
        values["digests"] |= {limits.ARRAYS: limits.sha256(packed), limits.MANIFEST: limits.manifest_digest(values)}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(limits.MANIFEST, json.dumps(values))
        archive.writestr(limits.ARRAYS, packed)


def one_number(name: str, place: int, value: float) -> Change:
    """The change that puts a value in one place of an array, counted as in memory."""

    def change(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[place] = value

    return change


def _places(value: Any, place: Path_ = ()) -> Iterator[Path_]:
    """Where each value below this one stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:_FIRST]) if isinstance(value, list) else ()
    # every column has a kind of its own
    if place == ("schema", "columns"):
        items = enumerate(value)
    for key, below in items:
        yield (*place, key)
        yield from _places(below, (*place, key))


def _at(values: Any, place: Path_) -> Any:
    for key in place:
        values = values[key]
    return values


def _field(place: Path_, value: Any) -> Change:
    def change(values: dict[str, Any], _: dict[str, np.ndarray]) -> None:
        owner = _at(values, place[:-1])
        if value is _GONE:
            del owner[place[-1]]
        else:
            owner[place[-1]] = value

    return change


def _repeated(place: Path_) -> Change:
    def change(values: dict[str, Any], _: dict[str, np.ndarray]) -> None:
        _at(values, place[:-1])[place[-1]] = _at(values, place) * 50_000

    return change


def _array(name: str, array: np.ndarray | None) -> Change:
    def change(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        del arrays[name]
        if array is not None:
            arrays[name] = array

    return change


def _renamed(name: str) -> Change:
    def change(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        arrays[f"{name}/x"] = arrays.pop(name)

    return change


def _can_hold(array: np.ndarray, value: float) -> bool:
    if array.dtype.kind in "iu":
        return float(value).is_integer() and np.iinfo(array.dtype).min <= value <= np.iinfo(array.dtype).max
    return array.dtype.kind == "f" or float(value).is_integer()


def _filled(value: float, dtype: type = np.float32) -> Callable[[np.ndarray], np.ndarray | None]:
    """One element, the last, set to a value; None for arrays that cannot hold it."""

    def change(array: np.ndarray) -> np.ndarray | None:
        if not array.size or not _can_hold(array, value):
            return None
        changed = array.copy()
        changed.flat[-1] = value
        return changed

    return change


def _everywhere(value: float) -> Callable[[np.ndarray], np.ndarray | None]:
    def change(array: np.ndarray) -> np.ndarray | None:
        return np.full_like(array, value) if _can_hold(array, value) else None

    return change


def _whole(array: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(array, neginf=0.0), -1e18, 1e18).astype(np.int64)


def _a_million_more(array: np.ndarray) -> np.ndarray | None:
    return np.append(array, np.full(10**6, array[-1])) if array.ndim == 1 and array.size else None


_ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "no rows": lambda a: a[:0],
    "last axis 0": lambda a: a[..., :0],
    "one more": lambda a: np.concatenate([a, a[-1:]]),
    "last axis one more": lambda a: np.concatenate([a, a[..., -1:]], -1),
    "one less": lambda a: a[:-1],
    "transposed": lambda a: a.T if a.ndim > 1 else None,
    "flat": lambda a: a.ravel() if a.ndim > 1 else None,
    "an axis more": lambda a: a[None],
    "scalar": lambda a: a.ravel()[0].reshape(()) if a.size else None,
    "reversed": lambda a: a[::-1].copy() if len(a) > 1 else None,
    "float32 or float64": lambda a: np.clip(a, -1e38, 1e38).astype(np.float64 if a.dtype == np.float32 else np.float32),
    "int32": lambda a: np.clip(np.nan_to_num(a, neginf=0.0), -1e9, 1e9).astype(np.int32),
    "int64": lambda a: _whole(a) if a.dtype != np.int64 else None,
    "uint8": lambda a: np.zeros(a.shape, np.uint8),
    "bool": lambda a: np.ones(a.shape, bool),
    "NaN": _filled(np.nan),
    "infinity": _filled(np.inf),
    "negative infinity": _filled(-np.inf),
    "negative": _filled(-1),
    "zero": _filled(0),
    "all zero": _everywhere(0),
    "all negative": _everywhere(-3),
    "large": _filled(2**40),
    "all large": _everywhere(1e18),
    "all tiny": _everywhere(1e-300),
    "a million more": _a_million_more,
    "a thousand times": lambda a: np.concatenate([a] * 1000) if a.size < 2000 else None,
}
