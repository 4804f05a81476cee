"""What the programs share: their options, turns, homes of their own, and what they give.

Each program answers one question. Contenders take turns in short blocks within one run, the order
changing from round to round, because the machine's speed drifts: read the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import msgspec

import peer_environments
from results import Result, Rounds

__all__ = [
    "Options",
    "headway",
    "machine",
    "our_versions",
    "own_home",
    "publish",
    "take_turns",
    "take_turns_async",
    "timed",
    "timed_async",
    "write_notebook",
]

T = TypeVar("T")

Block = Callable[[], Sequence[float]]
"""Runs one block; gives the values of its repetitions."""

AsyncBlock = Callable[[], Awaitable[Sequence[float]]]

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
_STOP_TIMEOUT_S = 30.0


class Options:
    """What every program can be told."""

    def __init__(self, description: str | None) -> None:
        """Read the command line; `description` is the program's docstring."""
        form = argparse.RawDescriptionHelpFormatter
        options = argparse.ArgumentParser(description=description, formatter_class=form)
        options.add_argument("--quick", action="store_true", help="few repetitions, wide spread")
        options.add_argument("--alone", action="store_true", help="without the peers")
        options.add_argument("--json", type=Path, help="write the results there too")
        given = options.parse_args()
        self.quick: bool = given.quick
        self.alone: bool = given.alone
        self.json: Path | None = given.json
        # What was started is ended by `finally`, also when somebody ends us.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        if not self.alone:
            peer_environments.make_all()

    def of(self, full: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    def peers(self, *names: str) -> list[str]:
        """These, or none if peers are not wanted."""
        return [] if self.alone else list(names)


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
    for names in _orders(list(contenders), rounds):
        for name in names:
            taken[name].append(list(contenders[name]()))
    return taken


async def take_turns_async(contenders: dict[str, AsyncBlock], rounds: int) -> Rounds:
    """As `take_turns`."""
    taken: Rounds = {name: [] for name in contenders}
    for names in _orders(list(contenders), rounds):
        for name in names:
            taken[name].append(list(await contenders[name]()))
    return taken


def _orders(names: list[str], rounds: int) -> Iterator[list[str]]:
    for turn in range(rounds):
        shift = turn % len(names)
        yield names[shift:] + names[:shift]


def publish(results: Sequence[Result], options: Options) -> None:
    """Print results, and write them as JSON if that is asked for."""
    import page  # noqa: PLC0415 - it needs what is above

    for each in results:
        print(page.section(each), flush=True)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.encode(list(results)))


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """A home for a daemon of this benchmark alone; the daemon is told to end.

    Notebooks belong beside it: what is written in a notebook's folder wakes who watches its file.
    """
    folder = Path(tempfile.mkdtemp(prefix="hw-bench-"))
    home = folder / "home"
    home.mkdir()
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
        shutil.rmtree(folder, ignore_errors=True)


def headway() -> str:
    """The command line of the environment that runs this."""
    return str(Path(sys.executable).with_name("headway"))


def write_notebook(path: Path, sources: Sequence[str], output_characters: int = 0) -> None:
    """An `.ipynb` with a code cell for each source, each with so long an output."""
    text = "0123456789" * (output_characters // 10)
    outputs = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "id": f"cell-{index}",
            "metadata": {},
            "source": source,
            "outputs": outputs,
            "execution_count": None,
        }
        for index, source in enumerate(sources)
    ]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernelspec},
        "cells": cells,
    }
    path.write_bytes(msgspec.json.encode(content))


def machine() -> dict[str, str]:
    """Where this runs."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "Python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def our_versions() -> dict[str, str]:
    """Package -> version, of this environment."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
