from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headway.core.room.inputs import Input, RequestAbandoned
from headway.core.wire import rpc
from headway.daemon import desk as desk_module
from headway.daemon.desk import Desk, Outcome
from headway.edges.clock import SystemClock
from headway.errors import DeadlineExceeded, StoreFailed


def run(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario(Desk(SystemClock()))

    asyncio.run(bounded())


def soon() -> float:
    return SystemClock().now().monotonic_s


DONE = rpc.Closed(document="nb-1")


def test_a_token_is_answered_once_and_a_second_answer_is_dropped() -> None:
    async def scenario(desk: Desk) -> None:
        outcomes: list[Outcome] = []
        fed: list[Input] = []
        token = desk.open("nb-1", outcomes.append, soon() + 60, fed.append)
        desk.answer(token, DONE)
        desk.answer(token, StoreFailed("No."))
        desk.abandon(token)
        assert outcomes == [DONE]
        assert fed == []
        assert len(desk) == 0

    run(scenario)


def test_an_abandoned_token_tells_the_room_and_answers_nobody() -> None:
    async def scenario(desk: Desk) -> None:
        outcomes: list[Outcome] = []
        fed: list[Input] = []
        token = desk.open("nb-1", outcomes.append, soon() + 60, fed.append)
        desk.abandon(token)
        desk.answer(token, DONE)
        assert outcomes == []
        assert fed == [RequestAbandoned(token)]

    run(scenario)


def test_tokens_are_never_given_twice() -> None:
    async def scenario(desk: Desk) -> None:
        tokens = [desk.open("nb-1", print, soon() + 60, print) for _ in range(100)]
        assert len(set(tokens)) == 100
        desk.refuse_room("nb-1", StoreFailed("No."))

    run(scenario)


def test_refusing_a_room_answers_its_requests_and_no_others() -> None:
    async def scenario(desk: Desk) -> None:
        ours: list[Outcome] = []
        theirs: list[Outcome] = []
        error = StoreFailed("No.")
        desk.open("nb-1", ours.append, soon() + 60, print)
        desk.open("nb-2", theirs.append, soon() + 60, print)
        desk.refuse_room("nb-1", error)
        assert ours == [error]
        assert theirs == []
        desk.refuse_room("nb-2", error)

    run(scenario)


def test_a_room_that_forgets_a_request_is_answered_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "DEADLINE_GRACE_S", 0.01)

    async def scenario(desk: Desk) -> None:
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        fed: list[Input] = []
        token = desk.open("nb-1", answered.set_result, soon(), fed.append)
        assert isinstance(await answered, DeadlineExceeded)
        assert fed == [RequestAbandoned(token)]

    run(scenario)
