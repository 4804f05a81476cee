"""When one kernel's replies come, and what is done about those that do not. No sockets.

The rules are `core.kernel.outstanding`'s; here are the waits: for code to begin, before an
interrupt may reach it, for a reply that should have come when the kernel said that it is idle, and
for one that may never come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from headway.core.kernel.events import ExecuteInput, Idle, KernelEvent
from headway.core.kernel.outstanding import Outstanding

__all__ = ["INTERRUPT_SETTLE_S", "INTERRUPT_WAIT_S", "LONG_S", "REPLY_WAIT_S", "Replies"]

INTERRUPT_WAIT_S: Final = 1.0
"""How long an interrupt waits at most for the code that it is meant for to begin."""

INTERRUPT_SETTLE_S: Final = 0.02
"""How long after its input was announced an execution's code surely runs (measured: 3 ms)."""

REPLY_WAIT_S: Final = 1.0
"""How long after a kernel said that it is idle the reply may come before it is asked for."""

LONG_S: Final = 2.0
"""After this long a kernel that answers in order is asked something behind an execution."""


class Replies:
    """What one kernel was asked to run and has not answered.

    Args:
        probe: Sends a request that the kernel answers behind all that it was asked; gives its id.
    """

    def __init__(self, probe: Callable[[], str]) -> None:
        self.outstanding = Outstanding()
        self._probe = probe
        self._probes: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._begun_s = 0.0

    def asked(self, execution_id: str, *, in_order: bool) -> None:
        """The kernel is asked to run this; `in_order`: it surely answers one after the other."""
        self.outstanding.asked(execution_id)
        if in_order:
            asyncio.get_running_loop().call_later(LONG_S, self._note_long, execution_id)

    def heard(self, events: Sequence[KernelEvent]) -> None:
        """The kernel said these, which `outstanding` knows already."""
        loop = asyncio.get_running_loop()
        for event in events:
            match event:
                case ExecuteInput():
                    self._begun_s = loop.time()
                case Idle(str(unanswered)) if unanswered in self.outstanding:
                    # As a rule the reply is under way already, on the other socket.
                    loop.call_later(REPLY_WAIT_S, self._note_overdue, unanswered)
                case _:
                    pass
        self._probe_suspects()
        self._changed.set()

    def is_probe(self, request: str) -> bool:
        """Whether a request of our own asks behind a reply that may be lost."""
        return request in self._probes

    def probe_answered(self, request: str) -> tuple[KernelEvent, ...]:
        """What stands in for what is lost, unless that has come meanwhile."""
        return self.outstanding.give_up(self._probes.pop(request))

    def wake(self) -> None:
        """The kernel has ended: whoever waits looks again."""
        self._changed.set()

    async def may_interrupt(self, execution_id: str | None, ended: asyncio.Event) -> bool:
        """Wait until `execution_id` runs; False if that, or the kernel, ends before, or has ended.

        None is what it was asked first: True at once if it was asked nothing. True as well after
        `INTERRUPT_WAIT_S`. `ended`: the kernel.
        """
        meant = self.outstanding.first if execution_id is None else execution_id
        if meant is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERRUPT_WAIT_S):
                while not (self.outstanding.has_begun(meant) or ended.is_set()):
                    self._changed.clear()
                    await self._changed.wait()
        left_s = self._begun_s + INTERRUPT_SETTLE_S - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)
        return self.outstanding.first == meant and not ended.is_set()

    def _note_overdue(self, execution_id: str) -> None:
        self.outstanding.overdue(execution_id)
        self._probe_suspects()

    def _note_long(self, execution_id: str) -> None:
        self.outstanding.goes_on(execution_id)
        self._probe_suspects()

    def _probe_suspects(self) -> None:
        for suspect in self.outstanding.new_suspects():
            self._probes[self._probe()] = suspect
