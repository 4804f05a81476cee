"""Known bugs of synchronisation and confirmation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from headway.core.room.documents import Documents
from headway.core.room.effects import Send, UpdateStored
from headway.core.room.recorder import Recorder
from headway.core.session import membership, outgoing, session
from headway.core.sync import confirm, peer
from headway.core.sync.confirm import Confirmation, Confirmations
from headway.core.sync.fanout import HostedDocument, Merged
from headway.core.wire.messages import FragmentHeader, UpdateStatus
from sim.planting import instead, planted

__all__: list[str] = []

# What is said of edits that were refused


@planted(32, 44)
def a_refusal_that_nobody_waited_for_is_told_to_nobody() -> AbstractContextManager[object]:
    return instead(session.Session, "_take_untold", lambda self: None)


# What an Ack says


@planted(0, 1)
def ack_before_fsync() -> AbstractContextManager[object]:
    def merged(self: Documents, number: int, outcome: Merged, now: Any) -> None:
        if outcome.change is not None:
            self._store(outcome.change, number)
            self._changed(now)
        frame = self.hosted.acknowledge(outcome.batch_id, UpdateStatus.OK)
        self._ledger.emit(Send(number, (frame,)))

    return instead(Documents, "_merged", merged)


@planted(0, 1)
def ack_before_merge() -> AbstractContextManager[object]:
    whole = HostedDocument._merge

    def merge(self: Any, batch: Any) -> Any:
        late, self.late_batch = getattr(self, "late_batch", None), batch
        change = None
        if late is not None:
            outcome = whole(self, late)
            change = outcome.change if isinstance(outcome, Merged) else None
        return Merged(batch.batch_id, change)

    return instead(HostedDocument, "_merge", merge)


@planted(0, 1)
def ack_of_an_incomplete_fragment_batch() -> AbstractContextManager[object]:
    receive = peer.Membership.receive

    def hasty(self: peer.Membership, message: Any, now: Any) -> Any:
        outcome = receive(self, message, now)
        if outcome is None and isinstance(message, FragmentHeader):
            return peer.Batch(message.batch_id, ())
        return outcome

    return instead(peer.Membership, "receive", hasty)


@planted(0, 1)
def any_frame_is_an_ack() -> AbstractContextManager[object]:
    receive = membership.Membership.receive

    def trusting(self: membership.Membership, message: Any, now: Any) -> Any:
        effects, turn = receive(self, message, now)
        held = self.confirmations.advance(self.document.replica.version(), now.monotonic_s)
        return [*effects, *membership.confirm_effects(held)], turn

    return instead(membership.Membership, "receive", trusting)


@planted(0, 4)
def an_ack_covers_all_that_was_written_since() -> AbstractContextManager[object]:
    acknowledge = outgoing.Outgoing.acknowledge

    def generous(self: outgoing.Outgoing, identity: bytes, status: Any, now_s: float) -> Any:
        learned = acknowledge(self, identity, status, now_s)
        if learned.held is not None:
            return outgoing.Acknowledged(held=self.replica.version())
        return learned

    return instead(outgoing.Outgoing, "acknowledge", generous)


# Confirming


@planted(0, 3)
def a_confirmation_by_time_out() -> AbstractContextManager[object]:
    def forgiving(waiter: Any, now_s: float, away: str | None) -> Any:
        return Confirmation(waiter.heads, now_s - waiter.asked_s, durability="durable")

    return instead(confirm, "_late", forgiving)


@planted(0, 1)
def equality_of_heads_instead_of_containment() -> AbstractContextManager[object]:
    def equal(self: Confirmations, now_s: float) -> Any:
        held = [each for each in self._waiters.values() if self.remote == each.wanted]
        return [
            self._settle(each, Confirmation(each.heads, 0.0, durability=self.durability))
            for each in held
        ]

    return instead(Confirmations, "_settle_contained", equal)


@planted(0, 4)
def what_was_sent_counts_as_held() -> AbstractContextManager[object]:
    acknowledge = outgoing.Outgoing.acknowledge

    def optimistic(self: outgoing.Outgoing, identity: bytes, status: Any, now_s: float) -> Any:
        learned = acknowledge(self, identity, status, now_s)
        return outgoing.Acknowledged(held=self._sent) if learned.held is not None else learned

    return instead(outgoing.Outgoing, "acknowledge", optimistic)


# Synchronising


@planted(0, 11)
def a_dropped_update() -> AbstractContextManager[object]:
    take_shown = HostedDocument.take_shown

    def forgetful(self: Any) -> Any:
        self.shown = getattr(self, "shown", 0) + 1
        frames = take_shown(self)
        return frames[1:] if self.shown % 7 == 0 else frames

    return instead(HostedDocument, "take_shown", forgetful)


@planted(3, 6)
def rejoin_forgets_unsent_edits() -> AbstractContextManager[object]:
    begin = outgoing.Outgoing.begin
    began: list[outgoing.Outgoing] = []

    def forgetful(self: outgoing.Outgoing, remote: Any) -> None:
        begin(self, remote)
        if any(each is self for each in began):
            self._sent = self.replica.version()
        began.append(self)

    return instead(outgoing.Outgoing, "begin", forgetful)


@planted(0, 1)
def a_peer_id_used_by_two_replicas() -> AbstractContextManager[object]:
    return instead(session, "peer_id", lambda _entropy: 77)


@planted(0, 1)
def a_broadcast_before_it_is_durable() -> AbstractContextManager[object]:
    def store(self: Documents, change: Any, origin: int | None) -> None:
        self._ledger.record(UpdateStored(self.hosted.room, change.update))
        self.hosted.made_durable(change, origin)
        for number, frames in self.hosted.take_shown():
            self._ledger.emit(Send(number, frames))

    return instead(Documents, "_store", store)


@planted(0, 2)
def a_join_shows_what_is_not_durable() -> AbstractContextManager[object]:
    join = HostedDocument.join

    def generous(self: HostedDocument, number: int, message: Any) -> Any:
        self.durable = self._exported
        return join(self, number, message)

    return instead(HostedDocument, "join", generous)


@planted(0, 1)
def outputs_are_shown_before_they_are_durable() -> AbstractContextManager[object]:
    def show(self: Recorder, change: Any) -> None:
        self.hosted.made_durable(change)
        for number, frames in self.hosted.take_shown():
            self._ledger.emit(Send(number, frames))

    return instead(Recorder, "_show_when_durable", show)


@planted(0, 1)
def fan_out_to_the_origin_only() -> AbstractContextManager[object]:
    made_durable = HostedDocument.made_durable

    def turned(self: Any, change: Any, origin: int | None = None) -> None:
        made_durable(self, change, None)
        if origin is not None:
            self._unshown = {origin: self._unshown[origin]} if origin in self._unshown else {}

    return instead(HostedDocument, "made_durable", turned)
