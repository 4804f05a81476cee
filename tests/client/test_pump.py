"""What the pump makes of connections that do not come about, or do not last."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

import headway
from headway.client import aio
from headway.client.connection import connect_socket
from headway.client.pump import Pump
from headway.core.session.opening import Target
from headway.edges.paths import Paths
from mini_daemon import MiniDaemon, daemon_at

LIMIT_S = 30


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


def test_an_attempt_that_fails_in_an_unforeseen_way_ends_the_opening_and_is_told() -> None:
    async def dial(_start: bool) -> ClientConnection:
        raise ImportError("a package for this proxy is missing")

    async def scenario() -> None:
        with pytest.raises(headway.ConnectionFailed, match="for this proxy is missing") as failed:
            await aio._begin(Target(path="/a.ipynb"), lambda s: Pump(s, dial), "ada", None, LIMIT_S)
        assert isinstance(failed.value.__cause__, ImportError)

    run(scenario())


def test_a_connection_comes_back_after_an_attempt_that_failed_in_an_unforeseen_way(
    tmp_path: Path,
) -> None:
    attempts = 0

    async def dial(_start: bool) -> ClientConnection:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            raise ValueError("once")
        return await connect_socket(Paths.of(tmp_path).socket, name="ada")

    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon:
            target = Target(path="/a.ipynb")
            nb = await aio._begin(target, lambda s: Pump(s, dial), "ada", None, LIMIT_S)
            await daemon.cut()
            await nb.wait_until(lambda: attempts == 3 and nb.status == "live")
            nb.add_cell("1")
            await nb.close()

    run(scenario())


class Cutting(MiniDaemon):
    async def talk(self, connection: ServerConnection) -> None:
        connection.transport.abort()


def test_an_opening_that_takes_too_long_says_how_the_last_attempt_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path, Cutting()):
            with pytest.raises(
                headway.DeadlineExceeded, match=r"within 2 s\. The last attempt: the conn"
            ):
                await headway.open_async("a", home=tmp_path, timeout=2)

    run(scenario())
