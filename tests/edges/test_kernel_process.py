"""Processes held by wardens, without Jupyter: what ends them, and who is told what."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headway.edges import kernel_process
from headway.edges.kernel_process import KernelProcess
from headway.edges.kernel_warden import SOCKET_NAME
from headway.errors import DeadlineExceeded

LIMIT_S = 20
PAUSE = "import signal; signal.pause()"
MEMORY_CGROUP = Path("/sys/fs/cgroup/memory")
SHARED_LIMIT_BYTES = 100 * 1024 * 1024


@pytest.fixture
def private() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    yield folder
    assert not folder.exists(), "the warden removes the folder"


class Stage:
    def __init__(self, private: Path) -> None:
        self.private = private
        self.ends = 0

    def ended(self) -> None:
        self.ends += 1

    async def launch(self, code: str, *, orphan_s: float = 60, keep: bool = True) -> KernelProcess:
        return await self.launch_command([sys.executable, "-c", code], orphan_s, keep=keep)

    async def launch_command(
        self, command: list[str], orphan_s: float = 60, *, keep: bool = True
    ) -> KernelProcess:
        process = KernelProcess.launch(
            command, "/", os.environ, self.ended, private=self.private, orphan_s=orphan_s
        )
        await process.begun()
        await process.ready(keep=keep)
        return process

    async def find(self) -> KernelProcess:
        process = KernelProcess.find(self.private, self.ended)
        await process.begun()
        return process

    async def over(self, process: KernelProcess) -> str:
        await process.ended.wait()
        process.forget()
        await process.gone.wait()
        assert self.ends == 1
        return process.reason()


def play(private: Path, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario(Stage(private))

    asyncio.run(run())


async def gone(pid: int) -> float:
    """Wait until the process has ended; when that was."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return time.monotonic()
    await asyncio.to_thread(select.select, [pidfd], [], [], LIMIT_S)
    os.close(pidfd)
    return time.monotonic()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(0)", "it exited with status 0"),
        ("import sys; sys.exit(7)", "it exited with status 7"),
        ("import os; os.kill(os.getpid(), 9)", "it was killed by signal 9 (SIGKILL)"),
        ("import os; os.kill(os.getpid(), 15)", "it was killed by signal 15 (SIGTERM)"),
        (
            "import os; os.write(2, b'one\\nlicence missing\\n'); os._exit(2)",
            'it exited with status 2; the last it wrote was "licence missing"',
        ),
    ],
)
def test_the_end_is_told_with_its_cause(private: Path, code: str, reason: str) -> None:
    async def scenario(stage: Stage) -> None:
        process = await stage.launch(code)
        assert await stage.over(process) == reason

    play(private, scenario)


def test_a_program_that_is_not_there_is_an_error_with_its_reason(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        process = KernelProcess.launch(
            ["/no/such/program"], "/", os.environ, stage.ended, private=private, orphan_s=60
        )
        with pytest.raises(FileNotFoundError):
            await process.begun()
        await process.gone.wait()
        assert stage.ends == 0

    play(private, scenario)


def test_what_the_system_kills_for_want_of_memory_says_so(private: Path) -> None:
    group = MEMORY_CGROUP / f"headway-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(SHARED_LIMIT_BYTES))
    except OSError as why:
        private.rmdir()
        pytest.skip(f"no group of limited memory can be made here: {why}")
    code = (
        f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        "b = bytearray(1_000_000_000)"
    )

    async def scenario(stage: Stage) -> None:
        process = await stage.launch(code)
        assert await stage.over(process) == (
            "it was killed by signal 9 (SIGKILL), probably by the system for want of memory"
        )

    try:
        play(private, scenario)
    finally:
        group.rmdir()


def test_where_the_system_does_not_tell_memory_is_named_as_possible() -> None:
    assert kernel_process._cause(-9, None).endswith("possibly by the system for want of memory")
    assert kernel_process._cause(-9, False) == "it was killed by signal 9 (SIGKILL)"


def test_one_deaf_to_sigterm_is_killed(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        code = "import signal; signal.signal(15, signal.SIG_IGN); " + PAUSE
        process = await stage.launch(code)
        process.stop(0.1, 0.1)
        assert (await stage.over(process)).startswith("it was killed by signal 9 (SIGKILL)")

    play(private, scenario)


def test_a_stop_goes_on_when_the_daemon_does_not_live_to_see_it(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        process = await stage.launch(PAUSE)
        process.stop(30, 30)
        process.abandon()
        await gone(process.pid)
        await folder_gone(private)

    play(private, scenario)


def test_one_that_is_not_to_be_kept_ends_with_its_daemon(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        process = await stage.launch(PAUSE, keep=False)
        process.abandon()
        await gone(process.pid)
        await folder_gone(private)

    play(private, scenario)


def test_one_that_is_kept_ends_when_no_daemon_comes_in_time(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        process = await stage.launch(PAUSE, orphan_s=0.5)
        begun = time.monotonic()
        process.abandon()
        assert 0.4 < await gone(process.pid) - begun < 2.5
        await folder_gone(private)

    play(private, scenario)


def test_the_next_daemon_finds_it_and_is_told_since_when_it_was_alone(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.launch(PAUSE)
        before = time.time()
        first.abandon()
        second = await stage.find()
        assert second.pid == first.pid
        assert second.away_since_s is not None
        assert before - 0.1 <= second.away_since_s <= time.time() + 0.1
        await second.signal_group(signal.SIGTERM)
        assert await stage.over(second) == "it was killed by signal 15 (SIGTERM)"

    play(private, scenario)


def test_how_it_ended_meanwhile_is_kept_for_the_next_daemon(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.launch(PAUSE)
        first.abandon()
        os.kill(first.pid, signal.SIGSEGV)
        await gone(first.pid)
        second = await stage.find()
        assert await stage.over(second) == "it was killed by signal 11 (SIGSEGV)"

    play(private, scenario)


def test_one_can_be_ended_in_passing(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.launch(PAUSE)
        first.abandon()
        KernelProcess.end_at(private)
        await gone(first.pid)
        await folder_gone(private)
        with pytest.raises(FileNotFoundError):
            KernelProcess.end_at(private)

    play(private, scenario)


def warden_of(process: KernelProcess) -> int:
    assert process._warden is not None
    return process._warden.pid


def test_a_signal_that_a_stopped_warden_does_not_send_is_an_error_after_a_while(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_process, "WARDEN_ANSWER_S", 0.1)

    async def scenario(stage: Stage) -> None:
        process = await stage.launch(PAUSE)
        os.kill(warden_of(process), signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.1 seconds"):
                await process.signal_group(signal.SIGTERM)
        finally:
            os.kill(warden_of(process), signal.SIGCONT)
        assert await stage.over(process) == "it was killed by signal 15 (SIGTERM)"

    play(private, scenario)


@pytest.mark.parametrize("is_found", [False, True])
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel outlives its warden elsewhere")
def test_a_stopped_warden_does_not_keep_what_is_to_end(
    private: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool
) -> None:
    monkeypatch.setattr(kernel_process, "WARDEN_ANSWER_S", 0.1)

    async def scenario(stage: Stage) -> None:
        process = first = await stage.launch(PAUSE)
        if is_found:
            first.abandon()
            process = await stage.find()
        os.kill(warden_of(first), signal.SIGSTOP)
        process.stop(0, 0)
        assert await stage.over(process) == "its warden was killed, and so it was too"
        await gone(process.pid)
        shutil.rmtree(private)  # whoever launched it does so

    play(private, scenario)


def test_nobody_waits_for_a_stopped_warden_to_take_a_connection(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.launch(PAUSE)
        first.abandon()
        os.kill(warden_of(first), signal.SIGSTOP)
        try:
            with ExitStack() as connections:
                status = 0
                while status == 0:
                    connection = connections.enter_context(socket.socket(socket.AF_UNIX))
                    connection.setblocking(False)
                    status = connection.connect_ex(str(private / SOCKET_NAME))
                with pytest.raises(BlockingIOError):
                    # In a thread, which goes on with the warden if it waits for it.
                    await asyncio.to_thread(KernelProcess.end_at, private)
                with pytest.raises(BlockingIOError):
                    KernelProcess.find(private, stage.ended)
        finally:
            os.kill(warden_of(first), signal.SIGCONT)
        os.kill(warden_of(first), signal.SIGTERM)
        await folder_gone(private)

    play(private, scenario)


def test_descendants_in_sessions_of_their_own_end_with_it(private: Path) -> None:
    async def scenario(stage: Stage) -> None:
        mark = private / "pids"
        os.mkfifo(mark)
        reading = os.open(mark, os.O_RDWR)
        code = (
            "import os, signal\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    if os.fork() == 0:\n"
            "        os.setsid()\n"
            "    signal.signal(15, signal.SIG_IGN)\n"
            f"    open({str(mark)!r}, 'w').write(f'{{os.getpid():10}}')\n"
            "signal.pause()\n"
        )
        process = await stage.launch(code)
        pids = [int(await asyncio.to_thread(os.read, reading, 10)) for _ in range(2)]
        os.close(reading)
        os.kill(process.pid, signal.SIGKILL)
        for pid in pids:
            await gone(pid)
        await stage.over(process)

    play(private, scenario)


async def folder_gone(private: Path) -> None:
    """The warden's last act comes just after the end of the last process."""
    while private.exists():
        await asyncio.sleep(0)
