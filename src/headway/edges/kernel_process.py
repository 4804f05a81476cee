"""A kernel's process, held by its warden: started, signalled, ended, found again. POSIX.

It knows nothing of Jupyter. What the warden is and why, `kernel_warden` says; this is the
daemon's end of the conversation. The kernel's end is told by the warden within milliseconds, with
its cause, also when it happened while there was no daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from headway.edges import kernel_warden
from headway.edges.kernel_warden import SOCKET_NAME, TAIL_BYTES
from headway.errors import DeadlineExceeded

__all__ = [
    "LAST_WORDS_CHARACTERS",
    "TAIL_BYTES",
    "WARDEN_ANSWER_S",
    "WARDEN_LOG",
    "KernelProcess",
]

LAST_WORDS_CHARACTERS: Final = 200
"""How much of its last line goes into the reason of its end."""

WARDEN_LOG: Final = "warden.log"
"""In the kernel's folder: what the warden complained about, should it fail."""

WARDEN_ANSWER_S: Final = 10.0
"""How long a warden may take to do what it is told. It does nothing else, but may be stopped, or
its machine may have no processor left for it."""

_READ_BYTES: Final = 64 * 1024
_FATAL: Final = "Fatal Python error"
_WARDEN_GONE: Final = "its warden was killed, and so it was too"
_OUT_OF_MEMORY: Final = {
    True: ", probably by the system for want of memory",
    False: "",
    None: ", possibly by the system for want of memory",
}


class KernelProcess:
    """One process and everything it starts. Made by `launch` or `find`.

    `on_end` is called once on the event loop, after the process was reaped; what it left behind
    is being killed then. `gone` is set when that is done and the folder is removed.
    """

    def __init__(
        self,
        connection: socket.socket,
        on_end: Callable[[], None],
        warden: subprocess.Popen[bytes] | None,
        warden_pid: int | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._on_end = on_end
        self._warden = warden
        self._warden_pid = warden_pid
        self._late: asyncio.TimerHandle | None = None
        """Kills the warden, unless it ends the process in time."""
        self._incoming = b""
        self._reason = "it still runs"
        self._written = ""
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._leaving: asyncio.Task[None] | None = None
        self.pid = 0
        """The process's id, also after its end; 0 before it has begun."""
        self.away_since_s: float | None = None
        """Since when there was no daemon, as it was found (wall clock)."""
        self._signalled = asyncio.Event()
        self._readied = asyncio.Event()
        self.ended = asyncio.Event()
        self.gone = asyncio.Event()
        connection.setblocking(False)
        self._loop.add_reader(connection.fileno(), self._read)

    @classmethod
    def launch(
        cls,
        command: Sequence[str],
        folder: str,
        environment: Mapping[str, str],
        on_end: Callable[[], None],
        *,
        private: Path,
        orphan_s: float,
    ) -> KernelProcess:
        """Start it, with a warden that owns the folder `private` from now on. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with (private / WARDEN_LOG).open("wb") as log:
                warden = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                    [
                        *(sys.executable, "-I", "-S", kernel_warden.__file__),
                        *(str(theirs.fileno()), str(private), str(orphan_s), folder, *command),
                    ],
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(ours, on_end, warden, warden.pid)

    @classmethod
    def find(cls, private: Path, on_end: Callable[[], None]) -> KernelProcess:
        """One that an earlier daemon launched. Never waits. Raises OSError as `end_at` does."""
        connection = _connected(private)
        return cls(connection, on_end, None, _listener(connection))

    @staticmethod
    def end_at(private: Path) -> None:
        """End one that an earlier daemon launched, as soon as its warden hears of it. Never waits.

        Raises FileNotFoundError or ConnectionRefusedError when it has gone, and another OSError
        when it may live: BlockingIOError when its warden takes no more connections.
        """
        with _connected(private) as connection:
            for command in ({"do": "stop", "graces": [0, 0]}, {"do": "forget"}):
                connection.sendall(json.dumps(command).encode() + b"\n")

    async def begun(self) -> None:
        """Wait until it runs. Raises OSError when its program could not be started.

        Who waits has a deadline: a warden that is stopped says nothing.
        """
        await asyncio.shield(self._begun)

    async def ready(self, *, keep: bool) -> None:
        """Only what it writes from here on counts; with `keep` it may outlive this daemon.

        Both hold on return: until the warden has said so, neither does. Who waits has a deadline.
        """
        self._tell({"do": "ready", "keep": keep})
        if not self.ended.is_set():
            await self._readied.wait()

    async def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its descendants; no effect once it has ended.

        It is sent on return. A descendant that made a session of its own is not reached. Raises
        DeadlineExceeded when the warden does not answer.
        """
        self._signalled.clear()
        self._tell({"do": "signal", "number": int(number)})
        if self.ended.is_set():
            return
        try:
            async with asyncio.timeout(WARDEN_ANSWER_S):
                await self._signalled.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                "The signal may not have reached the kernel: its warden did not answer within "
                f"{WARDEN_ANSWER_S:g} seconds. Try again, or restart the kernel."
            ) from None

    def stop(self, terminate_after_s: float, kill_after_s: float) -> None:
        """SIGTERM in so many seconds and SIGKILL so many later, unless it has ended by then.

        It happens also if this daemon does not live to see it. A warden that does nothing about it
        is killed, and the process with it (Linux).
        """
        self._tell({"do": "stop", "graces": [terminate_after_s, kill_after_s]})
        self._spare_warden()
        late_s = terminate_after_s + kill_after_s + WARDEN_ANSWER_S
        self._late = self._loop.call_later(late_s, self._kill_warden)

    def forget(self) -> None:
        """Its end was noted: nobody needs to be told again."""
        self._tell({"do": "forget"})

    def abandon(self) -> None:
        """Let go of it without a word, as a daemon does that is killed."""
        if self._leaving is None and not self.gone.is_set():
            self._spare_warden()
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
            if self._warden is not None and self._warden.poll() is None:
                self._warden.returncode = 0  # it lives on, and nobody is to miss it
            self.gone.set()

    def written(self) -> str:
        """The end of what it wrote to stdout and stderr, once it has ended."""
        return self._written

    def reason(self) -> str:
        """Why it ended, as a clause: "it was killed by signal 9 (SIGKILL)"."""
        return self._reason

    def _tell(self, command: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the warden has gone, and it will be told by `gone`
            self._connection.send(json.dumps(command).encode() + b"\n")

    def _kill_warden(self) -> None:
        if self._warden_pid is not None:
            # It holds its end of the connection still, so the id is no stranger's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._warden_pid, signal.SIGKILL)

    def _spare_warden(self) -> None:
        if self._late is not None:
            self._late.cancel()

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, report: dict[str, Any]) -> None:
        match report:
            case {"hello": {"pid": pid, "away_since": away_since}}:
                self.pid, self.away_since_s = pid, away_since
                self._begun.set_result(None)
            case {"signalled": _}:
                self._signalled.set()
            case {"readied": _}:
                self._readied.set()
            case {"failed": {"number": number, "text": text}}:
                self._begun.set_exception(OSError(number, text))
                self._begun.exception()  # seen, should nobody wait any more
                self._reason = f"it could not be started: {text}"
                self.ended.set()
            case {"ended": {"status": status, "oom": oom, "written": written}}:
                self._written = written
                self._end(_cause(status, oom))

    def _end(self, reason: str) -> None:
        if self.ended.is_set():
            return
        words = self._last_words()
        self._reason = f'{reason}; the last it wrote was "{words}"' if words else reason
        self.ended.set()
        self._signalled.set()
        self._readied.set()
        self._on_end()

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._written.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(_FATAL)]
        return (fatal or lines or [""])[-1][:LAST_WORDS_CHARACTERS]

    def _lose(self) -> None:
        """The warden has closed the connection: it has done everything, or is dead."""
        self._spare_warden()
        self._loop.remove_reader(self._connection.fileno())
        self._connection.close()
        if not self._begun.done():
            self._begun.set_exception(OSError(_WARDEN_GONE))
            self._begun.exception()
        self._end(_WARDEN_GONE)
        self._leaving = self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        if self._warden is not None:
            # It is at its last instruction; a thread waits so that it leaves no zombie.
            await asyncio.to_thread(self._warden.wait)
        self.gone.set()


def _connected(private: Path) -> socket.socket:
    """A connection to the warden of this folder, made without waiting. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(str(private / SOCKET_NAME))
    except BaseException:
        connection.close()
        raise
    return connection


def _listener(connection: socket.socket) -> int | None:
    """The id of the process that listens at the other end; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    pid, _, _ = struct.unpack("3i", credentials)
    return int(pid)


def _cause(status: int, oom: bool | None) -> str:
    if status >= 0:
        return f"it exited with status {status}"
    said = f"it was killed by signal {-status}"
    with contextlib.suppress(ValueError):
        said += f" ({signal.Signals(-status).name})"
    return said + _OUT_OF_MEMORY[oom] if status == -signal.SIGKILL else said
