"""The scikit-learn estimator: its contract, and the same answers as the rest of vaecli."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.conftest import QUICK

pytest.importorskip("torch")
pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from vaecli.sklearn import VAEDetector

TINY = QUICK | {"train.max_steps": 12, "model.n_noise": 2, "model.n_exemplars": 20, "calibration.n_folds": 3}


@pytest.fixture(scope="module")
def detector(normal_table: pd.DataFrame) -> VAEDetector:
    """Fitted on normal rows with numbers, categories and gaps. Tests must not change it."""
    return VAEDetector(threshold=0.95, settings=TINY).fit(normal_table)


def test_it_answers_as_the_model_does(detector: VAEDetector, fresh_table: pd.DataFrame):
    """Scores with their sign reversed; −1 for the rows that `score` flags; `decision_function` is 0 at `offset_`."""
    scored = detector.model_.score(fresh_table)
    np.testing.assert_array_equal(detector.score_samples(fresh_table), -scored["anomaly_score"])
    found = detector.predict(fresh_table)
    np.testing.assert_array_equal(found == -1, scored["is_anomaly"])
    assert 0 < (found == -1).mean() < 0.2
    np.testing.assert_array_equal(
        detector.decision_function(fresh_table), detector.score_samples(fresh_table) - detector.offset_
    )
    assert detector.feature_names_in_.tolist() == fresh_table.columns.tolist()
    assert detector.n_features_in_ == 5


def test_it_is_the_fit_of_vaecli(detector: VAEDetector, normal_table: pd.DataFrame):
    """The same settings give the same scores as `vaecli.fit`."""
    names = {"columns": tuple(normal_table.columns), "threshold": 0.95}
    model = vaecli.fit(normal_table, **names, **TINY, **{"windows.window": 0})
    np.testing.assert_array_equal(detector.score_samples(normal_table), -model.score(normal_table)["anomaly_score"])


def test_contamination_is_the_share_that_is_distrusted(normal_table: pd.DataFrame):
    """As `vaecli.fit` takes it; levels are still those of `threshold`."""
    found = VAEDetector(threshold=0.95, contamination=0.1, settings=TINY).fit(normal_table)
    assert found.model_.fit_report["n_distrusted"] == 60
    assert (found.predict(normal_table) == -1).mean() < 0.2


@pytest.mark.parametrize("share", [0, 0.6, -0.1, "10%", float("nan")])
def test_a_contamination_that_is_no_share(normal_table: pd.DataFrame, share: object):
    """It names what is allowed, before anything is learned."""
    with pytest.raises(ValueError, match=r"contamination must be in \(0, 0.5\], 'auto' or None"):
        VAEDetector(contamination=share).fit(normal_table)


def test_a_row_at_the_limit_is_an_outlier(detector: VAEDetector):
    """As on the command line, where a score from the limit on is flagged."""
    kind = detector.model_.detector.score_kind
    limit = detector.model_.detector.calibrations[kind].threshold(0.95)
    assert -limit - detector.offset_ < 0
    assert np.nextafter(-limit, np.inf) - detector.offset_ >= 0


def test_it_can_be_cloned_and_pickled(detector: VAEDetector, fresh_table: pd.DataFrame):
    """A clone has the settings and no fit; a pickle has both."""
    assert clone(detector).get_params() == detector.get_params()
    with pytest.raises(NotFittedError):
        clone(detector).predict(fresh_table)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score_samples(fresh_table), detector.score_samples(fresh_table))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda table: table.drop(columns="flow"), "flow"),
        (lambda table: table[:0], "0 sample"),
        (lambda table: table.assign(flow="high"), "flow"),
    ],
    ids=["column", "empty", "words"],
)
def test_tables_that_do_not_fit(detector: VAEDetector, fresh_table: pd.DataFrame, change, names: str):
    """ValueError, as scikit-learn expects it, with our words where they are ours."""
    with pytest.raises(ValueError, match=names):
        detector.predict(change(fresh_table))


@pytest.mark.parametrize("settings", [{"preset": "huge"}, {"threshold": 3}, {"settings": {"train.no": 1}}])
def test_settings_that_do_not_fit(normal_table: pd.DataFrame, settings: dict):
    """They are looked at in `fit`, as the contract of estimators has it."""
    with pytest.raises(ValueError, match=r"hint: "):
        VAEDetector(**settings).fit(normal_table)


@pytest.mark.slow
def test_in_a_pipeline_and_in_cross_validation(normal_table: pd.DataFrame):
    """After a scaler, with folds and a score: rows moved far away rank low, also where training has some."""
    rng = np.random.default_rng(0)
    table = np.vstack([rng.normal(size=(200, 3)), rng.normal(size=(20, 3)) + 6])
    is_normal = np.repeat([1, -1], [200, 20])
    pipeline = make_pipeline(StandardScaler(), VAEDetector(threshold=0.9, settings=TINY))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scorer = make_scorer(roc_auc_score, response_method="decision_function")
    assert cross_val_score(pipeline, table, is_normal, scoring=scorer, cv=folds).min() > 0.75
    assert set(pipeline.fit_predict(table)) == {-1, 1}


@pytest.mark.slow
def test_it_is_an_estimator():
    """Every check of scikit-learn passes; one needs a variable of SciPy and is skipped."""
    done = check_estimator(VAEDetector(threshold=0.9, settings=TINY), on_fail=None, on_skip=None)
    assert len(done) > 40
    assert {one["check_name"]: one["status"] for one in done if one["status"] != "passed"} in (
        {},
        {"check_array_api_input": "skipped"},
    )


def test_seeds(normal_table: pd.DataFrame):
    """A number is the seed of the fit; a generator draws one."""
    assert VAEDetector(random_state=7)._seed() == 7
    assert VAEDetector(random_state=np.random.RandomState(3))._seed() == np.random.RandomState(3).randint(2**31 - 1)
