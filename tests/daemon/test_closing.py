from __future__ import annotations

import asyncio

import pytest

from daemon_world import FakeRoom, World, running
from headway.core.room.inputs import Requested
from headway.core.wire import rpc
from headway.daemon.closing import ask, close_room, wind_down
from headway.daemon.host import RoomHost
from headway.errors import DaemonUnavailable, FileChanged, FileWouldEmpty


class ReportingRoom(FakeRoom):
    """Says of its file what the test wants."""

    notice: str | None = None

    def summary(self) -> rpc.NotebookSummary:
        told = super().summary()
        if self.notice is not None:
            told.notices.append(rpc.Notice(code=self.notice, message="Something is the matter."))
        return told


def saves(room: FakeRoom) -> int:
    return sum(isinstance(each.params, rpc.Save) for each in room.seen(Requested))


async def opened(world: World, code: str | None) -> tuple[RoomHost, ReportingRoom]:
    host, _ = await world.service.rooms.open_path("/a.ipynb", create=True)
    room = ReportingRoom(host.document, "/a.ipynb")
    room.notice = code
    host.room = room
    return host, room


def deadline_s() -> float:
    return asyncio.get_running_loop().time() + 10.0


@pytest.mark.parametrize(("code", "expected"), [(None, 1), (FileChanged.code, 0)])
def test_closing_saves_but_does_not_bring_back_a_removed_file(
    code: str | None, expected: int
) -> None:
    async def scenario() -> None:
        async with running() as world:
            host, room = await opened(world, code)
            await close_room(host, deadline_s(), required_heads=None)
            assert saves(room) == expected
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
            host, room = await opened(world, FileChanged.code)
            await close_room(host, deadline_s(), required_heads="aGVhZHM=")
            asked = [each.params for each in room.seen(Requested)]
            assert [each.required_heads for each in asked] == ["aGVhZHM="]

    asyncio.run(scenario())


def test_closing_decides_nothing_where_a_person_is_asked() -> None:
    async def scenario() -> None:
        async with running() as world:
            host, room = await opened(world, FileWouldEmpty.code)
            with pytest.raises(FileWouldEmpty):
                await close_room(host, deadline_s(), required_heads=None)
            assert host.is_open
            assert isinstance(await wind_down(host, deadline_s()), FileWouldEmpty)
            assert saves(room) == 0
            assert not host.is_open

    asyncio.run(scenario())
