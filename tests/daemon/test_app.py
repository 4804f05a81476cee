from __future__ import annotations

import asyncio
import hashlib
import json

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from daemon_world import LIMIT_S, TOKEN, FakeRoom, World, exchange, obliging, reserved, running
from headway.core.room.effects import Effect
from headway.core.room.inputs import Input, RequestAbandoned, Requested
from headway.core.wire import rpc
from headway.daemon.app import Application
from headway.edges.blobs import is_blob_id

HEIGHT = hashlib.sha256(b"<script>").hexdigest()


def routes_of(world: World) -> list[BaseRoute]:
    """Every route that the TCP listener serves, asked of the application itself."""
    application = Application(
        world.service.connections,
        None,  # type: ignore[arg-type]
        world.blobs,
        health=dict,
        in_flight=lambda count: None,
    ).build(is_remote=True)
    assert isinstance(application, Starlette)
    return list(application.routes)


BAD_CREDENTIALS: list[tuple[int, dict[str, str]]] = [
    (401, {}),
    (401, {"authorization": "Bearer wrong"}),
    (401, {"authorization": f"Basic {TOKEN}"}),
    (401, {"authorization": f"Bearer {TOKEN}x"}),
    (401, {"authorization": f"bearer {TOKEN[:-1]}"}),
    (403, {"authorization": f"Bearer {TOKEN}", "host": "evil.example"}),
    (403, {"authorization": f"Bearer {TOKEN}", "host": "127.0.0.1"}),
    (403, {"authorization": f"Bearer {TOKEN}", "host": "127.0.0.1:1"}),
    (403, {"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example"}),
    (403, {"authorization": f"Bearer {TOKEN}", "origin": "null"}),
    (403, {"authorization": f"Bearer {TOKEN}", "origin": "https://127.0.0.1:PORT"}),
    (403, {"authorization": f"Bearer {TOKEN}", "origin": "http://127.0.0.1:PORT.evil.example"}),
    (403, {"authorization": f"Bearer {TOKEN}", "origin": "http://localhost:PORT"}),
    (403, {"authorization": f"Bearer {TOKEN}", "sec-fetch-site": "cross-site"}),
    (403, {"authorization": f"Bearer {TOKEN}", "sec-fetch-site": "same-site"}),
]


@pytest.mark.parametrize(("status", "headers"), BAD_CREDENTIALS)
def test_every_route_on_tcp_is_closed_without_the_right_token_host_and_origin(
    status: int, headers: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with running(tcp=True) as world:
            shown = {"host": f"127.0.0.1:{world.port}"}
            shown |= {name: text.replace("PORT", str(world.port)) for name, text in headers.items()}
            routes = routes_of(world)
            assert len(routes) >= 5
            for route in routes:
                assert isinstance(route, Route | WebSocketRoute)
                target = route.path.replace("{name}", HEIGHT).replace("{method}", "status")
                if isinstance(route, WebSocketRoute):
                    assert await handshake_status(world, target, shown) == status
                else:
                    for verb in sorted(route.methods or ()):
                        reply = await world.http(verb, target, headers=shown, tcp=True)
                        assert reply.status == status, (verb, target)
            # And what is no route at all tells a stranger nothing either.
            assert (await world.http("GET", "/nowhere", headers=shown, tcp=True)).status == status

    asyncio.run(scenario())


async def handshake_status(world: World, target: str, headers: dict[str, str]) -> int:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        return (await exchange(reader, writer, "GET", target, b"", headers | upgrade)).status


def test_the_token_opens_http_and_websockets_on_tcp() -> None:
    async def scenario() -> None:
        async with running(tcp=True) as world:
            own = f"127.0.0.1:{world.port}"
            shown = {"host": own, "authorization": f"Bearer {TOKEN}", "origin": f"http://{own}"}
            assert (await world.http("GET", "/health", headers=shown, tcp=True)).status == 200
            for address, headers in (
                (f"ws://{own}/sync?token={TOKEN}", {}),
                (f"ws://{own}/sync", {"authorization": f"Bearer {TOKEN}"}),
                (f"ws://localhost:{world.port}/sync?token={TOKEN}", {}),
            ):
                async with connect(address, additional_headers=headers, compression=None) as peer:
                    await peer.send("ping")
                    assert await peer.recv() == "pong"

    asyncio.run(scenario())


def test_a_token_in_the_address_opens_nothing_but_websockets() -> None:
    async def scenario() -> None:
        async with running(tcp=True) as world:
            target = f"/health?token={TOKEN}"
            reply = await world.http(
                "GET", target, headers={"host": f"127.0.0.1:{world.port}"}, tcp=True
            )
            assert reply.status == 401

    asyncio.run(scenario())


def test_a_websocket_with_a_wrong_token_is_refused_before_it_is_open() -> None:
    async def scenario() -> None:
        async with running(tcp=True) as world:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{world.port}/sync?token=no")
            assert refused.value.response.status_code == 401

    asyncio.run(scenario())


def test_the_unix_socket_needs_no_token() -> None:
    async def scenario() -> None:
        async with running() as world:
            reply = await world.http("GET", "/health")
            assert reply.status == 200
            assert json.loads(reply.body)["status"] == "ok"

    asyncio.run(scenario())


def test_a_method_is_a_post_that_gives_its_result_as_json() -> None:
    async def scenario() -> None:
        async with running() as world:
            reply = await world.post("status")
            assert reply.status == 200
            assert json.loads(reply.body)["socket"] == str(world.socket_path)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("dance", b"{}", 404, "UNKNOWN_METHOD"),
        ("open", b"not json", 400, "BAD_REQUEST"),
        ("open", b'{"path": 3}', 400, "BAD_REQUEST"),
        ("open", b'{"path": "relative.ipynb"}', 400, "BAD_REQUEST"),
        ("open", b"{}", 400, "BAD_REQUEST"),
        ("open", b'{"document": "nb-none"}', 404, "NOTEBOOK_NOT_FOUND"),
        ("open", b'{"path": "/x.ipynb", "create": false}', 404, "NOTEBOOK_NOT_FOUND"),
        ("interrupt", b'{"document": "nb-none"}', 404, "NOTEBOOK_NOT_FOUND"),
        ("close", b'{"document": "nb-none"}', 404, "NOTEBOOK_NOT_FOUND"),
        ("get_execution", b'{"execution_id": "none"}', 404, "EXECUTION_NOT_FOUND"),
        ("status", b'{"timeout_s": 0}', 400, "BAD_REQUEST"),
        ("status", b" " * 1_100_000, 400, "BAD_REQUEST"),
    ],
)
def test_an_error_has_its_http_status_its_code_and_a_sentence(
    method: str, body: bytes, status: int, code: str
) -> None:
    async def scenario() -> None:
        async with running() as world:
            reply = await world.post(method, body)
            assert reply.status == status
            error = json.loads(reply.body)["error"]
            assert error["code"] == code
            assert error["message"]

    asyncio.run(scenario())


def test_a_body_that_is_not_declared_as_json_is_refused() -> None:
    async def scenario() -> None:
        async with running() as world:
            reply = await world.post("stop", headers={"content-type": "text/plain"})
            assert reply.status == 400
            assert (await world.post("status")).status == 200

    asyncio.run(scenario())


def test_a_request_that_its_room_does_not_answer_ends_at_its_deadline() -> None:
    async def scenario() -> None:
        async with running(reserved) as world:
            await world.known()
            await world.service.rooms.load("nb-1")
            # The room's own answer comes at the deadline; the desk's belt a second later.
            body = b'{"document": "nb-1", "code": "a", "cursor": 1, "timeout_s": 0.01}'
            reply = await world.post("complete", body)
            assert reply.status == 504
            assert json.loads(reply.body)["error"]["code"] == "DEADLINE_EXCEEDED"

    asyncio.run(scenario())


def test_a_client_that_hangs_up_abandons_its_request() -> None:
    def silent(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and isinstance(event.params, rpc.Complete):
            return []
        return obliging(room, event)

    async def scenario() -> None:
        async with running(silent) as world:
            await world.known()
            await world.service.rooms.load("nb-1")
            room = world.rooms["nb-1"]
            body = b'{"document": "nb-1", "code": "a", "cursor": 1}'
            _, writer = await asyncio.open_unix_connection(str(world.socket_path))
            head = f"POST /api/v1/complete HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}"
            writer.write(head.encode() + b"\r\n\r\n" + body)
            await room.until(lambda room: bool(room.seen(Requested)))
            writer.close()
            await room.until(lambda room: bool(room.seen(RequestAbandoned)))

    asyncio.run(scenario())


def test_a_client_that_hangs_up_within_its_body_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with running() as world:
            _, writer = await asyncio.open_unix_connection(str(world.socket_path))
            head = "POST /api/v1/status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n"
            writer.write(head.encode() + b"{")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            while world.service._in_flight or (await world.post("status")).status != 200:
                await asyncio.sleep(0)

    asyncio.run(scenario())
    assert caplog.records == []


def test_the_openapi_page_describes_every_method() -> None:
    async def scenario() -> None:
        async with running() as world:
            page = json.loads((await world.http("GET", "/api/v1/openapi.json")).body)
            assert set(page["paths"]) == {f"/api/v1/{method}" for method in rpc.METHODS}

    asyncio.run(scenario())


def blob_reply(name: str, query: str = "") -> tuple[int, dict[str, str], bytes]:
    async def scenario() -> tuple[int, dict[str, str], bytes]:
        async with running() as world:
            await world.blobs.put(HEIGHT, b"<script>")
            reply = await world.http("GET", f"/blob/{name}{query}")
            return reply.status, reply.headers, reply.body

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "name", [HEIGHT.upper(), HEIGHT[:-1], HEIGHT + "0", "..%2f..%2fetc", "0" * 64]
)
def test_a_blob_is_found_by_its_exact_hash_and_nothing_else(name: str) -> None:
    assert is_blob_id(HEIGHT)
    assert blob_reply(name)[0] == 404


@pytest.mark.parametrize(
    ("wanted", "given", "disposition"),
    [
        ("image/png", "image/png", "inline"),
        ("text/html", "text/html; charset=utf-8", "attachment"),
        ("image/svg%2Bxml", "image/svg+xml", "attachment"),
        ("text/javascript", "application/octet-stream", "attachment"),
        ("text/html;%20charset=x", "application/octet-stream", "attachment"),
        ("a%0d%0aset-cookie:b/c", "application/octet-stream", "attachment"),
    ],
)
def test_a_blob_is_never_shown_as_something_that_runs(
    wanted: str, given: str, disposition: str
) -> None:
    status, headers, body = blob_reply(HEIGHT, f"?type={wanted}")
    assert (status, body) == (200, b"<script>")
    assert headers["content-type"] == given
    assert headers["content-disposition"] == disposition
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert "set-cookie" not in headers


def test_a_listener_serves_only_what_it_was_given() -> None:
    # The guard wraps the application of TCP, and the Unix socket's has none: two listeners.
    async def scenario() -> None:
        async with running(tcp=True) as world:
            assert world.service.http == f"http://127.0.0.1:{world.port}"
            assert (await world.http("GET", "/health")).status == 200
            assert (await world.http("GET", "/health", tcp=True)).status == 403

    asyncio.run(scenario())
