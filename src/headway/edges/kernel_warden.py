"""The warden: a small program, one process for each kernel, that holds the kernel as its child.

Not a module of Headway: it is run by its path, imports nothing but the standard library, and
knows nothing of Jupyter. `kernel_process` starts it and speaks to it.

Theory of operation
-------------------
A daemon that is killed can clean up nothing, and a daemon that comes back is not the parent of
the kernels it left. So somebody else is: the warden. It is what must be sound, hence it is small.

*   It is the *parent* of the kernel, so it knows within milliseconds that it ended and how, and a
    signal can never reach a stranger who got the kernel's process id.
*   It is a *subreaper* (Linux): whatever the kernel started and left behind becomes a child of the
    warden, whichever session it moved to. When the kernel has ended, all of it is killed, until
    there are no children. Elsewhere only the kernel's process group is reached.
*   It holds the *lease*: a connection to the daemon. The end of the connection is the daemon's
    death. A kernel that was not to be kept is killed at once; another lives on for `orphan_s`
    and waits for the next daemon to connect to the socket `SOCKET_NAME` in its folder. After that
    everything is killed and the folder removed.
*   If the warden itself is killed the kernel gets SIGKILL from the system (Linux), and ipykernel
    sees by JPY_PARENT_PID that its parent has gone.

The conversation is one JSON object a line. The daemon says

    {"do": "ready", "keep": true}       it answers; whether it may outlive the daemon
    {"do": "signal", "number": 2}       to the kernel's process group; answered by `signalled`
    {"do": "stop", "graces": [2, 3]}    SIGTERM after so many seconds, SIGKILL so many later
    {"do": "forget"}                    the end was seen

and the warden, to each that connects, `{"hello": {"pid", "away_since"}}` and later
`{"ended": {"status", "oom", "written"}}`, or `{"failed": {"number", "text"}}` in place of both.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

__all__ = ["LAST_S", "OOM_WINDOW_S", "SOCKET_NAME", "TAIL_BYTES", "Warden", "main"]

SOCKET_NAME = "w"
TAIL_BYTES = 16 * 1024
OOM_WINDOW_S = 30.0
"""A system's out-of-memory kill this long before the kernel's end, or less, may be its cause."""
LAST_S = 1.5
"""How long descendants that do not die are waited for."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OOM_SCORE = b"300"
_READ_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024


class Warden:
    """The kernel's parent and the holder of its lease."""

    def __init__(self, daemon: socket.socket, folder: str, orphan_s: float) -> None:
        self._folder = folder
        self._orphan_s = orphan_s
        self._poll = select.poll()
        self._connection: socket.socket | None = None
        self._incoming = b""
        self._away_since: float | None = None
        self._lease_ends_s: float | None = None
        self._is_kept = False
        self._steps: list[tuple[float, int]] = []
        self._pid = 0
        self._status: int | None = None
        self._killed_by_us = False
        self._is_childless = False
        self._is_over = False
        self._gives_up_s = float("inf")
        self._report: dict[str, Any] | None = None
        self._tail = bytearray()
        self._oom = (time.monotonic(), _oom_kills())
        self._wake, waking = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._output, self._writing = os.pipe()
        os.set_blocking(self._output, False)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(os.path.join(folder, SOCKET_NAME))  # noqa: PTH118 - starts fast
        self._listening.listen(1)
        for descriptor in (self._wake, self._output, self._listening.fileno()):
            self._poll.register(descriptor, select.POLLIN)
        self._take(daemon)

    def launch(self, command: list[str], folder: str) -> None:
        """Start the kernel. What fails is reported, and ends the warden."""
        failing, failed = os.pipe()
        environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
        self._pid = os.fork()
        if self._pid == 0:
            _become(command, folder, environment, self._writing, failed)
        os.close(failed)
        os.close(self._writing)
        number = os.read(failing, 16)
        os.close(failing)
        if number:
            text = os.strerror(int(number))
            self._tell({"failed": {"number": int(number), "text": text}})
            self._is_over = True
            self._killed_by_us = True
        else:
            self._greet()

    def watch(self) -> None:
        """Until the kernel and all it started have ended and nobody needs to be told."""
        while not self._is_done():
            for descriptor, _ in self._poll.poll(self._timeout_ms()):
                self._hear(descriptor)
            self._reap()
            self._do_what_is_due()
        _remove(self._folder)

    def end_now(self) -> None:
        """Kill everything: the lease is over, or the system ends."""
        self._is_over = True
        self._killed_by_us = self._killed_by_us or self._status is None
        self._signal_group(signal.SIGKILL)

    def _is_done(self) -> bool:
        if self._status is None or not self._is_over:
            return False
        return self._is_childless or time.monotonic() >= self._gives_up_s

    def _timeout_ms(self) -> float:
        due = [at for at, _ in self._steps[:1]]
        if self._lease_ends_s is not None:
            due.append(self._lease_ends_s)
        if self._status is not None and self._is_over:
            due.append(self._gives_up_s)
        wait_s = min([at - time.monotonic() for at in due] + [OOM_WINDOW_S])
        return max(0.0, wait_s) * 1000 + 1

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        while self._steps and self._steps[0][0] <= now:
            _, number = self._steps.pop(0)
            self._killed_by_us = self._status is None
            self._signal_group(number)
        if self._lease_ends_s is not None and self._lease_ends_s <= now:
            self._lease_ends_s = None
            self.end_now()
        if self._status is None and now - self._oom[0] >= OOM_WINDOW_S:
            self._oom = (now, _oom_kills())

    def _hear(self, descriptor: int) -> None:
        if descriptor == self._wake:
            if signal.SIGTERM in os.read(self._wake, _READ_BYTES):
                self.end_now()
        elif descriptor == self._output:
            self._read_output()
        elif descriptor == self._listening.fileno():
            with contextlib.suppress(OSError):
                arrived = self._listening.accept()[0]
                if self._connection is not None:
                    # There is one daemon at a time: what the former said last, and its end, are
                    # still to be heard.
                    self._read_commands(self._connection)
                    self._away_since = time.time()
                self._take(arrived)
                self._greet()
        elif self._connection is not None and descriptor == self._connection.fileno():
            self._read_commands(self._connection)

    # The daemon

    def _take(self, connection: socket.socket) -> None:
        """This connection is the lease from now on."""
        self._let_go()
        connection.setblocking(False)
        self._connection, self._incoming, self._lease_ends_s = connection, b"", None
        self._poll.register(connection.fileno(), select.POLLIN)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._poll.unregister(self._connection.fileno())
            self._connection.close()
            self._connection = None

    def _greet(self) -> None:
        self._tell({"hello": {"pid": self._pid, "away_since": self._away_since}})
        self._away_since = None
        if self._report is not None:
            self._tell(self._report)

    def _tell(self, report: dict[str, Any]) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(json.dumps(report).encode() + b"\n")

    def _read_commands(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._incoming) > _LINE_BYTES:
            self._let_go()
            self._daemon_is_gone()
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _daemon_is_gone(self) -> None:
        if not self._is_kept or self._orphan_s <= 0:
            self.end_now()
            return
        self._away_since = time.time()
        self._lease_ends_s = time.monotonic() + self._orphan_s

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "ready":
                self._is_kept = command["keep"]
                self._tail.clear()
                self._tell({"readied": self._is_kept})
            case "signal":
                self._signal_group(command["number"])
                self._tell({"signalled": command["number"]})
            case "stop":
                self._is_kept = False
                first, second = command["graces"]
                now = time.monotonic()
                self._steps = [
                    (now + first, signal.SIGTERM),
                    (now + first + second, signal.SIGKILL),
                ]
            case "forget":
                self._is_over = True

    # The kernel

    def _signal_group(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)

    def _reap(self) -> None:
        if self._status is None and _has_exited(self._pid):
            # Before it is reaped, while its id cannot belong to anybody else.
            self._signal_group(signal.SIGKILL)
        while not self._is_childless:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._is_childless = True
                break
            if pid == 0:
                break
            if pid == self._pid:
                self._ended(os.waitstatus_to_exitcode(status))
        if self._status is not None and not self._is_childless:
            # What the dead left behind became ours when they died, so this finds all of it.
            for pid in _children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _ended(self, status: int) -> None:
        self._status = status
        self._gives_up_s = time.monotonic() + LAST_S
        self._steps = []
        self._read_output()
        oom: bool | None = False
        if status == -signal.SIGKILL and not self._killed_by_us:
            before, after = self._oom[1], _oom_kills()
            oom = None if before is None or after is None else after > before
        written = bytes(self._tail[-TAIL_BYTES:]).decode("utf-8", "replace")
        self._report = {"ended": {"status": status, "oom": oom, "written": written}}
        self._tell(self._report)

    def _read_output(self) -> None:
        # Not to its end: a descendant may hold the pipe open, and write.
        for _ in range(16):
            try:
                data = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._output)
                return
            self._tail += data
            del self._tail[:-TAIL_BYTES]


def _become(
    command: list[str], folder: str, environment: dict[str, str], output: int, failed: int
) -> NoReturn:
    """In the child: be the kernel."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(environment["JPY_PARENT_PID"]):
            os._exit(1)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as score:  # noqa: PTH123
            # When memory is short the kernel is to go, not the daemon.
            score.write(_OOM_SCORE)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.execvpe(command[0], command, environment)  # noqa: S606 - a kernelspec says what to run
    except OSError as why:
        os.write(failed, str(why.errno).encode())
    finally:
        os._exit(127)


def _has_exited(pid: int) -> bool:
    """Whether a child has ended, without reaping it; False where that cannot be told."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return False


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as listed:  # noqa: PTH123
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return _children_by_search()


def _children_by_search() -> list[int]:
    """For systems that list processes but not children."""
    found: list[int] = []
    names = os.listdir("/proc") if os.path.isdir("/proc") else []  # noqa: PTH112, PTH208
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


def _oom_kills() -> int | None:
    """How many processes the system has killed for want of memory; None if it does not tell."""
    with contextlib.suppress(OSError), open("/proc/vmstat", encoding="ascii") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _remove(folder: str) -> None:
    for place, folders, files in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            for name in files:
                os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118
            for name in folders:
                os.rmdir(os.path.join(place, name))  # noqa: PTH106, PTH118
    with contextlib.suppress(OSError):
        os.rmdir(folder)  # noqa: PTH106


def main(arguments: list[str]) -> None:
    """`DESCRIPTOR FOLDER ORPHAN_S WORKING_FOLDER COMMAND...`."""
    descriptor, folder, orphan_s, working_folder, *command = arguments
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # they wake the poll
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    daemon = socket.socket(fileno=int(descriptor))
    daemon.set_inheritable(False)
    warden = Warden(daemon, folder, float(orphan_s))
    warden.launch(command, working_folder)
    warden.watch()


if __name__ == "__main__":
    main(sys.argv[1:])
