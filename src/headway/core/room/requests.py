"""The requests that are open in a room, and the heads that some of them still wait for.

Floor 3. Each request is answered or refused exactly once; after that, or once nobody waits for
it any more, what comes late is dropped here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headway.core.document.crdt import Replica
from headway.core.room.effects import Answer, Refuse
from headway.core.room.inputs import Requested
from headway.core.room.ledger import Ledger
from headway.errors import (
    BadRequest,
    Busy,
    DeadlineExceeded,
    HeadsTimeout,
    HeadwayError,
    InvalidUpdate,
)
from headway.ids import Heads, heads_from_text, heads_to_text
from headway.moments import Moment

__all__ = ["MAX_OPEN_REQUESTS", "Requests"]

MAX_OPEN_REQUESTS = 1_000
"""How many requests one room keeps open; a further one is refused with BUSY."""


class Requests:
    """Every open request of a room."""

    def __init__(self, ledger: Ledger) -> None:
        """Answers go to `ledger`."""
        self._ledger = ledger
        self._open: dict[int, Requested] = {}
        self._for_heads: dict[int, Heads] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request: Requested) -> bool:
        """Take a request; False when it was refused because there are too many."""
        if len(self._open) >= MAX_OPEN_REQUESTS:
            error = Busy(
                f"The notebook has {MAX_OPEN_REQUESTS} requests open already; "
                "wait for some of them and ask again.",
                limit=MAX_OPEN_REQUESTS,
            )
            self._ledger.emit(Refuse(request.token, error))
            return False
        self._open[request.token] = request
        return True

    def take(self, request: Requested, replica: Replica) -> bool:
        """Take a request; whether it can be done now. Else it was refused, or waits for heads."""
        if not self.open(request):
            return False
        required = request.params.required_heads
        if required is None:
            return True
        try:
            heads = heads_from_text(required)
            arrived = replica.contains(heads)
        except (ValueError, InvalidUpdate):
            error = BadRequest(
                "required_heads must be a document's encoded heads in base64.",
                field="required_heads",
            )
            self.refuse(request.token, error)
            return False
        if not arrived:
            self.wait_for_heads(request.token, Heads(heads))
        return arrived

    def take_arrived(self, replica: Replica) -> Iterator[Requested]:
        """The requests whose heads have arrived, oldest first; each waits no more."""
        for token, heads in tuple(self._for_heads.items()):
            if token in self._for_heads and replica.contains(heads):
                del self._for_heads[token]
                yield self._open[token]

    def is_open(self, token: int) -> bool:
        """Whether somebody still waits for this answer."""
        return token in self._open

    def wait_for_heads(self, token: int, heads: Heads) -> None:
        """This request goes on when the document contains `heads`."""
        self._for_heads[token] = heads

    def answer(self, token: int, result: msgspec.Struct) -> None:
        """The request's result, if it is still open."""
        if self._forget(token):
            self._ledger.emit(Answer(token, result))

    def refuse(self, token: int, error: HeadwayError) -> None:
        """The error that ends the request, if it is still open."""
        if self._forget(token):
            self._ledger.emit(Refuse(token, error))

    def abandon(self, token: int) -> None:
        """Nobody waits for it."""
        self._forget(token)

    def refuse_all(self, error: HeadwayError) -> None:
        """End every open request."""
        for token in tuple(self._open):
            self.refuse(token, error)

    def expire(self, now: Moment) -> None:
        """Refuse the requests whose deadline has passed."""
        for token, request in tuple(self._open.items()):
            if request.deadline_s <= now.monotonic_s:
                self.refuse(token, self._too_late(request))

    def next_deadline(self) -> float | None:
        """The earliest deadline, in monotonic seconds."""
        return min((request.deadline_s for request in self._open.values()), default=None)

    def _too_late(self, request: Requested) -> HeadwayError:
        method, seconds = request.params.method, request.params.timeout_s
        heads = self._for_heads.get(request.token)
        if heads is None:
            return DeadlineExceeded(
                f"{method} was not done within {seconds:g} s; what was accepted goes on.",
                method=method,
                timeout_s=seconds,
            )
        return HeadsTimeout(
            f"The changes that {method} requires did not reach the daemon within {seconds:g} s; "
            "nothing was done. Check that the peer that made them is connected.",
            method=method,
            timeout_s=seconds,
            required_heads=heads_to_text(heads),
        )

    def _forget(self, token: int) -> bool:
        self._for_heads.pop(token, None)
        return self._open.pop(token, None) is not None
