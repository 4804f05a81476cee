"""One peer in one room, as the daemon sees it: what it may do, and what it has half sent.

Floor 2. Above: `fanout`, which knows all peers of a document. Not here: the connection, its
outbox, and what the messages mean to the document.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.core.wire.fragments import Assembled, Assembler, Refused
from headway.core.wire.messages import Fragment, FragmentHeader, Permission, Update, UpdateStatus
from headway.moments import Moment

__all__ = ["Batch", "Membership", "Refusal"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Updates that arrived whole, to be acknowledged under `batch_id`."""

    batch_id: bytes
    updates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A batch that is not taken, and the status its acknowledgement carries."""

    batch_id: bytes
    status: UpdateStatus


@dataclass(slots=True)
class Membership:
    """A peer that has joined a room."""

    permission: Permission
    assembler: Assembler = field(default_factory=Assembler)

    def receive(
        self, message: Update | FragmentHeader | Fragment, now: Moment
    ) -> Batch | Refusal | None:
        """The batch that this message completes, its refusal, or None while parts are missing."""
        if self.permission != "write":
            return Refusal(message.batch_id, UpdateStatus.PERMISSION_DENIED)
        if isinstance(message, Update):
            return Batch(message.batch_id, message.updates)
        match self.assembler.receive(message, now):
            case Assembled(update=update, batch_id=batch_id):
                return Batch(batch_id, (update,))
            case Refused(batch_id=batch_id, status=status):
                return Refusal(batch_id, status)
            case None:
                return None

    def expire(self, now: Moment) -> tuple[Refusal, ...]:
        """The fragmented batches whose time is over."""
        return tuple(
            Refusal(refused.batch_id, refused.status) for refused in self.assembler.expire(now)
        )
