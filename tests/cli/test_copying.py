"""`headway run -o OUT`: what the copy replaces, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import headway
from command_line import LIMIT_S, Shell, read_outputs, write_notebook
from headway.cli.copying import check_writable, place_of_copy, put_copy
from headway.errors import BadRequest, FileNotWritable, FileWouldEmpty, NotebookUnreadable

MANY = [f"print({number})" for number in range(40)]
WAITS = "import time\nprint('waiting', flush=True)\ntime.sleep(300)"


def write_nothing(path: Path) -> None:
    path.write_text('{"cells": [')


def write_little(path: Path) -> None:
    write_notebook(path, "'little'")


def link_to_in(path: Path) -> None:
    path.symlink_to("in.ipynb")


def write_text(path: Path) -> None:
    path.write_text("shopping list")


@pytest.mark.parametrize(
    "mistake",
    [
        ("-f", "nofile"),
        ("-y", "{bad"),
        ("-p", "class", "1"),
        ("--kernel", "nope"),
        ("--environment", "/nowhere"),
        ("--timeout", "-1"),
    ],
)
def test_a_mistake_leaves_what_is_in_the_place_of_the_copy(
    shell: Shell, mistake: tuple[str, ...]
) -> None:
    write_notebook(shell.folder / "in.ipynb", "1")
    before = write_notebook(shell.folder / "out.ipynb", "'precious'").read_bytes()
    done = shell.run("run", "in.ipynb", "-o", "out.ipynb", *mistake)
    assert done.returncode in {1, 2}
    assert done.stderr.count("\n") == 1
    assert (shell.folder / "out.ipynb").read_bytes() == before


def test_a_copy_takes_the_place_of_a_notebook_with_many_other_cells(shell: Shell) -> None:
    write_notebook(shell.folder / "many.ipynb", *MANY)
    write_notebook(shell.folder / "in.ipynb", "print('few')")
    for name, count in (("many", 40), ("in", 1), ("many", 40)):
        done = shell.run("run", f"{name}.ipynb", "-o", "out.ipynb")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(read_outputs(shell.folder / "out.ipynb")) == count


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(write_little, FileWouldEmpty.code), (write_nothing, NotebookUnreadable.code)],
)
def test_a_copy_takes_the_place_of_a_file_that_the_daemon_would_not_take(
    shell: Shell, spoil: Callable[[Path], None], code: str
) -> None:
    out = shell.folder / "out.ipynb"
    write_notebook(shell.folder / "many.ipynb", *MANY)
    write_notebook(shell.folder / "in.ipynb", "'state' in globals()")
    assert shell.run("run", "many.ipynb", "-o", "out.ipynb").returncode == 0
    with headway.open(out, home=shell.home) as notebook:
        assert notebook.run("state = 1", timeout=LIMIT_S).success  # its kernel stays
        notebook.save()
    spoil(out)
    give_up_s = time.monotonic() + LIMIT_S
    while code not in str(shell.json("ps")):
        assert time.monotonic() < give_up_s, "the daemon does not see the file"
    done = shell.run("run", "in.ipynb", "-o", "out.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    ((output,),) = read_outputs(out)
    assert output["data"]["text/plain"] == "False", "it ran in the kernel of what was there"


def test_a_copy_of_a_read_only_notebook_can_be_written(shell: Shell) -> None:
    source = write_notebook(shell.folder / "in.ipynb", "1")
    source.chmod(0o440)
    assert shell.run("run", "in.ipynb", "-o", "out.ipynb").returncode == 0
    assert stat.S_IMODE((shell.folder / "out.ipynb").stat().st_mode) == 0o640
    assert stat.S_IMODE(source.stat().st_mode) == 0o440


@pytest.mark.parametrize("closed", ["in.ipynb", "."])
def test_a_run_in_place_of_what_cannot_be_saved_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    path = write_notebook(tmp_path / "in.ipynb", "1")
    check_writable(path)
    # root may write everything, and tests run as root
    monkeypatch.setattr(os, "access", lambda each, _: Path(each) != tmp_path / closed)
    with pytest.raises(FileNotWritable, match="nothing was run"):
        check_writable(path)


def test_a_copy_ends_nothing_that_runs_in_its_place(shell: Shell) -> None:
    write_notebook(shell.folder / "in.ipynb", "1")
    out = write_notebook(shell.folder / "out.ipynb", WAITS)
    with headway.open(out, home=shell.home) as notebook:
        job = notebook.queue_cell("cell-0")
        notebook.wait_until(lambda: "waiting" in str(job.outputs), timeout=LIMIT_S)
    done = shell.run("run", "in.ipynb", "-o", "out.ipynb")
    assert done.returncode == 2
    assert "run now" in done.stderr
    with headway.open(out, home=shell.home) as notebook:
        assert notebook.get_execution(job.id).status == "running"
        notebook.shutdown_kernel()


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("in.ipynb", None, "is the notebook itself"),
        (".", None, "is the notebook itself"),
        ("link.ipynb", link_to_in, "is the notebook itself"),
        ("out.ipynb", write_text, "is no notebook, so it is not replaced"),
        ("out.ipynb", write_nothing, "is no notebook, so it is not replaced"),
        ("out.txt", write_text, "is no notebook: its name does not end in .ipynb"),
        ("out.ipynb", os.mkfifo, "is no file"),
        ("results/", None, "There is no folder results/"),
    ],
)
def test_what_is_no_place_for_a_copy_is_refused_and_left_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], None] | None,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_HOME", str(tmp_path / "home"))
    source = write_notebook(tmp_path / "in.ipynb", "1")
    if make is not None:
        make(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadRequest, match=sentence):
        place_of_copy(source, name)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("folder", "folder/in.ipynb"),
        ("folder/", "folder/in.ipynb"),
        ("new", "new.ipynb"),
        ("empty.ipynb", "empty.ipynb"),
        ("n" * 240, "n" * 240 + ".ipynb"),
    ],
)
def test_a_copy_goes_where_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_HOME", str(tmp_path / "home"))
    source = write_notebook(tmp_path / "in.ipynb", "1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.ipynb").touch()
    target = place_of_copy(source, name)
    assert target == tmp_path / place
    put_copy(source, target)
    assert target.read_bytes() == source.read_bytes()


def test_a_copy_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setenv("HEADWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shutil, "copyfile", interrupted)
    source = write_notebook(tmp_path / "in.ipynb", "1")
    with pytest.raises(KeyboardInterrupt):
        put_copy(source, tmp_path / "out.ipynb")
    assert list(tmp_path.iterdir()) == [source]
