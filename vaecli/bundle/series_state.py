"""The last rows of each series in a file, so that files that follow each other are scored as one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from vaecli.bundle.manifest import DTYPES
from vaecli.data.support import LONG_AGO, N_COUNTS, nothing_reported
from vaecli.errors import BundleError
from vaecli.model.window_model import HISTORY
from vaecli.runtime.atomic_file import replacing
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.history import Histories, SeriesHistory

_VERSION = 1
_HINT = "name another file with --state; or, if it was a state, remove it, and the next run begins anew"
_UNREAD = "check its rights, or name another file with --state"
_TYPES = {
    "time": "F64",
    "readings": "F32",
    "rows": "I64",
    "n_refused": "I64",
    "refused": "F64",
    "keys": "U8",
    "model": "U8",
    "version": "I64",
}
_REPORTED = {"reported": "F64"}  # only where a model does not hold readings for ever
_MISSING = {"missing": "I64"}  # only where a model judges silence
_SUPPORT = {"support": "I64"}  # only where it judges what training supports


def save_histories(path: Path, histories: Histories, model: str, *, is_output: bool = True) -> None:
    """Write the histories of all series, whole or not at all; `model` is the digest of their bundle.

    With `is_output` false the message of a run that is stopped does not name the file.

    Raises as `replacing` does.
    """
    series = histories.series
    n_sensors = histories.start.size
    arrays: dict[str, np.ndarray] = {
        "version": np.array([_VERSION], np.int64),
        "model": np.frombuffer(model.encode(), np.uint8),
        "keys": np.frombuffer(json.dumps(list(series)).encode(), np.uint8),
        "rows": np.array([one.time.size for one in series.values()], np.int64),
        "n_refused": np.array([one.n_refused for one in series.values()], np.int64),
        "refused": np.array([one.refused for one in series.values()], np.float64),
        "time": np.concatenate([np.empty(0), *(one.time for one in series.values())]),
        "readings": np.concatenate(
            [np.empty((0, n_sensors), np.float32), *(one.readings for one in series.values())]
        ).astype(np.float32),
    }
    if histories.hold is not None:
        never = np.full(n_sensors, -np.inf)
        reported = [never if one.reported is None else one.reported for one in series.values()]
        arrays["reported"] = np.concatenate([np.empty((0, n_sensors)), *(times[None] for times in reported)])
    if histories.silence_limit is not None:
        none = np.zeros(n_sensors, np.int64)
        missing = [none if one.missing is None else one.missing for one in series.values()]
        arrays["missing"] = np.concatenate([np.empty((0, n_sensors), np.int64), *(runs[None] for runs in missing)])
    if histories.support is not None:
        nothing = nothing_reported(n_sensors)
        counts = [nothing if one.support is None else one.support for one in series.values()]
        empty = np.empty((0, *nothing.shape), np.int64)
        arrays["support"] = np.concatenate([empty, *(of_series[None] for of_series in counts)])
    with replacing(path, is_output=is_output) as file:
        file.write(save(arrays))


def load_histories(path: Path, detector: SensorDetector, model: str) -> Histories:
    """The histories in a file, or empty ones where there is no file.

    Raises BundleError for a file that is damaged, foreign or of another bundle.
    """
    histories = detector.histories()
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        return histories
    except OSError as problem:
        raise BundleError(f"{path}: cannot be read: {problem.strerror or problem}", _UNREAD) from None
    try:
        types = _TYPES if histories.hold is None else _TYPES | _REPORTED
        types = types if histories.silence_limit is None else types | _MISSING
        arrays = _unpacked(packed, types if histories.support is None else types | _SUPPORT)
        if arrays["model"].tobytes().decode() != model:
            raise BundleError(f"{path}: is the state of another model", _HINT)
        _restore(arrays, histories)
    except (SafetensorError, KeyError, ValueError, TypeError, UnicodeDecodeError, IndexError) as problem:
        raise BundleError(f"{path}: is not a state that vaecli wrote, or is damaged ({problem})", _HINT) from None
    return histories


def _unpacked(packed: bytes, types: Mapping[str, str]) -> dict[str, np.ndarray]:
    parts = dict(sorted(deserialize(packed), key=itemgetter(0)))  # type: ignore[no-untyped-call]
    found = {}
    for name, dtype in types.items():
        part = parts[name]
        if part["dtype"] != dtype:
            raise ValueError(f"{name} is of type {part['dtype']}")
        found[name] = np.frombuffer(part["data"], np.uint8).view(DTYPES[dtype]).reshape(part["shape"]).copy()
    if found["version"].tolist() != [_VERSION]:
        raise ValueError("it is of another version")
    return found


def _restore(arrays: dict[str, np.ndarray], histories: Histories) -> None:
    keys = json.loads(arrays["keys"].tobytes())
    rows, time, readings = (arrays[name] for name in ("rows", "time", "readings"))
    n_series, n_sensors = len(keys), histories.start.size
    n_refused, refused = arrays["n_refused"], arrays["refused"]
    fit = all(array.shape == (n_series,) for array in (rows, n_refused, refused))
    if not fit or not all(isinstance(key, str) for key in keys):
        raise ValueError("its series do not fit together")
    if any((n < 0).any() for n in (rows, n_refused)) or (rows > HISTORY).any():
        raise ValueError("its counts are out of range")
    if time.shape != (rows.sum(),) or readings.shape != (rows.sum(), n_sensors) or not np.isfinite(readings).all():
        raise ValueError("its rows do not fit its counts")
    reported = arrays.get("reported")
    if reported is not None and (reported.shape != (n_series, n_sensors) or np.isnan(reported).any()):
        raise ValueError("the times of its last readings do not fit")
    missing = arrays.get("missing")
    if missing is not None and (missing.shape != (n_series, n_sensors) or (missing < 0).any()):
        raise ValueError("its runs of missing readings do not fit")
    support = arrays.get("support")
    if support is not None and (support.shape != (n_series, N_COUNTS, n_sensors) or (support < 0).any()):
        raise ValueError("its counts of alarms do not fit")
    if support is not None and (support > LONG_AGO).any():
        raise ValueError("its counts of alarms are out of range")
    edges = np.concatenate([[0], np.cumsum(rows)])
    for i, key in enumerate(keys):
        part = slice(int(edges[i]), int(edges[i + 1]))
        if (np.diff(time[part]) < 0).any() or np.isnan(time[part]).any():
            raise ValueError("its times do not ascend")
        histories.series[key] = SeriesHistory(
            time[part],
            readings[part],
            int(n_refused[i]),
            float(refused[i]),
            None if reported is None else reported[i],
            None if missing is None else missing[i],
            None if support is None else support[i],
        )
