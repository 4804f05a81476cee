"""1,000 cells added one by one and confirmed; and until a second client has them all.

There is no peer to do the same, so the ratio is of a limit in seconds.

    python bench/cells.py [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import asyncio
import time

import headway
from measure import Rounds, own_home, parser, publish, row

CELLS = 1_000


async def measured(rounds: int) -> Rounds:
    """Each round in a notebook of its own."""
    taken: Rounds = {"confirmed": [], "seen by a second client": []}
    with own_home() as home:
        for number in range(rounds):
            path = home / f"{number}.ipynb"
            async with (
                headway.open_async(path, home=home) as writer,
                headway.open_async(path, home=home) as reader,
            ):
                begun = time.perf_counter()
                for index in range(CELLS):
                    writer.add_cell(f"x = {index}")
                await writer.confirm_sync()
                taken["confirmed"].append([time.perf_counter() - begun])
                last = writer.cells[-1].id
                await reader.wait_until(lambda: _has(reader, last))  # noqa: B023
                taken["seen by a second client"].append([time.perf_counter() - begun])
    return taken


def _has(notebook: headway.AsyncNotebook, cell: str) -> bool:
    try:
        notebook.source(cell)
    except headway.CellNotFound:
        return False
    return True


def main() -> None:
    options = parser(__doc__ or "", rounds=7, count=1).parse_args()
    taken = asyncio.run(measured(options.rounds))
    taken["1 s"] = [[1.0]] * options.rounds
    taken["0.3 s"] = [[0.3]] * options.rounds
    question = "1,000 cells added"
    publish(
        [
            row(question, taken, "confirmed", "1 s", "1.0x"),
            row(question, taken, "seen by a second client", "0.3 s", "1.0x"),
        ],
        options.json,
    )


if __name__ == "__main__":
    main()
