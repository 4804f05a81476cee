"""Everything that can happen to a session, as frozen values.

Floor 3. A reader who knows this file and `effects` knows what a session does.
Tokens are given out by whoever asks. Deadlines are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway.core.document.crdt import Version
from headway.core.wire.rpc import Params
from headway.errors import HeadwayError
from headway.ids import Heads

__all__ = [
    "CloseAsked",
    "ConfirmAsked",
    "Connected",
    "Disconnected",
    "Edited",
    "Input",
    "PresenceSet",
    "Received",
    "Requested",
    "Started",
    "Tick",
    "WaitAbandoned",
]


@dataclass(frozen=True, slots=True)
class Started:
    """Begin: the first input, once."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection that `Connect` asked for exists."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection ended, or could not be made. `error` says why, where that is known."""

    reason: str
    error: HeadwayError | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A frame from the other side: binary as bytes, text as str."""

    frame: bytes | str


@dataclass(frozen=True, slots=True)
class Edited:
    """The local document has commits that were not sent. Coalesced: one may stand for many."""


@dataclass(frozen=True, slots=True)
class ConfirmAsked:
    """Settle `token` once the other side holds `wanted`, the caller's version when it asked."""

    token: int
    wanted: Version
    heads: Heads
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Requested:
    """A command. Settled by exactly one `RequestSettled` with the same token."""

    token: int
    params: Params
    deadline_s: float


@dataclass(frozen=True, slots=True)
class WaitAbandoned:
    """Nobody waits for `token` any more; what it began goes on."""

    token: int


@dataclass(frozen=True, slots=True)
class PresenceSet:
    """Show `value` (JSON-like) to the others as this peer's presence; None takes it away."""

    value: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CloseAsked:
    """End the session: everything that waits fails, and nothing is sent any more.

    `error` is what it ends with, where it does not end because somebody wanted it to.
    """

    error: HeadwayError | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; sent at or after `Session.next_deadline()`."""


Input = (
    Started
    | Connected
    | Disconnected
    | Received
    | Edited
    | ConfirmAsked
    | Requested
    | WaitAbandoned
    | PresenceSet
    | CloseAsked
    | Tick
)
