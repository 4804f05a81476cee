from __future__ import annotations

import asyncio
from collections.abc import Sequence

import zmq

from headway.edges.kernel_wire import SLICE_MESSAGES, _Channel


def test_however_often_it_is_asked_for_the_loop_waits_for_one_slice_at_a_time() -> None:
    async def scenario() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        ours, theirs = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        theirs.set_hwm(0)
        ours.set_hwm(0)
        theirs.bind("inproc://channel")
        ours.connect("inproc://channel")
        slices: list[int] = []

        def receive(taken: Sequence[list[bytes]]) -> None:
            slices.append(len(taken))

        channel = _Channel(ours, receive)
        channel.hold(holds=True)
        for number in range(10 * SLICE_MESSAGES):
            theirs.send(str(number).encode())
        for _ in range(5):
            channel.hold(holds=True)
            channel.hold(holds=False)
        most = 0
        async with asyncio.timeout(10):
            while sum(slices) < 10 * SLICE_MESSAGES:
                before = len(slices)
                await asyncio.sleep(0)
                most = max(most, len(slices) - before)
        assert most == 1
        channel.close()
        theirs.close(linger=0)
        context.term()

    asyncio.run(scenario())
