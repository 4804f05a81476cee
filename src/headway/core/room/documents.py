"""The notebook document and its presence, as one room shares them with its peers.

Floor 3. Messages of the wire in, frames and records out. The runtime document's members are
here too, because they come over the same wire; what is written into it is in `recorder`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.core.document.crdt import Version
from headway.core.document.notebook import NotebookDocument
from headway.core.document.schema import check_import
from headway.core.room.effects import Close, RuntimeReplaced, Send, UpdateStored
from headway.core.sync.fanout import Frames, HostedDocument, Merged, OutOfStep, Stored, Unsound
from headway.core.sync.peer import Refusal
from headway.core.sync.presence import PresenceRoom
from headway.core.wire.codec import encode
from headway.core.wire.messages import (
    Ack,
    Fragment,
    FragmentHeader,
    Join,
    JoinError,
    JoinErrorCode,
    Kind,
    Leave,
    Message,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.errors import EngineFailure
from headway.ids import DocumentId, Entropy, peer_id

if TYPE_CHECKING:
    from headway.core.document.runtime import RuntimeReader
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.wire.rpc import KernelState
    from headway.moments import Moment

__all__ = ["CLOSE_OUT_OF_STEP", "CLOSE_UNSOUND", "JOIN_EXTRA", "Documents"]

JOIN_EXTRA = b'{"headway":1,"ack":"durable"}'
"""What our answer to a join says of itself: an Ack of ours means merged and fsynced."""

CLOSE_OUT_OF_STEP = 4001
"""WebSocket close code: the peer's changes do not fit ours, twice; join afresh."""

CLOSE_UNSOUND = 4002
"""WebSocket close code: the peer sent an update that broke the document's rules."""


class Documents:
    """What the peers of one notebook share."""

    def __init__(
        self,
        document: DocumentId,
        notebook: NotebookDocument,
        stored: Version,
        ledger: Ledger,
        recorder: Recorder,
        entropy: Entropy,
        changed: Callable[[Moment], None],
    ) -> None:
        """Share `notebook`, durable up to `stored`, as `document`.

        `changed` is called when the notebook has changed.
        """
        self._ledger = ledger
        self._recorder = recorder
        self._changed = changed
        self.hosted = HostedDocument(
            document,
            notebook.replica,
            stored=stored,
            permission="write",
            extra=JOIN_EXTRA,
            fresh_peer=lambda: peer_id(entropy),
            check=check_import,
        )
        self.notebook = notebook
        self.presence = PresenceRoom(document)
        self._acknowledgements: list[tuple[int, Frames]] = []
        self._suggested_rejoin: dict[int, None] = {}
        self._early: dict[tuple[int, DocumentId], list[Message]] = {}

    def receive(self, peer: int, message: Message, now: Moment) -> None:
        """Take a message of the wire."""
        if message.kind is Kind.PRESENCE:
            self._receive_presence(peer, message)
            return
        early = self._early.get((peer, message.room))
        if early is not None and not isinstance(message, Leave):
            early.append(message)
            return
        hosted = self._hosted(message.room)
        match message:
            case Join():
                self._join(peer, message, hosted, now)
            case Leave():
                self._early.pop((peer, message.room), None)
                if hosted is not None:
                    hosted.leave(peer)
            case Update() | FragmentHeader() | Fragment():
                self._receive_update(peer, message, hosted, now)
            case _:
                # A client's Ack only reports what it failed to apply: it will join again.
                pass

    def drop(self, peer: int) -> None:
        """The peer is gone."""
        self.hosted.leave(peer)
        self._recorder.hosted.leave(peer)
        self.presence.leave(peer)
        self._suggested_rejoin.pop(peer, None)
        for early in [each for each in self._early if each[0] == peer]:
            del self._early[early]

    def commit(self, now: Moment) -> None:
        """Our own commits of the notebook document: store them, then show them."""
        change = self.hosted.take_change()
        if change is not None:
            self._store(change, None)
            self._changed(now)

    def renew_runtime(self, old: RuntimeReader, state: KernelState, now: Moment) -> None:
        """Replace the runtime document by a fresh one, and say in the notebook which it is."""
        snapshot = self._recorder.replace(old, state, now)
        runtime = self._recorder.document_id
        self._ledger.record(RuntimeReplaced(self.hosted.room, runtime, snapshot))
        self.notebook.set_runtime(runtime, now, "daemon")
        self.commit(now)

    def expire(self, now: Moment) -> None:
        """Refuse fragmented batches whose time is over."""
        for peer, refusal in self.hosted.expire(now):
            frame = self.hosted.acknowledge(refusal.batch_id, refusal.status)
            self._ledger.emit(Send(peer, (frame,)))

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, in monotonic seconds."""
        return self.hosted.next_deadline()

    def _hosted(self, room: DocumentId) -> HostedDocument | None:
        if room == self.hosted.room:
            return self.hosted
        if room == self._recorder.document_id:
            return self._recorder.hosted
        return None

    def _join(self, peer: int, message: Join, hosted: HostedDocument | None, now: Moment) -> None:
        if hosted is None:
            refusal = JoinError(
                Kind.DOCUMENT,
                message.room,
                JoinErrorCode.APP_ERROR,
                "That runtime document was replaced; the notebook's `meta.runtime` has the new id.",
                app_code="runtime_replaced",
            )
            self._ledger.emit(Send(peer, (encode(refusal),)))
            return
        if hosted.durable.is_empty:
            # It was born a moment ago and is on its way to the disk: what could be shown now
            # would be an empty document, and the peer would take it for the whole.
            self._early[peer, message.room] = [message]
            self._ledger.when_durable(lambda at: self._join_early(peer, message.room, at))
            return
        if hosted is self._recorder.hosted:
            # What gathers for the next commit cannot be cut off from what is exported here.
            self._recorder.flush(now)
        self._ledger.emit(Send(peer, hosted.join(peer, message)))

    def _join_early(self, peer: int, room: DocumentId, now: Moment) -> None:
        """A join that came before there was anything to show, and what came after it."""
        for message in self._early.pop((peer, room), ()):
            self.receive(peer, message, now)

    def _receive_presence(self, peer: int, message: Message) -> None:
        match message:
            case Join():
                self._ledger.emit(Send(peer, self.presence.join(peer, message)))
            case Leave():
                self.presence.leave(peer)
            case Update():
                for receiver, frames in self.presence.receive(peer, message):
                    self._ledger.emit(Send(receiver, frames))
            case FragmentHeader():
                status = UpdateStatus.PAYLOAD_TOO_LARGE
                frame = encode(Ack(Kind.PRESENCE, message.room, message.batch_id, status))
                self._ledger.emit(Send(peer, (frame,)))
            case _:
                pass

    def _receive_update(
        self,
        peer: int,
        message: Update | FragmentHeader | Fragment,
        hosted: HostedDocument | None,
        now: Moment,
    ) -> None:
        if hosted is None:
            frame = encode(
                Ack(
                    Kind.DOCUMENT,
                    message.room,
                    message.batch_id,
                    UpdateStatus.PERMISSION_DENIED,
                )
            )
            self._ledger.emit(Send(peer, (frame,)))
            return
        try:
            outcome = hosted.receive(peer, message, now)
        except EngineFailure as failure:
            # Told before the room ends over it, or the peer would come back with the same.
            self._unsound(peer, message.batch_id, str(failure))
            raise
        if self.hosted.replica is not self.notebook.replica:
            # Rebuilt without the batch, so everything read from it is read anew.
            self.notebook = NotebookDocument(self.hosted.replica, max_operations=None)
        match outcome:
            case Merged() as merged:
                self._merged(peer, merged, now)
            case Refusal(batch_id=batch_id, status=status):
                self._ledger.emit(Send(peer, (hosted.acknowledge(batch_id, status),)))
            case OutOfStep():
                self._suggest_rejoin(peer, hosted)
            case Unsound(batch_id=batch_id, reason=reason):
                self._unsound(peer, batch_id, reason)
            case None:
                pass

    def _merged(self, peer: int, merged: Merged, now: Moment) -> None:
        if merged.change is not None:
            self._store(merged.change, peer)
            self._changed(now)
        acknowledgement = (peer, (self.hosted.acknowledge(merged.batch_id, UpdateStatus.OK),))

        def acknowledge(_: Moment) -> None:
            self._acknowledgements.append(acknowledgement)
            self._ledger.gather(self._take_acknowledgements)

        self._ledger.when_durable(acknowledge)

    def _take_acknowledgements(self) -> list[tuple[int, Frames]]:
        acknowledgements, self._acknowledgements = self._acknowledgements, []
        return acknowledgements

    def _store(self, change: Stored, origin: int | None) -> None:
        self._ledger.record(UpdateStored(self.hosted.room, change.update))

        def show(_: Moment) -> None:
            self.hosted.made_durable(change, origin)
            self._ledger.gather(self.hosted.take_shown)

        self._ledger.when_durable(show)

    def _suggest_rejoin(self, peer: int, hosted: HostedDocument) -> None:
        if peer in self._suggested_rejoin:
            reason = "changes are missing before yours, again; connect and join afresh"
            self._ledger.emit(Close(peer, CLOSE_OUT_OF_STEP, reason))
            self.drop(peer)
            return
        self._suggested_rejoin[peer] = None
        frame = hosted.put_out(
            peer,
            RoomErrorCode.REJOIN_SUGGESTED,
            "Your update builds on changes that the daemon does not have; join again.",
        )
        self._ledger.emit(Send(peer, (frame,)))

    def _unsound(self, peer: int, batch_id: bytes, reason: str) -> None:
        frame = self.hosted.acknowledge(batch_id, UpdateStatus.INVALID_UPDATE)
        self._ledger.emit(Send(peer, (frame,)))
        self._ledger.emit(Close(peer, CLOSE_UNSOUND, reason[:100]))
        self.drop(peer)
