"""Watching in memory: nothing happens to a file unless the test says so.

Floor 4. Passes the conformance suite of the real thing (`tests/edges/test_watch.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["MemoryWatching"]


@dataclass(eq=False, slots=True)
class _Watch:
    path: str
    touched: Callable[[], None]
    owner: MemoryWatching

    def close(self) -> None:
        """Tell no more. Idempotent."""
        if self in self.owner.watches:
            self.owner.watches.remove(self)


class MemoryWatching:
    """Watches of nothing but what `happened` says."""

    def __init__(self) -> None:
        self.watches: list[_Watch] = []

    @property
    def paths(self) -> list[str]:
        """What is watched."""
        return [watch.path for watch in self.watches]

    def watch(self, path: str, touched: Callable[[], None]) -> _Watch:
        """Call `touched` when something happens to `path`, and once when that begins."""
        watch = _Watch(path, touched, self)
        self.watches.append(watch)
        asyncio.get_running_loop().call_soon(self._deliver, watch)
        return watch

    def happened(self, path: str) -> None:
        """Something happened to this file."""
        for watch in self.watches:
            if watch.path == path:
                asyncio.get_running_loop().call_soon(self._deliver, watch)

    async def close(self) -> None:
        """Tell nobody anything any more."""
        self.watches.clear()

    def _deliver(self, watch: _Watch) -> None:
        if watch in self.watches:
            watch.touched()
