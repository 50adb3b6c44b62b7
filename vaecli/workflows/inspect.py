"""`inspect`: what is in a bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecli.bundle import load_any_detector
from vaecli.config import SCORE_KINDS
from vaecli.detector import Detector
from vaecli.results import InspectSummary
from vaecli.workflows.column_summaries import column_summaries

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector


def inspect(bundle: Path) -> InspectSummary:
    """Read the bundle at that path. Raises BundleError."""
    detector, manifest = load_any_detector(bundle)
    file = bundle.stat()
    return InspectSummary(
        bundle=str(bundle),
        size_bytes=file.st_size,
        format=manifest.format,
        vaecli_version=manifest.version,
        created_utc=datetime.fromtimestamp(file.st_mtime, UTC).isoformat(timespec="seconds"),
        schema_fingerprint=manifest.schema_fingerprint,
        columns=column_summaries(detector.schema),
        config=dict(manifest.config["fit"]),
        calibration=_calibration(detector),
        digests=dict(manifest.digests),
        fit=dict(manifest.summary),
    )


def _calibration(detector: Detector | SensorDetector) -> dict[str, Any]:
    calibration = detector.calibrations[detector.score_kind]
    effective = detector.clock.effective if not isinstance(detector, Detector) else calibration.effective
    groups = {"n_groups": effective.n_groups} if effective is not None and effective.n_groups else {}
    dependent = {} if effective is None else {"n_effective": effective.n, **groups}
    return {
        "score_kind": detector.score_kind,
        "score_kinds": sorted(detector.calibrations if isinstance(detector, Detector) else SCORE_KINDS),
        "threshold": detector.threshold,
        "min_score": calibration.threshold(detector.threshold),
        "n_rows": calibration.n_rows,
        "finest_level": effective.finest_level if effective is not None else calibration.finest_level,
        **dependent,
    }
