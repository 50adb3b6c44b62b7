#!/usr/bin/env bash
# PyNomaly: as many equal rows as n_neighbors + 1 hide all outliers, and give a normal row the probability 1.
#
# Local outlier probabilities (LoOP) lie in [0, 1] whatever the data. Machines at rest repeat rows exactly. Memory says
# that duplicates make their neighbourhood dense, so that outliers stand out more. In PyNomaly the expected distance in
# a neighbourhood of duplicates is 0, which it replaces by 1e-8. A normal row whose neighbours are all duplicates gets a
# factor near 10^7, and the factors of all rows are divided by three times their root mean square:
# - With the default of 10 neighbours, 10 equal rows of 500 change little; with 11 the two real outliers drop from 1.00
#   and 0.997 to 0.00006 and 0.00002, and a normal row has 1.00.
# - More neighbours help only from the number of duplicates on.
# - As 1e-8 is in the unit of the data, the unit decides: with the same table in millionths both outliers are found.
# No error and no warning; LocalOutlierFactor of scikit-learn warns of duplicates in the same table. In issue 25 of
# PyNomaly, which is open, a user suspects duplicates of causing a division by zero.
#
# Way round it: fit the distinct rows only, and give each copy the probability of its row. Noise of 0.001 finds both
# outliers again, but leaves a normal row at 1.00.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "PyNomaly==0.4.0" "scikit-learn==1.9.1" "numpy==2.4.6"
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from PyNomaly import loop
from sklearn.neighbors import LocalOutlierFactor

warnings.simplefilter("error")
print("PyNomaly", version("PyNomaly"), "scikit-learn", version("scikit-learn"))
random = np.random.default_rng(0)
normal = random.normal(20, 1, (498, 2))
outliers = [[60.0, 60.0], [40.0, 0.0]]


def table(count):
    return np.vstack([np.full((count, 2), 20.0), normal[count:], outliers])


def show(name, rows, neighbours=10):
    model = loop.LocalOutlierProbability(rows, n_neighbors=neighbours).fit()
    found = model.local_outlier_probabilities.astype(float)
    print(f"{name}: outliers", *(f"{each:.5f}" for each in found[-2:]), end=" ")
    print(f"| highest of the others {found[:-2].max():.2f}")


for count in (0, 10, 11, 100):
    show(f"{count} equal rows", table(count))
show("100, in millionths", table(100) / 1e6)
show("100, 50 neighbours", table(100), 50)
show("100, 101 neighbours", table(100), 101)
show("100, distinct", table(100)[99:])
show("100, with noise", table(100) + random.normal(0, 0.001, (500, 2)))
try:
    LocalOutlierFactor(n_neighbors=10).fit(table(11))
except UserWarning as warning:
    print("scikit-learn:", str(warning).split(".")[0])
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='PyNomaly 0.4.0 scikit-learn 1.9.1
0 equal rows: outliers 1.00000 0.99737 | highest of the others 0.16
10 equal rows: outliers 1.00000 0.99748 | highest of the others 0.29
11 equal rows: outliers 0.00006 0.00002 | highest of the others 1.00
100 equal rows: outliers 0.00005 0.00002 | highest of the others 1.00
100, in millionths: outliers 1.00000 0.99771 | highest of the others 0.52
100, 50 neighbours: outliers 0.00004 0.00002 | highest of the others 1.00
100, 101 neighbours: outliers 1.00000 0.99462 | highest of the others 0.92
100, distinct: outliers 1.00000 0.99453 | highest of the others 0.16
100, with noise: outliers 1.00000 0.99364 | highest of the others 1.00
scikit-learn: Duplicate values are leading to incorrect results'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
