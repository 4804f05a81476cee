"""One writer in a process of its own: `python -m torture.writer HOME NOTEBOOK CELL NUMBER SECONDS`.

It says `ready`, is told on its input when to begin (seconds of the monotonic clock that all
processes of a machine share), and ends with one line of JSON: how long each confirmation took, in
seconds, how many of them were compared with the database, and how many of those were false.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from torture.mirror import Mirror
from torture.world import Gate, drop, join

__all__ = ["EDITS_A_SECOND", "WRITERS", "Written", "new_loop"]

WRITERS = 8
EDITS_A_SECOND = 50

_SAMPLED_SHARE = 0.05
_CONFIRM_LIMIT_S = 120.0


class Written(msgspec.Struct):
    """What one writer saw."""

    confirmed_s: list[float] = msgspec.field(default_factory=list)
    sampled: int = 0
    false: int = 0


async def _write(home: Path, path: Path, cell: str, number: int, seconds: float) -> Written:
    written = Written()
    notebook = await join(Gate(home), path)
    mirror = Mirror(home / "store.db", notebook.id)
    dice = random.Random(number)
    print("ready", flush=True)
    begin_s = float(sys.stdin.readline())

    async def confirm_one(token: str) -> None:
        began_s = time.monotonic()
        await notebook.confirm_sync(_CONFIRM_LIMIT_S)
        written.confirmed_s.append(time.monotonic() - began_s)
        if dice.random() < _SAMPLED_SHARE:
            written.sampled += 1
            written.false += not mirror.holds(token)

    async with asyncio.TaskGroup() as tasks:
        for count in range(int(seconds * EDITS_A_SECOND)):
            # By the clock, so that a slow answer does not make the load lighter.
            due_s = begin_s + (count + number / WRITERS) / EDITS_A_SECOND
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            token = f"<{number}-{count}>"
            notebook.append_source(cell, token)
            tasks.create_task(confirm_one(token))
    await drop(notebook)
    mirror.close()
    return written


def new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop that the clients of programs get."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> None:
    """Write as told by the command line."""
    home, path, cell, number, seconds = sys.argv[1:]
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        written = runner.run(_write(Path(home), Path(path), cell, int(number), float(seconds)))
    print(msgspec.json.encode(written).decode())


if __name__ == "__main__":
    main()
