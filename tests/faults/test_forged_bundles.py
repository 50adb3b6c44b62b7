"""A forged bundle, whose digests are right, is refused with exit 5 or works: never a bug, never much time or memory.

`make test` tries every fortieth forgery with two verbs, `-m slow` all of them with all verbs. The bundle is the small
one of tests/golden, whose table has columns of every kind.
"""

from __future__ import annotations

import resource
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults import forge
from vaecli.bundle import bounds, manifest as limits, read_bundle
from vaecli.bundle.save_load import load_any_detector
from vaecli.cli.app import main
from vaecli.config import fit as settings
from vaecli.errors import BundleError
from vaecli.model import ensemble

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle_v4"
LEVELS = GOLDEN.with_name("bundle_v12") / "model.vae"
RECALIBRATED = GOLDEN.with_name("recalibrated_v8") / "model.vae"
TEXT = GOLDEN.with_name("text_v10")
OF_TEXT = ("strings", "class_shares", "string_levels", "schema.columns.1.categories")
OF_CALIBRATE = ("detector.by", "novelty_offsets", "recalibrated", "by/")
SECONDS, MEGABYTES = 10, 300  # of the processor, and beyond what the process has already, per command
VERBS = {
    "inspect": "inspect {M}",
    "score": "score {T} -m {M} -o {O}.csv",
    "elbo": "score {T} -m {M} -o {O}.csv --score-kind elbo",
    "json": "inspect {M} --json --schema",
    "explain": "explain {T} -m {M}",
    "encode": "encode {T} -m {M} -o {O}.csv",
    "reconstruct": "reconstruct {T} -m {M} -o {O}.csv",
    "sample": "sample -m {M} -o {O}.csv --rows 20",
    "report": "report {T} -m {M} -o {O}.html",
}
Try = Callable[[str, forge.Change], list[int]]


@pytest.fixture
def attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str, Path], int]:
    """Run a verb on a bundle; its exit code, once the rest of what is promised has been checked."""

    def run(verb: str, forgery: str, bundle: Path, table: Path = GOLDEN / "rows.csv") -> int:
        words = VERBS[verb].format(M=bundle, T=table, O=tmp_path / "out").split()
        before, start = peak_megabytes(), time.process_time()
        with pytest.raises(SystemExit) as left:
            main([*words, "--quiet"] if verb not in ("inspect", "json") else words)
        seconds, grown = time.process_time() - start, peak_megabytes() - before
        code, shown = int(left.value.code or 0), capsys.readouterr().err
        where = f"{verb}, {forgery}: exit {code}\n{shown}"
        # no forgeries: the table lacks a column of another name, and a bundle may lack the score that is asked for
        others = {4: ".name: " in forgery or "by.column" in forgery, 2: verb == "elbo" and "score_kinds" in forgery}
        assert code in (0, 5) or others.get(code), where
        if code:
            lines = [line for line in shown.splitlines() if not line.startswith("  ")]
            assert [line.partition(":")[0] for line in lines] == ["error", "hint"], where
        assert "Warning" not in shown, where
        assert seconds < SECONDS, where
        assert grown < MEGABYTES, where
        return code

    return run


def peak_megabytes() -> float:
    """The most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def try_all(attempt: Callable[[str, str, Path], int], folder: Path, every: int, first: int, verbs: str) -> Counter[int]:
    """How often each exit code occurred in every so many forgeries; all that break a promise are listed at once."""
    codes: Counter[int] = Counter()
    broken: list[str] = []
    for i, (name, change) in enumerate(forge.forgeries(GOLDEN / "model.vae")):
        if i % every == first:
            forge.write(folder / "forged.vae", GOLDEN / "model.vae", change)
            for verb in verbs.split():
                try:
                    codes[attempt(verb, name, folder / "forged.vae")] += 1
                except AssertionError as problem:
                    broken.append(str(problem))
    assert not broken, f"{len(broken)} forgeries:\n" + "\n".join(broken)
    return codes


def test_forged_fields_and_arrays_are_refused_or_work(tmp_path: Path, attempt: Callable[..., int]) -> None:
    """Every fortieth forgery; both outcomes occur."""
    codes = try_all(attempt, tmp_path, 40, 7, "inspect score")
    assert codes[5] > 50
    assert codes[0] > 50


@pytest.mark.parametrize("every", [20, *(pytest.param(every, marks=pytest.mark.slow) for every in (5, 1))])
def test_forged_groups_and_offsets_are_refused_or_work(tmp_path: Path, attempt: Callable[..., int], every: int) -> None:
    """What only `calibrate` writes, forged in the same ways."""
    codes: Counter[int] = Counter()
    changes = [one for one in forge.forgeries(RECALIBRATED) if any(part in one[0] for part in OF_CALIBRATE)]
    for name, change in changes[::every]:
        forge.write(tmp_path / "forged.vae", RECALIBRATED, change)
        codes.update(attempt(verb, name, tmp_path / "forged.vae") for verb in ("inspect", "score"))
    assert codes[5] > 50
    assert codes[0] > 10


@pytest.mark.parametrize("every", [50, pytest.param(1, marks=pytest.mark.slow)])
def test_forged_strings_are_refused_or_work(tmp_path: Path, attempt: Callable[..., int], every: int) -> None:
    """What only bundles with text columns have, forged in the same ways."""
    codes: Counter[int] = Counter()
    like = TEXT / "model.vae"
    changes = [one for one in forge.forgeries(like) if any(part in one[0] for part in OF_TEXT)]
    for name, change in changes[::every]:
        forge.write(tmp_path / "forged.vae", like, change)
        codes.update(attempt(verb, name, tmp_path / "forged.vae", TEXT / "rows.csv") for verb in ("explain", "sample"))
    assert codes[5] > 4
    assert codes[0] > 4


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_forged_levels_are_refused_or_work(tmp_path: Path, attempt: Callable[..., int], every: int) -> None:
    """What the judge of levels adds, forged in the same ways."""
    codes: Counter[int] = Counter()
    changes = [one for one in forge.forgeries(LEVELS) if "cells/levels" in one[0]]
    for name, change in changes[::every]:
        forge.write(tmp_path / "forged.vae", LEVELS, change)
        codes.update(attempt(verb, name, tmp_path / "forged.vae") for verb in ("score", "explain"))
    assert codes[5] > 10
    assert codes[0] > 4


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (np.nan, (0.0,)),
        (np.inf, (0.5,)),
        (-np.inf, (1.0,)),
        *(pytest.param(value, (0.0, 0.5, 1.0), marks=pytest.mark.slow) for value in (np.nan, np.inf, -np.inf)),
    ],
)
@pytest.mark.parametrize("golden", ["bundle_v4/model.vae", "bundle_v12/model.vae", "sensors_v11/model.vae"])
def test_no_array_may_hold_nan_or_infinity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], golden: str, value: float, where: tuple[float, ...]
) -> None:
    """In every array of numbers, first, in the middle or last: exit 5, and the message names what is not right."""
    like = GOLDEN.parent / golden
    floats = {name: array for name, array in read_bundle(like)[1].items() if array.dtype.kind == "f" and array.size}
    assert len(floats) > 20
    if value == -np.inf:
        floats.pop("cells/tails/outer", None)  # where a column has fewer readings
    for name, array in floats.items():
        for place in {min(int(share * array.size), array.size - 1) for share in where}:
            forge.write(tmp_path / "forged.vae", like, forge.one_number(name, place, value))
            with pytest.raises(BundleError, match="its parts do not make a detector"):
                load_any_detector(tmp_path / "forged.vae")
    with pytest.raises(SystemExit) as left:
        main(["inspect", str(tmp_path / "forged.vae")])
    assert left.value.code == 5
    assert capsys.readouterr().err.count("error:") == 1


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_all_forgeries_with_all_verbs(tmp_path: Path, attempt: Callable[..., int], part: int) -> None:
    """All of them: an eighth at a time."""
    codes = try_all(attempt, tmp_path, 8, part, " ".join(VERBS))
    assert codes.total() > 5_000


# ------------------------------------------------------------------------------------ claims

MANY = limits.MAX_MANIFEST_BYTES


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[" + "[]," * (MANY // 4) + "0]", "holds more than"),
        ("[" + "{}," * (MANY // 4) + "0]", "holds more than"),
        ("[" + '{"a":0},' * (MANY // 9) + "0]", "holds more than"),
        ("[" + "0," * (MANY // 3) + "0]", "holds more than"),
        ("[" * 40 + "]" * 40, "nested too deeply"),
        ("[" * 10**6 + "]" * 10**6, "nested too deeply"),
        ('"' + '\\"[[{{,:' * 10**6 + '"', ""),
        ('"' + "\\\\" * 10**6 + '"', ""),
    ],
)
def test_json_that_would_fill_the_memory_is_not_parsed(
    tmp_path: Path, attempt: Callable[..., int], capsys: pytest.CaptureFixture[str], value: str, words: str
) -> None:
    """Values, depth and bytes are counted before any is made; marks within a text do not count."""
    with zipfile.ZipFile(GOLDEN / "model.vae") as archive:
        text, packed = (archive.read(name).decode("latin-1") for name in (limits.MANIFEST, limits.ARRAYS))
    bundle = tmp_path / "forged.vae"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr(limits.MANIFEST, text.replace("{", '{"more": ' + value + ",", 1).encode("latin-1"))
        archive.writestr(limits.ARRAYS, packed.encode("latin-1"))
    assert attempt("inspect", "json", bundle) == 5
    with pytest.raises(SystemExit):
        main(["inspect", str(bundle)])
    assert (words or "SHA-256 differs") in capsys.readouterr().err


def test_a_header_of_arrays_is_bounded(tmp_path: Path, attempt: Callable[..., int]) -> None:
    """Its length is checked before it is parsed, the number of arrays before any is made."""
    values = read_bundle(GOLDEN / "model.vae")[0].to_json()
    for packed in (
        (2**63).to_bytes(8, "little"),
        (bounds.MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (bounds.MAX_HEADER_BYTES + 1),
    ):
        forge.write_parts(tmp_path / "forged.vae", values, packed)
        assert attempt("score", "header", tmp_path / "forged.vae") == 5

    def change(_: dict[str, object], arrays: dict[str, np.ndarray]) -> None:
        arrays |= {f"x{i}": np.zeros(0, np.float32) for i in range(bounds.MAX_ARRAYS)}

    forge.write(tmp_path / "forged.vae", GOLDEN / "model.vae", change)
    assert attempt("score", "many arrays", tmp_path / "forged.vae") == 5


@pytest.mark.parametrize("family", ["heteroscedastic", "homoscedastic"])
def test_draws_are_bounded_and_computed_a_few_at_a_time(
    tmp_path: Path, attempt: Callable[..., int], family: str
) -> None:
    """A small array claims many draws: more than settings allow are refused, as many as they allow take no memory."""
    for n_draws, code in ((ensemble.MOST_DRAWS, 0), (ensemble.MOST_DRAWS + 2, 5)):

        def change(_: dict[str, object], arrays: dict[str, np.ndarray], n: int = n_draws) -> None:
            arrays[f"{family}/noise"] = np.resize(arrays[f"{family}/noise"], (n, 4, 1, 2))

        forge.write(tmp_path / "forged.vae", GOLDEN / "model.vae", change)
        assert attempt("elbo", f"{n_draws} draws", tmp_path / "forged.vae") == code


def test_the_bounds_are_those_of_the_settings() -> None:
    """What a fit may be asked for is read back."""
    ranges = settings._RANGES
    assert ranges["model.n_noise"][1] == ensemble.MOST_DRAWS
    assert ranges["model.n_exemplars"][1] == ranges["model.n_centers"][1] == ensemble.MOST_EXEMPLARS
    assert ranges["calibration.n_folds"][1] == ensemble.MOST_MEMBERS
    assert ranges["columns.max_categories"][1] + 1 == bounds.MAX_CATEGORIES
    for family in ("heteroscedastic", "homoscedastic"):
        assert ranges[f"{family}.n_latent"][1] == ensemble.MOST_LATENT
        assert ranges[f"{family}.n_hidden"][1] == ensemble.MOST_HIDDEN
