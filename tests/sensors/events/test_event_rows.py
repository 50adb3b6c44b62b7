"""Of a long event few rows are explained, and it is described as by all of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.sensors.events.conftest import plant, rows_of
from vaecli.sensors.event_rows import ALL_UP_TO, HIGHER, OF_EACH_DOUBLING, EventRows, stands_for
from vaecli.sensors.events import EventRules, FlaggedRows


@given(n_rows=st.integers(1, 2**17))
def test_few_rows_stand_for_all_rows_of_an_event(n_rows: int):
    found = stands_for(np.arange(n_rows))
    chosen = found[~np.isnan(found)]
    assert (found[:ALL_UP_TO] == 1).all()
    assert chosen.size <= ALL_UP_TO + OF_EACH_DOUBLING * max(np.ceil(np.log2(n_rows / ALL_UP_TO)), 0)
    assert n_rows <= chosen.sum() < 1.04 * n_rows + 1


def one_event(score: np.ndarray) -> FlaggedRows:
    """Flagged rows of one series, a row per unit of its clock."""
    yes = np.ones(score.size, bool)
    return FlaggedRows(("",), np.zeros(score.size, np.int64), np.arange(score.size, dtype=float), score, yes, yes)


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 1999), max_size=5))
def test_chosen_rows_do_not_depend_on_batches(seed: int, cuts: list[int]):
    """And among them is one whose score is nearly the highest up to each row."""
    rows = one_event(np.exp(np.random.default_rng(seed).normal(size=2000)))
    rules = EventRules(0.0, 3.0, 8)
    whole, chosen = EventRows(rules).weights(rows), EventRows(rules)
    edges = [0, *sorted(cuts), 2000]
    parts = []
    for first, last in pairwise(edges):
        columns = (getattr(rows, name)[first:last] for name in ("group", "time", "score", "flagged", "evident"))
        if last > first:
            parts.append(chosen.weights(FlaggedRows(rows.keys, *columns)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    explained = np.maximum.accumulate(np.where(np.isnan(whole), 0, rows.score))
    assert (explained * HIGHER >= np.maximum.accumulate(rows.score)).all()


def test_a_long_event_has_the_sentence_of_all_its_rows(
    summary, plant_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    table = plant(1500, 3, 7000)
    table.loc[rows_of(table, "oven", range(400, 1400)), "temp"] += 25
    table.to_csv(tmp_path / "new.csv", index=False)

    def sensors() -> list[list[tuple[str, str, float]]]:
        found = summary("explain", tmp_path / "new.csv", "-m", plant_model, "--most", 50)
        long = [event for event in found["shown"] if event["flagged_rows"] > 600]
        return [[(one["column"], one["direction"], one["nats"]) for one in event["sensors"]] for event in long]

    few = sensors()
    monkeypatch.setattr("vaecli.sensors.event_rows.ALL_UP_TO", 10**6)
    every = sensors()
    assert len(few) == len(every) == 1
    assert few[0][0][:2] == every[0][0][:2] == ("temp", "up")
    assert few[0][0][2] == pytest.approx(every[0][0][2], rel=0.2)
