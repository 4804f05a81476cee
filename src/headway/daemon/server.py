"""Sockets of our own, and uvicorn over them.

Floor 5. uvicorn is given sockets that are bound already: its own Unix socket option makes the
file writable by everybody. It installs no signal handlers here and wakes up only when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from headway.core.wire.commands import MAX_RPC_BYTES
from headway.daemon.app import ABORT_EXTENSION, WRITE_EXTENSION
from headway.daemon.guard import ASGIApplication
from headway.edges.paths import MAX_SOCKET_PATH_BYTES
from headway.errors import DaemonUnavailable

__all__ = [
    "FIRST_REQUEST_S",
    "READ_AHEAD_MESSAGES",
    "WEBSOCKET_MAX_BYTES",
    "Listener",
    "bind_tcp",
    "bind_unix",
    "own_hosts",
    "remove_socket",
]

WEBSOCKET_MAX_BYTES = MAX_RPC_BYTES + 64 * 1024
"""The longest WebSocket message that is read at all; the protocol's own bounds are lower."""

READ_AHEAD_MESSAGES = 16
"""Messages of a connection that wait for the application before its transport is paused."""

FIRST_REQUEST_S = 10.0
"""A connection that has asked for nothing by then is cut."""

_BACKLOG = 128
_GRACEFUL_END_S = 2
_KEEP_ALIVE_S = 60


def bind_unix(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, mode 0600; one left behind is replaced.

    Call it only with the home's lock held: then nobody else can be listening there. Raises
    DaemonUnavailable when the path is taken by something that is no socket, or is too long.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise DaemonUnavailable(
            f"The socket's path {path} is longer than {MAX_SOCKET_PATH_BYTES} bytes. "
            "Set HEADWAY_HOME to a shorter one."
        )
    remove_socket(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mask makes the file private from its first moment; a chmod would leave a gap.
        former = os.umask(0o177)
        try:
            listening.bind(os.fspath(path))
        finally:
            os.umask(former)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise DaemonUnavailable(f"Nothing can listen at {path}: {error.strerror}.") from error
    listening.setblocking(False)
    return listening


def remove_socket(path: Path) -> None:
    """Remove the socket file, if it is one and ours. Raises DaemonUnavailable if it is not."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.getuid():
        raise DaemonUnavailable(f"{path} is there already and is no socket of yours. Remove it.")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def bind_tcp(address: str) -> socket.socket:
    """A listening TCP socket at `[HOST:]PORT`; the host must be of this machine alone.

    Raises DaemonUnavailable.
    """
    host, _, port_text = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    try:
        parsed, port = ipaddress.ip_address(host), int(port_text)
    except ValueError as error:
        raise DaemonUnavailable(f"{address!r} is not an address like 127.0.0.1:8000.") from error
    if not parsed.is_loopback:
        raise DaemonUnavailable(
            f"Headway listens on this machine only, and {host} is not of it alone. "
            "Use `headway relay` over SSH to reach it from elsewhere."
        )
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "another program listens there" if taken else str(error)
        raise DaemonUnavailable(f"Nothing can listen at {host}:{port}: {reason}.") from error
    listening.setblocking(False)
    return listening


def own_hosts(listening: socket.socket) -> frozenset[str]:
    """The values of a Host header that mean this TCP socket."""
    port = listening.getsockname()[1]
    return frozenset(f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]"))


class _OwnUserHTTP(H11Protocol):
    """HTTP that cuts connections of other users, and those that ask for nothing."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not _is_own_user(transport.get_extra_info("socket")):
            transport.abort()
            return
        self._patience = self.loop.call_later(FIRST_REQUEST_S, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _lose_patience(self) -> None:
        # A connection that became a WebSocket, or asked for anything, has a scope.
        if self.scope is None and not self.transport.is_closing():
            self.transport.abort()


class _DirectWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose transport the application can reach.

    It can cut it, when a peer reads nothing, and write to it without a turn of the loop. And it is
    read ahead of: pausing the transport for every message is two system calls each.
    """

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[ABORT_EXTENSION] = self.transport.abort
        extensions[WRITE_EXTENSION] = self._write_now
        await super().run_asgi()

    def send_receive_event_to_app(self) -> None:
        if self.read_paused or self.queue.qsize() >= READ_AHEAD_MESSAGES:
            super().send_receive_event_to_app()
            return
        self.read_paused = True  # so that it is not paused
        super().send_receive_event_to_app()
        self.read_paused = False

    def _write_now(self, frames: Iterable[bytes | str]) -> bool:
        """A `DirectWrite`."""
        is_lost = self.disconnected or self.transport.is_closing()
        if is_lost or not self.writable.is_set() or self.conn.state is not State.OPEN:
            return False
        for frame in frames:
            if isinstance(frame, str):
                self.conn.send_text(frame.encode())
            else:
                self.conn.send_binary(frame)
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True


class Listener(uvicorn.Server):
    """One bound socket being served.

    Args:
        application: What it serves.
        listening: The socket; closed at the end.
    """

    def __init__(self, application: ASGIApplication, listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=_OwnUserHTTP,
                ws=_DirectWebSocket,
                ws_max_size=WEBSOCKET_MAX_BYTES,
                ws_per_message_deflate=False,
                # Its time-out closes with 1011, after which the official client stays away;
                # the pump sends the protocol's own pings.
                ws_ping_interval=None,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACEFUL_END_S,
            )
        )
        self._listening = listening
        self._ending = asyncio.Event()
        self.ready = asyncio.Event()

    async def run_until_ended(self) -> None:
        """Serve until `end`; then close every connection with 1012 and the socket."""
        await self.serve(sockets=[self._listening])

    def stop_accepting(self) -> None:
        """Take no new connections; those that are there go on."""
        for server in self.servers:
            server.close()

    def end(self) -> None:
        """Begin to end."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Wait for the end. uvicorn's own loop wakes ten times a second to look for it."""
        await self.on_tick(0)
        self.ready.set()
        await self._ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `main`."""
        yield


def _is_own_user(connection: socket.socket | None) -> bool:
    if connection is None or connection.family != socket.AF_UNIX:
        return True
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # The file's mode alone decides on this system.
    credentials = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())
