"""Saves a detector as a bundle, and loads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vaecli
from vaecli.bundle import format_3
from vaecli.bundle.bounds import require_feature_columns, require_settings
from vaecli.bundle.manifest import (
    LIMITS_FORMAT,
    ROWS_FORMAT,
    SCHEMA_ORDER_FORMAT,
    SENSORS_FORMAT,
    SILENCE_FORMAT,
    UNJUDGED_FORMAT,
    Manifest,
)
from vaecli.bundle.read import read_bundle
from vaecli.bundle.stored_names import to_current_names, to_stored_names
from vaecli.detector import Detector
from vaecli.errors import BundleError, UsageError, located
from vaecli.schema import Schema

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector


def save_detector(
    path: Path, detector: Detector | SensorDetector, config: Mapping[str, Any], summary: Mapping[str, Any]
) -> None:
    """Write the detector to `path`, with the settings of its fit, `config`, and the summary that the fit reported.

    Raises as `write_bundle` does.
    """
    from vaecli.bundle.write import write_bundle

    settings, arrays = detector.to_parts()
    manifest = Manifest(
        format=_format_of(detector),
        version=vaecli.__version__,
        schema=detector.schema.to_json(),
        schema_fingerprint=detector.schema.fingerprint,
        config={"detector": settings, "fit": to_stored_names(config)},
        summary=to_stored_names(summary),
    )
    write_bundle(path, manifest, arrays)


def _format_of(detector: Detector | SensorDetector) -> int:
    if isinstance(detector, Detector):
        return ROWS_FORMAT
    if detector.judge is None:
        return UNJUDGED_FORMAT
    if detector.judge.silence_limit is None:
        return LIMITS_FORMAT
    return SILENCE_FORMAT if detector.judge.support is None else SENSORS_FORMAT


def load_detector(path: Path) -> tuple[Detector, Manifest]:
    """The detector of rows in a bundle, and its manifest with settings and report under their current names.

    Raises BundleError when the file is missing, damaged, foreign or does not describe a detector, and UsageError when
    it describes one of sensors.
    """
    detector, manifest = load_any_detector(path)
    if not isinstance(detector, Detector):
        raise UsageError(
            f"{path}: is a model of sensors in time, which this verb does not know",
            "fit with --window 0 for a model of rows; encode, reconstruct, sample, calibrate and mark know no other",
        )
    return detector, manifest


def load_any_detector(path: Path) -> tuple[Detector | SensorDetector, Manifest]:
    """The same for a bundle of rows or of sensors. Raises BundleError."""
    with located(str(path)):
        manifest, arrays = read_bundle(path)
    try:
        schema = Schema.from_json(manifest.schema)
        require_feature_columns(schema)
        if schema.fingerprint != manifest.schema_fingerprint:
            raise ValueError("the schema is not the one the fingerprint was taken of")
        settings = manifest.config["detector"]
        if manifest.format < SCHEMA_ORDER_FORMAT:
            settings = format_3.detector_settings(settings)
        detector: Detector | SensorDetector
        if "model" in settings:  # bundles of rows name none
            from vaecli.sensors.detector import SensorDetector

            detector = SensorDetector.from_parts(schema, settings, arrays)
        else:
            require_settings(settings)
            detector = Detector.from_parts(schema, settings, arrays)
        config = manifest.config | {"fit": to_current_names(manifest.config["fit"])}
        return detector, replace(manifest, config=config, summary=to_current_names(manifest.summary))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as problem:
        reason = f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
        raise BundleError(
            f"{path}: its parts do not make a detector: {reason}",
            "fit again with `vaecli fit`, and report how it was made",
            path=str(path),
        ) from None
