"""A real daemon in a home of its own, the ways into it that tests need, and typing peers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, unix_connect

import headway
from headway.client import starting
from headway.client.opening import AsyncOpening
from headway.edges.lock import HomeLock
from headway.edges.paths import Paths, prepare

__all__ = [
    "DYING_KERNEL",
    "DYING_WORDS",
    "LIMIT_S",
    "HeadwayDaemon",
    "Reply",
    "bounded",
    "headway_daemon",
    "typing_peers",
]

LIMIT_S = 50.0
"""How long one scenario may take before it has failed."""

CALL_S = 30.0
"""How long one call may take."""

END_S = 20.0
"""How long a daemon may take to end."""

DYING_KERNEL = "dying"
"""A kernel of the daemon's own that ends before it is ready."""

DYING_WORDS = "no licence for this kernel"
"""What it says before that."""

_TYPIST = Path(__file__).with_name("typing_peers.py")


def bounded(scenario: Coroutine[Any, Any, None], limit_s: float = LIMIT_S) -> None:
    """Run a scenario to its end, or fail where it stands when the time is over."""

    async def within() -> None:
        async with asyncio.timeout(limit_s):
            await scenario

    asyncio.run(within())


@dataclass(frozen=True)
class Reply:
    """The answer to a command over HTTP."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The stable code of a refusal."""
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        return str(self.body["error"]["message"])


@dataclass
class HeadwayDaemon:
    """A daemon that runs, its home, and a folder for notebooks."""

    home: Path
    folder: Path
    locks: contextlib.ExitStack
    homes: int = field(default=0)

    @property
    def socket(self) -> Path:
        return Paths.of(self.home).socket

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.ipynb"

    def open(self, name: str, /, **options: Any) -> headway.Notebook:
        options = {"home": self.home, "timeout": CALL_S, **options}
        return headway.open(self.folder / name, **options)

    def open_async(self, name: str, /, **options: Any) -> AsyncOpening:
        options = {"home": self.home, "timeout": CALL_S, **options}
        return headway.open_async(self.folder / name, **options)

    def empty_home(self) -> Path:
        """A home without a daemon."""
        self.homes += 1
        home = self.home.parent / f"home-{self.homes}"
        prepare(home)
        return home

    def front(self) -> Path:
        """A home whose socket is for a relay to this daemon; none of its own can start there."""
        home = self.empty_home()
        self.locks.enter_context(HomeLock.acquire(Paths.of(home).lock))
        return home

    def post(self, method: str, **params: Any) -> Reply:
        """A command as curl would send it."""
        connection = _UnixConnection(self.socket)
        with contextlib.closing(connection):
            headers = {"content-type": "application/json"}
            connection.request("POST", f"/api/v1/{method}", json.dumps(params), headers)
            response = connection.getresponse()
            return Reply(response.status, json.loads(response.read()))

    async def post_async(self, method: str, **params: Any) -> Reply:
        return await asyncio.to_thread(self.post, method, **params)

    @contextlib.asynccontextmanager
    async def raw(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A bare WebSocket to the daemon."""
        uri = "ws://localhost/sync?name=raw&kind=test"
        dialling = unix_connect(str(self.socket), uri=uri, compression=None, **options)
        async with dialling as websocket:
            yield websocket


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=CALL_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_S)
        self.sock.connect(str(self._path))


@contextlib.contextmanager
def headway_daemon() -> Iterator[HeadwayDaemon]:
    """A daemon as a program gets it: started by the first client; ended on leaving."""
    root = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    home, folder = root / "home", root / "notebooks"
    folder.mkdir()
    daemon = HeadwayDaemon(home, folder, contextlib.ExitStack())
    try:
        with _jupyter_path(_dying_kernel(root / "jupyter")):
            # The first client starts it, and it keeps the environment of that moment.
            daemon.open("first").close()
        with daemon.locks:
            yield daemon
    finally:
        for process in starting._started:
            if str(home) in list(process.args):  # type: ignore[arg-type]
                _end(daemon, process)
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def _jupyter_path(root: Path) -> Iterator[None]:
    former = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(root)
    try:
        yield
    finally:
        os.environ.pop("JUPYTER_PATH")
        if former is not None:
            os.environ["JUPYTER_PATH"] = former


def _end(daemon: HeadwayDaemon, process: subprocess.Popen[bytes]) -> None:
    try:
        # Told to stop it ends its kernels too, whatever it does at a signal.
        with contextlib.suppress(OSError):
            daemon.post("stop")
        process.wait(END_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(END_S)


def _dying_kernel(root: Path) -> Path:
    folder = root / "kernels" / DYING_KERNEL
    folder.mkdir(parents=True)
    code = f"import sys; sys.stderr.write({DYING_WORDS!r}); sys.exit(3)"
    spec = {
        "argv": [sys.executable, "-c", code, "{connection_file}"],
        "display_name": "Dying",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    return root


@contextlib.contextmanager
def typing_peers(daemon: HeadwayDaemon, name: str, count: int) -> Iterator[None]:
    """Other writers in the same notebook, in a process of their own, typing all the time."""
    if count == 0:
        yield
        return
    command = [sys.executable, str(_TYPIST), str(daemon.home), str(daemon.folder / name)]
    with subprocess.Popen(
        [*command, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "typing\n"
            yield
            said, _ = process.communicate("", CALL_S)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == 0, "a typing peer failed"
    assert int(said) > count, "the others typed all the time"
