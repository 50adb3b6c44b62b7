"""The fitted whole: it comes back from its parts, refuses broken ones, and decides the same on every road."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.calibration.novelty_offset import novelty_offset
from vaecli.config import SCORE_KINDS
from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.detector import Detector
from vaecli.model import tiles
from vaecli.model.families import FAMILIES
from vaecli.tables import ReadRequest, frame_source, numbers_of, to_cells


def cells_of(model: vaecli.Model, frame: pd.DataFrame) -> Cells:
    source, schema = frame_source(frame), model.schema
    names = [column.name for column in schema.features]
    return Cells.concatenate(
        [to_cells(part, schema) for part in source.batches(ReadRequest(names, numbers=numbers_of(schema)))]
    )


def column_of(model: vaecli.Model, name: str) -> int:
    return [column.name for column in model.schema.features].index(name)


# ------------------------------------------------------------------------------------ surprisals


@pytest.mark.parametrize("kind", SCORE_KINDS)
@pytest.mark.parametrize("name", ["mode", "pressure", "pump_on"])
def test_what_training_never_saw_is_flagged(
    model: vaecli.Model, fresh_table: pd.DataFrame, name: str, kind: str
) -> None:
    """A value never seen and a gap where there was none are flagged in every kind, whatever the rest of the row."""
    cells, j = cells_of(model, fresh_table), column_of(model, name)
    for code in (NOVEL, MISSING):
        values, state = cells.values.copy(), cells.state.copy()
        values[:, j], state[:, j] = np.nan, code
        decided = model.detector.score(Cells(values, state, cells.row), kind)
        assert (decided.p_value <= 0.01).all()
        assert (decided.scored.column_score.argmax(1) == j).mean() > 0.9
        parts = decided.scored.column_score.sum(1) + decided.scored.latent_score
        np.testing.assert_allclose(decided.scored.score, parts, rtol=1e-9)


def test_an_expected_gap_is_not_lifted(model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """Where training rows had gaps, a gap is an observation like any other."""
    cells, j = cells_of(model, fresh_table), column_of(model, "temperature")
    values, state = cells.values.copy(), cells.state.copy()
    values[:, j], state[:, j] = np.nan, MISSING
    assert (model.detector.score(Cells(values, state, cells.row)).p_value <= 0.01).mean() < 0.1


# ------------------------------------------------------------------------------------------ parts


def test_the_nearest_rows_join_the_score(model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """The score of most rows, where no cell alone decides, is the weighted mean with the surprisal of the distance."""
    judge, cells = model.detector.neighbours, cells_of(model, fresh_table)
    assert judge is not None
    batch = model.detector.preprocessor.transform(cells)
    alone = replace(model.detector, cells=None, neighbours=None).score(cells).scored.score
    score = model.detector.score(cells).scored.score
    assert np.isclose(score, judge.of_rows(batch.values, batch.state).joined(alone)).mean() > 0.9
    assert np.isclose(score, alone).mean() < 0.1


def test_it_comes_back_from_its_parts(model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """Through JSON and arrays the same detector returns: every kind scores and decides to the same bits."""
    detector, cells = model.detector, cells_of(model, fresh_table)
    settings, arrays = detector.to_parts()
    again = Detector.from_parts(model.schema, json.loads(json.dumps(settings)), arrays)
    assert (again.score_kind, again.threshold) == (detector.score_kind, detector.threshold)
    assert again.to_parts()[0] == settings
    for kind in SCORE_KINDS:
        ours, theirs = detector.score(cells, kind), again.score(cells, kind)
        np.testing.assert_array_equal(ours.scored.score, theirs.scored.score)
        np.testing.assert_array_equal(ours.p_value, theirs.p_value)


def test_parts_hold_plain_values_only(model: vaecli.Model) -> None:
    """Settings are JSON, arrays are contiguous numbers of types that a bundle knows."""
    settings, arrays = model.detector.to_parts()
    assert json.loads(json.dumps(settings)) == settings
    assert {array.dtype.str for array in arrays.values()} <= {"<f4", "<f8", "<i8", "|b1"}


def part_names() -> list[str]:
    """Every array of a bundle of the tests' table."""
    network = [f"{part}.{end}" for part in ("encoder.0", "encoder.1", "decoder.0", "decoder.out") for end in "wb"]
    family = ["held_out", "noise", *(f"codes/{name}" for name in ("center", "scale", "weight", "offset"))]
    return [
        *(f"preprocess/{name}" for name in ("mean", "scale", "share", "quantiles", "center", "spread")),
        *("preprocess/boolean_values", "likelihood/n_missing", "likelihood/n_rows"),
        *(f"marginals/{name}" for name in ("values", "share", "size", "stairs", "booleans", "categories")),
        *(f"{name}/{part}" for name in FAMILIES for part in [*family, *(f"network/{part}" for part in network)]),
        *(f"calibration/{kind}.{name}" for kind in SCORE_KINDS for name in ("scores", "ranks")),
        *(f"surprise/{kind}.{name}" for kind in SCORE_KINDS for name in ("member", "knots", "spread", "typical")),
        *(f"surprise/combined.single.{name}" for name in ("limit", "excess", "knots", "spread")),
        *(f"cells/{name}" for name in ("may_decide", "limit", "excess")),
        *(f"neighbours/{name}" for name in ("rows", "weight", "unit", "scale.knots", "scale.spread", "typical")),
        *(f"cells/{judge}_scale.{name}" for judge in ("tails", "mixture") for name in ("knots", "slope")),
        *(f"cells/mixture/{name}" for name in ("center", "spread", "log_weight", "mean", "precision")),
        *(f"cells/tails/{name}" for name in ("n_rows", "ranks", "n_present", "n_codes", "n_states")),
        *(f"cells/tails/{name}" for name in ("outer", "scale", "shape")),
        *(f"cells/levels/{name}" for name in ("column", "kind", "value", "edges", "center", "weight", "bias", "usual")),
        *(f"cells/levels/{name}" for name in ("limit", "excess", "scale.knots", "scale.slope")),
    ]


def broken_ways(array: np.ndarray) -> list[np.ndarray]:
    ways = [array[..., None], array.ravel()[:0], np.array(1, array.dtype)]
    if array.dtype.kind == "f":
        spoilt = array.copy()
        spoilt.ravel()[0] = np.nan
        ways.append(spoilt)
    return ways


def test_every_part_is_known_here(model: vaecli.Model) -> None:
    """The names below are arrays of a bundle, and those of no other kind are left out."""
    names = set(model.detector.to_parts()[1])
    assert set(part_names()) <= names
    rest = names - set(part_names())
    assert {name.rpartition("/")[0] for name in rest} <= {"calibration", *(f"{name}/network" for name in FAMILIES)}


@pytest.mark.parametrize("name", part_names())
def test_broken_parts_are_refused(model: vaecli.Model, name: str) -> None:
    """An array that is missing, of another shape, empty or not a number is a ValueError or KeyError, never a crash."""
    settings, arrays = model.detector.to_parts()
    with pytest.raises((KeyError, ValueError)):
        Detector.from_parts(model.schema, settings, {key: value for key, value in arrays.items() if key != name})
    for broken in broken_ways(arrays[name]):
        with pytest.raises((KeyError, ValueError)):
            Detector.from_parts(model.schema, settings, arrays | {name: broken})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("preprocess/quantiles", lambda a: a[:, ::-1]),
        ("preprocess/scale", lambda a: -a),
        ("preprocess/share", lambda a: a + 1),
        ("preprocess/boolean_values", lambda a: a[:, :1]),
        ("calibration/combined.scores", lambda a: a[::-1]),
        ("calibration/elbo.ranks", lambda a: a[::-1]),
        ("likelihood/n_rows", lambda a: 0 * a),
        ("likelihood/n_rows", lambda a: a - a - 3),
        ("likelihood/n_missing", lambda a: -1 - a),
        ("likelihood/n_missing", lambda a: a + 10**6),
        ("likelihood/n_missing", lambda a: a + 1),
        ("surprise/combined.knots", lambda a: a[:, ::-1]),
        ("surprise/latent.spread", lambda a: -a),
        ("surprise/elbo.typical", lambda a: a[1:]),
        ("heteroscedastic/held_out", lambda a: a[:-1]),
        ("homoscedastic/held_out", lambda a: a.astype(np.float64)),
        ("heteroscedastic/noise", lambda a: a[:, :-1]),
        ("homoscedastic/noise", lambda a: np.repeat(a, 2, 2)),
        ("heteroscedastic/noise", lambda a: a.astype(np.float64)),
        ("heteroscedastic/network/encoder.0.w", lambda a: a.astype(np.int64)),
        ("homoscedastic/network/decoder.out.w", lambda a: a[..., 1:]),
        ("heteroscedastic/codes/weight", lambda a: a[:, :, 1:]),
        ("homoscedastic/codes/weight", lambda a: a[:, 1:]),
        ("homoscedastic/codes/offset", lambda a: a.astype(np.float64)),
        ("heteroscedastic/codes/scale", lambda a: a[..., 1:]),
    ],
)
def test_impossible_parts_are_refused(model: vaecli.Model, name: str, change: Any) -> None:
    """Arrays out of order, negative counts, and parts that do not fit each other are refused."""
    settings, arrays = model.detector.to_parts()
    with pytest.raises(ValueError, match=r"."):
        Detector.from_parts(model.schema, settings, arrays | {name: change(arrays[name])})


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1.0},
        {"threshold": 0.0},
        {"threshold": float("nan")},
        {"threshold": "high"},
        {"score_kind": "guess"},
        {"score_kinds": []},
        {"score_kinds": ["guess"]},
        {"score_kinds": None},
        {"min_log_variance": float("nan")},
        {"min_log_variance": float("-inf")},
        {"min_log_variance": None},
    ],
)
def test_impossible_settings_are_refused(model: vaecli.Model, change: dict[str, Any]) -> None:
    """Settings that were never written raise one of the three errors that loading translates."""
    settings, arrays = model.detector.to_parts()
    with pytest.raises((KeyError, TypeError, ValueError)):
        Detector.from_parts(model.schema, settings | change, arrays)


@pytest.mark.parametrize("name", ["score_kind", "score_kinds", "threshold", "min_log_variance"])
def test_absent_settings_are_refused(model: vaecli.Model, name: str) -> None:
    """A setting that is not there is named."""
    settings, arrays = model.detector.to_parts()
    with pytest.raises(KeyError, match=name):
        Detector.from_parts(model.schema, {key: value for key, value in settings.items() if key != name}, arrays)


# ------------------------------------------------------------------------------------------ decisions


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_numpy_and_torch_decide_the_same(model: vaecli.Model, fresh_table: pd.DataFrame, kind: str) -> None:
    """On either road scores agree to 1e-5 of what they add up, and the same rows are flagged at every level."""
    cells = cells_of(model, fresh_table)
    numpy, torch = model.detector.score(cells, kind), model.detector.on("cpu").score(cells, kind)
    size = 1 + np.abs(numpy.scored.column_score).sum(1) + np.abs(numpy.scored.latent_score)
    assert (np.abs(numpy.scored.score - torch.scored.score) <= 1e-5 * size).all()
    for alpha in (0.5, 0.1, 0.01, 0.001):
        np.testing.assert_array_equal(numpy.p_value <= alpha, torch.p_value <= alpha)


def test_p_values_are_those_of_the_calibration(model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """The default kind is the detector's own, and p-values come from its calibration."""
    cells = cells_of(model, fresh_table)
    decided = model.detector.score(cells)
    calibration = model.detector.calibrations[model.detector.score_kind]
    np.testing.assert_array_equal(decided.p_value, calibration.p_value(decided.scored.score))
    np.testing.assert_array_equal(
        decided.scored.score, model.detector.score(cells, model.detector.score_kind).scored.score
    )


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_category_never_seen_is_never_the_most_normal(
    model: vaecli.Model, fresh_table: pd.DataFrame, kind: str
) -> None:
    """Every row scores higher with a mode never seen than with the best of the known ones, and so does its column."""
    score, column, mode = [], [], column_of(model, "mode")
    for value in ("eco", "normal", "boost", "turbo"):
        decided = model.detector.score(cells_of(model, fresh_table.assign(mode=value)), kind)
        score.append(decided.scored.score)
        column.append(decided.scored.column_score[:, mode])
    assert decided.n_novel == len(fresh_table)
    assert (score[-1] > np.min(score[:-1], axis=0)).all()
    assert (column[-1] > np.min(column[:-1], axis=0)).all()
    assert np.median(score[-1] - np.min(score[:-1], axis=0)) > 5


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_unexpected_gaps_are_anomalous_and_expected_ones_are_not(
    model: vaecli.Model, fresh_table: pd.DataFrame, kind: str
) -> None:
    """A gap where training had none costs log(m + 2) nats and the lift; in `temperature`, often empty, little."""
    found, surprisal = {}, model.detector.surprisal_scales[kind]
    for name in ("flow", "temperature"):
        cells = cells_of(model, fresh_table.assign(**{name: np.nan}))
        assert (cells.state[:, column_of(model, name)] == MISSING).all()
        found[name] = model.detector.score(cells, kind).scored.column_score[:, column_of(model, name)].mean()
    nats = 0.0 if kind == "latent" else np.log(602)  # a score of codes alone has no column to put them in
    cost = (
        np.full((surprisal.mean_column_score.shape[0], 1, 1), nats)
        - surprisal.mean_column_score[:, None, [column_of(model, "flow")]]
    )
    expected = np.mean([(cost[k] / surprisal.spread[surprisal.member == k]).mean() for k in range(len(cost))])
    expected += novelty_offset(model.detector.calibrations[kind])
    # in `combined` such a cell alone may score more than the row does
    assert (
        found["flow"] >= expected - 0.01 if kind == "combined" else found["flow"] == pytest.approx(expected, abs=0.01)
    )
    assert found["temperature"] < 0.2 * found["flow"]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_are_novel_and_flagged(model: vaecli.Model, fresh_table: pd.DataFrame, value: float) -> None:
    """An infinite reading is counted as novel and makes nearly every row an anomaly."""
    cells = cells_of(model, fresh_table.assign(pressure=value))
    assert (cells.state[:, column_of(model, "pressure")] == NOVEL).all()
    decided = model.detector.score(cells)
    assert decided.n_novel == len(fresh_table)
    assert (decided.p_value <= 0.05).mean() > 0.9


@pytest.mark.parametrize("value", [1e6, 1e30, np.finfo(float).max, -np.finfo(float).max])
def test_absurd_readings_have_scores_and_are_flagged(
    model: vaecli.Model, fresh_table: pd.DataFrame, value: float
) -> None:
    """No finite reading, the largest float among them, escapes by overflowing into a row without a score."""
    for kind in SCORE_KINDS:
        decided = model.detector.score(cells_of(model, fresh_table[:20].assign(pressure=value)), kind)
        assert np.isfinite(decided.scored.score).all()
        assert (decided.p_value <= 0.01).all()


def test_no_rows_no_decisions(model: vaecli.Model, fresh_table: pd.DataFrame) -> None:
    """A table without rows is scored to empty arrays."""
    decided = model.detector.score(cells_of(model, fresh_table)[:0])
    assert decided.p_value.shape == decided.scored.score.shape == (0,)
    assert decided.n_novel == 0


# ------------------------------------------------------------------------------------------ through Python


def test_the_offset_of_novel_cells_is_that_of_the_calibration(model: vaecli.Model) -> None:
    """It is found once per detector: one with other calibrations has its own."""
    first, kind = model.detector, model.detector.score_kind
    assert first.novelty_offset(kind) == first.novelty_offset(kind) == novelty_offset(first.calibrations[kind])
    wider = replace(first.calibrations[kind], scores=3 * first.calibrations[kind].scores)
    other = replace(first, calibrations={**first.calibrations, kind: wider})
    assert other.novelty_offset(kind) == pytest.approx(3 * first.novelty_offset(kind))
    assert first.novelty_offset(kind) == novelty_offset(first.calibrations[kind])


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_batch_size_changes_no_bit(
    model: vaecli.Model, fresh_table: pd.DataFrame, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are read at once, scores, p-values and flags are the same to the last bit."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 16)  # 90 rows have many, and one by itself costs one
    table = fresh_table.head(90)
    whole = model.score(table, score_kind=kind)
    for batch_rows in (1, 25, 64, 10**6):
        pd.testing.assert_frame_equal(
            model.score(table, score_kind=kind, batch_rows=batch_rows), whole, check_exact=True
        )


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_order_changes_no_score(model: vaecli.Model, fresh_table: pd.DataFrame, kind: str) -> None:
    """Rows in another order get the same scores to 1e-5."""
    order = np.random.default_rng(0).permutation(len(fresh_table))
    whole = model.score(fresh_table, score_kind=kind).iloc[order]
    found = model.score(fresh_table.iloc[order], score_kind=kind)
    np.testing.assert_allclose(found["anomaly_score"], whole["anomaly_score"], rtol=1e-5, atol=1e-5)
    assert (found["is_anomaly"].to_numpy() == whole["is_anomaly"].to_numpy()).all()
