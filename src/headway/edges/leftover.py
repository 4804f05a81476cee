"""What work in threads leaves behind, cleared away when the work ends, whoever waits for it.

A thread cannot be called off: when a task that waits for one is cancelled, the thread goes on, and
what it has in hand must neither be taken from it nor be forgotten.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Leftover"]

T = TypeVar("T")


class Leftover(Generic[T]):
    """One thing that is cleared away once nobody wants it and no thread uses it.

    Args:
        clear_away: Is given the thing, once, in whichever thread had it last.
    """

    def __init__(self, clear_away: Callable[[T], None]) -> None:
        self._clear_away = clear_away
        self._lock = threading.Lock()
        self._thing: T | None = None
        self._users = 0
        self.is_unwanted = False

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """A thread makes it, or works with it."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            self._clear_if_over()

    def keep(self, thing: T) -> None:
        """It is there from now on. In a thread that has it `in_use`."""
        self._thing = thing

    def give_up(self) -> None:
        """Nobody wants it any more. Idempotent; blocks as `clear_away` does."""
        self.is_unwanted = True
        self._clear_if_over()

    def _clear_if_over(self) -> None:
        with self._lock:
            if self._users or not self.is_unwanted:
                return
            thing, self._thing = self._thing, None
        if thing is not None:
            self._clear_away(thing)
