"""Turns at writing files by themselves: a few at once, over all rooms.

Floor 5. After a restart every notebook's clients send what they kept, and a moment later every
file is behind. Written all at once they would take the processor from the notebooks that are
still being opened; what a person waits for takes no turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

__all__ = ["AUTOSAVES_AT_ONCE", "LONGEST_WAIT_S", "Turns"]

AUTOSAVES_AT_ONCE = 1
"""Files that are written at the same time without anybody waiting for it."""

LONGEST_WAIT_S = 5.0
"""After this long a file is written all the same: the one before it may be on a disk that hangs."""


class Turns:
    """Where autosaves wait for each other.

    Args:
        at_once: See `AUTOSAVES_AT_ONCE`.
        longest_wait_s: See `LONGEST_WAIT_S`.
    """

    def __init__(
        self, at_once: int = AUTOSAVES_AT_ONCE, *, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._longest_wait_s = longest_wait_s

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn; one that did not come in time is done without."""
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await self._free.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._free.release()
