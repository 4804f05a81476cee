"""`headway kernel`, `headway deps` and consent, from outside: processes, exit statuses."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway
from command_line import (
    LIMIT_S,
    Shell,
    broken_kernelspec,
    interrupt,
    new_home,
    read_outputs,
    write_notebook,
)
from headway.edges.environments import find_uv
from wheelhouse import settings_for, wheelhouse

UV = find_uv()
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed")


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a daemon whose uv knows the test's wheels alone."""
    folder = tmp_path_factory.mktemp("uv")
    settings = settings_for(wheelhouse(folder / "wheels"), folder / "cache")
    former = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with new_home() as home:
            yield home
    finally:
        for name, value in former.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def test_the_kernels_that_are_installed_are_listed(shell: Shell) -> None:
    listed = shell.json("kernel", "list")
    assert listed[0]["name"] == "python3"
    assert "python3" in shell.run("kernel", "list").stdout


def test_a_kernelspec_that_cannot_be_used_is_told_wherever_it_is_named(
    lonely_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = lonely_shell
    file = broken_kernelspec(shell.home)
    monkeypatch.setenv("JUPYTER_PATH", str(shell.home))
    write_notebook(shell.folder / "odd.ipynb", "1")
    listed = shell.run("kernel", "list")
    assert "odd" not in listed.stdout
    assert listed.stderr.startswith(f"headway: odd: {file} cannot be used: it is not JSON")
    copied = ("run", "odd.ipynb", "-o", "out.ipynb", "--kernel", "Odd")
    refused = [
        shell.run(*copied),  # by what is here
        shell.run("run", "odd.ipynb", "--kernel", "Odd"),
        shell.run(*copied),  # by what the daemon says, which runs now
    ]
    for done in refused:
        assert done.returncode == 1
        assert f'"Odd" is installed, but {file} cannot be used' in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (shell.folder / "out.ipynb").exists()


def test_a_kernel_is_started_restarted_interrupted_and_stopped(shell: Shell) -> None:
    write_notebook(shell.folder / "life.ipynb", "x = 1", "x + 1")
    assert shell.json("kernel", "start", "life.ipynb")["status"] == "idle"
    assert shell.json("kernel", "restart", "life.ipynb")["incarnation"] == 2
    done = shell.run("kernel", "interrupt", "life.ipynb")
    assert done.stdout == "Nothing ran; 0 that waited were taken back.\n"
    changed = shell.run("kernel", "change", "life.ipynb", "python3")
    assert "status      idle" in changed.stdout
    stopped = shell.json("kernel", "stop", "life.ipynb")
    assert (stopped["status"], stopped["reason"]) == ("absent", "the kernel was shut down")


def test_a_restart_that_runs_everything_says_how_it_went(shell: Shell) -> None:
    write_notebook(shell.folder / "again.ipynb", "print('ran')", "1 / 0", "print('never')")
    done = shell.run("kernel", "restart", "again.ipynb", "--run-all")
    assert done.returncode == 1
    assert "1 of 3 cells ran well." in done.stdout
    assert "ZeroDivisionError" in done.stdout
    shell.run("kernel", "stop", "again.ipynb")


def test_mistakes_are_one_line_and_a_status(shell: Shell) -> None:
    write_notebook(shell.folder / "wrong.ipynb", "1")
    for arguments, status, words in (
        (("kernel", "start", "nothing.ipynb"), 2, "There is no notebook"),
        (("kernel", "start", "wrong.ipynb", "--kernel", "klingon"), 1, "klingon"),
        (("kernel", "start", "wrong.ipynb", "--environment", "nowhere"), 1, "uv venv"),
        (("deps", "add", "wrong.ipynb", "pandas >"), 1, "no requirement"),
        (("deps", "remove", "wrong.ipynb", "pandas"), 1, "cannot be removed"),
    ):
        done = shell.run(*arguments)
        assert done.returncode == status, done.stderr
        assert done.stderr.startswith("headway: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr


def test_dependencies_are_added_listed_and_removed(shell: Shell) -> None:
    path = write_notebook(shell.folder / "deps.ipynb", "1")
    assert "no dependencies" in shell.run("deps", "list", "deps.ipynb").stdout
    shell.run("deps", "add", "deps.ipynb", "pandas~=2.2", "rich")
    assert shell.json("deps", "list", "deps.ipynb") == {
        "dependencies": ["pandas~=2.2", "rich"],
        "requires-python": None,
    }
    assert shell.run("deps", "remove", "deps.ipynb", "Rich").stdout == "pandas~=2.2\n"
    del path


@needs_uv
def test_a_run_installs_only_when_it_is_told_to(offline: Path, tmp_path: Path) -> None:
    shell = Shell(offline, tmp_path)
    path = write_notebook(tmp_path / "needs.ipynb", "import greeting\nprint(greeting.WORDS)")
    shell.run("deps", "add", "needs.ipynb", "greeting==1.0")
    refused = shell.run("run", "needs.ipynb")
    assert refused.returncode == 1
    assert "greeting==1.0" in refused.stderr
    assert "--install" in refused.stderr
    assert shell.run("run", "needs.ipynb", "--install").returncode == 0
    ((output,),) = read_outputs(path)
    assert output["text"] == "hello 1.0\n"
    assert shell.run("run", "needs.ipynb").returncode == 0


@needs_uv
@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_a_person_at_a_terminal_is_shown_what_it_is_and_asked(
    offline: Path, tmp_path: Path, answer: str, status: int
) -> None:
    shell = Shell(offline, tmp_path)
    write_notebook(tmp_path / "asked.ipynb", "import greeting\nprint(greeting.WORDS)")
    requirement = "greeting==2.0" if answer == "y" else "greeting<2.0"
    shell.run("deps", "add", "asked.ipynb", requirement)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headway", "kernel", "start", "asked.ipynb"],
        cwd=tmp_path,
        env={**shell.environment, "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = read_until(ours, "[y/N]")
    assert requirement in seen
    os.write(ours, f"{answer}\n".encode())
    rest = read_until(ours, None)
    assert process.wait(LIMIT_S) == status, rest
    os.close(ours)
    shell.run("kernel", "stop", "asked.ipynb")


def read_until(terminal: int, words: str | None) -> str:
    """What a terminal shows, up to these words, or to its end."""
    seen, give_up_s = "", time.monotonic() + LIMIT_S
    while words is None or words not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, give_up_s - time.monotonic()))
        assert ready, f"nothing more came after {json.dumps(seen)}"
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break  # the other side is closed
        if not data:
            break
        seen += data.decode()
    return seen


@pytest.mark.parametrize(
    "command", [("deps", "list"), ("deps", "add"), ("kernel", "interrupt"), ("cell", "list")]
)
def test_what_is_not_as_it_should_be_is_said_by_every_command(
    shell: Shell, command: tuple[str, ...]
) -> None:
    path = write_notebook(shell.folder / "gone.ipynb", "1")
    assert shell.run("open", "gone.ipynb").returncode == 0
    path.unlink()
    give_up_s = time.monotonic() + LIMIT_S
    while not any(each["notices"] for each in shell.json("ps") if each["path"] == str(path)):
        assert time.monotonic() < give_up_s, "the daemon does not see that the file is gone"
    more = ("pandas",) if command == ("deps", "add") else ()
    done = shell.run(*command, "gone.ipynb", *more)
    assert done.returncode == 0
    assert "gone.ipynb" in done.stderr
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_says_that_the_cells_of_a_restart_go_on(shell: Shell) -> None:
    path = write_notebook(shell.folder / "r.ipynb", "import time; time.sleep(300)")
    with headway.open(path, home=shell.home) as notebook:
        process = shell.begin("kernel", "restart", "r.ipynb", "--run-all")
        assert process.stderr is not None
        with process:
            notebook.wait_until(lambda: bool(notebook.queue), timeout=LIMIT_S)
            interrupt(process)
            assert process.wait(LIMIT_S) == 130
            said = process.stderr.read().decode()
        assert said.endswith("They are ended by: headway kernel interrupt r.ipynb\n")
        notebook.shutdown_kernel()
