"""A real daemon that listens for browsers too, and can be ended and started again in its place."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headway.edges.paths import prepare
from headway_daemon import HeadwayDaemon

__all__ = ["HttpDaemon", "http_daemon"]

_START_S = 20.0
_END_S = 20.0


@dataclass
class HttpDaemon(HeadwayDaemon):
    """A daemon in a process of its own, with a port that it keeps over its restarts."""

    http: str = ""
    token: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def sync_url(self) -> str:
        """Where a JavaScript peer connects."""
        address = self.http.replace("http", "ws", 1)
        return f"{address}/sync?token={self.token}&name=node&kind=javascript"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        port = self.http.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "headway.daemon.main", "--home", str(self.home)]
        notice = self.home / "ready"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            notice.unlink(missing_ok=True)
            ready.bind(str(notice))
            ready.settimeout(_START_S)
            self.process = subprocess.Popen(
                [*command, "--http", f"127.0.0.1:{port}"],
                env={**os.environ, "NOTIFY_SOCKET": str(notice)},
            )
            try:
                said = ready.recv(1024)
            except TimeoutError:
                self.process.kill()
                raise
        assert b"READY=1" in said
        self.http = self.post("status").body["http"]
        self.token = (self.home / "token").read_text(encoding="ascii").strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, and return when it is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(_END_S)
        finally:
            self.process.kill()
            self.process.wait(_END_S)


@contextlib.contextmanager
def http_daemon() -> Iterator[HttpDaemon]:
    """A daemon with a home and a folder of its own; ended on leaving."""
    root = Path(tempfile.mkdtemp(prefix="hw-js-", dir="/tmp"))
    with contextlib.ExitStack() as locks:
        daemon = HttpDaemon(root / "home", root / "notebooks", locks)
        daemon.folder.mkdir()
        prepare(daemon.home)
        try:
            daemon.start()
            yield daemon
        finally:
            if daemon.process is not None:
                daemon.end()
            shutil.rmtree(root, ignore_errors=True)
