from __future__ import annotations

import asyncio
import json
import os

import pytest

from daemon_world import LIMIT_S, FakeRoom, World, call, join, obliging, running, update
from headway.core.room.effects import Effect, Persist, Refuse, StoreBlob
from headway.core.room.inputs import Input, Persisted, PersistFailed, Received, Requested
from headway.core.wire import commands, rpc
from headway.core.wire.codec import decode
from headway.core.wire.messages import Ack, Join, Joined
from headway.daemon import storage
from headway.errors import FileNotWritable


async def ends(world: World) -> None:
    """Wait for the service to end of its own accord: its socket answers no more."""
    async with asyncio.timeout(LIMIT_S):
        await world.service._stopping.wait()


def test_a_daemon_with_nothing_to_do_ends_after_its_idle_time() -> None:
    async def scenario() -> None:
        async with running(idle_exit_s=0.02) as world:
            await ends(world)

    asyncio.run(scenario())


def test_a_connection_keeps_an_idle_daemon_alive_until_it_leaves() -> None:
    async def scenario() -> None:
        async with running(idle_exit_s=0.1) as world:
            async with world.dial() as peer:
                passed = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.3, passed.set_result, None)
                await passed
                await peer.send("ping")
                assert await peer.recv() == "pong"
                assert not world.service._stopping.is_set()
            await ends(world)

    asyncio.run(scenario())


def test_a_room_with_work_keeps_an_idle_daemon_alive_until_it_is_done() -> None:
    async def scenario() -> None:
        async with running(idle_exit_s=0.1) as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                room = world.rooms["nb-1"]
                room.is_idle = False
            await room.until(lambda room: len(room.inputs) >= 3)
            passed = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.3, passed.set_result, None)
            await passed
            assert not world.service._stopping.is_set()
            room.is_idle = True
            world.service.rooms.all()[0].feed(Persisted(0))
            await ends(world)

    asyncio.run(scenario())


def test_stop_is_answered_and_then_the_daemon_ends() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            reply = await call(peer, rpc.Stop())
            assert isinstance(reply, commands.Response)
            assert json.loads(bytes(reply.result)) == {"pid": os.getpid(), "unsaved": []}
            await peer.wait_closed()
            await ends(world)

    asyncio.run(scenario())


def test_the_end_saves_every_notebook_and_shuts_its_kernel_down() -> None:
    async def scenario() -> None:
        async with running() as world:
            for number in (1, 2):
                await world.known(f"nb-{number}", f"/{number}.ipynb")
                await world.service.rooms.load(f"nb-{number}")
        for room in world.rooms.values():
            asked = [type(each.params) for each in room.seen(Requested)]
            assert asked == [rpc.Save, rpc.ShutdownKernel]

    asyncio.run(scenario())


def test_who_stops_the_daemon_is_told_what_was_not_saved() -> None:
    def refusing(room: FakeRoom, event: Input) -> list[Effect]:
        match event:
            case Requested(token, _, rpc.Save()) if room.document == "nb-1":
                return [Refuse(token, FileNotWritable("The disk is full."))]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(refusing) as world:
            for number in (1, 2):
                await world.known(f"nb-{number}", f"/{number}.ipynb")
                await world.service.rooms.load(f"nb-{number}")
            (told,) = json.loads((await world.post("stop")).body)["unsaved"]
            assert told["code"] == "FILE_NOT_WRITABLE"
            assert told["message"] == "The disk is full."
            assert told["data"] == {"document": "nb-1", "path": "/1.ipynb"}
            await ends(world)

    asyncio.run(scenario())


def test_a_room_that_answers_nothing_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headway.daemon.service.DRAIN_S", 0.05)

    async def scenario() -> None:
        async with running(lambda room, event: []) as world:
            await world.known()
            await world.service.rooms.load("nb-1")

    asyncio.run(scenario())


def test_status_counts_what_is_open() -> None:
    async def scenario() -> None:
        async with running(tcp=True) as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                status = json.loads((await world.post("status")).body)
            assert (status["notebooks"], status["peers"], status["kernels"]) == (1, 1, 0)
            assert status["http"] == f"http://127.0.0.1:{world.port}"
            assert status["home"] == str(world.folder)

    asyncio.run(scenario())


def test_a_store_that_cannot_keep_up_pauses_the_readers_until_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "BACKLOG_MAX_BYTES", 1000)

    async def scenario() -> None:
        async with running() as world:
            world.service.connections.backlog._max_bytes = 1000
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                world.store.hold()
                for number in range(4):
                    await peer.send(update(number=number, content=bytes(600)))
                await peer.send("ping")
                room = world.rooms["nb-1"]
                await room.until(lambda room: len(room.seen(Received)) == 3)
                world.store.release()
                await room.until(lambda room: len(room.seen(Received)) == 5)
                while await peer.recv() != "pong":
                    pass

    asyncio.run(scenario())


def test_a_store_that_fails_ends_its_rooms_and_peers_are_told_to_come_back() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                room = world.rooms["nb-1"]
                world.store.fail()
                await peer.send(update())
                await peer.wait_closed()
                assert peer.close_code == 1013
                assert room.seen(PersistFailed)
            assert world.service.rooms.find("nb-1") is None
            assert (await world.post("status")).status == 200

    asyncio.run(scenario())


def test_a_blob_that_cannot_be_stored_ends_its_room_and_not_the_daemon() -> None:
    def storing(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Received):
            return [StoreBlob("0" * 64, b"not of this name"), Persist(1, ())]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(storing) as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.wait_closed()
                assert peer.close_code == 1013
            assert (await world.post("status")).status == 200

    asyncio.run(scenario())


def test_a_machine_that_fails_ends_its_room_only_and_the_next_use_loads_it_again() -> None:
    def fragile(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Received) and not isinstance(event.message, Join):
            raise ZeroDivisionError
        return obliging(room, event)

    async def scenario() -> None:
        async with running(fragile) as world:
            await world.known("nb-1")
            await world.known("nb-2")
            async with world.dial() as peer, world.dial() as other:
                await other.send(join("nb-2"))
                await other.recv()
                await peer.send(join("nb-1"))
                await peer.recv()
                request = rpc.Complete(document="nb-1", code="", cursor=0)
                await peer.send(commands.encode_request(1, request))
                await peer.send(update("nb-1"))
                refused = commands.decode(await peer.recv(decode=False))
                assert isinstance(refused, commands.ErrorResponse)
                assert refused.error.code == "ENGINE_FAILURE"
                await peer.wait_closed()
                assert peer.close_code == 1013
                await other.send("ping")
                assert await other.recv() == "pong"
            async with world.dial() as peer:
                await peer.send(join("nb-1"))
                assert isinstance(decode(await peer.recv(decode=False)), Joined)
            assert world.opened == ["nb-2", "nb-1", "nb-1"]

    asyncio.run(scenario())


def test_closing_saves_and_puts_the_peers_out_without_ending_their_connections() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known("nb-1", "/a.ipynb")
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                reply = await world.post("close", b'{"document": "nb-1"}')
                assert reply.status == 200
                gone = [decode(await peer.recv(decode=False)) for _ in range(2)]
                assert [type(each).__name__ for each in gone] == ["RoomError", "RoomError"]
                await peer.send(update())
                denied = decode(await peer.recv(decode=False))
                assert isinstance(denied, Ack)
                assert denied.status == 3
            assert world.service.rooms.all() == []
            # Closing what is closed already is success.
            assert (await world.post("close", b'{"document": "nb-1"}')).status == 200

    asyncio.run(scenario())
