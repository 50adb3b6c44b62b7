"""Saves a detector as a bundle, and loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vaecli
from vaecli.bundle.manifest import FORMAT, Manifest
from vaecli.bundle.read import read_bundle
from vaecli.bundle.write import write_bundle
from vaecli.detector import Detector
from vaecli.errors import BundleError
from vaecli.schema import Schema


def save_detector(path: Path, detector: Detector, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Write the detector to `path`, with the settings of its fit, `config`, and the summary that the fit reported.

    Raises as `write_bundle` does.
    """
    settings, arrays = detector.to_parts()
    manifest = Manifest(
        format=FORMAT,
        version=vaecli.__version__,
        schema=detector.schema.to_json(),
        schema_fingerprint=detector.schema.fingerprint,
        config={"detector": settings, "fit": dict(config)},
        summary=dict(summary),
    )
    write_bundle(path, manifest, arrays)


def load_detector(path: Path) -> tuple[Detector, Manifest]:
    """Read the detector and the manifest.

    Raises BundleError when the file is missing, damaged, not a bundle, or does not describe a detector.
    """
    manifest, arrays = read_bundle(path)
    try:
        schema = Schema.from_json(manifest.schema)
        if schema.fingerprint != manifest.schema_fingerprint:
            raise ValueError("the schema is not the one the fingerprint was taken of")
        return Detector.from_parts(schema, manifest.config["detector"], arrays), manifest
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as problem:
        reason = f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
        raise BundleError(
            f"{path}: its parts do not make a detector: {reason}",
            "fit again with `vaecli fit`, and report how it was made",
        ) from None
