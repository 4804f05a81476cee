"""`headway open`: files that another program has changed, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path

import headway
from command_line import Shell, write_notebook
from headway.errors import FileWouldEmpty

CELLS = [f"x = {number}" for number in range(6)]


def known(shell: Shell, name: str) -> Path:
    """The file of a notebook that the daemon knows and has not open."""
    path = shell.folder / name
    write_notebook(path, *CELLS)
    assert shell.run("open", name).returncode == 0
    assert shell.run("stop").returncode == 0
    return path


def test_a_file_that_would_empty_the_notebook_is_taken_only_when_asked_to(
    lonely_shell: Shell,
) -> None:
    path = known(lonely_shell, "a.ipynb")
    left = json.loads(path.read_bytes())
    left["cells"] = left["cells"][:1]
    path.write_text(json.dumps(left))
    refused = lonely_shell.run("open", "a.ipynb")
    assert refused.returncode == FileWouldEmpty.exit_status
    assert len(refused.stderr.splitlines()) == 1
    found = lonely_shell.json("open", "a.ipynb", "--accept-file")
    assert found["cells"] == 1
    again = lonely_shell.run("open", "a.ipynb")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_file_that_was_replaced_is_run_only_when_asked_to(lonely_shell: Shell) -> None:
    path = known(lonely_shell, "c.ipynb")
    write_notebook(path, "print('replaced')")
    refused = lonely_shell.run("run", "c.ipynb")
    assert refused.returncode == FileWouldEmpty.exit_status
    assert "--accept-file" in refused.stderr
    ran = lonely_shell.run("run", "c.ipynb", "--accept-file")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "    replaced\n" in ran.stdout
    (cell,) = json.loads(path.read_bytes())["cells"]
    assert cell["outputs"][0]["text"] == ["replaced\n"]


def test_a_file_that_was_removed_is_written_again(lonely_shell: Shell) -> None:
    path = known(lonely_shell, "gone.ipynb")
    path.unlink()
    refused = lonely_shell.run("run", "gone.ipynb")
    assert (refused.returncode, path.exists()) == (2, False)
    assert refused.stderr.endswith("is written by: headway open gone.ipynb\n")
    assert lonely_shell.json("open", "gone.ipynb")["cells"] == len(CELLS)
    assert len(json.loads(path.read_bytes())["cells"]) == len(CELLS)


def test_a_folder_that_does_not_exist_is_a_mistake_in_the_command(lonely_shell: Shell) -> None:
    refused = lonely_shell.run("open", "none/a.ipynb")
    assert refused.returncode == 2
    (said,) = refused.stderr.splitlines()
    assert said.startswith("headway: ")
    assert f"{lonely_shell.folder / 'none'}" in said
    assert lonely_shell.json("ps") == []


def test_what_is_not_as_it_should_be_is_said_once_on_standard_error(lonely_shell: Shell) -> None:
    path = known(lonely_shell, "b.ipynb")
    path.write_text("{ half of a note")
    listed = lonely_shell.run("cell", "list", "b.ipynb", "--json")
    assert listed.returncode == 0
    assert listed.stdout.count('"source"') == len(CELLS)
    (said,) = listed.stderr.splitlines()
    assert "b.ipynb" in said
    assert path.read_text() == "{ half of a note"


def test_a_notebook_that_nobody_remembers_is_listed_and_gets_a_file_again(
    lonely_shell: Shell,
) -> None:
    assert lonely_shell.json("notebooks") == []
    path = known(lonely_shell, "old.ipynb")
    path.unlink()
    assert lonely_shell.json("open", "other.ipynb")["cells"] == 0
    (old, other) = lonely_shell.json("notebooks")
    assert (old["path"], old["has_file"], old["is_open"]) == (str(path), False, False)
    assert (other["has_file"], other["is_open"]) == (True, True)
    titles, *rows = lonely_shell.run("notebooks").stdout.splitlines()
    assert titles.split() == ["NOTEBOOK", "FILE", "OPEN", "ID"]
    assert rows[0].split() == ["old.ipynb", "no", "no", old["id"]]
    # Another notebook takes the path: the old one has none, and its id alone finds it.
    with headway.open(lonely_shell.folder / "other.ipynb", home=lonely_shell.home) as another:
        assert another.save(path).path == str(path)
    assert lonely_shell.json("notebooks")[0]["path"] is None
    taken = lonely_shell.run("open", "old.ipynb", "--id", old["id"])
    assert taken.returncode != 0
    assert len(taken.stderr.splitlines()) == 1
    found = lonely_shell.json("open", "found.ipynb", "--id", old["id"])
    assert (found["id"], found["cells"]) == (old["id"], len(CELLS))
    assert len(json.loads((lonely_shell.folder / "found.ipynb").read_bytes())["cells"]) == 6
    assert lonely_shell.run("open", "b.ipynb", "--id", "nb-none").returncode == 2
