"""Everything that can happen to a room, as frozen values.

Floor 3. A reader who knows this file and `effects` knows what a room does.
Tokens are given out by whoever asks: request tokens by the daemon, the others by the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.core.kernel.events import KernelEvent, KernelInfo
from headway.core.room.effects import Environment
from headway.core.wire.messages import Message
from headway.core.wire.rpc import KernelEnvironment, RoomParams
from headway.errors import HeadwayError

__all__ = [
    "EnvironmentSeen",
    "FileAccepted",
    "FileInput",
    "FileSeen",
    "FileTouched",
    "FileUnseen",
    "FileWriteFailed",
    "FileWritten",
    "Input",
    "KernelEnded",
    "KernelFailed",
    "KernelProgress",
    "KernelReady",
    "KernelSaid",
    "KernelStopped",
    "PeerArrived",
    "PeerGone",
    "PersistFailed",
    "Persisted",
    "Received",
    "RequestAbandoned",
    "Requested",
    "Tick",
]


@dataclass(frozen=True, slots=True)
class PeerArrived:
    """A connection exists that may join this room. `peer` is the connection's number."""

    peer: int
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The connection ended, for whatever reason. Idempotent."""

    peer: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message for this room's documents or presence."""

    peer: int
    message: Message


@dataclass(frozen=True, slots=True)
class Requested:
    """A command. Answered by exactly one `Answer` or `Refuse` with the same token.

    `peer` is None for a plain HTTP request. `deadline_s` is monotonic.
    """

    token: int
    peer: int | None
    params: RoomParams
    deadline_s: float
    asked_by: str
    is_daemons: bool = False
    """The daemon asks on its own account: no person decided anything."""


@dataclass(frozen=True, slots=True)
class RequestAbandoned:
    """Nobody waits for this answer any more; an accepted execution goes on."""

    token: int


@dataclass(frozen=True, slots=True)
class Persisted:
    """The records of `Persist(token)` are on the disk, and all of earlier tokens too."""

    token: int


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """The store could not keep its promise. The room confirms nothing from here on."""

    token: int
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class KernelReady:
    """The kernel of `StartKernel(incarnation)` answers."""

    incarnation: int
    info: KernelInfo
    name: str
    display_name: str = ""
    """What its kernelspec calls it."""
    environment: KernelEnvironment | None = None
    """Where it was started."""


@dataclass(frozen=True, slots=True)
class KernelProgress:
    """What goes on while the kernel of `StartKernel(incarnation)` starts, in a line."""

    incarnation: int
    text: str


@dataclass(frozen=True, slots=True)
class EnvironmentSeen:
    """What `LookAtEnvironment(environment)` found."""

    environment: Environment | None
    is_ready: bool = False
    """Whether a Python kernel can be started there without further consent."""
    error: HeadwayError | None = None
    """Why it cannot, whatever is installed."""
    kernels: Mapping[str, str] | None = None
    """Those that are there: the name of each and its language. None: a Python one alone."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Those whose kernelspecs cannot be used: the name of each and why, as a clause."""


@dataclass(frozen=True, slots=True)
class KernelFailed:
    """The kernel of `StartKernel(incarnation)` could not be started."""

    incarnation: int
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class KernelSaid:
    """Events of one kernel, in the order it sent them."""

    incarnation: int
    events: tuple[KernelEvent, ...]


@dataclass(frozen=True, slots=True)
class KernelEnded:
    """The kernel's process ended. `reason` is a clause: "it was killed by signal 9"."""

    incarnation: int
    reason: str


@dataclass(frozen=True, slots=True)
class KernelStopped:
    """The process of `StopKernel(incarnation)` is gone, with everything it started."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class FileWritten:
    """The file of `WriteFile(token)` holds the notebook; `sha256` is of the whole file."""

    token: int
    path: str
    sha256: str
    changed: bool
    content: bytes
    """The image of the file."""
    took_s: float = 0.0
    """How long the writing took."""
    lost: int = 0
    """How many outputs it has not, because their content is nowhere."""


@dataclass(frozen=True, slots=True)
class FileWriteFailed:
    """The file of `WriteFile(token)` was not written and is as it was."""

    token: int
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class FileTouched:
    """Something may have happened to the notebook's file. A hint: the room looks for itself."""


@dataclass(frozen=True, slots=True)
class FileSeen:
    """The file of `ReadFile(token)` as it is: its image, the blobs of that stored.

    Without an image it is what was known already; both are None if there is no file.
    """

    token: int
    content: bytes | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class FileUnseen:
    """The file of `ReadFile(token)` is there and cannot be read."""

    token: int
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class FileAccepted:
    """A person wants the file's version merged, whatever it takes away from the notebook."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; sent at or after `Room.next_deadline()`."""


FileInput = FileWritten | FileWriteFailed | FileTouched | FileSeen | FileUnseen | FileAccepted

Input = (
    PeerArrived
    | PeerGone
    | Received
    | Requested
    | RequestAbandoned
    | Persisted
    | PersistFailed
    | EnvironmentSeen
    | KernelProgress
    | KernelReady
    | KernelFailed
    | KernelSaid
    | KernelEnded
    | KernelStopped
    | FileInput
    | Tick
)
