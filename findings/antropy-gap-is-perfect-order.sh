#!/usr/bin/env bash
# antropy: noise with one gap has an entropy of 0, as if it were perfectly regular, and 4999 readings have another than 5000.
#
# Sample and spectral entropy are features for finding machines whose signal became too regular or too noisy. antropy 0.2.3
# computes both. Memory says that NaN in gives NaN out, as perm_entropy() of the same package does, and that the length
# of a series does not decide how ties count:
# - sample_entropy() of white noise is 2.2, and with one NaN in 4999 readings it is 0, the least that there is. The tolerance,
#   a fifth of the deviation, is NaN then, and no distance is above it, so that all pairs count as alike. With a tolerance
#   that is given it is 2.2 again. From 5000 readings on, where other code runs, NaN raises ValueError.
# - spectral_entropy() of noise with one NaN is 0 too, the value of a pure tone, by both methods.
# - A sensor that is stuck has NaN with 4999 readings, and 0 with 5000. Code that drops or fills NaN removes the fault.
# - The docstring says that both codes "should produce equivalent results", but one counts distances below the tolerance, the
#   other those equal to it too. Of whole-number readings with a tolerance of 1, the entropy is 1.32 for 4999 readings and
#   0.36 for 5000.
# No error and no warning where none is named. Issues 9 and 35 of antropy and its predecessor are about other cases, of inf.
#
# Ways round it: fill or cut gaps first, and treat an entropy of 0 as an error; ask for a stuck sensor by its range; choose a
# tolerance that no distance equals, such as 1.5 steps.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "antropy==0.2.3" "numba==0.68.1" \
    "scikit-learn==1.9.1" "scipy==1.17.1" "numpy==2.4.6" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from antropy import perm_entropy, sample_entropy, spectral_entropy

warnings.simplefilter("error")
print("antropy", version("antropy"), "numba", version("numba"), "scikit-learn", version("scikit-learn"))


def shown(function, *arguments, **options):
    try:
        return f"{abs(function(*arguments, **options)):.2f}"
    except ValueError as error:
        return f"ValueError: {str(error).splitlines()[0]}"


for length in (1000, 4999, 5000):
    noise = np.random.default_rng(0).normal(size=length)
    gap, stuck = noise.copy(), np.full(length, 20.0)
    gap[length // 2] = np.nan
    print(length, "readings:")
    print("  sample entropy of noise:", shown(sample_entropy, noise), "| with a NaN:", shown(sample_entropy, gap))
    print("  the same with a tolerance of 0.2:", shown(sample_entropy, gap, tolerance=0.2))
    print("  of a stuck sensor:", shown(sample_entropy, stuck))
    for tolerance in (1, 1.5):
        print(f"  of whole numbers, tolerance {tolerance}:", shown(sample_entropy, np.round(noise), tolerance=tolerance))
    for method in ("fft", "welch"):
        each = [shown(spectral_entropy, series, 100, method=method, normalize=True) for series in (noise, gap)]
        print(f"  spectral entropy by {method}:", each[0], "| with a NaN:", each[1])
    print("  permutation entropy with a NaN:", shown(perm_entropy, gap))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='antropy 0.2.3 numba 0.68.1 scikit-learn 1.9.1
1000 readings:
  sample entropy of noise: 2.21 | with a NaN: 0.00
  the same with a tolerance of 0.2: 2.18
  of a stuck sensor: nan
  of whole numbers, tolerance 1: 1.27
  of whole numbers, tolerance 1.5: 0.33
  spectral entropy by fft: 0.93 | with a NaN: 0.00
  spectral entropy by welch: 0.98 | with a NaN: 0.00
  permutation entropy with a NaN: nan
4999 readings:
  sample entropy of noise: 2.21 | with a NaN: 0.00
  the same with a tolerance of 0.2: 2.20
  of a stuck sensor: nan
  of whole numbers, tolerance 1: 1.32
  of whole numbers, tolerance 1.5: 0.36
  spectral entropy by fft: 0.95 | with a NaN: 0.00
  spectral entropy by welch: 1.00 | with a NaN: 0.00
  permutation entropy with a NaN: nan
5000 readings:
  sample entropy of noise: 2.21 | with a NaN: ValueError: Input contains NaN.
  the same with a tolerance of 0.2: ValueError: Input contains NaN.
  of a stuck sensor: 0.00
  of whole numbers, tolerance 1: 0.36
  of whole numbers, tolerance 1.5: 0.36
  spectral entropy by fft: 0.95 | with a NaN: 0.00
  spectral entropy by welch: 1.00 | with a NaN: 0.00
  permutation entropy with a NaN: nan'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
