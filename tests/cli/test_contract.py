"""What every verb promises, whatever it does. A new verb is one row of `VERBS`."""

from __future__ import annotations

import errno
import io
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import loaded_by
from tests.cli.messages import assert_is_a_message, contents
from tests.cli.verbs import BROKEN_ROW, FEATURES, TABLES, VERBS, Mistake, Verb, machine_table, write_table
from tests.published import assert_published
from vaecli.errors import BundleError, EnvironmentProblem, InputError, UsageError
from vaecli.model import tiles
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.tables.read import delimited
from vaecli.tables.write import parquet_rows

WAYS = ((1, 16_384), (4, 33))  # workers and batch rows
MORE_WAYS = ((1, 100), (2, 100), (3, 1), (4, 16_384))
EARLIER = b"an earlier output\n"

STREAMING = tuple(verb for verb in VERBS if verb.streams)
WRITING = tuple(verb for verb in VERBS if verb.outputs)


def of(verbs: tuple[Verb, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("verb", verbs, ids=lambda verb: verb.name)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Path:
    """A folder with a bundle of the features of normal rows, new.csv, new.parquet and quick.toml. Not to be changed."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("machine")
    normal, table = machine_table(0), machine_table(1)
    write_table(normal[normal["fault"] == 0], folder / "normal.csv")
    assert_fits(folder, quick)
    for extension in ("csv", "parquet"):
        write_table(table, folder / f"new.{extension}")
    (folder / "quick.toml").write_bytes(quick.read_bytes())
    return folder


def assert_fits(folder: Path, quick: Path) -> None:
    from vaecli.cli.app import main

    words = ["fit", str(folder / "normal.csv"), "--columns", ",".join(FEATURES), "--config", str(quick), "--quiet"]
    with pytest.raises(SystemExit) as left:
        main([*words, "-o", str(folder / "model.vae")])
    assert not left.value.code


@pytest.fixture(autouse=True)
def place(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a copy of that folder, small pieces wherever a table is cut into pieces."""
    for path in machine.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4_000)
    monkeypatch.setattr(delimited, "SMALLEST_BLOCK_BYTES", 4_000)
    monkeypatch.setattr(tiles, "TILE_ROWS", 32)
    monkeypatch.setattr(parquet_rows, "_SECTION_ROWS", 64)
    monkeypatch.setattr(parquet_rows, "_GROUP_ROWS", 128)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_tables(words: list[str]) -> list[str]:
    """Write the tables that the words name."""
    for word in words:
        path = Path(word)
        if path.stem in TABLES and path.suffix in (".csv", ".parquet") and not path.exists():
            write_table(TABLES[path.stem](machine_table(1)), path)
    return words


def without_seconds(text: str) -> dict:
    """The one strict JSON object on one line, without the time it took."""
    assert text.count("\n") == 1
    answer = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    answer.pop("seconds", None)
    return answer


class TestContract:
    """Each test holds for every verb that has what it refers to."""

    # -- a run that succeeds ----------------------------------------------------------------------

    @of(VERBS)
    def test_json_is_one_object(self, run, verb: Verb):
        """--json prints one strict object with the verb and a version, also with --quiet; the exit code is 0."""
        done = run(*verb.command(), "--json")
        assert (done.code, done.err) == (0, "")
        answer = without_seconds(done.out)
        assert (answer["schema_version"], answer["verb"]) == (SCHEMA_VERSION, verb.name)
        assert_published(json.loads(done.out))
        if verb.outputs:
            assert Path(f"out.{verb.outputs[0]}").exists()
            assert without_seconds(run(*verb.command(), "--json", "--quiet").out) == answer

    @of(WRITING)
    def test_quiet_prints_nothing(self, run, verb: Verb):
        """--quiet: the output, without a word; what else the folder holds stays, and a second run gives the same."""
        before = contents(Path())
        once = Path(f"out.{verb.outputs[0]}")
        once.write_bytes(EARLIER)
        found = set()
        for _ in range(2):
            done = run(*verb.command(), "--quiet")
            assert (done.code, done.out, done.err) == (0, "", "")
            found.add(once.read_bytes())
        assert EARLIER not in found
        assert verb.fits or len(found) == 1  # a bundle holds the moment of its fit
        once.unlink()
        assert contents(Path()) == before

    @of(WRITING)
    def test_verbose_names_the_stages(self, run, verb: Verb):
        """--verbose names on standard error what is going on."""
        err = run(*verb.command(), "--verbose").err
        assert [stage for stage in verb.stages if stage not in err] == []

    @of(STREAMING)
    def test_rows_go_through_pipes(self, run, verb: Verb, monkeypatch: pytest.MonkeyPatch):
        """From standard input to standard output; the page goes to standard error; the same bytes as the file."""
        assert run(*verb.command(), "--quiet").code == 0
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("new.csv").read_bytes())))
        done = run(*verb.command(table="-", output="-"))
        assert done.code == 0
        if verb.name != "report":  # the page names its table
            assert done.out == Path(f"out.{verb.outputs[0]}").read_bytes().decode()
        assert done.err.splitlines()[0].isascii()
        quiet = run(*verb.command(output="-"), "--quiet")
        assert (quiet.code, quiet.err) == (0, "")

    @pytest.mark.parametrize("ways", [WAYS, pytest.param(WAYS + MORE_WAYS, marks=pytest.mark.slow)], ids=["two", "all"])
    @pytest.mark.parametrize("extension", ["csv", "parquet"])
    @pytest.mark.parametrize(
        ("verb", "line"),
        [pytest.param(verb, i, id=f"{verb.name} {line}") for verb in STREAMING for i, line in enumerate(verb.lines)],
    )
    def test_workers_and_batches_change_no_byte(
        self, run, verb: Verb, line: int, extension: str, ways: tuple[tuple[int, int], ...]
    ):
        """The same output and the same summary for 1 to 4 workers, however many rows they hold at a time."""
        outputs = verb.outputs if "parquet" not in verb.outputs else tuple({extension, *verb.outputs[2:]})
        for name in outputs:
            found, told = set(), []
            for workers, batch_rows in ways:
                running = ["--workers", str(workers), "--batch-rows", str(batch_rows), "--json"]
                done = run(*verb.command(line, f"new.{extension}", f"out.{name}"), *running)
                assert (done.code, done.err) == (0, "")
                found.add(Path(f"out.{name}").read_bytes())
                told.append(without_seconds(done.out))
            assert len(found) == 1
            assert all(answer == told[0] for answer in told)

    def test_it_loads_nothing_that_only_fitting_needs(self):
        """A process that runs every line of every verb, one after the other, has loaded none of the large packages."""
        commands = [
            [*verb.command(line), "--quiet" if verb.outputs else "--json"]
            for verb in VERBS
            if not verb.fits
            for line in range(len(verb.lines))
        ]
        for command, loaded in zip(commands, loaded_by(*commands), strict=True):
            assert not loaded & {"torch", "sklearn", "scipy", "pandas", "matplotlib"}, command

    # -- mistakes ---------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("verb", "mistake"),
        [
            pytest.param(verb, mistake, id=f"{verb.name} {mistake.words}")
            for verb in VERBS
            for mistake in verb.all_mistakes()
        ],
    )
    def test_a_mistake_is_two_lines_and_leaves_no_file(self, run, verb: Verb, mistake: Mistake):
        """`error:` names what is wrong, `hint:` what to do; the exit code is that of its kind; nothing is written."""
        words = shlex.split(mistake.words)
        Path("folder").mkdir()
        with_tables(words)
        output = ["-o", f"out.{verb.outputs[0]}"] if verb.outputs and "-o" not in words else []
        before = contents(Path())
        done = run(*([verb.name, *words, *output] if mistake.whole else [*usual(verb, words), *words]))
        assert (done.code, done.err.count("\n")) == (mistake.code, 2 + mistake.listed), done.err
        assert mistake.names in done.err.splitlines()[mistake.listed]
        assert_is_a_message(done.err)
        assert contents(Path()) == before

    @of(VERBS)
    @pytest.mark.parametrize("earlier", [None, EARLIER], ids=["new", "replaced"])
    def test_the_hint_of_a_mistyped_option_is_the_help_of_the_verb(self, run, verb: Verb, earlier: bytes | None):
        """The hint names the verb that was typed, and an earlier output stays as it was."""
        output = Path(verb.command()[-1])
        if earlier and verb.outputs:
            output.write_bytes(earlier)
        before = contents(Path())
        wrong = "--workers=0" if verb.streams else "--no-such"
        assert run(*verb.command(), wrong).err.splitlines()[1] == f"hint: see `vaecli {verb.name} --help`"
        assert contents(Path()) == before

    @of(STREAMING)
    @pytest.mark.parametrize("workers", ["1", "4"])
    @pytest.mark.parametrize(
        ("extension", "where"), [("csv", f"line {BROKEN_ROW + 1}"), ("parquet", f"row {BROKEN_ROW}")]
    )
    def test_a_broken_cell_leaves_no_file(self, run, verb: Verb, extension: str, where: str, workers: str):
        """A cell that cannot be read is named by file, row and column, whoever finds it; an earlier output stays."""
        name = f"broken.{extension}"
        words = with_tables(verb.command(table=name))
        Path(words[-1]).write_bytes(EARLIER)
        before = contents(Path())
        done = run(*words, "--workers", workers, "--batch-rows", "32")
        assert done.code == 4
        assert f"{name}, {where}" in done.err
        assert "flow" in done.err
        assert_is_a_message(done.err)
        assert contents(Path()) == before

    @of(tuple(verb for verb in WRITING if verb.reads_rows))
    @pytest.mark.parametrize("earlier", [None, EARLIER], ids=["new", "replaced"])
    def test_an_interrupt_leaves_nothing(self, run, verb: Verb, earlier: bytes | None, monkeypatch: pytest.MonkeyPatch):
        """Ctrl-C in the middle of the table: 130, one line, no temporary file, and an earlier output as it was."""
        whole = delimited.cut_into_blocks

        def interrupted(*given: object, **named: object) -> Iterator[object]:
            for n, block in enumerate(whole(*given, **named)):  # type: ignore[arg-type]
                if n == 3:
                    raise KeyboardInterrupt
                yield block

        monkeypatch.setattr(delimited, "cut_into_blocks", interrupted)
        if earlier:
            Path(verb.command()[-1]).write_bytes(earlier)
        before = contents(Path())
        done = run(*verb.command())
        assert (done.code, done.out, done.err) == (130, "", "error: interrupted; nothing was written\n")
        assert contents(Path()) == before

    # -- what comes from a workflow ---------------------------------------------------------------

    @of(VERBS)
    def test_done_is_0(self, run, workflows, verb: Verb):
        """A run that did its work leaves with 0, anomalies or not."""
        assert run(*verb.command()).code == 0

    @of(VERBS)
    @pytest.mark.parametrize(
        ("problem", "code"),
        [
            (UsageError("two options contradict", "give one"), 2),
            (InputError("a.csv, line 3: 2 cells, expected 3", "quote the comma"), 4),
            (BundleError("model.vae: not a bundle", "fit one"), 5),
            (EnvironmentProblem("no CUDA device", "--device cpu"), 7),
        ],
        ids=lambda given: type(given).__name__ if isinstance(given, Exception) else None,
    )
    def test_a_foreseen_problem_is_two_lines_and_its_code(self, run, workflows, verb: Verb, problem, code: int):
        """`error:` and `hint:` on standard error; standard output is empty, or with --json an object of the same."""
        workflows.answers[verb.name] = problem
        done = run(*verb.command())
        assert (done.code, done.out) == (code, "")
        assert done.err == f"error: {problem.message}\nhint: {problem.hint}\n"
        answer = {"schema_version": SCHEMA_VERSION, "error": problem.message, "hint": problem.hint, "exit_code": code}
        in_json = run(*verb.command(), "--json")
        assert (in_json.code, json.loads(in_json.out), in_json.err) == (code, answer, done.err)

    @of(VERBS)
    def test_a_problem_without_a_hint_is_one_line(self, run, workflows, verb: Verb):
        """No empty hint is printed."""
        workflows.answers[verb.name] = InputError("a.csv: empty")
        assert run(*verb.command()).err == "error: a.csv: empty\n"

    @of(VERBS)
    def test_a_bug_is_1_with_a_traceback(self, run, workflows, verb: Verb):
        """An unforeseen error leaves a plain traceback and is reported as a bug; with --json as an object too."""
        workflows.answers[verb.name] = ZeroDivisionError("division by zero")
        done = run(*verb.command())
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("Traceback (most recent call last):\n")
        assert "\nerror: ZeroDivisionError: division by zero\nhint: this is a bug in vaecli" in done.err
        assert "\u2502" not in done.err
        assert json.loads(run(*verb.command(), "--json").out)["exit_code"] == 1

    @of(VERBS)
    def test_a_reader_that_went_away_is_141_without_a_word(self, run, workflows, verb: Verb):
        """A closed pipe ends the run quietly."""
        workflows.answers[verb.name] = BrokenPipeError(errno.EPIPE, "Broken pipe")
        done = run(*verb.command())
        assert (done.code, done.out, done.err) == (141, "", "")


def usual(verb: Verb, words: list[str]) -> list[str]:
    """The usual command line, without the options that the words give another value."""
    command = verb.command()
    return command[:-2] if verb.outputs and "-o" in words else command
