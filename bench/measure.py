"""What the benchmarks share: turns, summaries, floors, homes of their own, and rows of a table.

Each program answers one question. Contenders take turns in short blocks within one run, the order
changing from round to round, because the machine's speed drifts: read the ratios. A ratio is one
of medians over all rounds; its spread is that of the ratios of the single rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager, start_new_async_kernel

__all__ = [
    "AsyncFloor",
    "BlockingFloor",
    "Rounds",
    "Row",
    "machine",
    "own_home",
    "parser",
    "percentile",
    "publish",
    "row",
    "run_loop",
    "take_turns",
    "take_turns_async",
    "timed",
    "timed_async",
]

Block = Callable[[], Sequence[float]]
"""Runs one block; gives the seconds of each repetition."""

AsyncBlock = Callable[[], Awaitable[Sequence[float]]]
Rounds = dict[str, list[list[float]]]
"""Contender -> the seconds of each round."""

_PACKAGES = [
    "headway",
    "loro",
    "websockets",
    "uvicorn",
    "uvloop",
    "pyzmq",
    "jupyter_client",
    "ipykernel",
    "ipython",
    "nbclient",
]
_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Times are milliseconds; `spread` is of the ratio, per round."""

    question: str
    ours: str
    peer: str
    ours_p50_ms: float
    ours_p95_ms: float
    ours_p99_ms: float
    peer_p50_ms: float
    peer_p95_ms: float
    peer_p99_ms: float
    ratio: float
    spread: tuple[float, float]
    ratio_p99: float
    aim: str


def percentile(seconds: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie, interpolated."""
    ordered = sorted(seconds)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def timed(work: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of `count` calls."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return taken


async def timed_async(work: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Seconds of each of `count` awaited calls."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
    return taken


def take_turns(contenders: dict[str, Block], rounds: int) -> Rounds:
    """Let each contender run its block in each round, in a changing order."""
    taken: Rounds = {name: [] for name in contenders}
    for names in itertools.islice(_orders(list(contenders)), rounds):
        for name in names:
            taken[name].append(list(contenders[name]()))
    return taken


async def take_turns_async(contenders: dict[str, AsyncBlock], rounds: int) -> Rounds:
    """As `take_turns`."""
    taken: Rounds = {name: [] for name in contenders}
    for names in itertools.islice(_orders(list(contenders)), rounds):
        for name in names:
            taken[name].append(list(await contenders[name]()))
    return taken


def _orders(names: list[str]) -> Iterator[list[str]]:
    for turn in itertools.count():
        shift = turn % len(names)
        yield names[shift:] + names[:shift]


def row(question: str, taken: Rounds, ours: str, peer: str, aim: str) -> Row:
    """One line: our contender against a peer of the same rounds."""
    mine, theirs = (list(itertools.chain(*taken[name])) for name in (ours, peer))
    ratios = [
        statistics.median(one) / statistics.median(other)
        for one, other in zip(taken[ours], taken[peer], strict=True)
    ]
    return Row(
        question,
        ours,
        peer,
        ours_p50_ms=round(percentile(mine, 0.5) * 1e3, 3),
        ours_p95_ms=round(percentile(mine, 0.95) * 1e3, 3),
        ours_p99_ms=round(percentile(mine, 0.99) * 1e3, 3),
        peer_p50_ms=round(percentile(theirs, 0.5) * 1e3, 3),
        peer_p95_ms=round(percentile(theirs, 0.95) * 1e3, 3),
        peer_p99_ms=round(percentile(theirs, 0.99) * 1e3, 3),
        ratio=round(statistics.median(mine) / statistics.median(theirs), 2),
        spread=(round(percentile(ratios, 0.1), 2), round(percentile(ratios, 0.9), 2)),
        ratio_p99=round(percentile(mine, 0.99) / percentile(theirs, 0.99), 2),
        aim=aim,
    )


def parser(description: str, rounds: int, count: int) -> argparse.ArgumentParser:
    """The options that every program has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, default=rounds, help="turns of each contender")
    options.add_argument("--count", type=int, default=count, help="repetitions in a turn")
    options.add_argument("--json", type=Path, help="write the rows there too")
    return options


def publish(rows: Sequence[Row], target: Path | None) -> None:
    """Print rows, and write them as JSON if that is asked for."""
    for each in rows:
        print(
            f"{each.question}: {each.ours} {each.ours_p50_ms:.3f} ms "
            f"(p95 {each.ours_p95_ms:.3f}, p99 {each.ours_p99_ms:.3f}), "
            f"{each.peer} {each.peer_p50_ms:.3f} ms (p95 {each.peer_p95_ms:.3f}, "
            f"p99 {each.peer_p99_ms:.3f}): {each.ratio:.2f}x "
            f"[{each.spread[0]:.2f} to {each.spread[1]:.2f}], p99 {each.ratio_p99:.2f}x; "
            f"aim {each.aim}",
            flush=True,
        )
    if target is not None:
        target.write_text(json.dumps([asdict(each) for each in rows]))


def run_loop(work: Any) -> Any:
    """Run a coroutine on the event loop that a program gets by default."""
    return asyncio.run(work)


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """A home for a daemon of this benchmark alone; the daemon is told to end."""
    home = Path(tempfile.mkdtemp(prefix="hw-bench-"))
    try:
        yield home
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [headway(), "stop"],
                env={**os.environ, "HEADWAY_HOME": str(home)},
                capture_output=True,
                timeout=_STOP_TIMEOUT_S,
                check=False,
            )
        shutil.rmtree(home, ignore_errors=True)


def headway() -> str:
    """The command line of the environment that runs this."""
    return str(Path(sys.executable).with_name("headway"))


def machine() -> dict[str, str]:
    """Where this ran, and on what."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **versions,
    }


class BlockingFloor:
    """jupyter_client's blocking client on a kernel of its own, as it comes."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_TIMEOUT_S)

    def run(self, code: str) -> None:
        """Execute, and wait for idle and the reply."""
        request = self._client.execute(code)
        while not _is_idle(self._client.get_iopub_msg(timeout=_TIMEOUT_S), request):
            pass
        while not _answers(self._client.get_shell_msg(timeout=_TIMEOUT_S), request):
            pass

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class AsyncFloor:
    """jupyter_client's asynchronous client on a kernel of its own, as it comes."""

    async def start(self) -> AsyncFloor:
        """Start the kernel."""
        self._manager, self._client = await start_new_async_kernel(stderr=subprocess.DEVNULL)
        return self

    async def run(self, code: str) -> None:
        """Execute, and wait for idle and the reply."""
        request = self._client.execute(code)
        while not _is_idle(await self._client.get_iopub_msg(timeout=_TIMEOUT_S), request):
            pass
        while not _answers(await self._client.get_shell_msg(timeout=_TIMEOUT_S), request):
            pass

    async def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)


def _is_idle(message: dict[str, Any], request: str) -> bool:
    if not _answers(message, request) or message["msg_type"] != "status":
        return False
    return bool(message["content"]["execution_state"] == "idle")


def _answers(message: dict[str, Any], request: str) -> bool:
    return bool(message["parent_header"].get("msg_id") == request)
