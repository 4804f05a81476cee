"""`headway cell`: one cell at a time."""

from __future__ import annotations

import subprocess

import pytest

import headway
from command_line import LIMIT_S, Shell, interrupt, read_outputs, write_notebook
from headway.cli.cell import find_cell
from headway.client.models import Cell
from headway.errors import BadRequest

CELLS = [Cell("abc1", "code", ""), Cell("abc2", "code", ""), Cell("abc", "code", "")]


def test_a_cell_is_named_by_its_id_or_a_unique_beginning() -> None:
    assert find_cell(CELLS, "abc2").id == "abc2"
    assert find_cell(CELLS, "abc").id == "abc"
    assert find_cell(CELLS[:1], "a").id == "abc1"


def test_a_beginning_of_several_or_of_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="3 cells"):
        find_cell(CELLS, "a")
    with pytest.raises(BadRequest, match="no cell"):
        find_cell(CELLS, "x")


def test_cells_are_added_edited_moved_run_shown_and_deleted(shell: Shell) -> None:
    path = write_notebook(shell.folder / "c.ipynb", "print('old')")
    title = shell.json("cell", "add", "c.ipynb", "# Titel 🦉", "--type", "markdown")["cell_id"]
    added = shell.run("cell", "add", "c", "-", "--after", "cell-0", stdin="x = 6\nx * 7\n")
    assert added.returncode == 0, added.stderr
    cell = added.stdout.strip()
    assert shell.run("cell", "move", "c", title, "--before", "cell-0").returncode == 0
    listed = shell.json("cell", "list", "c")
    assert [(each["id"], each["source"]) for each in listed] == [
        (title, "# Titel 🦉"),
        ("cell-0", "print('old')"),
        (cell, "x = 6\nx * 7"),
    ]
    assert shell.run("cell", "edit", "c", "cell-0", "print('new')").returncode == 0
    ran = shell.run("cell", "run", "c", "cell-0")
    assert (ran.returncode, ran.stdout) == (0, "new\n")
    assert shell.json("cell", "run", "c", cell[:6])["text"] == "42"
    assert shell.run("cell", "show", "c", cell).stdout == "x = 6\nx * 7\n42\n"
    assert shell.run("cell", "delete", "c", title).returncode == 0
    assert [line.split()[0] for line in shell.run("cell", "list", "c").stdout.splitlines()] == [
        "ID",
        "cell-0",
        cell,
    ]
    assert shell.run("stop").returncode == 0  # which saves
    assert [len(outputs) for outputs in read_outputs(path)] == [1, 1]


def test_a_cell_that_fails_ends_with_1_and_shows_why(shell: Shell) -> None:
    write_notebook(shell.folder / "f.ipynb", "1 / 0")
    done = shell.run("cell", "run", "f.ipynb", "cell-0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert done.stderr == ""


def test_a_cell_that_takes_too_long_ends_with_124(shell: Shell) -> None:
    write_notebook(shell.folder / "t.ipynb", "import time\ntime.sleep(300)")
    done = shell.run("cell", "run", "t.ipynb", "cell-0", "--timeout", "1")
    assert done.returncode == 124
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("list", "nosuch.ipynb"), 2, "There is no notebook nosuch.ipynb"),
        (("show", "n.ipynb", "zzz"), 2, "There is no cell"),
        (("show", "n.ipynb", ""), 2, "2 cells have an id"),
        (("run", "n.ipynb", "cell-0", "--timeout", "0"), 2, "--timeout must be more than 0"),
        (("run", "n.ipynb", "cell-0", "--timeout", "nan"), 2, "--timeout must be more than 0"),
        (("move", "n.ipynb", "cell-0"), 2, "Say where to"),
        (("add", "n.ipynb", "x", "--after", "cell-0", "--before", "cell-0"), 2, "not both"),
        (("run", "n.ipynb", "title"), 1, "markdown"),
    ],
)
def test_a_mistake_is_one_line(
    shell: Shell, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    (shell.folder / "n.ipynb").write_text(
        '{"cells": [{"id": "cell-0", "cell_type": "code", "source": "1", "metadata": {}, '
        '"outputs": [], "execution_count": null}, {"id": "title", "cell_type": "markdown", '
        '"source": "#", "metadata": {}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    done = shell.run("cell", *arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1


def test_a_cell_that_takes_too_long_goes_on_and_it_is_said_how_to_look_at_it(shell: Shell) -> None:
    write_notebook(shell.folder / "slow it.ipynb", "import time; time.sleep(300)")
    done = shell.run("cell", "run", "slow it.ipynb", "cell-0", "--timeout", "1")
    assert done.returncode == 124
    assert done.stderr.endswith(
        "goes on. Look at it with: headway cell show 'slow it.ipynb' cell-0\n"
    )
    assert shell.run("kernel", "stop", "slow it.ipynb").returncode == 0


def test_ctrl_c_says_that_the_cell_goes_on_where_it_does(shell: Shell) -> None:
    path = write_notebook(shell.folder / "w.ipynb", "import time; time.sleep(300)")
    with headway.open(path, home=shell.home) as notebook:
        process = shell.begin("cell", "run", "w.ipynb", "cell-0")
        assert process.stderr is not None
        with process:
            notebook.wait_until(
                lambda: notebook.cell("cell-0").status == "running", timeout=LIMIT_S
            )
            interrupt(process)
            assert process.wait(LIMIT_S) == 130
            said = process.stderr.read().decode()
        assert said == (
            "headway: If the cell had begun, it goes on. It is ended by: "
            "headway kernel interrupt w.ipynb\n"
        )
        notebook.shutdown_kernel()


def test_the_source_that_is_shown_drives_no_terminal(shell: Shell) -> None:
    source = "hidden()\rx = 1\t# \x1b]0;title\x07"
    write_notebook(shell.folder / "s.ipynb", source)
    shown = shell.run("cell", "show", "s.ipynb", "cell-0").stdout
    assert shown.splitlines()[0] == "hidden()\ufffdx = 1\t# \ufffd]0;title\ufffd"
    assert shell.json("cell", "show", "s.ipynb", "cell-0")["source"] == source


def test_a_source_that_is_not_utf_8_is_refused_in_one_line(shell: Shell) -> None:
    write_notebook(shell.folder / "l.ipynb", "1")
    process = shell.begin("cell", "add", "l.ipynb", "-", stdin=subprocess.PIPE)
    _, said = process.communicate("# Stra\xdfe".encode("latin-1"), timeout=LIMIT_S)
    assert process.returncode == 2
    assert said.startswith(b"headway: The source on standard input is not UTF-8: byte 7 is not.")
    assert said.count(b"\n") == 1
    assert len(shell.json("cell", "list", "l.ipynb")) == 1
