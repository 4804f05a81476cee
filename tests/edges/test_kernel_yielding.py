from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from headway.edges import kernel_yielding
from headway.edges.kernel_yielding import (
    FLOOD_MESSAGES,
    FLOOD_S,
    LOOK_AGAIN_S,
    YIELDING_NICE,
    Yielding,
)
from headway_daemon import bounded


class Share:
    """The file of a session's nice value."""

    def __init__(self, nice: int = 0) -> None:
        self.nice = nice
        self.refused = 0
        """How many changes Linux takes for too many."""
        self.absent = False
        self._changed = asyncio.Event()

    def read_text(self) -> str:
        if self.absent:
            raise FileNotFoundError
        return f"/autogroup-7 nice {self.nice}\n"

    def write_text(self, text: str) -> None:
        if self.absent:
            raise ProcessLookupError
        if self.refused:
            self.refused -= 1
            raise BlockingIOError
        self.nice = int(text)
        self._changed.set()

    async def becomes(self, nice: int) -> None:
        while self.nice != nice:
            self._changed.clear()
            await self._changed.wait()


def yielding(share: Share) -> Yielding:
    return Yielding(lambda: cast("Path", share))


def flood(kernel: Yielding) -> None:
    for _ in range(FLOOD_MESSAGES + 1):
        kernel.heard(1)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_yielding, "LOOK_AGAIN_S", 0.001)


@pytest.mark.usefixtures("soon")
def test_a_kernel_that_floods_yields_until_it_ends() -> None:
    async def scenario() -> None:
        share = Share(nice=3)
        flood(yielding(share))
        assert share.nice == YIELDING_NICE
        await share.becomes(3)

    bounded(scenario())


def test_a_flood_that_goes_on_yields_on(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Callable[[], None]] = []

    def call_later(_: float, look: Callable[[], None]) -> object:
        looks.append(look)
        return object()

    async def scenario() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
        share = Share()
        kernel = yielding(share)
        flood(kernel)
        for _ in range(3):
            for _ in range(round(LOOK_AGAIN_S / FLOOD_S)):
                flood(kernel)
            looks.pop()()
            assert share.nice == YIELDING_NICE
        looks.pop()()
        assert share.nice == 0
        assert looks == []

    bounded(scenario())


def test_what_is_no_flood_does_not_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        share = Share()
        kernel = yielding(share)
        now_s = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
        for _ in range(100):
            now_s += 2 * FLOOD_S
            kernel.heard(FLOOD_MESSAGES)
        assert share.nice == 0

    bounded(scenario())


def test_many_small_executions_are_no_flood() -> None:
    async def scenario() -> None:
        share = Share()
        kernel = yielding(share)
        for _ in range(FLOOD_MESSAGES):
            kernel.begin_anew()
            kernel.heard(4)
        assert share.nice == 0

    bounded(scenario())


@pytest.mark.usefixtures("soon")
def test_a_change_that_linux_does_not_take_yet_is_made_later() -> None:
    async def scenario() -> None:
        share = Share()
        flood(yielding(share))
        share.refused = 3
        await share.becomes(0)
        assert share.refused == 0

    bounded(scenario())


def test_a_kernel_that_its_user_made_yield_more_stays_as_it_is() -> None:
    async def scenario() -> None:
        share = Share(nice=19)
        flood(yielding(share))
        assert share.nice == 19

    bounded(scenario())


@pytest.mark.usefixtures("soon")
def test_a_kernel_that_yielded_to_an_earlier_daemon_does_not_for_ever() -> None:
    async def scenario() -> None:
        share = Share(nice=YIELDING_NICE)
        yielding(share).taken_up()
        await share.becomes(0)

    bounded(scenario())


def test_without_such_a_system_nothing_happens() -> None:
    async def scenario() -> None:
        share = Share()
        share.absent = True
        kernel = yielding(share)
        kernel.taken_up()
        flood(kernel)
        assert share.nice == 0

    bounded(scenario())
