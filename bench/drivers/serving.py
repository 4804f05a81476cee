"""The inside of a contender: takes questions on standard input, one line of JSON each.

Standard library alone, because it runs in the environments of all peers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

__all__ = [
    "WireBytes",
    "block_of",
    "peak_bytes",
    "processor_s",
    "reset_peak",
    "resident_bytes",
    "rest_of",
    "serve",
]


def serve(driver: Any) -> None:
    """Answer with what the driver's coroutine methods give, until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    asyncio.run(_serve(driver, answers))
    answers.close()
    os._exit(0)  # threads of libraries are not waited for


async def _serve(driver: Any, answers: Any) -> None:
    loop = asyncio.get_running_loop()
    questions: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(questions.put_nowait, line)
        loop.call_soon_threadsafe(questions.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    try:
        while line := await questions.get():
            question = json.loads(line)
            try:
                answer = {"answer": await getattr(driver, question["ask"])(**question["with"])}
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                answer = {"error": f"{type(error).__name__}: {error}"[:300]}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        await driver.close()


async def block_of(count: int, work: Callable[[], Awaitable[object]], pause_s: float = 0.0) -> Any:
    """Seconds of each of `count` calls, with a pause after each that is not counted."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
        if pause_s:
            await asyncio.sleep(pause_s)
    return taken


class WireBytes:
    """Counts what every WebSocket of this process receives.

    The clients that are counted here all stand on the package websockets.
    """

    def __init__(self) -> None:
        from websockets.asyncio.connection import Connection  # noqa: PLC0415 - not in every peer

        self.count = 0
        original = Connection.data_received

        def counted(connection: Connection, data: bytes) -> None:
            self.count += len(data)
            original(connection, data)

        Connection.data_received = counted  # type: ignore[method-assign,assignment]


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in use now."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it was since `reset_peak`."""
    return _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Let the peak begin anew, see proc(5) on clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)


def processor_s(pid: int) -> float:
    """Processor time of all threads of a process so far."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


async def rest_of(pid: int, seconds: float) -> dict[str, float]:
    """What a process does while nobody wants anything: memory, processor time, wake-ups."""
    await asyncio.sleep(2.0)  # what was begun before is over
    processor, wakeups = processor_s(pid), _wakeups(pid)
    await asyncio.sleep(seconds)
    return {
        "bytes": resident_bytes(pid),
        "processor_s": processor_s(pid) - processor,
        "wakeups": _wakeups(pid) - wakeups,
    }


def _wakeups(pid: int) -> int:
    """How often its threads waited of their own will, and so were woken."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total
