"""A table in pieces gives the same scores as the table at once, to the bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.data.sensor_scale import SensorScale
from vaecli.model.window_model import WindowShape
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.fitting import fit_windows, judged, looked_ahead
from vaecli.sensors.history import Histories, spike_limits

SENSORS = 3


def walk(rng: np.random.Generator, n: int) -> np.ndarray:
    noise = rng.normal(size=(n, SENSORS))
    for t in range(1, n):
        noise[t] = 0.9 * noise[t - 1] + noise[t]
    return noise


@pytest.fixture(scope="module")
def detector() -> SensorDetector:
    rng = np.random.default_rng(0)
    readings = walk(rng, 1200)
    scale = SensorScale.of(readings)
    rows = Histories(scale.start, np.inf, np.full(SENSORS, np.inf)).add(
        scale.scaled(readings), np.arange(1200.0), [""], np.zeros(1200, np.int64)
    )
    fitted = fit_windows(rows, scale, WindowShape.of(1200, SENSORS), lambda done, of: None)
    limits = spike_limits(rows)
    judge = judged(fitted, fitted.held_out | {"offline/combined": looked_ahead(fitted, "combined")}, 0.99)
    assert judge is not None
    return SensorDetector(
        None,  # type: ignore[arg-type]
        scale,
        fitted.model,
        fitted.scales,
        limits,
        {},
        1.0,
        "combined",
        0.99,
        None,  # type: ignore[arg-type]
        judge=replace(judge, limits=judge.limits / 8, from_score=0.0, silence_limit=np.float32([2, 5, 8])),
    )


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_pieces_score_as_the_whole(detector: SensorDetector, data: st.DataObject):
    """With interleaved groups, gaps, late rows, repeated times, rows without a time and missing cells."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(2, 700))
    readings = walk(rng, n)
    readings[rng.random(readings.shape) < 0.05] = np.nan
    readings[rng.random(readings.shape) < 0.02] += 40  # spikes
    for sensor in range(SENSORS):
        quiet = data.draw(st.integers(0, n))
        readings[quiet : quiet + data.draw(st.integers(0, 200)), sensor] = np.nan
    group = rng.integers(0, data.draw(st.integers(1, 4)), n)
    time = np.cumsum(rng.choice([0, 1, 1, 1, 2, 30], n)).astype(float)
    late = rng.random(n) < 0.03
    time[late] -= rng.integers(1, 300, late.sum())
    time[rng.random(n) < 0.01] = np.nan
    keys = ["a", "b", "", "4"]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=8)))

    def scored(edges: list[int]) -> np.ndarray:
        histories = Histories(
            detector.scale.start, 10.0, detector.spike_limit, silence_limit=detector.judge.silence_limit
        )
        parts = []
        for first, last in pairwise(edges):
            piece = slice(first, last)
            stretches = histories.add(detector.scale.scaled(readings[piece]), time[piece], keys, group[piece])
            parts.append(detector.readout_surprisals(stretches, last - first) if stretches else None)
        filled = [
            np.full((8, last - first), np.nan, np.float32) if part is None else part
            for part, (first, last) in zip(parts, pairwise(edges), strict=True)
        ]
        return np.concatenate(filled, axis=1)

    whole, pieces = scored([0, n]), scored([0, *cuts, n])
    assert whole.tobytes() == pieces.tobytes()
    assert n < 50 or np.isnan(whole[3]).mean() < 0.5
    assert n < 300 or np.isfinite(whole[7]).any()  # a sensor decided
