from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from daemon_world import join, running, short_folder
from headway.daemon import server
from headway.daemon.server import bind_tcp, bind_unix, own_hosts, remove_socket
from headway.errors import DaemonUnavailable


def test_the_socket_is_its_owners_only_whatever_the_mask_was() -> None:
    former = os.umask(0)
    try:
        with short_folder() as folder, bind_unix(folder / "s"):
            mode = (folder / "s").lstat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(former)


def test_a_socket_left_behind_is_taken_over() -> None:
    with short_folder() as folder:
        bind_unix(folder / "s").close()
        assert (folder / "s").is_socket()
        with bind_unix(folder / "s"), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s"))


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_socket_is_never_removed(make: object) -> None:
    with short_folder() as folder:
        assert callable(make)
        make(folder / "s")
        with pytest.raises(DaemonUnavailable, match="no socket of yours"):
            bind_unix(folder / "s")
        assert os.path.lexists(folder / "s")


def test_a_path_that_is_too_long_is_refused_with_a_sentence() -> None:
    with pytest.raises(DaemonUnavailable, match="HEADWAY_HOME"):
        bind_unix(Path("/tmp") / ("x" * 107))


def test_removing_a_socket_that_is_not_there_is_nothing() -> None:
    with short_folder() as folder:
        remove_socket(folder / "s")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "example.org:1", "x"])
def test_tcp_listens_on_this_machine_only(address: str) -> None:
    with pytest.raises(DaemonUnavailable):
        bind_tcp(address)


@pytest.mark.parametrize("address", ["0", "127.0.0.1:0", "localhost:0", ":0", "127.9.9.9:0"])
def test_a_loopback_address_or_a_port_alone_will_do(address: str) -> None:
    with bind_tcp(address) as listening:
        host, port = listening.getsockname()
        assert host.startswith("127.")
        assert f"localhost:{port}" in own_hosts(listening)


def test_a_port_that_is_taken_is_refused_with_the_reason() -> None:
    with bind_tcp("0") as listening:
        port = listening.getsockname()[1]
        with pytest.raises(DaemonUnavailable, match="another program listens there"):
            bind_tcp(str(port))


def test_a_connection_of_another_user_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with running() as world:
            monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
            reader, writer = await asyncio.open_unix_connection(str(world.socket_path))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            monkeypatch.undo()
            assert (await world.http("GET", "/health")).status == 200

    asyncio.run(scenario())


def test_a_connection_that_asks_for_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST_S", 0.01)

    async def scenario() -> None:
        async with running() as world:
            reader, writer = await asyncio.open_unix_connection(str(world.socket_path))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()

    asyncio.run(scenario())


def test_a_websocket_outlives_the_patience_for_a_first_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST_S", 0.01)

    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            cut = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.05, cut.set_result, None)
            await cut
            await peer.send("ping")
            assert await peer.recv() == "pong"

    asyncio.run(scenario())


def test_connections_are_told_of_the_end_with_a_code_that_lets_them_come_back() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                world.service.stop()
                await peer.wait_closed()
                assert peer.close_code == 1012

    asyncio.run(scenario())


def test_compression_is_not_agreed_to_even_if_offered() -> None:
    async def scenario() -> None:
        async with (
            running() as world,
            unix_connect(str(world.socket_path), "ws://localhost/sync") as peer,
        ):
            assert peer.response is not None
            assert "Sec-WebSocket-Extensions" not in peer.response.headers

    asyncio.run(scenario())


def test_a_message_longer_than_any_of_ours_ends_the_connection() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            # Refused by its announced length: the rest may find nobody who takes it.
            with contextlib.suppress(ConnectionClosed):
                await peer.send(bytes(server.WEBSOCKET_MAX_BYTES + 1))
            await peer.wait_closed()
            assert peer.close_code == 1009

    asyncio.run(scenario())
