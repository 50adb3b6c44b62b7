"""What a self-test must find where the truth is known: columns that predict each other, and columns that do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.config import FAULTS
from vaecli.decisions.threshold import Decision
from vaecli.engines.local import LocalEngine
from vaecli.results import ignore
from vaecli.tables import ReadRequest, frame_source, numbers_of, to_cells
from vaecli.tasks.selftest import Case, Outcome, run_faults

N = 1500
SETTINGS = {
    "train.max_steps": 150,
    "heteroscedastic.n_hidden": 32,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_hidden": 32,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 200,
    "calibration.n_folds": 2,
}


def table(rho: float, seed: int) -> pd.DataFrame:
    """Two standard normal columns with this correlation."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, N))
    return pd.DataFrame({"a": a, "b": rho * a + np.sqrt(1 - rho**2) * b})


@pytest.fixture(scope="module", params=[0.9999, 0.0], ids=["tied", "independent"])
def tested(request: pytest.FixtureRequest) -> tuple[float, Outcome, vaecli.Model]:
    """(correlation, the test of a bundle fitted on such columns, the bundle)."""
    model = vaecli.fit(table(request.param, 0), **SETTINGS)
    return request.param, judged(model, request.param), model


def judged(model: vaecli.Model, rho: float, names: Sequence[str] = FAULTS, workers: int = 1, seed: int = 0) -> Outcome:
    detector = model.detector
    kind = detector.score_kind
    decision = Decision(kind, 0.99, 0.01, detector.calibrations[kind].threshold(0.99), uses_tail_model=False)
    source = frame_source(table(rho, 1))
    (batch,) = source.batches(ReadRequest(["a", "b"], numbers=numbers_of(detector.schema)))
    cells = to_cells(batch, detector.schema)
    return run_faults(LocalEngine(1024, workers), detector, decision, cells, names, seed, ignore)


def case(tested: Outcome, name: str, size: float | None = None) -> Case:
    return next(one for one in tested.cases if (one.fault.name, one.size) == (name, size))


def ours(tested: Outcome, name: str, size: float | None = None) -> float:
    """The share of rows with the fault that the bundle flags."""
    one = case(tested, name, size)
    return float(one.flagged[one.changed].mean())


def theirs(tested: Outcome, name: str, size: float | None = None) -> float:
    """The share that limits on each column flag, of the rows that they had let through."""
    one = case(tested, name, size)
    return float(one.by_ranges[one.changed & tested.passed_ranges].mean())


def test_other_columns_find_what_ranges_cannot(tested):
    """A value of another row is seen where columns are tied, by the model and by no range; else by neither."""
    rho, found, _ = tested
    assert theirs(found, "borrowed") < 0.02
    assert ours(found, "borrowed") > 0.8 if rho else ours(found, "borrowed") < 0.03


def test_stuck_is_seen_through_the_other_column_only(tested):
    """At the median a value is not unusual by itself."""
    rho, found, _ = tested
    assert theirs(found, "stuck") == 0
    assert ours(found, "stuck") > 0.7 if rho else ours(found, "stuck") < 0.03


def test_far_out_is_seen_by_both(tested):
    """Eight standard deviations need no company."""
    _, found, _ = tested
    assert ours(found, "spike", 8.0) == theirs(found, "spike", 8.0) == 1.0


def test_both_checks_raise_as_many_false_alarms(tested):
    """The comparison is at one rate: that of the bundle on the rows as they are."""
    _, found, _ = tested
    assert found.flagged_before.mean() == pytest.approx(0.01, abs=0.01)
    # each of two columns has a rarest row on each side: so many rows may be equally rare
    assert 0 <= int(found.flagged_before.sum()) - int(found.ranges_before.sum()) <= 3


def test_other_faults_and_workers_change_nothing(tested):
    """A case depends on its seed alone: not on what else is tried, nor on how many threads try."""
    rho, found, model = tested
    few = judged(model, rho, ["shift", "borrowed"], workers=3)
    assert [one.fault.name for one in few.cases] == ["shift"] * 4 + ["borrowed"]
    for one in few.cases:
        same = case(found, one.fault.name, one.size)
        for part in ("column", "changed", "flagged", "by_ranges"):
            np.testing.assert_array_equal(getattr(one, part), getattr(same, part))
    other = case(judged(model, rho, ["borrowed"], seed=1), "borrowed")
    assert (other.flagged != case(found, "borrowed").flagged).any() or (other.column != few.cases[-1].column).any()


def test_rows_of_the_fit_are_known_again(tested):
    """Of fresh rows none, of those of the fit as many as the bundle remembers."""
    rho, found, model = tested
    assert found.n_known < 0.02 * found.n_remembered
    source = frame_source(table(rho, 0))
    (batch,) = source.batches(ReadRequest(["a", "b"], numbers=numbers_of(model.schema)))
    decision = Decision("elbo", None, None, np.inf, uses_tail_model=False)
    cells = to_cells(batch, model.schema)
    resume = run_faults(LocalEngine(1024, 1), model.detector, decision, cells, [], 0, ignore)
    assert resume.n_known == pytest.approx(min(resume.n_remembered, N), rel=0.02)
