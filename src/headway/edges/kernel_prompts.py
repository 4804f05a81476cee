"""What one kernel asks, told after what it printed before. No sockets.

They come by two sockets, in either order. An ipykernel marks where it asks among what it publishes
(`core.kernel.asking`), so its question waits for that mark. Of other kernels nobody knows; what
they printed has a short time to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from headway.core.kernel.events import InputRequest

__all__ = ["MARK_WAIT_S", "PRINTED_WAIT_S", "Prompts"]

MARK_WAIT_S: Final = 1.0
"""How long a question waits for its mark, which is lost if nobody listened when it was sent."""

PRINTED_WAIT_S: Final = 0.01
"""How long a question of a kernel that marks nothing waits for what was printed before it."""


class Prompts:
    """Questions and their marks, of one kernel.

    Args:
        tell: Is given a question that has waited long enough.
    """

    def __init__(self, tell: Callable[[InputRequest], None]) -> None:
        self._tell = tell
        self._marked = False
        self._waiting: InputRequest | None = None
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, question: InputRequest, *, has_marks: bool) -> tuple[InputRequest, ...]:
        """The kernel asks, and waits for the answer; gives what is to be told now.

        `has_marks`: whether it marks where it asks.
        """
        self.forget()  # it asks one thing at a time, so an earlier question is void
        if self._marked:
            self._marked = False
            return (question,)
        self._waiting = question
        wait_s = MARK_WAIT_S if has_marks else PRINTED_WAIT_S
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._late)
        return ()

    def marked(self) -> tuple[InputRequest, ...]:
        """Everything that was printed before a question has come; gives what is to be told now."""
        question = self._waiting
        self.forget()
        self._marked = question is None
        return () if question is None else (question,)

    def begin_anew(self) -> None:
        """An execution begins, or an answer is given: no mark before that is for a question after.

        One is left over when its question was interrupted, or went to an earlier daemon.
        """
        self._marked = False

    def forget(self) -> None:
        """Nobody is to be told of the question that waits."""
        self._waiting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        question = self._waiting
        self.forget()
        if question is not None:
            self._tell(question)
