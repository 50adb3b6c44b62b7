"""No user, password, signature or token of a URL is printed or written anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.verbs import machine_table
from vaecli.cli.app import main

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")

PASSWORD, TOKEN = "s3cr3t", "t0k3n"
USERS = (f"me:{PASSWORD}", f"me:{PASSWORD}/{PASSWORD}@{PASSWORD}")
FOLDER = f"{USERS[1]}@lake"
QUERY = f"?sig={TOKEN}&exp=1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Path:
    """A folder with a table of each kind and a bundle; the same tables are at URLs with secrets."""
    folder = tmp_path_factory.mktemp("place")
    table = machine_table(0).drop(columns="note")
    table.to_csv(folder / "t.csv", index=False)
    table.drop(columns="flow").to_csv(folder / "narrow.csv", index=False)
    table.assign(flow="broken").to_csv(folder / "broken.csv", index=False)
    table.to_parquet(folder / "t.parquet")
    (folder / "damaged.parquet").write_bytes((folder / "t.parquet").read_bytes()[:-9])
    (folder / "empty.csv").write_bytes(b"")
    words = ("-o", str(folder / "m.vae"), "--config", str(quick), "--label", "fault", "-q")
    with pytest.raises(SystemExit) as left:
        main(("fit", str(folder / "t.csv"), *words))
    assert not left.value.code
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe_file(f"/{FOLDER}/{path.name}", path.read_bytes())
        memory.pipe_file(f"/{FOLDER}/{path.name}{QUERY}", path.read_bytes())
    return folder


class Answer(BaseHTTPRequestHandler):
    """A server of one table, which forbids and misses others, and quotes what was asked."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        table = machine_table(0).drop(columns="note").to_csv(index=False).encode()
        status = {"t.csv": 200, "forbidden.csv": 403, "gone.csv": 410}.get(name, 404)
        body = table if status == 200 else self.path.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name is given by the base class

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Host and port of a loopback server."""
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


# {M}: a folder in memory whose name has a password; {Q}: a signature; -m m.vae is the bundle of the place
COMMANDS = {
    "fit": "fit {M}/t.csv -o x.vae --config {C}",
    "fit json": "fit {M}/t.csv{Q} -o x.vae --config {C} --json",
    "fit missing": "fit {M}/no.csv{Q} -o x.vae",
    "fit several": "fit {M}/t.csv {M}/narrow.csv -o x.vae",
    "fit pattern": "fit {M}/*.tsv -o x.vae",
    "fit empty": "fit {M}/empty.csv{Q} -o x.vae",
    "fit to a URL": "fit t.csv -o {M}/x.vae{Q}",
    "fit no such column": "fit {M}/t.csv{Q} -o x.vae --label nosuch",
    "fit few rows": "fit {M}/t.csv{Q} -o x.vae --config {M}/no.toml{Q}",
    "score": "score {M}/t.csv{Q} -m m.vae -o x.csv",
    "score json": "score {M}/t.csv -m m.vae -o x.csv --json",
    "score beside": "score {M}/t.csv -m m.vae",
    "score to a URL": "score t.csv -m m.vae -o {M}/x.csv",
    "score to a signed URL": "score t.csv -m m.vae -o {M}/x.csv{Q} --json",
    "score to a folder": "score t.csv -m m.vae -o {M}/new/",
    "score onto itself": "score {M}/t.csv -m m.vae -o {M}/t.csv",
    "score broken": "score {M}/broken.csv{Q} -m m.vae -o x.csv",
    "score narrow": "score {M}/narrow.csv{Q} -m m.vae -o x.csv",
    "score damaged": "score {M}/damaged.parquet{Q} -m m.vae -o x.csv",
    "score mixed": "score {M}/t.csv {M}/t.parquet -m m.vae -o x.csv",
    "score other format": "score t.csv -m m.vae -o {M}/x.xlsx",
    "score compressed Parquet": "score t.csv -m m.vae -o {M}/x.parquet.gz",
    "score pattern beside": "score {M}/t*.csv -m m.vae",
    "score unknown scheme": "score nosuch://{U}@lake/t.csv{Q} -m m.vae -o x.csv",
    "score to unknown scheme": "score t.csv -m m.vae -o nosuch://{U}@lake/t.csv{Q}",
    "score chained": "score simplecache::{M}/no.csv{Q} -m m.vae -o x.csv",
    "score bundle": "score t.csv -m {M}/m.vae{Q} -o x.csv",
    "score plot": "score t.csv -m m.vae -o x.csv --plot {M}/p.gif",
    "explain": "explain {M}/t.csv{Q} -m m.vae --json",
    "explain to a URL": "explain t.csv -m m.vae -o {M}/x.csv --json",
    "evaluate": "evaluate {M}/t.csv{Q} -m m.vae --label fault --json",
    "evaluate missing": "evaluate {M}/no.csv{Q} -m m.vae --label fault",
    "selftest": "selftest {M}/t.csv{Q} -m m.vae --json --rows 50",
    "encode": "encode {M}/t.csv -m m.vae -o {M}/x.csv --json",
    "reconstruct": "reconstruct {M}/t.csv -m m.vae -o {M}/x.csv --json",
    "sample": "sample -m m.vae -o {M}/x.csv --json",
    "sample like": "sample -m m.vae --like {M}/t.csv{Q} -o x.csv --json",
    "report": "report {M}/t.csv{Q} -m m.vae -o x.html --json",
    "report to a URL": "report {M}/t.csv -m m.vae -o {M}/x.html",
    "inspect": "inspect {M}/m.vae{Q}",
}
WEB = {
    "web": ("score http://{U}@{H}/t.csv{Q} -m m.vae -o x.csv --json", 0, ""),
    "web 404": ("score http://{H}/no.csv{Q} -m m.vae -o x.csv", 4, "no such file: the server answers 404"),
    "web 410": ("score http://{H}/gone.csv{Q} -m m.vae -o x.csv", 4, "no such file: the server answers 410"),
    "web 403": ("score http://{H}/forbidden.csv{Q} -m m.vae -o x.csv", 4, "the server answers 403"),
    "web pattern mark": ("fit http://{U}@{H}/no.csv{Q} -o x.vae", 4, "a signed link may have expired"),
    "web nobody there": ("score http://{U}@127.0.0.1:1/t.csv{Q} -m m.vae -o x.csv", 4, "cannot be read"),
    "web beside": ("score http://{U}@{H}/t.csv{Q} -m m.vae", 2, "cannot be written beside it"),
    "web target": ("score t.csv -m m.vae -o http://{U}@{H}/t.csv{Q}", 2, "can be read but not written"),
}


def require_no_secret(done, folder: Path) -> None:
    """Neither the streams nor a file that was written hold a part of a password or signature."""
    for text in (done.out, done.err):
        assert PASSWORD not in text, text
        assert TOKEN not in text, text
    for path in folder.glob("x.*"):
        content = path.read_bytes()
        assert PASSWORD.encode() not in content, path
        assert TOKEN.encode() not in content, path
        path.unlink()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_secret_is_shown(
    command: str, place: Path, quick: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages, summaries, JSON, pages, tables and bundles show sources and targets without secrets."""
    monkeypatch.chdir(place)
    words = command.format(M=f"memory://{FOLDER}", Q=QUERY, U=USERS[1], C=quick).split()
    done = run(*words)
    assert done.code in (0, 2, 4, 5), done.err
    assert "Traceback" not in done.err
    require_no_secret(done, place)


@pytest.mark.parametrize(("command", "code", "message"), WEB.values(), ids=WEB)
def test_no_secret_of_a_web_address_is_shown(
    command: str, code: int, message: str, place: Path, server: str, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web address is shown without secrets, and an answer of its server is not taken for a pattern."""
    monkeypatch.chdir(place)
    done = run(*command.format(H=server, Q=QUERY, U=USERS[0]).split())
    assert done.code == code, done.err
    assert message in done.err
    assert "pattern" not in done.err
    require_no_secret(done, place)
