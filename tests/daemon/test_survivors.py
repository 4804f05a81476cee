"""A daemon that begins where another was killed: which notebooks it opens, with which kernels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from daemon_world import LIMIT_S, FakeRoom, World, running
from headway.core.kernel.events import ExecuteReply
from headway.core.room.effects import AskKernel, Effect, ExecuteRequest, Persist
from headway.core.room.inputs import (
    Input,
    KernelEnded,
    KernelSaid,
    PeerArrived,
    PersistFailed,
)
from headway.daemon import host as hosting
from headway.edges.memory_kernels import MemoryKernel, MemoryKernels
from headway.edges.ports import FileContent, KernelOwner, StoredNotebook
from headway.errors import NotebookNotFound


async def kernel_of(document: str) -> tuple[MemoryKernel, MemoryKernels]:
    """A kernel at work, and what the daemon after its own finds."""
    former = MemoryKernels()
    kernel = await former.start(None, None, "/", lambda _: None, print, KernelOwner(document, 3))
    kernel.ask(ExecuteRequest("e1", "sleep(600)\nprint('on')"))
    while not kernel.script.is_asleep:
        await asyncio.sleep(0)
    return kernel, former.successor()


def play(scenario: Callable[[World, MemoryKernel], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LIMIT_S):
            world = World()
            await world.known("nb-1")
            kernel, world.kernels = await kernel_of("nb-1")
            await scenario(world, kernel)

    asyncio.run(run())


async def opened(world: World) -> None:
    while "nb-1" not in world.rooms:
        await asyncio.sleep(0)


def test_the_notebook_of_a_kernel_that_lives_is_opened_though_nobody_asks() -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        given: list[StoredNotebook] = []

        def note(stored: StoredNotebook, _file: FileContent | None) -> None:
            given.append(stored)

        world.opening = note
        async with running(world=world):
            await opened(world)
            room = world.rooms["nb-1"]
            kernel.release()
            await room.until(lambda room: bool(room.seen(KernelSaid)))
            await room.until(
                lambda room: any(
                    isinstance(event, ExecuteReply)
                    for said in room.seen(KernelSaid)
                    for event in said.events
                )
            )
            assert {said.incarnation for said in room.seen(KernelSaid)} == {3}
        (stored,) = given
        assert stored.kernel is not None
        assert (stored.kernel.incarnation, stored.kernel.asked) == (3, "e1")
        assert stored.kernel.info == kernel.info
        assert kernel.is_stopped, "a clean end of the daemon ends its kernels"

    play(scenario)


def test_a_notebook_whose_store_failed_is_opened_again_with_its_kernel() -> None:
    def persisting(room: FakeRoom, event: Input) -> list[Effect]:
        if not isinstance(event, PersistFailed) and not room.seen(PersistFailed):
            return [Persist(room.next_token(), ())] if isinstance(event, PeerArrived) else []
        return []

    async def scenario(world: World, kernel: MemoryKernel) -> None:
        given: list[StoredNotebook] = []
        world.script = persisting
        world.opening = lambda stored, _file: given.append(stored)
        async with running(world=world):
            host = await world.service.rooms.load("nb-1")
            failing = world.rooms["nb-1"]
            world.store.fail()
            host.arrive(1, "ada", "test")
            await failing.until(lambda room: bool(room.seen(PersistFailed)))
            await host.ended.wait()
            assert not kernel.is_stopped
            assert not world.service.rooms.is_idle, "it is to come back"
            kernel.release()
            world.store = world.store.crashed()
            world.service.rooms._outside = world.outside
            while world.rooms["nb-1"] is failing:
                await asyncio.sleep(0)
            await world.rooms["nb-1"].until(
                lambda room: any(
                    isinstance(event, ExecuteReply)
                    for said in room.seen(KernelSaid)
                    for event in said.events
                )
            )
            assert not kernel.is_stopped
        first, second = given
        assert first.kernel is not None
        assert second.kernel is not None
        assert second.kernel.incarnation == first.kernel.incarnation == 3
        assert second.kernel.asked == "e1"

    play(scenario)


def failing_once(room: FakeRoom, event: Input) -> list[Effect]:
    if not isinstance(event, PeerArrived):
        return []
    raise RuntimeError("a bug of ours")


def test_a_notebook_whose_machine_failed_is_opened_again_with_its_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        world.script = failing_once
        async with running(world=world):
            host = await world.service.rooms.load("nb-1")
            failed = world.rooms["nb-1"]
            host.arrive(1, "ada", "test")
            await host.ended.wait()
            while world.rooms["nb-1"] is failed:
                await asyncio.sleep(0)
            assert not kernel.is_stopped
            kernel.release()
            await world.rooms["nb-1"].until(lambda room: bool(room.seen(KernelSaid)))

    monkeypatch.setattr(hosting, "STEADY_S", 0.0)
    play(scenario)


def test_a_room_that_fails_as_soon_as_it_is_open_takes_its_kernel_with_it() -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        world.script = failing_once
        async with running(world=world):
            host = await world.service.rooms.load("nb-1")
            host.arrive(1, "ada", "test")
            await host.ended.wait()
            assert kernel.is_stopped
            assert world.service.rooms.is_idle, "it does not come back by itself"

    play(scenario)


def test_a_kernel_that_lives_does_what_its_room_asks() -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        world.first = (AskKernel(3, ExecuteRequest("e2", "1")),)
        async with running(world=world):
            await opened(world)
            while len(kernel.requests) < 2:
                await asyncio.sleep(0)
            assert kernel.requests[-1] == ExecuteRequest("e2", "1")

    play(scenario)


def test_a_kernel_that_died_meanwhile_is_told_to_its_room() -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        kernel.die("it was killed by signal 9")
        async with running(world=world):
            await opened(world)
            room = world.rooms["nb-1"]
            await room.until(lambda room: bool(room.seen(KernelEnded)))
            assert room.seen(KernelEnded) == [KernelEnded(3, "it was killed by signal 9")]

    play(scenario)


def test_the_kernel_of_a_notebook_that_cannot_be_opened_ends() -> None:
    async def scenario(world: World, kernel: MemoryKernel) -> None:
        def fail(stored: StoredNotebook, _file: FileContent | None) -> None:
            raise NotebookNotFound("It is gone.", document=stored.document)

        world.opening = fail
        async with running(world=world):
            while not kernel.is_stopped:
                await asyncio.sleep(0)

    play(scenario)


def test_the_kernel_of_an_unknown_notebook_ends() -> None:
    async def scenario(world: World, _: MemoryKernel) -> None:
        kernel, world.kernels = await kernel_of("nb-unknown")
        async with running(world=world):
            while not kernel.is_stopped:
                await asyncio.sleep(0)
            assert world.rooms == {}

    play(scenario)
