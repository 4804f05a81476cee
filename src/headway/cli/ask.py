"""One question to the daemon, without opening a notebook: HTTP over its Unix socket.

Floor 6. For commands that want an answer and nothing else (`ps`, `status`, `stop`); what edits or
runs a notebook goes through the client. Only the standard library and the declarations of `rpc`
are imported, because these commands should answer at once.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import msgspec

from headway.core.wire.rpc import Params
from headway.errors import (
    ConnectionLost,
    DaemonUnavailable,
    DeadlineExceeded,
    HeadwayError,
    NotPermitted,
    RequestFailed,
)

__all__ = ["ANSWER_TIMEOUT_S", "answers", "ask"]

ANSWER_TIMEOUT_S = 10.0
"""How long a daemon that took the question may take to answer, beyond the request's own limit."""

_OK = 200


class _UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, params: Params) -> Any:
    """Ask the daemon on the socket at `path`; gives the method's result.

    Raises DaemonUnavailable when nobody listens there, NotPermitted when nobody may look whether
    one does, DeadlineExceeded when no answer came in time, ConnectionLost when none will come, and
    what the daemon answers with.
    """
    timeout_s = params.timeout_s + ANSWER_TIMEOUT_S
    connection = _UnixConnection(path, timeout_s)
    try:
        connection.connect()
    except (TimeoutError, BlockingIOError) as error:
        connection.close()
        raise _silent(timeout_s) from error
    except PermissionError as error:
        connection.close()
        raise NotPermitted(
            f"{path} cannot be reached: {error.strerror}. `headway doctor` looks closer; or set "
            "HEADWAY_HOME to a folder of yours.",
            socket=str(path),
        ) from error
    except OSError as error:
        connection.close()
        raise DaemonUnavailable(
            f"No daemon listens on {path}: {error.strerror or error}.", socket=str(path)
        ) from error
    try:
        connection.request(
            "POST",
            f"/api/v1/{params.method}",
            msgspec.json.encode(params),
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        body = response.read()
    except TimeoutError as error:
        raise _silent(timeout_s) from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(f"The daemon did not answer `{params.method}`: {error}.") from error
    finally:
        connection.close()
    if response.status != _OK:
        raise _refusal(response.status, body)
    try:
        return msgspec.json.decode(body, type=params.result)
    except msgspec.DecodeError as error:
        raise RequestFailed(f"The daemon's answer cannot be read: {error}.") from error


def answers(path: Path) -> bool:
    """Whether something listens on the socket at `path`."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(ANSWER_TIMEOUT_S)
    try:
        probe.connect(str(path))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _silent(timeout_s: float) -> DeadlineExceeded:
    from headway.client.discovery import silent_daemon
    from headway.edges import paths

    return silent_daemon(paths.Paths.of(paths.home()), timeout_s)


def _refusal(status: int, body: bytes) -> HeadwayError:
    try:
        error = json.loads(body)["error"]
        return HeadwayError.from_wire(error["code"], error["message"], error.get("data"))
    except (ValueError, KeyError, TypeError):
        return RequestFailed(f"The daemon refused the request (HTTP status {status}).")
