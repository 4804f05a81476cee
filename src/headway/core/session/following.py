"""The runtime document that a session follows, and its moves from one document to the next.

Floor 3, a part of the session. The daemon replaces the runtime document now and then; the old
one stays readable here until everything of the new one has arrived, so that a reader never sees
an empty kernel in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.core.document.crdt import Replica
from headway.core.document.runtime import RuntimeReader
from headway.core.session.rooms import RoomReplica
from headway.core.wire.messages import Fragment, FragmentHeader, Joined, Message, Update
from headway.ids import DocumentId, Entropy, peer_id
from headway.moments import Moment

__all__ = ["RuntimeFollower", "RuntimeShown"]


@dataclass(frozen=True, slots=True)
class RuntimeShown:
    """What a message changed of what readers see."""

    changed: bool
    replaced: bool


@dataclass(slots=True)
class RuntimeFollower:
    """The room of the current runtime document, and the reader that is shown."""

    entropy: Entropy
    room: RoomReplica | None = field(default=None, init=False)
    reader: RuntimeReader | None = field(default=None, init=False)
    shown_id: DocumentId | None = field(default=None, init=False)

    def follow(self, runtime: DocumentId) -> tuple[bytes, ...]:
        """Follow `runtime` from now on; the frames for that (none if we do already)."""
        if self.room is not None and self.room.room == runtime:
            return ()
        leaving = (self.room.leave_frame(),) if self.room is not None and self.room.joined else ()
        self.room = RoomReplica(runtime, Replica(peer_id(self.entropy)))
        return (*leaving, self.room.join_frame())

    def join(self, runtime: DocumentId) -> tuple[bytes, ...]:
        """Join on a new connection, going on with our copy if `runtime` is the one we have."""
        if self.room is not None and self.room.room == runtime:
            return (self.room.join_frame(),)
        return self.follow(runtime)

    def is_room(self, message: Message) -> bool:
        """Whether a %LOR message is for the room that is followed."""
        return self.room is not None and message.room == self.room.room

    @property
    def is_current(self) -> bool:
        """Whether nothing is missing (also when there is no runtime document to follow)."""
        return self.room is None or self.room.is_current

    def receive(
        self, message: Joined | Update | FragmentHeader | Fragment, now: Moment
    ) -> RuntimeShown:
        """Take a message in; raises a DocumentError when only joining again helps."""
        room = self.room
        assert room is not None, "asked by is_room first"
        changed = False
        if isinstance(message, Joined):
            room.receive_joined(message)
        elif room.joined:
            changed = any(step.changed for step in room.receive(message, now))
        if not room.is_current:
            return RuntimeShown(changed=False, replaced=False)
        replaced = self.shown_id != room.room
        if replaced:
            self.reader = RuntimeReader(room.replica)
            self.shown_id = room.room
        return RuntimeShown(changed=changed or replaced, replaced=replaced)

    def forget(self) -> None:
        """Our copy is of no use; what was shown stays shown until a fresh one is here."""
        self.room = None
        self.shown_id = None

    def reset(self) -> None:
        """The connection is gone."""
        if self.room is not None:
            self.room.reset()
