"""One room as its member sees it: a replica that follows the other side's document.

Floor 3, a part of the session. It joins, reassembles and imports; what an import means, and what
is sent the other way, is decided by the session. It ignores nothing: an update that cannot be
imported raises, and the session starts over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.core.document.crdt import TRUSTED, Imported, Replica, Version
from headway.core.wire.codec import encode
from headway.core.wire.fragments import FROM_DAEMON, Assembled, Assembler, Refused
from headway.core.wire.messages import (
    Fragment,
    FragmentHeader,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    Leave,
    Permission,
    Update,
)
from headway.errors import (
    HeadsUnknown,
    HeadwayError,
    MissingChanges,
    NotPermitted,
    RequestFailed,
)
from headway.moments import Moment

__all__ = ["RoomReplica", "join_refusal"]


@dataclass(slots=True)
class RoomReplica:
    """A replica and its membership in the %LOR room that it follows."""

    room: str
    replica: Replica
    joined: bool = field(default=False, init=False)
    permission: Permission = field(default="read", init=False)
    _target: Version = field(default=Version.EMPTY, init=False)
    _assembler: Assembler = field(default_factory=lambda: Assembler(FROM_DAEMON), init=False)

    def join_frame(self) -> bytes:
        """Ask to be let in, from the version we have."""
        self.reset()
        version = self.replica.version().encode()
        return encode(Join(Kind.DOCUMENT, self.room, b"", version))

    def leave_frame(self) -> bytes:
        """Say that we go."""
        self.reset()
        return encode(Leave(Kind.DOCUMENT, self.room))

    def reset(self) -> None:
        """We are not in the room; forget what was half received."""
        self.joined = False
        self._assembler = Assembler(FROM_DAEMON)

    def receive_joined(self, message: Joined) -> Version:
        """We are in; gives the version that the other side shows."""
        self._target = Version.decode(message.version) if message.version else Version.EMPTY
        self.permission = message.permission
        self.joined = True
        return self._target

    @property
    def is_current(self) -> bool:
        """Whether everything that the other side had when it let us in is here."""
        return self.joined and self.replica.version().includes(self._target)

    def receive(
        self, message: Update | FragmentHeader | Fragment, now: Moment
    ) -> tuple[Imported, ...]:
        """Import what arrived (nothing, while fragments are missing).

        Raises a DocumentError for an update that cannot be taken, MissingChanges for fragments
        that do not add up: in both cases only joining again helps.
        """
        match message:
            case Update(updates=updates):
                pass
            case FragmentHeader() | Fragment():
                match self._assembler.receive(message, now):
                    case Assembled(update=update):
                        updates = (update,)
                    case Refused(status=status):
                        raise MissingChanges(
                            f"An update in fragments did not arrive whole ({status.name}).",
                            status=status.name.lower(),
                        )
                    case None:
                        return ()
        return tuple(self.replica.import_update(update, TRUSTED) for update in updates)

    def expire(self, now: Moment) -> bool:
        """Whether fragments failed to arrive in time."""
        return bool(self._assembler.expire(now))

    def next_deadline_s(self) -> float | None:
        """When `expire` has something to do (monotonic)."""
        return self._assembler.next_deadline()


def join_refusal(message: JoinError) -> HeadwayError:
    """The typed error of a refused join."""
    match message.code:
        case JoinErrorCode.AUTH_FAILED:
            return NotPermitted(f"The server did not let us in: {message.message}")
        case JoinErrorCode.VERSION_UNKNOWN:
            return HeadsUnknown(
                f"The server cannot continue from the version we have: {message.message}"
            )
        case JoinErrorCode.APP_ERROR if message.app_code:
            return HeadwayError.from_wire(message.app_code, message.message)
        case _:
            return RequestFailed(f"The server refused the join: {message.message}")
