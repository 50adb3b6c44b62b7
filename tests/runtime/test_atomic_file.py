"""Files that appear whole or not at all."""

from __future__ import annotations

import stat

import pytest

from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.runtime import atomic_file


def test_bytes_replace_a_file_in_one_step(tmp_path):
    """The new content stands at the path, with the permissions of the old, and nothing beside it."""
    atomic_file.write_bytes(tmp_path / "model.vae", b"one")
    (tmp_path / "model.vae").chmod(0o600)
    atomic_file.write_bytes(tmp_path / "model.vae", b"two")
    assert (tmp_path / "model.vae").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "model.vae").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["model.vae"]


def test_an_aborted_file_leaves_no_trace(tmp_path):
    """Before the commit the old content stands; after an abort nothing else is there."""
    (tmp_path / "model.vae").write_bytes(b"one")
    file = atomic_file.open_atomic(tmp_path / "model.vae")
    file.stream.write(b"half")
    file.abort()
    assert (tmp_path / "model.vae").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.vae"]


def test_a_folder_that_may_no_longer_be_written(tmp_path, monkeypatch):
    """Neither the rename nor the removal is allowed: the refusal is reported, the old content stands."""

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "model.vae").write_bytes(b"one")
    with monkeypatch.context() as patch:
        patch.setattr(atomic_file.os, "replace", refused)
        patch.setattr(atomic_file.os, "unlink", refused)
        with pytest.raises(EnvironmentProblem, match="permission denied"):
            atomic_file.write_bytes(tmp_path / "model.vae", b"two")
    assert (tmp_path / "model.vae").read_bytes() == b"one"
    atomic_file.write_bytes(tmp_path / "model.vae", b"three")  # also removes what was left
    assert [path.name for path in tmp_path.iterdir()] == ["model.vae"]


def test_where_nothing_can_be_written(tmp_path):
    """A missing folder and a directory are wrong use, each with a way out."""
    for path, said in ((tmp_path / "no" / "model.vae", "no such directory"), (tmp_path, "is a directory")):
        with pytest.raises(UsageError, match=said) as caught:
            atomic_file.write_bytes(path, b"one")
        assert caught.value.hint


def test_a_failed_write_is_the_machines_refusal(tmp_path, monkeypatch):
    """When flushing to disk fails the user is informed, and the old content stands."""
    (tmp_path / "model.vae").write_bytes(b"one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        atomic_file.write_bytes(tmp_path / "model.vae", b"two")
    assert (tmp_path / "model.vae").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.vae"]


def test_a_temporary_file_that_something_removes(tmp_path):
    """As a job that cleans up does: the message does not name a folder that is there, and the earlier file stays."""
    (tmp_path / "out.csv").write_bytes(b"one")

    def write_and_lose() -> None:
        with atomic_file.replacing(tmp_path / "out.csv") as stream:
            stream.write(b"two")
            [temporary] = tmp_path.glob(".vaecli-*")
            temporary.unlink()

    with pytest.raises(EnvironmentProblem, match=r"out\.csv: the temporary file beside it was removed"):
        write_and_lose()
    assert (tmp_path / "out.csv").read_bytes() == b"one"


def test_a_link_to_a_folder_that_is_not_there(tmp_path):
    """The folder that is named is the one to make."""
    (tmp_path / "out.csv").symlink_to(tmp_path / "gone" / "out.csv")
    with pytest.raises(UsageError, match=rf"out\.csv: no such directory: {tmp_path}/gone"):
        atomic_file.write_bytes(tmp_path / "out.csv", b"one")
