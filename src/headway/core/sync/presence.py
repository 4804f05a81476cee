"""Presence: who is here and where, for one room. Nothing of it is kept.

Floor 2. Peers send each other small encoded states under %EPH; the daemon merges them, so that
a peer that joins later learns the present at once, and passes each on as it came.
"""

from __future__ import annotations

from typing import Any

from headway.core.document.json_values import check_json
from headway.core.document.presence import PresenceStore
from headway.core.sync.fanout import Frames
from headway.core.wire.codec import encode
from headway.core.wire.messages import Ack, Join, Joined, Kind, Update, UpdateStatus
from headway.errors import InvalidEdit, InvalidUpdate
from headway.ids import DocumentId

__all__ = ["MAX_PRESENCE_BYTES", "PRESENCE_TIMEOUT_S", "PresenceRoom", "check_presence"]

PRESENCE_TIMEOUT_S = 30.0
"""How long a peer's state lives that it does not send again."""

MAX_PRESENCE_BYTES = 64 * 1024
"""The largest presence update that is passed on."""

_ANY_KEY = "0" * 16
"""As long as the key of a peer."""


def check_presence(value: dict[str, Any]) -> None:
    """Raise InvalidEdit unless `value` is JSON that a peer can show to the others."""
    check_json(value)
    size = len(PresenceStore(PRESENCE_TIMEOUT_S).set(_ANY_KEY, value))
    if size > MAX_PRESENCE_BYTES:
        raise InvalidEdit(
            f"What is shown of a peer takes {size} bytes; at most {MAX_PRESENCE_BYTES} are passed "
            "on.",
            limit=MAX_PRESENCE_BYTES,
        )


class PresenceRoom:
    """The presence of everybody in one notebook."""

    def __init__(self, room: DocumentId) -> None:
        """Presence under the room id `room`, shared with the document of that id."""
        self.room = room
        self.members: dict[int, None] = {}
        self._store = PresenceStore(PRESENCE_TIMEOUT_S)

    def join(self, peer: int, message: Join) -> Frames:
        """Let a peer in; the frames answer it with everybody's present state."""
        del message
        self.members[peer] = None
        joined = Joined(Kind.PRESENCE, self.room, "write", b"")
        present = Update(Kind.PRESENCE, self.room, (self._store.encode_all(),), bytes(8))
        return encode(joined), encode(present)

    def leave(self, peer: int) -> None:
        """Forget a peer; its state times out in every store by itself."""
        self.members.pop(peer, None)

    def receive(self, peer: int, message: Update) -> tuple[tuple[int, Frames], ...]:
        """Merge and pass on; the sender gets its acknowledgement."""
        status = self._merge(peer, message)
        answer = (peer, (encode(Ack(Kind.PRESENCE, self.room, message.batch_id, status)),))
        if status is not UpdateStatus.OK:
            return (answer,)
        passed_on = (encode(message),)
        return (answer, *((other, passed_on) for other in self.members if other != peer))

    def _merge(self, peer: int, message: Update) -> UpdateStatus:
        if peer not in self.members:
            return UpdateStatus.PERMISSION_DENIED
        if sum(map(len, message.updates)) > MAX_PRESENCE_BYTES:
            return UpdateStatus.PAYLOAD_TOO_LARGE
        try:
            for update in message.updates:
                self._store.apply(update)
        except InvalidUpdate:
            return UpdateStatus.INVALID_UPDATE
        return UpdateStatus.OK
