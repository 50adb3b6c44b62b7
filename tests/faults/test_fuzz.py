"""Inputs that nobody meant: a few of each reader here, hundreds of thousands in `benchmarks/fuzz.py`.

`--hypothesis-profile search` draws more.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.conftest import of_a_hundred
from tests.faults import fuzz

MET = Path(__file__).parent / "met"  # inputs that ended in a traceback, or took more memory than is promised
_SETTINGS = settings(of_a_hundred(15), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("reader", fuzz.INPUTS)
def test_odd_inputs_end_in_a_result_or_a_message(reader: str, tmp_path: Path) -> None:
    """Exit code 0 with an output, or one that the reader may have, two lines, and the earlier output."""
    bench = fuzz.Bench(reader, tmp_path)

    @_SETTINGS
    @given(fuzz.INPUTS[reader], st.sampled_from(fuzz.VERBS[reader]))
    def law(content: bytes, verb: str) -> None:
        bench.attempt(content, verb)

    law()
    assert len(bench.codes) > 1  # some are refused and some are not


@pytest.mark.parametrize("reader", fuzz.INPUTS)
def test_an_end_that_is_not_promised_is_seen(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: exit code 1 is a failure."""

    def broken(_: list[str]) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(fuzz, "main", broken)
    with pytest.raises(AssertionError, match="exit 1"):
        fuzz.Bench(reader, tmp_path).attempt(b"", fuzz.VERBS[reader][0])


@pytest.mark.parametrize("path", sorted(MET.iterdir()), ids=lambda path: path.name)
def test_what_was_met_stays_mended(path: Path, tmp_path: Path) -> None:
    """Inputs that `benchmarks/fuzz.py` met, each in a process of its own, whose peak of memory is the input's."""
    reader = {".csv": "csv", ".vae": "bundle", ".parquet": "parquet"}[path.suffix]
    script = (
        "import sys; from pathlib import Path; from tests.faults import fuzz\n"
        "bench = fuzz.Bench(sys.argv[1], Path(sys.argv[3]))\n"
        "bench.attempt(Path(sys.argv[2]).read_bytes(), fuzz.VERBS[sys.argv[1]][0])"
    )
    command = [sys.executable, "-c", script, reader, str(path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_whole_inputs_are_read(tmp_path: Path) -> None:
    """What the damage starts from is whole: every seed is scored."""
    for reader, whole in (("bundle", fuzz.BUNDLE), ("csv", fuzz.ROWS), *(("parquet", one) for one in fuzz._WHOLE)):
        verb = next(one for one in fuzz.VERBS[reader] if one.startswith("score"))
        bench = fuzz.Bench(reader, tmp_path)
        bench.attempt(whole, verb)
        assert bench.codes == {0: 1}
