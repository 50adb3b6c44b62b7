"""Output that is the input is refused however it is named; a table that changes while it is read is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.verbs import machine_table
from vaecli.cli.app import main

TABLE = machine_table(0).drop(columns="note")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Path:
    """A bundle of the table."""
    folder = tmp_path_factory.mktemp("bundle")
    TABLE.to_csv(folder / "t.csv", index=False)
    with pytest.raises(SystemExit) as left:
        main(
            (
                "fit",
                str(folder / "t.csv"),
                "-o",
                str(folder / "m.vae"),
                "--config",
                str(quick),
                "--label",
                "fault",
                "-q",
            )
        )
    assert not left.value.code
    return folder / "m.vae"


@pytest.fixture
def place(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: tables, a bundle, and other names of both."""
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("t.csv", index=False)
    TABLE.to_parquet("t.parquet")
    (tmp_path / "m.vae").write_bytes(bundle.read_bytes())
    os.link("t.csv", "hard.csv")
    os.symlink("t.csv", "soft.csv")
    os.mkdir("sub")
    with zipfile.ZipFile("t.zip", "w") as archive:
        archive.write("t.csv")
    return tmp_path


# ------------------------------------------------------------------------------------- output that is the input

SAME = {
    "path": "score t.csv -m m.vae -o ./sub/../t.csv",
    "hard link": "score hard.csv -m m.vae -o t.csv",
    "symbolic link": "score t.csv -m m.vae -o soft.csv",
    "input local://": "score local://{P}/t.csv -m m.vae -o t.csv",
    "output local://": "score t.csv -m m.vae -o local://{P}/t.csv",
    "input file://": "score file://{P}/t.csv -m m.vae -o hard.csv",
    "output file://": "score t.csv -m m.vae -o file://{P}/t.csv",
    "both": "score local://{P}/t.csv -m m.vae -o file://{P}/soft.csv",
    "Parquet": "score local://{P}/t.parquet -m m.vae -o t.parquet",
    "cache": "score simplecache::file://{P}/t.csv -m m.vae -o t.csv",
    "cache local://": "score simplecache::local://{P}/t.csv -m m.vae -o t.csv",
    "two caches": "score simplecache::filecache::file://{P}/t.csv -m m.vae -o t.csv",
    "output cache": "score t.csv -m m.vae -o simplecache::file://{P}/t.csv",
    "archive": "score zip://t.csv::file://{P}/t.zip -m m.vae -o t.zip",
    "fit": "fit local://{P}/t.csv -o t.csv",
    "fit hard link": "fit hard.csv -o t.csv",
    "encode": "encode local://{P}/t.csv -m m.vae -o t.csv",
    "reconstruct": "reconstruct simplecache::file://{P}/t.csv -m m.vae -o t.csv",
    "report": "report local://{P}/t.csv -m m.vae -o t.csv",
    "explain": "explain local://{P}/t.csv -m m.vae -o t.csv",
    "evaluate": "evaluate local://{P}/t.csv -m m.vae --label fault -o t.csv",
    "selftest": "selftest local://{P}/t.csv -m m.vae -o t.csv",
    "sample": "sample -m m.vae --like local://{P}/t.csv -o t.csv",
}
SAME_IN_SHELL = {
    "standard input": "score - -m m.vae -o t.csv < t.csv",
    "standard input, hard link": "score - -m m.vae -o t.csv < hard.csv",
    "standard input, Parquet": "score - -m m.vae -o t.parquet < t.parquet",
    "standard input by path": "score /dev/stdin -m m.vae -o t.csv < t.csv",
    "standard input of fit": "fit - -o t.csv < t.csv",
    "read-write input": "score - -m m.vae -o t.csv <> t.csv",
    "read-write output": "score t.csv -m m.vae -o - 1<> t.csv",
    "both read-write": "score - -m m.vae <> t.csv >&0",
    "appended": "score t.csv -m m.vae -o - >> t.csv",
    "appended by path": "score t.csv -m m.vae -o /dev/stdout >> hard.csv",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("command", SAME.values(), ids=SAME)
def test_output_that_is_the_input(command: str, place: Path, run: Callable) -> None:
    """The input is not overwritten, under whatever name: exit 2 before anything is written."""
    if "::" in command:
        pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
    before = contents(place)
    done = run(*command.format(P=place).split())
    assert done.code == 2, done.err
    assert "is the input itself" in done.err
    assert contents(place) == before


QUICK_IN_SHELL = (
    "standard input",
    "standard input, Parquet",
    "read-write output",
    "both read-write",
    "appended by path",
)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=name, marks=[] if name in QUICK_IN_SHELL else pytest.mark.slow)
        for name, command in SAME_IN_SHELL.items()
    ],
)
def test_redirected_output_that_is_the_input(command: str, place: Path) -> None:
    """The input is not overwritten through a standard stream either."""
    before = contents(place)
    shell = f'"{sys.executable}" -m vaecli {command}'
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "is the input itself" in done.stderr
    assert contents(place) == before


def test_redirected_output_that_is_the_bundle(place: Path) -> None:
    """Nor is the bundle written over through standard output."""
    before = contents(place)
    shell = f'"{sys.executable}" -m vaecli score t.csv -m m.vae -o - 1<> m.vae'
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "is the bundle itself" in done.stderr
    assert contents(place) == before


def test_a_store_spelled_in_two_ways(place: Path, run: Callable) -> None:
    """Two spellings of one address are one file."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
    fsspec.filesystem("memory").pipe_file("/identity/t.csv", (place / "t.csv").read_bytes())
    done = run("score", "memory://identity/t.csv", "-m", "m.vae", "-o", "memory:///identity/t.csv")
    assert done.code == 2
    assert "is the input itself" in done.err


def test_devices_and_pipes_may_be_both(place: Path) -> None:
    """A pipe in and a pipe out are not one file."""
    shell = f'cat t.csv | "{sys.executable}" -m vaecli score - -m m.vae | wc -l'
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) == len(TABLE) + 1, done.stderr


# ----------------------------------------------------------------------------- a table that changes while it is read


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def rewritten_longer(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + data[-200:] if path.suffix == ".parquet" else data.replace(b"5", b"6") + data[-200:])


def rewritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-20] + b"1" * 20)
    os.utime(path, ns=(0, 10**18))


def other_columns(path: Path) -> None:
    table = pa.table({"else": range(10)})
    pq.write_table(table, path) if path.suffix == ".parquet" else path.write_bytes(b"else\n1\n2\n")


def removed(path: Path) -> None:
    path.unlink()


CHANGES = [replaced, rewritten, rewritten_longer, other_columns, removed]


def once_before(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], None]) -> None:
    """Let the function called `name` do `action` before its first call."""
    module, _, function = name.rpartition(".")
    real = getattr(sys.modules.get(module) or __import__(module, fromlist=["_"]), function)
    todo: list[Callable[[], None]] = [action]

    def changed(*arguments: Any, **named: Any) -> Any:
        while todo:
            todo.pop()()
        return real(*arguments, **named)

    monkeypatch.setattr(name, changed)


WHILE_READ = "reading"  # between the opening and the last byte
READERS = {
    ".csv": "vaecli.tables.read.delimited.cut_into_blocks",
    ".parquet": "vaecli.tables.read.parquet._with_constants",
}
MOMENTS = {
    "fit, between readings": ("vaecli.workflows.fit.read_normal_rows", "fit"),
    "fit, while read": (WHILE_READ, "fit"),
    "score, before reading": ("vaecli.workflows.score.check_schema", "score"),
    "score, while read": (WHILE_READ, "score"),
    "report, before reading": ("vaecli.workflows.report.check_schema", "report"),
    "encode, before reading": ("vaecli.workflows.encode.check_schema", "encode"),
    "reconstruct, before reading": ("vaecli.workflows.reconstruct.check_schema", "reconstruct"),
    "evaluate, before reading": ("vaecli.workflows.evaluate.check_schema", "evaluate"),
}


@pytest.mark.parametrize("table", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(("moment", "verb"), MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_changes(
    change: Callable,
    moment: str,
    verb: str,
    table: str,
    place: Path,
    quick: Path,
    run: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table that was replaced, rewritten or removed between two openings or while it is read is exit 4."""
    function = READERS[Path(table).suffix] if moment == WHILE_READ else moment
    once_before(monkeypatch, function, lambda: change(place / table))
    more = {
        "fit": ("--config", str(quick), "--label", "fault"),
        "evaluate": ("-m", "m.vae", "--label", "fault"),
    }.get(verb, ("-m", "m.vae"))
    done = run(verb, table, "-o", "out.csv", *more)
    assert done.code == 4, done.err
    assert f"error: {table}: changed while it was read\n" in done.err
    assert "try again when it is complete" in done.err
    assert not (place / "out.csv").exists()


@pytest.mark.parametrize(("moment", "verb"), MOMENTS.values(), ids=MOMENTS)
def test_a_text_to_which_rows_are_appended(
    moment: str, verb: str, place: Path, quick: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that there were at the start are the table: the same output as without the others, and a note."""
    more = {"fit": ("--config", str(quick), "--label", "fault"), "evaluate": ("-m", "m.vae", "--label", "fault")}
    options = more.get(verb, ("-m", "m.vae"))
    expected = run(verb, "t.csv", "-o", "expected.out", *options)
    rows = (place / "t.csv").read_text().splitlines(keepends=True)[1:50]

    def append() -> None:
        add(place / "t.csv", "".join([*rows, "half a ro"]).encode())

    once_before(monkeypatch, READERS[".csv"] if moment == WHILE_READ else moment, append)
    done = run(verb, "t.csv", "-o", "out.out", *options)
    assert (done.code, expected.code) == (0, 0), done.err
    written = {name: (place / name).read_bytes() for name in ("expected.out", "out.out")}
    assert len(written["out.out"]) > 100
    if verb != "report":  # which names the file and the moment
        assert written["out.out"] == written["expected.out"]
    if verb in ("fit", "score"):
        assert "warning: t.csv grew while it was read: what was appended is not part of this run" in done.out


@pytest.mark.parametrize("verb", ["fit", "score"])
def test_a_last_line_that_was_half_written(
    verb: str, place: Path, quick: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no row if it had grown by the time it was read; if it was taken for one before, exit 4 and the reason."""
    whole = (place / "t.csv").read_bytes()
    head, half = whole[:-120], whole[-120:-70]
    assert b"\n" in half
    (place / "t.csv").write_bytes(head + half)
    rows = (head + half).count(b"\n") - 1

    def append() -> None:
        add(place / "t.csv", whole[-70:])

    options = ("--config", str(quick), "--label", "fault") if verb == "fit" else ("-m", "m.vae")
    once_before(monkeypatch, READERS[".csv"], append)
    done = run(verb, "t.csv", "-o", "out.out", "--json", *options)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found.get("rows", found.get("n_rows", 0) + found.get("n_excluded_by_label", 0)) == rows


def test_a_half_written_line_that_was_taken_for_a_row(
    place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file grows after it was read to its end: what the row said may not have been all of it."""
    (place / "t.csv").write_bytes((place / "t.csv").read_bytes()[:-1])

    def append() -> None:
        add(place / "t.csv", b"5\n")

    once_before(monkeypatch, "vaecli.tables.read.records._reject_nul", append)
    done = run("score", "t.csv", "-m", "m.vae", "-o", "out.csv")
    assert done.code == 4
    assert "error: t.csv: grew while it was read, and its last line had been half-written\n" in done.err
    assert not (place / "out.csv").exists()


@pytest.mark.parametrize("moment", ["vaecli.workflows.score.check_schema", READERS[".csv"]])
def test_an_object_that_changes(moment: str, place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of a store that is replaced while it is read is exit 4."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
    memory, content = fsspec.filesystem("memory"), (place / "t.csv").read_bytes()
    memory.pipe_file("/identity/t.csv", content)
    once_before(monkeypatch, moment, lambda: memory.pipe_file("/identity/t.csv", content[:-1] + b"0"))
    done = run("score", "memory://identity/t.csv", "-m", "m.vae", "-o", "out.csv")
    assert done.code == 4, done.err
    assert "memory://identity/t.csv: changed while it was read" in done.err


def test_one_of_several_files_changes(place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that changed is named."""
    TABLE.to_csv("u.csv", index=False)
    once_before(monkeypatch, "vaecli.workflows.score.check_schema", lambda: replaced(place / "u.csv"))
    done = run("score", "t.csv", "u.csv", "-m", "m.vae", "-o", "out.csv")
    assert done.code == 4
    assert "error: u.csv: changed while it was read" in done.err


def test_a_table_that_is_only_read_by_others(place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the table and changing who may read it do not change it."""

    def touch() -> None:
        (place / "t.csv").read_bytes()
        (place / "t.csv").chmod(0o600)

    once_before(monkeypatch, "vaecli.workflows.score.check_schema", touch)
    assert run("score", "t.csv", "-m", "m.vae", "-o", "out.csv").code == 0


# ------------------------------------------------------------------------------------------------- permissions


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Set the umask, until the test ends."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


VERBS = {
    "score": "score t.csv -m m.vae -o out.csv",
    "score to Parquet": "score t.csv -m m.vae -o out.parquet",
    "encode": "encode t.csv -m m.vae -o out.csv",
    "report": "report t.csv -m m.vae -o out.html",
    "sample": "sample -m m.vae --rows 5 -o out.csv",
    "fit": "fit t.csv --config {C} --label fault -o out.vae",
}


MASKS = {0o022: 0o644, 0o077: 0o600, 0o027: 0o640, 0o002: 0o664}
EARLIER_MODES = {0o640: 0o640, 0o600: 0o600, 0o666: 0o666, 0o4755: 0o755, 0o2770: 0o770}


def crossed(modes: dict[int, int], for_all: int) -> list[Any]:
    """Every mode for `score` and one of them for every verb; the other pairs are slow."""
    return [
        pytest.param(
            command,
            given,
            mode,
            id=f"{verb}-{given:o}",
            marks=[] if verb == "score" or given == for_all else pytest.mark.slow,
        )
        for verb, command in VERBS.items()
        for given, mode in modes.items()
    ]


@pytest.mark.parametrize(("command", "mask", "mode"), crossed(MASKS, 0o077))
def test_a_new_file_has_the_mode_of_the_umask(
    command: str, mask: int, mode: int, place: Path, quick: Path, run: Callable, umask: Callable
) -> None:
    """A new output gets the mode that the umask leaves, no other."""
    umask(mask)
    words = command.format(C=quick).split()
    assert run(*words).code == 0
    assert (place / words[-1]).stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize(("command", "earlier", "mode"), crossed(EARLIER_MODES, 0o4755))
def test_a_replaced_file_keeps_its_mode(
    command: str, earlier: int, mode: int, place: Path, quick: Path, run: Callable, umask: Callable
) -> None:
    """The new output has the mode of the one it replaces, without the bits that run it as its owner."""
    umask(0o022)
    words = command.format(C=quick).split()
    target = place / words[-1]
    target.write_bytes(b"earlier")
    target.chmod(earlier)
    assert run(*words).code == 0
    assert target.stat().st_mode & 0o7777 == mode


def test_unfinished_files_are_private(place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is complete, only its owner can read what is written."""
    modes: list[int] = []

    def look() -> None:
        modes.extend(path.stat().st_mode & 0o777 for path in place.iterdir() if path.name.endswith(".part"))

    once_before(monkeypatch, "vaecli.tasks.score.to_cells", look)
    (place / "out.csv").write_bytes(b"earlier")
    assert run("score", "t.csv", "-m", "m.vae", "-o", "out.csv").code == 0
    assert modes == [0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_replaced_file_keeps_its_owner_and_group(place: Path, run: Callable) -> None:
    """Owner and group of the replaced file stay, where that is allowed."""
    (place / "out.csv").write_bytes(b"earlier")
    os.chown(place / "out.csv", 1234, 2345)
    assert run("score", "t.csv", "-m", "m.vae", "-o", "out.csv").code == 0
    found = (place / "out.csv").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


def test_rights_of_a_group_are_not_given_to_another(
    place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the group cannot be kept, another does not get its rights."""

    def forbidden(*_: object) -> None:
        raise PermissionError

    (place / "out.csv").write_bytes(b"earlier")
    (place / "out.csv").chmod(0o664)
    group = (place / "out.csv").stat().st_gid
    monkeypatch.setattr(os, "fchown", forbidden)
    real = os.fstat
    monkeypatch.setattr(
        "vaecli.runtime.atomic_file.os.fstat",
        lambda descriptor: os.stat_result([*real(descriptor)[:5], group + 1, *real(descriptor)[6:]]),
    )
    assert run("score", "t.csv", "-m", "m.vae", "-o", "out.csv").code == 0
    assert (place / "out.csv").stat().st_mode & 0o777 == 0o644


# ---------------------------------------------------------------------------------------------------- archives


def test_a_table_in_an_archive(place: Path, run: Callable) -> None:
    """A table inside an archive is scored like the table itself."""
    pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
    assert run("score", "t.csv", "-m", "m.vae", "-o", "plain.csv").code == 0
    done = run("score", f"zip://t.csv::file://{place}/t.zip", "-m", "m.vae", "-o", "unpacked.csv")
    assert done.code == 0, done.err
    assert (place / "unpacked.csv").read_bytes() == (place / "plain.csv").read_bytes()


def test_a_store_that_forbids_listing(place: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object whose folder may not be listed is read all the same."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'vaecli[remote]'")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/identity/t.csv", (place / "t.csv").read_bytes())

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(memory), "glob", forbidden)
    done = run("score", "memory://identity/t.csv", "-m", "m.vae", "-o", "out.csv")
    assert done.code == 0, done.err
