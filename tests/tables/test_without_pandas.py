"""A command leaves pandas alone, which pyarrow and scikit-learn would import."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import sys
from vaecli.tables.without_pandas import skip_pandas_import
skip_pandas_import(for_good={for_good})
import pyarrow as pa
pa.array([0.5, None]), pa.array(["a"]), pa.scalar("a"), pa.table({{"a": [1]}})
if {for_good}:
    from sklearn.preprocessing import StandardScaler
    StandardScaler().fit([[1.0], [2.0]])
print(*{{"pandas"}} & set(sys.modules))
import pandas
"""


def probed(for_good: bool) -> subprocess.CompletedProcess[str]:
    code = PROBE.format(for_good=for_good)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_pyarrow_does_not_import_it():
    """Tables are made without it, and whoever asks for pandas later has it."""
    done = probed(for_good=False)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_no_package_finds_it_any_more():
    """With `for_good` scikit-learn works without pandas, which cannot be imported in this process."""
    done = probed(for_good=True)
    assert done.stdout.strip() == ""
    assert "No module named 'pandas'" in done.stderr.splitlines()[-1]
