"""What this replica has and the other side lacks, on its way there.

Floor 3, a part of the session. Each commit is exported once and sent as part of one batch;
several batches may be under way, but only so many: further edits then gather for the next
export. An acknowledgement counts once those of all earlier batches have come, because a batch
builds on the ones before it. On a new connection nothing of this is remembered: the other side
says what it holds, and everything after that is exported again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.core.document.crdt import Replica, Version
from headway.core.sync.backoff import Backoff
from headway.core.wire import fragments
from headway.core.wire.codec import encode
from headway.core.wire.messages import Kind, UpdateStatus
from headway.ids import Entropy, batch_id

__all__ = ["MAX_BATCHES_IN_FLIGHT", "MAX_BYTES_IN_FLIGHT", "Acknowledged", "Outgoing"]

MAX_BATCHES_IN_FLIGHT = 64
"""Batches sent and not acknowledged."""

MAX_BYTES_IN_FLIGHT = 8 * 1024 * 1024
"""Bytes sent and not acknowledged. One larger batch may go when nothing else is under way."""

MARK_EVERY_OPERATIONS = 50_000
"""Commit boundaries are remembered at this distance: a batch is cut only between commits, and
stays far below what the other side takes in one import."""

_PASSING = frozenset({UpdateStatus.FRAGMENT_TIMEOUT, UpdateStatus.RATE_LIMITED})
"""Refusals that say nothing of what was sent: it is sent again, after longer and longer delays."""


@dataclass(slots=True)
class _Batch:
    until: Version
    size_bytes: int
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What an acknowledgement taught: a version that is held now, or a refusal."""

    held: Version | None = None
    refused: UpdateStatus | None = None


@dataclass(slots=True)
class Outgoing:
    """The way from one replica to one room."""

    replica: Replica
    room: str
    entropy: Entropy
    _sent: Version = field(default=Version.EMPTY, init=False)
    _in_flight: dict[bytes, _Batch] = field(default_factory=dict, init=False)
    _open: bool = field(default=False, init=False)
    _resend_s: float | None = field(default=None, init=False)
    _marks: list[Version] = field(default_factory=list, init=False)
    _edge: Version = field(default=Version.EMPTY, init=False)
    _backoff: Backoff = field(default_factory=Backoff, init=False)

    def begin(self, remote: Version) -> None:
        """The other side let us in and holds `remote`: send what comes after it."""
        self._sent = remote
        self._in_flight.clear()
        self._open = True
        self._resend_s = None

    def stop(self) -> None:
        """The way is closed; what was under way on it is forgotten."""
        self._in_flight.clear()
        self._open = False
        self._resend_s = None

    def show(self, version: Version) -> None:
        """The other side sent us `version`, so it needs none of it from us."""
        self._sent = self._sent.merged(version)

    def mark(self) -> None:
        """A commit was made just now, under the replica's lock: a batch may end here."""
        last = self._marks[-1] if self._marks else self._sent
        version = self.replica.version()
        if version.operations_since(last) > MARK_EVERY_OPERATIONS and not last.includes(self._edge):
            self._marks.append(self._edge)
        self._edge = version

    def take(self) -> tuple[bytes, ...]:
        """The frames of the next batch: everything since the last one. Empty if nothing is due."""
        if not self._open or self._resend_s is not None or self._is_full():
            return ()
        with self.replica.lock:
            everything = self.replica.version()
            if self._sent.includes(everything):
                return ()
            until = self._next_cut()
            update = self.replica.export(self._sent, until)
        identity = batch_id(self.entropy)
        self._in_flight[identity] = _Batch(until or everything, len(update))
        self._sent = self._sent.merged(until or everything)
        messages = fragments.split(Kind.DOCUMENT, self.room, update, identity)
        return tuple(encode(message) for message in messages)

    def acknowledge(self, identity: bytes, status: UpdateStatus, now_s: float) -> Acknowledged:
        """Take an acknowledgement in; one for a batch that is not ours to wait for is nothing."""
        batch = self._in_flight.get(identity)
        if batch is None:
            return Acknowledged()
        if status in _PASSING:
            self._in_flight.clear()
            self._resend_s = now_s + self._backoff.next_delay_s(self.entropy)
            return Acknowledged()
        if status is not UpdateStatus.OK:
            self.stop()
            return Acknowledged(refused=status)
        batch.accepted = True
        self._backoff.reset()
        return Acknowledged(held=self._pop_accepted())

    def resume(self, remote: Version, now_s: float) -> None:
        """After a refusal that may pass: once its delay is over, send again what is not held."""
        if self._resend_s is not None and self._resend_s <= now_s:
            self.begin(remote)

    def next_deadline_s(self) -> float | None:
        """When `resume` has something to do (monotonic)."""
        return self._resend_s

    def _next_cut(self) -> Version | None:
        """The commit boundary where the next batch ends; None: it takes everything."""
        while self._marks and self._sent.includes(self._marks[0]):
            del self._marks[0]
        return self._marks[0] if self._marks else None

    def _is_full(self) -> bool:
        if len(self._in_flight) >= MAX_BATCHES_IN_FLIGHT:
            return True
        return sum(batch.size_bytes for batch in self._in_flight.values()) >= MAX_BYTES_IN_FLIGHT

    def _pop_accepted(self) -> Version | None:
        held: Version | None = None
        while self._in_flight:
            identity, batch = next(iter(self._in_flight.items()))
            if not batch.accepted:
                break
            held = batch.until
            del self._in_flight[identity]
        return held
