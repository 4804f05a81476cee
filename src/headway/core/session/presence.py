"""Who else is here, and what we show of ourselves, in one %EPH room.

Floor 3, a part of the session. Nothing of it is kept or confirmed: a server without presence
just means that nobody is seen. Our own entry is shown again before it would time out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headway.core.document.presence import PresenceStore
from headway.core.wire.codec import encode
from headway.core.wire.messages import Join, Joined, JoinError, Kind, Message, RoomError, Update
from headway.errors import InvalidUpdate
from headway.ids import Entropy, batch_id

__all__ = ["PRESENCE_REFRESH_S", "PRESENCE_TIMEOUT_S", "PresenceMember"]

PRESENCE_TIMEOUT_S = 30.0
"""How long an entry lives that is not shown again."""

PRESENCE_REFRESH_S = 15.0
"""How often our entry is shown again."""


def _new_store() -> PresenceStore:
    return PresenceStore(PRESENCE_TIMEOUT_S)


@dataclass(slots=True)
class PresenceMember:
    """Our membership in a presence room. `key` names our own entry."""

    room: str
    key: str
    entropy: Entropy
    joined: bool = field(default=False, init=False)
    _value: dict[str, Any] | None = field(default=None, init=False)
    _refresh_s: float | None = field(default=None, init=False)
    _store: PresenceStore = field(default_factory=_new_store, init=False)

    def everybody(self) -> dict[str, Any]:
        """Key -> value of everybody who is here."""
        return self._store.get_all()

    def set(self, value: dict[str, Any] | None, now_s: float) -> tuple[bytes, ...]:
        """Show `value`, or take our entry away (None); the frames that tell the others."""
        self._value = value
        if value is None:
            self._refresh_s = None
            return self._frames(self._store.delete(self.key))
        self._refresh_s = now_s + PRESENCE_REFRESH_S
        return self._frames(self._store.set(self.key, value))

    def refresh(self, now_s: float) -> tuple[bytes, ...]:
        """Show our entry again when that is due."""
        if self._refresh_s is None or self._refresh_s > now_s or self._value is None:
            return ()
        return self.set(self._value, now_s)

    def leave(self) -> tuple[bytes, ...]:
        """Take our entry away, so that the others need not wait for it to time out."""
        if self._value is None:
            return ()
        return self._frames(self._store.delete(self.key))

    def join_frame(self) -> bytes:
        """Ask to be let in."""
        return encode(Join(Kind.PRESENCE, self.room, b"", b""))

    def reset(self) -> None:
        """The connection is gone."""
        self.joined = False

    def receive(self, message: Message, now_s: float) -> tuple[bool, tuple[bytes, ...]]:
        """Take a message in: whether anybody's entry changed, and the frames to send."""
        match message:
            case Joined():
                self.joined = True
                again = () if self._value is None else self.set(self._value, now_s)
                return False, again
            case Update(updates=updates):
                return self._merge(updates), ()
            case JoinError() | RoomError():
                self.joined = False
        return False, ()

    def next_deadline_s(self) -> float | None:
        """When `refresh` has something to do (monotonic)."""
        return self._refresh_s if self.joined else None

    def _merge(self, updates: tuple[bytes, ...]) -> bool:
        try:
            for update in updates:
                self._store.apply(update)
        except InvalidUpdate:
            return False
        return True

    def _frames(self, update: bytes) -> tuple[bytes, ...]:
        if not self.joined:
            return ()
        batch = Update(Kind.PRESENCE, self.room, (update,), batch_id(self.entropy))
        return (encode(batch),)
