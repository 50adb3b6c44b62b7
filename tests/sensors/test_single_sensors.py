"""One sensor among many decides the score of a row: it is seen, named, and forgotten when it is no news any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import vaecli
from vaecli.bundle import read_bundle
from vaecli.model.sensor_views import news

N_SENSORS, N = 24, 1500
ROW, WRONG = 700, 5
STORM = 9.0  # standard deviations of the noise
GOLDEN = Path(__file__).parent.parent / "golden"


def wide(n: int, seed: int) -> pd.DataFrame:
    """Many sensors that three slow loads drive, with noise of their own.

    In 20 of 100 rows a storm shakes all but one of them, so that the mean of the read-outs has to rise far to be
    unusual.
    """
    rng = np.random.default_rng(seed)
    load = np.zeros((n, 3))
    for t in range(1, n):
        load[t] = 0.95 * load[t - 1] + 0.3 * rng.normal(size=3)
    weights = np.random.default_rng(9).normal(size=(3, N_SENSORS))
    table = pd.DataFrame(load @ weights + 0.5 * rng.normal(size=(n, N_SENSORS)))
    table.loc[np.arange(n) % 100 < 20, np.arange(N_SENSORS) != WRONG] += STORM * rng.normal(
        size=(n // 5, N_SENSORS - 1)
    )
    table.columns = [f"s{i:02d}" for i in range(N_SENSORS)]
    table.insert(0, "when", pd.date_range("2024-03-01", periods=n, freq="1min"))
    return table


def shifted(size: float, row: int = ROW) -> pd.DataFrame:
    """Fresh rows, in which one sensor lies `size` standard deviations higher from a row on."""
    table, name = wide(N, 1), f"s{WRONG:02d}"
    table.loc[row:, name] += size * table[name].std()
    return table


@pytest.fixture(scope="module")
def model() -> vaecli.Model:
    return vaecli.fit(wide(N, 0))


def test_one_sensor_decides(model: vaecli.Model):
    """Rows are flagged that the mean of the read-outs leaves alone, the others keep their scores to the last bit."""
    table, judge = shifted(4.5), replace(model.detector.judge, support=None)
    model = replace(model, detector=replace(model.detector, judge=judge))
    without = vaecli.Model(replace(model.detector, judge=None), model.settings, model.fit_report)
    mean, found = without.score(table), model.score(table)
    decided = (found["anomaly_score"] != mean["anomaly_score"]).to_numpy()
    assert decided[ROW : ROW + 128].sum() > 10
    assert (found["anomaly_score"] >= mean["anomaly_score"])[decided].all()
    assert found["is_anomaly"][decided].all()
    assert not mean["is_anomaly"][decided].any()


def test_false_alarms_stay_at_the_level(model: vaecli.Model):
    """Fresh normal rows: with the judge, hardly more of them are flagged than the level lets through."""
    flagged = np.mean([model.score(wide(N, seed))["is_anomaly"].mean() for seed in (2, 3, 4)])
    assert flagged < 0.01


def test_what_has_lasted_is_no_news(model: vaecli.Model):
    """A sensor that has been out of its range for 128 rows hardly decides any longer."""
    detector = model.detector
    assert detector.judge is not None
    x = np.ascontiguousarray(detector.scale.scaled(shifted(6.0).drop(columns="when").to_numpy()).T)
    columns = np.arange(ROW + 1, ROW + 300)
    far, sensor = detector.judge.views.largest(detector.model.rolling(x), columns, detector.judge.limits)
    assert (sensor[:8] == WRONG).all()
    assert (far[:8] > 1).all()
    assert (sensor[140:] == WRONG).mean() < 0.1


numbers = st.floats(-50, 50, width=32)


@given(now=numbers, before=numbers, half=st.floats(0.125, 8, width=32))
def test_news_is_the_distance_less_what_was_out_before(now: float, before: float, half: float):
    """It is all of the distance where the rows before were within the range or beyond its other end."""
    found = float(news(np.float32(now), np.float32(before), np.float32(half)))
    assert 0 <= found <= abs(np.float32(now))
    if abs(before) <= half or np.sign(before) != np.sign(now):
        assert found == abs(np.float32(now))
    elif before == now:
        assert found == pytest.approx(min(half, abs(now)), rel=1e-5)


def test_half_of_the_score_is_the_sensors_own(model: vaecli.Model):
    """Parts add up to the score, and the sensor that decided is the first of them."""
    from vaecli.sensors.explanation import explain

    judge = model.detector.judge
    detector, table = replace(model.detector, judge=replace(judge, from_score=0.0, worth=100.0)), shifted(5.0)
    readings = detector.scale.scaled(table.drop(columns="when").to_numpy())
    stretches = detector.histories().add(readings, np.arange(N, dtype=float), [""], np.zeros(N, np.int64))
    score = detector.score(stretches, N, "combined")
    mean = replace(detector, judge=None).score(stretches, N, "combined")
    decided = np.zeros(N, bool)
    decided[ROW : ROW + 20] = score[ROW : ROW + 20] > mean[ROW : ROW + 20]
    assert decided.any()
    found = explain(detector, stretches, decided, score, "combined", np.arange(N, dtype=float))
    np.testing.assert_allclose(found.parts.sum(0), score[decided], rtol=1e-6)
    assert (found.parts >= 0).all()
    assert (found.parts.argmax(0) == WRONG).all()
    assert (found.parts[WRONG] >= 0.499 * score[decided]).all()


@pytest.mark.parametrize("number", [5, 7, 11])
def test_an_earlier_bundle_stays_one(tmp_path: Path, number: int):
    """Saved again, a bundle without a judge, limits of silence or support keeps its arrays and format."""
    golden = GOLDEN / f"sensors_v{number}" / "model.vae"
    vaecli.load(golden).save(tmp_path / "again.vae")
    (before, arrays), (after, again) = (
        read_bundle(golden),
        read_bundle(tmp_path / "again.vae"),
    )
    assert (before.format, after.format) == (number, number)
    assert arrays.keys() == again.keys()
    assert all((arrays[name] == again[name]).all() for name in arrays)
