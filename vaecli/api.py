"""vaecli from Python: the same fit, load and score as on the command line, on frames or files.

import vaecli
model = vaecli.fit("normal.parquet", seed=1)
model.save("model.vae")
scored = vaecli.load("model.vae").score(frame, threshold=0.999)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vaecli.config import FitConfig, ScoreConfig, fit_config, sample_config, score_config
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.results import FitSummary, OnEvent, ignore
from vaecli.schema import Schema
from vaecli.tables import Source, check_schema, collect_sink, frame_source, new_schema, numbers_of, open_source


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted detector. `summary` is what the fit reported, None for a loaded one."""

    detector: Detector
    settings: dict[str, Any]
    report: dict[str, Any]
    summary: FitSummary | None = None

    @property
    def schema(self) -> Schema:
        """The columns it was fitted on."""
        return self.detector.schema

    @property
    def threshold(self) -> float:
        """The default threshold level."""
        return self.detector.threshold

    def score(self, table: Any, **settings: Any) -> Any:
        """The rows of `table` with `anomaly_score`, `p_value` and `is_anomaly` behind their columns.

        `table` is a path (or several), a pandas DataFrame, an Arrow table or a NumPy array (n, c); the result is
        a DataFrame for a DataFrame, else an Arrow table. Higher scores are odder; `is_anomaly` is `p_value`
        at most 1 − threshold. `settings` are those of `vaecli score`: threshold, min_score, score_kind,
        anomalies_only, explain, prefix, batch_rows, workers, device. Raises UsageError or InputError.
        """
        from vaecli.decisions.resolve import resolve
        from vaecli.model.device import device_of
        from vaecli.workflows.score import added_columns, score_source

        config = _score_config(settings)
        source = _source(table)
        check_schema(source, self.schema)
        decision = resolve(config, self.detector.calibrations, self.detector.score_kind, self.detector.threshold)
        added = added_columns(config.explain)
        # the rows of a DataFrame are chosen at the end: they keep its index
        every_row = replace(config, anomalies_only=config.anomalies_only and not _is_pandas(table))
        with collect_sink(source, added, prefix=config.prefix, numbers=numbers_of(self.schema)) as sink:
            score_source(self.detector, source, sink, decision, every_row, device_of(config.device))
        if not _is_pandas(table):
            return sink.table()
        frame = _with_columns(table, sink.table(), [config.prefix + name for name, _ in added])
        return frame[frame[f"{config.prefix}is_anomaly"]] if config.anomalies_only else frame

    def sample(self, n_rows: int = 1000, *, seed: int = 0, like: Any = None) -> Any:
        """New rows as an Arrow table: those of `vaecli sample` with that seed, in the types of a Parquet file.

        With `like`, a table as in `score`, `n_rows` around each of its rows. Raises UsageError or InputError.
        """
        from vaecli.workflows.sample import sample_rows

        config = sample_config({"rows": n_rows, "seed": seed}, environment={})
        source = None if like is None else _source(like)
        if source is not None:
            check_schema(source, self.schema)
        schema = new_schema(self.schema.features, as_text=False)
        with collect_sink(frame_source(schema.empty_table()), ()) as sink:
            sample_rows(self.detector, source, sink, schema, config)
        return sink.table()

    def save(self, path: str | Path) -> None:
        """Write the bundle whole or not at all. Raises UsageError or EnvironmentProblem."""
        from vaecli.bundle import save_detector

        save_detector(Path(path), self.detector, self.settings, self.report)


def fit(table: Any, *, on_event: OnEvent = ignore, **settings: Any) -> Model:
    """Learn what the rows of `table` look like when they are normal, and calibrate.

    `table` as in `Model.score`. `settings` are those of `vaecli fit`, by their short names (`seed`, `preset`,
    `label`, `exclude`, …) or dotted (`**{"model.n_noise": 4}`). Raises UsageError, InputError or
    EnvironmentProblem.
    """
    from vaecli.workflows import require_fitting_packages

    config = _fit_config(settings)
    require_fitting_packages()

    from vaecli.workflows.fit import fit_source, report_of, settings_of

    detector, summary = fit_source(_source(table), config, on_event=on_event)
    return Model(detector, settings_of(config), report_of(summary), summary)


def load(path: str | Path) -> Model:
    """The model in a bundle. Raises BundleError; executes nothing that the file holds."""
    from vaecli.bundle import load_detector

    detector, manifest = load_detector(Path(path))
    return Model(detector, dict(manifest.config["fit"]), dict(manifest.summary))


def score(table: Any, model: str | Path, **settings: Any) -> Any:
    """`load(model).score(table, **settings)`."""
    return load(model).score(table, **settings)


_SHORT_NAMES = {
    "columns": "columns.columns",
    "exclude": "columns.exclude",
    "label": "columns.label",
    "id": "columns.id",
    "time": "columns.time",
    "group": "columns.group",
    "same_unit": "columns.same_unit",
    "threshold": "calibration.threshold",
    "seed": "train.seed",
    "device": "train.device",
    "max_epochs": "train.max_epochs",
    "time_budget": "train.time_budget_seconds",
    "preset": "preset",
    "score_kind": "score_kind",
}


def _fit_config(settings: dict[str, Any]) -> FitConfig:
    unknown = [name for name in settings if "." not in name and name not in _SHORT_NAMES]
    if unknown:
        raise UsageError(f"unknown settings: {', '.join(unknown)}", f"fit takes {', '.join(_SHORT_NAMES)}")
    return fit_config({_SHORT_NAMES.get(name, name): value for name, value in settings.items()}, environment={})


def _score_config(settings: dict[str, Any]) -> ScoreConfig:
    known = asdict(ScoreConfig()).keys() - {"fail_on"}
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise UsageError(f"unknown settings: {', '.join(unknown)}", f"score takes {', '.join(sorted(known))}")
    return score_config(settings, environment={})


def _source(table: Any) -> Source:
    if isinstance(table, str | Path):
        return open_source([str(table)])
    if isinstance(table, Sequence) and table and all(isinstance(path, str | Path) for path in table):
        return open_source([str(path) for path in table])
    return frame_source(table)


def _is_pandas(table: Any) -> bool:
    return type(table).__module__.partition(".")[0] == "pandas"


def _with_columns(frame: Any, scored: Any, names: Sequence[str]) -> Any:
    """A copy of the DataFrame, its index and types as they are, with the columns `names` of the Arrow table behind."""
    frame = frame.copy()
    for name in names:
        frame[name] = scored.column(name).to_numpy()
    return frame
