"""What peers say: the messages of the Loro Syncing Protocol, version 1, as frozen values.

Floor 1. `codec` turns these into bytes and back; `fragments` cuts and joins large updates.
Source: protocol.md of the loro-dev/protocol repository (version 1), message by message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal

__all__ = [
    "MAX_MESSAGE_BYTES",
    "MAX_ROOM_BYTES",
    "Ack",
    "Fragment",
    "FragmentHeader",
    "Join",
    "JoinError",
    "JoinErrorCode",
    "Joined",
    "Kind",
    "Leave",
    "Message",
    "Permission",
    "RoomError",
    "RoomErrorCode",
    "Update",
    "UpdateStatus",
]

MAX_MESSAGE_BYTES = 256 * 1024
"""The protocol's limit for one message, envelope included."""

MAX_ROOM_BYTES = 128
"""The protocol's limit for a room id, in UTF-8."""

Permission = Literal["read", "write"]


class Kind(Enum):
    """What a room holds, as the four magic bytes of its frames."""

    DOCUMENT = b"%LOR"
    PRESENCE = b"%EPH"


class JoinErrorCode(IntEnum):
    """Why a join was refused. Unknown codes are read as UNKNOWN."""

    UNKNOWN = 0x00
    VERSION_UNKNOWN = 0x01
    AUTH_FAILED = 0x02
    APP_ERROR = 0x7F


class RoomErrorCode(IntEnum):
    """Why a peer was put out of a room. Unknown codes are read as UNKNOWN."""

    REJOIN_SUGGESTED = 0x01
    EVICTED = 0x02
    UNKNOWN = 0x7F


class UpdateStatus(IntEnum):
    """What became of an update batch. Unknown codes are read as UNKNOWN."""

    OK = 0x00
    UNKNOWN = 0x01
    PERMISSION_DENIED = 0x03
    INVALID_UPDATE = 0x04
    PAYLOAD_TOO_LARGE = 0x05
    RATE_LIMITED = 0x06
    FRAGMENT_TIMEOUT = 0x07
    APP_ERROR = 0x7F


@dataclass(frozen=True, slots=True)
class Join:
    """0x00: let me into the room; this is the version I have."""

    kind: Kind
    room: str
    payload: bytes
    version: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """0x01: you are in, with this permission; this is the version I have."""

    kind: Kind
    room: str
    permission: Permission
    version: bytes
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class JoinError:
    """0x02: you are not in. `version` goes with VERSION_UNKNOWN, `app_code` with APP_ERROR."""

    kind: Kind
    room: str
    code: JoinErrorCode
    message: str
    version: bytes | None = None
    app_code: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """0x03: a batch of updates, under a batch id of 8 bytes."""

    kind: Kind
    room: str
    updates: tuple[bytes, ...]
    batch_id: bytes


@dataclass(frozen=True, slots=True)
class FragmentHeader:
    """0x04: one update of `total_bytes` follows in `count` fragments."""

    kind: Kind
    room: str
    batch_id: bytes
    count: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """0x05: the fragment at `index`, counted from 0."""

    kind: Kind
    room: str
    batch_id: bytes
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RoomError:
    """0x06: you are out of the room."""

    kind: Kind
    room: str
    code: RoomErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class Leave:
    """0x07: I leave the room."""

    kind: Kind
    room: str


@dataclass(frozen=True, slots=True)
class Ack:
    """0x08: what became of the batch `batch_id`."""

    kind: Kind
    room: str
    batch_id: bytes
    status: UpdateStatus


Message = Join | Joined | JoinError | Update | FragmentHeader | Fragment | RoomError | Leave | Ack
