"""A kernel that floods yields the processor to everybody else. Linux; elsewhere nothing happens.

What prints without end keeps a processor busy, and the daemon that takes it another one. Then a
client that confirms an edit in some other notebook, and our own threads for it, wait for a
processor up to a tick of the scheduler, several times over (measured: docs/decisions/0007). Linux
shares processors by session first, whatever the niceness inside of each, and every kernel is a
session of its own: its share is the nice value in `/proc/<pid>/autogroup` (sched(7), "The
autogroup feature"). That one may be lowered again without any right. So only a flood is slowed,
and only while others want the processor: a kernel that computes is as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["FLOOD_MESSAGES", "FLOOD_S", "LOOK_AGAIN_S", "YIELDING_NICE", "Yielding", "share_of"]

FLOOD_MESSAGES: Final = 100
"""More messages than this that one execution publishes within `FLOOD_S` are a flood. What is
printed without being flushed is 50 a second, whatever its length below 6 MB/s."""

FLOOD_S: Final = 0.1
"""How long messages are counted for that."""

YIELDING_NICE: Final = 10
"""Of a kernel that floods. Its share beside another process is a tenth then (nice 0: a half)."""

LOOK_AGAIN_S: Final = 0.5
"""How long it yields before it is seen whether the flood goes on. Linux takes a change of this kind
every 0.1 s."""


def share_of(pid: int) -> Path:
    """Where a process's session has its nice value."""
    return Path(f"/proc/{pid}/autogroup")


class Yielding:
    """Whether one kernel yields.

    Args:
        share: Gives the file with the nice value of its session; that may be absent.
    """

    def __init__(self, share: Callable[[], Path]) -> None:
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._counted = 0
        self._since_s = 0.0
        self._former: int | None = None
        """The nice value that it had, while it yields."""
        self._timer: asyncio.TimerHandle | None = None

    def taken_up(self) -> None:
        """The daemon before this one may have ended while it yielded."""
        if self._nice() == YIELDING_NICE:
            self._former = 0
            self._look_later()

    def begin_anew(self) -> None:
        """An execution begins: a thousand small cells are no flood."""
        self._counted = 0

    def heard(self, messages: int) -> None:
        """It published as many."""
        self._counted += messages
        if self._timer is not None:
            return  # it is looked at then
        now_s = self._loop.time()
        if now_s - self._since_s > FLOOD_S:
            self._counted, self._since_s = messages, now_s
        elif self._counted > FLOOD_MESSAGES:
            self._begin()
            self._look_later()

    def close(self) -> None:
        """Its process has ended, or is no longer ours."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        former = self._nice()
        if former is not None and former < YIELDING_NICE and self._set(YIELDING_NICE):
            self._former = former

    def _look_later(self) -> None:
        self._counted = 0
        self._timer = self._loop.call_later(LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._counted > FLOOD_MESSAGES * LOOK_AGAIN_S / FLOOD_S:
            self._begin()
            self._look_later()
        elif self._former is not None and not self._set(self._former):
            self._look_later()
        else:
            self._former = None

    def _nice(self) -> int | None:
        """None: this system shares processors otherwise, or the process has ended."""
        try:
            return int(self._share().read_text().rpartition(" ")[2])
        except (OSError, ValueError):
            return None

    def _set(self, nice: int) -> bool:
        """False: another change was too short a time ago."""
        try:
            self._share().write_text(str(nice))
        except BlockingIOError:
            return False
        except OSError:
            pass  # it has ended
        return True
