"""Where requests wait: a token for each, exactly one answer for each token.

Floor 5. Knows nothing of methods. A room that forgets a request is answered for, a little after
the deadline; that is a belt, and logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from headway.core.room.inputs import Input, RequestAbandoned
from headway.edges.ports import Clock
from headway.errors import DeadlineExceeded, HeadwayError
from headway.ids import DocumentId

__all__ = ["DEADLINE_GRACE_S", "Desk", "Outcome", "Reply"]

_LOG = logging.getLogger("headway.requests")

DEADLINE_GRACE_S = 1.0
"""A room answers at the deadline itself; after this much more the desk answers in its place."""

Outcome = msgspec.Struct | HeadwayError
"""What a request ends with: the method's result, or the error."""

Reply = Callable[[Outcome], None]
"""Takes the one outcome of a request, on the event loop. Must not block or fail."""


@dataclass(slots=True)
class _Waiting:
    document: DocumentId
    reply: Reply
    feed: Callable[[Input], None]
    timer: asyncio.TimerHandle


class Desk:
    """The requests that rooms have not answered yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[int, _Waiting] = {}
        self._last_token = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def open(
        self,
        document: DocumentId,
        reply: Reply,
        deadline_s: float,
        feed: Callable[[Input], None],
    ) -> int:
        """A token for a request to a room; `reply` is called once, whatever happens.

        Args:
            document: The notebook.
            reply: Takes the outcome.
            deadline_s: Monotonic.
            feed: Gives the room an input.
        """
        self._last_token += 1
        token = self._last_token
        wait_s = max(0.0, deadline_s - self._clock.now().monotonic_s) + DEADLINE_GRACE_S
        timer = asyncio.get_running_loop().call_later(wait_s, self._expire, token)
        self._waiting[token] = _Waiting(document, reply, feed, timer)
        return token

    def answer(self, token: int, outcome: Outcome) -> None:
        """The outcome of a request. Nothing happens for a token that was abandoned."""
        waiting = self._waiting.pop(token, None)
        if waiting is not None:
            waiting.timer.cancel()
            waiting.reply(outcome)

    def abandon(self, token: int) -> None:
        """Nobody waits any more; the room is told."""
        waiting = self._waiting.pop(token, None)
        if waiting is not None:
            waiting.timer.cancel()
            waiting.feed(RequestAbandoned(token))

    def refuse_room(self, document: DocumentId, error: HeadwayError) -> None:
        """Answer every request to this notebook with `error`."""
        for token, waiting in list(self._waiting.items()):
            if waiting.document == document:
                self.answer(token, error)

    def _expire(self, token: int) -> None:
        waiting = self._waiting.get(token)
        if waiting is None:
            return
        _LOG.error("a room did not answer", extra={"fields": {"document": waiting.document}})
        self.answer(token, DeadlineExceeded("The request was not answered before its deadline."))
        waiting.feed(RequestAbandoned(token))
