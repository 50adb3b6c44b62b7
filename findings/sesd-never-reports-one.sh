#!/usr/bin/env bash
# sesd: one anomaly in a series is never reported, one NaN hides all, and hybrid=True finds anomalies in pure noise.
#
# sesd 0.2 is Twitter's seasonal hybrid ESD: the seasonal part of a series is removed, and a generalized ESD test (Rosner
# 1983) finds up to max_anomalies. Memory says that one huge spike is the easiest case. The code counts anomalies from 0,
# and takes 0 for none:
# - A reading 50 standard deviations off, alone in noise, is found in 55 of 1000 series: those where a second reading
#   happens to be found with it. With two such readings, both are found in all 1000.
# - max_anomalies=1 returns [] for all data.
# - One NaN makes each statistic NaN, and [] is returned for a series with two spikes.
# - hybrid=True, for "data sets that have a high percentage of anomalies", divides by the median absolute deviation without
#   the factor 1.4826, which mad() of R, as Twitter's package uses it, includes. With alpha=0.05 it finds anomalies in 803
#   of 1000 series of pure noise. With the factor it would be 9.
# No error and no warning in any of these cases. Issue 10 of sesd, open since 2021, reports the first one.
#
# Way round it: remove the seasonal part with STL of statsmodels, drop NaN, and run Rosner's test on the rest, in ten lines
# as below.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "sesd==0.2" "statsmodels==0.15.0" "scipy==1.17.1" "pandas==3.1.1" "numpy==2.4.6" 2>"$folder/log" \
    || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
import sesd
from scipy.stats import t as student

warnings.simplefilter("error")
print("sesd", version("sesd"), "statsmodels", version("statsmodels"))


def noise(seed, *spikes, length=200):
    series = np.random.default_rng(seed).normal(size=length)
    series[100 : 100 + len(spikes)] += spikes
    return series


def rosner(series, centre, spread, up_to=10, alpha=0.05):
    """Returns the outliers' indices by Rosner's test, with any measures of centre and spread."""
    left, removed, count = np.arange(len(series)), [], 0
    for step in range(1, up_to + 1):
        rest = series[left]
        scores = np.abs(rest - centre(rest)) / spread(rest)
        quantile = student.ppf(1 - alpha / (2 * len(rest)), len(rest) - 2)
        if scores.max() > (len(rest) - 1) * quantile / np.sqrt((len(rest) - 2 + quantile**2) * len(rest)):
            count = step
        removed.append(left[scores.argmax()])
        left = np.delete(left, scores.argmax())
    return removed[:count]


def deviation(series):
    return series.std(ddof=1)


def mad(series):
    return np.median(np.abs(series - np.median(series)))


def count(test):
    return f"{sum(bool(test(seed)) for seed in range(1000))} of 1000"


print("one spike:", count(lambda seed: 100 in sesd.generalized_esd(noise(seed, 50))))
print("one spike, own code:", count(lambda seed: 100 in rosner(noise(seed, 50), np.mean, deviation)))
print("two spikes:", count(lambda seed: 100 in sesd.generalized_esd(noise(seed, 50, 60))))
gap = noise(1, 50, 60)
gap[10] = np.nan
print("two spikes and a NaN:", sesd.generalized_esd(gap))
wave = 10 * np.sin(2 * np.pi * np.arange(240) / 24)
spikes = [sesd.seasonal_esd(wave + noise(seed, 50, length=240), 24, max_anomalies=1) for seed in range(10)]
print("one spike in a daily wave, max_anomalies=1:", sum(map(len, spikes)), "found in 10 series")
print("noise alone:", count(lambda seed: sesd.generalized_esd(noise(seed))))
print("noise alone, hybrid:", count(lambda seed: sesd.generalized_esd(noise(seed), hybrid=True)))
for factor in (1, 1.4826):
    several = count(lambda seed: len(rosner(noise(seed), np.median, lambda rest: factor * mad(rest))) > 1)
    print(f"noise alone, own code with {factor} MAD, two or more:", several)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='sesd 0.2 statsmodels 0.15.0
one spike: 55 of 1000
one spike, own code: 1000 of 1000
two spikes: 1000 of 1000
two spikes and a NaN: []
one spike in a daily wave, max_anomalies=1: 0 found in 10 series
noise alone: 1 of 1000
noise alone, hybrid: 803 of 1000
noise alone, own code with 1 MAD, two or more: 803 of 1000
noise alone, own code with 1.4826 MAD, two or more: 9 of 1000'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
