from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
import zmq

from headway.edges import kernel_wire
from headway.edges.kernel_wire import SLICE_MESSAGES, _Channel


@contextlib.asynccontextmanager
async def full_channel(slices: int) -> AsyncIterator[tuple[_Channel, list[int]]]:
    """A channel with so many slices to take, and the sizes of those that were taken."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ours, theirs = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    theirs.set_hwm(0)
    ours.set_hwm(0)
    theirs.bind("inproc://channel")
    ours.connect("inproc://channel")
    taken: list[int] = []

    def receive(messages: Sequence[list[bytes]]) -> None:
        taken.append(len(messages))

    channel = _Channel(ours, receive)
    channel.hold(holds=True)
    for number in range(slices * SLICE_MESSAGES):
        theirs.send(str(number).encode())
    async with asyncio.timeout(10):
        yield channel, taken
    channel.close()
    theirs.close(linger=0)
    context.term()


def test_however_often_it_is_asked_for_the_loop_waits_for_one_slice_at_a_time() -> None:
    async def scenario() -> None:
        async with full_channel(10) as (channel, taken):
            for _ in range(5):
                channel.hold(holds=True)
                channel.hold(holds=False)
            most = 0
            while len(taken) < 10:
                before = len(taken)
                await asyncio.sleep(0)
                most = max(most, len(taken) - before)
            assert most == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_what_waits_at_the_peer_is_taken_at_leisure_until_there_is_hurry(
    monkeypatch: pytest.MonkeyPatch, loops: str
) -> None:
    make_loop = pytest.importorskip(loops).new_event_loop
    monkeypatch.setattr(kernel_wire, "EAGER_BYTES", SLICE_MESSAGES)
    monkeypatch.setattr(kernel_wire, "REST_S", 3600.0)

    async def scenario() -> None:
        async with full_channel(10) as (channel, taken):
            channel.bound()
            channel.hold(holds=False)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(taken) == 1
            channel.hurry()
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(taken) == 2
            monkeypatch.setattr(kernel_wire, "EAGER_BYTES", 10**9)
            channel.hurry()
            while len(taken) < 10:
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(scenario())


def test_what_rests_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_wire, "EAGER_BYTES", 0)

    async def scenario() -> None:
        async with full_channel(10) as (channel, taken):
            channel.bound()
            channel.hold(holds=False)
            while len(taken) < 10:
                await asyncio.sleep(0)

    asyncio.run(scenario())


def test_what_cannot_wait_at_the_peer_is_taken_as_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would wait in our memory."""
    monkeypatch.setattr(kernel_wire, "EAGER_BYTES", 0)
    monkeypatch.setattr(kernel_wire, "REST_S", 3600.0)

    async def scenario() -> None:
        async with full_channel(10) as (channel, taken):
            channel.hold(holds=False)
            while len(taken) < 10:
                await asyncio.sleep(0)

    asyncio.run(scenario())
