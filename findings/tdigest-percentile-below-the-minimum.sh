#!/usr/bin/env bash
# tdigest: of readings that repeat, the 1st percentile is below the least reading, and the 95th of mostly zeros is 91.
#
# tdigest 0.5.2.2 estimates percentiles of a stream with Ted Dunning's t-digest. Its README shows random floats, for which
# it is right. Memory says that repeated readings are easier, as there are fewer values to keep. Equal readings
# become one centroid, and percentile() draws straight lines between the middles of centroids, and on beyond the first:
# - Of 990 zeros and 10 readings of 100, the 1st percentile is -97, the median is 1 and the 95th is 91. All three are 0.
#   The mean (1) and the count are right, so that a check of those passes.
# - Of a door that is half open, half closed, the 5th percentile is -0.4 and the 40th is 0.3.
# - A thermometer in steps of half a degree has a 99th percentile of 21.4 instead of 21.0.
# - cdf(0) of the 990 zeros is 0.495, not 0.99.
# It is the same with update() and batch_update(), in any order. An alarm at the 95th percentile of a rain gauge is then at
# 91 mm. Issue 60 of tdigest, open since 2022, shows inaccurate percentiles of dice.
# No error and no warning in any of these cases.
#
# Ways round it: add noise much smaller than a step before update(), as that issue does, or use the KLL sketch of the package
# datasketches, which returns readings that it has seen.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "tdigest==0.5.2.2" "accumulation-tree==0.6.4" "pyudorandom==1.0.0" "datasketches==5.2.0" "numpy==2.4.6" \
    2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from datasketches import kll_doubles_sketch
from tdigest import TDigest

warnings.simplefilter("error")
print("tdigest", version("tdigest"), "datasketches", version("datasketches"))


def batch(readings):
    digest = TDigest()
    digest.batch_update(readings)
    return digest


def stream(readings):
    digest = TDigest()
    for each in readings:
        digest.update(each)
    return digest


def kll(readings):
    sketch = kll_doubles_sketch(200)
    sketch.update(readings)
    return sketch


generator = np.random.default_rng(0)
CASES = {
    "mostly zeros": (np.repeat([0.0, 100.0], [990, 10]), (1, 50, 95)),
    "door": (np.repeat([0.0, 1.0], [500, 500]), (5, 40, 60)),
    "half degrees": (np.round(generator.normal(20, 0.5, 10000) * 2) / 2, (1, 50, 99)),
}
for name, (readings, percents) in CASES.items():
    print(name, *percents, "least", f"{readings.min():.1f}", sep=", ")
    shuffled = generator.permutation(readings)
    for made in (batch(readings), batch(shuffled), stream(shuffled)):
        print("  tdigest", *(f"{made.percentile(each):.1f}" for each in percents))
    print("  NumPy  ", *(f"{each:.1f}" for each in np.percentile(readings, percents)))
    if name != "half degrees":
        print("  KLL    ", *(f"{kll(shuffled).get_quantile(each / 100):.1f}" for each in percents))
floats = generator.normal(20, 0.5, 10000)
off = max(abs(batch(floats).percentile(each) - np.percentile(floats, each)) for each in (1, 50, 99))
print("floats: within 0.05 of NumPy:", off < 0.05)
zeros = batch(CASES["mostly zeros"][0])
print("mostly zeros: cdf(0)", zeros.cdf(0), "n", zeros.n, "mean", zeros.trimmed_mean(0, 100))
noisy = batch(CASES["mostly zeros"][0] + generator.normal(0, 1e-6, 1000))
print("with noise of 1e-6:", *(f"{abs(noisy.percentile(each)):.1f}" for each in (1, 50, 95)), f"cdf(0.5) {noisy.cdf(0.5):.2f}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='tdigest 0.5.2.2 datasketches 5.2.0
mostly zeros, 1, 50, 95, least, 0.0
  tdigest -97.0 1.0 91.0
  tdigest -97.0 1.0 91.0
  tdigest -97.0 1.0 91.0
  NumPy   0.0 0.0 0.0
  KLL     0.0 0.0 0.0
door, 5, 40, 60, least, 0.0
  tdigest -0.4 0.3 0.7
  tdigest -0.4 0.3 0.7
  tdigest -0.4 0.3 0.7
  NumPy   0.0 0.0 1.0
  KLL     0.0 0.0 1.0
half degrees, 1, 50, 99, least, 18.0
  tdigest 18.6 20.0 21.4
  tdigest 18.6 20.0 21.4
  tdigest 18.6 20.0 21.4
  NumPy   19.0 20.0 21.0
floats: within 0.05 of NumPy: True
mostly zeros: cdf(0) 0.495 n 1000 mean 1.0
with noise of 1e-6: 0.0 0.0 0.0 cdf(0.5) 0.99'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
