"""`check` through the command line: what has changed is named, what has not is silent, and scripts learn it by 6."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vaecli.results.check import Finding

N_ROWS = 1500


def table(seed: int, n_rows: int = N_ROWS) -> pd.DataFrame:
    """Two numbers of which the second follows the first, a word, and a count with gaps."""
    rng = np.random.default_rng(seed)
    first = rng.normal(20, 3, n_rows)
    counted = rng.poisson(6, n_rows).astype(float)
    counted[rng.random(n_rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "first": first,
            "second": 2 * first + rng.normal(0, 0.3, n_rows),
            "mode": rng.choice(["fast", "slow"], n_rows, p=[0.7, 0.3]),
            "counted": counted,
        }
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    import vaecli

    path = tmp_path_factory.mktemp("check") / "model.vae"
    vaecli.fit(table(0), preset="fast", max_epochs=20).save(path)
    return path


@pytest.fixture
def found(run, bundle: Path, tmp_path: Path):
    """Check a frame: (exit code, the JSON object)."""

    def check(frame: pd.DataFrame, *words: str):
        path = tmp_path / "new.csv"
        frame.to_csv(path, index=False)
        done = run("check", str(path), "-m", str(bundle), "--json", *words)
        return done.code, json.loads(done.out)

    return check


def test_the_rows_of_the_fit_pass(found):
    """Rows of training pass: no column has moved, and scores too low are a warning that says why."""
    code, answer = found(table(0))
    assert (code, [one["what"] for one in answer["findings"]]) == (0, ["scores"])
    assert answer["findings"][0]["sentence"].endswith("of the rows of training themselves")
    assert {"rows", "n_independent", "n_columns", "findings", "unchecked", "warnings", "table"} <= answer.keys()


@pytest.mark.parametrize("n_rows", [30, 300, 3000])
def test_fresh_rows_do_not_fail(found, n_rows: int):
    """Few rows or many: other rows of the same process are no drift."""
    assert found(table(7, n_rows))[0] == 0


def test_a_shift_is_named_first(found):
    """A column that moves by half a standard deviation comes first, with its value before and after."""
    frame = table(1)
    code, answer = found(frame.assign(counted=frame["counted"] + 0.5 * frame["counted"].std()))
    first = answer["findings"][0]
    assert (code, first["column"], first["what"], first["level"]) == (6, "counted", "distribution", "fail")
    assert first["before"].startswith("median 6")
    assert set(first) == set(Finding.__dataclass_fields__)


@pytest.mark.parametrize(
    ("change", "column", "what"),
    [
        ({"mode": "slow"}, "mode", "distribution"),
        ({"mode": "off"}, "mode", "unseen"),
        ({"counted": np.nan}, "counted", "missing"),
        ({"counted": 500}, "counted", "range"),
    ],
    ids=["categories", "unseen", "missing", "range"],
)
def test_what_changed_in_a_column_is_named(found, change: dict[str, object], column: str, what: str):
    """A tenth or more of a column that is another one fails by its kind of change."""
    frame = table(2)
    cells = frame[column].astype(object).where(np.arange(N_ROWS) % 2 == 0, change[column])
    code, answer = found(frame.assign(**{column: cells}))
    assert code == 6
    assert (column, what) in {(one["column"], one["what"]) for one in answer["findings"] if one["level"] == "fail"}


def test_a_broken_dependence_shows_in_the_scores(found):
    """Columns that are each as they were, but no longer go together, fail by the scores alone."""
    frame = table(3)
    second = np.random.default_rng(0).permutation(frame["second"])
    code, answer = found(frame.assign(second=second))
    assert code == 6
    assert {one["what"] for one in answer["findings"]} <= {"scores", "flagged"}
    assert answer["findings"][0]["what"] == "scores"


def test_the_order_of_rows_changes_nothing(found):
    """A permutation of the rows gives the same object but for the time."""
    frame = table(4).assign(first=lambda rows: rows["first"] + 2)
    answers = [found(rows)[1] for rows in (frame, frame.sample(frac=1, random_state=0))]
    for answer in answers:
        answer.pop("seconds")
    assert answers[0] == answers[1]


def test_no_rows_never_pass_in_silence(found):
    """An empty table fails; where it is expected it passes with a warning."""
    empty = table(0)[:0]
    code, answer = found(empty)
    assert (code, answer["findings"][0]["what"]) == (6, "rows")
    code, answer = found(empty, "--expect-rows", "0..10")
    assert (code, answer["level"]) == (0, "warn")


def test_the_number_of_rows(found):
    """Outside the expected number of rows is a failure that names both."""
    code, answer = found(table(0), "--expect-rows", "2000..")
    finding = answer["findings"][0]
    assert (code, finding["before"], finding["after"]) == (6, "at least 2,000 rows", "1,500")
    assert found(table(0), "--expect-rows", "..1500")[0] == 0


def test_limits_of_a_file_and_of_options(found, tmp_path: Path):
    """[check] of a file sets limits, an option overrides it; unknown names are refused."""
    frame = table(1)
    frame["counted"] += 0.5 * frame["counted"].std()
    limits = tmp_path / "limits.toml"
    limits.write_text("[check]\nfail_distance = 2\n")
    assert found(frame, "--config", str(limits))[0] == 0
    assert found(frame, "--config", str(limits), "--fail-distance", "0.3")[0] == 6
    limits.write_text("[check]\nlimit = 2\n")
    code, answer = found(frame, "--config", str(limits))
    assert code == 2
    assert "check.limit: unknown setting" in answer["error"]


def test_python_and_the_file_say_the_same(found, bundle: Path, tmp_path: Path):
    """`Model.check` has the findings of the command line; -o has a line per comparison, those that are ok too."""
    import vaecli

    frame = table(1)
    frame["counted"] += 2
    code, answer = found(frame, "-o", str(tmp_path / "out.csv"))
    summary = vaecli.load(bundle).check(str(tmp_path / "new.csv"))
    assert [one.sentence for one in summary.findings] == [one["sentence"] for one in answer["findings"]]
    lines = pd.read_csv(tmp_path / "out.csv")
    assert code == 6
    assert lines["sentence"][: len(summary.findings)].tolist() == [one.sentence for one in summary.findings]
    assert "ok" in set(lines["level"])
    with pytest.raises(vaecli.VaecliError, match="unknown settings: limit"):
        vaecli.load(bundle).check(frame, limit=1)
