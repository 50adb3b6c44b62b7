"""URLs: the same tables from memory and from object storage, written whole or not at all."""

from __future__ import annotations

import importlib.util
import logging
import sys
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaecli import tables
from vaecli.errors import EnvironmentProblem, InputError, UsageError

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
HAS_S3 = all(importlib.util.find_spec(name) for name in ("moto", "s3fs", "flask"))
ADDED = (("score", pa.float64()),)


@pytest.fixture(scope="module")
def s3_endpoint():
    """A loopback S3 server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_folder(s3_endpoint, monkeypatch):
    """A bucket of the loopback server."""
    for name, value in (
        ("AWS_ENDPOINT_URL", s3_endpoint),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex}"
    fs = fsspec.filesystem("s3")
    fs.mkdir(bucket)
    yield f"s3://{bucket}"
    fs.clear_instance_cache()


@pytest.fixture
def memory_folder():
    """A folder of fsspec's in-memory file system."""
    folder = f"memory://{uuid.uuid4().hex}"
    yield folder
    fsspec.filesystem("memory").rm(folder, recursive=True)


@pytest.fixture(
    params=[
        "memory",
        pytest.param(
            "s3",
            marks=[
                pytest.mark.s3,
                pytest.mark.skipif(not HAS_S3, reason="needs moto and s3fs: pip install 'moto[server]' s3fs"),
                # of botocore and moto, which the tests do not own
                pytest.mark.filterwarnings("ignore::DeprecationWarning"),
                pytest.mark.filterwarnings("ignore::ResourceWarning"),
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
            ],
        ),
    ]
)
def folder(request):
    """A remote folder that can be written, as a URL without a slash at its end."""
    return request.getfixturevalue(f"{request.param}_folder")


def put(url: str, content: bytes) -> str:
    with fsspec.open(url, "wb") as file:
        file.write(content)
    return url


def get(url: str) -> bytes:
    with fsspec.open(url, "rb") as file:
        return file.read()


def parquet_bytes(**columns) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out)
    return out.getvalue().to_pybytes()


def score(source: tables.Source, target: str, then: BaseException | None = None) -> None:
    """Write `source` to `target`: 0.5 for the first row, null for the others; then perhaps fail."""
    with tables.open_sink(target, source, ADDED) as sink:
        for batch in source.batches(tables.ReadRequest(keep=True)):
            sink.append(sink.render(batch, {"score": np.array([0.5, *[np.nan] * (batch.n_rows - 1)])}))
        if then is not None:
            raise then


def rows(source: tables.Source) -> list[dict]:
    return [row for batch in source.batches() for row in batch.table.to_pylist()]


def test_a_table_at_a_url(folder):
    """CSV, compressed CSV and Parquet are read and read again."""
    put(f"{folder}/t.csv", b"a,b\n1,x\n2,y\n")
    put(f"{folder}/t.csv.zst", pa.compress(b"a,b\n1,x\n2,y\n", codec="zstd", asbytes=True))
    put(f"{folder}/t.parquet", parquet_bytes(a=["1", "2"], b=["x", "y"]))
    for name in ("t.csv", "t.csv.zst", "t.parquet"):
        source = tables.open_source([f"{folder}/{name}"])
        assert rows(source) == rows(source) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
        [batch] = source.batches()
        assert batch.where(1).split("/")[-1] in (f"{name}, line 3", f"{name}, row 2")


def test_patterns_and_directories(folder):
    """A pattern and a folder of Parquet stand for their files, in order."""
    for i in (2, 1):
        put(f"{folder}/data/{i}.parquet", parquet_bytes(a=[i]))
        put(f"{folder}/{i}.csv", b"a\n%d\n" % i)
    put(f"{folder}/data/_SUCCESS", b"")
    assert rows(tables.open_source([f"{folder}/*.csv"])) == [{"a": "1"}, {"a": "2"}]
    assert rows(tables.open_source([f"{folder}/data"])) == [{"a": 1}, {"a": 2}]
    with pytest.raises(InputError, match="nothing there to read"):
        tables.open_source([f"{folder}/*.tsv"])


def test_writing_to_a_url(folder):
    """The output appears under the URL, in the format of its extension."""
    source = tables.open_source([put(f"{folder}/t.csv", b"a,b\n1,x\n2,y\n")])
    for name in ("out.csv", "out.parquet"):
        score(source, f"{folder}/{name}")
    assert get(f"{folder}/out.csv") == b"a,b,score\n1,x,0.5\n2,y,\n"
    assert rows(tables.open_source([f"{folder}/out.parquet"]))[0] == {"a": "1", "b": "x", "score": 0.5}


def test_an_interrupted_upload_leaves_the_earlier_object(folder, tmp_path, monkeypatch):
    """After an error the earlier object is untouched, and neither end keeps a temporary file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = tables.open_source([put(f"{folder}/t.csv", b"a,b\n1,x\n")])
    put(f"{folder}/out.csv", b"earlier")
    with pytest.raises(KeyboardInterrupt):
        score(source, f"{folder}/out.csv", then=KeyboardInterrupt())
    assert get(f"{folder}/out.csv") == b"earlier"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(folder):
    """A missing object is the input's fault; the input itself and a folder are no targets."""
    with pytest.raises(InputError, match="no such file"):
        tables.open_source([f"{folder}/no.csv"])
    source = tables.open_source([put(f"{folder}/data/t.csv", b"a,b\n1,x\n")])
    with pytest.raises(UsageError, match="is the input itself"):
        tables.open_sink(f"{folder}/data/t.csv", source, ADDED)
    for target in (f"{folder}/data", f"{folder}/new/"):
        with pytest.raises(UsageError, match=r"directory|slash"):
            tables.open_sink(target, source, ADDED)


@pytest.mark.s3
@pytest.mark.skipif(not HAS_S3, reason="needs moto and s3fs: pip install 'moto[server]' s3fs")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_bucket_that_does_not_exist(s3_folder):
    """An upload that is refused is the machine's problem, and names the URL."""
    source = tables.open_source([put(f"{s3_folder}/t.csv", b"a,b\n1,x\n")])
    with pytest.raises(EnvironmentProblem, match=r"s3://no-such-bucket-here/out\.csv"):
        score(source, "s3://no-such-bucket-here/out.csv")


def test_file_urls_are_local_files(tmp_path):
    """`file://` reads and writes with the guarantees of a local path, and needs no package."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,x\n")
    source = tables.open_source([f"file://{tmp_path}/t.csv"])
    score(source, f"file://{tmp_path}/out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"a,b,score\n1,x,0.5\n"


def test_unknown_schemes_and_missing_packages(monkeypatch):
    """A scheme nobody knows is wrong use; one whose package is missing names what to install."""
    with pytest.raises(UsageError, match="nosuch://"):
        tables.open_source(["nosuch://bucket/t.csv"])
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(EnvironmentProblem, match="s3://") as caught:
        tables.open_source(["s3://bucket/t.csv"])
    assert caught.value.hint == "pip install 'vaecli[remote]'"


def test_passwords_are_not_shown(monkeypatch):
    """Messages leave out the user and password of a URL."""
    with pytest.raises(UsageError) as caught:
        tables.open_source(["nosuch://me:secret@host/t.csv"])
    assert "secret" not in caught.value.message


def test_targets_that_can_only_be_read(tmp_path):
    """A web address is refused as a target before any row is read."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,x\n")
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    with pytest.raises(UsageError, match="read but not written"):
        tables.open_sink("https://example.org/out.csv", tables.open_source([str(tmp_path / "t.csv")]), ADDED)
