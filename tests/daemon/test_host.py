from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from typing import Any

from daemon_world import LIMIT_S, FakeRoom, World, join, obliging, reserved, running
from file_content import got, put
from headway.core.kernel.events import Stream
from headway.core.room.effects import (
    Answer,
    AskKernel,
    Effect,
    ExecuteRequest,
    InterruptKernel,
    Persist,
    StartKernel,
    StopKernel,
    StoreBlob,
    UpdateStored,
    WriteFile,
)
from headway.core.room.inputs import (
    FileWriteFailed,
    FileWritten,
    Input,
    KernelReady,
    KernelSaid,
    PeerArrived,
    PeerGone,
    Persisted,
    Requested,
    Tick,
)
from headway.core.wire import rpc
from headway.errors import EngineFailure

EMPTY: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
BLOB = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of b"test"


def test_the_effects_of_an_opening_are_performed_before_the_first_input() -> None:
    async def scenario() -> None:
        world = World(reserved)
        world.first = [Persist(1, (UpdateStored("nb-1", b"first"),))]
        async with running(world=world):
            await world.known()
            await world.service.rooms.load("nb-1")
            room = world.rooms["nb-1"]
            await room.until(lambda room: room.inputs == [Persisted(1)])
            stored = await world.store.load("nb-1")
            assert stored is not None
            assert stored.updates == (b"first",)

    asyncio.run(scenario())


def test_a_task_of_a_room_that_fails_ends_that_room_and_no_other() -> None:
    async def scenario() -> None:
        async with running(obliging) as world:
            await world.known()
            await world.known("nb-2")
            host = await world.service.rooms.load("nb-1")
            other = await world.service.rooms.load("nb-2")

            def fails(more: int) -> None:
                raise RuntimeError("a bug of ours")

            host.storage._count = fails  # type: ignore[method-assign]
            host.storage._queue.append(StoreBlob(BLOB, b"test"))
            host.storage._wake.set()
            await host.ended.wait()
            assert other.is_open
            assert (await world.post("status")).status == 200

    asyncio.run(scenario())


def test_a_room_that_says_it_has_failed_is_ended() -> None:
    def failing(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, PeerArrived):
            room.failure = EngineFailure("The document engine failed.")
        return []

    async def scenario() -> None:
        async with running(failing) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            host.arrive(1, "ada", "test")
            await host.ended.wait()
            assert not host.is_open

    asyncio.run(scenario())


def test_a_tick_comes_at_the_deadline_and_not_before_it() -> None:
    ticked: list[float] = []

    def once(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Tick):
            ticked.append(time.monotonic())
            room.deadline_s = None
        return reserved(room, event)

    async def scenario() -> None:
        async with running(once) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            room = world.rooms["nb-1"]
            deadline_s = time.monotonic() + 0.05
            room.deadline_s = deadline_s + 60
            host.feed(Persisted(1))
            room.deadline_s = deadline_s
            host.feed(Persisted(2))
            await room.until(lambda room: bool(room.seen(Tick)))
            assert len(ticked) == 1
            assert ticked[0] >= deadline_s

    asyncio.run(scenario())


def test_a_deadline_that_stays_in_the_past_does_not_starve_the_others() -> None:
    async def scenario() -> None:
        async with running(reserved) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            world.rooms["nb-1"].deadline_s = 0.0
            host.feed(Persisted(1))
            assert (await world.post("status")).status == 200
            await world.rooms["nb-1"].until(lambda room: len(room.seen(Tick)) > 3)

    asyncio.run(scenario())


def test_an_input_that_arises_while_another_is_handled_waits_its_turn() -> None:
    order: list[str] = []

    def nested(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Persisted) and event.token == 1:
            order.append("begins")
            hosts[0].feed(Persisted(2))
            order.append("ends")
        elif isinstance(event, Persisted):
            order.append("second")
        return reserved(room, event)

    hosts: list[Any] = []

    async def scenario() -> None:
        async with running(nested) as world:
            await world.known()
            hosts.append(await world.service.rooms.load("nb-1"))
            hosts[0].feed(Persisted(1))
            assert order == ["begins", "ends", "second"]

    asyncio.run(scenario())


def test_a_kernel_is_started_asked_interrupted_and_stopped_as_the_room_says() -> None:
    def kernel(room: FakeRoom, event: Input) -> list[Effect]:
        match event:
            case PeerArrived():
                return [StartKernel(1, None, None)]
            case KernelReady(incarnation):
                return [
                    AskKernel(incarnation, ExecuteRequest("e", "print(6 * 7)")),
                    InterruptKernel(9, "e"),
                ]
            case PeerGone():
                return [StopKernel(1)]
            case _:
                return reserved(room, event)

    def printed(room: FakeRoom) -> bool:
        said = [each for event in room.seen(KernelSaid) for each in event.events]
        return any(isinstance(each, Stream) and each.text == "42\n" for each in said)

    async def scenario() -> None:
        async with running(kernel) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            room = world.rooms["nb-1"]
            host.arrive(1, "ada", "test")
            await room.until(printed)
            assert host.kernels.count == 1
            assert world.service.status().kernels == 1
            host.depart(1)
            host.end()
            await host.ended.wait()
            assert host.kernels.count == 0

    asyncio.run(scenario())


def test_a_file_is_written_and_the_room_hears_of_it_either_way() -> None:
    def writing(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, PeerArrived):
            return [WriteFile(1, "/a.ipynb", EMPTY, None), WriteFile(2, "/a.ipynb", EMPTY, "0")]
        return reserved(room, event)

    async def scenario() -> None:
        async with running(writing) as world:
            await world.known()
            await put(world.files, "/b.ipynb", b"{}", None)
            host = await world.service.rooms.load("nb-1")
            host.arrive(1, "ada", "test")
            room = world.rooms["nb-1"]
            await room.until(lambda room: len(room.inputs) == 3)
            assert room.seen(FileWritten)[0].token == 1
            assert not room.seen(FileWriteFailed)
            content = await got(world.files, "/a.ipynb")
            assert content is not None
            assert hashlib.sha256(content).hexdigest() == room.seen(FileWritten)[0].sha256

    asyncio.run(scenario())


def test_a_blob_is_there_before_the_record_that_names_it() -> None:
    def storing(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, PeerArrived):
            return [StoreBlob(BLOB, b"test"), Persist(1, (UpdateStored("nb-1", b"x"),))]
        return reserved(room, event)

    async def scenario() -> None:
        async with running(storing) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            host.arrive(1, "ada", "test")
            await world.rooms["nb-1"].until(lambda room: bool(room.seen(Persisted)))
            assert await world.blobs.get(BLOB) == b"test"

    asyncio.run(scenario())


def test_a_room_that_nobody_uses_is_put_away_and_loaded_again_at_the_next_use() -> None:
    async def scenario() -> None:
        async with running(idle_room_s=0.02) as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
                first = world.service.rooms.find("nb-1")
                assert first is not None
            await first.ended.wait()
            assert world.service.rooms.find("nb-1") is None
            async with world.dial() as peer:
                await peer.send(join())
                await peer.recv()
            assert world.opened == ["nb-1", "nb-1"]

    asyncio.run(scenario())


def test_a_room_with_a_kernel_is_not_put_away() -> None:
    def kernel(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, PeerArrived):
            return [StartKernel(1, None, None)]
        return reserved(room, event)

    async def scenario() -> None:
        async with running(kernel, idle_room_s=0.01) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            host.arrive(1, "ada", "test")
            room = world.rooms["nb-1"]
            await room.until(lambda room: bool(room.seen(KernelReady)))
            host.depart(1)
            host.depart(1)
            assert len(room.seen(PeerGone)) == 1
            passed = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.1, passed.set_result, None)
            await passed
            assert host.is_open

    asyncio.run(scenario())


def test_an_ended_room_takes_no_more_inputs() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")
            host.end()
            host.feed(Persisted(1))
            await host.ended.wait()
            assert world.rooms["nb-1"].inputs == []

    asyncio.run(scenario())


def test_an_effect_that_cannot_be_performed_ends_the_room_and_refuses_its_requests() -> None:
    def broken(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and event.peer is None:
            return obliging(room, event)
        return [Answer(1, None)] if isinstance(event, Requested) else []  # type: ignore[arg-type]

    async def scenario() -> None:
        async with running(broken) as world:
            await world.known()
            host = await world.service.rooms.load("nb-1")

            def refuse(outcome: object) -> None:
                raise ValueError

            host.desk.open("nb-1", refuse, time.monotonic() + LIMIT_S, host.feed)
            with contextlib.suppress(ValueError):
                host.feed(Requested(1, 1, rpc.Interrupt(document="nb-1"), time.monotonic(), "test"))
            assert not host.is_open
            await host.ended.wait()

    asyncio.run(scenario())
