"""One wrong reading is one anomalous row; what lasts longer stays anomalous as long as it lasts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tests.sensors.conftest import plant, scored
from vaecli.sensors.history import first_spike, spike_height, without_spike


@pytest.mark.parametrize("size", [10, 1000])
def test_one_wrong_reading_flags_one_row(bundle: Path, tmp_path: Path, size: float):
    """Not the rows after it, whose windows would hold it."""
    table = plant(300, 7)
    normal = scored(table, bundle, tmp_path)["is_anomaly"]
    table.loc[150, "flow"] += 20 * size
    flagged = scored(table, bundle, tmp_path)["is_anomaly"]
    assert flagged[150]
    assert flagged.sum() <= normal.sum() + 3


def test_a_shift_stays_flagged(bundle: Path, tmp_path: Path):
    """Readings that stay away are no spike."""
    table = plant(300, 7)
    table.loc[150:199, "flow"] += 200
    assert scored(table, bundle, tmp_path)["is_anomaly"][150:200].mean() > 0.9


def test_a_spike_at_the_end_of_a_file_is_known_to_the_next(bundle: Path, tmp_path: Path):
    """The state keeps it, and the first row of the next file shows that it was one."""
    table = plant(300, 7)
    table.loc[150, "flow"] += 200
    whole = scored(table, bundle, tmp_path / "whole")["anomaly_score"]
    state = tmp_path / "state"
    first = scored(table[:151], bundle, tmp_path / "first", "--state", state)["anomaly_score"]
    rest = scored(table[151:], bundle, tmp_path / "rest", "--state", state)["anomaly_score"]
    assert [*first, *rest] == list(whole)


@settings(max_examples=50)
@given(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=12))
def test_a_spike_that_was_taken_out_is_none(values: list[float]):
    """Whatever the readings: the mean of two neighbours lies between them."""
    readings, limit = np.array(values, np.float32)[:, None], np.array([0.5], np.float32)
    spike = first_spike(readings, limit)
    if spike is None:
        assert (spike_height(readings) <= 0.5).all()
        return
    mended = without_spike(readings[: spike + 1], readings[spike + 1], limit)
    assert first_spike(np.concatenate([mended[-2:], readings[spike + 1 : spike + 2]]), limit) is None
