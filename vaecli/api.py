"""vaecli from Python: the same fit, load and score as on the command line, on frames or files.

    model = vaecli.fit("normal.parquet", seed=1)
    model.save("model.vae")
    scored = vaecli.load("model.vae").score(frame, threshold=0.999)

A `Model` is what a fit returns; a bundle is the file that it is saved to. A table is a path or several, a pandas
DataFrame, an Arrow table or record batch, a polars frame, or a NumPy array of shape (n rows, c columns), whose columns
are called x0, x1, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecli.config.python_names import (
    CHECK_SETTINGS,
    ENCODE_SETTINGS,
    EVALUATE_SETTINGS,
    EXPLAIN_SETTINGS,
    RECONSTRUCT_SETTINGS,
    REPORT_SETTINGS,
    known,
)
from vaecli.config.score import score_settings
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.results import OnEvent, ignore
from vaecli.results.model_text import model_text
from vaecli.schema import Schema
from vaecli.tables import added_sink, check_schema, collect_sink, exact_types, frame_source
from vaecli.tables.python_tables import given_source, is_pandas, with_added, with_columns

if TYPE_CHECKING:
    from vaecli.results import CalibrateSummary, FitSummary
    from vaecli.results.check import CheckSummary
    from vaecli.results.evaluate import EvaluateSummary
    from vaecli.results.evaluate_sensors import SensorEvaluateSummary
    from vaecli.results.fit_sensors import SensorFitSummary
    from vaecli.results.incidents import Incident
    from vaecli.results.mark import MarkSummary
    from vaecli.results.report import ReportSummary
    from vaecli.results.report_sensors import SensorReportSummary
    from vaecli.sensors.detector import SensorDetector
    from vaecli.tables import Source


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted detector with its settings, which cannot be changed: `fit` and `load` make one.

    `settings` are those of the fit by stage, `fit_report` is what a bundle keeps of its summary, and `summary` is what
    the fit or the calibration reported, None for a loaded model. `detector` computes on cells and is not part of the
    public interface.

    >>> model = vaecli.load("cars.vae")
    >>> model.settings["train"]["seed"]
    1
    """

    detector: Detector | SensorDetector
    settings: dict[str, Any]
    fit_report: dict[str, Any]
    summary: FitSummary | SensorFitSummary | CalibrateSummary | None = None
    __repr__ = model_text

    @property
    def schema(self) -> Schema:
        """The columns of the table that it was fitted on, with the kind and the part of each.

        >>> [column.name for column in vaecli.load("cars.vae").schema.features][:3]
        ['symboling', 'normalized-losses', 'make']
        """
        return self.detector.schema

    @property
    def _lines(self) -> tuple[str, ...] | None:
        return self.detector.lines if isinstance(self.detector, Detector) else None

    def _modelled(self, source: Source) -> Source:
        if isinstance(self.detector, Detector):
            return source
        from vaecli.workflows.long_table import as_modelled

        return as_modelled(source, self.detector)

    @property
    def threshold(self) -> float:
        """The level that `score` uses unless another is given, in (0, 1): the share of normal rows it leaves unflagged.

        >>> vaecli.load("cars.vae").threshold
        0.95
        """
        return self.detector.threshold

    def score(self, table: Any, **settings: Any) -> Any:
        """Score every row of `table` and flag the anomalous ones.

        `table` needs the columns that the model was fitted on, in any order; others pass through. `settings` are those
        of `vaecli score`: threshold, min_score, score_kind, anomalies_only, explain, prefix, batch_rows, workers,
        device.

        Returns the rows with three more columns: `anomaly_score` in nats, higher for more unusual rows; `p_value` in
        (0, 1], the share of normal rows that score at least as high; and `is_anomaly`, true where `p_value` is at most
        1 − threshold. A DataFrame gives a DataFrame with the same index, any other table an Arrow table.

        Raises SchemaMismatch where columns are missing or have another type, UnreadableCell, UnreadableFile and other
        kinds of InputError for what cannot be read, and UsageError for settings that make no sense.

        >>> scored = vaecli.load("cars.vae").score("sample_data/cars/mixed.csv", threshold=0.9)
        >>> scored.column_names[-3:]
        ['anomaly_score', 'p_value', 'is_anomaly']
        >>> scored.num_rows
        94
        """
        from vaecli.workflows.score import decision_of, score_table
        from vaecli.workflows.scored_output import added_columns

        config = score_settings(settings)
        source = given_source(table, self._lines)
        modelled = self._modelled(source)
        check_schema(modelled, self.schema, self.detector.by_column if isinstance(self.detector, Detector) else None)
        decision = decision_of(self.detector, config)
        added = added_columns(config.explain)
        # the rows of a DataFrame are chosen at the end: they keep its index
        every_row = replace(config, anomalies_only=config.anomalies_only and not is_pandas(table))
        if not is_pandas(table):
            is_text = source.format in ("csv", "tsv")  # others have their types
            types = exact_types(self.schema) if modelled is source and is_text else {}
            with collect_sink(source, added, prefix=config.prefix, types=types) as sink:
                score_table(self.detector, modelled, sink, decision, every_row)
            return sink.table()
        beside = added_sink(source, added, prefix=config.prefix)
        score_table(self.detector, modelled, beside, decision, every_row)
        frame = with_added(table, beside.columns())
        return frame[frame[f"{config.prefix}is_anomaly"]] if config.anomalies_only else frame

    def incidents(self, table: Any, **settings: Any) -> tuple[Incident, ...]:
        """Score `table` and group what is flagged by the columns responsible: at most 30 incidents.

        `settings` are those of `score` that decide: threshold, min_score, score_kind, batch_rows, workers; of models of
        series also offline, merge_gap, min_duration, alarm_budget.

        Returns incidents, those of most rows first, with `columns`, `rows`, `first_row`, `last_row`, `peak_score`,
        `reason`, `examples` and a `sentence`. Raises what `score` raises.

        >>> found = vaecli.load("cars.vae").incidents("sample_data/cars/mixed.csv", threshold=0.8)
        >>> sum(incident.rows for incident in found) > 0
        True
        """
        from vaecli.workflows.incidents import incidents_of

        config = score_settings(settings)
        modelled = self._modelled(given_source(table, self._lines))
        check_schema(modelled, self.schema, self.detector.by_column if isinstance(self.detector, Detector) else None)
        return incidents_of(self.detector, modelled, config)

    def check(self, table: Any, **settings: Any) -> CheckSummary:
        """Compare `table` with the rows of the fit: columns, missing cells, scores, clock and number of rows.

        `settings` are those of `vaecli check`: expect_rows, warn_distance, fail_distance, warn_share, fail_share,
        batch_rows, workers.

        Returns a summary whose `level` is `ok`, `warn` or `fail`, with `findings`, the worst first: rows of the fit
        warn where the networks know them. Raises what `score` raises for tables that it cannot read.

        >>> vaecli.load("cars.vae").check("sample_data/cars/normal.csv").level
        'warn'
        """
        from vaecli.config.check import check_config
        from vaecli.workflows.check import as_checked, check_any_source

        config = check_config(known(settings, CHECK_SETTINGS), environment={})
        source = as_checked(given_source(table, self._lines), self.detector)
        return check_any_source(self.detector, source, config, "")[0]

    def explain(self, table: Any, **settings: Any) -> Any:
        """Name the columns that made rows of `table` anomalous, and what was expected instead.

        `settings` are those of `vaecli explain`: rows (numbers from 1; without them the flagged ones), top (reasons per
        row), threshold, min_score, score_kind, batch_rows, workers.

        Returns an Arrow table with a line per reason, the strongest first, in the columns of `vaecli explain -o`.
        Raises UsageError, also for a model of series, and InputError.

        >>> reasons = vaecli.load("cars.vae").explain("sample_data/cars/mixed.csv", rows=(6,), top=2)
        >>> reasons["rank"].to_pylist()[:2]
        [1, 2]
        """
        from vaecli.config import explain_config
        from vaecli.workflows.explain import SCHEMA, explain_source
        from vaecli.workflows.score import decision_of

        detector, config = self._of_rows("explain"), explain_config(known(settings, EXPLAIN_SETTINGS), environment={})
        source, decision = given_source(table, self._lines), decision_of(detector, config.score)
        check_schema(source, self.schema, detector.by_column)
        with collect_sink(frame_source(SCHEMA.empty_table()), ()) as sink:
            explain_source(detector, source, decision, config, sink)
        return sink.table()

    def evaluate(self, table: Any, **settings: Any) -> EvaluateSummary | SensorEvaluateSummary:
        """Measure the model on the labelled rows of `table`.

        `settings` are those of `vaecli evaluate`: label, group, marks, baselines (a file of normal rows), bootstrap,
        seed, threshold, min_score, score_kind, batch_rows, workers; of models of series also offline.

        Returns a summary with `overall`, `groups`, `baselines` and `comparisons`; `overall.figure("auroc")` has
        `value`, `low` and `high`. Raises UsageError, InputError, and EnvironmentProblem where a package is not there.

        >>> found = vaecli.load("cars.vae").evaluate("sample_data/cars/mixed.csv", label="label")
        >>> found.rows, found.label
        (94, 'label')
        """
        from vaecli.config import evaluate_config
        from vaecli.workflows.evaluate import evaluate_source
        from vaecli.workflows.long_table import as_modelled

        config = evaluate_config(known(settings, EVALUATE_SETTINGS), environment={})
        return evaluate_source(self.detector, as_modelled(given_source(table), self.detector, config.label), config)

    def encode(self, table: Any, **settings: Any) -> Any:
        """The coordinates of the latent code of every row of `table`.

        `settings` are those of `vaecli encode`: dims (a map of so many dimensions), map, spreads, keep, prefix,
        batch_rows, workers.

        Returns columns z1, z2, … or map1, map2, …, with `keep` after those of the table: a DataFrame with the index of
        a DataFrame, for any other table an Arrow table, which without `keep` begins with the number of the row.
        Raises UsageError, also for a model of series, and InputError.

        >>> vaecli.load("cars.vae").encode("sample_data/cars/mixed.csv", dims=2).column_names
        ['row', 'map1', 'map2']
        """
        import pyarrow as pa

        from vaecli.config import encode_config
        from vaecli.tasks.encode import ROW, EncodeTask
        from vaecli.workflows.encode import coordinate_names, encode_source, layout

        detector, config = self._of_rows("encode"), encode_config(known(settings, ENCODE_SETTINGS), environment={})
        names, source = coordinate_names(detector, config), given_source(table, self._lines)
        check_schema(source, self.schema)
        task = EncodeTask(detector, names, config, layout(detector, config), with_points=False)
        rows, prefix = source if config.keep else frame_source(ROW.empty_table()), config.run.prefix
        with collect_sink(
            rows, [(name, pa.float64()) for name in names], prefix=prefix, types=exact_types(self.schema)
        ) as sink:
            encode_source(task, source, sink)
        if not is_pandas(table):
            return sink.table()
        return with_columns(table if config.keep else table[[]], sink.table(), [prefix + name for name in names])

    def reconstruct(self, table: Any, **settings: Any) -> Any:
        """Every cell of `table` as the model expects it, or with `impute` the missing ones alone.

        `settings` are those of `vaecli reconstruct`: impute, batch_rows, workers.

        Returns the rows with the columns of the model replaced: a DataFrame with its index for a DataFrame, else an
        Arrow table. Raises UsageError, also for a model of series, and InputError.

        >>> filled = vaecli.load("cars.vae").reconstruct("sample_data/cars/mixed.csv", impute=True)
        >>> filled.num_rows
        94
        """
        from vaecli.config import reconstruct_config
        from vaecli.tables.write.replace_cells import Spelling
        from vaecli.tasks.reconstruct import ReconstructTask
        from vaecli.workflows.reconstruct import reconstruct_source

        detector, source = self._of_rows("reconstruct"), given_source(table, self._lines)
        config = reconstruct_config(known(settings, RECONSTRUCT_SETTINGS), environment={})
        check_schema(source, self.schema)
        task = ReconstructTask(detector, Spelling.of(source), config.impute)
        with collect_sink(source, (), types=exact_types(self.schema)) as sink:
            reconstruct_source(task, source, sink, config)
        if not is_pandas(table):
            return sink.table()
        return with_columns(table, sink.table(), [column.name for column in self.schema.features])

    def _of_rows(self, verb: str) -> Detector:
        if not isinstance(self.detector, Detector):
            raise UsageError(
                f"a model of sensors in time: no {verb} in Python", "fit with window=0 for a model of rows"
            )
        return self.detector

    def calibrate(self, table: Any, **settings: Any) -> Model:
        """A model with p-values and thresholds by the fresh normal rows of `table`, and the same networks.

        `settings` are those of `vaecli calibrate`: by, min_rows, add, threshold, marks, batch_rows, workers. Its
        `summary` is a `CalibrateSummary`. Raises UsageError, and InputError for a table that cannot be read, lacks
        columns or has too few rows.

        >>> fresh = vaecli.load("cars.vae").calibrate("sample_data/cars/normal.csv", by="make", min_rows=15)
        >>> [group.group for group in fresh.summary.groups]
        ['toyota']
        """
        from vaecli.config import calibrate_config
        from vaecli.workflows.calibrate import calibrate_source, recalibrated_report

        if not isinstance(self.detector, Detector):
            raise UsageError("a model of sensors in time is not calibrated anew", "fit again, or with window=0")
        config = calibrate_config(settings, environment={})
        detector, summary = calibrate_source(self.detector, given_source(table, self._lines), config)
        return Model(detector, self.settings, recalibrated_report(self.fit_report, summary), summary)

    def flag(self, scored: Any, *, rules: Any = None, **settings: Any) -> Any:
        """Decide again which rows of a table that `score` returned or wrote are flagged.

        `settings` are those of `vaecli flag`: threshold, fdr, top, per_day, time, group, merge_gap, calibration_rows,
        anomalies_only, prefix. `rules` is a TOML file of suppression rules or what it would hold, as a dictionary.
        The p-values have to be those of this model where `fdr` or rules with a column ask it.

        Returns the table with new values of `is_anomaly`, and with rules `suppressed_by`: the name of the rule, or
        null. Raises UsageError and InputError.

        >>> model = vaecli.load("cars.vae")
        >>> flagged = model.flag(model.score("sample_data/cars/mixed.csv"), top=5)
        >>> sum(flagged["is_anomaly"].to_pylist())
        5
        """
        from vaecli.config import flag_config
        from vaecli.config.rules import rules_of
        from vaecli.workflows.flag import flag_source, plan_of

        decided = rules_of(rules, "rules") if isinstance(rules, Mapping) else None if rules is None else Path(rules)
        config = flag_config(settings, environment={}, rules=decided)
        every_row = replace(config, anomalies_only=config.anomalies_only and not is_pandas(scored))
        source = given_source(scored)
        plan = plan_of(source, self.detector, every_row, ignore)
        with collect_sink(source, plan.added, prefix=config.run.prefix) as sink:
            flag_source(plan, sink)
        if not is_pandas(scored):
            return sink.table()
        names = [plan.columns.is_anomaly, *(config.run.prefix + name for name, _ in plan.added)]
        frame = with_columns(scored, sink.table(), list(dict.fromkeys(names)))
        return frame[frame[plan.columns.is_anomaly]] if config.anomalies_only else frame

    def sample(self, n_rows: int = 1000, *, seed: int = 0, like: Any = None) -> Any:
        """Draw new rows that look like those of the fit.

        `n_rows`, from 1, is their number; with `like`, a table, it is their number around each row of that table.
        `seed` chooses them: the same seed gives the same rows, those of `vaecli sample --seed`.

        Returns an Arrow table with the columns of the model, in the types that a Parquet file would have. Raises
        UsageError for a number out of range, and InputError where `like` cannot be read or lacks columns.

        >>> model = vaecli.load("cars.vae")
        >>> model.sample(3, seed=7).num_rows
        3
        >>> model.sample(20, like="sample_data/cars/normal.csv").num_rows
        2220
        """
        from vaecli.config import sample_config
        from vaecli.tables import new_schema
        from vaecli.workflows.sample import sample_rows

        if not isinstance(self.detector, Detector):
            raise UsageError("a model of sensors in time draws no rows", "fit with window=0 for a model of rows")
        config = sample_config({"rows": n_rows, "seed": seed}, environment={})
        source = None if like is None else given_source(like, self._lines)
        if source is not None:
            check_schema(source, self.schema)
        schema = new_schema(self.schema.features, as_text=False)
        with collect_sink(frame_source(schema.empty_table()), ()) as sink:
            sample_rows(self.detector, source, sink, schema, config)
        return sink.table()

    def report(
        self,
        table: Any,
        output: str | Path,
        *,
        table_name: str | None = None,
        model_name: str = "a model in Python",
        on_event: OnEvent = ignore,
        **settings: Any,
    ) -> ReportSummary | SensorReportSummary:
        """Write one HTML page about `table` to `output`: how many rows are anomalous, which, and why.

        The page calls the table `table_name`, or else by the name of its file (`frame` for one in memory), and the
        model `model_name`. `settings` are those of `vaecli report`: threshold, min_score, score_kind, image_shape,
        batch_rows, workers; of models of series also offline, merge_gap, min_duration, alarm_budget.

        Returns a summary with `rows`, `anomalies`, `headline` and `size_bytes`. An earlier file at `output` is
        replaced by the whole page or stays. Raises UsageError, InputError and EnvironmentProblem.

        >>> page = vaecli.load("cars.vae").report("sample_data/cars/mixed.csv", "cars.html", table_name="today's cars")
        >>> page.rows, page.output
        (94, 'cars.html')
        """
        from vaecli.config import report_config
        from vaecli.report.data import ReportedModel
        from vaecli.workflows.report import report_source

        config = report_config(known(settings, REPORT_SETTINGS), environment={})
        model = ReportedModel(model_name, self.schema.fingerprint, self.settings, self.fit_report)
        source = given_source(table, self._lines)
        return report_source(self.detector, model, source, str(output), config, table=table_name, on_event=on_event)

    def save(self, path: str | Path) -> None:
        """Write the bundle, whole or not at all; an earlier file at `path` is replaced.

        Raises UsageError where the folder does not exist or `path` is not a file, and EnvironmentProblem where the
        machine refuses (permission, a full disk).

        >>> vaecli.load("cars.vae").save("copy.vae")
        >>> vaecli.load("copy.vae").threshold
        0.95
        """
        from vaecli.bundle import save_detector

        save_detector(Path(path), self.detector, self.settings, self.fit_report)


def fit(table: Any, *, on_event: OnEvent = ignore, **settings: Any) -> Model:
    """Learn what the rows of `table` look like when they are normal, and calibrate.

    `table` holds mostly normal rows. `on_event` is called now and then with an `Event` that reports progress.
    `settings` are those of `vaecli fit`, by their short names (`seed`, `preset`, `label`, `exclude`, …) or by their
    dotted names (`**{"model.n_noise": 4}`); environment variables are not read.

    Returns a model, whose `summary` is the report of the fit. Raises UsageError for unknown or contradictory settings,
    InputError for a table that cannot be read or holds nothing to learn from, and EnvironmentProblem where a package
    (MissingPackage) or the device (MissingDevice) is not there. Warns of settings given by a former name.

    >>> model = vaecli.fit("sample_data/cars/normal.csv", seed=1, threshold=0.95, **{"train.max_steps": 60})
    >>> model.summary.n_rows
    111
    >>> model.save("cars.vae")
    """
    from vaecli.config.python_names import given_fit_config
    from vaecli.workflows import require_fitting_packages

    config = given_fit_config(settings)
    require_fitting_packages()

    from vaecli.workflows.fit import fit_source, report_of, settings_of

    source = given_source(table, () if config.columns.lines else None)
    detector, summary = fit_source(source, config, on_event=on_event)
    return Model(detector, settings_of(config, detector), report_of(summary), summary)


def load(path: str | Path) -> Model:
    """Read the model in the bundle at `path`; nothing that the file holds is executed.

    Returns a model that scores as the one that was saved. Raises BundleError where the file is missing, damaged, not a
    bundle, or of a format that this version does not read.

    >>> vaecli.load("cars.vae").summary is None
    True
    """
    from vaecli.bundle import load_any_detector

    detector, manifest = load_any_detector(Path(path))
    return Model(detector, dict(manifest.config["fit"]), dict(manifest.summary))


def score(table: Any, model: str | Path, **settings: Any) -> Any:
    """Score `table` with the bundle at the path `model`: `load(model).score(table, **settings)`.

    Returns and raises what these two do.

    >>> vaecli.score("sample_data/cars/mixed.csv", "cars.vae", anomalies_only=True).num_rows < 94
    True
    """
    return load(model).score(table, **settings)


def mark(
    file: str | Path, *, normal: Any = None, fault: Any = None, key: Sequence[str] = (), model: Model | None = None
) -> MarkSummary:
    """Keep in `file` that the rows of the table `normal` are normal and those of `fault` are faults.

    A row is named by the texts of the columns `key`, or where there are none by all cells of the columns that `model`
    knows. `fit`, `Model.calibrate` and `vaecli evaluate` take the file as `marks`; it stays as it was where anything is
    wrong. Raises UsageError, and InputError for rows in both tables or that a key does not name.

    >>> cars = vaecli.load("cars.vae")
    >>> vaecli.mark("cars.marks", fault="sample_data/cars/mixed.csv", model=cars).faults
    94
    """
    from vaecli.workflows.mark import mark_sources

    if not key and (model is None or not isinstance(model.detector, Detector)):
        raise UsageError(
            "neither key nor a model of rows names the rows", 'mark(…, key=["machine", "when"]) or model=…'
        )
    tables = {"normal": normal, "fault": fault}
    given = [(decision, given_source(table)) for decision, table in tables.items() if table is not None]
    named = (key,) if isinstance(key, str) else tuple(key)
    return mark_sources(Path(file), given, model.schema if model is not None and not named else None, named)
