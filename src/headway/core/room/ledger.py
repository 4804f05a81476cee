"""What must be durable, and what waits for it.

Floor 3. While an input is handled, the room's parts write their effects and records here; at its
end `settle` gives the ordered list. Records become one `Persist`, after the blobs they name.
Whatever may be seen outside only once it is durable (an acknowledgement, a broadcast, an
execution's start, an answer) is a continuation under that `Persist`'s token. What is for the
kernel comes first: it works on while the peers are told.

The store answers tokens in order, so "everything up to here is durable" is one number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from headway.core.room.effects import (
    Effect,
    KernelEffect,
    OtherEffect,
    Persist,
    Record,
    Send,
    StoreBlob,
)
from headway.core.sync.fanout import Frames
from headway.moments import Moment

__all__ = ["Continuation", "Ledger", "TakeFrames"]

Continuation = Callable[[Moment], None]
"""Something to do once it is safe. It may write to the ledger again."""

TakeFrames = Callable[[], Iterable[tuple[int, Frames]]]
"""Gives what gathered for peers, and forgets it."""


class Ledger:
    """Collects the effects of one input, and keeps what waits for the disk."""

    def __init__(self) -> None:
        """An empty ledger; the first token is 1."""
        self._effects: list[OtherEffect] = []
        self._to_kernel: list[KernelEffect] = []
        self._blobs: list[StoreBlob] = []
        self._records: list[Record] = []
        self._due: list[Continuation] = []
        self._waiting: deque[tuple[int, list[Continuation]]] = deque()
        self._last_token = 0
        self._gathering: dict[TakeFrames, None] = {}

    @property
    def is_durable(self) -> bool:
        """Whether nothing is on its way to the disk."""
        return not (self._waiting or self._records or self._due)

    def emit(self, effect: OtherEffect) -> None:
        """An effect, not for the kernel, that needs nothing durable."""
        self._finish_gathering()
        self._effects.append(effect)

    def to_kernel(self, effect: KernelEffect) -> None:
        """An effect for the kernel that needs nothing durable."""
        self._to_kernel.append(effect)

    def gather(self, take: TakeFrames) -> None:
        """Frames that may still grow: `take` gives them all before the next effect is emitted.

        At the latest it is asked at the end of this input, and once for many calls.
        """
        self._gathering[take] = None

    def _finish_gathering(self) -> None:
        if self._gathering:
            gathering, self._gathering = self._gathering, {}
            for take in gathering:
                self._effects.extend(Send(peer, frames) for peer, frames in take())

    def blob(self, sha256: str, data: bytes) -> None:
        """A blob that a record of this input names."""
        self._blobs.append(StoreBlob(sha256, data))

    def record(self, record: Record) -> None:
        """A record to be made durable at the end of this input."""
        self._records.append(record)

    def when_durable(self, continuation: Continuation) -> None:
        """Do this when everything recorded up to now is durable, in the order of the calls."""
        self._due.append(continuation)

    def persisted(self, token: int, now: Moment) -> None:
        """The store has made `token`, and all before it, durable."""
        while self._waiting and self._waiting[0][0] <= token:
            for continuation in self._waiting.popleft()[1]:
                continuation(now)

    def settle(self, now: Moment) -> list[Effect]:
        """The effects of this input, in order: those for the kernel first."""
        while self._records or self._due:
            if self._records:
                self._persist()
            elif self._waiting:
                self._waiting[-1][1].extend(self._take_due())
            else:
                for continuation in self._take_due():
                    continuation(now)
        self._finish_gathering()
        effects: list[Effect] = [*self._to_kernel, *self._effects]
        self._to_kernel.clear()
        self._effects.clear()
        return effects

    def _persist(self) -> None:
        self._last_token += 1
        self._effects.extend(self._blobs)
        self._effects.append(Persist(self._last_token, tuple(self._records)))
        self._blobs.clear()
        self._records.clear()
        self._waiting.append((self._last_token, self._take_due()))

    def _take_due(self) -> list[Continuation]:
        due, self._due = self._due, []
        return due
