"""A daemon of a contender's own: its home, its end, and what it holds and does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import headway
from headway.edges.lock import owner_pid
from headway.edges.paths import Paths
from serving import processor_s, resident_bytes, rest_of

__all__ = ["HeadwayHome"]

END_LIMIT_S = 20.0


class HeadwayHome:
    """A home, and the notebook `a.ipynb` that keeps its daemon up, in the folder around it.

    What is written in a notebook's folder wakes who watches its file, and a home is written a lot.
    """

    _notebook: headway.AsyncNotebook

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hw-bench-"))
        self._home = self._folder / "home"
        self._home.mkdir()
        self._owns = True
        self._readers = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    def _leave_for(self, home: Path) -> None:
        """Be a guest in another contender's home."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._owns = False
        self._home = home
        self._folder = home.parent

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(headway.HeadwayError, TimeoutError):
            async with asyncio.timeout(END_LIMIT_S):
                await self._readers.aclose()
        if self._owns:
            await self._stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _stop(self) -> None:
        command = Path(sys.executable).with_name("headway")
        environment = {**os.environ, "HEADWAY_HOME": str(self._home)}
        stopping = await asyncio.create_subprocess_exec(
            command,
            "stop",
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(stopping.wait(), END_LIMIT_S)

    async def _restart(self) -> None:
        """A daemon that has nothing open: what its store holds is all it knows."""
        await self._notebook.close()
        await self._stop()
        self._notebook = await headway.open_async(self._folder / "a.ipynb", home=self._home)

    async def disk(self) -> Any:
        """Bytes of it all after the daemon has ended: its log is then a part of the store."""
        await self._notebook.close()
        await self._stop()
        size = sum(each.stat().st_size for each in self._folder.rglob("*") if each.is_file())
        self._notebook = await headway.open_async(self._folder / "a.ipynb", home=self._home)
        return size

    async def rest(self, seconds: float) -> Any:
        """What the server does while nobody wants anything."""
        return await rest_of(self._daemon(), seconds)

    async def memory(self) -> Any:
        """Bytes of the daemon."""
        return resident_bytes(self._daemon())

    async def processor(self) -> Any:
        """Seconds of processor time of the daemon so far."""
        return processor_s(self._daemon())

    def _daemon(self) -> int:
        pid = owner_pid(Paths.of(self._home).lock)
        assert pid is not None, "a daemon runs"
        return pid
