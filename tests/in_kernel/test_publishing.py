"""What a kernel's publisher does by itself, with a socket and a thread that stand in for its own.

What comes of it in a real kernel is in `tests/edges/test_kernel_publishing.py`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from headway.in_kernel import publishing
from headway.in_kernel.publishing import FLOOD_MESSAGES, FLOOD_S, REST_SHARE, Publisher

WAKING_UP_S = 1e-4
MESSAGE = [b"topic", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]


class SendingThread:
    """ipykernel's `IOPubThread`, but that it does what it is asked when `work` is called."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.thread = threading.Thread()
        self.is_fork = False
        self._stopped = False
        self._events: deque[Callable[[], object]] = deque()
        self._event_pipe = SimpleNamespace(send=lambda _: None)

    def _is_master_process(self) -> bool:
        return not self.is_fork

    def _really_send(self, frames: list[Any], **named: Any) -> None:
        self.socket.send_multipart(frames, **named)

    def work(self) -> None:
        while self._events:
            self._events.popleft()()


class Stage:
    """A publisher that has taken over, and what a listener hears of it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        socket = context.socket(zmq.XPUB)
        socket.bind("inproc://published")
        self.listener = context.socket(zmq.SUB)
        self.listener.connect("inproc://published")
        self.listener.subscribe(b"")
        socket.recv()
        self.thread = SendingThread(socket)
        self.kernel = SimpleNamespace(iopub_thread=self.thread, control_thread=None)
        self.publisher = Publisher(self.kernel)
        self.publisher.take_over()

    def heard(self) -> list[list[bytes]]:
        found = []
        while self.listener.poll(0):
            found.append(self.listener.recv_multipart())
        return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield Stage(context)
    finally:
        context.destroy(linger=0)


def test_a_message_is_sent_at_once_and_what_belongs_to_it_happens_with_it(stage: Stage) -> None:
    waiting = deque(["text"])
    stage.publisher.send(MESSAGE, then=waiting.popleft)
    assert not waiting
    assert stage.heard() == [MESSAGE]
    assert not stage.thread._events


def test_a_message_with_buffers_takes_its_turn_and_the_next_one_stays_behind_it(
    stage: Stage,
) -> None:
    large = [*MESSAGE, memoryview(b"buffer")]
    stage.publisher.send(large, copy=False)
    stage.publisher.send(MESSAGE)
    assert stage.publisher.is_behind
    assert stage.heard() == []
    stage.thread.work()
    assert stage.heard() == [[*MESSAGE, b"buffer"], MESSAGE]
    assert not stage.publisher.is_behind


def test_what_a_fork_publishes_goes_its_own_way_past_what_the_kernel_still_has_to_send(
    stage: Stage,
) -> None:
    stage.publisher.send([*MESSAGE, memoryview(b"of the kernel")])
    stage.thread.is_fork = True
    stage.publisher.send(MESSAGE)
    assert stage.heard() == [MESSAGE]


def test_without_zeromqs_own_function_everything_takes_its_turn(stage: Stage) -> None:
    stage.publisher._zmq_send = None
    stage.publisher.send(MESSAGE)
    assert stage.heard() == []
    stage.thread.work()
    assert stage.heard() == [MESSAGE]


def test_whoever_floods_rests_a_share_of_the_time_until_it_has_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1_000.0
    rests_s: list[float] = []

    def rest(seconds: float) -> None:
        nonlocal now_s
        rests_s.append(max(seconds, WAKING_UP_S))
        now_s += rests_s[-1]

    monkeypatch.setattr(publishing, "time", SimpleNamespace(monotonic=lambda: now_s, sleep=rest))

    def publish(messages: int, within_s: float) -> float:
        """How much of its own time it rested besides."""
        nonlocal now_s
        rests_s.clear()
        for _ in range(messages):
            now_s += within_s / messages
            stage.publisher.send(MESSAGE)
            stage.heard()
        return sum(rests_s) / within_s

    assert publish(FLOOD_MESSAGES - 1, FLOOD_S) == 0
    now_s += 10 * FLOOD_S
    assert publish(2 * FLOOD_MESSAGES, FLOOD_S) == 0
    assert publish(20 * FLOOD_MESSAGES, 10 * FLOOD_S) == pytest.approx(REST_SHARE, rel=0.05)
    now_s += 10 * FLOOD_S
    assert publish(FLOOD_MESSAGES - 1, FLOOD_S) == 0
