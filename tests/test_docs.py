"""The documents say what is: every command and option is there, and what they show runs."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import headway as face
from headway.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference" / "command-line.md"
PYTHON_PAGE = ROOT / "docs" / "reference" / "python.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LIMIT_S = 120

_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)
# What a shell would take out before headway sees its arguments.
_REDIRECTION = re.compile(r"\s*(?:[<>|]|2>).*$")


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups included."""
    pending: list[tuple[str, Any]] = [("headway", typer.main.get_command(app))]
    while pending:
        words, command = pending.pop()
        yield words, command
        for name, child in getattr(command, "commands", {}).items():
            pending.append((f"{words} {name}", child))


COMMANDS = dict(commands())
GROUPS = ("headway cell", "headway deps", "headway kernel")


def section_of(words: str) -> str:
    """The part of the reference under a command's heading, up to the next heading."""
    text = REFERENCE.read_text(encoding="utf-8")
    found = re.search(rf"^##+ {re.escape(words)}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the reference has no section on `{words}`"
    return found[1]


def blocks(path: Path, *infos: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [found["body"] for found in _BLOCK.finditer(text) if found["info"].strip() in infos]


def shown_commands(path: Path) -> list[str]:
    """Each `headway ...` line of a document's console blocks."""
    bodies = blocks(path, "console", "console session", "sh", "bash", "shell")
    lines = [line.strip().removeprefix("$ ") for body in bodies for line in body.split("\n")]
    return [line for line in lines if line.startswith("headway ")]


def parse(line: str) -> None:
    """Parse a command line as the program would, without doing anything; raises if it cannot."""
    words = shlex.split(_REDIRECTION.sub("", line), comments=True)
    name, command, rest = words[0], COMMANDS["headway"], words[1:]
    while hasattr(command, "commands"):
        if rest and rest[0] in {"--help", "-h", "--version"}:
            return
        name = f"{name} {rest[0]}"
        command, rest = COMMANDS[name], rest[1:]
    if "--help" not in rest and "-h" not in rest:
        command.make_context(name, rest)


@pytest.fixture
def home() -> Iterator[Path]:
    """A private home with a short path; whatever daemon runs in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="headway-docs-"))
    yield folder
    headway(folder, ROOT, "stop")
    shutil.rmtree(folder, ignore_errors=True)


def headway(home: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headway", *arguments],
        cwd=folder,
        env={**os.environ, "HEADWAY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("words", sorted(set(COMMANDS) - {"headway"}))
def test_every_command_and_option_is_in_the_reference(words: str) -> None:
    section = section_of(words)
    for parameter in COMMANDS[words].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert f"`{option}" in section, f"{option} of `{words}`"


@pytest.mark.parametrize("words", sorted(set(COMMANDS) - {"headway"}))
def test_the_reference_names_no_option_that_is_not_there(words: str) -> None:
    rows = [line for line in section_of(words).split("\n") if line.startswith("| `-")]
    named = {option for row in rows for option in re.findall(r"`(--?[a-z-]+)", row.split("|")[1])}
    known = {option for parameter in COMMANDS[words].params for option in parameter.opts}
    assert named <= known


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_has_help_with_examples_that_parse(words: str) -> None:
    command = COMMANDS[words]
    assert command.help
    examples = [line.strip() for line in (command.epilog or "").split("\n") if "headway " in line]
    assert examples
    for example in examples:
        if "COMMAND" not in example:
            parse(example[example.index("headway ") :])


@pytest.mark.parametrize("words", sorted(set(COMMANDS) - {"headway", *GROUPS}))
def test_the_examples_of_the_help_are_in_the_reference(words: str) -> None:
    section = section_of(words)
    for line in (COMMANDS[words].epilog or "").split("\n"):
        if line.strip().startswith(("headway ", "ssh ")):
            assert f"$ {line.strip()}\n" in section


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_that_a_document_shows_parses(path: Path) -> None:
    for line in shown_commands(path):
        parse(line)


def test_a_command_that_does_not_parse_is_noticed() -> None:
    with pytest.raises(Exception, match="--nosuch"):
        parse("headway run x.ipynb --nosuch")


def test_the_session_of_the_reference_runs(home: Path, tmp_path: Path) -> None:
    (session,) = blocks(REFERENCE, "console session")
    said = []
    for line in session.strip().split("\n"):
        done = headway(home, tmp_path, *shlex.split(line.removeprefix("$ headway ")))
        assert done.returncode == 0, f"{line}: {done.stderr or done.stdout}"
        said.append(done.stdout)
    assert "42" in "".join(said)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_python_that_a_document_shows_runs(path: Path, home: Path, tmp_path: Path) -> None:
    run_program(path, home, tmp_path)


def run_program(document: Path, home: Path, folder: Path) -> None:
    """Run the Python of a document in a folder, if it shows any."""
    program = "\n".join(blocks(document, "python"))
    if not program:
        return
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=program,
        cwd=folder,
        env={**os.environ, "HEADWAY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr


def test_the_shell_of_the_readme_works_right_after_its_program(home: Path, tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    run_program(readme, home, tmp_path)
    for line in shown_commands(readme):
        words = shlex.split(line.removeprefix("headway "), comments=True)
        if "CELL" in words:
            listed = headway(home, tmp_path, "cell", "list", "analysis.ipynb", "--json").stdout
            words[words.index("CELL")] = json.loads(listed)[0]["id"]
        done = headway(home, tmp_path, *words)
        assert done.returncode == 0, f"{line}: {done.stderr or done.stdout}"
    assert (tmp_path / "out.ipynb").exists()


def rows_of_the_python_page(heading: str = "") -> set[str]:
    """The names in the first column of its tables, or of those under one heading."""
    text = PYTHON_PAGE.read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.split("\n") if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_public_method_of_a_notebook_is_on_the_python_page() -> None:
    assert public(face.Notebook) == public(face.AsyncNotebook)
    assert public(face.Notebook) - rows_of_the_python_page() == set()


def test_every_public_method_of_an_execution_is_on_the_python_page() -> None:
    # `id` and `cell_id` of an asynchronous one are no attributes of its class.
    assert public(face.AsyncExecution) <= public(face.Execution)
    assert public(face.Execution) == rows_of_the_python_page("Executions")


def test_every_error_of_the_python_page_can_be_caught_by_that_name() -> None:
    named = rows_of_the_python_page("Errors")
    assert len(named) > 20
    for name in named:
        assert issubclass(getattr(face, name), face.HeadwayError)


def test_the_python_page_says_which_methods_take_a_consent() -> None:
    text = PYTHON_PAGE.read_text(encoding="utf-8")
    (said,) = re.findall(r"^`install=True` is an argument of (.*?)\. ", text, re.MULTILINE)
    takes = {
        name
        for name in public(face.Notebook)
        if inspect.isfunction(method := getattr(face.Notebook, name))
        and "install" in inspect.signature(method).parameters
    }
    assert set(re.findall(r"`(\w+)`", said)) == takes
