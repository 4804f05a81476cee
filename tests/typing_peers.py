"""Peers that type: `python typing_peers.py HOME PATH COUNT`, until standard input closes.

A process of its own, so that the load is the daemon's and not the measured client's. Each peer
has a cell, types a few characters, confirms, and goes on; at the end the edits are counted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

import headway

LONGEST = 400


async def type_on(notebook: headway.AsyncNotebook, ended: asyncio.Event) -> int:
    cell = notebook.add_cell("", cell_type="markdown")
    for edits in itertools.count():
        if ended.is_set():
            return edits
        if len(notebook.source(cell)) > LONGEST:
            notebook.update_source(cell, "")
        notebook.append_source(cell, f"{edits % 10}")
        await notebook.confirm_sync(timeout=20)
    raise AssertionError


async def main(home: Path, path: Path, count: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    openings = (headway.open_async(path, home=home, name=f"typist {n}") for n in range(count))
    notebooks = [await opening for opening in openings]
    os.set_blocking(sys.stdin.fileno(), False)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    async with asyncio.TaskGroup() as tasks:
        typing = [tasks.create_task(type_on(notebook, ended)) for notebook in notebooks]
        print("typing", flush=True)
    for notebook in notebooks:
        await notebook.close()
    print(sum(task.result() for task in typing), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
