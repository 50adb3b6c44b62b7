#!/usr/bin/env bash
# river: GaussianScorer gives a sensor at rest the highest score, and one NaN ends all alarms.
#
# GaussianScorer scores 2|CDF(y) - 0.5|, in [0, 1]: 0 for the mean, near 1 for an outlier. Memory says that a reading that
# equals all before it scores 0. In river 0.26.1 the CDF of a distribution without spread is 0 for each value:
# - A valve at 20.0 all the time scores 1.0, as 500 or -1e6 would. ThresholdFilter(0.995) takes each reading after the
#   grace period for an anomaly. As it protects the detector by default, it learns none of them.
# - After one NaN each score is NaN, and no reading is an anomaly ever again. A window of 100 readings does not end that:
#   the NaN is subtracted again when it leaves the window, and NaN - NaN is NaN.
# StandardAbsoluteDeviation divides by the deviation + 1e-10, so that a first reading of 20 scores 2e11:
# - ThresholdFilter(6), for six sigma, finds the first reading anomalous, so that it is not learned, and so for all.
# - QuantileFilter keeps such scores in its estimate. Of a rain gauge with 1 mm in each 100th reading and 0 in the others,
#   300 mm after 1500 readings are no anomaly at quantiles of 0.9 to 0.999. Also, a quantile of 0 is taken for "none
#   yet": then no score is an anomaly.
# No error and no warning in any of these cases. The docstrings explain the grace period and the protection, but name
# none of these cases.
#
# Ways round it: score a reading of a window without spread yourself; drop NaN before learn_one; learn a few dozen
# readings by the detector itself before it goes into a filter.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "river==0.26.1" "numpy==2.4.6" "scipy==1.17.1"
cat >"$folder/probe.py" <<'PYTHON'
import math
import warnings
from importlib.metadata import version

import numpy as np
from river.anomaly import GaussianScorer, QuantileFilter, StandardAbsoluteDeviation, ThresholdFilter

warnings.simplefilter("error")
print("river", version("river"))


def anomalies(model, readings):
    found = []
    for at, reading in enumerate(readings):
        if model.classify(model.score_one(None, reading)):
            found.append(at)
        model.learn_one(None, reading)
    return f"{len(found)} anomalies" + (f", from {found[0]} to {found[-1]}" if found else "")


valve = [20.0] * 1000
scorer = GaussianScorer()
for reading in valve:
    scorer.learn_one(None, reading)
print("valve at 20, score of 20 500 -1e6:", *(scorer.score_one(None, each) for each in (20.0, 500.0, -1e6)))
print("valve:", anomalies(ThresholdFilter(GaussianScorer(), threshold=0.995), valve))
normal = np.random.default_rng(0).normal(20, 1, 1000).tolist()
normal[900] = 500.0
gap = [*normal[:300], math.nan, *normal[301:]]
for name, readings in (("500 at 900", normal), ("and NaN at 300", gap)):
    for window in (None, 100):
        model = ThresholdFilter(GaussianScorer(window_size=window), threshold=0.9999)
        print(f"{name}, window {window}:", anomalies(model, readings))
print("six sigma:", anomalies(ThresholdFilter(StandardAbsoluteDeviation(), threshold=6), normal))
learned = StandardAbsoluteDeviation()
for reading in normal[:50]:
    learned.learn_one(None, reading)
print("six sigma, 50 readings learned before:", anomalies(ThresholdFilter(learned, threshold=6), normal))
rain = [float(at % 100 == 50) for at in range(2000)]
rain[1500] = 300.0
for quantile in (0.9, 0.99, 0.999):
    print(f"rain, quantile {quantile}:", anomalies(QuantileFilter(StandardAbsoluteDeviation(), q=quantile), rain))
model = QuantileFilter(StandardAbsoluteDeviation(), q=0.95)
for _ in range(1000):
    model.learn_one(None, 0.0)
print("always 0: quantile", model.quantile.get(), "- a score of 1e9 is an anomaly:", model.classify(1e9))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='river 0.26.1
valve at 20, score of 20 500 -1e6: 1.0 1.0 1.0
valve: 900 anomalies, from 100 to 999
500 at 900, window None: 1 anomalies, from 900 to 900
500 at 900, window 100: 2 anomalies, from 478 to 900
and NaN at 300, window None: 0 anomalies
and NaN at 300, window 100: 0 anomalies
six sigma: 1000 anomalies, from 0 to 999
six sigma, 50 readings learned before: 1 anomalies, from 900 to 900
rain, quantile 0.9: 0 anomalies
rain, quantile 0.99: 0 anomalies
rain, quantile 0.999: 0 anomalies
always 0: quantile 0.0 - a score of 1e9 is an anomaly: False'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
