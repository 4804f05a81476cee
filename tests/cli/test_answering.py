"""A person at a terminal answers what a cell asks: on a pseudo-terminal, with real kernels."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import headway
from command_line import LIMIT_S, Shell, read_outputs, write_notebook

HEEDS_NOTHING = """
import time
print("begun", flush=True)
while True:
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        print("heard", flush=True)
"""
ASKS = "name = input('Name? ')\nprint('hello', name)"


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.seen = ""

    def until(self, text: str) -> str:
        """Everything shown since the last call, once `text` is in it."""
        deadline_s = time.monotonic() + LIMIT_S
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], deadline_s - time.monotonic())
            assert ready, f"{text!r} is not in {self.seen!r}"
            try:
                piece = os.read(self._master, 65_536)
            except OSError:  # the other side is closed
                piece = b""
            assert piece, f"{text!r} is not in {self.seen!r}, and that was all"
            self.seen += piece.decode()
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def ends(self) -> int:
        """The exit status, once it has ended."""
        deadline_s = time.monotonic() + LIMIT_S
        while True:  # what is not read may hold it
            ready, _, _ = select.select([self._master], [], [], deadline_s - time.monotonic())
            assert ready, f"it does not end: {self.seen!r}"
            try:
                piece = os.read(self._master, 65_536)
            except OSError:
                piece = b""
            if not piece:
                return self.process.wait(LIMIT_S)
            self.seen += piece.decode()


@contextmanager
def on_a_terminal(shell: Shell, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    environment = {**shell.environment, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        shell.command(*arguments),
        cwd=shell.folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait(LIMIT_S)
        os.close(master)


def test_a_cell_that_is_run_on_a_terminal_is_answered_there(shell: Shell) -> None:
    path = write_notebook(shell.folder / "a.ipynb", ASKS)
    with on_a_terminal(shell, "cell", "run", "a.ipynb", "cell-0") as terminal:
        assert "asks: Name?" in terminal.until("> ")
        terminal.type("Ada ß\n")
        assert "hello Ada ß" in terminal.until("hello Ada ß")
        assert terminal.ends() == 0
    with headway.open(path, home=shell.home) as notebook:
        notebook.save()
    assert [output["name"] for output in read_outputs(path)[0]] == ["stdin", "stdout"]


def test_a_password_is_not_echoed_and_the_terminal_is_as_it_was_afterwards(shell: Shell) -> None:
    source = "from getpass import getpass\nprint(len(getpass('Key: ')))"
    write_notebook(shell.folder / "p.ipynb", source)
    with on_a_terminal(shell, "cell", "run", "p.ipynb", "cell-0") as terminal:
        assert "asks for a password: Key:" in terminal.until("> ")
        assert not terminal.echoes
        terminal.type("hunter2\n")
        shown = terminal.until("7")
        assert "hunter2" not in shown
        assert "········" in shown
        assert terminal.echoes
        assert terminal.ends() == 0


def test_the_end_of_the_input_is_an_answer_too(shell: Shell) -> None:
    write_notebook(shell.folder / "e.ipynb", ASKS)
    with on_a_terminal(shell, "cell", "run", "e.ipynb", "cell-0") as terminal:
        terminal.until("> ")
        terminal.type("\x04")
        terminal.until("EOFError")
        assert terminal.ends() == 1


def test_ctrl_c_interrupts_the_cell_that_asks(shell: Shell) -> None:
    write_notebook(shell.folder / "c.ipynb", ASKS)
    with on_a_terminal(shell, "cell", "run", "c.ipynb", "cell-0") as terminal:
        terminal.until("> ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("KeyboardInterrupt")
        assert terminal.ends() == 130


def test_a_second_ctrl_c_leaves_a_cell_that_heeds_none(shell: Shell) -> None:
    path = write_notebook(shell.folder / "i.ipynb", HEEDS_NOTHING)
    with on_a_terminal(shell, "cell", "run", "i.ipynb", "cell-0") as terminal:
        terminal.until("begun")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("heard")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("headway: If the cell had begun, it goes on.")
        assert terminal.ends() == 130
    with headway.open(path, home=shell.home) as notebook:
        assert notebook.cell("cell-0").status == "running"
        notebook.shutdown_kernel()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_question_whether_to_install_ends_with_the_run(
    shell: Shell, number: signal.Signals
) -> None:
    write_notebook(shell.folder / "q.ipynb", "1")
    venv.create(shell.folder / "bare", with_pip=False)
    with on_a_terminal(shell, "run", "q.ipynb", "--environment", "bare") as terminal:
        terminal.until("Install it? [y/N]: ")
        terminal.process.send_signal(number)
        terminal.until("Interrupted; 0 of 1 cells ran well.")
        assert terminal.ends() == 130


def test_who_does_not_consent_is_told_what_is_needed(shell: Shell) -> None:
    write_notebook(shell.folder / "q.ipynb", "1")
    venv.create(shell.folder / "bare", with_pip=False)
    with on_a_terminal(shell, "run", "q.ipynb", "--environment", "bare") as terminal:
        terminal.until("Install it? [y/N]: ")
        terminal.type("no\n")
        terminal.until("lacks ipykernel")
        assert terminal.ends() == 1


def test_what_another_program_runs_is_answered_from_a_watching_terminal(shell: Shell) -> None:
    path = write_notebook(shell.folder / "w.ipynb", f"{ASKS}\nother = input('Other? ')")
    with (
        headway.open(path, home=shell.home) as notebook,
        on_a_terminal(shell, "watch", "w.ipynb") as terminal,
    ):
        terminal.until("[1] -:")
        job = notebook.queue_cell("cell-0", allow_stdin=True)
        assert "[1] asks: Name?" in terminal.until("> ")
        terminal.type("Ada\n")
        assert "hello Ada" in terminal.until("hello Ada")
        assert "[1] asks: Other?" in terminal.until("> ")
        terminal.type("half an ans")  # somebody else is faster
        notebook.wait_until(
            lambda: job.prompt is not None and job.prompt.text == "Other? ", timeout=LIMIT_S
        )
        job.answer("theirs")
        assert job.result(LIMIT_S).success
        shown = terminal.until("[1] ok")
        assert "Other? theirs" in shown
        assert terminal.echoes
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ends() == 130


def test_json_of_a_watcher_tells_what_is_asked_and_when_it_is_no_more(shell: Shell) -> None:
    path = write_notebook(shell.folder / "j.ipynb", ASKS)
    with headway.open(path, home=shell.home) as notebook:
        job = notebook.queue_cell("cell-0", allow_stdin=True)
        notebook.wait_until(lambda: job.prompt is not None, timeout=LIMIT_S)
        with shell.begin("watch", "j.ipynb", "--json", "--until-idle") as watcher:
            assert watcher.stdout is not None
            events = []
            for line in watcher.stdout:
                events.append(line)
                if b"input_requested" in line:
                    break
            asked = json.loads(events[-1])
            assert asked["cell_id"] == "cell-0"
            assert asked["execution_id"] == job.id
            assert asked["prompt"]["text"] == "Name? "
            job.answer("Ada")
            rest = watcher.stdout.read().decode()
            assert watcher.wait(LIMIT_S) == 0
        closed = next(json.loads(each) for each in rest.splitlines() if "input_closed" in each)
        assert closed["prompt"] == asked["prompt"]
        assert rest.index("input_closed") < rest.index('"event":"finished"')


@pytest.mark.parametrize("command", [("run", "h.ipynb"), ("cell", "run", "h.ipynb", "cell-0")])
def test_without_a_terminal_a_cell_that_asks_fails_at_once(
    shell: Shell, command: tuple[str, ...]
) -> None:
    write_notebook(shell.folder / "h.ipynb", ASKS)
    done = shell.run(*command, stdin="Ada\n")
    assert done.returncode == 1
    assert "StdinNotImplementedError" in done.stdout
    if command[0] == "run":
        (last,) = [line for line in done.stdout.splitlines() if "nobody answers" in line]
        assert last.startswith("A cell asked for input, and nobody answers in a run.")


def test_a_run_on_a_terminal_asks_nobody_either(shell: Shell) -> None:
    write_notebook(shell.folder / "t.ipynb", ASKS)
    with on_a_terminal(shell, "run", "t.ipynb") as terminal:
        terminal.until("nobody answers in a run")
        assert terminal.ends() == 1
