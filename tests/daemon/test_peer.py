from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any

from headway.daemon.peer import Outbox


class Wire:
    """An ASGI send that can be held up or cut."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.cut = False
        self.closed = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.open.wait()
        if self.cut:
            raise ConnectionResetError
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.closed.set()


def run(scenario: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(bounded())


def test_frames_leave_in_order_each_in_its_kind_and_the_close_comes_last() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        outbox = Outbox(broken.append)
        outbox.put((b"one", "two"))
        outbox.close(4000, "enough")
        outbox.put((b"too late",))
        outbox.close(1013, "a second close")
        await outbox.run(wire.send)
        assert wire.sent == [
            {"type": "websocket.send", "bytes": b"one"},
            {"type": "websocket.send", "text": "two"},
            {"type": "websocket.close", "code": 4000, "reason": "enough"},
        ]
        assert broken == []

    run(scenario)


def test_one_answer_larger_than_the_bound_fits_into_an_empty_outbox() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        outbox = Outbox(broken.append, max_bytes=10)
        outbox.put((bytes(100), bytes(100)))
        outbox.close(1000, "")
        await outbox.run(wire.send)
        assert broken == []
        assert sum(len(each.get("bytes", b"")) for each in wire.sent) == 200

    run(scenario)


def test_what_comes_behind_a_large_answer_fits_as_if_that_were_not_there() -> None:
    async def scenario() -> None:
        broken = list[str]()
        outbox = Outbox(broken.append, max_bytes=10)
        for size in (100, 8, 8):
            outbox.put((bytes(size),))
        assert (broken, outbox.waiting_bytes) == ([], 116)
        outbox.put((b"more",))
        assert len(broken) == 1

    run(scenario)


def test_a_large_answer_that_was_sent_makes_no_room_for_anything() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        outbox = Outbox(broken.append, max_bytes=10)
        outbox.put((bytes(100),))
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(outbox.run(wire.send))
            while not wire.sent:
                await asyncio.sleep(0)
            wire.open.clear()
            for _ in range(3):
                outbox.put((bytes(8),))
            assert broken == []
            outbox.put((b"more",))
            assert len(broken) == 1
            sending.cancel()

    run(scenario)


def test_too_many_bytes_or_frames_break_the_outbox_once_and_empty_it() -> None:
    async def scenario() -> None:
        for max_bytes, max_frames in ((10, 100), (1000, 1)):
            broken = list[str]()
            outbox = Outbox(broken.append, max_bytes=max_bytes, max_frames=max_frames)
            outbox.put((bytes(12),))
            outbox.put((bytes(8), bytes(8)))
            assert broken == []
            outbox.put((b"more",))
            assert len(broken) == 1
            assert outbox.waiting_bytes == 0
            outbox.put((b"and more",))
            assert len(broken) == 1
            assert outbox.waiting_bytes == 0

    run(scenario)


def test_a_peer_that_takes_nothing_for_too_long_breaks_the_outbox() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        wire.open.clear()
        outbox = Outbox(broken.append, stall_s=0.01)
        outbox.put((b"one",))
        await outbox.run(wire.send)
        assert len(broken) == 1
        assert "took nothing" in broken[0]

    run(scenario)


def test_a_peer_that_does_not_take_its_close_frame_breaks_the_outbox() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        wire.open.clear()
        outbox = Outbox(broken.append, stall_s=0.01)
        outbox.close(4000, "enough")
        await outbox.run(wire.send)
        assert len(broken) == 1

    run(scenario)


def test_a_transport_that_is_gone_ends_the_writer_without_an_error() -> None:
    async def scenario() -> None:
        wire, broken = Wire(), list[str]()
        wire.cut = True
        outbox = Outbox(broken.append)
        outbox.put((b"one", b"two"))
        await outbox.run(wire.send)
        assert broken == []
        assert outbox.waiting_bytes == 0

    run(scenario)


def test_what_the_transport_takes_at_once_never_overtakes_a_frame_that_waits() -> None:
    async def scenario() -> list[object]:
        sent: list[object] = []
        is_open, slow_may_end, slow_began = [True], asyncio.Event(), asyncio.Event()

        def write(frames: Iterable[bytes | str]) -> bool:
            if is_open[0]:
                sent.extend(frames)
            return is_open[0]

        async def send(message: MutableMapping[str, Any]) -> None:
            slow_began.set()
            await slow_may_end.wait()
            sent.append(message["bytes"])

        outbox = Outbox(lambda _: None, write=write)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run(send))
            outbox.put((b"1", b"2"))
            is_open[0] = False
            outbox.put((b"3",))
            await slow_began.wait()
            is_open[0] = True
            outbox.put((b"4",))  # 3 is on its way and no longer in the queue
            slow_may_end.set()
            while outbox.waiting_bytes or len(sent) < 4:
                await asyncio.sleep(0)
            outbox.put((b"5",))
            running.cancel()
        return sent

    assert asyncio.run(asyncio.wait_for(scenario(), 10)) == [b"1", b"2", b"3", b"4", b"5"]


def test_a_transport_that_fails_at_once_breaks_its_own_outbox_and_nothing_else() -> None:
    async def scenario() -> None:
        def write(frames: Iterable[bytes | str]) -> bool:
            raise RuntimeError("unable to write; the handle is closed")

        broken = list[str]()
        outbox = Outbox(broken.append, write=write)
        outbox.put((b"one",))
        outbox.put((b"two",))
        assert broken == ["its transport failed: unable to write; the handle is closed"]

    run(scenario)
