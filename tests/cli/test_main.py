"""What every command does: help, version, errors in one line, quiet broken pipes, a fast start."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from command_line import LIMIT_S, Done, Shell, write_notebook
from headway.cli import commands
from headway.cli import main as command_line
from headway.errors import BadRequest, ConfirmTimeout

WRITTEN_BY = "What the daemon has of it, or an empty one, is written by:"
NO_NAMES = (".", "..", "x" * 300, "~nobody-of-this-name/a")
HEAVY = {"asyncio", "rich", "loro", "websockets", "jupyter_client", "nbformat", "msgspec"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("Say it\nbetter."), 2),
        (ConfirmTimeout("Too late."), 124),
    ],
)
def test_an_error_is_one_line_and_its_exit_status(
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main([])
    assert ended.value.code == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"headway: {str(error).replace(chr(10), ' ')}\n"


@pytest.mark.parametrize(
    "command",
    [
        *itertools.product(("run", "open", "watch", "cell list"), NO_NAMES),
        *itertools.product(("run a.ipynb -o",), (".", *NO_NAMES[2:])),  # .. is a folder
        ("run", "circle"),
        ("open", "circle"),
    ],
)
def test_a_name_that_is_no_notebooks_is_one_line_and_no_traceback(
    shell: Shell, command: tuple[str, str]
) -> None:
    write_notebook(shell.folder / "a.ipynb", "1")
    (shell.folder / "circle.ipynb").symlink_to("circle.ipynb")
    words, name = command
    done = shell.run(*words.split(), name)
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a b", f"There is no notebook a b. {WRITTEN_BY} headway open 'a b'\n"),
        ("-x", f"There is no notebook -x. {WRITTEN_BY} headway open -- -x\n"),
        ("folder", "folder is there and is no file, so it is no notebook.\n"),
        ("pipe", "pipe is there and is no file, so it is no notebook.\n"),
        ("circle", "circle is there and is no file, so it is no notebook.\n"),
    ],
)
def test_a_notebook_is_made_by_what_is_said_to_make_it(shell: Shell, name: str, said: str) -> None:
    (shell.folder / "folder.ipynb").mkdir()
    os.mkfifo(shell.folder / "pipe.ipynb")
    (shell.folder / "circle.ipynb").symlink_to("circle.ipynb")
    done = shell.run("cell", "list", "--", name)
    assert (done.returncode, done.stderr) == (2, f"headway: {said}")


def test_a_folder_that_was_removed_is_said_to_be_so(shell: Shell) -> None:
    notebook = write_notebook(shell.folder / "n.ipynb", "1")
    folder = shell.folder / "removed"
    gone = Shell(shell.home, folder)
    for arguments, status in ((("n.ipynb",), 1), ((str(notebook),), 0)):
        folder.mkdir()
        done = run_where_it_is_removed(gone, "run", *arguments)
        assert done.returncode == status
        said = "headway: The folder that this runs in was removed. Change to another one.\n"
        assert done.stderr == (said if status else "")


def run_where_it_is_removed(shell: Shell, *arguments: str) -> Done:
    return subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *shell.command(*arguments)],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell.run("--version").stdout == "headway 0.1.0\n"


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("cell", "add", "-h")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from headway.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    print('LOADED', *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=LIMIT_S
    )
    loaded = done.stdout.rpartition("LOADED ")[2].split()
    assert "headway.cli.run" in loaded
    assert HEAVY & set(loaded) == set()
    assert "Examples:" in done.stdout


def test_a_reader_that_goes_away_is_no_matter(shell: Shell) -> None:
    write_notebook(shell.folder / "b.ipynb", "for i in range(3000): print('line', i)")
    process = shell.begin("run", "b.ipynb", "--outputs", "full")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait(LIMIT_S)
    assert said == b""


@pytest.mark.parametrize("group", [(), ("cell",), ("kernel",), ("deps",)])
def test_no_command_shows_which_there_are(shell: Shell, group: tuple[str, ...]) -> None:
    done = shell.run(*group)
    assert done.stdout.startswith("Usage: " + " ".join(("headway", *group)))
    assert done.stderr == ""
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("rum", "No such command 'rum'. Did you mean 'run'? `headway --help` says"),
        ("run", "Missing argument 'NOTEBOOK'. `headway run --help` says"),
        ("run a.ipynb -p x", "Option '-p' requires 2 arguments. `headway run --help` says"),
        ("cell run --timeout", "Option '--timeout' requires an argument. `headway cell run --help"),
        ("run a.ipynb --quick", "No such option: --quick. `headway run --help` says"),
        ("run a.ipynb --timeout soon", "Invalid value for '--timeout': "),
        ("cell move a.ipynb", "Missing argument 'CELL'. `headway cell move --help` says"),
        ("ps now", "Got unexpected extra argument"),
    ],
)
def test_a_mistyped_command_is_one_line(shell: Shell, command: str, said: str) -> None:
    done = shell.run(*command.split())
    assert done.stdout == ""
    assert done.stderr.startswith(f"headway: {said}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
