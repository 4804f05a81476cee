"""Known bugs, put into the product on purpose: the simulator must find each of them.

A bug is a context manager that patches product code, and the seeds known to show it. A seed
that catches is found anew by `python tests/sim/planted.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from headway.core.room import executions, recorder, room
from headway.core.room.documents import Documents
from headway.core.room.effects import Send, UpdateStored
from headway.core.room.executions import Executions
from headway.core.room.inputs import KernelSaid
from headway.core.room.kernel_life import KernelLife
from headway.core.room.recorder import Recorder
from headway.core.session import membership, outgoing, session
from headway.core.session.requests import Requests
from headway.core.sync import confirm, peer
from headway.core.sync.confirm import Confirmation, Confirmations
from headway.core.sync.fanout import HostedDocument, Merged
from headway.core.wire.messages import FragmentHeader, UpdateStatus
from headway.errors import HeadwayError
from sim.oracle import Violation

__all__ = ["FOUND", "PLANTED", "Planted"]

FOUND = (Violation, HeadwayError)
"""How a bug shows: a property of the oracle, or the product's own refusal to go on."""

Patch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Planted:
    """A bug: its name, where the field had it, and the seeds that show it."""

    name: str
    patch: Patch
    seeds: tuple[int, ...] = ()


PLANTED: dict[str, Planted] = {}


def planted(*seeds: int) -> Callable[[Patch], Patch]:
    """Note a bug and the seeds that are known to show it."""

    def note(make: Patch) -> Patch:
        PLANTED[make.__name__] = Planted(make.__name__, make, seeds)
        return make

    return note


def instead(owner: Any, name: str, replacement: Any) -> AbstractContextManager[object]:
    return patch.object(owner, name, replacement)


# What an Ack says


@planted()
def ack_before_fsync() -> AbstractContextManager[object]:
    def merged(self: Documents, number: int, outcome: Merged, now: Any) -> None:
        if outcome.change is not None:
            self._store(outcome.change, number)
            self._changed(now)
        frame = self.hosted.acknowledge(outcome.batch_id, UpdateStatus.OK)
        self._ledger.emit(Send(number, (frame,)))

    return instead(Documents, "_merged", merged)


@planted()
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


@planted()
def ack_of_an_incomplete_fragment_batch() -> AbstractContextManager[object]:
    receive = peer.Membership.receive

    def hasty(self: peer.Membership, message: Any, now: Any) -> Any:
        outcome = receive(self, message, now)
        if outcome is None and isinstance(message, FragmentHeader):
            return peer.Batch(message.batch_id, ())
        return outcome

    return instead(peer.Membership, "receive", hasty)


@planted()
def any_frame_is_an_ack() -> AbstractContextManager[object]:
    receive = membership.Membership.receive

    def trusting(self: membership.Membership, message: Any, now: Any) -> Any:
        effects, turn = receive(self, message, now)
        held = self.confirmations.advance(self.document.replica.version(), now.monotonic_s)
        return [*effects, *membership.confirm_effects(held)], turn

    return instead(membership.Membership, "receive", trusting)


@planted()
def an_ack_covers_all_that_was_written_since() -> AbstractContextManager[object]:
    acknowledge = outgoing.Outgoing.acknowledge

    def generous(self: outgoing.Outgoing, identity: bytes, status: Any, now_s: float) -> Any:
        learned = acknowledge(self, identity, status, now_s)
        if learned.held is not None:
            return outgoing.Acknowledged(held=self.replica.version())
        return learned

    return instead(outgoing.Outgoing, "acknowledge", generous)


# Confirming


@planted()
def a_confirmation_by_time_out() -> AbstractContextManager[object]:
    def forgiving(waiter: Any, now_s: float, *, connected: bool) -> Any:
        return Confirmation(waiter.heads, now_s - waiter.asked_s, durability="durable")

    return instead(confirm, "_late", forgiving)


@planted()
def equality_of_heads_instead_of_containment() -> AbstractContextManager[object]:
    def equal(self: Confirmations, now_s: float) -> Any:
        held = [each for each in self._waiters.values() if self.remote == each.wanted]
        return [
            self._settle(each, Confirmation(each.heads, 0.0, durability=self.durability))
            for each in held
        ]

    return instead(Confirmations, "_settle_contained", equal)


@planted()
def what_was_sent_counts_as_held() -> AbstractContextManager[object]:
    acknowledge = outgoing.Outgoing.acknowledge

    def optimistic(self: outgoing.Outgoing, identity: bytes, status: Any, now_s: float) -> Any:
        learned = acknowledge(self, identity, status, now_s)
        return outgoing.Acknowledged(held=self._sent) if learned.held is not None else learned

    return instead(outgoing.Outgoing, "acknowledge", optimistic)


# Synchronising


@planted()
def a_dropped_update() -> AbstractContextManager[object]:
    made_durable = HostedDocument.made_durable

    def forgetful(self: Any, change: Any, origin: int | None = None) -> Any:
        self.shown = getattr(self, "shown", 0) + 1
        frames = made_durable(self, change, origin)
        return frames[1:] if self.shown % 7 == 0 else frames

    return instead(HostedDocument, "made_durable", forgetful)


@planted()
def rejoin_forgets_unsent_edits() -> AbstractContextManager[object]:
    begin = outgoing.Outgoing.begin
    began: list[outgoing.Outgoing] = []

    def forgetful(self: outgoing.Outgoing, remote: Any) -> None:
        begin(self, remote)
        if any(each is self for each in began):
            self._sent = self.replica.version()
        began.append(self)

    return instead(outgoing.Outgoing, "begin", forgetful)


@planted()
def a_peer_id_used_by_two_replicas() -> AbstractContextManager[object]:
    return instead(session, "peer_id", lambda _entropy: 77)


@planted()
def a_broadcast_before_it_is_durable() -> AbstractContextManager[object]:
    def store(self: Documents, change: Any, origin: int | None) -> None:
        self._ledger.record(UpdateStored(self.hosted.room, change.update))
        for number, frames in self.hosted.made_durable(change, origin):
            self._ledger.emit(Send(number, frames))

    return instead(Documents, "_store", store)


@planted()
def a_join_shows_what_is_not_durable() -> AbstractContextManager[object]:
    join = HostedDocument.join

    def generous(self: HostedDocument, number: int, message: Any) -> Any:
        self.durable = self._exported
        return join(self, number, message)

    return instead(HostedDocument, "join", generous)


@planted()
def outputs_are_shown_before_they_are_durable() -> AbstractContextManager[object]:
    def show(self: Recorder, change: Any) -> None:
        for number, frames in self.hosted.made_durable(change):
            self._ledger.emit(Send(number, frames))

    return instead(Recorder, "_show_when_durable", show)


# Executing


@planted()
def a_retried_execute_runs_twice() -> AbstractContextManager[object]:
    execute = Executions.execute

    def forgetful(self: Executions, request: Any, params: Any, notebook: Any, now: Any) -> None:
        self._taken.pop(params.execution_id, None)
        execute(self, request, params, notebook, now)

    return instead(Executions, "execute", forgetful)


@planted()
def a_restarted_daemon_forgets_which_ids_are_taken() -> AbstractContextManager[object]:
    initialize = Executions.__init__

    def forgetful(self: Executions, *parts: Any) -> None:
        untaken: Any = (*parts[:-1], {})
        initialize(self, *untaken)

    return instead(Executions, "__init__", forgetful)


@planted()
def what_runs_is_the_newest_source() -> AbstractContextManager[object]:
    source = executions._source

    def newest(notebook: Any, cell_id: str, _source: str, heads: Any) -> Any:
        return source(notebook, cell_id, "latest", heads)

    return instead(executions, "_source", newest)


@planted()
def required_heads_are_not_waited_for() -> AbstractContextManager[object]:
    def hasty(self: Any, request: Any, now: Any) -> None:
        if self._requests.open(request):
            self._serve(request, now)

    return instead(room.Room, "_requested", hasty)


@planted()
def an_execution_runs_before_it_is_durable() -> AbstractContextManager[object]:
    admit = Executions._admit

    def hasty(self: Executions, admitted: Any, asked_by: str, now: Any) -> None:
        these = tuple(admitted)
        admit(self, these, asked_by, now)
        for each in these:
            each.durable = True
        self.advance(now)

    return instead(Executions, "_admit", hasty)


@planted()
def accepted_before_it_is_durable() -> AbstractContextManager[object]:
    def answer(self: Executions, token: int, result: Any) -> None:
        self._requests.answer(token, result)

    return instead(Executions, "_answer_when_durable", answer)


@planted()
def a_terminal_status_before_its_outputs() -> AbstractContextManager[object]:
    apply_outputs = Recorder._apply_outputs
    flush = Recorder.flush

    def nothing(self: Any) -> None:
        return

    def late(self: Any, now: Any) -> None:
        """Commit the status, then the outputs."""
        with instead(Recorder, "_apply_outputs", nothing):
            flush(self, now)
        apply_outputs(self)
        flush(self, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(Recorder, "_apply_outputs", nothing),
            instead(Recorder, "flush", late),
        ):
            yield

    return both()


@planted()
def a_stale_done_of_an_earlier_run() -> AbstractContextManager[object]:
    def any_run(self: Executions, execution_id: str | None) -> bool:
        return self.queue.running is not None

    return instead(Executions, "_is_running", any_run)


@planted()
def words_of_an_earlier_kernel() -> AbstractContextManager[object]:
    handle = room.Room.handle

    def credulous(self: Any, event: Any, now: Any) -> Any:
        if isinstance(event, KernelSaid):
            event = KernelSaid(self._kernel.incarnation, event.events)
        return handle(self, event, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(room.Room, "handle", credulous),
            instead(Executions, "_is_running", lambda self, _: self.queue.running is not None),
        ):
            yield

    return both()


@planted()
def a_kernel_death_leaves_its_executions() -> AbstractContextManager[object]:
    changed = KernelLife.changed

    def careless(self: Any, event: Any, now: Any) -> None:
        with instead(self._executions, "end_all", lambda *_: 0):
            changed(self, event, now)

    return instead(KernelLife, "changed", careless)


@planted()
def an_interrupt_ends_what_comes_later() -> AbstractContextManager[object]:
    interrupt = Executions.interrupt
    admit = Executions._admit

    def remembering(self: Any, now: Any) -> Any:
        self.swept = True
        return interrupt(self, now)

    def sweeping(self: Any, admitted: Any, asked_by: str, now: Any) -> None:
        admit(self, admitted, asked_by, now)
        if getattr(self, "swept", False):
            self.swept = False
            interrupt(self, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(Executions, "interrupt", remembering),
            instead(Executions, "_admit", sweeping),
        ):
            yield

    return both()


@planted()
def a_restarted_daemon_leaves_the_unfinished() -> AbstractContextManager[object]:
    return instead(Executions, "end_unfinished", lambda *_: None)


@planted()
def an_output_is_lost_while_the_disk_is_busy() -> AbstractContextManager[object]:
    output = recorder.Recorder.output

    def lossy(self: Any, event: Any, now: Any) -> None:
        self.heard = getattr(self, "heard", 0) + 1
        if self.heard % 20 or self._ledger.is_durable:
            output(self, event, now)

    return instead(recorder.Recorder, "output", lossy)


@planted()
def a_lost_connection_leaves_requests_unsettled() -> AbstractContextManager[object]:
    return instead(Requests, "disconnected", lambda *_: [])


@planted()
def fan_out_to_the_origin_only() -> AbstractContextManager[object]:
    made_durable = HostedDocument.made_durable

    def turned(self: Any, change: Any, origin: int | None = None) -> Any:
        frames = made_durable(self, change, None)
        return tuple(each for each in frames if origin is None or each[0] == origin)

    return instead(HostedDocument, "made_durable", turned)


def main() -> None:
    """Look for the first seeds that show each bug."""
    from sim.world import World  # noqa: PLC0415

    wanted = sys.argv[1:] or list(PLANTED)
    for name in wanted:
        found: list[str] = []
        for seed in range(300):
            with PLANTED[name].patch():
                try:
                    World(seed).run()
                except FOUND as error:
                    found.append(f"{seed} ({type(error).__name__} {str(error)[:60]})")
            if len(found) == 3:
                break
        print(name, found, flush=True)


if __name__ == "__main__":
    main()
