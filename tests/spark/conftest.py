"""A loopback Spark Connect server (Sail), in a process of its own, for all tests of this folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, or of the one that VAECLI_TEST_REMOTE names. Skips where Sail or the client miss."""
    pytest.importorskip("grpc_status")
    if given := os.environ.get("VAECLI_TEST_REMOTE"):
        yield given
        end_session()
        return
    pytest.importorskip("pysail")
    # without a main module, as in a worker of xdist, pyspark-client 4.2 leaves the process where this is not set
    os.environ.setdefault("SPARK_HOME", "not used")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("sail") / "log"
    with log.open("w") as stream:
        command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=log.parent)
        try:
            wait_for(server, port, log)
            yield f"sc://127.0.0.1:{port}"
        finally:
            end_session()
            server.kill()
            server.wait()


def tolerance() -> float:
    """How far scores may differ, relative: by nothing where BLAS has the kernels of AVX-512, which know no places."""
    kernels = {one.get("architecture") for one in threadpool_info() if one["user_api"] == "blas"}
    return 0.0 if kernels <= {"SkylakeX", "Cooperlake", "SapphireRapids"} else 1e-5


def end_session() -> None:
    """Say goodbye while the server is there: at its end the client would look for it for ten minutes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


def wait_for(server: subprocess.Popen, port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())
