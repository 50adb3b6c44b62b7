"""A loopback Spark Connect server (Sail), in a process of its own, for all tests of this folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server. Skips where Sail or the client are not installed."""
    pytest.importorskip("pysail")
    pytest.importorskip("grpc_status")
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
            server.kill()
            server.wait()


def wait_for(server: subprocess.Popen, port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())
