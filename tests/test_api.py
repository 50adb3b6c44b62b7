"""vaecli from Python: fit, load and score on frames, arrays and files."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import FunctionType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from vaecli import api, errors
from vaecli.cli.app import main
from vaecli.errors import (
    BundleError,
    InputError,
    MalformedText,
    SchemaMismatch,
    UnreadableCell,
    UnreadableFile,
    UsageError,
)
from vaecli.results import Event

ADDED = ["anomaly_score", "p_value", "is_anomaly"]
TINY = {
    "train.max_steps": 10,
    "heteroscedastic.n_hidden": 8,
    "homoscedastic.n_hidden": 8,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 20,
}


@pytest.fixture(scope="module")
def scored(model: vaecli.Model, fresh_table: pd.DataFrame) -> pd.DataFrame:
    """The fresh rows, scored as a pandas frame."""
    return model.score(fresh_table)


# -- tables of every kind -------------------------------------------------------------------------


def test_a_dataframe_gives_a_dataframe(scored: pd.DataFrame, fresh_table: pd.DataFrame):
    """The user's columns unchanged, three columns after them, higher scores more anomalous."""
    pd.testing.assert_frame_equal(scored[list(fresh_table.columns)], fresh_table)
    assert list(scored.columns) == [*fresh_table.columns, *ADDED]
    assert (scored["is_anomaly"] == (scored["p_value"] <= 0.01)).all()
    assert scored.sort_values("anomaly_score")["p_value"].is_monotonic_decreasing


def test_the_index_is_kept(model: vaecli.Model, fresh_table: pd.DataFrame, scored: pd.DataFrame):
    """Results can be joined to what they came from, also when only the flagged rows come back."""
    named = fresh_table.set_index(pd.Index([f"row {i}" for i in range(500)], name="name"))
    pd.testing.assert_index_equal(model.score(named).index, named.index)
    flagged = model.score(named, anomalies_only=True, threshold=0.9)
    expected = named.index[(scored["p_value"] <= 1 - 0.9).to_numpy()]
    pd.testing.assert_index_equal(flagged.index, expected)


def test_types_are_kept(model: vaecli.Model, fresh_table: pd.DataFrame):
    """The columns come back with the types they had, those of pandas' own included."""
    typed = fresh_table.astype({"mode": "category", "temperature": "Float32"}).assign(
        n=pd.array([1, None] * 250, "Int8")
    )
    pd.testing.assert_frame_equal(model.score(typed)[list(typed.columns)], typed)


def test_a_frame_is_not_changed(model: vaecli.Model, fresh_table: pd.DataFrame):
    """Scoring leaves the caller's frame as it was."""
    before = fresh_table.copy(deep=True)
    model.score(fresh_table)
    pd.testing.assert_frame_equal(fresh_table, before)


def test_arrow_gives_arrow(model: vaecli.Model, fresh_table: pd.DataFrame, scored: pd.DataFrame):
    """An Arrow table comes back as one, with its types."""
    table = pa.Table.from_pandas(fresh_table, preserve_index=False)
    result = model.score(table)
    assert isinstance(result, pa.Table)
    assert result.select(table.column_names).equals(table)
    np.testing.assert_array_equal(result["anomaly_score"].to_numpy(), scored["anomaly_score"])


def test_paths_give_arrow(model: vaecli.Model, fresh_table: pd.DataFrame, scored: pd.DataFrame, tmp_path: Path):
    """A path, as text or as Path, or several."""
    fresh_table.to_csv(tmp_path / "all.csv", index=False)
    fresh_table[:200].to_csv(tmp_path / "a.csv", index=False)
    fresh_table[200:].to_csv(tmp_path / "b.csv", index=False)
    for table in (tmp_path / "all.csv", str(tmp_path / "all.csv"), [tmp_path / "a.csv", str(tmp_path / "b.csv")]):
        result = model.score(table)
        np.testing.assert_allclose(result["anomaly_score"].to_numpy(), scored["anomaly_score"], rtol=1e-5, atol=1e-5)


def test_arrays_are_tables_of_numbers():
    """A NumPy array (n, c) is fitted and scored; NaN is a missing cell; its columns are x0, x1, …"""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    model = vaecli.fit(rows, **TINY)
    assert [column.name for column in model.schema.features] == ["x0", "x1", "x2"]
    new = rng.normal(size=(50, 3))
    new[7, 1] = 60.0
    new[8, 1] = np.nan
    scores = model.score(new)["anomaly_score"].to_numpy()
    assert scores.argmax() in (7, 8)
    assert np.isfinite(scores).all()


def test_the_same_rows_score_the_same_from_the_command_line(
    model: vaecli.Model, bundle: Path, scored: pd.DataFrame, fresh_table: pd.DataFrame, tmp_path: Path
):
    """Python and the command line are one program."""
    fresh_table.to_csv(tmp_path / "new.csv", index=False)
    program = [sys.executable, "-m", "vaecli", "score", "new.csv", "-m", str(bundle), "--quiet"]
    subprocess.run(program, check=True, cwd=tmp_path)
    by_shell = pd.read_csv(tmp_path / "new.scored.csv")
    np.testing.assert_allclose(by_shell["anomaly_score"], scored["anomaly_score"], rtol=1e-5, atol=1e-5)


# -- fitting --------------------------------------------------------------------------------------


def test_settings_have_their_short_names(normal_table: pd.DataFrame):
    """`seed`, `exclude`, `id`, `threshold`, … mean what the flags mean; dotted names reach the rest."""
    model = vaecli.fit(
        normal_table,
        exclude="mode",
        id=["pump_on"],
        threshold=0.9,
        seed=3,
        score_kind="elbo",
        max_epochs=1,
        time_budget="5m",
        device="cpu",
        **TINY,
    )
    assert [column.name for column in model.schema.features] == ["pressure", "flow", "temperature"]
    assert (model.threshold, model.detector.score_kind) == (0.9, "elbo")
    train = model.settings["train"]
    assert (train["seed"], train["max_epochs"], train["time_budget_seconds"], train["device"]) == (3, 1, 300, "cpu")
    assert model.settings["heteroscedastic"]["n_hidden"] == 8


def test_the_environment_is_the_shells_affair(normal_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    """VAECLI_* variables do not reach into a Python program."""
    monkeypatch.setenv("VAECLI_SEED", "7")
    monkeypatch.setenv("VAECLI_THRESHOLD", "0.5")
    model = vaecli.fit(normal_table, **TINY)
    assert (model.settings["train"]["seed"], model.threshold) == (0, 0.99)


def test_the_same_seed_gives_the_same_model(normal_table: pd.DataFrame, fresh_table: pd.DataFrame):
    """Fitting is a function of table, settings and seed."""
    one, same, other = (vaecli.fit(normal_table, seed=seed, **TINY).score(fresh_table) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one["anomaly_score"].equals(other["anomaly_score"])


def test_a_fit_reports_its_progress(normal_table: pd.DataFrame):
    """`on_event` hears of every stage, with the ELBO while training."""
    events: list[Event] = []
    vaecli.fit(normal_table, on_event=events.append, **TINY)
    assert {event.stage for event in events} >= {"reading", "training", "calibrating"}
    training = [event for event in events if event.stage == "training"]
    assert training[-1].done == training[-1].total == 10
    assert {name for name, _ in training[-1].values} == {"elbo", "kl"}


def test_a_fit_reports(model: vaecli.Model):
    """`summary` is the report of the command line."""
    assert model.summary is not None
    assert model.summary.n_labelled_out == model.summary.n_excluded_by_label == 0
    assert (model.summary.n_rows, model.summary.n_members, model.summary.bundle) == (600, 8, "")
    assert model.summary.validation_elbo > model.summary.baseline_log_prob


# -- saving ---------------------------------------------------------------------------------------


def test_a_saved_model_is_the_same_model(model: vaecli.Model, scored: pd.DataFrame, fresh_table, tmp_path: Path):
    """Save, load, score: bit for bit what the fitted model gives; and saved again, the same bytes."""
    for path in (tmp_path / "a.vae", str(tmp_path / "b.vae")):
        model.save(path)
        loaded = vaecli.load(path)
        pd.testing.assert_frame_equal(loaded.score(fresh_table), scored)
        assert (loaded.schema, loaded.threshold, loaded.summary) == (model.schema, model.threshold, None)
        assert loaded.fit_report["n_rows"] == 600
    loaded.save(tmp_path / "again.vae")
    assert (tmp_path / "again.vae").read_bytes() == (tmp_path / "a.vae").read_bytes()


def test_score_in_one_call(bundle: Path, fresh_table: pd.DataFrame, scored: pd.DataFrame):
    """`vaecli.score(table, bundle)` is `load(bundle).score(table)`."""
    pd.testing.assert_frame_equal(vaecli.score(fresh_table, bundle), scored)


def test_a_model_cannot_be_changed(model: vaecli.Model):
    """A model is a value."""
    with pytest.raises(FrozenInstanceError):
        model.fit_report = {}  # type: ignore[misc]


# -- deciding -------------------------------------------------------------------------------------


def test_a_model_is_shown_in_one_line(model: vaecli.Model, bundle: Path):
    """A notebook shows what a model is, fitted or loaded, and not its arrays."""
    assert repr(model) == "<vaecli.Model of 5 columns: threshold 0.99, combined score>"
    assert repr(vaecli.load(bundle)) == repr(model) == f"{model}"


def test_decisions_are_settings(model: vaecli.Model, fresh_table: pd.DataFrame, scored: pd.DataFrame):
    """threshold, min_score, score_kind, prefix and batch_rows mean what the flags mean."""
    loose = model.score(fresh_table, threshold=0.5)
    assert (loose["is_anomaly"] == (scored["p_value"] <= 0.5)).all()
    limit = float(scored["anomaly_score"].quantile(0.9))
    assert (model.score(fresh_table, min_score=limit)["is_anomaly"] == (scored["anomaly_score"] >= limit)).all()
    assert not model.score(fresh_table, score_kind="elbo")["anomaly_score"].equals(scored["anomaly_score"])
    assert list(model.score(fresh_table, prefix="v_").columns[-3:]) == [f"v_{name}" for name in ADDED]
    pd.testing.assert_frame_equal(model.score(fresh_table.head(20), batch_rows=1), scored.head(20))


# -- mistakes -------------------------------------------------------------------------------------


def test_mistakes_raise_what_can_be_caught(model: vaecli.Model, fresh_table: pd.DataFrame, tmp_path: Path):
    """Every foreseen problem is a VaecliError with a message and a hint; nothing exits or prints."""
    for problem, expected, call in [
        (UsageError, "unknown settings: epochs", lambda: vaecli.fit(fresh_table, epochs=3)),
        (UsageError, "train.epochs: unknown setting", lambda: vaecli.fit(fresh_table, **{"train.epochs": 3})),
        (UsageError, "--threshold 99 is not strictly", lambda: vaecli.fit(fresh_table, threshold=99)),
        (UsageError, "did you mean 'flow'", lambda: vaecli.fit(fresh_table, exclude=["flw"])),
        (UsageError, "unknown settings: fail_on", lambda: model.score(fresh_table, fail_on="any")),
        (UsageError, "--threshold and --min-score", lambda: model.score(fresh_table, threshold=0.9, min_score=1)),
        (InputError, "frame: a column is missing", lambda: model.score(fresh_table.drop(columns="flow"))),
        (InputError, "'flow' holds", lambda: model.score(fresh_table.assign(flow=pd.Timestamp("2026-01-01")))),
        (InputError, "frame: a dict is not a table", lambda: model.score({})),
        (InputError, "frame: the array has 1 dimensions", lambda: vaecli.fit(np.zeros(9))),
        (InputError, "no such file", lambda: vaecli.fit(tmp_path / "no.csv")),
        (InputError, "frame: there are no rows", lambda: vaecli.fit(fresh_table.head(0))),
        (BundleError, "there is no such bundle", lambda: vaecli.load(tmp_path / "no.vae")),
        (UsageError, "no such directory", lambda: model.save(tmp_path / "no" / "m.vae")),
    ]:
        with pytest.raises(problem) as raised:
            call()
        assert expected in raised.value.message
        assert raised.value.hint
        assert isinstance(raised.value, vaecli.VaecliError)


def test_a_missing_column_is_caught_by_its_type(model: vaecli.Model, fresh_table: pd.DataFrame, tmp_path: Path):
    """A caller can find out what is wrong with a table by the type, and where by `path`, `line`, `row` and `column`."""
    with pytest.raises(SchemaMismatch) as missing:
        model.score(fresh_table.drop(columns="flow"))
    assert (missing.value.path, missing.value.column) == ("frame", "flow")
    with pytest.raises(SchemaMismatch) as mistyped:
        model.score(fresh_table.assign(flow=pd.Timestamp("2026-01-01")))
    assert (mistyped.value.path, mistyped.value.column) == ("frame", "flow")
    with pytest.raises(UnreadableCell) as cell:
        model.score(fresh_table.assign(flow=[*fresh_table["flow"][:499].map(str), "high"]))
    assert (cell.value.path, cell.value.row, cell.value.column) == ("frame", 500, "flow")

    lines = fresh_table.to_csv(index=False).splitlines()
    (tmp_path / "cell.csv").write_text("\n".join([*lines[:8], "high," * 4 + "eco", *lines[9:]]))
    with pytest.raises(UnreadableCell) as cell:
        model.score(tmp_path / "cell.csv")
    place = (cell.value.path, cell.value.line, cell.value.column)
    assert place == (str(tmp_path / "cell.csv"), 9, "flow")
    (tmp_path / "short.csv").write_text("\n".join([*lines[:8], "1,2"]))
    with pytest.raises(MalformedText) as short:
        model.score(tmp_path / "short.csv")
    assert (short.value.path, short.value.line) == (str(tmp_path / "short.csv"), 9)
    with pytest.raises(UnreadableFile) as gone:
        model.score(tmp_path / "no.csv")
    assert gone.value.path == str(tmp_path / "no.csv")
    with pytest.raises(BundleError) as bundle:
        vaecli.load(tmp_path / "no.vae")
    assert bundle.value.path == str(tmp_path / "no.vae")


def test_an_error_shows_its_hint():
    """`str` of an error, which a traceback and a log show, holds the hint; every error is one of the tree."""
    assert (
        str(InputError("a.csv: the file is empty", "name the columns"))
        == "a.csv: the file is empty\nhint: name the columns"
    )
    assert str(InputError("a.csv: the file is empty")) == "a.csv: the file is empty"
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__)) | {"VaecliError"}
    assert drawn == {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every public function and method of `vaecli.api` has an example, and each gives what it shows."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    Path("sample_data").symlink_to(Path(__file__).parent.parent / "sample_data")
    examples = [test for test in doctest.DocTestFinder().find(api, globs={"vaecli": vaecli}) if test.examples]
    things = {name: value for name, value in vars(api).items() if getattr(value, "__module__", "") == api.__name__}
    things |= {
        f"Model.{name}": value
        for name, value in vars(vaecli.Model).items()
        if isinstance(value, FunctionType | property)
    }
    public = {name for name in things if not name.rpartition(".")[2].startswith("_")}
    assert {test.name.removeprefix("vaecli.api.") for test in examples} == public
    runner = doctest.DocTestRunner()
    for test in sorted(examples, key=lambda test: not test.name.endswith(".fit")):  # the fit saves what others load
        assert runner.run(test).failed == 0, test.name


# -- the other verbs ------------------------------------------------------------------------------


def as_file(run: str, bundle: Path, fresh_table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """What the command line writes for the fresh rows."""
    fresh_table.to_parquet(folder / "fresh.parquet", index=False)
    words = run.format(F=folder / "fresh.parquet", M=bundle, O=folder / "out.parquet").split()
    with pytest.raises(SystemExit) as left:
        main([*words, "--quiet"])
    assert not left.value.code
    return pq.read_table(folder / "out.parquet").to_pandas()


def test_python_explains_as_the_command_line(model, bundle, fresh_table, tmp_path):
    """A line per reason of the flagged rows; `rows` names others, and those beyond the table are refused."""
    expected = as_file("explain {F} -m {M} -o {O} --threshold 0.95", bundle, fresh_table, tmp_path)
    pd.testing.assert_frame_equal(model.explain(fresh_table, threshold=0.95).to_pandas(), expected)
    assert set(model.explain(fresh_table, rows=(3, 5), top=1)["row"].to_pylist()) == {3, 5}
    with pytest.raises(UsageError, match="501"):
        model.explain(fresh_table, rows=(501,))


def test_python_evaluates_as_the_command_line(model, bundle, fresh_table, tmp_path):
    """Every figure with its interval is that of `vaecli evaluate`."""
    labelled = fresh_table.assign(fault=np.arange(500) % 7 == 0)
    expected = as_file("evaluate {F} -m {M} -o {O} --label fault", bundle, labelled, tmp_path)
    found = model.evaluate(labelled, label="fault")
    assert (found.rows, found.anomalies, found.label) == (500, 72, "fault")
    figures = {one.metric: (one.value, one.low, one.high) for one in found.overall.figures}
    assert figures == {line.metric: (line.value, line.low, line.high) for line in expected.itertuples()}
    with pytest.raises(UsageError, match="no column is named"):
        model.evaluate(labelled)


def test_python_encodes_as_the_command_line(model, bundle, fresh_table, tmp_path):
    """Coordinates with the index of the frame, and with `keep` after its columns."""
    expected = as_file("encode {F} -m {M} -o {O} --dims 2 --spreads", bundle, fresh_table, tmp_path)
    named = fresh_table.set_index(pd.Index([f"row {i}" for i in range(500)]))
    codes = model.encode(named, dims=2, spreads=True)
    assert list(codes.columns) == ["map1", "map2", "map1_spread", "map2_spread"]
    np.testing.assert_array_equal(codes.to_numpy(), expected[codes.columns].to_numpy())
    pd.testing.assert_index_equal(codes.index, named.index)
    kept = model.encode(named, keep=True, prefix="my_")
    assert list(kept.columns) == [*named.columns, "my_z1", "my_z2", "my_z3"]
    assert model.encode(pa.Table.from_pandas(fresh_table)).column_names == ["row", "z1", "z2", "z3"]


def test_python_reconstructs_as_the_command_line(model, bundle, fresh_table, tmp_path):
    """Cells as the model expects them; with `impute` those that are there stay."""
    expected = as_file("reconstruct {F} -m {M} -o {O}", bundle, fresh_table, tmp_path)
    pd.testing.assert_frame_equal(model.reconstruct(fresh_table), expected, check_dtype=False)
    filled = model.reconstruct(fresh_table, impute=True)
    there = fresh_table["temperature"].notna()
    assert filled["temperature"].notna().all()
    pd.testing.assert_series_equal(filled["temperature"][there], fresh_table["temperature"][there])
    pd.testing.assert_frame_equal(filled.drop(columns="temperature"), fresh_table.drop(columns="temperature"))


def test_python_reports_as_the_command_line(model, bundle, fresh_table, tmp_path, monkeypatch):
    """The page of a frame is that of its file but for the names of table and model, and the version of a bundle."""
    monkeypatch.chdir(tmp_path)
    fresh_table.to_parquet("fresh.parquet", index=False)
    with pytest.raises(SystemExit) as left:
        main(["report", "fresh.parquet", "-m", str(bundle), "-o", "shell.html", "--threshold", "0.95", "--quiet"])
    assert not left.value.code
    expected = Path("shell.html").read_text()
    found = model.report(fresh_table, "python.html", table_name="fresh.parquet", model_name=str(bundle), threshold=0.95)
    page = Path("python.html").read_text()
    assert (found.output, found.bundle, found.rows) == ("python.html", str(bundle), 500)
    assert found.size_bytes == len(page.encode())
    assert expected.count(version := f"<tr><td>vaecli</td><td><bdi>{vaecli.__version__}</bdi></td></tr>") == 1
    assert page == expected.replace(version, "")


def test_python_reports_series_as_the_command_line(tmp_path, monkeypatch):
    """A model of series, whose table is read twice: from a frame as from its file."""
    golden = Path(__file__).parent / "golden/sensors_v11"
    monkeypatch.chdir(tmp_path)
    words = ["report", str(golden / "rows.csv"), "-m", str(golden / "model.vae"), "-o", "shell.html", "--quiet"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--merge-gap", "3"])
    assert not left.value.code
    found = vaecli.load(golden / "model.vae").report(
        golden / "rows.csv", "python.html", model_name=str(golden / "model.vae"), merge_gap=3
    )
    page, expected = Path("python.html").read_text(), Path("shell.html").read_text()
    assert (found.output, found.size_bytes) == ("python.html", len(page.encode()))
    assert page == re.sub(r"<tr><td>vaecli</td>.*?</tr>", "", expected)


def test_a_report_names_what_is_in_memory(model, fresh_table, tmp_path):
    """Without names the page calls table and model by what they are; its own input is never overwritten."""
    model.report(fresh_table, tmp_path / "page.html", table_name="pump <7>")
    page = (tmp_path / "page.html").read_text()
    assert "pump &lt;7&gt;" in page
    assert "a model in Python" in page
    fresh_table.to_csv(tmp_path / "fresh.csv", index=False)
    with pytest.raises(UsageError, match="is the input itself"):
        model.report(tmp_path / "fresh.csv", tmp_path / "fresh.csv")
    with pytest.raises(UsageError, match="no such directory"):
        model.report(fresh_table, tmp_path / "no" / "page.html")


@pytest.mark.parametrize("verb", ["check", "explain", "evaluate", "encode", "reconstruct"])
def test_unknown_settings_are_named(model, fresh_table, verb: str):
    """A setting of another verb is refused, with those that there are."""
    with pytest.raises(UsageError, match="unknown settings: plot") as problem:
        getattr(model, verb)(fresh_table, plot="a.png")
    assert "workers" in problem.value.hint


def test_unknown_settings_of_a_report_are_named(model, fresh_table, tmp_path):
    """The same for the verb that writes."""
    with pytest.raises(UsageError, match="unknown settings: plot") as problem:
        model.report(fresh_table, tmp_path / "page.html", plot="a.png")
    assert "image_shape" in problem.value.hint
    assert not (tmp_path / "page.html").exists()


# -- the public face ------------------------------------------------------------------------------


def test_the_public_face_is_lazy():
    """`dir(vaecli)` lists the public names without loading their modules."""
    probe = (
        "import sys, vaecli\n"
        "names = dir(vaecli)\n"
        "assert names == ['Model', 'Schema', 'VaecliError', '__version__', 'fit', 'load', 'mark', 'score'], names\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'pandas', 'sklearn'}\n"
        "assert not heavy & set(sys.modules)\n"
        "vaecli.load\n"
        "assert 'numpy' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_scoring_in_python_loads_no_torch(bundle: Path, fresh_table: pd.DataFrame, tmp_path: Path):
    """`vaecli.load(...).score(path)` needs neither torch nor scikit-learn, nor what series, text and fits need."""
    fresh_table.to_csv(tmp_path / "new.csv", index=False)
    probe = (
        "import sys, vaecli\n"
        f"assert vaecli.load({str(bundle)!r}).score({str(tmp_path / 'new.csv')!r}).num_rows == 500\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pyarrow.parquet'} & set(sys.modules)\n"
        "others = ('config.fit', 'data.strings.', 'latent', 'sensors', 'tables.infer', 'tasks.incidents', 'training')\n"
        "assert not [name for name in sys.modules if name.startswith(tuple(f'vaecli.{one}' for one in others))]\n"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_a_date_among_the_features_is_warned_of(normal_table: pd.DataFrame):
    """A date that is no clock is modelled, and the fit reports what that means for later dates."""
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.random.default_rng(0).permutation(len(normal_table)), "D")
    model = vaecli.fit(
        normal_table.assign(built=days),
        **{"train.max_steps": 20, "heteroscedastic.n_hidden": 8, "homoscedastic.n_hidden": 8},
    )
    assert any("modelled as a date: built" in warning for warning in model.summary.warnings)


# -- new rows -------------------------------------------------------------------------------------


def test_new_rows_are_those_of_the_command_line(model: vaecli.Model, bundle: Path, tmp_path: Path):
    """`Model.sample` gives the Arrow table that `vaecli sample` writes as Parquet, row for row."""
    from vaecli.config import sample_config
    from vaecli.workflows.sample import sample

    sample(bundle, str(tmp_path / "new.parquet"), sample_config({"rows": 700, "seed": 3}, {}))
    found = model.sample(700, seed=3)
    assert found.equals(pq.read_table(tmp_path / "new.parquet"))
    assert found.column_names == [column.name for column in model.schema.features]


def test_new_rows_around_a_frame(model: vaecli.Model, fresh_table: pd.DataFrame):
    """`like` takes what `score` takes, and gives `n_rows` for each of its rows."""
    around = model.sample(50, like=fresh_table[:4]).to_pandas()
    means = around["pressure"].to_numpy().reshape(4, 50).mean(1)
    np.testing.assert_allclose(means, fresh_table["pressure"][:4], atol=0.6)
    with pytest.raises(InputError, match="a column is missing"):
        model.sample(like=fresh_table.drop(columns="flow"))
    with pytest.raises(UsageError, match="0 is not between 1"):
        model.sample(0)
