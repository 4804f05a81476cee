"""Signals at every moment of a run, and the summary that ends it however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from command_line import LIMIT_S, Shell, write_notebook
from headway.cli import commands
from headway.cli import main as command_line
from headway.cli.execution import Options, Run
from headway.cli.report import JsonReport

REPLACES_ITS_FILE = "import os\nos.remove('s.ipynb')\nos.mkdir('s.ipynb')"


class SlowNotebook:
    """A notebook whose kernel takes as long to start, and to end, as the test says."""

    id = "nb"
    path = "/far/slow.ipynb"
    kernel: Mapping[str, Any] = types.MappingProxyType({})
    cells: tuple[Any, ...] = ()
    queue: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.starting = asyncio.Event()
        self.ending = asyncio.Event()
        self.is_ended = asyncio.Event()

    async def start_kernel(self, *_: Any, **__: Any) -> None:
        self.starting.set()
        await asyncio.Event().wait()

    async def shutdown_kernel(self, **_: Any) -> None:
        self.ending.set()
        await self.is_ended.wait()

    async def save(self) -> Any:
        return types.SimpleNamespace(path=self.path)


class LivingNotebook(SlowNotebook):
    """One whose kernel was running before, and whose cell heeds no interrupt."""

    kernel = types.MappingProxyType({"status": "busy"})
    queue = ("execution",)


def test_however_often_a_run_is_interrupted_its_end_is_not_cut_short() -> None:
    async def scenario() -> None:
        notebook, told = SlowNotebook(), list[Any]()
        report = JsonReport(told.append)
        running = Run(notebook, Options(), report, lambda _: b"")  # type: ignore[arg-type]
        task = asyncio.create_task(running.execute())
        await notebook.starting.wait()
        running.interrupt()
        await notebook.ending.wait()
        running.interrupt()
        running.interrupt()
        notebook.is_ended.set()
        assert (await task).exit_status == 130
        assert [event["status"] for event in told] == ["interrupted"]

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_a_cell_that_goes_on_after_a_run_was_left_is_told() -> None:
    async def scenario() -> None:
        notebook, told = LivingNotebook(), list[Any]()
        running = Run(notebook, Options(), JsonReport(told.append), lambda _: b"")  # type: ignore[arg-type]
        task = asyncio.create_task(running.execute())
        await notebook.starting.wait()
        running.interrupt()
        assert "A cell goes on in the kernel" in (await task).sentence

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_what_is_cancelled_inside_ends_with_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main([])
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_while_everything_is_imported_ends_with_130(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Importing(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "headway.cli.commands", Importing("headway.cli.commands"))
    with pytest.raises(SystemExit) as ended:
        command_line.main([])
    assert ended.value.code == 130


def test_what_a_scheduler_sends_ends_a_run_from_its_first_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def importing(words: list[str]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it goes on")

    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(commands, "run_command", importing)
    try:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["run", "n.ipynb"])
    finally:
        signal.signal(signal.SIGTERM, former)
    assert ended.value.code == 130


def test_where_the_command_line_begins_next_to_nothing_is_imported() -> None:
    program = "import sys, headway.cli.main\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S
    )
    ours = {name for name in done.stdout.split() if name.startswith(("headway", "typer"))}
    assert ours == {"headway", "headway.cli", "headway.cli.main"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_notebook_is_open_ends_with_130_and_no_traceback(
    lonely_shell: Shell, number: signal.Signals
) -> None:
    write_notebook(lonely_shell.folder / "n.ipynb", "1")
    with ExitStack() as sockets:
        silent = sockets.enter_context(socket.socket(socket.AF_UNIX))
        silent.bind(str(lonely_shell.home / "daemon.sock"))
        silent.listen(5)
        with lonely_shell.begin("run", "n.ipynb") as process:
            assert process.stderr is not None
            while True:
                asking = sockets.enter_context(silent.accept()[0])
                if asking.recv(1):  # not the look whether anybody listens
                    break
            process.send_signal(number)
            assert process.wait(LIMIT_S) == 130
            assert process.stderr.read() == b""
    (lonely_shell.home / "daemon.sock").unlink()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("s.ipynb",), 1),
        (("s.ipynb", "--kernel", "nosuch"), 1),
    ],
)
def test_the_summary_is_the_last_event_however_a_run_ends(
    shell: Shell, arguments: tuple[str, ...], status: int
) -> None:
    write_notebook(shell.folder / "s.ipynb", "1", REPLACES_ITS_FILE)
    done = shell.run("run", *arguments, "--json")
    assert done.returncode == status
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["status"], last["exit_status"]) == ("summary", "error", status)
