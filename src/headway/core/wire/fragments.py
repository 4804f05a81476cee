"""Large updates, cut into messages and joined again.

Floor 1. Not here: sending, acknowledging, and what an update holds.

How a batch lives
    A header opens a batch; its fragments may come in any order, and among those of other batches.
    The last missing one completes it. A repeated header or fragment changes nothing if it says
    the same, and ends the batch if it does not. A batch ends early, with one `Refused`, when it
    contradicts itself, exceeds a bound, or stands still. Its remaining fragments are then dropped
    in silence, for the sender has its answer; so are late repeats of a completed batch. Only a
    header opens a batch again, as protocol.md wants it for a resend under the same id. A fragment
    of a batch that was never opened is refused: the sender would wait for ever otherwise.

When a batch times out
    protocol.md says ten seconds; the JavaScript client counts them from the header for the whole
    batch, which a slow uplink cannot keep for some megabytes. Here they start again with each new
    fragment, and LONGEST_BATCH_S after the header it is over whatever comes. Time only ends a
    batch in `expire`; a fragment that arrives late but before that counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from headway.core.wire.messages import Fragment, FragmentHeader, Kind, Message, Update, UpdateStatus
from headway.errors import UpdateTooLarge
from headway.moments import Moment

__all__ = [
    "FRAGMENT_BYTES",
    "FRAGMENT_TIMEOUT_S",
    "FROM_DAEMON",
    "LONGEST_BATCH_S",
    "MAX_FRAGMENTS",
    "MAX_HISTORY_BYTES",
    "MAX_OPEN_BATCHES",
    "MAX_OPEN_BYTES",
    "MAX_UPDATE_BYTES",
    "Assembled",
    "Assembler",
    "AssemblyLimits",
    "Refused",
    "split",
]

FRAGMENT_BYTES = 240 * 1024
"""The most of an update that goes in one message: MAX_MESSAGE_BYTES less a margin for the rest,
as the JavaScript client cuts."""

FRAGMENT_TIMEOUT_S = 10.0
"""How long a batch may stand still. protocol.md: the default reassembly time-out."""

LONGEST_BATCH_S = 120.0
"""How long a batch may take from its header, however it moves."""

MAX_UPDATE_BYTES = 64 * 1024 * 1024
"""The largest update that a peer may send: it is not cut, and not joined."""

MAX_HISTORY_BYTES = 512 * 1024 * 1024
"""The largest update that the daemon may send: a notebook with its whole history. Twice what a file
may have besides its outputs (`strict_json.MAX_FILE_BYTES`)."""

MAX_FRAGMENTS = 16_384
"""The most fragments of one batch: 4 KiB each for the largest update of a peer."""

MAX_OPEN_BATCHES = 16
"""The most batches that one connection may have open."""

MAX_OPEN_BYTES = MAX_UPDATE_BYTES
"""The most bytes that the open batches of one connection may claim together."""

_REMEMBERED_BATCHES = 256
"""How many ended batches are remembered, so that their late fragments go unanswered."""


def split(
    kind: Kind,
    room: str,
    update: bytes,
    batch_id: bytes,
    fragment_bytes: int = FRAGMENT_BYTES,
    *,
    max_bytes: int = MAX_UPDATE_BYTES,
) -> Iterator[Message]:
    """The messages that carry one update: an Update if it fits, else a header and fragments.

    One at a time: each is a copy of its part.

    Args:
        kind: of the room.
        room: the room's id.
        update: the whole update.
        batch_id: 8 bytes; the one Ack for all these messages names it.
        fragment_bytes: the most of the update in one message.
        max_bytes: the most that the other side joins.

    Raises:
        UpdateTooLarge: more than `max_bytes`, or than MAX_FRAGMENTS fragments hold.
    """
    if len(update) <= fragment_bytes:
        return iter((Update(kind, room, (update,), batch_id),))
    limit = min(max_bytes, MAX_FRAGMENTS * fragment_bytes)
    if len(update) > limit:
        raise UpdateTooLarge(
            f"An update of {len(update)} bytes is too large to send; the limit is {limit}.",
            limit=limit,
            actual=len(update),
        )
    starts = range(0, len(update), fragment_bytes)
    header = FragmentHeader(kind, room, batch_id, len(starts), len(update))
    fragments = (
        Fragment(kind, room, batch_id, index, update[start : start + fragment_bytes])
        for index, start in enumerate(starts)
    )
    return itertools.chain((header,), fragments)


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """The bounds of one Assembler; the named constants unless a caller knows better."""

    update_bytes: int = MAX_UPDATE_BYTES
    fragments: int = MAX_FRAGMENTS
    open_batches: int = MAX_OPEN_BATCHES
    open_bytes: int = MAX_OPEN_BYTES
    still_s: float = FRAGMENT_TIMEOUT_S
    longest_s: float = LONGEST_BATCH_S


FROM_DAEMON: Final = AssemblyLimits(update_bytes=MAX_HISTORY_BYTES, open_bytes=MAX_HISTORY_BYTES)
"""For a client, which joins what it asked for."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """An update, whole."""

    update: bytes
    batch_id: bytes
    kind: Kind
    room: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that will not be joined: answer it with an Ack of `status`.

    `reason` is a sentence for a log.
    """

    batch_id: bytes
    status: UpdateStatus
    kind: Kind
    room: str
    reason: str


_Key = tuple[Kind, str, bytes]


@dataclass(slots=True)
class _Batch:
    """What has come of an open batch. Only what came takes memory, not what was claimed."""

    header: FragmentHeader
    still_until_s: float
    over_at_s: float
    parts: dict[int, bytes] = field(default_factory=dict)
    received_bytes: int = 0

    @property
    def deadline_s(self) -> float:
        return min(self.still_until_s, self.over_at_s)


class Assembler:
    """Joins the fragments that arrive on one connection, for all its rooms."""

    def __init__(self, limits: AssemblyLimits | None = None) -> None:
        self._limits = limits or AssemblyLimits()
        self._open: dict[_Key, _Batch] = {}
        self._claimed_bytes = 0
        # A dict for its order: the oldest is forgotten first.
        self._ended: dict[_Key, None] = {}

    def receive(
        self, message: FragmentHeader | Fragment, now: Moment
    ) -> Assembled | Refused | None:
        """Take the next message; gives what it brought to an end, if anything."""
        match message:
            case FragmentHeader():
                return self._receive_header(message, now)
            case Fragment():
                return self._receive_fragment(message, now)
            case _:
                assert_never(message)

    def expire(self, now: Moment) -> tuple[Refused, ...]:
        """End the batches whose time is over, the oldest header first."""
        late = [key for key, batch in self._open.items() if batch.deadline_s <= now.monotonic_s]
        return tuple([self._expired(key) for key in late])

    def next_deadline(self) -> float | None:
        """When `expire` has something to do next (monotonic seconds); None while nothing is open.

        The moment moves as fragments arrive: ask again after each `receive`.
        """
        if not self._open:
            return None  # almost always, and asked after every frame
        return min(batch.deadline_s for batch in self._open.values())

    def forget(self, kind: Kind, room: str) -> None:
        """Drop everything of a room, unanswered: its peer has left, or was put out."""
        for key in [key for key in self._open if key[:2] == (kind, room)]:
            self._close(key)
        for key in [key for key in self._ended if key[:2] == (kind, room)]:
            del self._ended[key]

    @property
    def open_batches(self) -> int:
        """How many batches are open."""
        return len(self._open)

    def _receive_header(self, header: FragmentHeader, now: Moment) -> Refused | None:
        key = _key(header)
        batch = self._open.get(key)
        if batch is not None:
            if batch.header == header:
                return None
            return self._refuse(
                key, UpdateStatus.INVALID_UPDATE, "A second header contradicts the first."
            )
        refusal = self._objection(header)
        if refusal is not None:
            return self._refuse(key, *refusal)
        self._ended.pop(key, None)
        self._claimed_bytes += header.total_bytes
        self._open[key] = _Batch(
            header,
            still_until_s=now.monotonic_s + self._limits.still_s,
            over_at_s=now.monotonic_s + self._limits.longest_s,
        )
        return None

    def _objection(self, header: FragmentHeader) -> tuple[UpdateStatus, str] | None:
        """Why a header opens no batch: what it is in itself first, then what is open already."""
        limits = self._limits
        count, total = header.count, header.total_bytes
        if not 1 <= count <= total:
            return (
                UpdateStatus.INVALID_UPDATE,
                f"{total} bytes cannot come in {count} fragments of a byte at least.",
            )
        if total > limits.update_bytes or count > limits.fragments:
            most = f"{limits.update_bytes} bytes in {limits.fragments}"
            return (
                UpdateStatus.PAYLOAD_TOO_LARGE,
                f"{total} bytes in {count} fragments exceed the limit of {most}.",
            )
        if len(self._open) >= limits.open_batches:
            return (UpdateStatus.RATE_LIMITED, f"{limits.open_batches} batches are open already.")
        claimed = self._claimed_bytes + total
        if claimed > limits.open_bytes:
            return (
                UpdateStatus.RATE_LIMITED,
                f"The open batches would claim {claimed} of {limits.open_bytes} bytes.",
            )
        return None

    def _receive_fragment(self, fragment: Fragment, now: Moment) -> Assembled | Refused | None:
        key = _key(fragment)
        batch = self._open.get(key)
        if batch is None:
            if key in self._ended:
                return None
            return self._refuse(
                key, UpdateStatus.INVALID_UPDATE, "A fragment came without its header."
            )
        if batch.parts.get(fragment.index) == fragment.data:
            return None
        problem = _contradiction(batch, fragment)
        if problem is not None:
            return self._refuse(key, UpdateStatus.INVALID_UPDATE, problem)
        batch.parts[fragment.index] = fragment.data
        batch.received_bytes += len(fragment.data)
        batch.still_until_s = now.monotonic_s + self._limits.still_s
        if len(batch.parts) < batch.header.count:
            return None
        if batch.received_bytes < batch.header.total_bytes:
            return self._refuse(
                key,
                UpdateStatus.INVALID_UPDATE,
                f"The fragments hold {batch.received_bytes} bytes of the "
                f"{batch.header.total_bytes} announced.",
            )
        self._end(key)
        update = b"".join([batch.parts[index] for index in range(batch.header.count)])
        return Assembled(update, fragment.batch_id, fragment.kind, fragment.room)

    def _expired(self, key: _Key) -> Refused:
        batch = self._open[key]
        return self._refuse(
            key,
            UpdateStatus.FRAGMENT_TIMEOUT,
            f"{len(batch.parts)} of {batch.header.count} fragments came in time.",
        )

    def _refuse(self, key: _Key, status: UpdateStatus, reason: str) -> Refused:
        self._end(key)
        kind, room, batch_id = key
        return Refused(batch_id, status, kind, room, reason)

    def _end(self, key: _Key) -> None:
        self._close(key)
        self._ended.pop(key, None)
        self._ended[key] = None
        if len(self._ended) > _REMEMBERED_BATCHES:
            del self._ended[next(iter(self._ended))]

    def _close(self, key: _Key) -> None:
        batch = self._open.pop(key, None)
        if batch is not None:
            self._claimed_bytes -= batch.header.total_bytes


def _key(message: FragmentHeader | Fragment) -> _Key:
    return (message.kind, message.room, message.batch_id)


def _contradiction(batch: _Batch, fragment: Fragment) -> str | None:
    """Why a fragment cannot belong to its batch, or None."""
    header = batch.header
    if fragment.index in batch.parts:
        return f"Fragment {fragment.index} came twice and differs."
    if not 0 <= fragment.index < header.count:
        return f"Fragment {fragment.index} lies outside the {header.count} announced."
    if not fragment.data:
        return f"Fragment {fragment.index} is empty."
    # Every fragment still missing takes a byte at least.
    missing = header.count - len(batch.parts) - 1
    if batch.received_bytes + len(fragment.data) + missing > header.total_bytes:
        return f"The fragments exceed the {header.total_bytes} bytes announced."
    return None
