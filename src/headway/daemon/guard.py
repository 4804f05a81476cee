"""Who may come in over TCP: nobody, unless Host, Origin and token all say so.

Floor 5. One wrapper around the whole application, so that a route added later is closed until it
is asked for with the token. The Unix socket needs none of this: its file mode admits its owner
only, and `server` asks the system who connects.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from headway.edges.folders import sync_folder
from headway.errors import StoreError

__all__ = ["ASGIApplication", "Guard", "load_token"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOKEN_BYTES = 32
_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{32,128}")
_BEGINNING_SUFFIX = ".new"
"""What the name of a token's file ends with while it is being made."""
_UNAUTHORIZED = 401
_FORBIDDEN = 403


def load_token(path: Path) -> str:
    """The token in this file; made (mode 0600) if there is no file, or an empty one.

    It is written whole or not at all. The caller holds the home's lock. Raises StoreError for a
    file that others can read or that holds something else.
    """
    token = _read_token(path)
    return _make_token(path) if token is None else token


def _make_token(path: Path) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    beginning = path.with_name(f"{path.name}{_BEGINNING_SUFFIX}")
    try:
        beginning.unlink(missing_ok=True)
        descriptor = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(descriptor)
        beginning.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"The token {path} cannot be made: {error.strerror}.") from error
    return token


def _read_token(path: Path) -> str | None:
    """The token in the file; None if there is no file, or nothing in it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
            status = os.fstat(file.fileno())
            token = file.readline().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The token {path} cannot be read: {error.strerror}.") from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StoreError(f"Others can read {path}, so it is no secret. Remove it and start again.")
    if status.st_size == 0:
        return None  # a crash came before what was written to it
    if not _TOKEN_FORM.fullmatch(token):
        raise StoreError(f"{path} does not hold a token. Remove it and start again.")
    return token


class Guard:
    """An ASGI application that lets only its owner's programs and pages through.

    Args:
        application: What it protects.
        token: What a request must show.
        hosts: The values of Host that are ours, in lower case, with the port.
    """

    def __init__(self, application: ASGIApplication, token: str, hosts: frozenset[str]) -> None:
        self._application = application
        self._token = token.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it before anything of it is read."""
        if scope["type"] not in {"http", "websocket"}:
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await _refuse(scope, send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = _headers(scope)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            # A page of another site whose name was made to lead here (DNS rebinding).
            return _FORBIDDEN, "This is not a name of this server."
        if not self._is_own_origin(headers, hosts[0].decode("latin-1").lower()):
            return _FORBIDDEN, "Pages of other sites may not come here."
        if not self._has_token(scope, headers):
            return _UNAUTHORIZED, "A token is required: Authorization: Bearer TOKEN."
        return None

    def _is_own_origin(self, headers: dict[bytes, list[bytes]], host: str) -> bool:
        sites = headers.get(b"sec-fetch-site", [])
        if any(site not in {b"same-origin", b"none"} for site in sites):
            return False
        own = f"http://{host}"
        origins = headers.get(b"origin", [])
        return all(origin.decode("latin-1").lower() == own for origin in origins)

    def _has_token(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> bool:
        shown: list[bytes] = []
        for value in headers.get(b"authorization", []):
            scheme, _, credential = value.partition(b" ")
            if scheme.lower() == b"bearer":
                shown.append(credential.strip())
        if scope["type"] == "websocket":
            # A browser cannot set headers on a WebSocket.
            query = scope["query_string"].decode("latin-1")
            shown += [value.encode() for value in parse_qs(query).get("token", [])]
        return len(shown) == 1 and hmac.compare_digest(shown[0], self._token)


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == _UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
