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
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from command_line import LIMIT_S, Shell, write_notebook
from headway.cli import commands
from headway.cli import main as command_line
from headway.cli.execution import Options, Run
from headway.cli.report import Beginning, JsonReport
from headway.client.models import Cell, ExecutionResult, Finished, Started
from headway.errors import DeadlineExceeded

REPLACES_ITS_FILE = "import os\nos.remove('s.ipynb')\nos.mkdir('s.ipynb')"

Event = Started | Finished


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


class OneExecution:
    """A cell that runs or waits until it is cancelled; a running one may not heed that."""

    def __init__(self, name: str, status: str, *, heeds: bool, cancelled: list[str]) -> None:
        self.id = self.cell_id = name
        self.status = status
        self._heeds = heeds
        self._cancelled = cancelled
        self.ended = asyncio.Event()

    async def cancel(self) -> bool:
        self._cancelled.append(self.id)
        if self._heeds:
            self.end()
        return True

    def end(self) -> None:
        if not self.ended.is_set():
            self.status = "error" if self.status == "running" else "cancelled"
            self.ended.set()

    async def events(self, _timeout_s: float | None, *, resolve: bool) -> AsyncIterator[Event]:
        assert not resolve
        if self.status == "running":
            yield Started(self.id, self.cell_id, 1)
        await self.ended.wait()
        none = (None, None, "00", "", None, None)
        yield Finished(ExecutionResult(self.id, self.cell_id, self.status, (), "", *none))


class SharedNotebook(SlowNotebook):
    """One whose kernel was running before, and runs cells of others between those of the run."""

    kernel = types.MappingProxyType({"status": "busy", "name": "python3"})

    def __init__(self, *statuses: str, heeds: bool = True) -> None:
        super().__init__()
        self.admitting, self.may_admit = asyncio.Event(), asyncio.Event()
        self.may_admit.set()
        self.is_too_late = asyncio.Event()
        self.is_too_late.set()
        self.cancelled: list[str] = []
        self.executions = [
            OneExecution(f"mine-{number}", status, heeds=heeds, cancelled=self.cancelled)
            for number, status in enumerate(statuses)
        ]

    @property
    def queue(self) -> tuple[str, ...]:  # type: ignore[override]
        mine = [each.id for each in self.executions if not each.ended.is_set()]
        return (*mine, "theirs")

    async def start_kernel(self, *_: Any, **__: Any) -> Any:
        return types.SimpleNamespace(name="python3", language="python")

    async def queue_all(self, **_: Any) -> list[OneExecution]:
        self.admitting.set()
        await self.may_admit.wait()
        return self.executions

    async def wait_until(self, is_true: Callable[[], bool], *, timeout: float) -> None:
        if not is_true():
            await self.is_too_late.wait()
            raise DeadlineExceeded(f"{timeout} seconds have passed.")

    async def shutdown_kernel(self, **_: Any) -> None:
        self.ending.set()
        for each in self.executions:
            each.end()

    def cell(self, cell_id: str) -> Cell:
        return Cell(cell_id, "code", "1")


class Following(JsonReport):
    """Tells when the run's cells are followed, and when one runs."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        super().__init__(self.told.append)
        self.is_opened, self.is_started = asyncio.Event(), asyncio.Event()

    def opened(self, beginning: Beginning) -> None:
        super().opened(beginning)
        self.is_opened.set()

    def started(self, number: int, cell: Cell) -> None:
        super().started(number, cell)
        self.is_started.set()

    @property
    def ends(self) -> list[str]:
        return [event["status"] for event in self.told if event["event"] == "finished"]


def run_of(notebook: SlowNotebook, report: JsonReport, **options: Any) -> Run:
    return Run(notebook, Options(**options), report, lambda _: b"")  # type: ignore[arg-type]


def test_however_often_a_run_is_interrupted_its_end_is_not_cut_short() -> None:
    async def scenario() -> None:
        notebook, told = SlowNotebook(), list[Any]()
        running = run_of(notebook, JsonReport(told.append))
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


def test_a_run_that_is_interrupted_cancels_its_own_cells_and_no_others() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook("running", "queued", "queued"), Following()
        running = run_of(notebook, report)
        task = asyncio.create_task(running.execute())
        await report.is_started.wait()
        running.interrupt()
        summary = await task
        # The running one last, or the next one would begin for a moment.
        assert notebook.cancelled == ["mine-2", "mine-1", "mine-0"]
        assert (summary.status, summary.exit_status) == ("interrupted", 130)
        assert summary.sentence.startswith("Interrupted; 0 of 3 cells ran well. Saved to")
        assert report.ends == ["error", "cancelled", "cancelled"]
        assert notebook.queue == ("theirs",)
        assert not notebook.ending.is_set()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_a_run_whose_cells_wait_behind_those_of_others_is_interrupted_at_once() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook(*["queued"] * 250), Following()
        running = run_of(notebook, report)
        task = asyncio.create_task(running.execute())
        await report.is_opened.wait()
        running.interrupt()
        assert (await task).exit_status == 130
        assert notebook.cancelled == [f"mine-{number}" for number in reversed(range(250))]
        assert not notebook.ending.is_set()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_a_cell_over_its_time_ends_the_cells_of_its_run_and_no_others() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook("running", "queued"), Following()
        summary = await run_of(notebook, report, timeout_s=0.001).execute()
        assert notebook.cancelled == ["mine-1", "mine-0"]
        assert (summary.status, summary.exit_status) == ("timeout", 124)
        assert not notebook.ending.is_set()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_a_kernel_that_does_not_heed_the_interrupt_is_shut_down() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook("running", "queued", heeds=False), Following()
        running = run_of(notebook, report)
        task = asyncio.create_task(running.execute())
        await report.is_started.wait()
        running.interrupt()
        assert (await task).exit_status == 130
        assert notebook.ending.is_set()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_cells_that_are_admitted_while_the_run_is_interrupted_are_cancelled() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook("queued", "queued"), Following()
        notebook.may_admit.clear()
        running = run_of(notebook, report)
        task = asyncio.create_task(running.execute())
        await notebook.admitting.wait()
        running.interrupt()
        notebook.may_admit.set()
        assert (await task).exit_status == 130
        assert notebook.cancelled == ["mine-1", "mine-0"]

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_a_cell_that_goes_on_after_a_run_was_left_is_told() -> None:
    async def scenario() -> None:
        notebook, report = SharedNotebook("running", heeds=False), Following()
        notebook.is_too_late.clear()
        running = run_of(notebook, report)
        task = asyncio.create_task(running.execute())
        await report.is_started.wait()
        running.interrupt()
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
    assert ours == {"headway", "headway.cli", "headway.cli.exit_statuses", "headway.cli.main"}


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
