"""Clocks as loggers write them: found, left out of the model, and not turned into features by one step back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

N = 300
START = pd.Timestamp("2024-02-14 23:00:00")  # days above 12 settle which number is the day


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def readings(clock: pd.DatetimeIndex | pd.Series, spelling: str) -> pd.DataFrame:
    load = np.random.default_rng(0).normal(size=len(clock))
    stamps = pd.Series(clock).dt.strftime(spelling)
    return pd.DataFrame({"when": stamps, "a": (5 + load).round(3), "b": (50 + 20 * load).round(2)})


def columns(run, quick: Path, table: pd.DataFrame, *more: str) -> dict[str, dict]:
    table.to_csv("normal.csv", index=False)
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json", *more)
    assert done.code == 0, done.err
    return {column["name"]: column for column in json.loads(done.out)["columns"]}


SPELLINGS = {
    "two-digit year": "%d/%m/%y %H:%M:%S",
    "two-digit year with points": "%d.%m.%y %H:%M:%S",
    "two-digit year with a month": "%d-%b-%y %H:%M:%S",
    "ISO basic": "%Y%m%dT%H%M%S",
    "four digits": "%d/%m/%Y %H:%M:%S",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_clock_is_found_however_it_is_spelled(run, quick: Path, name: str):
    """It orders the rows, so it is not modelled; `--time` takes it as well."""
    table = readings(pd.date_range(START, periods=N, freq="1h"), SPELLINGS[name])
    found = columns(run, quick, table)["when"]
    assert (found["role"], found["kind"]) == ("time", "datetime")
    assert "orders the rows" in found["reason"]
    assert columns(run, quick, table, "--time", "when")["when"]["role"] == "time"


@pytest.mark.parametrize("name", SPELLINGS)
def test_dates_out_of_order_are_dates(run, quick: Path, name: str):
    """Whatever the spelling they are the same moments: a table of four-digit years is scored the same."""
    moments = START + pd.to_timedelta(np.random.default_rng(1).integers(0, 10**7, N), unit="s")
    scores = []
    for spelling in (SPELLINGS[name], "%Y-%m-%dT%H:%M:%S"):
        assert columns(run, quick, readings(moments, spelling))["when"]["kind"] == "datetime"
        assert run("score", "normal.csv", "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
        scores.append(pd.read_csv("out.csv")["anomaly_score"])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)


@pytest.mark.parametrize(("year", "meant"), [("68", 2068), ("69", 1969), ("99", 1999), ("00", 2000)])
def test_years_of_two_digits_are_those_of_posix(run, quick: Path, year: str, meant: int):
    """69 to 99 are of the last century."""
    rng = np.random.default_rng(0)
    table = readings(pd.date_range(START, periods=N, freq="1h"), "%d.%m.%y")
    table["when"] = [f"{day:02}.03.{year}" for day in rng.integers(1, 29, N)]
    minimum = columns(run, quick, table)["when"]["minimum"]
    assert pd.Timestamp(minimum, unit="s").year == meant if isinstance(minimum, float) else str(meant) in str(minimum)


def swapped(clock: pd.DatetimeIndex) -> pd.Series:
    moved = pd.Series(clock)
    moved[[100, 101]] = moved[[101, 100]].to_numpy()
    return moved


def double_hour(clock: pd.DatetimeIndex) -> pd.Series:
    moved = pd.Series(clock)
    moved[100:] -= pd.Timedelta("1h")
    return moved


@pytest.mark.parametrize("step_back", [swapped, double_hour])
@pytest.mark.parametrize("spelling", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M"])
def test_one_step_back_leaves_a_clock_a_clock(run, quick: Path, step_back, spelling: str):
    """A swapped line or the double hour in October does not make it a feature that flags the future."""
    clock = pd.date_range(START, periods=N + 40, freq="10min")
    found = columns(run, quick, readings(step_back(clock[:N]), spelling))["when"]
    assert found["role"] == "time"
    readings(clock[N:], spelling).to_csv("new.csv", index=False)
    done = run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json")
    assert json.loads(done.out)["anomalies"] <= 8


def test_dates_that_go_back_often_are_a_feature(run, quick: Path):
    """One step in twenty back is not a clock."""
    clock = pd.Series(pd.date_range(START, periods=N, freq="1h"))
    clock[::20] = clock[0]
    assert columns(run, quick, readings(clock, "%Y-%m-%d %H:%M"))["when"]["role"] == "feature"


# -- one fit of a table with a column per spelling ----------------------------------------------

MOMENTS = (START + pd.to_timedelta(np.random.default_rng(1).integers(0, 7_900, N), unit="h")).to_series(index=range(N))
MOMENTS[:3] = [pd.Timestamp("2024-02-28"), pd.Timestamp("2024-12-30"), pd.Timestamp("2024-12-31")]
DAYS = MOMENTS.dt.normalize()


def ends_at_24(moment: pd.Timestamp) -> str:
    at_midnight = moment == moment.normalize()
    return f"{moment - pd.Timedelta('1D'):%Y-%m-%d} 24:00" if at_midnight else f"{moment:%Y-%m-%d %H:%M}"


def in_zone(zone: str, hours: int) -> Callable[[pd.Timestamp], str]:
    return lambda moment: f"{moment + pd.Timedelta(hours, 'h'):%Y-%m-%d %H:%M:%S}{zone}"


OF_A_MOMENT: dict[str, Callable[[pd.Timestamp], str]] = {
    "month and two digits": lambda t: f"{t:%d-%b-%y %H:%M}",
    "American": lambda t: f"{t:%b} {t.day} {t:%Y %I:%M %p}",
    "American with a comma": lambda t: f"{t:%B} {t.day}, {t:%Y %H:%M}",
    "British": lambda t: f"{t.day} {t:%B %Y %H:%M}",
    "24:00": ends_at_24,
    "UTC": in_zone(" UTC", 0),
    "Z": in_zone("Z", 0),
    "CET": in_zone(" CET", 1),
    "+01:00": in_zone("+01:00", 1),
    "+0100": in_zone("+0100", 1),
    "Java": in_zone("-03:00[America/Sao_Paulo]", -3),
    "month first": lambda t: f"{t:%m/%d/%Y %H:%M}",
    "day first": lambda t: f"{t:%d/%m/%Y %H:%M}",
    "year first": lambda t: f"{t:%y-%m-%d %H:%M}",
}
OF_A_DAY: dict[str, Callable[[pd.Timestamp], str]] = {
    "ISO week": lambda t: "{}-W{:02}-{}".format(*t.isocalendar()),
    "ordinal": lambda t: f"{t:%Y-%j}",
    "Japanese": lambda t: f"{t:%y/%m/%d}",
}


def spelled() -> pd.DataFrame:
    load = np.random.default_rng(0).normal(size=N)
    columns = {name: MOMENTS.map(spell) for name, spell in OF_A_MOMENT.items()}
    columns |= {name: DAYS.map(spell) for name, spell in OF_A_DAY.items()}
    return pd.DataFrame({**columns, "a": (5 + load).round(3)})


def test_the_same_moments_have_the_same_scores_in_every_spelling_and_format(run, quick: Path):
    """CSV, text in Parquet and timestamps: 17 spellings at once, with the range that is meant."""
    table = spelled()
    typed = table.assign(**dict.fromkeys(OF_A_MOMENT, MOMENTS), **dict.fromkeys(OF_A_DAY, DAYS))
    table.to_csv("spelled.csv", index=False)
    table.to_parquet("spelled.parquet", index=False)
    typed.to_parquet("typed.parquet", index=False)
    scores = {}
    for name in ("spelled.csv", "spelled.parquet", "typed.parquet"):
        done = run("fit", name, "-o", "m.vae", "--config", str(quick), "--json")
        assert done.code == 0, done.err
        found = {column["name"]: column for column in json.loads(done.out)["columns"]}
        for column in (*OF_A_MOMENT, *OF_A_DAY):
            assert (found[column]["kind"], found[column]["role"]) == ("datetime", "feature"), column
        assert run("score", name, "-m", "m.vae", "-o", "out.parquet", "--quiet").code == 0
        scores[name] = pd.read_parquet("out.parquet")["anomaly_score"]
        assert json.loads(run("inspect", "m.vae", "--json").out)["columns"][0]["minimum"] == found["UTC"]["minimum"]
    np.testing.assert_array_equal(scores["spelled.csv"], scores["spelled.parquet"])
    np.testing.assert_array_equal(scores["spelled.csv"], scores["typed.parquet"])


FRENCH = ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]
UNREAD: dict[str, tuple[Callable[[pd.Timestamp], str], str]] = {
    "French": (lambda t: f"{t.day} {FRENCH[t.month - 1]} {t.year}", "the names of their months are not English"),
    "CST": (in_zone(" CST", 0), "their zone has several meanings"),
    "IANA": (in_zone(" Europe/Berlin", 1), "their zone has several meanings or is not known"),
    "C": (lambda t: f"{t:%a %b %d %H:%M:%S %Y}", "they begin with the day of the week"),
    "tie": (lambda t: f"0{1 + t.hour % 9}/0{1 + t.day % 9}/2024", "ambiguous"),
    "one day of every year": (lambda t: f"31/12/{10 + t.hour % 9}", "year first or last?"),
    "tie of years": (lambda t: f"{10 + t.hour % 9}-0{1 + t.day % 9}-{10 + t.day % 9}", "year first or last?"),
}


def test_dates_that_are_not_read_are_left_out_with_the_reason(run, quick: Path):
    """Never categories of which every later one is new, and never a guess."""
    table = spelled()[["a"]].assign(b=range(N), **{name: MOMENTS.map(spell) for name, (spell, _) in UNREAD.items()})
    found = columns(run, quick, table)
    for name, (_, reason) in UNREAD.items():
        assert found[name]["role"] == "ignored", name
        assert reason in found[name]["reason"], name
    done = run("fit", "normal.csv", "-o", "t.vae", "--config", str(quick), "--time", "CST")
    assert done.code == 4
    assert "their zone has several meanings" in done.err


def epochs(unit: float) -> pd.Series:
    """Three machines report at each moment, and one line is swapped."""
    seconds = 1_704_164_645 + np.arange(N) // 3 * 10.0
    seconds[[101, 102]] = seconds[[102, 101]]
    return pd.Series(seconds * unit)


def test_numbers_in_the_range_of_clocks_are_clocks(run, quick: Path):
    """Seconds, milli-, micro- and nanoseconds since 1970, and the days of Excel, whatever their name."""
    clocks = {f"x{unit:g}": epochs(unit).astype("int64").astype(str) for unit in (1, 1e3, 1e6, 1e9)}
    clocks["fractions"] = epochs(1) + 0.125
    clocks["excel"] = (25569 + epochs(1) / 86400).round(6)
    clocks["compact"] = [int(f"{t:%Y%m%d%H%M%S}") for t in pd.date_range(START, periods=N // 3, freq="7min").repeat(3)]
    found = columns(run, quick, spelled()[["a"]].assign(b=lambda t: t["a"].round(1) * 2, **clocks))
    assert {name: found[name]["reason"] for name in clocks} == dict.fromkeys(
        clocks, "it orders the rows; future rows would all look new"
    )
    assert [name for name in clocks if found[name]["role"] == "time"] == ["x1"]
    assert found["b"]["role"] == "feature"
