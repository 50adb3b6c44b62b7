"""`vaecli score` on real tables: what each option promises, seen from outside."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

import vaecli
from vaecli.config import SCORE_KINDS
from vaecli.model import tiles
from vaecli.results import FlaggedRow, Reason
from vaecli.tasks.reasons import top_columns

ADDED = ["anomaly_score", "p_value", "is_anomaly"]
PROGRAM = [sys.executable, "-m", "vaecli"]


@pytest.fixture
def fresh(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Fresh normal rows as fresh.csv and a few anomalous ones among them, beside a bundle, in the current directory."""
    table = fresh_table.copy()
    table.loc[16, ["pressure", "flow"]] = 9.0, 20.0
    table.loc[99, "temperature"] = 900.0
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "fresh.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return table


@pytest.fixture
def score(run) -> Callable[..., pd.DataFrame]:
    """Score quietly into out.csv, or what -o names, and return it: `score("fresh.csv", "--threshold", "0.9")`."""

    def score_words(*words: str) -> pd.DataFrame:
        target = words[words.index("-o") + 1] if "-o" in words else "out.csv"
        done = run("score", *words, "--quiet", *([] if "-o" in words else ["-o", target]))
        assert (done.code, done.out, done.err) == (0, "", "")
        return read(target)

    return score_words


def read(path: str | Path) -> pd.DataFrame:
    name = str(path)
    if ".parquet" in name:
        return pq.read_table(name).to_pandas()
    with pa.input_stream(name) as stream:  # unpacks by the extension; pandas needs one more package for zstd
        return pd.read_csv(io.BytesIO(stream.read()), sep="\t" if ".tsv" in name else ",")


def lines_of(path: str) -> list[bytes]:
    return Path(path).read_bytes().splitlines(keepends=True)


def strict_json(text: str) -> dict:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


# -- where the output goes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("fresh.csv", "fresh.scored.csv"),
        ("data/a.b.csv.gz", "data/a.b.scored.csv.gz"),
        ("a.tsv", "a.scored.tsv"),
        ("a.csv.zst", "a.scored.csv.zst"),
        ("a.parquet", "a.scored.parquet"),
        ("table", "table.scored"),
        ("parts", "parts.scored.parquet"),
    ],
)
def test_the_output_is_named_after_the_input(run, fresh, given: str, made: str):
    """Without -o the output lies beside the input, with its extension, and holds every row."""
    write(fresh, given)
    done = run("score", given, "--json")
    assert (done.code, done.err) == (0, "")
    assert strict_json(done.out)["output"] == made
    assert len(read(made)) == 500


def write(table: pd.DataFrame, name: str) -> None:
    """A table in the format and compression of its name; `parts` is a folder."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    if path.suffix == ".parquet":
        pq.write_table(arrow, path, row_group_size=200)
    elif name == "parts":
        path.mkdir()
        for i in range(5):
            pq.write_table(arrow.slice(100 * i, 100), path / f"{i}.parquet")
    else:
        text = table.to_csv(None, index=False, sep="\t" if ".tsv" in name else ",").encode()
        path.write_bytes(packed(text, path.suffix))


def packed(text: bytes, extension: str) -> bytes:
    if extension == ".gz":
        return gzip.compress(text)
    return pa.Codec("zstd").compress(text, asbytes=True) if extension == ".zst" else text


def test_output_names_the_table(run, fresh):
    """-o names the output; an earlier file there is replaced, and running again gives the same bytes."""
    Path("flagged.csv").write_bytes(b"earlier")
    assert run("score", "fresh.csv", "-o", "flagged.csv").code == 0
    once = Path("flagged.csv").read_bytes()
    assert run("score", "fresh.csv", "-o", "flagged.csv").code == 0
    assert Path("flagged.csv").read_bytes() == once
    assert once.startswith(b"pressure,")
    assert sorted(path.name for path in Path().iterdir()) == ["flagged.csv", "fresh.csv", "model.vae"]


def test_a_dash_is_standard_output(fresh):
    """-o - writes the rows to standard output and the summary beside it, to standard error."""
    done = subprocess.run([*PROGRAM, "score", "fresh.csv", "-o", "-"], capture_output=True, check=True)
    assert subprocess.run([*PROGRAM, "score", "fresh.csv"], check=True, capture_output=True).stderr == b""
    assert done.stdout == Path("fresh.scored.csv").read_bytes()
    assert b"flagged" in done.stderr


@pytest.mark.parametrize("name", ["fresh.csv", "a.csv.gz", "a.parquet"])
def test_a_pipe_in_is_a_pipe_out(fresh, score, name: str):
    """`vaecli score -` reads a table from a pipe, whatever its format, and writes CSV to the next."""
    write(fresh, name)
    expected = score("fresh.csv")
    with open(name, "rb") as pipe:
        done = subprocess.run([*PROGRAM, "score", "-", "--quiet"], stdin=pipe, capture_output=True, check=True)
    assert done.stderr == b""
    assert_same_scores(pd.read_csv(io.BytesIO(done.stdout)), expected)


def test_the_variable_names_the_bundle(score, fresh, monkeypatch: pytest.MonkeyPatch):
    """VAECLI_MODEL is the bundle when -m is not given; -m goes before it."""
    Path("model.vae").rename("pump.vae")
    monkeypatch.setenv("VAECLI_MODEL", "pump.vae")
    expected = score("fresh.csv")
    monkeypatch.setenv("VAECLI_MODEL", "no.vae")
    assert_same_scores(score("fresh.csv", "-m", "pump.vae"), expected)


# -- what is in it --------------------------------------------------------------------------------


def test_the_users_bytes_pass_through(run, fresh):
    """Every line of the input stands unchanged at the start of its line of the output: quotes, spaces, CRLF, BOM."""
    rows = [
        f'{row.flow}, {row.temperature},"a ""b"", c",{row.pressure:+e},007,{row.pump_on},"{row.mode}"'
        for row in fresh.itertuples()
    ]
    text = "\r\n".join(["\ufeffflow,temperature,note,pressure,serial,pump_on,mode", *rows, ""]).encode()
    Path("odd.csv").write_bytes(text)
    assert run("score", "odd.csv").code == 0
    before, after = lines_of("odd.csv"), lines_of("odd.scored.csv")
    assert len(before) == len(after) == 501
    assert all(new.startswith(old.removesuffix(b"\r\n") + b",") for old, new in zip(before, after, strict=True))
    assert all(new.endswith(b"\r\n") for new in after)


def test_three_columns_are_added(score, fresh):
    """anomaly_score, p_value and is_anomaly follow the user's columns, typed, and agree with each other."""
    scored = score("fresh.csv", "-o", "out.parquet")
    assert list(scored.columns) == [*fresh.columns, *ADDED]
    assert [str(scored[name].dtype) for name in ADDED] == ["float64", "float64", "bool"]
    assert ((scored["p_value"] > 0) & (scored["p_value"] <= 1)).all()
    assert (scored["is_anomaly"] == (scored["p_value"] <= 0.01)).all()
    by_score = scored.sort_values("anomaly_score")
    assert by_score["p_value"].is_monotonic_decreasing


def test_planted_anomalies_are_found(score, fresh):
    """The two anomalous rows are the two highest scores."""
    assert set(score("fresh.csv")["anomaly_score"].nlargest(2).index) == {16, 99}


def test_new_values_and_new_gaps_are_anomalous(score, fresh):
    """A category never seen, a gap where there was none and an infinity raise the score of every row."""
    usual = score("fresh.csv")["anomaly_score"]
    for column, value in {"mode": "turbo", "pressure": np.nan, "flow": np.inf}.items():
        fresh.assign(**{column: value}).to_csv("odd.csv", index=False)
        assert (score("odd.csv")["anomaly_score"] > usual + 1).mean() > 0.99, column


def test_a_usual_gap_is_not_anomalous(score, fresh):
    """Where one row in ten had a gap at fit, a gap is hardly worth a mention."""
    usual = score("fresh.csv")
    fresh.assign(temperature=np.nan).to_csv("gaps.csv", index=False)
    assert score("gaps.csv")["is_anomaly"].sum() <= usual["is_anomaly"].sum() + 5


def test_a_table_without_rows_is_scored(run, fresh):
    """A header alone gives a header alone: an empty day is no failure."""
    Path("empty.csv").write_text("pressure,flow,temperature,pump_on,mode\n")
    pq.write_table(pa.Table.from_pandas(fresh.head(0), preserve_index=False), "empty.parquet")
    assert strict_json(run("score", "empty.csv", "--json", "--fail-on", "any").out)["rows"] == 0
    assert strict_json(run("score", "empty.parquet", "--json").out)["rows"] == 0
    assert Path("empty.scored.csv").read_text() == f"pressure,flow,temperature,pump_on,mode,{','.join(ADDED)}\n"
    assert pq.read_table("empty.scored.parquet").column_names[5:] == ADDED


# -- the same row, the same score -----------------------------------------------------------------


def assert_same_scores(one: pd.DataFrame, other: pd.DataFrame) -> None:
    np.testing.assert_allclose(one["anomaly_score"], other["anomaly_score"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one["p_value"], other["p_value"], rtol=0.01, atol=0.002)


FORMATS_IN = ("a.csv", "a.tsv", "a.csv.gz", "a.csv.zst", "a.parquet", "parts")
FORMATS_OUT = ("o.csv", "o.tsv", "o.csv.gz", "o.csv.zst", "o.parquet")


@pytest.mark.parametrize(
    ("given", "target"),
    [
        pytest.param(given, target, marks=[] if given == "a.csv" or target == "o.parquet" else pytest.mark.slow)
        for given in FORMATS_IN
        for target in FORMATS_OUT
    ],
)
def test_formats_do_not_matter(score, fresh, given: str, target: str):
    """Any format in and any format out: the same rows, the same scores."""
    write(fresh, given)
    scored = score(given, "-o", target)
    assert_same_scores(scored, score("fresh.csv"))
    pd.testing.assert_frame_equal(scored[list(fresh.columns)], fresh, check_dtype=False)


def test_several_files_are_one_table(score, fresh):
    """Files, a pattern and a folder are read one after the other."""
    write(fresh, "parts")
    for i in range(5):
        fresh[100 * i : 100 * i + 100].to_csv(f"part{i}.csv", index=False)
    whole = score("fresh.csv")
    for words in ([f"part{i}.csv" for i in range(5)], ["part*.csv"], ["parts"], ["parts/*.parquet"]):
        assert_same_scores(score(*words, "-o", "o.parquet"), whole)


def test_the_order_of_columns_does_not_matter(score, fresh):
    """Columns are found by name; others pass through."""
    whole = score("fresh.csv")
    moved = fresh[["mode", "flow", "pump_on", "pressure", "temperature"]]
    moved.insert(2, "note", [f"row {i}" for i in range(500)])
    moved.to_csv("moved.csv", index=False)
    scored = score("moved.csv")
    assert list(scored.columns) == [*moved.columns, *ADDED]
    assert_same_scores(scored, whole)


def test_the_order_of_rows_does_not_matter(score, fresh):
    """A row's score does not depend on its neighbours, nor on how many there are."""
    whole = score("fresh.csv")
    order = np.random.default_rng(0).permutation(500)
    fresh.iloc[order].to_csv("mixed.csv", index=False)
    assert_same_scores(score("mixed.csv"), whole.iloc[order])
    fresh.iloc[[99]].to_csv("one.csv", index=False)
    assert_same_scores(score("one.csv"), whole.iloc[[99]])


@pytest.mark.parametrize("n", ["1", "25", "64", "1000000"])
def test_batch_rows_never_changes_a_byte(run, fresh, n: str, monkeypatch: pytest.MonkeyPatch):
    """--batch-rows is about memory only."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 16)  # 90 rows have many, and one by itself costs one
    fresh.head(90).to_csv("long.csv", index=False)
    assert run("score", "long.csv", "-o", "a.csv").code == 0
    assert run("score", "long.csv", "-o", "b.csv", "--batch-rows", n).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_device_cpu_is_the_default_without_a_gpu(score, fresh):
    """--device cpu computes the same scores as auto, to float tolerance."""
    assert_same_scores(score("fresh.csv", "--device", "cpu"), score("fresh.csv"))


# -- decisions ------------------------------------------------------------------------------------


def test_threshold_moves_the_flags_and_nothing_else(score, fresh):
    """--threshold flags at another level, without a refit: scores, p-values and the bundle stay as they are."""
    bundle = Path("model.vae").read_bytes()
    flagged = {}
    for level in (0.5, 0.9, 0.99):
        scored = score("fresh.csv", "--threshold", str(level))
        assert (scored["is_anomaly"] == (scored["p_value"] <= 1 - level)).all()
        flagged[level] = scored.pop("is_anomaly").sum()
        pd.testing.assert_frame_equal(scored, score("fresh.csv").drop(columns="is_anomaly"))
    assert flagged[0.5] > 2 * flagged[0.9] > 2 * flagged[0.99] > 0
    assert Path("model.vae").read_bytes() == bundle


def test_threshold_may_come_from_the_environment(score, fresh, monkeypatch: pytest.MonkeyPatch):
    """VAECLI_THRESHOLD is the level when no flag gives one."""
    monkeypatch.setenv("VAECLI_THRESHOLD", "0.5")
    assert score("fresh.csv")["is_anomaly"].sum() > 100


def test_min_score_decides_by_the_score(run, score, fresh):
    """--min-score flags the rows that score at least this, and no threshold is claimed."""
    scores = score("fresh.csv")["anomaly_score"]
    limit = float(scores.nlargest(20).iloc[-1])
    scored = score("fresh.csv", "--min-score", repr(limit))
    assert (scored["is_anomaly"] == (scores >= limit)).all()
    summary = strict_json(run("score", "fresh.csv", "--min-score", repr(limit), "--json").out)
    assert (summary["anomalies"], summary["threshold"], summary["min_score"]) == (20, None, limit)


def test_score_kind_chooses_the_score(score, fresh):
    """--score-kind: every kind scores differently, is calibrated, and finds the planted rows.

    All but the latent one: two readings that contradict each other may well have an ordinary code.
    """
    by_kind = {kind: score("fresh.csv", "--score-kind", kind) for kind in SCORE_KINDS}
    for kind, scored in by_kind.items():
        assert 0 < scored["is_anomaly"].mean() < 0.05
        assert scored.loc[[99] if kind == "latent" else [16, 99], "is_anomaly"].all()
    assert len({round(float(scored["anomaly_score"].sum()), 6) for scored in by_kind.values()}) == len(SCORE_KINDS)


@pytest.mark.parametrize(("limit", "code"), [("any", 3), ("2", 3), ("1%", 3), ("400", 0), ("99%", 0)])
def test_fail_on_is_an_exit_code(run, fresh, limit: str, code: int):
    """--fail-on: more flagged rows than that is 3, and the output is complete either way."""
    done = run("score", "fresh.csv", "--threshold", "0.9", "--fail-on", limit)
    assert done.code == code
    assert ("is met" in done.err) == (code == 3)
    assert len(read("fresh.scored.csv")) == 500


def test_fail_on_with_json(run, fresh):
    """A gate that is met leaves one JSON object, the summary."""
    done = run("score", "fresh.csv", "--fail-on", "any", "--json")
    assert done.code == 3
    assert strict_json(done.out)["anomalies"] > 0


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_anomalies_only_is_a_filter(score, fresh, name: str):
    """--anomalies-only: the flagged rows of the whole output, and no other."""
    whole = score("fresh.csv", "-o", name, "--threshold", "0.95")
    only = score("fresh.csv", "-o", name, "--threshold", "0.95", "--anomalies-only")
    assert 0 < len(only) < 100
    pd.testing.assert_frame_equal(only, whole[whole["is_anomaly"]].reset_index(drop=True))


def test_prefix_renames_what_is_added(run, score, fresh):
    """--prefix goes before the added names, so that a table that was scored before can be scored again."""
    first = score("fresh.csv")
    refused = run("score", "out.csv", "-o", "again.csv")
    assert refused.code == 2
    assert "'anomaly_score', 'p_value', 'is_anomaly'" in refused.err
    again = score("out.csv", "-o", "again.csv", "--prefix", "v2_")
    assert list(again.columns) == [*first.columns, *(f"v2_{name}" for name in ADDED)]
    assert again["v2_anomaly_score"].equals(first["anomaly_score"])


# -- responsible columns -----------------------------------------------------------------------------


def blamed(text: str) -> list[tuple[str, float]]:
    """`pressure:12.3;"flow: in":4.5` as pairs, by the expression that docs/cli.md gives."""
    pattern = r'(?:"((?:[^"]|"")*)"|([^:;"]+)):([\d.]+)'
    assert f"re.findall(r'{pattern}', text)" in (Path(__file__).parents[2] / "docs/cli.md").read_text()
    return [(quoted.replace('""', '"') or name, float(nats)) for quoted, name, nats in re.findall(pattern, text)]


@given(names=st.lists(st.text(':;"a1. \\\n', min_size=1), min_size=1, max_size=5))
def test_top_columns_can_be_parsed(names: list[str]):
    """Whatever the columns are called, the names and nats that went into `top_columns` come out of it."""
    reasons = tuple(Reason(name, i + 0.5, None, None) for i, name in enumerate(names))
    text = top_columns(FlaggedRow(1, 9.0, 0.001, True, reasons, 0.0))
    assert blamed(text) == [(name, i + 0.5) for i, name in enumerate(names)]


def test_usual_names_are_not_quoted():
    """What scripts split by hand stays as it was."""
    reasons = (Reason("Air temperature [K]", 12.34, None, None), Reason("a,b", 1.0, None, None))
    assert top_columns(FlaggedRow(1, 9.0, 0.001, True, reasons, 0.0)) == "Air temperature [K]:12.3;a,b:1.0"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_explain_adds_the_top_columns(score, fresh, name: str):
    """--explain 2: `top_columns` after the rest, for flagged rows the two largest, largest first; else empty."""
    plain = score("fresh.csv", "-o", name)
    scored = score("fresh.csv", "-o", name, "--explain", "2")
    assert list(scored.columns) == [*fresh.columns, *ADDED, "top_columns"]
    pd.testing.assert_frame_equal(scored.drop(columns="top_columns"), plain)
    assert (scored["top_columns"].notna() == scored["is_anomaly"]).all()
    for row in scored[scored["is_anomaly"]].itertuples():
        pairs = blamed(row.top_columns)
        assert 1 <= len(pairs) <= 2
        assert {column for column, _ in pairs} <= set(fresh.columns)
        assert [nats for _, nats in pairs] == sorted((nats for _, nats in pairs), reverse=True)
        assert sum(nats for _, nats in pairs) <= row.anomaly_score + 0.1
    assert blamed(scored["top_columns"][99])[0][0] == "temperature"
    assert {column for column, _ in blamed(scored["top_columns"][16])} == {"pressure", "flow"}
    assert max(len(blamed(text)) for text in score("fresh.csv", "--explain", "1")["top_columns"].dropna()) == 1


def test_the_top_columns_are_text(run, fresh):
    """In Parquet `top_columns` is a string, also where no row is flagged, and null for rows that are not."""
    for words in ([], ["--min-score", "1e9"]):
        assert run("score", "fresh.csv", "-o", "out.parquet", "--explain", "2", *words).code == 0
        column = pq.read_table("out.parquet").column("top_columns")
        assert column.type == pa.string()
        assert column.null_count == (column.null_count if not words else 500) > 400


def test_the_top_columns_are_those_of_explain(run, score, fresh):
    """`score --explain` and `explain` name the same columns."""
    scored = score("fresh.csv", "--explain", "3")
    shown = strict_json(run("explain", "fresh.csv", "--most", "1000", "--json").out)["shown"]
    said = {row["row"] - 1: ";".join(f"{one['column']}:{one['nats']:.1f}" for one in row["reasons"]) for row in shown}
    assert said == scored["top_columns"].dropna().to_dict()


def test_the_top_columns_with_other_options(score, fresh):
    """--prefix names the column, --anomalies-only leaves it as it was, --workers and --batch-rows change nothing."""
    whole = score("fresh.csv", "--explain", "2")
    named = score("fresh.csv", "--explain", "2", "--prefix", "vae_")
    assert list(named.columns[-4:]) == [f"vae_{name}" for name in (*ADDED, "top_columns")]
    assert named["vae_top_columns"].equals(whole["top_columns"])
    only = score("fresh.csv", "--explain", "2", "--anomalies-only")
    pd.testing.assert_frame_equal(only, whole[whole["is_anomaly"]].reset_index(drop=True))
    for words in (["--workers", "4", "--batch-rows", "7"], ["--workers", "1", "--batch-rows", "100"]):
        pd.testing.assert_frame_equal(score("fresh.csv", "--explain", "2", *words), whole)


def test_a_taken_name_is_refused(run, score, fresh):
    """A table that has a column `top_columns` is refused with --explain, and only then."""
    fresh.assign(top_columns="mine").to_csv("taken.csv", index=False)
    assert list(score("taken.csv").columns)[-4:] == ["top_columns", *ADDED]
    done = run("score", "taken.csv", "--explain", "2")
    assert done.code == 2
    assert "'top_columns'" in done.err
    assert "--prefix" in done.err


def test_python_explains_too(score, fresh, bundle: Path):
    """`model.score(frame, explain=2)` has the column of --explain 2, nothing in it where a row is not flagged."""
    model = vaecli.load(bundle)
    found = model.score(fresh, explain=2)
    assert list(found.columns) == [*fresh.columns, *ADDED, "top_columns"]
    by_shell = score("fresh.csv", "-o", "out.parquet", "--explain", "2")["top_columns"]
    assert found["top_columns"].dropna().to_dict() == by_shell.dropna().to_dict()
    only = model.score(fresh, explain=2, anomalies_only=True)
    pd.testing.assert_frame_equal(only, found[found["is_anomaly"]])
    assert "top_columns" not in model.score(fresh)


# -- what is printed ---------------------------------------------------------------------------------


def test_the_summary_names_rows_and_top_columns(run, fresh):
    """The worst rows come first, counted from 1, with the columns that made them anomalous, a line per reason."""
    done = run("score", "fresh.csv")
    said = re.sub(r" +", " ", done.out)
    assert "rows 500 in" in said
    assert "0.99: more unusual than 99 % of normal rows" in said
    assert "output fresh.scored.csv" in said
    table = done.out.partition("Most unusual rows\n")[2]
    head, *lines = (line.split() for line in table.splitlines())
    assert head == ["row", "score", "p_value", "nats", "reason"]
    worst = [line for line in lines if "p_value" not in line and line[0].isdigit() and "=" in line[4:6]][:2]
    by_score = np.argsort(-read("fresh.scored.csv")["anomaly_score"], kind="stable")[:2] + 1
    assert [int(line[0]) for line in worst] == by_score.tolist()
    reasons = {line[0]: line[4:] for line in worst}
    assert reasons["100"][:4] == ["temperature", "=", "900.0,", "expected"]
    assert reasons["17"][0] in ("pressure", "flow")


def test_json_counts_what_was_written(run, fresh):
    """--json: one strict object with a version whose numbers are those of the output."""
    done = run("score", "fresh.csv", "--json")
    summary = strict_json(done.out)
    scored = read("fresh.scored.csv")
    assert (summary["schema_version"], summary["verb"], done.out.count("\n")) == (2, "score", 1)
    assert (summary["rows"], summary["anomalies"]) == (500, int(scored["is_anomaly"].sum()))
    assert {row["row"] for row in summary["worst"]} <= set(np.flatnonzero(scored["is_anomaly"]) + 1)
    assert summary["worst"][0]["score"] == scored["anomaly_score"].max()
    assert scored.loc[scored["is_anomaly"], "anomaly_score"].min() >= summary["min_score"]


def test_another_process_is_noticed(run, fresh):
    """When far more rows are flagged than the level promises, the summary asks whether the process has changed."""
    assert "the process has changed" not in run("score", "fresh.csv").out
    fresh.assign(pressure=fresh["pressure"] + 4).to_csv("moved.csv", index=False)
    done = run("score", "moved.csv")
    assert "the process has changed" in re.sub(r"\s+", " ", done.out)


def test_a_level_too_fine_is_marked_as_a_model(run, fresh):
    """0.9999 from 600 calibration rows is a tail model's word, and reported as such."""
    assert "a model and not a guarantee" in re.sub(r"\s+", " ", run("score", "fresh.csv", "--threshold", "0.9999").out)
    assert strict_json(run("score", "fresh.csv", "--threshold", "0.9999", "--json").out)["uses_tail_model"] is True


# -- ends before the end --------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_141(fresh):
    """`vaecli score … -o - | head -1`: the line, code 141, and no complaint."""
    pd.concat([fresh] * 40).to_csv("long.csv", index=False)
    with subprocess.Popen(
        [*PROGRAM, "score", "long.csv", "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = next(csv.reader([process.stdout.readline().decode()]))
        process.stdout.close()
        err = process.stderr.read()
    assert first[-3:] == ADDED
    assert (process.returncode, err) == (141, b"")


def test_a_terminated_score_leaves_nothing(fresh):
    """SIGTERM half-way: 143, the earlier output untouched, no temporary file."""
    Path("out.csv").write_bytes(b"earlier")
    header, *rows = lines_of("fresh.csv")
    with subprocess.Popen(
        [*PROGRAM, "score", "-", "-o", "out.csv"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    ) as process:
        assert process.stdin is not None
        process.stdin.write(header + b"".join(rows) * 200)
        process.stdin.flush()
        assert waited_for(lambda: any(Path().glob(".vaecli-*")))
        process.terminate()
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 143
    assert err == b"error: terminated; nothing was written\n"
    assert Path("out.csv").read_bytes() == b"earlier"
    assert sorted(path.name for path in Path().iterdir()) == ["fresh.csv", "model.vae", "out.csv"]


def waited_for(happened: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not happened() and time.monotonic() < until:
        time.sleep(0.01)
    return happened()


def test_forty_rows_of_another_process_are_a_warning(
    run, fresh_table, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every one of a few rows flagged is no accident: the summary reports it, though the table is small."""
    monkeypatch.chdir(tmp_path)
    fresh_table.head(40).assign(flow=1e6).to_csv("moved.csv", index=False)
    done = run("score", "moved.csv", "-m", str(bundle), "-o", "moved.scored.csv", "--json")
    assert json.loads(done.out)["anomalies"] == 40
    assert any("the process has changed" in warning for warning in json.loads(done.out)["warnings"])
