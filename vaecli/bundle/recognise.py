"""Recognises a file that is not a bundle by its first bytes, for the person who named it by mistake."""

from __future__ import annotations

from vaecli.bundle.manifest import MANIFEST
from vaecli.runtime import file_types

_LOOKS = (
    *((b"\x80" + bytes([protocol]), "a pickle, which vaecli never opens") for protocol in range(2, 6)),
    (file_types.PARQUET, "a Parquet table"),
    (file_types.ARROW, "an Arrow table"),
    (file_types.GZIP, "a gzip file"),
    (file_types.ZSTD, "a zstd file"),
    (file_types.HDF5, "an HDF5 file"),
    (file_types.NUMPY, "a NumPy array"),
    (file_types.SQLITE, "a SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"),
    (b"PK\x05\x06", "an empty ZIP archive"),
)
_ZIP_LOOKS = (
    ("data.pkl", "a PyTorch file, which holds a pickle that vaecli never opens"),
    (".npy", "a NumPy archive"),
    ("[Content_Types].xml", "an Office document"),
)


def looks_like(head: bytes) -> str:
    """What the file that begins with `head` seems to be, in words; empty if it may be a bundle."""
    if head.startswith(file_types.ZIP):
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("utf-8", "replace")
        if MANIFEST.startswith(name):  # a part of the name: the file is truncated, which is reported later
            return ""
        return next((words for end, words in _ZIP_LOOKS if name.endswith(end)), f"a ZIP archive of {name[:80]!r}")
    for magic, words in _LOOKS:
        if head.startswith(magic):
            return words
    if len(head) >= 9 and head[8:9] == b"{":
        return "bare safetensors, without a manifest"
    if not head.strip(b"\0"):
        return "zeros, as a crash of the machine leaves them"
    return _looks_like_text(head)


def _looks_like_text(head: bytes) -> str:
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    if "\0" in text or len(text) < 0.9 * len(head.strip()):
        return "binary data of another program"
    if text.startswith("<"):
        return "a web page or XML, perhaps an error page saved by a download"
    if text.startswith(("{", "[")):
        return "JSON"
    first_line = text.partition("\n")[0]
    return "a text table such as CSV" if any(mark in first_line for mark in ",;\t|") else "text"
