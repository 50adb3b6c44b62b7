"""Help explains itself: every option described, every example true."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

import vaecli

VERBS = ["fit", "score", "explain", "evaluate", "selftest", "encode", "reconstruct", "sample", "report", "inspect"]


def examples_of(help_text: str) -> list[str]:
    return [line.strip() for line in help_text.splitlines() if re.match(r"    (vaecli|\w+ .*\| vaecli) ", line)]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_verb_shows_examples(run, verb: str):
    """`--help` of the program and of each verb ends its text with commands to copy."""
    done = run(*([verb] if verb else []), "--help")
    assert (done.code, done.err) == (0, "")
    assert len(examples_of(done.out)) >= 3


@pytest.mark.parametrize("verb", VERBS)
def test_examples_run(run, workflows, verb: str):
    """Every example in a help text is a command line that is understood."""
    for example in examples_of(run(verb, "--help").out):
        (command,) = (part for part in example.split(" | ") if part.startswith("vaecli"))
        words = shlex.split(command.partition(" < ")[0])
        assert words[:2] == ["vaecli", verb]
        done = run(*words[1:])
        assert done.code in (0, 3), (example, done.err)
    assert workflows.calls


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_help(run, verb: str):
    """No option is listed without a sentence."""
    text = run(verb, "--help").out
    listed = re.findall(r"^  (-\S.*?)(?=^  -|\Z)", text.partition("Options:")[2], flags=re.MULTILINE | re.DOTALL)
    assert len(listed) >= 3
    for option in listed:
        column_summaries = re.split(r"\s{2,}|\n", option.strip(), maxsplit=1)
        assert len(column_summaries) == 2, option
        assert column_summaries[1].strip().endswith((".", "]")), option


def test_short_help_is_help(run):
    """`-h` is `--help`."""
    assert run("score", "-h").out == run("score", "--help").out


def test_a_verb_after_other_words_has_its_options(run):
    """The help of the program lists verbs without their options; where a word names a verb, all have them."""
    assert run("--", "score", "--help").out == run("score", "--help").out
    assert "--min-score" in run("score", "--help").out
    assert run("--help", "score").out == run("--help").out


def test_help_is_plain_in_a_pipe(run):
    """No boxes and no colours where no terminal is."""
    for verb in VERBS:
        assert run(verb, "--help").out.isascii()


def test_no_words_show_the_help_as_a_usage_error(run):
    """`vaecli` alone shows the help and leaves with 2, so that a script notices."""
    done = run()
    assert done.code == 2
    assert done.out == run("--help").out


def test_version(run):
    """`vaecli --version` names the program and its version."""
    assert run("--version").out == f"vaecli {vaecli.__version__}\n"


def test_python_m_vaecli_is_vaecli():
    """`python -m vaecli` is the same program under the same name."""
    done = subprocess.run([sys.executable, "-m", "vaecli", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: vaecli ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str):
    """The shells that Typer knows complete verbs, options and the values of options."""

    def completed(line: str) -> str:
        environment = {
            "_VAECLI_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "PATH": "/usr/bin",
        }
        probe = [sys.executable, "-m", "vaecli"]
        return subprocess.run(probe, env=environment, capture_output=True, text=True, check=False).stdout

    assert "inspect" in completed("vaecli ins")
    assert "--score-kind" in completed("vaecli score --score-k")
    assert "cuda" in completed("vaecli score --device cu")
