"""URLs are shown without their secrets, and distinguished from local paths."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vaecli.runtime.urls import end_of_chain, is_url, scrubbed, shown, without_file_scheme


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pump.csv", "pump.csv"),
        ("odd?name@here.csv", "odd?name@here.csv"),
        ("s3://bucket/pump.csv", "s3://bucket/pump.csv"),
        ("s3://bucket/part-?.csv", "s3://bucket/part-?.csv"),
        ("s3://bucket/pump@2.csv", "s3://bucket/pump@2.csv"),
        ("ftp://me:secret@host/pump.csv", "ftp://host/pump.csv"),
        ("ftp://token@host/pump.csv", "ftp://host/pump.csv"),
        ("ftp://me:se/cr@et@host/pump.csv", "ftp://host/pump.csv"),
        ("https://host:8080/pump.csv", "https://host:8080/pump.csv"),
        ("https://host/pump.csv?sig=secret", "https://host/pump.csv"),
        ("https://host/pump.csv?secret", "https://host/pump.csv"),
        ("https://host/pump.csv#access_token=secret", "https://host/pump.csv"),
        ("https://host/pump.csv?mail=a@b&sig=secret", "https://host/pump.csv"),
        ("https://me:se?cret@host/pump.csv", "https://…"),
        ("az://box/pump.csv?sig=secret", "az://box/pump.csv"),
        ("simplecache::https://me:secret@host/p.csv?sig=s", "simplecache::https://host/p.csv"),
        ("zip://a.csv::https://me:secret@host/p.zip?sig=s", "zip://a.csv::https://host/p.zip"),
        ("https:/me:secret@host/pump.csv?sig=s", "https:/host/pump.csv"),
    ],
)
def test_shown(name: str, expected: str) -> None:
    """A name is shown without user, password and query, a local one as it is."""
    assert shown(name) == expected


_PASSWORDS = st.text("ab:/@?#%&=+.-", max_size=8).map(lambda text: f"{text}SECRET{text}")


@given(scheme=st.sampled_from(["https", "s3", "ftp", "simplecache::https"]), password=_PASSWORDS, query=_PASSWORDS)
def test_no_password_is_shown(scheme: str, password: str, query: str) -> None:
    """Whatever characters a password or signature has, no part of it is shown, nor quoted by others."""
    with_password, with_query = f"{scheme}://me:{password}@host/pump.csv", f"sig={query}"
    for url, quoted in (
        (with_password, password),
        (f"{scheme}://host/pump.csv?{with_query}", query),
        (f"{with_password}?{with_query}", f"{password} {query}"),
    ):
        assert "SECRET" not in shown(url)
        assert "SECRET" not in scrubbed(f"cannot open '{url}' ({quoted})", url)


@pytest.mark.parametrize(
    ("name", "url", "path"),
    [
        ("file:///data/pump.csv", False, "/data/pump.csv"),
        ("local:///data/pump.csv", False, "/data/pump.csv"),
        ("LOCAL://pump.csv", False, "pump.csv"),
        ("s3://bucket/pump.csv", True, "s3://bucket/pump.csv"),
        ("simplecache::file:///data/pump.csv", True, "simplecache::file:///data/pump.csv"),
        ("a::b.csv", False, "a::b.csv"),
    ],
)
def test_local_paths(name: str, url: bool, path: str) -> None:
    """`file://` and `local://` name local files."""
    assert is_url(name) is url
    assert without_file_scheme(name) == path


def test_the_end_of_a_chain() -> None:
    """A cache stands for its target."""
    assert end_of_chain("simplecache::filecache::s3://bucket/pump.csv") == "s3://bucket/pump.csv"
    assert end_of_chain("a::b.csv") == "a::b.csv"
