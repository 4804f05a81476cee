"""Everything a session can ask for, as frozen values, in one ordered list per input.

Floor 3. The order is the promise: an effect is begun only after those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from headway.core.sync.confirm import Confirmation
from headway.core.wire.messages import UpdateStatus
from headway.errors import HeadwayError
from headway.ids import DocumentId, Heads

__all__ = [
    "ConfirmSettled",
    "Connect",
    "Disconnect",
    "DocumentChanged",
    "Effect",
    "PresenceChanged",
    "ReplicaRefused",
    "RequestSettled",
    "RuntimeChanged",
    "Send",
    "SessionStatus",
    "StatusChanged",
]

SessionStatus = Literal["connecting", "live", "reconnecting", "rejected", "closed"]
"""What a person is told of the connection.

`rejected` lasts from a refused update, or from finding another notebook in this one's place, until
what takes over is live.
"""


@dataclass(frozen=True, slots=True)
class Connect:
    """Make a connection; answered by `Connected` or `Disconnected`.

    `start`: somebody waits for it, so a daemon may be started for it.
    """

    start: bool


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the connection, whatever is under way on it; answered by `Disconnected`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send these frames in order: bytes as binary frames, str as text frames."""

    frames: tuple[bytes | str, ...]


@dataclass(frozen=True, slots=True)
class ConfirmSettled:
    """The confirmation `token` has its answer."""

    token: int
    outcome: Confirmation | HeadwayError


@dataclass(frozen=True, slots=True)
class RequestSettled:
    """The request `token` has its answer: the method's result, or a typed error."""

    token: int
    outcome: Any


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """Others' changes were merged into the notebook document."""

    before: Heads
    after: Heads


@dataclass(frozen=True, slots=True)
class RuntimeChanged:
    """The runtime document changed, or another one took its place."""

    runtime: DocumentId
    replaced: bool


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Somebody's presence changed."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The session's status; with `rejected` and `closed`, the error that led there (if any)."""

    status: SessionStatus
    error: HeadwayError | None = None


@dataclass(frozen=True, slots=True)
class ReplicaRefused:
    """An update was refused: a fresh replica takes over, and the refused one is kept aside."""

    status: UpdateStatus


Effect = (
    Connect
    | Disconnect
    | Send
    | ConfirmSettled
    | RequestSettled
    | DocumentChanged
    | RuntimeChanged
    | PresenceChanged
    | StatusChanged
    | ReplicaRefused
)
