"""What is told of a server that cannot be connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

import headway
from headway.errors import ConnectionFailed

LIMIT_S = 30


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


async def told_by_a_server(status: HTTPStatus, headers: dict[str, str]) -> ConnectionFailed:
    """What the client says of a server that answers so."""

    def answer(_connection: ServerConnection, _request: Request) -> Response:
        return Response(status.value, status.phrase, Headers(headers))

    async def never(_connection: ServerConnection) -> None:
        raise AssertionError("nobody gets in")

    async with serve(never, "127.0.0.1", 0, process_request=answer) as server:
        (socket,) = server.sockets
        port = socket.getsockname()[1]
        with pytest.raises(ConnectionFailed) as told:
            await headway.connect_async(f"ws://ada:SECRET@127.0.0.1:{port}/a?token=SECRET", "nb-a")
    assert f"ws://127.0.0.1:{port}/a" in str(told.value)
    check_no_secret(told.value)
    return told.value


def check_no_secret(error: ConnectionFailed) -> None:
    """Neither it nor what is shown as its cause repeats what belongs to the caller alone."""
    cause = error.__cause__ if error.__suppress_context__ else error.__context__
    assert "SECRET" not in f"{error} {error.data} {cause}"


def test_an_address_where_nobody_answers_is_told_without_its_secrets() -> None:
    with pytest.raises(ConnectionFailed, match="Nobody answers at ws://127") as told:
        headway.connect("ws://ada:SECRET@127.0.0.1:9/a?token=SECRET", "nb-a")
    check_no_secret(told.value)


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "the token"), (403, "the token"), (404, "the path"), (503, "")]
)
def test_a_server_that_refuses_is_told_with_its_status(status: int, advice: str) -> None:
    async def scenario() -> None:
        told = await told_by_a_server(HTTPStatus(status), {})
        assert f"refused the connection (HTTP status {status})" in str(told)
        assert advice in str(told)
        assert told.data["status"] == status

    run(scenario())


def test_a_server_that_sends_its_clients_nowhere_is_told_without_its_secrets() -> None:
    async def scenario() -> None:
        elsewhere = {"Location": "http://elsewhere/?token=SECRET"}
        told = await told_by_a_server(HTTPStatus.FOUND, elsewhere)
        assert "sends its clients" in str(told)

    run(scenario())
