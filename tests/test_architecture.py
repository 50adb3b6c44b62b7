"""The structure of the package: layers, printing, imports, public names, docstrings and prose."""

from __future__ import annotations

import ast
import importlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import vaecli

PACKAGE = Path(vaecli.__file__).parent
HEAVY = {"numpy", "pandas", "pyarrow", "safetensors", "scipy", "sklearn", "torch"}
NOT_FOR_SCORING = {"pandas", "scipy", "sklearn", "torch"}
# what a plain score of numbers has no use for: packages, and parts of this one
NOT_FOR_PLAIN_SCORES = {
    *("dateutil", "fractions", "matplotlib", "numpy.ma", "pandas", "pyarrow.dataset", "pyarrow.fs", "pyarrow.parquet"),
    *("rich", "safetensors.numpy", "scipy", "sklearn", "ssl", "tomllib", "torch"),
}
OTHER_TASKS = {
    *("aggregates.incident_sketch", "bundle.incident_state", "bundle.write", "calibration.calibrate"),
    *("data.fit_strings", "data.strings", "data.training_rows", "decisions.incident_groups", "engines.live"),
    *(
        "engines.spark",
        "evaluation",
        "latent",
        "plots",
        "render.summaries",
        "report",
        "results.check",
        "results.columns",
    ),
    *(
        "results.flag",
        "results.mark",
        "results.plan",
        "results.selftest",
        "scoring.attribution",
        "scoring.string_judge",
    ),
    *("scoring.unusual_spans", "scoring.window_scores", "sensors", "spark", "tables.infer", "tables.read.frames"),
    *("tables.read.found_files", "tables.read.lines", "tables.read.long", "tables.read.parquet", "tables.read.since"),
    *("tables.write.event_file", "tables.write.incident_file", "tables.write.new_rows", "tables.write.parquet_rows"),
    *("tasks.deviations", "tasks.incidents", "tasks.long_rows", "tasks.sensors", "training", "workflows.incidents"),
}
MAY_WARN = {"config/former_names.py"}
MAY_IMPORT_TORCH = {"training/adamw.py", "training/loop.py", "training/ranks.py"}  # nobody scores through it


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a module, which many checks walk and none changes."""
    return ast.parse(path.read_text())


def of_each_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """One test of what must hold for every module; it names those for which `check` fails."""

    def test() -> None:
        failures = []
        for path in modules():
            try:
                check(path)
            except AssertionError as failure:
                failures.append(f"{named(path)}: {failure}")
        assert not failures, "\n".join(failures)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


@cache
def modules_loaded_by(*words: str) -> set[str]:
    """The modules that a command line loads in a process of its own."""
    probe = (
        "import sys\n"
        "from vaecli.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as left:\n"
        "    loaded = [name for name, module in sys.modules.items() if module is not None]\n"
        "    print(left.code, *loaded, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe, *words], capture_output=True, text=True, check=True)
    code, *loaded = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(loaded)


def loaded_by(*words: str) -> set[str]:
    """The top-level packages that a command line loads."""
    return {name.partition(".")[0] for name in modules_loaded_by(*words)}


def test_only_the_verb_that_is_asked_for_is_loaded():
    """A command line reads the options of one verb; the help of the program reads all."""
    loaded = {}
    for words in (("score", "--help"), ("--help",)):
        shell = {name for name in modules_loaded_by(*words) if name.startswith("vaecli.cli.")}
        loaded[words[0]] = shell - {"vaecli.cli.app", "vaecli.cli.options", "vaecli.cli.unattended", "vaecli.cli.verb"}
    assert loaded["score"] == {"vaecli.cli.score"}
    assert {"vaecli.cli.fit", "vaecli.cli.score", "vaecli.cli.report"} < loaded["--help"]


@of_each_module
def test_only_render_prints(path: Path):
    """No module but render prints, writes to a standard stream or logs; one warns of renamed settings."""
    if "render" in path.relative_to(PACKAGE).parts:
        return
    found = list(_printing(tree_of(path)))
    assert [line.partition(": ")[2] for line in found] == (["warnings.warn"] if named(path) in MAY_WARN else [])


def _printing(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"line {node.lineno}: print"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            if called in {"sys.stdout.write", "sys.stderr.write", "typer.echo", "typer.secho", "warnings.warn"}:
                yield f"line {node.lineno}: {called}"
        if isinstance(node, ast.Import) and any(alias.name == "logging" for alias in node.names):
            yield f"line {node.lineno}: logging"


def test_the_print_check_finds_a_print():
    """The check above finds what it looks for."""
    noisy = ast.parse("import sys\ndef f():\n    print(1)\n    sys.stderr.write('x')\n")
    assert len(list(_printing(noisy))) == 2


@of_each_module
def test_torch_sklearn_and_pandas_are_imported_where_they_are_used(path: Path):
    """At module level only training imports torch, only the estimator scikit-learn, nothing SciPy or pandas."""
    allowed = {"torch"} if named(path) in MAY_IMPORT_TORCH else {"sklearn"} if named(path) == "sklearn.py" else set()
    assert set(_at_module_level(tree_of(path))) & NOT_FOR_SCORING <= allowed


def _at_module_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_importing_vaecli_is_light():
    """`import vaecli` loads nothing but itself, and its public names are there when they are asked for."""
    probe = "import sys, vaecli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not HEAVY & loaded
    assert {name for name in loaded if name.startswith("vaecli")} == {"vaecli"}


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["score", "--help"], ["--version"]], ids=" ".join)
def test_help_is_light(words: list[str]):
    """Help and the version answer without torch, NumPy, pyarrow, pandas or scikit-learn."""
    assert not (HEAVY | {"dateutil", "rich", "ssl", "tomllib"}) & loaded_by(*words)


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["score", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_no_settings(words: list[str]):
    """Help and the version read the words that settings can be, and no settings, summaries or layers below."""
    loaded = {name.removeprefix("vaecli.") for name in modules_loaded_by(*words) if name.startswith("vaecli.")}
    light = {"cli", "config", "errors", "render", "results", "runtime"}
    assert {name.partition(".")[0] for name in loaded} <= light
    needed = {"config", "config.choices", "results", "results.json_object"}
    assert {name for name in loaded if name.partition(".")[0] in ("config", "results")} <= needed


def test_scoring_is_light(bundle: Path, normal_csv: Path, tmp_path: Path):
    """A real `vaecli score` of a CSV on the CPU loads neither fitting packages nor what other tables and tasks need."""
    out = tmp_path / "out.csv"
    loaded = modules_loaded_by("score", str(normal_csv), "-m", str(bundle), "-o", str(out), "--quiet")
    assert not NOT_FOR_SCORING & loaded
    assert not NOT_FOR_PLAIN_SCORES & loaded
    others = {f"vaecli.{name}" for name in OTHER_TASKS}
    assert not {name for name in loaded if name in others or any(name.startswith(f"{one}.") for one in others)}
    assert out.exists()


def test_what_a_plain_score_does_not_load_is_there():
    """The names above are those of modules, so that none is missed after it was renamed."""
    for name in OTHER_TASKS:
        path = PACKAGE / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
    assert all(map(find_spec, NOT_FOR_PLAIN_SCORES - {"matplotlib", "torch"}))


def test_inspecting_is_light(bundle: Path):
    """A real `vaecli inspect` loads neither torch, scikit-learn, SciPy nor pandas."""
    assert not NOT_FOR_SCORING & loaded_by("inspect", str(bundle), "--schema")


def test_public_names_are_complete():
    """Every name in `vaecli.__all__` can be used, and no other name can."""
    for name in vaecli.__all__:
        assert getattr(vaecli, name) is not None
    assert dir(vaecli) == sorted(vaecli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        vaecli.frobnicate  # noqa: B018 (asking is the test)


@pytest.mark.parametrize("face", ["bundle", "config", "results", "tables"])
def test_lazy_faces_are_complete(face: str):
    """A name that such a package promises to a type checker can be imported, and no other."""
    package = importlib.import_module(f"vaecli.{face}")
    tree = ast.parse(Path(package.__file__).read_text())
    promised = [name.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names]
    names = [name for name in promised if name is not None]
    assert len(names) > 5
    assert [name for name in names if not hasattr(package, name)] == []
    assert not hasattr(package, "frobnicate")


def test_a_verb_loads_its_own_results_only(bundle: Path, normal_csv: Path, tmp_path: Path):
    """A real `vaecli score` that shows its summary loads no settings and no summary of other verbs."""
    loaded = modules_loaded_by("score", str(normal_csv), "-m", str(bundle), "-o", str(tmp_path / "out.csv"))
    others = ("encode", "evaluate", "fit", "inspect", "reconstruct", "sample", "selftest")
    assert not {f"vaecli.results.{verb}" for verb in others} & loaded


@of_each_module
def test_public_things_have_docstrings(path: Path):
    """Every file, public class and public function has a docstring."""
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the file"
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@of_each_module
def test_files_stay_short(path: Path):
    """A file that needs more than 500 lines is a folder."""
    assert len(path.read_text().splitlines()) <= 500


# Sentences that have no subject, or whose subject stands in another docstring.
FRAGMENT = re.compile(
    r"(Of|From|As|By|In|With|Those|Both|Them|See|Then|Nothing|Raises)\b|At (?!most\b|least\b)|For (?!each\b)"
    r"|The (same|inverse|others?)( \w+)?\.|The same of\b"
)
# A capital letter, a name in backticks, a shape, a number, a symbol of the maths or a formula.
OPENING = re.compile(r"[A-Z`(\d]|[^\x00-\x7f]|vaecli\b|[a-z][ ,]|[a-z]+\(")
DIALECT = re.compile(
    r"\b(odd(er|est|ly|ness)?|told|tells?|says?|said|speaks?|alike|surprises?|blam(e|es|ed|ing))\b"
    r"|\b(is|are) no (number|picture|table)s?\b|\bbehind\b"
)
# Names of arrays in a bundle, and classes and variables of a style sheet, are not prose.
NOT_PROSE = re.compile(r"surprise/|[\"']((line|mark|key|dots) )?odd( dot)?[\"']|\{\w+\}|\.odd\b|--odd\b|\(odd\)")


def first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`(])", paragraph)[0]


def is_sentence(text: str) -> bool:
    """Whether a text is more than a fragment; noun phrases such as "The rows that …" are sentences here."""
    has_ends = OPENING.match(text) is not None and text.endswith((".", "…", ":"))
    return has_ends and len(text.split()) >= 3 and not FRAGMENT.match(text)


def _public_docstrings(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """(name, docstring) of public classes, functions and methods; an implementation may leave it to its protocol."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name[0] != "_":
            if docstring := ast.get_docstring(child):
                yield child.name, docstring
            if isinstance(child, ast.ClassDef):
                yield from _public_docstrings(child)


def _dialect(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            for found in DIALECT.finditer(NOT_PROSE.sub("", token.string)):
                yield f"line {token.start[0]}: {found[0]}"


@of_each_module
def test_docstrings_open_with_a_sentence(path: Path):
    """The docstring of every public class, function and method opens with a sentence that can be read on its own."""
    found = _public_docstrings(tree_of(path))
    assert [f"{name}: {text}" for name, docstring in found if not is_sentence(text := first_sentence(docstring))] == []


@pytest.mark.parametrize("text", ["Of both, the later.", "e.", "The same of the rows.", "See `numbers`.", "m."])
def test_fragments_are_found(text: str):
    """The check above finds what it looks for, and leaves definitions and formulas alone."""
    assert not is_sentence(text)
    assert is_sentence("(n,) bool, which rows are flagged.")
    assert is_sentence("log(1 + exp(v)), safe from overflow.")


@of_each_module
def test_prose_is_plain(path: Path):
    """Docstrings, comments and messages use the words of the style note in CONTRIBUTING.md."""
    assert list(_dialect(path.read_text())) == []


def test_dialect_is_found():
    """The check above reads strings and comments, and no names."""
    assert list(_dialect('told = "the oddest"  # it says so\n')) == ["line 1: oddest", "line 1: says"]


# (n,), (e, n, c), (t, K + q), (N_BARS + 1,): letters, constants and numbers, at least one comma.
AXIS = r"(?:…|[A-Z_]+(?: \+ \w+)?|[a-z0-9_][\w +·]*)"
SHAPE = re.compile(rf"\({AXIS}(?:,|(?:, {AXIS})+)\)|of any shape")
ARRAY = re.compile(r"(?<!pa\.)\b(ndarray|NDArray|Array|Tensor)\b")  # Arrow arrays have one dimension
ARRAYS_BY_NAME = re.compile(r"(Mapping|dict)\[str, np\.ndarray\]")  # docs/bundle-format.md has their shapes


def _public_functions(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Public functions and methods that have a docstring of their own."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name[0] != "_" and ast.get_docstring(child):
            yield child
        if isinstance(child, ast.ClassDef) and child.name[0] != "_":
            yield from _public_functions(child)


def _without_shape(tree: ast.Module) -> Iterator[str]:
    """Public functions of arrays whose docstrings name no shape."""
    for function in _public_functions(tree):
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        types = [ast.unparse(one) for one in (*(arg.annotation for arg in given), function.returns) if one]
        has_array = any(ARRAY.search(ARRAYS_BY_NAME.sub("", one)) for one in types)
        if has_array and not SHAPE.search(ast.get_docstring(function) or ""):
            yield function.name


def _raises(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))


def _with_unnamed_error(tree: ast.Module) -> Iterator[str]:
    """Public functions that raise, or call a private function of their file that does, and do not document it."""
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    raising = {function.name for function in own if function.name[0] == "_" and _raises(function)}
    for function in _public_functions(tree):
        called = {
            node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and hasattr(node.func, "id")
        }
        docstring = ast.get_docstring(function) or ""
        if (_raises(function) or called & raising) and not re.search(r"\b[Rr]aises?\b|[Ss]ee `[A-Z]", docstring):
            yield function.name


@of_each_module
def test_docstrings_name_shapes(path: Path):
    """A public function that takes or returns an array names a shape; arrays by name have theirs in the format."""
    assert list(_without_shape(tree_of(path))) == []


@of_each_module
def test_docstrings_name_errors(path: Path):
    """A public function that raises names the error and its cause; the docstring of a verb is its `--help` instead."""
    found = list(_with_unnamed_error(tree_of(path)))
    assert found == [] or named(path).startswith("cli/")


def test_missing_shapes_and_errors_are_found():
    """The two checks above find what they look for."""
    source = "def f(x: np.ndarray) -> {}:\n    '''{}'''\n    raise ValueError\n"
    vague = ast.parse(source.format("np.ndarray", "The larger values (Coles 2001)."))
    exact = ast.parse(source.format("float", "The sum of x (n,) in nats. Raises ValueError on NaN."))
    assert [*_without_shape(vague), *_with_unnamed_error(vague)] == ["f", "f"]
    assert [*_without_shape(exact), *_with_unnamed_error(exact)] == []
