"""What the harnesses share: daemons to kill, clients that never start one, and their records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from websockets.asyncio.client import ClientConnection

from headway.client import aio
from headway.client.aio import AsyncNotebook
from headway.client.connection import connect_socket
from headway.client.pump import Pump
from headway.core.session.opening import Target
from headway.core.session.session import Session
from headway.core.sync.backoff import Backoff
from headway.edges.paths import Paths
from torture.planted import PLANTED_VARIABLE

__all__ = ["Cradle", "Gate", "Life", "Violation", "cradle", "drop", "join", "scratch"]

READY_S = 20.0
"""How long a daemon may take until it listens."""

END_S = 20.0
"""How long a killed or told process may take to be gone."""

JOIN_S = 20.0
"""How long one client may take to be live."""

_TESTS = Path(__file__).resolve().parents[1]


class Violation(AssertionError):
    """A promise was broken; the sentence says which, and how to see it again."""


@contextlib.contextmanager
def scratch(*, in_memory: bool = False) -> Iterator[Path]:
    """A short-lived folder: on the disk, or in memory where the system has that."""
    root = "/dev/shm" if in_memory and os.access("/dev/shm", os.W_OK) else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="hwt-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Life:
    """One process from its birth to its end. Signals reach it and never a stranger."""

    def __init__(self, pid: int, notices: socket.socket) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._notices = notices

    async def ready(self) -> None:
        """Until it says so; it must live that long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(READY_S):
            said = await loop.sock_recv(self._notices, 64)
        assert said == b"READY=1", said

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended hears nothing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, limit_s: float = END_S) -> bool:
        """Until it has ended; False when that takes too long."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(limit_s * 1000))

    def kill(self) -> None:
        """SIGKILL, and gone on return."""
        self.send(signal.SIGKILL)
        assert self.wait(), f"process {self.pid} does not die"
        self.release()

    def release(self) -> None:
        """Let go of the descriptor."""
        os.close(self._descriptor)
        self._notices.close()


class Cradle:
    """Forks daemons and workloads; see `cradle`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout
        self._folder = folder
        self._births = 0

    def daemon(self, home: Path, *options: str) -> Life:
        """A daemon of `home`, just born."""
        log = home.parent / "daemon.err"
        return self._born("daemon", ["--home", str(home), *options], log=log)

    def workload(self, arguments: Sequence[str], *, start: Path, output: Path, log: Path) -> Life:
        """A workload that begins when somebody opens the FIFO `start` for writing."""
        return self._born("workload", arguments, input=start, output=output, log=log)

    def _born(
        self,
        body: str,
        arguments: Sequence[str],
        *,
        log: Path,
        input: Path = Path(os.devnull),  # noqa: A002 - what it is
        output: Path = Path(os.devnull),
    ) -> Life:
        self._births += 1
        notify = self._folder / f"notify-{self._births}"
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.setblocking(False)
        notices.bind(str(notify))
        birth = {
            "body": body,
            "arguments": list(arguments),
            "notify": str(notify),
            "input": str(input),
            "output": str(output),
            "log": str(log),
        }
        self._input.write(json.dumps(birth) + "\n")
        self._input.flush()
        return Life(int(self._output.readline()), notices)


@contextlib.contextmanager
def cradle(folder: Path, planted: str = "") -> Iterator[Cradle]:
    """A process that forks daemons and workloads, with a bug planted into each if one is named."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")]),
        PLANTED_VARIABLE: planted,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "torture.cradle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        try:
            yield Cradle(process, folder)
        finally:
            process.kill()


class Gate:
    """Where a client dials: a socket that may be closed to it. It never starts a daemon."""

    def __init__(self, home: Path) -> None:
        self.home = Paths.of(home)
        self.socket = self.home.socket
        self.open = asyncio.Event()
        self.open.set()

    async def dial(self, _start: bool) -> ClientConnection:
        await self.open.wait()
        return await connect_socket(self.socket, name="torture")


async def join(gate: Gate, path: Path, *, longest_s: float = 0.05) -> AsyncNotebook:
    """A notebook joined through `gate`, that comes back by itself after at most `longest_s`."""

    def pump(session: Session) -> Pump:
        session._backoff = Backoff(first_s=longest_s / 10, longest_s=longest_s)
        return Pump(session, gate.dial)

    target = Target(path=str(path))
    return await aio._begin(target, pump, "torture", gate.home, JOIN_S)


async def drop(notebook: AsyncNotebook) -> None:
    """Let go of a notebook as a program that is killed does: nothing is delivered."""
    pump = notebook._pump
    pump._outbox.clear()
    if pump._websocket is not None:
        pump._websocket.transport.abort()
    await pump.close()
