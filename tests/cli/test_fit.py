"""`vaecli fit` on real tables: what each option promises, seen from outside."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import vaecli
from vaecli.bundle import read_bundle
from vaecli.training.checkpoint import Checkpoint
from vaecli.workflows import fit as workflow

FEATURES = ["pressure", "flow", "temperature", "pump_on", "mode"]


@pytest.fixture
def table(normal_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The normal rows, in the current directory as normal.csv."""
    normal_table.to_csv(tmp_path / "normal.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return normal_table.copy()


@pytest.fixture
def fit(run, quick: Path) -> Callable[..., dict]:
    """Fit quickly, and return the summary: `fit("normal.csv", "--seed", "3")`."""

    def fit_words(*words: str) -> dict:
        done = run("fit", *words, "--config", str(quick), "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    return fit_words


def roles(summary: dict) -> dict[str, str]:
    return {column["name"]: column["role"] for column in summary["columns"]}


def columns_with(summary: dict, role: str) -> list[str]:
    return [name for name, its in roles(summary).items() if its == role]


# -- what comes out -------------------------------------------------------------------------------


def test_a_fit_leaves_one_bundle_and_nothing_else(fit, table, tmp_path: Path):
    """model.vae appears in the current directory, without a checkpoint or a temporary file."""
    assert fit("normal.csv")["bundle"] == "model.vae"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.vae", "normal.csv"]


def test_output_names_the_bundle(fit, table, tmp_path: Path):
    """-o names the output; an earlier file there is replaced."""
    (tmp_path / "pump.vae").write_bytes(b"earlier")
    assert fit("normal.csv", "-o", "pump.vae")["bundle"] == "pump.vae"
    assert vaecli.load("pump.vae").schema.n_rows == 600
    assert not (tmp_path / "model.vae").exists()


def test_the_variable_names_the_bundle(fit, table, monkeypatch: pytest.MonkeyPatch):
    """VAECLI_MODEL is where the bundle goes when -o is not given."""
    monkeypatch.setenv("VAECLI_MODEL", "named.vae")
    fit("normal.csv")
    assert vaecli.load("named.vae").schema.n_rows == 600


def test_the_summary_for_people(run, quick: Path, table):
    """Rows, columns by kind, what was left out and why, the model, the threshold, where the bundle is, what next."""
    table["serial"] = [f"pump-{i}" for i in range(len(table))]
    table["site"] = "north"
    table.to_csv("normal.csv", index=False)
    done = run("fit", "normal.csv", "--config", str(quick))
    said = re.sub(r"\s+", " ", done.out)
    assert "rows 600 used" in said
    assert "5 of 7 modelled: 3 numeric, 1 boolean, 1 categorical" in said
    assert "serial: every value is different, so it names the row" in said
    assert "site: every row has the same value" in said
    assert "6 networks, 12 steps; ELBO" in said
    assert "independent columns" in said
    assert "0.99 flags rows more unusual than 99 % of normal rows: about 1 in 100 normal rows" in said
    assert "vaecli score NEW_TABLE -m model.vae" in said
    assert done.err == ""


def test_json_has_the_same_for_programs(fit, table):
    """--json: one strict JSON object with a version and every figure of the page."""
    summary = fit("normal.csv", "--threshold", "0.9")
    assert (summary["schema_version"], summary["verb"], summary["n_rows"]) == (2, "fit", 600)
    assert (summary["n_members"], summary["n_steps"], summary["threshold"]) == (6, 12, 0.9)
    assert summary["min_score"] > 0
    assert columns_with(summary, "feature") == FEATURES


def test_verbose_reports_each_stage(run, quick: Path, table):
    """--verbose: reading, training with its ELBO, calibrating, on standard error."""
    done = run("fit", "normal.csv", "--config", str(quick), "--verbose", "--json")
    for stage in ("reading", "training", "calibrating", "elbo"):
        assert stage in done.err
    assert json.loads(done.out)["verb"] == "fit"


# -- columns --------------------------------------------------------------------------------------


def test_columns_chooses(fit, table):
    """--columns: these are modelled, in file order, and no others."""
    summary = fit("normal.csv", "--columns", "mode,pressure")
    assert columns_with(summary, "feature") == ["pressure", "mode"]
    assert [column.name for column in vaecli.load("model.vae").schema.features] == ["pressure", "mode"]


def test_columns_overrules_advice(fit, table):
    """A column that looks like an identifier is modelled when --columns names it."""
    table["n"] = np.arange(600)
    table.to_csv("normal.csv", index=False)
    assert columns_with(fit("normal.csv"), "key") == ["n"]
    assert columns_with(fit("normal.csv", "--columns", "n,flow"), "feature") == ["flow", "n"]


def test_exclude_leaves_out(fit, table):
    """--exclude: these are not modelled, and the reason is that you asked."""
    summary = fit("normal.csv", "--exclude", "mode", "--exclude", "flow,pump_on")
    assert columns_with(summary, "feature") == ["pressure", "temperature"]
    assert {column["reason"] for column in summary["columns"] if column["role"] == "ignored"} == {"you asked"}


def test_label_keeps_anomalies_out_of_training(fit, table):
    """--label: marked rows teach nothing, and the label is no feature."""
    table["state"] = np.where(np.arange(600) % 10 == 3, "fault", "ok")
    table.loc[table["state"] == "fault", "pressure"] = 1e6
    table.to_csv("labelled.csv", index=False)
    table[table["state"] == "ok"].drop(columns="state").to_csv("normal.csv", index=False)
    summary = fit("labelled.csv", "--label", "state", "-o", "labelled.vae")
    assert (summary["n_rows"], summary["n_excluded_by_label"]) == (540, 60)
    assert roles(summary)["state"] == "label"
    fit("normal.csv")
    one, other = vaecli.load("labelled.vae").score("normal.csv"), vaecli.load("model.vae").score("normal.csv")
    assert one["anomaly_score"].equals(other["anomaly_score"])


def test_id_is_no_feature(fit, table):
    """--id: the column names rows and is not modelled."""
    summary = fit("normal.csv", "--id", "mode")
    assert roles(summary)["mode"] == "key"
    assert columns_with(summary, "feature") == FEATURES[:4]


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The fold of each row, for every fit of the test."""
    seen: list[np.ndarray] = []

    def spy(*arguments: object) -> object:
        normal = read_normal_rows(*arguments)  # type: ignore[arg-type]
        seen.append(normal.rows.sample(normal.rows.n_rows, 0).fold)
        return normal

    read_normal_rows = workflow.read_normal_rows
    monkeypatch.setattr(workflow, "read_normal_rows", spy)
    return seen


def test_time_keeps_neighbours_together(fit, table, folds: list[np.ndarray]):
    """--time: rows are held out in stretches of time, however the file orders them."""
    moment = np.random.default_rng(0).permutation(600)
    table["at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(moment, "h")
    table.to_csv("normal.csv", index=False)
    summary = fit("normal.csv", "--time", "at")
    fit("normal.csv", "--exclude", "at")
    in_time, at_random = (np.count_nonzero(np.diff(fold[np.argsort(moment)])) for fold in folds)
    assert in_time < 15 < 300 < at_random
    assert roles(summary)["at"] == "time"


def test_group_keeps_groups_together(fit, table, folds: list[np.ndarray]):
    """--group: all rows of a machine are held out together, and the column is no feature."""
    table["machine"] = [f"m{i % 12}" for i in range(600)]
    table.to_csv("normal.csv", index=False)
    summary = fit("normal.csv", "--group", "machine")
    fit("normal.csv", "--exclude", "machine")
    grouped, at_random = (pd.Series(fold).groupby(table["machine"].to_numpy()).nunique() for fold in folds)
    assert set(grouped) == {1}
    assert at_random.max() == 3
    assert roles(summary)["machine"] == "group"


# -- decision and training ------------------------------------------------------------------------


def test_threshold_becomes_the_default(fit, run, table):
    """--threshold is what `score` flags by unless given another."""
    low, high = fit("normal.csv", "--threshold", "0.9", "-o", "a.vae"), fit("normal.csv", "-o", "b.vae")
    assert (low["threshold"], high["threshold"]) == (0.9, 0.99)
    assert low["min_score"] < high["min_score"]
    flagged = [
        json.loads(run("score", "normal.csv", "-m", f"{name}.vae", "-o", "o.csv", "--json").out) for name in "ab"
    ]
    assert [summary["threshold"] for summary in flagged] == [0.9, 0.99]
    assert flagged[0]["anomalies"] > 4 * flagged[1]["anomalies"] > 0


def test_score_kind_becomes_the_default(fit, table):
    """--score-kind is what `score` scores by unless given another."""
    assert fit("normal.csv", "--score-kind", "reconstruction")["score_kind"] == "reconstruction"
    model = vaecli.load("model.vae")
    default = model.score("normal.csv")["anomaly_score"]
    assert default.equals(model.score("normal.csv", score_kind="reconstruction")["anomaly_score"])
    assert not default.equals(model.score("normal.csv", score_kind="elbo")["anomaly_score"])


def test_a_seed_names_a_bundle(fit, table, tmp_path: Path):
    """The same seed and input give the same bytes; another seed gives others. Nothing given is 0."""
    for name, seed in {"a": ["--seed", "0"], "b": [], "c": ["--seed", "1"]}.items():
        fit("normal.csv", "-o", f"{name}.vae", *seed)
    a, b, c = ((tmp_path / f"{name}.vae").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_the_number_of_cores_does_not_show(tmp_path: Path):
    """A fit with exemplars and centres gives the same bytes on one core as on all."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 3)) @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(3000, 12))
    pd.DataFrame(values).to_csv(tmp_path / "normal.csv", index=False)
    few = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
    fit = "import sys; from vaecli.cli.app import main; main(sys.argv[1:])"
    words = [tmp_path / "normal.csv", "--preset", "fast", "--max-epochs", "1", "-q"]
    for name, code in (("one", few + fit), ("all", fit)):
        subprocess.run([sys.executable, "-c", code, "fit", *words, "-o", tmp_path / name], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "all").read_bytes()


def test_preset_sets_the_sizes(run, table):
    """--preset chooses what the settings file leaves open."""
    Path("short.toml").write_text("[train]\nmax_steps = 5\n[calibration]\nn_folds = 2\n")
    for preset in ("fast", "best"):
        line = f"fit normal.csv --config short.toml --preset {preset} -o {preset}.vae -q"
        assert run(*line.split()).code == 0
    fast, best = (vaecli.load(f"{preset}.vae").settings for preset in ("fast", "best"))
    assert fast["model"]["n_noise"] < best["model"]["n_noise"]
    assert fast["heteroscedastic"]["n_hidden"] < best["heteroscedastic"]["n_hidden"]
    assert fast["train"]["max_steps"] == best["train"]["max_steps"] == 5


def test_a_setting_keeps_its_former_name(run, table):
    """`model.crossed_below` in a file works, with one warning line and a bundle that is the same to the byte."""
    bundles = []
    for name in ("crossed_below", "full_crossfit_below"):
        Path("short.toml").write_text(f"[model]\n{name} = 0\n[train]\nmax_steps = 5\n")
        done = run("fit", "normal.csv", "--config", "short.toml", "-o", "m.vae")
        assert done.code == 0
        warned = [line for line in done.err.splitlines() if "full_crossfit_below" in line]
        assert warned == (["warning: model.crossed_below is now called model.full_crossfit_below"] * (not bundles))
        bundles.append(Path("m.vae").read_bytes())
    assert bundles[0] == bundles[1]
    assert b'"crossed_below"' in bundles[0]  # bundles keep the name that they began with
    inspected = json.loads(run("inspect", "m.vae", "--json").out)
    assert inspected["config"]["model"]["full_crossfit_below"] == inspected["config"]["model"]["crossed_below"] == 0
    assert inspected["fit"]["n_excluded_by_label"] == inspected["fit"]["n_labelled_out"] == 0


def test_max_epochs_bounds_the_steps(fit, table):
    """--max-epochs 1: every row is seen once, 600 rows in three batches."""
    assert fit("normal.csv", "--max-epochs", "1")["n_steps"] == 3


def test_time_budget_ends_training(fit, table):
    """--time-budget: training stops when it is spent, with a bundle that scores."""
    assert fit("normal.csv", "--time-budget", "0.001s")["n_steps"] < 10
    assert vaecli.load("model.vae").score("normal.csv").num_rows == 600


def test_config_is_below_the_environment_and_flags(run, table, quick: Path, monkeypatch: pytest.MonkeyPatch):
    """Defaults < --config < VAECLI_* < flags."""
    Path("s.toml").write_text(quick.read_text().replace("[train]\n", "[train]\nseed = 4\nlearning_rate = 0.001\n"))

    def train_settings(*words: str) -> dict:
        assert run("fit", "normal.csv", "--config", "s.toml", "--max-epochs", "1", *words).code == 0
        return vaecli.load("model.vae").settings["train"]

    assert (train_settings()["seed"], train_settings()["learning_rate"]) == (4, 0.001)
    monkeypatch.setenv("VAECLI_SEED", "5")
    assert train_settings()["seed"] == 5
    assert train_settings("--seed", "6")["seed"] == 6


# -- inputs ---------------------------------------------------------------------------------------


def test_the_same_table_in_any_format_gives_the_same_bundle(fit, table, tmp_path: Path, monkeypatch):
    """CSV, TSV, gzip, zstd, several files, a pattern, a pipe: the same bytes come out.

    So they do of Parquet and of a folder of it; but for the types of its columns, which only Parquet has, all of it
    is what comes out of text.
    """
    whole = pa.Table.from_pandas(table, preserve_index=False)
    table.to_csv("a.tsv", index=False, sep="\t")
    Path("a.csv.gz").write_bytes(gzip.compress(Path("normal.csv").read_bytes()))
    with pa.CompressedOutputStream("a.csv.zst", "zstd") as file:
        file.write(Path("normal.csv").read_bytes())
    pq.write_table(whole, "a.parquet", row_group_size=100)
    Path("parts").mkdir()
    for i in range(3):
        table[200 * i : 200 * i + 200].to_csv(f"part{i}.csv", index=False)
        pq.write_table(whole.slice(200 * i, 200), f"parts/{i}.parquet")
    inputs = {
        "csv": ["normal.csv"],
        "tsv": ["a.tsv"],
        "gzip": ["a.csv.gz"],
        "zstd": ["a.csv.zst"],
        "parquet": ["a.parquet"],
        "files": ["part0.csv", "part1.csv", "part2.csv"],
        "pattern": ["part*.csv"],
        "folder": ["parts"],
        "pipe": ["-"],
    }
    with open("normal.csv") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        for name, words in inputs.items():
            fit(*words, "-o", f"{name}.vae")
    content = {name: (tmp_path / f"{name}.vae").read_bytes() for name in inputs}
    typed = {name: content.pop(name) for name in ("parquet", "folder")}
    assert [name for name, other in content.items() if other != content["csv"]] == []
    assert typed["parquet"] == typed["folder"]
    (of_text, arrays), (of_types, same) = (read_bundle(tmp_path / f"{name}.vae") for name in ("csv", "parquet"))
    assert arrays.keys() == same.keys()
    assert [name for name, array in arrays.items() if not np.array_equal(array, same[name], equal_nan=True)] == []
    assert of_text.schema_fingerprint == of_types.schema_fingerprint


# -- interruptions --------------------------------------------------------------------------------

# a fit that leaves a checkpoint after every step, and stands still after the fifth
STALLING = """
import sys, time
import vaecli.training.schedule
from vaecli.training.checkpoint import Checkpoint
from vaecli.cli.app import main
vaecli.training.schedule.SECONDS_BETWEEN_CHECKPOINTS = 0
save = Checkpoint.save
def save_and_stall(self, path):
    save(self, path)
    if self.progress["step"] == 5:
        print("stalled", file=sys.stderr, flush=True)
        time.sleep(60)
Checkpoint.save = save_and_stall
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_killed_fit_resumes(fit, table, quick: Path, tmp_path: Path, sent: signal.Signals, code: int):
    """A signal leaves a checkpoint; --resume goes on from it to the very bundle that was to be, and removes it."""
    fit("normal.csv", "-o", "whole.vae")
    words = ["fit", "normal.csv", "-o", "model.vae", "--config", str(quick)]
    with subprocess.Popen([sys.executable, "-c", STALLING, *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "stalled\n"
        process.send_signal(sent)
        process.wait()
    assert process.returncode == code
    names = ["model.vae.checkpoint", "normal.csv", "whole.vae"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names

    assert fit("normal.csv", "--resume")["n_steps"] == 12
    assert (tmp_path / "model.vae").read_bytes() == (tmp_path / "whole.vae").read_bytes()
    assert not (tmp_path / "model.vae.checkpoint").exists()


@pytest.fixture
def interrupted(run, quick: Path, table, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fit that was interrupted at step 8, in this process; its checkpoint."""

    def save_and_stop(self: Checkpoint, path: Path) -> None:
        save(self, path)
        if self.progress["step"] == 8:
            raise KeyboardInterrupt

    save = Checkpoint.save
    with monkeypatch.context() as patch:
        patch.setattr("vaecli.training.schedule.SECONDS_BETWEEN_CHECKPOINTS", 0)
        patch.setattr(Checkpoint, "save", save_and_stop)
        done = run("fit", "normal.csv", "--config", str(quick))
    assert done.code == 130
    assert "--resume" in done.err
    return Path("model.vae.checkpoint")


def test_resuming_starts_where_it_was_left(run, quick: Path, interrupted: Path):
    """--resume repeats no step that was done."""
    done = run("fit", "normal.csv", "--config", str(quick), "--resume", "--verbose", "--json")
    steps = [int(step) for step in re.findall(r"training\D+(\d+)", done.err)]
    assert min(steps) > 8
    assert json.loads(done.out)["n_steps"] == 12


def test_without_resume_a_checkpoint_is_forgotten(fit, table, interrupted: Path):
    """A fit without --resume starts anew, and leaves no checkpoint either."""
    fit("normal.csv")
    fit("normal.csv", "-o", "whole.vae")
    assert Path("model.vae").read_bytes() == Path("whole.vae").read_bytes()
    assert not interrupted.exists()


def test_resume_without_a_checkpoint_just_fits(fit, table):
    """A job may always pass --resume."""
    fit("normal.csv", "--resume", "-o", "a.vae")
    fit("normal.csv", "-o", "b.vae")
    assert Path("a.vae").read_bytes() == Path("b.vae").read_bytes()


@pytest.mark.parametrize("other", ["table", "seed"])
def test_resume_of_another_fit_is_refused(run, quick: Path, table, interrupted: Path, other: str):
    """A checkpoint goes on with the same table and settings only; it stays for whoever has them."""
    before = interrupted.read_bytes()
    if other == "table":
        table.assign(flow=table["flow"] + 1).to_csv("normal.csv", index=False)
    words = ["--seed", "1"] if other == "seed" else []
    done = run("fit", "normal.csv", "--config", str(quick), "--resume", *words)
    assert done.code == 5
    assert (
        "model.vae.checkpoint: the checkpoint belongs to a fit of another table, with other settings or by another"
        in done.err
    )
    assert interrupted.read_bytes() == before
    assert not Path("model.vae").exists()


def test_the_bundle_keeps_how_it_was_learned(run, quick: Path, normal_csv: Path, tmp_path: Path):
    """The checks of the training, in --json of fit and inspect."""
    bundle = tmp_path / "model.vae"
    fitted = json.loads(run("fit", str(normal_csv), "-o", str(bundle), "--config", str(quick), "--json").out)
    kept = json.loads(run("inspect", str(bundle), "--json").out)["fit"]
    assert kept["history"] == fitted["history"]
    assert fitted["validation_elbo"] in [check["elbo"] for check in fitted["history"]]
    assert [check["step"] for check in fitted["history"]] == list(range(1, 13))
