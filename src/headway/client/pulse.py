"""Something changed: a wake-up for everybody who waits, and nothing more.

Floor 5. It carries no value on purpose: whoever wakes looks at the documents, which are the
source, so a missed or doubled beat loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headway.errors import WrongThread

__all__ = ["Pulse"]


class Pulse:
    """Passive waiters on one event loop: the running one when it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[asyncio.Future[None], None] = {}

    def check_loop(self) -> None:
        """Raise WrongThread on another event loop: nothing that happens would wake it."""
        if asyncio.get_running_loop() is not self._loop:
            raise WrongThread(
                "This notebook was opened on another event loop, and only there can it be waited "
                "for. Open it here too, or use the synchronous client (`headway.open`), which "
                "every thread may call."
            )

    def beat(self) -> None:
        """Wake everybody who waits now."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self) -> None:
        """Wait for the next beat. Raises WrongThread."""
        self.check_loop()
        waiter = self._loop.create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until `is_true()`, looked at now and after each beat."""
        while not is_true():
            await self.next()
