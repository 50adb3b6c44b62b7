"""The state of an interrupted fit in one file, to resume from: arrays and JSON in safetensors, nothing executed.

The file ends with the SHA-256 of all bytes before it, and nothing is parsed before that digest is checked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.errors import BundleError
from vaecli.runtime.atomic_file import write_bytes

_STATE = "state"  # the array that holds the JSON values, as UTF-8
_AFRESH = "delete it and fit without --resume"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of training. `identity` names the fit it belongs to: its table, settings and seed."""

    identity: str
    progress: dict[str, Any]  # JSON values
    arrays: dict[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Write the file whole or not at all. Raises UsageError or EnvironmentProblem if it cannot be written."""
        from safetensors.numpy import save

        state = json.dumps({"identity": self.identity, "progress": self.progress}).encode()
        arrays = {name: np.ascontiguousarray(value) for name, value in self.arrays.items()}
        content = save(arrays | {_STATE: np.frombuffer(state, np.uint8)})
        write_bytes(path, content + hashlib.sha256(content).digest(), is_output=False)


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint at `path`, None when there is no file. Raises BundleError if it is damaged or another fit's."""
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise BundleError(f"{path}: the checkpoint cannot be read: {problem.strerror}", _AFRESH) from None
    n_bytes = hashlib.sha256().digest_size
    content, digest = data[:-n_bytes], data[-n_bytes:]
    if hashlib.sha256(content).digest() != digest:
        raise BundleError(f"{path}: damaged checkpoint, or one of an earlier vaecli: its digest differs", _AFRESH)
    arrays = load(content)
    state = json.loads(arrays.pop(_STATE).tobytes())
    if state["identity"] != identity:
        raise BundleError(
            f"{path}: the checkpoint belongs to a fit of another table, with other settings or by another vaecli",
            "give the same input and options as the interrupted fit, or fit without --resume",
        )
    return Checkpoint(identity, state["progress"], arrays)
