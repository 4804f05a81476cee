"""Add a cell with `1+1` and execute it: ours, over jupyter_client's own execute until idle.

The peer only runs code. We also put the cell into a replicated document, store it, store the
admission, store the result, each before it is shown, and bring the result back.

    python bench/execute.py [--rounds 20] [--count 15] [--json FILE]
"""

from __future__ import annotations

import asyncio

import headway
from measure import (
    AsyncFloor,
    BlockingFloor,
    Rounds,
    own_home,
    parser,
    publish,
    row,
    take_turns,
    take_turns_async,
    timed,
    timed_async,
)

CODE = "1+1"
WARM_UP = 20
QUESTION = "add_cell + execute_cell of 1+1"


def synchronous(rounds: int, count: int) -> Rounds:
    """Both blocking clients, in turns."""
    floor = BlockingFloor()
    with own_home() as home, headway.open(home / "a.ipynb", home=home) as notebook:

        def execute() -> None:
            notebook.execute_cell(notebook.add_cell(CODE), timeout=60)

        def again() -> None:
            notebook.execute_cell(cell, timeout=60)

        cell = notebook.add_cell(CODE)
        timed(lambda: floor.run(CODE), WARM_UP)
        timed(execute, WARM_UP)
        taken = take_turns(
            {
                "jupyter_client, blocking": lambda: timed(lambda: floor.run(CODE), count),
                "headway, blocking": lambda: timed(execute, count),
                "headway, blocking, execute_cell alone": lambda: timed(again, count),
            },
            rounds,
        )
    floor.close()
    return taken


async def asynchronous(rounds: int, count: int) -> Rounds:
    """Both asynchronous clients, in turns."""
    floor = await AsyncFloor().start()
    with own_home() as home:
        async with headway.open_async(home / "a.ipynb", home=home) as notebook:

            async def execute() -> None:
                await notebook.execute_cell(notebook.add_cell(CODE), timeout=60)

            await timed_async(lambda: floor.run(CODE), WARM_UP)
            await timed_async(execute, WARM_UP)
            taken = await take_turns_async(
                {
                    "jupyter_client, async": lambda: timed_async(lambda: floor.run(CODE), count),
                    "headway, async": lambda: timed_async(execute, count),
                },
                rounds,
            )
    await floor.close()
    return taken


def main() -> None:
    options = parser(__doc__ or "", rounds=20, count=15).parse_args()
    blocking = synchronous(options.rounds, options.count)
    awaited = asyncio.run(asynchronous(options.rounds, options.count))
    peer = "jupyter_client, blocking"
    publish(
        [
            row(QUESTION, blocking, "headway, blocking", peer, "1.25x, p99 1.4x"),
            row(QUESTION, awaited, "headway, async", "jupyter_client, async", "1.25x, p99 1.4x"),
            row(
                "execute_cell of a cell that is there",
                blocking,
                "headway, blocking, execute_cell alone",
                peer,
                "",
            ),
        ],
        options.json,
    )


if __name__ == "__main__":
    main()
