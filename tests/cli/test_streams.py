"""The standard streams, closed, or of an encoding that lacks what is printed."""

from __future__ import annotations

import json
import subprocess

import pytest

from command_line import LIMIT_S, Done, Shell, write_notebook

PRINTS = "print('Straße ✓')"


def run_in(shell: Shell, redirection: str, *arguments: str, **variables: str) -> Done:
    """A command with its streams as the system's shell makes them."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *shell.command(*arguments)],
        cwd=shell.folder,
        env={**shell.environment, **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "arguments", [("ps",), ("cell", "run", "n.ipynb", "cell-0"), ("run", "n.ipynb")]
)
def test_a_closed_stream_is_as_one_that_nobody_reads(
    shell: Shell, redirection: str, arguments: tuple[str, ...]
) -> None:
    write_notebook(shell.folder / "n.ipynb", PRINTS)
    done = run_in(shell, redirection, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) is (">&-" not in redirection.replace("2>&-", ""))


def test_what_an_encoding_lacks_is_shown_as_a_backslash_sequence(shell: Shell) -> None:
    write_notebook(shell.folder / "n.ipynb", PRINTS)
    ascii_only = {"PYTHONIOENCODING": "ascii:strict"}
    done = run_in(shell, "", "run", "n.ipynb", **ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert "    Stra\\xdfe \\u2713\n" in done.stdout
    done = run_in(shell, "", "cell", "show", "n.ipynb", "cell-0", "--json", **ascii_only)
    assert json.loads(done.stdout)["outputs"][0]["text"] == "Straße ✓\n"


def test_a_name_that_is_not_text_is_refused_in_one_line(shell: Shell) -> None:
    done = shell.run("cell", "list", "\udcff.ipynb")
    assert done.returncode == 2
    assert "is not UTF-8" in done.stderr
    assert done.stderr.count("\n") == 1
