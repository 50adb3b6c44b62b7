"""Files with the same bytes: found among files of one size only, by what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaecli.tables.read import repeated
from vaecli.tables.read.locations import LocalFile
from vaecli.tables.read.repeated import repeated_files


def locations(place: Path, contents: dict[str, str]) -> list[LocalFile]:
    for name, text in contents.items():
        (place / name).write_text(text)
    return [LocalFile.found(str(place / name)) for name in contents]


def test_the_same_bytes_are_found_and_only_those(tmp_path: Path):
    """Each copy with the first file of its bytes; another file of the same size is none of them."""
    found = repeated_files(
        locations(tmp_path, {"a": "x\n1\n", "b": "x\n2\n", "c": "x\n1\n", "d": "x\n1\n", "e": "x\n"})
    )
    assert [(Path(name).name, Path(other).name) for name, other in found] == [("c", "a"), ("d", "a")]


def test_files_of_other_sizes_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A digest costs reading the file: only files of one size can be the same."""
    read: list[str] = []
    monkeypatch.setattr(repeated, "digest_of", lambda path, _: read.append(Path(path).name))
    assert repeated_files(locations(tmp_path, {"a": "x\n1\n", "b": "x\n22\n", "c": "x\n3\n"})) == []
    assert read == ["a", "c"]


def test_a_file_that_is_gone_is_not_compared(tmp_path: Path):
    """What cannot be read any more, after its rows were, is no error here."""
    files = locations(tmp_path, {"a": "x\n1\n", "b": "x\n1\n", "c": "x\n1\n"})
    (tmp_path / "a").unlink()
    assert repeated_files(files) == [(str(tmp_path / "c"), str(tmp_path / "b"))]
