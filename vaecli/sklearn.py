"""A scikit-learn estimator: vaecli in a Pipeline, in `cross_val_score`, beside other outlier detectors.

    from vaecli.sklearn import VAEDetector
    detector = VAEDetector(threshold=0.99).fit(normal)
    detector.predict(new)  # 1 for normal rows, -1 for anomalous ones

Needs scikit-learn 1.6 or newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import vaecli
from vaecli.config.contamination import LARGEST_SHARE
from vaecli.errors import InputError, UsageError

FEWEST_ROWS = 8


class VAEDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """An outlier detector that learns from mostly normal rows with an ensemble of variational autoencoders.

    Tables may be DataFrames with numbers, categories, dates and missing values, or arrays of numbers (n rows, c
    columns). Rows are judged one by one; for series use `vaecli.fit`. Columns that cannot be modelled, such as
    constants, are left out. A row is an outlier if it is more unusual than the share `threshold` of normal rows.

    `contamination` is the share of the rows of `fit` that are anomalies, up to 0.5, or "auto" for 5 %: that many of the
    most isolated rows are distrusted, and levels are those of the others. Unlike in other libraries the share that is
    flagged does not follow from it, but from `threshold`.

    `settings` are those of `vaecli fit` by their dotted names. After `fit` there are `model_`, a `vaecli.Model`;
    `offset_`, where `decision_function` is 0; `n_features_in_`, and `feature_names_in_` for tables with names.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.99,
        contamination: float | str | None = None,
        preset: str = "default",
        score_kind: str = "combined",
        max_epochs: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.threshold = threshold
        self.contamination = contamination
        self.preset = preset
        self.score_kind = score_kind
        self.max_epochs = max_epochs
        self.random_state = random_state
        self.settings = settings

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn hands labels to every estimator
        """Learn what the rows of `X`, (n, c), look like; `y` is not used.

        Raises ValueError for a table or settings that cannot be used, and EnvironmentProblem where torch is missing.
        """
        table = self._table(X, reset=True)
        chosen: dict[str, Any] = {"preset": self.preset, "score_kind": self.score_kind}
        chosen |= {"train.max_epochs": self.max_epochs, "train.seed": self._seed()}
        chosen |= {"calibration.threshold": self.threshold, "windows.window": 0}
        chosen |= {"train.contamination": _share(self.contamination)}
        names = list(table.columns) if _is_frame(table) else [f"x{j}" for j in range(self.n_features_in_)]
        # integers of a small table look like identifiers, and their columns were chosen by whoever calls
        chosen |= {"columns.columns": names, **(self.settings or {})}
        try:
            self.model_ = vaecli.fit(table, **{name: value for name, value in chosen.items() if value is not None})
        except (UsageError, InputError) as problem:
            raise ValueError(str(problem)) from problem
        detector = self.model_.detector
        limit = detector.calibrations[detector.score_kind].threshold(detector.threshold)
        # a score at the limit is flagged, and scikit-learn calls rows of a decision of 0 normal
        self.offset_ = float(np.nextafter(-limit, np.inf))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The score of each row, (n,), lower for more unusual ones: `anomaly_score` in nats with its sign reversed.

        Raises NotFittedError before `fit`, and ValueError for a table of other columns.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        try:
            scored = self.model_.score(table)
        except (UsageError, InputError) as problem:
            raise ValueError(str(problem)) from problem
        return -np.asarray(scored["anomaly_score"], dtype=np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """The score of each row above `offset_`, (n,): negative for outliers. Raises as `score_samples` does."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal rows and −1 for outliers, (n,): those that `vaecli score` flags. Raises as `score_samples`."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _table(self, X: Any, *, reset: bool) -> Any:
        """The table as vaecli reads it, with the number and the names of its columns checked or remembered."""
        if _is_frame(X) and all(isinstance(name, str) for name in X.columns):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if not len(X):
                raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
            return X
        fewest = FEWEST_ROWS if reset else 1
        return validate_data(
            self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan", ensure_min_samples=fewest
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _share(contamination: float | str | None) -> str | None:
    """The share as `vaecli.fit` takes it. Raises ValueError for one that is none."""
    if contamination is None or contamination == "auto":
        return contamination
    if isinstance(contamination, str) or not 0 < contamination <= LARGEST_SHARE:
        raise ValueError(f"contamination must be in (0, {LARGEST_SHARE}], 'auto' or None, got {contamination!r}")
    return f"{100 * contamination:.6f}%"


def _is_frame(table: Any) -> bool:
    return type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns")
