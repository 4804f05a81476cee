"""WebSocket connections to a daemon, or to any server of the protocol.

Floor 5. It makes them, with the bounds that the client wants, and turns what the network raises
into our errors. What is said on them is the session's matter.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import (
    InvalidStatus,
    InvalidURI,
    SecurityError,
    WebSocketException,
)

from headway.core.wire.commands import MAX_RPC_BYTES
from headway.errors import ConnectionFailed, DaemonUnavailable

__all__ = [
    "CONNECT_TIMEOUT_S",
    "SYNC_PATH",
    "Dial",
    "connect_socket",
    "connect_url",
]

SYNC_PATH = "/sync"
"""Where a daemon takes WebSocket connections."""

CONNECT_TIMEOUT_S = 10.0
"""How long one WebSocket handshake may take."""

_CLOSE_TIMEOUT_S = 1.0
_PING_INTERVAL_S = 20.0
_PING_TIMEOUT_S = 30.0
_MAX_QUEUE = 64
_AT_FAULT = {401: "the token", 403: "the token", 404: "the path"}

Dial = Callable[[bool], Awaitable[ClientConnection]]
"""Makes a connection; the argument says whether a daemon may be started for it."""


async def connect_socket(path: Path, *, name: str) -> ClientConnection:
    """Connect to the daemon that listens on a Unix socket; `name` is shown to the others.

    Raises DaemonUnavailable when nobody answers there.
    """
    query = urllib.parse.urlencode({"name": name, "kind": "python"})
    try:
        return await unix_connect(
            str(path),
            uri=f"ws://localhost{SYNC_PATH}?{query}",
            compression=None,
            max_size=MAX_RPC_BYTES,
            max_queue=_MAX_QUEUE,
            open_timeout=CONNECT_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
        )
    except (OSError, WebSocketException, EOFError) as error:
        raise DaemonUnavailable(
            f"No daemon answers on {path}: {error or type(error).__name__}.", socket=str(path)
        ) from error


async def connect_url(url: str) -> ClientConnection:
    """Connect to a server of the protocol at `url` (`ws://` or `wss://`).

    Raises ConnectionFailed, which names the server and leaves out what may be secret in `url`.
    """
    place = _without_secrets(url)
    try:
        return await connect(
            url,
            compression=None,
            max_size=MAX_RPC_BYTES,
            max_queue=_MAX_QUEUE,
            open_timeout=CONNECT_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        advice = f" Look at {_AT_FAULT[status]} in the address." if status in _AT_FAULT else ""
        raise ConnectionFailed(
            f"The server at {place} refused the connection (HTTP status {status}).{advice}",
            url=place,
            status=status,
        ) from error
    except (InvalidURI, SecurityError):
        # It sends us elsewhere. What was raised holds that address, and so is not shown.
        raise ConnectionFailed(
            f"The server at {place} sends its clients to an address that they cannot go to.",
            url=place,
        ) from None
    except (OSError, WebSocketException, EOFError) as error:
        raise ConnectionFailed(
            f"Nobody answers at {place}: {error or type(error).__name__}.", url=place
        ) from error


def _without_secrets(url: str) -> str:
    """The address as errors may repeat it: no user, no password, no token in the query."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
