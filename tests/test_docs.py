"""The documents are true: commands run and print what is shown, names and numbers are those of the code."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vaecli import config, errors
from vaecli.cli import app
from vaecli.config.incidents import IncidentConfig
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
ROOT_PAGES = (ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "RELEASING", "SECURITY"))
PAGES = sorted([README, *ROOT_PAGES, *DOCS.rglob("*.md")])
VERBS = ("fit", "check", "score", "explain", "evaluate", "selftest", "encode", "reconstruct", "sample", "report")
VERBS += ("calibrate", "flag", "mark", "inspect", "config", "schema")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def section(page: Path, heading: str) -> str:
    """What stands between a heading and the next of its rank."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{named(page)} has no heading {heading!r}"
    return found[2]


def table(text: str) -> list[list[str]]:
    """The cells of the first Markdown table, its head included."""
    found = re.search(r"^\|.*\n\|[-:| ]+\|\n(?:\|.*\n?)*", text, re.MULTILINE)
    assert found, "no table"
    head, _, *rows = found[0].strip().splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in (head, *rows)]


# -- commands run, and print what is shown --------------------------------------------------------

NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?)")
TOLERANCE = 0.25  # other processors train slightly other networks


def is_like(shown: str, real: str) -> bool:
    """Whether a word of the output is the one shown; its numbers may be off by a quarter."""
    told, found = NUMBER.split(shown), NUMBER.split(real)
    if told[::2] != found[::2]:
        return False
    pairs = [
        (float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in zip(told[1::2], found[1::2], strict=True)
    ]
    return all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in pairs)


def first_missing(shown: str, real: str) -> str:
    """The first words shown that the output does not have, in this order; empty when it has all.

    `…` stands for any words. A line that begins with a number is a row of data, and not compared.
    """
    words, at = real.split(), 0
    lines = [line for line in shown.splitlines() if not re.match(r"\s*-?\d", line)]
    for piece in "\n".join(lines).split("…"):
        wanted = piece.split()
        starts = range(at, len(words) - len(wanted) + 1)
        start = next((i for i in starts if all(map(is_like, wanted, words[i : i + len(wanted)]))), None)
        if start is None:
            return " ".join(wanted)
        at = start + len(wanted)
    return ""


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """(command, output shown) for each `$ ` of the console blocks."""
    for block in blocks(page, "console"):
        assert block.startswith("$ "), block
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = entry.partition("\n")
            yield command, shown


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a reader has in the current folder."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    return tmp_path


def walk(page: Path, folder: Path) -> None:
    """Type every command of a page in `folder`, and compare."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VAECLI_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "88",
        "OMP_NUM_THREADS": "1",  # the tests share their cores
    }
    for command, shown in commands(page):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{named(page)}: $ {command}\n{done.stdout}"
        missing = first_missing(shown, done.stdout)
        assert not missing, f"{named(page)}: $ {command}\nis said to print\n  {missing}\nbut printed\n{done.stdout}"


def run_python(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute the Python blocks of a page, one after the other in one module; its names afterwards."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, named(page), "exec"), names)
    return names


@pytest.mark.walk
def test_the_walk_of_the_readme(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """README: each command succeeds and prints what is shown; so does its Python, and the page on thresholds."""
    walk(README, clone)
    walk(DOCS / "how-to/choose-a-threshold.md", clone)
    run_python(README, clone, monkeypatch)
    assert 0 < float(capsys.readouterr().out) < 0.5


@pytest.mark.slow
@pytest.mark.walk
def test_the_pages_on_decisions_and_feedback(clone: Path):
    """The how-to pages that go on from the README: each command succeeds and prints what is shown."""
    for page in (README, DOCS / "how-to/decisions.md", DOCS / "how-to/feedback.md"):
        walk(page, clone)


@pytest.mark.slow
@pytest.mark.walk
def test_the_tutorial(clone: Path, monkeypatch: pytest.MonkeyPatch):
    """Tutorial: each command succeeds and prints what is shown; so do those of the how-to pages that go on from it."""
    for page in ("tutorial", "how-to/cron", "how-to/remote-and-stdin"):
        walk(DOCS / f"{page}.md", clone)
    names = run_python(DOCS / "how-to/python.md", clone, monkeypatch)
    assert {"anomaly_score", "p_value", "is_anomaly"} <= set(names["scored"].columns)


@pytest.mark.slow
@pytest.mark.walk
def test_more_pages_that_go_on_from_the_tutorial(clone: Path):
    """How-to pages on events, drift and incidents: each command succeeds and prints what is shown."""
    for page in ("tutorial", "how-to/events", "how-to/drift", "how-to/incidents"):
        walk(DOCS / f"{page}.md", clone)


@pytest.mark.slow  # two fits of text take half a minute
@pytest.mark.walk
def test_the_page_on_strings(clone: Path):
    """docs/how-to/text.md: each command succeeds and prints what is shown."""
    walk(DOCS / "how-to/text.md", clone)


def test_every_console_block_is_run():
    """No page shows a session that no test types."""
    run = {"README.md", "docs/tutorial.md"} | {
        f"docs/how-to/{name}.md"
        for name in (
            *("choose-a-threshold", "cron", "decisions", "drift", "events", "feedback", "incidents"),
            *("remote-and-stdin", "text"),
        )
    }
    assert {named(page) for page in PAGES if blocks(page, "console")} == run
    run = {"README.md", *(f"docs/how-to/{name}.md" for name in ("python", "schedulers", "spark"))}  # each by its test
    assert {named(page) for page in PAGES if blocks(page, "python")} == run


@pytest.mark.parametrize(
    ("shown", "real", "missing"),
    [
        ("rows 22,793 used", "rows  22,793\n  used", ""),
        ("flagged 3,693 (14 %)", "flagged 3,703 (14.1 %)", ""),
        ("rows 26,304 in …\n output a.csv", "rows 26,304 in 3 min 2 s output a.csv", ""),
        ("row score\n18,144 8.5e+05 a:1", "row score\n7 9 b:2", ""),
        ("false alarms 1.0%", "false alarms 2.0%", "false alarms 1.0%"),
        ("one … three two", "one two three", "three two"),
        ("sensor_3 here", "sensor_5 here", "sensor_3 here"),
    ],
)
def test_the_comparison_of_outputs_sees_differences(shown: str, real: str, missing: str):
    """Words must agree and stand in order; numbers may be a little off; `…` and rows of data are free."""
    assert first_missing(shown, real) == missing


# -- the command line -----------------------------------------------------------------------------


@cache
def help_of(*words: str) -> str:
    """The help text of a verb, or of the program."""
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(text):
        patch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit):
            app.main([*words, "--help"])
    return text.getvalue()


def options_in(help_text: str) -> dict[str, str]:
    """The options that a help text lists, each with its description."""
    entries = re.split(r"^  (?=-)", help_text.partition("\nOptions:\n")[2], flags=re.MULTILINE)[1:]
    return {
        option: entry
        for entry in entries
        for option in re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", re.split(r" {2,}|\n", entry)[0])
    }


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_has_every_option_and_no_other(verb: str):
    """docs/cli.md: the section of a verb names exactly the options that the verb has, and each has a help text."""
    text = section(DOCS / "cli.md", f"`vaecli {verb}`")
    told = {
        option for row in table(text[text.index("| option |") :])[1:] for option in re.findall(r"`(--?[\w-]+)", row[0])
    }
    real = options_in(help_of(verb))
    assert told == real.keys() - {"-h", "--help"}
    for option, entry in real.items():
        assert len(entry.split()) >= 5, option


def test_the_reference_has_every_verb_and_global_option():
    """docs/cli.md names what `vaecli --help` names."""
    text = (DOCS / "cli.md").read_text()
    listed = help_of().partition("\nCommands:\n")[2]
    assert tuple(re.findall(r"^  (\w+)", listed, re.MULTILINE)) == VERBS
    for option in options_in(help_of()):
        assert f"`{option}`" in text or f"[{option}]" in text, option
    for verb in VERBS:
        assert f"[`{verb}`](#vaecli-{verb})" in text


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_shown_are_commands_that_exist(page: Path):
    """Wherever a page has `vaecli VERB --option`, there is such a verb with such an option."""
    known = {verb: options_in(help_of(verb)).keys() for verb in VERBS}
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"`(vaecli [^`\n]+)`", text)
    shown += [
        line for block in (*blocks(page, "sh"), *blocks(page, "console")) for line in re.findall(r"vaecli .*", block)
    ]
    for line in shown:
        words = re.split(r"\s+[|>]|\s+2>|#|&&|\|\|", line)[0].split()
        if words[1][0] in "-[V":
            continue
        assert words[1] in VERBS, line
        for option in (word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)):
            assert option in known[words[1]], line


@pytest.mark.parametrize("page", [README, DOCS / "cli.md", DOCS / "how-to/cron.md"], ids=named)
def test_exit_codes_are_those_of_the_errors(page: Path):
    """Every page with a table of exit codes has all of them."""
    told = {int(code) for row in table(section(page, "Exit codes"))[1:] for code in row[0].split(",")}
    kinds = [getattr(errors, name) for name in vars(errors) if isinstance(getattr(errors, name), type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, errors.VaecliError)}
    assert told == raised | {0, app.HUNG_UP, app.INTERRUPTED, app.READER_GONE, app.TERMINATED}


# -- settings -------------------------------------------------------------------------------------

SETTINGS = DOCS / "how-to/settings.md"
STAGES: dict[str, Any] = {
    "columns": config.ColumnsConfig,
    "model": config.ModelConfig,
    "heteroscedastic": lambda: config.HETEROSCEDASTIC,
    "homoscedastic": lambda: config.HOMOSCEDASTIC,
    "train": config.TrainConfig,
    "calibration": config.CalibrationConfig,
}


def settings_of(heading: str) -> dict[str, list[str]]:
    """name → [default, allowed, meaning] of one table of settings.md."""
    return {row[0].strip("`"): row[1:] for row in table(section(SETTINGS, heading))[1:]}


def defaults_of(kind: Callable[[], Any]) -> dict[str, Any]:
    return {name: value for name, value in vars_of(kind()).items() if not dataclasses.is_dataclass(value)}


def vars_of(instance: Any) -> dict[str, Any]:
    return {item.name: getattr(instance, item.name) for item in dataclasses.fields(instance)}


def value_of(cell: str) -> Any:
    """A default as the table writes it."""
    text = cell.strip("`").replace(",", "")
    known = {"none": None, "true": True, "false": False}
    if text in known:
        return known[text]
    return float(text) if re.fullmatch(r"-?[\d.]+", text) else text


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Top level", config.FitConfig),
        ("Scoring", config.ScoreConfig),
        ("`[incidents]`", IncidentConfig),
        *((f"`[{name}]`", kind) for name, kind in STAGES.items()),
    ],
    ids=["top", "score", "incidents", *STAGES],
)
def test_every_setting_is_listed_with_its_default(heading: str, kind: Callable[[], Any]):
    """docs/how-to/settings.md has each setting of config, no other, and the true default."""
    told = {name: value_of(cells[0]) for name, cells in settings_of(heading).items()}
    true = {name: None if value in ((), "") else value for name, value in defaults_of(kind).items()}
    assert told == true


def ranges() -> Iterator[tuple[str, str]]:
    for name in STAGES:
        for setting, cells in settings_of(f"`[{name}]`").items():
            if re.match(r"[-\d]|above", cells[1]):
                yield f"{name}.{setting}", cells[1]


@pytest.mark.parametrize(("name", "allowed"), list(ranges()))
def test_every_range_is_the_true_one(name: str, allowed: str):
    """The ends that settings.md lists are accepted, unless it excludes them, and what lies beyond is refused."""
    ends = [float(number.replace(",", "")) for number in re.findall(r"-?\d[\d,.]*(?<![,.])", allowed)]
    whole = isinstance(defaults_of(STAGES[name.partition(".")[0]])[name.partition(".")[2]], int)
    excluded = "ends excluded" in allowed or "above" in allowed
    for end, outwards in zip(ends, (-math.inf, math.inf), strict=False):
        # a float cannot hold 2**63 - 1
        inside = int(min(end, 2**63 - 1)) if whole else end
        beyond = inside + int(math.copysign(1, outwards)) if whole else math.nextafter(end, outwards)
        assert is_accepted(name, inside) is not excluded, inside
        assert not is_accepted(name, beyond), beyond


def is_accepted(name: str, value: float) -> bool:
    try:
        config.fit_config({name: value}, environment={})
    except errors.UsageError:
        return False
    return True


def test_every_choice_is_listed():
    """The words that settings.md allows are those of config."""
    choices = {"preset": config.PRESETS, "score_kind": config.SCORE_KINDS, "device": config.DEVICES}
    for heading in ("Top level", "`[train]`", "Scoring"):
        for setting, cells in settings_of(heading).items():
            if setting in choices:
                assert tuple(re.findall(r"`(\w+)`", cells[1])) == choices[setting]


def test_presets_are_as_documented():
    """settings.md has every setting that a preset moves, with its value in each."""
    head, *rows = table(section(SETTINGS, "Presets"))
    presets = {
        cell.strip("`"): flat(config.fit_config({"preset": cell.strip("`")}, environment={})) for cell in head[1:]
    }
    assert tuple(presets) == config.PRESETS
    moved = {name for name in presets["default"] if len({str(values[name]) for values in presets.values()}) > 1}
    assert {row[0].strip("`") for row in rows} == moved
    for name, *cells in rows:
        assert [value_of(cell) for cell in cells] == [values[name.strip("`")] for values in presets.values()]


def flat(fitted: config.FitConfig) -> Mapping[str, Any]:
    return {f"{stage}.{name}": value for stage in STAGES for name, value in vars_of(getattr(fitted, stage)).items()}


def test_every_variable_is_listed():
    """settings.md has exactly the VAECLI_… variables that the program reads."""
    told = {row[0].strip("`") for row in table(section(SETTINGS, "Environment"))[1:]}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "vaecli").rglob("*.py")]
    assert told == {name for text in sources for name in re.findall(r"VAECLI_[A-Z]\w*", text)}


def test_the_settings_file_shown_is_one(tmp_path: Path):
    """The TOML of settings.md is understood."""
    (shown,) = blocks(SETTINGS, "toml")
    file = tmp_path / "vaecli.toml"
    file.write_text(shown, encoding="utf-8")
    assert config.fit_config({}, file, environment={}).preset == "best"


# -- names, links, numbers ------------------------------------------------------------------------


def test_names_of_the_model_page_exist():
    """Every name in a column "code name", and every `module.name` of docs/model.md, is in the code."""
    pytest.importorskip("torch")
    text = (DOCS / "model.md").read_text(encoding="utf-8")
    files = [
        *(ROOT / "vaecli").glob("*.py"),
        *(ROOT / "vaecli").glob("*/*.py"),
        *(ROOT / "vaecli/model").glob("*/*.py"),
    ]
    modules = {
        path.stem: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files if path.parent.name != "cli"
    }
    names = {name for name in re.findall(r"`(\w+(?:\.\w+)+)`", text) if name.partition(".")[0] in modules}
    assert len(names) > 25
    for name in names:
        module, *rest = name.split(".")
        thing: Any = importlib.import_module(modules[module])
        for part in rest:
            assert hasattr(thing, part), name
            thing = getattr(thing, part)


def test_missing_spellings_are_listed():
    """docs/how-to/columns.md lists every spelling of a missing cell."""
    text = section(DOCS / "how-to/columns.md", "Missing cells")
    listed = re.findall(r"`([^`]+)`", text.partition("empty, ")[2].partition(". In Parquet")[0])
    assert {"", *listed} == set(MISSING_TOKENS)


def anchors(page: Path) -> set[str]:
    """The fragments that links into a page may have, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path):
    """Every link within the repository names a file, and a heading of it where it names one."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_page_is_in_the_index():
    """docs/README.md links every page of docs/."""
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert page.name == "README.md" or f"({page.relative_to(DOCS).as_posix()})" in text, page


def test_figures_of_the_other_verbs_are_the_measured_ones():
    """README's table of the other verbs repeats benchmarks/results to the digit."""
    text = section(README, "How it compares")
    told = [row[1:] for row in table(text[text.index("The other verbs") :])[1:]]
    results = ROOT / "benchmarks/results"
    _, *swaps = table(section(results / "explain.md", "Swap"))
    first, three = zip(*(cell.removesuffix(" %").split(" / ") for cell in swaps[-1][4:]), strict=True)
    gaps = {row[0].partition(",")[0]: row[1:] for row in reversed(table((results / "impute.md").read_text())[1:])}
    new = {row[0].partition(",")[0]: row[1:] for row in reversed(table(section(results / "sample.md", "Boosting"))[1:])}
    head, *digits = table(section(results / "digits.md", "Seed 0"))
    mean = dict(zip(head, next(row for row in digits if row[0] == "**mean**"), strict=True))
    series = {(row[0], row[1]): row[-1] for row in table(section(results / "sensors.md", "VUS-PR by set"))[1:]}
    of = {mode: {name: mean for (name, one), mean in series.items() if one == mode} for mode in ("causal", "offline")}
    statistics, pca = "window statistics, one Gaussian", "windowed PCA, 32 rows"
    causal, ahead = of["causal"], of["offline"]
    expected = [
        [f"{first[0]} %", f"squared error {first[2]} %, z-scores {first[3]} %"],
        [f"{three[0]} %", f"squared error {three[2]} %, z-scores {three[3]} %"],
        *(
            [gaps[name][0], f"iterative imputer {gaps[name][3]}, kNN {gaps[name][2]}"]
            for name in ("28_pendigits", "19_landsat")
        ),
        *([new[name][0], f"Gaussian copula {new[name][1]}"] for name in ("shuttle", "19_landsat", "nslkdd")),
        [mean["vaecli, one unit"], f"kNN-5 {mean['kNN, k = 5']}, kNN-1 {mean['kNN, k = 1']}"],
        [
            causal["vaecli"],
            f"one Gaussian of window statistics {causal[statistics]}, windowed PCA {causal[pca]}, "
            f"kNN on windows {causal['kNN on windows']}",
        ],
        [
            ahead["vaecli"],
            f"one Gaussian {ahead[statistics]}, windowed PCA {ahead[pca]}, "
            f"k-means on windows (aeon) {ahead['KMeansAD (aeon)']}",
        ],
    ]
    assert told == expected


def measured() -> dict[tuple[str, str], dict[str, str]]:
    """(table, method) → figure by name, from benchmarks/results/mixed.md."""
    text = (ROOT / "benchmarks/results/mixed.md").read_text(encoding="utf-8")
    found = {}
    for name in re.findall(r"^## (\w+)$", text, re.MULTILINE):
        head, *rows = table(section(ROOT / "benchmarks/results/mixed.md", name))
        for row in rows:
            found[name, row[0]] = dict(zip(head, row, strict=True))
    return found


def plain(name: str) -> str:
    return re.sub(r"\W", "", name.lower())


def test_figures_of_the_readme_are_the_measured_ones():
    """README's comparison repeats benchmarks/results to the digit."""
    text, figures = section(README, "How it compares"), measured()
    head, *rows = table(text)
    columns = [(plain(name), figure) for name, _, figure in (column.rpartition(" ") for column in head[1:])]
    assert rows == [[row[0], *(figures[name, row[0]][figure] for name, figure in columns)] for row in rows]
    head, *rows = table(text[text.index("vaecli's flags") :])
    assert rows == [[row[0], *(figures[plain(row[0]), "vaecli"][figure] for figure in head[1:])] for row in rows]
    page = ROOT / "benchmarks/results/throughput_against.md"
    seconds = {(question, command): s for question, command, s, *_ in table(section(page, "All commands"))[1:]}
    told = text[text.index("Whole commands on two cores") : text.index("The scored table is the same to the byte")]
    for question, command in (
        ("1,000 rows of CSV, default", "this build"),
        ("200,000 rows of CSV, default, and PyOD", "this build"),
        ("200,000 rows of CSV, default, and PyOD", "isolation forest"),
        ("200,000 rows of CSV, default, and PyOD", "kNN"),
        ("1,000,000 rows of CSV, `fast`", "this build"),
        ("1,000,000 rows of CSV, default", "this build"),
        ("1,000,000 rows of CSV, default", "floor"),
        ("1,000,000 rows of Parquet, `fast`", "this build"),
        ("1,000,000 rows of Parquet, default", "this build"),
        ("1,000,000 rows of Parquet, default", "floor"),
    ):
        assert seconds.pop((question, command)) in told
    for verb, peak, *_ in table((ROOT / "benchmarks/results/memory.md").read_text(encoding="utf-8"))[1:]:
        assert f"{verb} {peak}" in text
