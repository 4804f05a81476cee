"""Turns at writing files: how many at once, and what a file does that hangs."""

from __future__ import annotations

import asyncio

from headway.daemon.turns import Turns


def test_the_next_file_begins_when_the_one_before_it_is_done() -> None:
    async def scenario() -> list[str]:
        turns = Turns(1)
        told: list[str] = []
        first_may_end = asyncio.Event()

        async def write(name: str, until: asyncio.Event | None = None) -> None:
            async with turns.turn():
                told.append(f"{name} begins")
                if until is not None:
                    await until.wait()
                told.append(f"{name} ends")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write("first", first_may_end))
            await asyncio.sleep(0)
            tasks.create_task(write("second"))
            await asyncio.sleep(0)
            first_may_end.set()
        return told

    told = asyncio.run(scenario())
    assert told == ["first begins", "first ends", "second begins", "second ends"]


def test_a_file_that_hangs_does_not_keep_the_others_for_ever() -> None:
    async def scenario() -> None:
        turns = Turns(1, longest_wait_s=0.01)
        # Without the bound the inner one would wait for the outer one.
        async with asyncio.timeout(10), turns.turn(), turns.turn():
            pass
        async with asyncio.timeout(10), turns.turn():
            pass

    asyncio.run(scenario())
