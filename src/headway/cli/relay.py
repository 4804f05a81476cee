"""`headway relay`: standard input and output joined to the daemon's socket.

Floor 6. A pipe, for SSH, a proxy or a desktop shell: it forwards bytes as they come, in both
directions, and knows nothing of what they mean. It holds no document and confirms nothing;
confirmation comes from the daemon at the far end. Nothing of its own goes to standard output.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

__all__ = ["CHUNK_BYTES", "forward", "relay"]

CHUNK_BYTES = 256 * 1024
"""The most that is forwarded at once; whatever there is goes at once."""


def relay() -> None:
    """Join standard input and output to the daemon's socket; start the daemon if needed.

    What is spoken there is HTTP and WebSocket, as on the socket itself.
    """
    from headway.cli.start import ensure_daemon

    found = ensure_daemon("headway relay")
    forward(found.socket, sys.stdin.fileno(), sys.stdout.fileno())


def forward(path: Path, incoming: int, outgoing: int) -> None:
    """Join two file descriptors to the Unix socket at `path` until the far end closes.

    The end of `incoming` closes that half of the socket and no more: what the daemon still has
    to say arrives. A reader of `outgoing` that goes away ends everything.

    Raises DaemonUnavailable when nobody listens at `path`.
    """
    from headway.errors import DaemonUnavailable

    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with far:
        try:
            far.connect(str(path))
        except OSError as error:
            raise DaemonUnavailable(
                f"No daemon listens on {path}: {error.strerror or error}.", socket=str(path)
            ) from error
        # A daemon thread: a read of a terminal or pipe that never ends cannot be called back.
        sending = threading.Thread(target=_send, args=(incoming, far), daemon=True)
        sending.start()
        _receive(far, outgoing)


def _send(incoming: int, far: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(incoming, CHUNK_BYTES):
            far.sendall(data)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_WR)


def _receive(far: socket.socket, outgoing: int) -> None:
    try:
        while data := far.recv(CHUNK_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(outgoing, view) :]
    except (BrokenPipeError, ConnectionResetError):
        return
