"""A bundle is read back as it was written, or refused with one clear sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as arrays_of

from vaecli.bundle import FORMAT, Manifest, manifest as limits, read_bundle, write_bundle
from vaecli.errors import BundleError, EnvironmentProblem, UsageError
from vaecli.runtime.atomic_file import require_writable

MANIFEST = Manifest(
    format=FORMAT,
    version="0.1.0",
    schema={"n_rows": 60, "columns": [{"name": "Druck (bar) µ", "minimum": 0.1}]},
    schema_fingerprint="ab" * 32,
    config={"train": {"seed": 0, "learning_rate": 3e-3}, "preset": "fast"},
    summary={"validation_elbo": -12.25},
)
ARRAYS: dict[str, np.ndarray] = {
    "encoder.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "calibration.scores": np.linspace(0.0, 1.0, 7),
    "calibration.ranks": np.arange(7),
    "fold": np.array([3, -1], dtype=np.int32),
    "codes": np.array([0, 255], dtype=np.uint8),
    "observed": np.array([True, False]),
    "none": np.zeros((0, 5), dtype=np.float32),
    "beta": np.array(0.5),
}


def written(folder: Path, arrays: dict[str, np.ndarray] = ARRAYS, manifest: Manifest = MANIFEST) -> Path:
    path = folder / "model.vae"
    write_bundle(path, manifest, arrays)
    return path


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    assert caught.value.exit_code == 5
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def raising(problem: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise problem

    return fail


def zipped(path: Path, entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # duplicate names are what some tests are about
        for name, content in entries:
            archive.writestr(name, content)
    return path


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(folder: Path, change: Callable[[dict[str, Any]], None] = lambda values: None, packed: bytes = b"") -> Path:
    """A bundle with another manifest or other arrays whose digests are right nevertheless."""
    old = parts(written(folder))
    values = json.loads(old["manifest.json"])
    packed = packed or old["arrays.safetensors"]
    change(values)
    values["digests"] = {
        "arrays.safetensors": limits.sha256(packed),
        "manifest.json": limits.manifest_digest(values),
    }
    entries = [("manifest.json", json.dumps(values).encode()), ("arrays.safetensors", packed)]
    return zipped(folder / "forged.vae", entries)


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def assert_same(found: tuple[Manifest, dict[str, np.ndarray]]) -> None:
    manifest, arrays = found
    assert {**manifest.to_json(), "digests": {}} == MANIFEST.to_json()
    assert arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert arrays[name].dtype == values.dtype
        assert arrays[name].shape == values.shape
        np.testing.assert_array_equal(arrays[name], values)


# --------------------------------------------------------------------------------------- what is promised


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Manifest and arrays come back equal, in names, types, shapes and values."""
    assert_same(read_bundle(written(tmp_path)))


@settings(max_examples=40, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        st.sampled_from(["f4", ">f4", "f8", "i4", ">i8", "u1", "?"]).flatmap(
            lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=5,
    )
)
def test_every_array_survives_the_round_trip(arrays: dict[str, np.ndarray], tmp_path_factory: Any) -> None:
    """Any names, shapes and byte orders come back bit for bit, little-endian and contiguous."""
    _, found = read_bundle(written(tmp_path_factory.mktemp("round"), arrays))
    assert list(found) == sorted(arrays)
    for name, values in arrays.items():
        assert found[name].shape == values.shape
        assert found[name].dtype == values.dtype.newbyteorder("<")
        assert found[name].tobytes() == values.astype(values.dtype.newbyteorder("<")).tobytes()
        assert found[name].flags.c_contiguous


def test_a_view_that_is_not_contiguous_is_written_by_its_values(tmp_path: Path) -> None:
    """A transposed or strided view is stored as it reads, not as its memory lies."""
    view = np.arange(24.0).reshape(4, 6).T[::2]
    _, found = read_bundle(written(tmp_path, {"view": view}))
    np.testing.assert_array_equal(found["view"], view)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither the day nor the order of the arrays or keys changes one bit of the file."""
    first = written(tmp_path).read_bytes()
    os.utime(tmp_path / "model.vae", (0, 0))
    turned = Manifest.from_json(dict(reversed(list({**MANIFEST.to_json(), "digests": {}}.items()))))
    second = written(tmp_path, dict(reversed(list(ARRAYS.items()))), turned).read_bytes()
    assert first == second


def test_ordinary_tools_can_look_inside(tmp_path: Path) -> None:
    """The file is a plain ZIP: the manifest first, readable JSON, nothing compressed, digests of both parts."""
    with zipfile.ZipFile(written(tmp_path)) as archive:
        assert archive.namelist() == ["manifest.json", "arrays.safetensors"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        values = json.loads(archive.read("manifest.json"))
        assert values["digests"]["arrays.safetensors"] == limits.sha256(archive.read("arrays.safetensors"))
    assert set(values["digests"]) == {"manifest.json", "arrays.safetensors"}


def test_reading_imports_no_torch_and_no_pandas() -> None:
    """The road to scoring stays light: a bundle is read without torch, pandas or scikit-learn."""
    probe = "import sys; from vaecli.bundle import load_detector; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "sklearn", "pyarrow"} & set(done.stdout.split())


def test_a_key_of_a_later_version_is_ignored(tmp_path: Path) -> None:
    """A manifest may gain keys without a new format number."""
    manifest, _ = read_bundle(forged(tmp_path, lambda values: values.update(later=[1, {"a": None}])))
    assert manifest.schema == MANIFEST.schema


# --------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device"), RuntimeError()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_earlier_bundle_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, stop: BaseException
) -> None:
    """Whatever stops a write, the earlier file is whole and nothing lies beside it."""
    path = written(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(f"vaecli.runtime.atomic_file.os.{step}", raising(stop))
    with pytest.raises(EnvironmentProblem if isinstance(stop, OSError) else type(stop)):
        write_bundle(path, MANIFEST, {"other": np.zeros(3)})
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model.vae"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """No such directory, a directory as file, a file as directory: refused both before and after the fit."""
    file = tmp_path / "file"
    file.write_text("x")
    for path, words in [
        (tmp_path / "none" / "model.vae", "no such directory"),
        (tmp_path, "is a directory"),
        (file / "model.vae", "no such directory"),
        (Path("/dev/null"), "is not a regular file"),
        (tmp_path / ("x" * 300), "a name this long"),
    ]:
        for act in (require_writable, lambda path: write_bundle(path, MANIFEST, ARRAYS)):
            with pytest.raises((UsageError, EnvironmentProblem), match=words) as caught:
                act(path)
            assert caught.value.hint
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_require_writable_changes_nothing(tmp_path: Path) -> None:
    """Asking whether a bundle can be written neither makes a file nor touches the earlier one."""
    require_writable(tmp_path / "new.vae")
    path = written(tmp_path)
    before = path.read_bytes()
    require_writable(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model.vae"]


def test_a_link_keeps_pointing_at_its_bundle(tmp_path: Path) -> None:
    """Writing through a symbolic link replaces what it points at, not the link, and keeps the permissions."""
    path = written(tmp_path)
    path.chmod(0o640)
    link = tmp_path / "current.vae"
    link.symlink_to(path)
    write_bundle(link, MANIFEST, {"other": np.zeros(3)})
    assert link.is_symlink()
    assert list(read_bundle(path)[1]) == ["other"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_foreign_types_are_refused_at_writing(tmp_path: Path) -> None:
    """An array type outside the format is a programming error, named before a file appears."""
    with pytest.raises(ValueError, match="half: float16"):
        written(tmp_path, {"half": np.zeros(2, np.float16), "names": np.array(["a"], dtype=object)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("limit", "words"), [("MAX_ARRAYS_BYTES", "networks"), ("MAX_MANIFEST_BYTES", "schema")])
def test_what_could_not_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    """A bundle beyond the reader's limits is refused by the writer."""
    monkeypatch.setattr(f"vaecli.bundle.write.{limit}", 100)
    with pytest.raises(BundleError, match=words):
        written(tmp_path)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------- what is not a bundle

TEXT = b"time,flow\n2026-01-01,1.5\n"


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def archive_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"content")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (TEXT, "a text table such as CSV"),
        (b"\xef\xbb\xbf" + TEXT, "a text table such as CSV"),
        (b"hello\n", "looks like text"),
        (b'{"format": 1}', "JSON"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (pickle.dumps({"a": 1}, protocol=2), "a pickle"),
        (pickle.dumps({"a": 1}, protocol=4), "a pickle"),
        (b"PAR1" + bytes(40), "a Parquet table"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip file"),
        (b"\x93NUMPY\x01\x00" + bytes(60), "a NumPy array"),
        (npz(), "a NumPy archive"),
        (archive_of("model/data.pkl"), "a PyTorch file"),
        (archive_of("[Content_Types].xml"), "an Office document"),
        (archive_of("readme.txt"), "a ZIP archive of 'readme.txt'"),
        (b"PK\x05\x06" + bytes(18), "an empty ZIP archive"),
        (safetensors({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"x"), "bare safetensors"),
        (bytes(5000), "zeros"),
        (bytes(range(128, 256)) * 9, "binary data"),
    ],
)
def test_a_foreign_file_is_named_for_what_it_seems_to_be(tmp_path: Path, content: bytes, words: str) -> None:
    """A wrong file is refused with what it looks like, and is never opened as such."""
    path = tmp_path / "model.vae"
    path.write_bytes(content)
    assert words in refusal(path).message


def test_a_path_without_a_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a directory, below a file, a pipe, forbidden, failing: one sentence for each."""
    path = written(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such bundle" in refusal(tmp_path / "none.vae").message
    assert "there is no such bundle" in refusal(path / "inside").message
    assert "is a directory" in refusal(tmp_path).message
    assert "is not a regular file" in refusal(tmp_path / "pipe").message
    for problem, words in [
        (PermissionError(13, "x"), "permission denied"),
        (OSError(5, "Input/output"), "Input/output"),
    ]:
        monkeypatch.setattr("builtins.open", raising(problem))
        assert words in refusal(path).message


def test_a_failing_disk_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input/output error while reading is reported as such."""
    path = written(tmp_path)
    monkeypatch.setattr("vaecli.bundle.read.zipfile.ZipFile.read", raising(OSError(5, "Input/output error")))
    assert "cannot be read: Input/output error" in refusal(path).message


# --------------------------------------------------------------------------------------- damaged and hostile


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    """Cut anywhere, a bundle is refused; cut inside its parts, it is called truncated."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        message = refusal(path).message
        if 4 <= length < len(whole) - 22:
            assert "truncated" in message


def test_something_appended_is_refused(tmp_path: Path) -> None:
    """Bytes after the end are damage, and reported as such."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b"more")
    assert "something follows its end" in refusal(path).message


def test_entries_are_exactly_two(tmp_path: Path) -> None:
    """Other, repeated, missing, swapped and compressed entries are each refused in their own words."""
    old = list(parts(written(tmp_path)).items())
    path = tmp_path / "odd.vae"
    for entries, words in [
        ([*old, ("run.py", b"import os")], "entries that no bundle has:\n  run.py"),
        ([*old, ("\x1b[2J", b"")], r"'\x1b[2J'"),
        ([*old, old[1]], "twice"),
        ([old[0], old[0]], "twice"),
        (old[:1], "arrays.safetensors is missing"),
        (old[::-1], "a ZIP archive of 'arrays.safetensors'"),
        ([old[0], ("run.py", b""), old[1]], "run.py"),
        ([*old, *((f"{i:064}", b"") for i in range(700))], "too many files"),
    ]:
        assert words in refusal(zipped(path, entries)).message
    assert "is compressed" in refusal(zipped(path, old, zipfile.ZIP_DEFLATED)).message


def directory_at(content: bytes) -> int:
    return content.index(b"PK\x01\x02")


def with_bytes(path: Path, at: int, new: bytes) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:at] + new + content[at + len(new) :])
    return path


def test_claims_of_the_directory_are_not_believed(tmp_path: Path) -> None:
    """Encryption, sizes beyond the file or the limit, and a foreign directory are refused before allocating."""
    at = directory_at(written(tmp_path).read_bytes())
    assert "is encrypted" in refusal(with_bytes(written(tmp_path), at + 8, b"\x01\x00")).message
    huge = struct.pack("<LL", 2**32 - 2, 2**32 - 2)
    assert "the limit is" in refusal(with_bytes(written(tmp_path), at + 20, huge)).message
    large = struct.pack("<LL", 10**6, 10**6)
    assert "more bytes than the file has" in refusal(with_bytes(written(tmp_path), at + 20, large)).message
    whole = written(tmp_path).read_bytes()
    end = len(whole) - 22
    assert "does not fit" in refusal(with_bytes(written(tmp_path), end + 12, b"\xff\xff\xff\x7f")).message
    locator = b"PK\x06\x07" + bytes(16)
    assert "does not fit" in refusal(with_bytes(written(tmp_path), end - 20, locator)).message


def test_a_flipped_bit_in_a_part_is_damage(tmp_path: Path) -> None:
    """A checksum catches one flipped bit in either part."""
    for mark in (b'"preset"', struct.pack("<f", 11.0)):
        path = written(tmp_path)
        at = path.read_bytes().index(mark)
        message = refusal(with_bytes(path, at, bytes([mark[0] ^ 1]))).message
        assert "is damaged" in message
        assert "CRC" in message


def test_a_part_that_was_exchanged_is_damage(tmp_path: Path) -> None:
    """Arrays of another bundle, or a manifest edited by hand, do not match the digests."""
    old = parts(written(tmp_path))
    other = parts(written(tmp_path, {"other": np.zeros(3)}))
    swapped = [("manifest.json", old["manifest.json"]), ("arrays.safetensors", other["arrays.safetensors"])]
    assert "arrays.safetensors is not what was written" in refusal(zipped(tmp_path / "x", swapped)).message
    edited = old["manifest.json"].replace(b"-12.25", b"-12.26")
    entries = [("manifest.json", edited), ("arrays.safetensors", old["arrays.safetensors"])]
    assert "manifest.json is not what was written" in refusal(zipped(tmp_path / "x", entries)).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe{}", "not UTF-8"),
        (b"", "not the JSON of a bundle"),
        (b"{", "not the JSON of a bundle"),
        (b'{"format": NaN}', "NaN is not a JSON number"),
        (b'{"format": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"format": 1e999}', "beyond float64"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not the JSON of a bundle"),
        (b'{"format": 1, "format": 1}', "stands there twice"),
        (b'{"format": 1, "config": {"a": 1, "a": 2}}', "stands there twice"),
        (b"[1, 2]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"[" * 10**6, "nested too deeply"),
        (b'{"a":' * 10**5, "nested too deeply"),
        (b"{}", "names no format"),
        (b'{"format": 0}', "names no format"),
        (b'{"format": -1}', "names no format"),
        (b'{"format": "1"}', "names no format"),
        (b'{"format": true}', "names no format"),
        (b'{"format": 1.0}', "names no format"),
        (b'{"format": 2}', "incomplete:\n  'version' is missing\n  'schema' is missing"),
        (b'{"format": 1, "version": "0.1.0"}', "written by vaecli 0.1.0, format 1; this one reads from 2 on"),
        (b'{"format": 14, "version": "0.9.0"}', "written by vaecli 0.9.0, format 14; this one reads up to 13"),
        (b'{"format": 14}', "written by vaecli None"),
    ],
)
def test_an_invalid_manifest_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    """Every way in which a manifest can be wrong has its own words."""
    path = zipped(tmp_path / "model.vae", [("manifest.json", text), ("arrays.safetensors", b"")])
    assert words in refusal(path).message


def test_a_newer_bundle_is_recognised_whatever_else_it_holds(tmp_path: Path) -> None:
    """A later format may have other entries; the reader still names the vaecli that is needed."""
    newer = json.dumps({"format": FORMAT + 1, "version": "3.0"}).encode()
    said = refusal(zipped(tmp_path / "new.vae", [("manifest.json", newer), ("graph.onnx", b"")]))
    assert "written by vaecli 3.0" in said.message
    assert said.hint == "pip install -U vaecli"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("version", 3, "'version' is not text"),
        ("schema", [], "'schema' is not an object"),
        ("config", None, "'config' is not an object"),
        ("summary", "x", "'summary' is not an object"),
        ("schema_fingerprint", {}, "'schema_fingerprint' is not text"),
    ],
)
def test_a_mistyped_key_is_named(tmp_path: Path, name: str, value: Any, words: str) -> None:
    """The manifest's keys have types, and a wrong one is named."""
    assert words in refusal(forged(tmp_path, lambda values: values.update({name: value}))).message


def test_digests_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """Digests of another type never reach the comparison."""
    old = parts(written(tmp_path))
    values = {**json.loads(old["manifest.json"]), "digests": {"manifest.json": 1}}
    path = zipped(tmp_path / "x", [("manifest.json", json.dumps(values).encode()), ("arrays.safetensors", b"")])
    assert "'digests' holds something other than text" in refusal(path).message


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    """A lone surrogate, which no table can hold and no terminal can print, is damage."""
    old = parts(written(tmp_path))
    text = old["manifest.json"].replace(b'"0.1.0"', b'"\\ud800"')
    entries = [("manifest.json", text), ("arrays.safetensors", old["arrays.safetensors"])]
    assert "is damaged" in refusal(zipped(tmp_path / "half.vae", entries)).message


def entry(dtype: str, shape: list[int], stop: int) -> dict[str, Any]:
    return {"weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, stop]}}


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"x", "is not safetensors"),
        (b"\xff" * 16, "is not safetensors"),
        (safetensors(b"{"), "is not safetensors"),
        (safetensors(b"[" * 10**5), "is not safetensors"),
        (safetensors(entry("F32", [2], 8), b"1234"), "is not safetensors"),
        (safetensors(entry("F32", [1], 4), b"12345678"), "is not safetensors"),
        (safetensors(entry("F32", [2**62, 2**62], 0)), "is not safetensors"),
        (safetensors(entry("F32", [0, 2**63], 0)), "an impossible shape"),
        (safetensors(entry("F32", [0] * 100, 0)), "an impossible shape"),
        (safetensors(entry("F16", [1], 2), b"ab"), "weight: F16"),
        (safetensors(entry("BF16", [1], 2), b"ab"), "weight: BF16"),
        (safetensors(entry("I8", [2], 2), b"ab"), "weight: I8"),
        (safetensors(entry("BOOL", [2], 2), b"\x01\x02"), "booleans other than 0 and 1"),
    ],
)
def test_arrays_with_right_digests_are_checked_all_the_same(tmp_path: Path, packed: bytes, words: str) -> None:
    """Whoever forges the digests too meets the checks of the arrays."""
    assert words in refusal(forged(tmp_path, packed=packed)).message


# --------------------------------------------------------------------------------------- laws


@st.composite
def damage(draw: st.DrawFn, whole: bytes) -> bytes:
    """A few random flips, cuts, repeats and insertions."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        # the directory and the headers are where a reader is hurt, so half of the blows land there
        near_end = draw(st.booleans())
        low = max(0, len(content) - 200) if near_end else 0
        at = draw(st.integers(low, max(low, len(content) - 1)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "delete", "insert", "repeat"]))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            new = draw(st.binary(min_size=1, max_size=8))
            content[at : at + len(new)] = new
        elif kind == "cut":
            del content[at:]
        elif kind == "delete":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif kind == "repeat":
            content += content[at : at + 60]
    return bytes(content)


@pytest.fixture(scope="module")
def whole_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("whole"))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_damage_is_refused_or_harmless(whole_bundle: Path, data: st.DataObject) -> None:
    """A damaged bundle is refused with exit 5 or holds exactly what was written; nothing else can happen."""
    path = whole_bundle.with_name("damaged.vae")
    path.write_bytes(data.draw(damage(whole_bundle.read_bytes())))
    try:
        found = read_bundle(path)
    except BundleError as problem:
        assert problem.hint  # noqa: PT017
        return
    assert_same(found)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_random_arrays_with_right_digests_are_refused_or_read(whole_bundle: Path, data: st.DataObject) -> None:
    """Damage that the digests do not show still ends in a refusal or in arrays of the six types."""
    packed = data.draw(damage(parts(whole_bundle)["arrays.safetensors"]))
    try:
        _, arrays = read_bundle(forged(whole_bundle.parent, packed=packed or b"x"))
    except BundleError:
        return
    assert {values.dtype for values in arrays.values()} <= set(limits.DTYPES.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(MANIFEST.to_json())), value=JSON)
def test_any_value_of_any_key_is_refused_or_read(whole_bundle: Path, name: str, value: Any) -> None:
    """Whatever JSON stands for a key, reading ends in a manifest of the right types or in a refusal."""
    old = parts(whole_bundle)
    text = json.dumps({**json.loads(old["manifest.json"]), name: value}).encode()
    entries = [("manifest.json", text), ("arrays.safetensors", old["arrays.safetensors"])]
    try:
        manifest, _ = read_bundle(zipped(whole_bundle.with_name("any.vae"), entries))
    except BundleError:
        return
    assert manifest == read_bundle(whole_bundle)[0]
