"""Only new rows: of files that grow, and are rotated, truncated and replaced. No row is left out, none read twice."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.errors import BundleError, InputError, UsageError
from vaecli.tables import ReadRequest, open_source
from vaecli.tables.read import since
from vaecli.tables.read.since import Progress

HEADER = "id,text\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_ids(pattern: str = "*.csv*", state: str = "state") -> list[str]:
    """The identifiers of the rows that a run reads, which then notes what it has read."""
    progress = Progress.load(Path(state))
    source = open_source([pattern], once=True, since=progress)
    found = [one for batch in source.batches(ReadRequest(["id"])) for one in batch.table["id"].to_pylist()]
    progress.save()
    return [str(one) for one in found]


def rows(*ids: object) -> str:
    return "".join(f"{one},t{one}\n" for one in ids)


def write(name: str, *ids: object) -> None:
    Path(name).write_text(HEADER + rows(*ids))


def append(name: str, text: str) -> None:
    with open(name, "a") as file:
        file.write(text)


def test_a_file_that_grows():
    """Each run reads what was appended since, and then nothing."""
    write("a.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    assert new_ids() == []
    append("a.csv", rows(3, 4))
    assert new_ids() == ["3", "4"]
    assert new_ids() == []


def test_new_files_come_after_those_that_grow():
    """Files known before are read first, whatever their names: their rows are older."""
    write("b.csv", 1)
    assert new_ids() == ["1"]
    append("b.csv", rows(2))
    write("a.csv", 3)
    assert new_ids() == ["2", "3"]


def test_a_half_written_line_waits():
    """A line without an end is read when it has one; or as it is, if its file has not changed for a run."""
    write("a.csv", 1)
    append("a.csv", "2,t")
    assert new_ids() == ["1"]
    append("a.csv", "wo\n3,t")
    assert new_ids() == ["2"]
    assert new_ids() == ["3"]
    assert new_ids() == []
    append("a.csv", "\n" + rows(4))
    assert new_ids() == ["4"]


def test_a_line_that_went_on_after_all_is_read_again():
    """What was taken for a whole row and was none comes once more, complete."""
    write("a.csv", 1)
    append("a.csv", "2,half")
    assert [new_ids(), new_ids()] == [["1"], ["2"]]
    append("a.csv", " no more\r\n" + rows(3))
    assert new_ids() == ["2", "3"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_late_line_end_is_no_row(ending: str):
    """The end of a line that was taken as it was begins no new row."""
    write("a.csv", 1)
    append("a.csv", "2,t")
    assert [new_ids(), new_ids()] == [["1"], ["2"]]
    append("a.csv", ending)
    assert new_ids() == []
    append("a.csv", rows(3))
    assert new_ids() == ["3"]


def test_rotated_by_renaming():
    """What came before the rotation is read of the renamed file, what came after of the new one, in this order."""
    write("a.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    append("a.csv", rows(3))
    os.rename("a.csv", "a.csv.1")
    write("a.csv", 4)
    assert new_ids() == ["3", "4"]
    os.rename("a.csv.1", "a.csv.2")
    os.rename("a.csv", "a.csv.1")
    write("a.csv", 5)
    assert new_ids() == ["5"]


def test_rotated_by_copying():
    """A file copied and truncated (logrotate's copytruncate): its copy is known, its new rows are new."""
    write("a.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    append("a.csv", rows(3))
    shutil.copy("a.csv", "a.csv.1")
    write("a.csv", 4)
    assert new_ids() == ["3", "4"]


def test_truncated_and_written_anew():
    """Shorter, as long and longer than before: other content is new from its first row."""
    write("a.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    for ids in (["3"], ["4"], ["5", "6", "7"]):
        write("a.csv", *ids)
        assert new_ids() == ids


def test_a_changed_middle_is_seen():
    """A large table that is written again with one cell in its middle changed, and its ends as before, is new."""
    ids = [str(i) for i in range(100_000, 103_000)]
    write("a.csv", *ids)
    assert new_ids() == ids
    ids[1500] = "999999"
    write("a.csv", *ids)
    assert new_ids() == ids


def test_replaced_by_another_file():
    """A rename over the file, as editors and exports do it."""
    write("a.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    write("other", 3, 4)
    os.replace("other", "a.csv")
    assert new_ids() == ["3", "4"]


def test_files_that_did_not_change_are_not_read(monkeypatch: pytest.MonkeyPatch):
    """Size, inode and time of change suffice for a file that was last written well before it was read."""
    write("a.csv", 1, 2)
    os.utime("a.csv", (1e9, 1e9))
    assert new_ids() == ["1", "2"]

    def unwanted(*given: object) -> None:
        pytest.fail("the file was read")

    monkeypatch.setattr("vaecli.tables.read.since._pieces", unwanted)
    assert new_ids() == []


def test_the_same_content_under_a_new_name_is_new():
    """A machine that stands still writes the same rows every day: a file that is gone does not hide the next."""
    write("day1.csv", 1, 2)
    assert new_ids() == ["1", "2"]
    os.remove("day1.csv")
    write("day2.csv", 1, 2)  # often with the same inode
    os.utime("day2.csv", (2e9, 2e9))
    assert new_ids() == ["1", "2"]


def test_an_empty_file_beside_others_waits():
    """A file that was just made, or whose header is half written, is not read yet."""
    write("a.csv", 1)
    Path("b.csv").write_text("")
    Path("c.csv").write_text("id,te")
    assert new_ids() == ["1"]
    write("b.csv", 2)
    write("c.csv", 3)
    assert new_ids() == ["2", "3"]


def test_parquet_and_compressed_files_are_read_as_wholes():
    """A file of these formats is new, or known; one that was written again is new."""
    for i, name in enumerate(("a.parquet", "b.parquet")):
        pq.write_table(pa.table({"id": [str(i)], "text": ["t"]}), name)
        assert new_ids("*.parquet") == [str(i)]
    assert new_ids("*.parquet") == []
    pq.write_table(pa.table({"id": ["7", "8"], "text": ["t", "u"]}), "a.parquet")
    assert new_ids("*.parquet") == ["7", "8"]
    assert new_ids(".") == []
    for i in (1, 2):
        Path(f"{i}.csv.gz").write_bytes(gzip.compress((HEADER + rows(i)).encode()))
        assert new_ids("*.gz", "other") == [str(i)]
    assert new_ids("*.gz", "other") == []


def test_lines_in_messages_are_those_of_the_file():
    """A row that cannot be read is named by its line in the file, and comes again until it is mended."""
    write("a.csv", 1, 2)
    new_ids()
    append("a.csv", rows(3) + "4,t,too many\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.csv, line 5"):
            new_ids()


def test_a_file_that_is_not_of_this_run_is_remembered():
    """Runs with one state and different patterns read each file once; what no longer exists is forgotten."""
    write("a.csv", 1)
    write("b.csv", 2)
    assert new_ids("a.csv") == ["1"]
    assert new_ids("b.csv") == ["2"]
    assert new_ids() == []
    os.remove("a.csv")
    new_ids("b.csv")
    assert len(json.loads(Path("state").read_text())["files"]["path"]) == 1


def test_a_run_that_fails_notes_nothing():
    """Without `save` the next run reads the same rows."""
    write("a.csv", 1, 2)
    open_source(["a.csv"], once=True, since=Progress.load(Path("state")))
    assert not Path("state").exists()
    assert new_ids() == ["1", "2"]


def test_a_file_that_grows_while_it_is_read():
    """What is appended after the start of a run is of the next."""
    write("a.csv", *range(10))
    progress = Progress.load(Path("state"))
    source = open_source(["a.csv"], once=True, since=progress)
    append("a.csv", rows("late") + "half")
    assert sum(batch.n_rows for batch in source.batches()) == 10
    progress.save()
    assert new_ids() == ["late"]


@pytest.mark.parametrize("change", [lambda: write("a.csv", 7, 8), lambda: os.remove("a.csv")])
def test_a_file_that_is_replaced_while_it_is_read(change: Callable[[], None]):
    """Nothing is noted of what may not be what was read."""
    write("a.csv", *range(10))
    progress = Progress.load(Path("state"))
    source = open_source(["a.csv"], once=True, since=progress)
    change()
    with pytest.raises(InputError, match=r"a\.csv: changed while it was read"):
        list(source.batches())
    with pytest.raises(InputError, match=r"a\.csv"):
        progress.save()
    assert not Path("state").exists()


def test_only_files_of_this_machine():
    """A stream has no earlier rows that could be found again."""
    os.mkfifo("pipe")
    for name in ("pipe", "-", "https://user:secret@example.org/a.csv", "pip*"):
        with pytest.raises(UsageError, match="not streams or URLs") as refused:
            new_ids(name)
        assert "secret" not in refused.value.message


GOOD = {
    "path": "a.csv",
    "device": 1,
    "inode": 1,
    "size": 1,
    "changed_ns": 1,
    "found_ns": 1,
    "offset": 1,
    "taken": 0,
    "line": 1,
    "digest": "",
}
REFUSED = {
    name: [value]
    for name, value in {
        **dict.fromkeys(("device", "inode", "size", "changed_ns", "is_passing", "line", "row"), 1),
        **dict.fromkeys(("path", "model", "error", "hint", "column"), "a"),
    }.items()
}


def test_one_look_at_each_file_is_enough(monkeypatch: pytest.MonkeyPatch):
    """However many files are known, a run looks at the status of each once and opens only what is new."""
    for i in range(300):
        write(f"{i:03d}.csv", i)
        os.utime(f"{i:03d}.csv", (1e9, 1e9))
    assert len(new_ids("*.csv")) == 300
    write("new.csv", "new")
    looks: list[str] = []
    opened: list[str] = []
    lstat, is_of = os.lstat, since._is_of
    with monkeypatch.context() as patch:
        patch.setattr("os.lstat", lambda path, **given: (looks.append(str(path)), lstat(path, **given))[1])
        patch.setattr(since, "_is_of", lambda reading, seen: (opened.append(reading.path), is_of(reading, seen))[1])
        assert new_ids("*.csv") == ["new"]
    assert sorted(Path(one).name for one in looks if one.endswith(".csv") and "*" not in one) == sorted(
        map(str, Path().glob("*.csv"))
    )
    assert opened == []


def test_a_state_that_would_be_the_same_is_not_written():
    """A job without new rows leaves its state as it is, to the inode."""
    write("a.csv", 1)
    os.utime("a.csv", (1e9, 1e9))
    new_ids()
    before = os.stat("state")
    assert new_ids() == []
    assert os.stat("state") == before


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_file_that_two_patterns_match_is_one(is_settled: bool):
    """Its rows come once, also when it has grown."""
    write("a.csv", 1)

    def run() -> list[int]:
        if is_settled:
            os.utime("a.csv", (1e9, os.stat("a.csv").st_size))
        progress = Progress.load(Path("state"))
        source = open_source(["*.csv", "./a.*", str(Path("a.csv").resolve())], once=True, since=progress)
        found = [one for batch in source.batches(ReadRequest(["id"])) for one in batch.table["id"].to_pylist()]
        progress.save()
        return [int(one) for one in found]

    assert [run(), run()] == [[1], []]
    append("a.csv", rows(2))
    assert [run(), run()] == [[2], []]


def test_a_file_removed_after_it_was_listed(monkeypatch: pytest.MonkeyPatch):
    """A log rotated away between the listing and the look at it is left out; a named one, or all, is an error."""
    write("a.csv", 1)
    write("b.csv", 2)
    lstat = os.lstat

    def vanishing(path: str, **given: object) -> os.stat_result:
        if str(path).endswith("b.csv"):
            raise FileNotFoundError(2, "gone", path)
        return lstat(path)

    monkeypatch.setattr("os.lstat", vanishing)
    assert new_ids("*.csv") == ["1"]
    with pytest.raises(InputError, match=r"b\*: the pattern matches no file"):
        new_ids("b*")
    os.symlink("nowhere", "c.csv")
    with pytest.raises(InputError, match=r"c\.csv: no such file"):
        new_ids("*.csv")


def test_columns_of_folders_are_those_of_all_inputs():
    """A later run, of which one file alone has new rows, finds the same columns in the names of folders."""
    for day in (1, 2):
        os.mkdir(f"day={day}")
        pq.write_table(pa.table({"id": ["1"]}), f"day={day}/a.parquet")
    names = []
    for _ in range(2):
        progress = Progress.load(Path("state"))
        source = open_source([f"day={day}/a.parquet" for day in (1, 2)], once=True, since=progress)
        names.append(source.names)
        for _ in source.batches():
            pass
        progress.save()
        pq.write_table(pa.table({"id": ["1", "2"]}), "day=2/a.parquet")
    assert names == [("id", "day")] * 2


def test_a_state_with_an_object_per_file_is_read():
    """As it was written before columns: nothing is read twice."""
    write("a.csv", 1)
    new_ids()
    files = json.loads(Path("state").read_text())["files"]
    old = [{name: column[0] for name, column in files.items()}]
    Path("state").write_text(json.dumps({"format": 1, "files": old}))
    append("a.csv", rows(2))
    assert [new_ids(), new_ids()] == [["2"], []]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"id,text\n1,2\n",
        json.dumps({"format": 3, "files": []}).encode(),
        json.dumps({"format": 2, "files": []}).encode(),
        json.dumps({"format": 2, "files": {}}).encode(),
        json.dumps({"format": 2, "files": {name: [value] for name, value in GOOD.items()} | {"line": []}}).encode(),
        json.dumps({"format": 2, "files": {name: [value] for name, value in GOOD.items()} | {"line": [True]}}).encode(),
        json.dumps({"format": 2, "files": {name: [value] for name, value in GOOD.items()} | {"path": "a"}}).encode(),
        json.dumps({"format": 1, "files": [{}]}).encode(),
        json.dumps({"format": 1, "files": [GOOD | {"offset": "1"}]}).encode(),
        json.dumps({"format": 1, "files": [GOOD | {"offset": True}]}).encode(),
        json.dumps({"format": 1, "files": [GOOD | {"path": 3}]}).encode(),
        json.dumps({"format": 1, "files": 3}).encode(),
        json.dumps({"format": 2, "files": {name: [] for name in GOOD}, "refused": 3}).encode(),
        json.dumps({"format": 2, "files": {name: [] for name in GOOD}, "refused": {"path": ["a"]}}).encode(),
        json.dumps({"format": 2, "files": {name: [] for name in GOOD}, "refused": REFUSED | {"error": [3]}}).encode(),
        json.dumps({"format": 2, "files": {name: [] for name in GOOD}, "refused": REFUSED | {"line": []}}).encode(),
    ],
)
def test_a_file_that_is_no_state(content: bytes):
    """Anything else is refused with what to do, and not overwritten."""
    Path("state").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        Progress.load(Path("state"))
    assert caught.value.hint.startswith("name another file")  # before anything is removed: it may be a bundle
    assert Path("state").read_bytes() == content


def test_states_of_earlier_versions_are_read():
    """Format 2 without numbers of rows and without bad files: the rows are not known, and no file is refused."""
    files = {name: [value] for name, value in GOOD.items()}
    Path("state").write_text(json.dumps({"format": 2, "files": files}))
    seen = Progress.load(Path("state")).earlier
    assert (seen.columns["rows"], seen.refused) == ([-1], ())
    Path("state").write_text(json.dumps({"format": 2, "files": files, "refused": REFUSED}))
    assert [one.path for one in Progress.load(Path("state")).earlier.refused] == ["a"]


def test_a_state_that_cannot_be_read_is_not_to_be_removed():
    """A folder by mistake: the hint is no advice to remove it."""
    os.mkdir("folder")
    with pytest.raises(BundleError, match="folder: cannot be read: Is a directory") as caught:
        Progress.load(Path("folder"))
    assert "remove" not in caught.value.hint


# -- a law ----------------------------------------------------------------------------------------

STEPS = ("append", "append a half", "rename", "copy and truncate", "replace", "another file", "remove", "run", "touch")


@of_a_hundred(25)
@given(st.lists(st.sampled_from(STEPS), min_size=3, max_size=25))
def test_every_row_is_read_once(tmp_path_factory: pytest.TempPathFactory, steps: list[str]):
    """Whatever happens to the files between runs: each row that was there in a run is read, and once.

    Rows removed before a run are gone, and a half-written last line that nobody ends is read by the run after next.
    """
    folder = tmp_path_factory.mktemp("law")
    log, ids = folder / "log.csv", count()
    pending: set[str] = set()  # complete, and not yet read
    halves: dict[Path, str] = {}  # by file: the identifier of a line without an end
    in_file: dict[Path, set[str]] = {}

    def put(path: Path, text: str) -> None:
        with open(path, "a") as file:
            file.write(text)

    def complete(path: Path) -> None:
        if path in halves:
            put(path, "\n")
            pending.add(halves.pop(path))

    def start(path: Path) -> None:
        path.write_text(HEADER)
        in_file[path] = set()
        add(path)

    def add(path: Path) -> None:
        complete(path)
        one = f"r{next(ids)}"
        put(path, rows(one))
        in_file[path].add(one)
        pending.add(one)

    def lose(path: Path) -> None:
        pending.difference_update(in_file.pop(path))
        halves.pop(path, None)

    def run() -> list[str]:
        progress = Progress.load(folder / "state")
        source = open_source([str(folder / "*.csv*")], once=True, since=progress)
        found = [one for batch in source.batches(ReadRequest(["id"])) for one in batch.table["id"].to_pylist()]
        progress.save()
        return found

    def moved(to: Path) -> None:
        in_file[to] = in_file.pop(log)
        if log in halves:
            halves[to] = halves.pop(log)

    start(log)
    for step, n in zip([*steps, "run"], count(), strict=False):
        match step:
            case "append":
                add(log)
            case "append a half":
                add(log)
                one = f"r{next(ids)}"
                put(log, f"{one},t")
                halves[log] = one
                in_file[log].add(one)
            case "rename":
                os.rename(log, to := folder / f"log.csv.{n}")
                moved(to)
                start(log)
            case "copy and truncate":
                shutil.copy(log, to := folder / f"log.csv.{n}")
                moved(to)
                start(log)
            case "replace":
                lose(log)
                (folder / "new").write_text(HEADER)
                os.replace(folder / "new", log)
                start(log)
            case "another file":
                start(folder / f"log.csv.{n}")
            case "remove":
                others = [path for path in in_file if path != log]
                if others:
                    os.remove(others[0])
                    lose(others[0])
            case "touch":
                os.utime(log)
            case "run":
                found = run()
                assert len(set(found)) == len(found)
                assert pending <= set(found)
                waited = set(found) - pending
                assert waited <= set(halves.values())
                for path in [path for path, one in halves.items() if one in waited]:
                    del halves[path]
                    put(path, "\n")
                pending.clear()
    assert run() == [] or halves
