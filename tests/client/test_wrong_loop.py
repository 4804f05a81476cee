"""An asynchronous notebook belongs to the event loop that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.errors import NotPermitted
from mini_daemon import daemon_at

LIMIT_S = 30


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


CALLS: dict[str, Callable[[headway.AsyncNotebook], Coroutine[Any, Any, Any]]] = {
    "confirm_sync": lambda nb: nb.confirm_sync(5),
    "interrupt": lambda nb: nb.interrupt(timeout=5),
    "run": lambda nb: nb.execute_cell(nb.cells[0], timeout=5),
    "wait_until": lambda nb: nb.wait_until(lambda: False, timeout=5),
    "close": lambda nb: nb.close(timeout=5),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_from_another_event_loop_is_refused_and_the_owner_goes_on(
    tmp_path: Path, call: str
) -> None:
    def elsewhere(nb: headway.AsyncNotebook) -> None:
        with pytest.raises(headway.WrongThread, match="another event loop"):
            asyncio.run(CALLS[call](nb))

    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            nb.add_cell("1")
            await asyncio.to_thread(elsewhere, nb)
            assert nb.status == "live"
            assert (await nb.run("still here")).text == "still here"

    run(scenario())


def test_an_execution_is_waited_for_where_its_notebook_was_opened(tmp_path: Path) -> None:
    def elsewhere(job: headway.AsyncExecution) -> None:
        with pytest.raises(headway.WrongThread):
            asyncio.run(job.wait(timeout=5))

    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            job = await nb.queue_cell(nb.add_cell("hang"))
            await asyncio.to_thread(elsewhere, job)

    run(scenario())


def test_a_notebook_whose_event_loop_has_ended_says_so(tmp_path: Path) -> None:
    opened: list[headway.AsyncNotebook] = []

    async def scenario() -> None:
        async with daemon_at(tmp_path):
            opened.append(await headway.open_async("a", home=tmp_path))

    run(scenario())
    (nb,) = opened
    with pytest.raises(NotPermitted, match="has ended"):
        nb.add_cell("1")
    assert nb.cells == []
    with pytest.raises(headway.WrongThread):
        run(nb.close())
