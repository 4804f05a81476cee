"""The HTTP and WebSocket application: four routes and the sync socket.

Floor 5. The same application is served on the Unix socket and, behind `guard`, on TCP.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from headway.core.wire import commands
from headway.daemon.desk import Outcome
from headway.daemon.pump import Connection, Connections
from headway.daemon.requests import Caller, Requests
from headway.edges.ports import Blobs
from headway.errors import BadRequest, HeadwayError

__all__ = ["ABORT_EXTENSION", "INERT_TYPES", "WRITE_EXTENSION", "Application"]

ABORT_EXTENSION = "headway.abort"
WRITE_EXTENSION = "headway.write"
"""In a WebSocket's ASGI extensions: a function that cuts its transport."""

INERT_TYPES = frozenset(
    {
        "application/json",
        "audio/mpeg",
        "audio/wav",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
        "video/mp4",
        "video/webm",
    }
)
"""Media types that a browser shows without running anything in them."""

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,127}")
_OPAQUE = "application/octet-stream"
_MAX_NAME_CHARACTERS = 64

# What is read of a body that is too long, so that its sender gets to see the refusal.
_DISCARDED_BYTES = 16 * commands.MAX_RPC_BYTES

# Named truly, but only ever as a download: opened in place they could run scripts.
_ACTIVE_TYPES = frozenset({"application/pdf", "image/svg+xml", "text/html"})

_SAFETY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}


class Application:
    """Routes to what the daemon does.

    Args:
        connections: For the sync socket.
        requests: For commands.
        blobs: For `/blob`.
        health: What `/health` says.
        in_flight: Called with +1 and -1 as HTTP requests come and go.
        pages: Further routes, such as the notebook page's.
    """

    def __init__(
        self,
        connections: Connections,
        requests: Requests,
        blobs: Blobs,
        *,
        health: Callable[[], dict[str, Any]],
        in_flight: Callable[[int], None],
        pages: Sequence[BaseRoute] = (),
    ) -> None:
        self._connections = connections
        self._requests = requests
        self._blobs = blobs
        self._health = health
        self._in_flight = in_flight
        self._pages = pages

    def build(self, *, is_remote: bool) -> Starlette:
        """The ASGI application for one listener; `is_remote` is True on TCP."""

        async def sync(websocket: WebSocket) -> None:
            await self._sync(websocket, is_remote=is_remote)

        return Starlette(
            routes=[
                WebSocketRoute("/sync", sync),
                Route("/health", self._counted(self._get_health), methods=["GET"]),
                Route("/blob/{name}", self._counted(self._get_blob), methods=["GET"]),
                Route("/api/v1/openapi.json", self._counted(self._get_openapi), methods=["GET"]),
                Route("/api/v1/{method}", self._counted(self._post), methods=["POST"]),
                *self._pages,
            ]
        )

    async def _sync(self, websocket: WebSocket, *, is_remote: bool) -> None:
        query = websocket.query_params
        extensions = websocket.scope.get("extensions", {})
        connection = Connection(
            self._connections,
            name=_plain(query.get("name", "")),
            kind=_plain(query.get("kind", "")) or "unknown",
            abort=extensions.get(ABORT_EXTENSION, lambda: None),
            write=extensions.get(WRITE_EXTENSION, lambda _: False),
            is_remote=is_remote,
        )
        await websocket.accept()
        await connection.run(websocket._receive, websocket._send)  # noqa: SLF001 - raw ASGI below

    def _counted(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def counted(request: Request) -> Response:
            self._in_flight(1)
            try:
                return await endpoint(request)
            finally:
                self._in_flight(-1)

        return counted

    async def _get_health(self, request: Request) -> Response:
        del request
        return _json(msgspec.json.encode(self._health()))

    async def _get_openapi(self, request: Request) -> Response:
        del request
        return _json(msgspec.json.encode(commands.openapi()))

    async def _get_blob(self, request: Request) -> Response:
        name = request.path_params["name"]
        data = await self._blobs.get(name) if _BLOB_NAME.fullmatch(name) else None
        if data is None:
            return Response("There is no such blob.", 404, _SAFETY, "text/plain")
        wanted = request.query_params.get("type", _OPAQUE).lower()
        known = _MEDIA_TYPE.fullmatch(wanted) and wanted in INERT_TYPES | _ACTIVE_TYPES
        media_type = wanted if known else _OPAQUE
        headers = {
            **_SAFETY,
            # The name is the content's hash: it can never change.
            "cache-control": "private, max-age=31536000, immutable",
            "content-disposition": "inline" if media_type in INERT_TYPES else "attachment",
        }
        return Response(data, 200, headers, media_type)

    async def _post(self, request: Request) -> Response:
        try:
            params = commands.decode_params(request.path_params["method"], await _body(request))
        except HeadwayError as error:
            return _refusal(error)
        except ClientDisconnect:
            return _gone()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def reply(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        async with asyncio.TaskGroup() as tasks:
            pending = self._requests.begin(params, Caller(None, "http"), reply, tasks.create_task)
            watch = tasks.create_task(_wait_for_disconnect(request))
            waited: list[asyncio.Future[Any]] = [future, watch]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            if not future.done():
                pending.abandon()
                return _gone()
        return _answer(future.result())


def _plain(text: str) -> str:
    """What a peer calls itself, made safe to log and to show."""
    return "".join(character for character in text if character.isprintable())[
        :_MAX_NAME_CHARACTERS
    ]


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json":
        # A form of another site could post text/plain; JSON it cannot.
        raise BadRequest("The body must be application/json.", field="content-type")
    body = bytearray()
    length = 0
    async for part in request.stream():
        length += len(part)
        if length <= commands.MAX_RPC_BYTES:
            body += part
        elif length > _DISCARDED_BYTES:
            break
    if length > commands.MAX_RPC_BYTES:
        sentence = f"The body exceeds {commands.MAX_RPC_BYTES} bytes."
        raise BadRequest(sentence, limit=commands.MAX_RPC_BYTES)
    return bytes(body)


def _gone() -> Response:
    """What nobody reads."""
    return _refusal(BadRequest("The client has gone."))


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(outcome: Outcome) -> Response:
    if isinstance(outcome, HeadwayError):
        return _refusal(outcome)
    try:
        return _json(commands.encode_result_body(outcome))
    except HeadwayError as error:
        return _refusal(error)


def _refusal(error: HeadwayError) -> Response:
    return _json(commands.encode_error_body(error), commands.http_status(error))


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, _SAFETY, "application/json")
