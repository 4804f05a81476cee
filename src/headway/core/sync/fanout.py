"""One document at the daemon and the peers that have joined it.

Floor 2. It merges what peers send, says what each must be sent, and knows which part of the
document is durable. It shows a peer nothing that is not durable: neither in a join's answer nor
in a broadcast. Not here: when things become durable (`room.ledger`) and what a change means.

A batch is checked and imported, what it touched is checked, and it is exported once: "How an edit
becomes an acknowledgement" in ARCHITECTURE.md. Storing, acknowledging and broadcasting follow when
the room says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from headway.core.document.crdt import Imported, Replica, Version
from headway.core.sync.peer import Batch, Membership, Refusal
from headway.core.wire.codec import encode
from headway.core.wire.fragments import FRAGMENT_BYTES, MAX_HISTORY_BYTES, MAX_UPDATE_BYTES, split
from headway.core.wire.messages import (
    Ack,
    Fragment,
    FragmentHeader,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    Permission,
    RoomError,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.errors import (
    DocumentError,
    InvalidUpdate,
    MissingChanges,
    UpdateTooLarge,
)
from headway.ids import DocumentId
from headway.moments import Moment, earliest

__all__ = ["Frames", "HostedDocument", "Merged", "OutOfStep", "Stored", "Unsound"]

Frames = tuple[bytes, ...]
"""Encoded messages for one peer, in order."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A change to be made durable: the daemon's own export, and the version it leads to.

    `first` is its first operation where it is large: sent ahead, it spares the receivers a stall.
    """

    update: bytes
    after: Version
    first: bytes | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """A batch is part of the document. `change` is None when it held nothing new."""

    batch_id: bytes
    change: Stored | None


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """The batch builds on changes we do not have: the peer must join again."""

    batch_id: bytes


@dataclass(frozen=True, slots=True)
class Unsound:
    """The batch broke the document's rules; the replica was rebuilt without it."""

    batch_id: bytes
    reason: str


class HostedDocument:
    """A replica, its durable version, and its members."""

    def __init__(
        self,
        room: DocumentId,
        replica: Replica,
        *,
        stored: Version,
        permission: Permission,
        extra: bytes,
        fresh_peer: Callable[[], int],
        check: Callable[[Replica, Imported], None],
    ) -> None:
        """Host `replica` under the room id `room`.

        `stored` is the version that is durable already: what is beyond it comes with the first
        `take_change`. `permission` and `extra` go into every join's answer. `fresh_peer` gives a
        peer id never used before; `check` raises InvalidUpdate when an import broke the
        document's rules.
        """
        self.room = room
        self.replica = replica
        self.durable = stored
        self.members: dict[int, Membership] = {}
        self._permission = permission
        self._extra = extra
        self._fresh_peer = fresh_peer
        self._check = check
        self._exported = self.durable
        self._batches = 0
        self._unshown: dict[int, list[Stored]] = {}

    # What peers ask

    def join(self, peer: int, message: Join) -> Frames:
        """Let a peer in; the frames answer it, with everything durable that it lacks."""
        try:
            theirs = Version.decode(message.version) if message.version else Version.EMPTY
        except InvalidUpdate:
            refusal = JoinError(
                Kind.DOCUMENT,
                self.room,
                JoinErrorCode.VERSION_UNKNOWN,
                "The version in the join is no version vector of this document's engine.",
                version=self.durable.encode(),
            )
            return (encode(refusal),)
        joined = Joined(
            Kind.DOCUMENT, self.room, self._permission, self.durable.encode(), self._extra
        )
        try:
            frames = (encode(joined), *self._lacking(theirs))
        except UpdateTooLarge as error:
            return (encode(self._too_large(error)),)
        self.members[peer] = Membership(self._permission)
        return frames

    def _lacking(self, theirs: Version) -> Frames:
        if theirs.includes(self.durable):
            return ()
        everything_durable = self.durable == self._exported
        missing = self.replica.export(theirs, None if everything_durable else self.durable)
        if len(missing) > MAX_UPDATE_BYTES and theirs.is_empty and everything_durable:
            # A snapshot has the state beside the history: of so much, half the bytes are better.
            missing = self.replica.export(theirs, self.durable)
        first = None if theirs.is_empty else self.replica.export_first(theirs, self.durable)
        return self._frames(first) + self._frames(missing)

    def _too_large(self, error: UpdateTooLarge) -> JoinError:
        return JoinError(
            Kind.DOCUMENT,
            self.room,
            JoinErrorCode.APP_ERROR,
            f"The notebook is too large to be sent to anybody: its cells, attachments and metadata "
            f"take {error.data['actual']:,} bytes with their history, and the limit is "
            f"{error.data['limit']:,}. Copy its file to another path, where a new history begins, "
            "and move large attachments into files of their own.",
            app_code=error.code,
        )

    def leave(self, peer: int) -> None:
        """Forget a peer; one that never joined is no matter."""
        self.members.pop(peer, None)
        self._unshown.pop(peer, None)

    def receive(
        self, peer: int, message: Update | FragmentHeader | Fragment, now: Moment
    ) -> Merged | Refusal | OutOfStep | Unsound | None:
        """Take a member's update, or a part of one (None while parts are missing).

        Raises EngineFailure when the engine failed over it: this document must be loaded anew.
        """
        member = self.members.get(peer)
        if member is None:
            return Refusal(message.batch_id, UpdateStatus.PERMISSION_DENIED)
        match member.receive(message, now):
            case Batch() as batch:
                return self._merge(batch)
            case outcome:
                return outcome

    def _merge(self, batch: Batch) -> Merged | Refusal | OutOfStep | Unsound:
        for update in batch.updates:
            outcome = self._import(batch.batch_id, update)
            if outcome is None:
                continue
            if self.replica.version() != self._exported:
                # A batch is taken whole or not at all.
                self._rebuild()
            return outcome
        return Merged(batch.batch_id, self.take_change())

    def _import(self, batch_id: bytes, update: bytes) -> Refusal | OutOfStep | Unsound | None:
        """Merge one update; None when that went well."""
        try:
            step = self.replica.import_update(update)
        except UpdateTooLarge:
            return Refusal(batch_id, UpdateStatus.PAYLOAD_TOO_LARGE)
        except MissingChanges:
            return OutOfStep(batch_id)
        except InvalidUpdate:
            return Refusal(batch_id, UpdateStatus.INVALID_UPDATE)
        try:
            self._check(self.replica, step)
        except DocumentError as refusal:
            return Unsound(batch_id, str(refusal))
        return None

    def _rebuild(self) -> None:
        """Go back to what was exported last: nothing after it was stored or shown."""
        sound = self.replica.export(Version.EMPTY, self._exported)
        self.replica = Replica.load(self._fresh_peer(), None, (sound,))

    # What the room does

    def take_change(self) -> Stored | None:
        """What was merged or committed since the last call, exported once; None if nothing."""
        after = self.replica.version()
        if after == self._exported:
            return None
        update = self.replica.export(self._exported, after)
        first = self.replica.export_first(self._exported, after)
        self._exported = after
        return Stored(update, after, first)

    def made_durable(self, change: Stored, origin: int | None = None) -> None:
        """The change is on the disk: every member but its origin is to be shown it."""
        self.durable = change.after
        for peer in self.members:
            if peer != origin:
                self._unshown.setdefault(peer, []).append(change)

    def take_shown(self) -> tuple[tuple[int, Frames], ...]:
        """What each member is to be shown: small changes that came together are one message.

        A message costs its receiver as much again as merging a keystroke does, so that many
        writers are followed at less than the sum of what each would cost.
        """
        unshown, self._unshown = self._unshown, {}
        encoded: dict[tuple[int, ...], Frames] = {}
        try:
            for changes in unshown.values():
                if (same := _identities(changes)) not in encoded:
                    encoded[same] = self._showing(changes)
        except UpdateTooLarge as error:
            # Whoever joins again is told why.
            code = RoomErrorCode.REJOIN_SUGGESTED
            return tuple((peer, (self.put_out(peer, code, str(error)),)) for peer in unshown)
        return tuple((peer, encoded[_identities(changes)]) for peer, changes in unshown.items())

    def _showing(self, changes: list[Stored]) -> Frames:
        updates = [change.update for change in changes]
        is_large = any(change.first is not None for change in changes)
        if is_large or len(changes) == 1 or sum(map(len, updates)) > FRAGMENT_BYTES:
            each = [self._frames(it.first) + self._frames(it.update) for it in changes]
            return tuple(itertools.chain.from_iterable(each))
        return (encode(Update(Kind.DOCUMENT, self.room, tuple(updates), self._next_batch())),)

    def acknowledge(self, batch_id: bytes, status: UpdateStatus) -> bytes:
        """The frame that answers a batch."""
        return encode(Ack(Kind.DOCUMENT, self.room, batch_id, status))

    def put_out(self, peer: int, code: RoomErrorCode, message: str) -> bytes:
        """Forget a member; the frame that tells it so."""
        self.leave(peer)
        return encode(RoomError(Kind.DOCUMENT, self.room, code, message))

    def expire(self, now: Moment) -> tuple[tuple[int, Refusal], ...]:
        """Fragmented batches whose time is over, by peer."""
        return tuple(
            (peer, refusal)
            for peer, member in self.members.items()
            for refusal in member.expire(now)
        )

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, in monotonic seconds."""
        return earliest(*[member.assembler.next_deadline() for member in self.members.values()])

    def _frames(self, update: bytes | None) -> Frames:
        if update is None:
            return ()
        messages = split(
            Kind.DOCUMENT, self.room, update, self._next_batch(), max_bytes=MAX_HISTORY_BYTES
        )
        return tuple(encode(message) for message in messages)

    def _next_batch(self) -> bytes:
        self._batches += 1
        return self._batches.to_bytes(8, "big")


def _identities(changes: list[Stored]) -> tuple[int, ...]:
    return tuple(map(id, changes))
