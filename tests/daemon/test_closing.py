from __future__ import annotations

import asyncio

import pytest

from daemon_world import FakeRoom, World, obliging, running
from headway.core.room.effects import Effect, Refuse
from headway.core.room.file_errors import removed
from headway.core.room.inputs import Input, Requested
from headway.core.wire import rpc
from headway.daemon.closing import ask, close_room, wind_down
from headway.daemon.host import RoomHost
from headway.errors import (
    DaemonUnavailable,
    FileChanged,
    FileNotWritable,
    FileWouldEmpty,
    HeadwayError,
)


async def opened(world: World, refused: HeadwayError | None) -> tuple[RoomHost, FakeRoom]:
    """A notebook whose saves are refused with this error."""

    def script(room: FakeRoom, event: Input) -> list[Effect]:
        match event:
            case Requested(token, _, rpc.Save()) if refused is not None:
                return [Refuse(token, refused)]
            case _:
                return obliging(room, event)

    host, _ = await world.service.rooms.open_path("/a.ipynb", create=True)
    room = FakeRoom(host.document, "/a.ipynb", script)
    host.room = room
    return host, room


def deadline_s() -> float:
    return asyncio.get_running_loop().time() + 10.0


@pytest.mark.parametrize("refused", [None, removed("/a.ipynb")])
def test_closing_saves_on_the_daemons_own_account_and_leaves_a_removed_file_removed(
    refused: HeadwayError | None,
) -> None:
    async def scenario() -> None:
        async with running() as world:
            host, room = await opened(world, refused)
            await close_room(host, deadline_s(), required_heads=None)
            (save,) = [each for each in room.seen(Requested) if isinstance(each.params, rpc.Save)]
            assert save.is_daemons
            assert not host.is_open

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "refused", [FileNotWritable("No room."), FileChanged("It is open.", found_sha256="0" * 64)]
)
def test_what_cannot_be_saved_is_not_closed_but_the_daemon_ends(refused: HeadwayError) -> None:
    async def scenario() -> None:
        async with running() as world:
            host, _ = await opened(world, refused)
            with pytest.raises(type(refused)):
                await close_room(host, deadline_s(), required_heads=None)
            assert host.is_open
            assert await wind_down(host, deadline_s()) is refused
            assert not host.is_open

    asyncio.run(scenario())


def test_closing_answers_everybody_who_waits() -> None:
    async def scenario() -> None:
        async with running() as world:
            host, _ = await opened(world, None)
            waits = rpc.Complete(document=host.document, code="", cursor=0)
            waiting = asyncio.create_task(ask(host, waits, deadline_s()))
            await asyncio.sleep(0)
            await close_room(host, deadline_s(), required_heads=None)
            assert isinstance(await waiting, DaemonUnavailable)
            assert len(host.desk) == 0

    asyncio.run(scenario())


def test_what_is_closed_contains_what_the_caller_has_seen() -> None:
    async def scenario() -> None:
        async with running() as world:
            host, room = await opened(world, None)
            await close_room(host, deadline_s(), required_heads="aGVhZHM=")
            asked = [each.params for each in room.seen(Requested)]
            assert [each.required_heads for each in asked] == ["aGVhZHM="] * 2

    asyncio.run(scenario())


def test_closing_decides_nothing_where_a_person_is_asked() -> None:
    async def scenario() -> None:
        async with running() as world:
            host, room = await opened(world, FileWouldEmpty("It would empty it."))
            with pytest.raises(FileWouldEmpty) as caught:
                await close_room(host, deadline_s(), required_heads=None)
            assert caught.value.data["document"] == host.document
            assert host.is_open
            assert isinstance(await wind_down(host, deadline_s()), FileWouldEmpty)
            assert all(each.is_daemons for each in room.seen(Requested))
            assert not host.is_open

    asyncio.run(scenario())
