"""The three rooms of a notebook together: its document, its runtime document, its presence.

Floor 3, a part of the session. It sends each message to the room it is for, follows the runtime
document that the notebook names, and knows when everything is here. Commands, phases and
connections are the session's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headway.core.document.notebook import NotebookDocument
from headway.core.session.effects import (
    DocumentChanged,
    Effect,
    PresenceChanged,
    RuntimeChanged,
    Send,
)
from headway.core.session.following import RuntimeFollower
from headway.core.session.membership import Membership, Turn
from headway.core.session.presence import PresenceMember
from headway.core.session.rooms import join_refusal
from headway.core.session.turns import Failed, Hopeless
from headway.core.sync.confirm import Confirmations
from headway.core.wire.messages import (
    Fragment,
    FragmentHeader,
    Joined,
    JoinError,
    Kind,
    Message,
    RoomError,
    Update,
)
from headway.errors import DocumentError
from headway.ids import DocumentId, Entropy
from headway.moments import Moment, earliest

__all__ = ["RUNTIME_REPLACED", "JoinedRooms"]

RUNTIME_REPLACED = ("runtime_replaced", "notebook_not_found")
"""What the daemon calls a runtime document that is not the notebook's current one any more."""

Frames = tuple[bytes, ...]


@dataclass(slots=True)
class JoinedRooms:
    """What a session has joined, or is about to; `follows` says whether runtimes are followed."""

    entropy: Entropy
    confirmations: Confirmations
    presence_key: str
    follows: bool
    member: Membership | None = field(default=None, init=False)
    runtime: RuntimeFollower = field(init=False)
    _presence: PresenceMember | None = field(default=None, init=False)
    _was_current: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.runtime = RuntimeFollower(self.entropy)

    def join(
        self, document: NotebookDocument, room: DocumentId, runtime: DocumentId | None
    ) -> Frames:
        """The frames that join everything on a new connection."""
        if self.member is None:
            self.member = Membership(document, room, self.entropy, self.confirmations)
        if self._presence is None:
            self._presence = PresenceMember(room, self.presence_key, self.entropy)
        frames: Frames = (self.member.join(),)
        if runtime is not None:
            frames += self.runtime.join(runtime)
        return (*frames, self._presence.join_frame())

    def begin_anew(self) -> None:
        """Another notebook takes this one's place: nothing that was joined is of use."""
        self.member = self._presence = None
        self.runtime = RuntimeFollower(self.entropy)
        self._was_current = False

    def reset(self) -> None:
        """The connection is gone."""
        for part in (self.member, self.runtime, self._presence):
            if part is not None:
                part.reset()

    @property
    def is_current(self) -> bool:
        """Whether everything that the other side showed when it let us in is here."""
        here = self.member is not None and self.member.room.is_current
        self._was_current = self._was_current or (here and self.runtime.is_current)
        return here and self.runtime.is_current

    @property
    def is_out(self) -> bool:
        """Whether we are not in the notebook's room, or not any more."""
        return self.member is None or not self.member.room.joined

    def next_deadline_s(self) -> float | None:
        """When `tick` has something to do (monotonic)."""
        first: float | None = None
        for part in (self.member, self.runtime.room, self._presence):
            if part is not None:
                first = earliest(first, part.next_deadline_s())
        return first

    def tick(self, now: Moment) -> tuple[Frames, Turn]:
        """Time has passed."""
        if self.runtime.room is not None and self.runtime.room.expire(now):
            return (), Failed("an update in fragments did not arrive in time")
        turn = self.member.tick(now) if self.member is not None else None
        shown = self._presence.refresh(now.monotonic_s) if self._presence is not None else ()
        return shown, turn

    def receive(self, message: Message, now: Moment) -> tuple[list[Effect], Turn]:
        """Take a message in; one for a room that is not ours is nothing."""
        if message.kind is Kind.PRESENCE:
            return self._receive_presence(message, now), None
        if self.member is not None and message.room == self.member.room_id:
            effects, turn = self.member.receive(message, now)
            if turn is None and any(isinstance(each, DocumentChanged) for each in effects):
                effects += _sending(self._follow_meta(self.member.document))
            return effects, turn
        if self.runtime.is_room(message):
            return self._receive_runtime(message, now)
        return [], None

    # Presence

    def everybody(self) -> dict[str, Any]:
        """Everybody's presence, by key."""
        return {} if self._presence is None else self._presence.everybody()

    def set_presence(self, value: dict[str, Any] | None, now: Moment) -> Frames:
        """Show `value` to the others; the frames for that."""
        return () if self._presence is None else self._presence.set(value, now.monotonic_s)

    def leave_presence(self) -> Frames:
        """Take our entry away; the frames for that."""
        return () if self._presence is None else self._presence.leave()

    def _receive_presence(self, message: Message, now: Moment) -> list[Effect]:
        if self._presence is None or message.room != self._presence.room:
            return []
        changed, frames = self._presence.receive(message, now.monotonic_s)
        return [*_sending(frames), *((PresenceChanged(),) if changed else ())]

    # The runtime document

    def _follow_meta(self, document: NotebookDocument) -> Frames:
        runtime = document.runtime() if self.follows else None
        return self.runtime.follow(runtime) if runtime is not None else ()

    def _receive_runtime(self, message: Message, now: Moment) -> tuple[list[Effect], Turn]:
        match message:
            case JoinError(app_code=code) if code in RUNTIME_REPLACED:
                # It gave way to another while we asked for it. The notebook's `meta.runtime`,
                # which names the other one, is on its way to us: the daemon shows it once durable.
                return [], None
            case JoinError() if not self._was_current:
                return [], Hopeless(join_refusal(message))
            case JoinError() | RoomError():
                return [], Failed(f"the runtime document is out of reach: {message.message}")
            case Joined() | Update() | FragmentHeader() | Fragment():
                return self._import_runtime(message, now)
            case _:
                return [], None  # an acknowledgement of what we never send

    def _import_runtime(
        self, message: Joined | Update | FragmentHeader | Fragment, now: Moment
    ) -> tuple[list[Effect], Turn]:
        try:
            shown = self.runtime.receive(message, now)
        except DocumentError as error:
            # Replaced, not repaired: nothing in our copy is ours.
            self.runtime.forget()
            return [], Failed(str(error))
        if shown.changed and self.runtime.shown_id is not None:
            return [RuntimeChanged(self.runtime.shown_id, replaced=shown.replaced)], None
        return [], None


def _sending(frames: Frames) -> list[Effect]:
    return [Send(frames)] if frames else []
