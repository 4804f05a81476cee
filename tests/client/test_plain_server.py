from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway

JS = Path(__file__).parent.parent / "js"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (JS / "node_modules" / "@loro-dev" / "flock").is_dir(),
    reason="needs node and the packages of tests/js",
)


@pytest.fixture
def url() -> Iterator[str]:
    with subprocess.Popen(
        ["node", "simple_server.mjs"],
        cwd=JS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"ws://127.0.0.1:{port}"
        process.stdin.close()
        process.wait(10)


def test_two_clients_meet_on_the_official_server_and_confirm_there(url: str) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(30),
            headway.connect_async(url, "nb-room") as first,
            headway.connect_async(url, "nb-room") as second,
        ):
            cell = first.add_cell("x = '🙂'")
            confirmation = await first.confirm_sync(timeout=10)
            assert confirmation.durability == "accepted"
            await second.wait_until(lambda: len(second.cells) == 1)
            second.append_source(cell, " + 'é'")
            await second.confirm_sync(timeout=10)
            await first.wait_until(lambda: first.source(cell) == "x = '🙂' + 'é'")
            with pytest.raises(headway.RequestFailed, match="only synchronises"):
                await first.execute_cell(cell)

    asyncio.run(scenario())


def test_an_update_larger_than_a_message_goes_in_fragments(url: str) -> None:
    async def scenario() -> None:
        # Both are in the room first: this server cannot cut what it sends in answer to a join.
        async with (
            asyncio.timeout(30),
            headway.connect_async(url, "nb-large") as first,
            headway.connect_async(url, "nb-large") as second,
        ):
            for number in range(4):
                first.add_cell(f"{number} {os.urandom(60_000).hex()}")
            await first.confirm_sync(timeout=20)
            await second.wait_until(lambda: len(second.cells) == 4)
            assert [c.source for c in second.cells] == [c.source for c in first.cells]

    asyncio.run(scenario())


def test_what_others_show_of_themselves_is_seen(url: str) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(30),
            headway.connect_async(url, "nb-presence") as first,
            headway.connect_async(url, "nb-presence") as second,
        ):
            first.set_presence({"name": "ada"})
            await second.wait_until(lambda: {"name": "ada"} in second.presence().values())
            first.set_presence(None)
            await second.wait_until(lambda: second.presence() == {})

    asyncio.run(scenario())


def test_nobody_at_the_url_is_a_typed_error_at_once() -> None:
    with pytest.raises(headway.ConnectionFailed):
        headway.connect("ws://127.0.0.1:9", "nb-room", timeout=10)
