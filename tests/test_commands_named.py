"""Every command that a message, a page or a document names is one that the command line knows."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest

from pursamere_viz import cli
from pursamere_viz.cli import command_parser

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = (".py", ".md", ".txt", ".toml", ".ipynb", ".html", "Makefile")
# As said in full, to the end of the line, the quotation or the sentence.
NAMED = re.compile(r"python3? -m pursamere_viz +([^`'\"\n]*)")
SHORT = re.compile(r"`([a-z_]+) (?:digits|mnist|fashion_mnist|cifar10|--[a-z]+)[^`]*`")


def texts() -> dict[str, str]:
    """What is written in the repository, tests left out."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    wanted = [name for name in listed if name.endswith(WRITTEN) and not name.startswith("tests/")]
    return {name: (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ") for name in wanted}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    [found] = [action for action in command_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found.choices)


def unknown(said: str) -> list[str]:
    """What of a named command, without the program, there is not: its first word, or options of it."""
    first, *others = said.split()
    known, options = commands(), [word.rstrip(".,;:)") for word in others if word.startswith("--")]
    if first.rstrip(".,;:)") not in known:
        return [first]
    there = known[first.rstrip(".,;:)")]._option_string_actions
    return [option for option in options if option not in there]


def named() -> list[tuple[str, str]]:
    """(file, command) for each that is named."""
    found = [(name, said) for name, text in texts().items() for said in NAMED.findall(text)]
    return found + [
        (name, match[0].strip("`"))
        for name, text in texts().items()
        if name.endswith(".md")
        for match in SHORT.finditer(text)
    ]


def test_every_command_that_is_named_is_there():
    found = named()
    assert len(found) > 20 and {"README.md", "requirements-cluster.txt", "pursamere_viz/models/generated.py"} <= {
        name for name, _ in found
    }
    # A line of usage names all commands; a name in braces is filled in by the program.
    wrong = {(name, word) for name, said in found if "|" not in said and said[:1] != "{" for word in unknown(said)}
    assert wrong == set()


def test_the_line_of_usage_names_every_command():
    said = cli.__doc__.partition(": ")[2].rstrip(".\n")
    assert set(said.split(", ")) == commands().keys()


@pytest.mark.parametrize("said", ["bench --scheduler ADDRESS", "evaluate digits --sheduler here", "paint"])
def test_a_command_that_is_not_there_is_found(said):
    assert unknown(said)
