"""Write the golden bundles of today's formats: `make golden`. Existing ones are never touched.

bundle_v<format>/ holds model.vae, fitted on a tiny table with every kind of column; rows.csv, which it scores; and
scored.csv, the scores and p-values by every kind of score as they were on the day of making. sensors_v<format>/ holds
the same of a table of series, recalibrated_v<format>/ that of a bundle which fresh rows calibrated by group, and
text_v<format>/ that of a table with text columns.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import vaecli
from vaecli.bundle import ROWS_FORMAT, SENSORS_FORMAT
from vaecli.config import SCORE_KINDS

HERE = Path(__file__).parent
SETTINGS = {
    "columns.max_categories": 4,
    "heteroscedastic.n_hidden": 8,
    "homoscedastic.n_hidden": 8,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 30,
    "train.max_steps": 100,
}


ROWS, SENSORS = HERE / f"bundle_v{ROWS_FORMAT}", HERE / f"sensors_v{SENSORS_FORMAT}"
CENTERS = HERE / f"centers_v{ROWS_FORMAT}"
RECALIBRATED = HERE / f"recalibrated_v{ROWS_FORMAT}"
TEXT = HERE / f"text_v{ROWS_FORMAT}"


def main(
    rows: Path = ROWS,
    sensors: Path = SENSORS,
    recalibrated: Path = RECALIBRATED,
    centers: Path = CENTERS,
    text: Path = TEXT,
) -> None:
    """Fit, score and keep what is not there; exits with a message where all folders exist."""
    folders = (rows, sensors, recalibrated, centers, text)
    if all(folder.exists() for folder in folders):
        sys.exit(f"{', '.join(map(str, folders))} exist; golden bundles are never made anew")
    if not rows.exists():
        keep(rows, vaecli.fit(table(240, seed=0), seed=0, **SETTINGS), odd_ones(table(40, seed=1)))
    if not centers.exists():
        model = vaecli.fit(table(240, seed=0), seed=0, **SETTINGS, **{"model.n_centers": 40})
        keep(centers, model, odd_ones(table(40, seed=1)))
    if not sensors.exists():
        keep(sensors, vaecli.fit(series(1000, seed=0)), odd_readings(series(200, seed=1)))
    if not recalibrated.exists():
        model = vaecli.fit(table(240, seed=0), seed=0, **SETTINGS)
        keep(recalibrated, model.calibrate(table(400, seed=2), by="mode"), odd_ones(table(40, seed=1)))
    if not text.exists():
        settings = SETTINGS | {"columns.text": ("serial", "message"), "calibration.n_folds": 2}
        keep(text, vaecli.fit(orders(240, seed=0), seed=0, **settings), odd_strings(orders(40, seed=1)))


def keep(folder: Path, model: vaecli.Model, rows: pd.DataFrame) -> None:
    """Write the model, the rows and their scores into a new folder."""
    folder.mkdir()
    model.save(folder / "model.vae")
    rows.to_csv(folder / "rows.csv", index=False)
    scored = pd.DataFrame(
        {
            f"{kind}.{name}": values
            for kind in SCORE_KINDS
            for name, values in vaecli.score(str(folder / "rows.csv"), folder / "model.vae", score_kind=kind)
            .select(["anomaly_score", "p_value"])
            .to_pydict()
            .items()
        }
    )
    scored.to_csv(folder / "scored.csv", index=False)


def table(n: int, seed: int) -> pd.DataFrame:
    """Numbers with and without gaps, whole ones, switches, few and many categories, dates."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    columns = {
        "pressure": 5 + load + 0.2 * rng.normal(size=n),
        "flow": np.where(rng.random(n) < 0.15, np.nan, 100 + 20 * load + 5 * rng.normal(size=n)),
        "cycles": rng.poisson(40, n),
        "pump_on": np.where(load > -0.5, "yes", "no"),
        "mode": rng.choice(["eco", "normal", "Störung"], n, p=[0.3, 0.6, 0.1]),
        "site": rng.choice([f"site {i}" for i in range(9)], n, p=np.arange(9, 0, -1) / 45),
        "seen": pd.Timestamp("2024-03-01T08:00:00Z") + pd.to_timedelta(rng.integers(90 * 86_400, size=n), unit="s"),
    }
    return pd.DataFrame(columns)


def odd_ones(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with one of every oddity among them."""
    rows = rows.astype({"pressure": object, "cycles": object})
    rows.loc[0, "pressure"] = 50.0
    rows.loc[1, "pressure"] = "inf"
    rows.loc[2, "pressure"] = -1e12
    rows.loc[3, "cycles"] = None
    rows.loc[4, "flow"] = np.nan
    rows.loc[5, "mode"] = "never seen"
    rows.loc[6, "site"] = "site 99"
    rows.loc[7, "pump_on"] = None
    rows.loc[8, "seen"] = pd.Timestamp("1970-01-01T00:00:00Z")
    rows.loc[9, ["pressure", "pump_on"]] = [8.0, "no"]
    return rows


def orders(n: int, seed: int) -> pd.DataFrame:
    """A number, serial numbers with gaps, and messages of two classes that follow the number."""
    rng = np.random.default_rng(seed)
    hot = rng.random(n) < 0.5
    serial = np.array([f"SN-{rng.integers(2000, 2025)}-{rng.integers(10_000):04d}" for _ in range(n)], object)
    serial[rng.random(n) < 0.1] = None
    columns = {
        "temp": np.where(hot, 90, 40) + 5 * rng.normal(size=n),
        "serial": serial,
        "message": [
            f"ERROR pump {rng.integers(9)} overheated" if one else f"INFO Störung {rng.integers(9)} behoben"
            for one in hot
        ],
    }
    return pd.DataFrame(columns)


def odd_strings(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with strings that are wrong in one way each."""
    rows.loc[0, "serial"] = "SN-20O4-0031"
    rows.loc[1, "serial"] = "SN-2004"
    rows.loc[2, "message"] = "ERROR pump 3 ovreheated"
    rows.loc[3, "message"] = None
    rows.loc[4, "message"] = "\U0001f525" * 200
    rows.loc[5, ["temp", "message"]] = [90.0, "INFO Störung 3 behoben"]
    return rows


def series(n: int, seed: int) -> pd.DataFrame:
    """A clock, two sensors that follow each other, a switch and a valve that never moves."""
    rng = np.random.default_rng(seed)
    load, noise = np.zeros(n), rng.normal(size=(n, 3))
    for t in range(1, n):
        load[t] = 0.9 * load[t - 1] + 0.4 * noise[t, 0]
    columns = {
        "when": pd.date_range("2024-03-01", periods=n, freq="1min"),
        "pressure": (5 + load + 0.1 * noise[:, 1]).round(4),
        "flow": (100 + 20 * load + 3 * noise[:, 2]).round(3),
        "pump_on": np.where(np.arange(n) // 40 % 3 > 0, "yes", "no"),
        "valve": 0,
    }
    return pd.DataFrame(columns)


def odd_readings(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a missing time, a late row, a gap, missing cells, a silent sensor, faults and a range left."""
    rows.loc[20, "when"] = None
    rows.loc[50, "when"] = rows.loc[40, "when"]
    rows.loc[70:, "when"] += pd.Timedelta("2h")
    rows.loc[60, ["pressure", "flow"]] = np.nan
    rows.loc[120:123, "pressure"] = 40.0
    rows.loc[160, "valve"] = 1
    rows.loc[175:190, "pressure"] = np.nan
    rows["flow"] += np.interp(np.arange(len(rows)), [71, 118, 119], [0, 40, 0])
    return rows


if __name__ == "__main__":
    main()
