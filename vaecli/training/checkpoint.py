"""The state of an interrupted fit in one file, to resume from: arrays and JSON in safetensors, nothing executed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.errors import BundleError
from vaecli.runtime.atomic_file import write_bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of training. `identity` names the fit it belongs to: its table, settings and seed."""

    identity: str
    progress: dict[str, Any]  # JSON values
    arrays: dict[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        from safetensors.numpy import save

        metadata = {"identity": self.identity, "progress": json.dumps(self.progress)}
        arrays = {name: np.ascontiguousarray(value) for name, value in self.arrays.items()}
        write_bytes(path, save(arrays, metadata=metadata), is_output=False)


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint at `path`, None when there is no file. Raises BundleError if it is damaged or another fit's."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        progress = json.loads(metadata["progress"])
        owner = metadata["identity"]
    except (SafetensorError, KeyError, ValueError, OSError) as problem:
        raise BundleError(f"{path}: damaged checkpoint: {problem}", "delete it and fit without --resume") from None
    if owner != identity:
        raise BundleError(
            f"{path}: the checkpoint belongs to a fit of another table or with other settings",
            "give the same input and options as the interrupted fit, or fit without --resume",
        )
    return Checkpoint(identity, progress, arrays)
