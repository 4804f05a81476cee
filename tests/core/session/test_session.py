from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import ExecutionRecord
from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.session import effects, inputs
from headway.core.session.opening import OPEN_TOKEN
from headway.core.session.outgoing import MAX_BATCHES_IN_FLIGHT
from headway.core.session.requests import MAX_REQUESTS
from headway.core.session.session import JOIN_TIMEOUT_S, STEADY_S
from headway.core.sync.confirm import Confirmation
from headway.core.wire import codec, commands
from headway.core.wire.commands import MAX_RPC_BYTES
from headway.core.wire.fragments import FRAGMENT_BYTES
from headway.core.wire.messages import (
    Ack,
    FragmentHeader,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    RoomError,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.core.wire.rpc import (
    MAX_REQUEST_TIMEOUT_S,
    Accepted,
    Complete,
    Execute,
    Interrupt,
    Interrupted,
    Open,
    Save,
    Saved,
    Status,
)
from headway.errors import (
    BadRequest,
    Busy,
    ConfirmTimeout,
    ConnectionLost,
    DeadlineExceeded,
    EngineFailure,
    HeadsUnknown,
    HeadwayError,
    InvalidUpdate,
    NotebookNotFound,
    NotebookReplaced,
    NotPermitted,
    RequestFailed,
    StoreFailed,
    UnknownMethod,
    UpdateRejected,
    UpdateTooLarge,
)
from headway.ids import Heads, heads_to_text
from headway.moments import Moment
from session_world import NOTEBOOK, RUNTIME, Server, World, seeded


def sources(document: NotebookDocument) -> list[str]:
    return [cell.source for cell in document.cells()]


def execute(world: World, cell_id: str) -> Execute:
    return Execute(
        document=NOTEBOOK,
        cell_id=cell_id,
        execution_id="00000000-0000-7000-8000-000000000001",
        required_heads=heads_to_text(world.session.document.replica.heads()),
    )


def updates_under_way(world: World) -> list[Update]:
    decoded = [
        codec.decode(f) for f in world.to_server if isinstance(f, bytes) and f[:4] == b"%LOR"
    ]
    return [each for each in decoded if isinstance(each, Update)]


# Opening


def test_a_session_is_live_once_everything_the_server_shows_is_here() -> None:
    server = Server()
    server.write("x = 1")
    world = World(server).live()
    assert sources(world.session.document) == ["x = 1"]
    assert world.session.runtime is not None
    assert world.session.runtime.kernel()["status"] == "idle"


def test_a_refused_open_ends_the_session_with_the_daemons_error() -> None:
    world = World(Server(answers_open=False))
    world.feed(inputs.Started())
    world.settle()
    (request,) = world.server.requests
    world.deliver(
        [commands.encode_error(request.id, NotebookNotFound("There is no such notebook."))]
    )
    assert world.status() == "closed"
    assert isinstance(world.session.error, NotebookNotFound)
    for late in world.confirm(), world.request(Status()):
        assert world.outcome(late) is world.session.error


def test_a_first_connection_that_fails_ends_the_session_with_its_error() -> None:
    world = World()
    world.reachable = False
    world.feed(inputs.Started())
    world.feed(inputs.Disconnected("refused", ConnectionLost("Nobody is there.")))
    assert world.status() == "closed"
    assert world.session.next_deadline() is None


def test_a_connection_that_comes_after_the_end_is_ended_too() -> None:
    world = World()
    world.reachable = False
    world.feed(inputs.Started())
    world.feed(inputs.CloseAsked())
    happened = world.session.handle(inputs.Connected(), Moment(world.now_s, world.now_s))
    assert [type(each) for each in happened] == [effects.Disconnect]
    assert world.status() == "closed"


def test_an_opening_that_makes_no_progress_is_tried_again() -> None:
    world = World(Server(answers_open=False))
    world.feed(inputs.Started())
    world.settle()
    world.pass_time(JOIN_TIMEOUT_S + 1)
    assert sum(isinstance(each, effects.Connect) for each in world.seen) == 2


class Withholding(Server):
    """Lets a session into its rooms, and sends what is in them later."""

    def __init__(self) -> None:
        super().__init__()
        self.withheld: dict[str, list[bytes]] = {}

    def admit(self, message: Join) -> list[bytes]:
        joined, *self.withheld[message.room] = super().admit(message)
        return [joined]


@pytest.mark.parametrize("last", [NOTEBOOK, RUNTIME])
def test_a_session_is_not_live_while_anything_of_its_documents_is_missing(last: str) -> None:
    server = Withholding()
    world = World(server)
    world.feed(inputs.Started())
    world.settle()
    (first,) = server.withheld.keys() - {last}
    world.deliver(server.withheld[first])
    assert world.status() == "connecting"
    world.deliver(server.withheld[last])
    assert world.status() == "live"


def test_an_opening_that_makes_progress_is_not_given_up_however_slow_it_is() -> None:
    server = Withholding()
    world = World(server)
    world.feed(inputs.Started())
    world.settle()
    for withheld in server.withheld.values():
        world.pass_time(JOIN_TIMEOUT_S - 1)
        world.feed(inputs.Tick())
        world.deliver(withheld)
    assert not [each for each in world.seen if isinstance(each, effects.Disconnect)]
    assert world.status() == "live"


def test_a_join_that_is_answered_with_no_version_ends_the_session() -> None:
    world = World(Withholding())
    world.feed(inputs.Started())
    world.settle()
    world.deliver([codec.encode(Joined(Kind.DOCUMENT, NOTEBOOK, "write", b"\xff"))])
    assert world.status() == "closed"
    assert isinstance(world.session.error, InvalidUpdate)


def test_a_large_change_that_comes_in_parts_is_taken_in_when_it_is_whole() -> None:
    world = World().live()
    header, *parts = world.server.write(random.Random(0).randbytes(FRAGMENT_BYTES).hex())
    assert len(parts) > 1
    world.deliver([header, *parts[:-1]])
    assert sources(world.session.document) == []
    world.deliver(parts[-1:])
    assert sources(world.session.document) == sources(world.server.notebook)
    assert world.status() == "live"


def test_a_session_is_not_live_again_before_it_is_let_in_again() -> None:
    server = Server()
    world = World(server).live()
    world.drop()
    world.pass_time(1)
    world.drop()
    world.feed(inputs.Tick())
    world.now_s += 10
    world.feed(inputs.Tick())
    world.deliver(server.receive(world.to_server.pop(0)))
    world.deliver([codec.encode(Joined(Kind.PRESENCE, NOTEBOOK, "write", b""))])
    assert world.status() == "reconnecting"
    world.settle()
    assert world.status() == "live"


def test_a_second_answer_to_the_opening_is_nothing() -> None:
    world = World().live()
    joins = len(world.server.joins)
    world.deliver([commands.encode_result(OPEN_TOKEN, world.server.opened)])
    world.settle()
    assert world.status() == "live"
    assert len(world.server.joins) == joins


def test_a_notebook_that_nobody_finds_any_more_is_asked_for_by_its_path_once() -> None:
    world = World().live()
    world.drop()
    asked: list[Open] = []

    class Forgetful(Server):
        def receive(self, frame: bytes | str) -> list[bytes]:
            assert isinstance(frame, bytes)
            request = commands.decode(frame)
            assert isinstance(request, commands.Request)
            assert isinstance(request.params, Open)
            asked.append(request.params)
            return [commands.encode_error(request.id, NotebookNotFound("There is none."))]

    world.server = Forgetful()
    world.pass_time(1)
    assert [(each.document, each.path) for each in asked] == [(NOTEBOOK, None), (None, "/a.ipynb")]
    assert not any(each.create for each in asked)
    assert world.status() == "closed"
    assert isinstance(world.session.error, NotebookNotFound)


@pytest.mark.parametrize(
    ("code", "app_code", "error"),
    [
        (JoinErrorCode.AUTH_FAILED, None, NotPermitted),
        (JoinErrorCode.VERSION_UNKNOWN, None, HeadsUnknown),
        (JoinErrorCode.APP_ERROR, "UPDATE_TOO_LARGE", UpdateTooLarge),
        (JoinErrorCode.UNKNOWN, None, RequestFailed),
    ],
)
def test_a_refused_join_ends_the_session_with_a_typed_error(
    code: JoinErrorCode, app_code: str | None, error: type[HeadwayError]
) -> None:
    world = World(Withholding())
    world.feed(inputs.Started())
    world.settle()
    refusal = JoinError(Kind.DOCUMENT, NOTEBOOK, code, "No.", app_code=app_code)
    world.deliver([codec.encode(refusal)])
    assert world.status() == "closed"
    assert type(world.session.error) is error
    assert "No." in str(world.session.error)


# Confirmation


def test_a_confirmation_is_true_only_once_the_change_itself_is_acknowledged() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("x = 1")
    token = world.confirm()
    world.settle()
    assert world.outcome(token) is None
    world.deliver(world.server.release())
    outcome = world.outcome(token)
    assert isinstance(outcome, Confirmation)
    assert outcome.confirmed
    assert outcome.heads == world.session.document.replica.heads()
    assert outcome.durability == "durable"


def test_a_servers_frame_that_was_already_under_way_confirms_nothing() -> None:
    world = World(Server(hold_updates=True)).live()
    under_way = world.server.write("y = 2")
    world.edit("x = 1")
    token = world.confirm()
    world.settle()
    world.deliver(under_way)
    assert world.outcome(token) is None
    assert not world.session.confirmations.remote.includes(world.session.document.replica.version())


def test_the_acknowledgement_of_another_batch_confirms_nothing() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("first")
    world.edit("second")
    token = world.confirm()
    world.settle()
    first, second = world.server.held
    stranger = Ack(Kind.DOCUMENT, NOTEBOOK, b"stranger", UpdateStatus.OK)
    world.deliver([codec.encode(stranger)])
    world.deliver(world.server.merge(first))
    assert world.outcome(token) is None
    world.deliver(world.server.merge(second))
    assert isinstance(world.outcome(token), Confirmation)


def test_a_later_batch_counts_only_with_the_ones_before_it() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("first")
    world.edit("second")
    token = world.confirm()
    world.settle()
    first, second = world.server.held
    world.deliver([codec.encode(Ack(Kind.DOCUMENT, NOTEBOOK, second.batch_id, UpdateStatus.OK))])
    assert world.outcome(token) is None
    world.deliver([codec.encode(Ack(Kind.DOCUMENT, NOTEBOOK, first.batch_id, UpdateStatus.OK))])
    assert isinstance(world.outcome(token), Confirmation)


def test_a_confirmation_completes_while_others_keep_writing() -> None:
    world = World().live()
    world.edit("x = 1")
    token = world.confirm()
    for number in range(5):
        world.deliver(world.server.write(f"other {number}"))
    world.settle()
    world.deliver(world.server.write("still writing"))
    assert isinstance(world.outcome(token), Confirmation)


def test_one_acknowledgement_settles_every_waiter_it_covers_and_no_other() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("first")
    early = [world.confirm() for _ in range(10)]
    world.settle()
    world.edit("second")
    late = world.confirm()
    world.deliver(world.server.release())
    assert all(isinstance(world.outcome(token), Confirmation) for token in early)
    assert world.outcome(late) is None


def test_a_confirmation_that_comes_too_late_is_a_typed_error_with_the_missing_heads() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("x = 1")
    token = world.confirm(timeout_s=2.0)
    world.settle()
    world.pass_time(1.9)
    assert world.outcome(token) is None
    world.pass_time(0.2)
    outcome = world.outcome(token)
    assert isinstance(outcome, ConfirmTimeout)
    assert outcome.data["missing"] == heads_to_text(world.session.document.replica.heads())


def test_nothing_to_confirm_is_confirmed_at_once() -> None:
    world = World().live()
    assert isinstance(world.outcome(world.confirm()), Confirmation)


@pytest.mark.parametrize("extra", [b"", b"no json", b"[]", b"{}", b'{"ack":"accepted"}'])
def test_a_plain_server_accepts_without_promising_the_disk(extra: bytes) -> None:
    world = World(Server(extra=extra), commands=False).live()
    world.edit("x = 1")
    token = world.confirm()
    world.settle()
    assert world.outcome(token).durability == "accepted"


def test_a_plain_server_has_no_commands() -> None:
    world = World(Server(extra=b""), commands=False).live()
    assert isinstance(world.outcome(world.request(Status())), UnknownMethod)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["edit", "other", "one", "all", "cut", "tick", "ask"]), max_size=30)
)
def test_no_confirmation_is_ever_true_without_containment(steps: list[str]) -> None:
    world = World(Server(hold_updates=True)).live()
    asked: dict[int, Version] = {}
    for step in steps:
        match step:
            case "edit":
                world.edit("x")
            case "other":
                frames = world.server.write("y")
                if world.connected:
                    world.deliver(frames)
            case "one" if world.to_server:
                world.deliver(world.server.receive(world.to_server.pop(0)))
            case "all":
                world.settle()
                world.deliver(world.server.release() if world.connected else [])
            case "cut" if world.connected:
                world.drop()
            case "tick":
                world.pass_time(0.1)
            case "ask":
                version = world.session.document.replica.version()
                asked[world.confirm(timeout_s=1000)] = version
        for token, wanted in asked.items():
            if isinstance(world.outcome(token), Confirmation):
                assert world.server.notebook.replica.version().includes(wanted)
    world.server.hold_updates = False
    if world.connected:
        world.deliver(world.server.release())
        world.settle()
        world.drop()
    world.pass_time(20)
    assert all(isinstance(world.outcome(token), Confirmation) for token in asked)
    assert sources(world.session.document) == sources(world.server.notebook)


# Sending


def test_an_edit_is_sent_once_and_never_echoes_what_the_server_sent() -> None:
    world = World().live()
    world.deliver(world.server.write("theirs"))
    assert updates_under_way(world) == []
    world.edit("ours")
    (batch,) = updates_under_way(world)
    before = world.server.notebook.replica.version()
    update = Replica(7)
    update.import_update(world.server.notebook.replica.export())
    step = update.import_update(batch.updates[0])
    assert step.after.operations_since(before) == step.shown.operations_since(before)
    world.settle()
    world.feed(inputs.Edited())
    assert updates_under_way(world) == []


def test_batches_in_flight_are_bounded_and_later_edits_go_together() -> None:
    world = World(Server(hold_updates=True)).live()
    for number in range(MAX_BATCHES_IN_FLIGHT + 20):
        world.edit(f"{number}")
    assert len(updates_under_way(world)) == MAX_BATCHES_IN_FLIGHT
    world.settle()
    token = world.confirm()
    world.server.hold_updates = False
    world.deliver(world.server.release())
    assert len(updates_under_way(world)) <= 2
    world.settle()
    assert isinstance(world.outcome(token), Confirmation)


def test_edits_made_offline_are_sent_after_the_reconnect() -> None:
    world = World().live()
    world.drop()
    assert world.status() == "reconnecting"
    world.edit("offline")
    token = world.confirm()
    assert world.outcome(token) is None
    world.pass_time(1)
    assert world.status() == "live"
    assert isinstance(world.outcome(token), Confirmation)
    assert sources(world.server.notebook) == ["offline"]


def test_a_batch_that_was_lost_with_the_connection_is_covered_by_the_next_join() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("lost")
    token = world.confirm()
    world.settle()
    world.drop()
    world.server.hold_updates = False
    world.pass_time(1)
    assert isinstance(world.outcome(token), Confirmation)
    assert sources(world.server.notebook) == ["lost"]


def test_a_confirmation_without_a_connection_ends_as_connection_lost() -> None:
    world = World().live()
    world.reachable = False
    world.drop()
    world.edit("offline")
    token = world.confirm(timeout_s=1.0)
    world.pass_time(1.5)
    outcome = world.outcome(token)
    assert isinstance(outcome, ConnectionLost)
    assert outcome.data["reason"] == "the wire was cut"


@pytest.mark.parametrize("kind", ["of another peer", "malformed"])
def test_a_refusal_spares_the_request_whose_heads_are_none_of_ours(kind: str) -> None:
    world = World(Server(refuse_with=UpdateStatus.INVALID_UPDATE)).live()
    other = NotebookDocument(Replica(77))
    other.apply([AddCell("theirs")], Moment(0, 0), "other")
    heads = other.replica.heads() if kind == "of another peer" else Heads(b"\xff\xff")
    asked = Save(document=NOTEBOOK, required_heads=heads_to_text(heads))
    token = world.request(asked, timeout_s=30.0)
    world.edit("refused")
    world.settle()
    assert len(world.session.rejected) == 1
    assert world.outcome(token) is None
    world.pass_time(1)
    assert world.status() == "live"


def test_who_waits_without_a_connection_is_told_why_there_is_none() -> None:
    world = World().live()
    world.server.refuse_open = StoreFailed("The disk is full.")
    world.drop()
    world.edit("offline")
    confirmation = world.confirm(timeout_s=5.0)
    request = world.request(Interrupt(document=NOTEBOOK), timeout_s=5.0)
    world.pass_time(6)
    for token in confirmation, request:
        outcome = world.outcome(token)
        assert isinstance(outcome, ConnectionLost)
        assert "The disk is full." in str(outcome)


def test_a_rate_limited_batch_is_sent_again_after_a_delay() -> None:
    world = World(Server(refuse_with=UpdateStatus.RATE_LIMITED)).live()
    world.edit("x = 1")
    token = world.confirm()
    world.settle()
    assert world.outcome(token) is None
    world.server.refuse_with = None
    world.pass_time(1)
    assert isinstance(world.outcome(token), Confirmation)
    assert world.session.rejected == []


@pytest.mark.parametrize("status", [UpdateStatus.RATE_LIMITED, UpdateStatus.FRAGMENT_TIMEOUT])
def test_a_refusal_that_passes_puts_nothing_aside_however_often_it_comes(
    status: UpdateStatus,
) -> None:
    world = World(Server(refuse_with=status)).live()
    world.edit("x = 1")
    token = world.confirm(timeout_s=60.0)
    world.settle()
    for _ in range(5):
        world.pass_time(6)
    assert world.outcome(token) is None
    assert world.session.rejected == []
    world.server.refuse_with = None
    world.pass_time(6)
    assert isinstance(world.outcome(token), Confirmation)
    assert sources(world.server.notebook) == ["x = 1"]


# Doubt


def test_what_was_known_already_is_no_change() -> None:
    world = World().live()
    frames = world.server.write("x = 1")
    world.seen.clear()
    world.deliver(frames)
    world.deliver(frames)
    assert len([each for each in world.seen if isinstance(each, effects.DocumentChanged)]) == 1


def test_a_gap_ends_the_connection_and_the_next_join_closes_it() -> None:
    world = World().live()
    world.server.write("missed")
    gap = world.server.write("after it")
    world.deliver(gap)
    assert any(isinstance(each, effects.Disconnect) for each in world.seen)
    world.pass_time(1)
    assert world.status() == "live"
    assert sources(world.session.document) == ["missed", "after it"]


def test_garbage_ends_the_connection_and_unknown_frames_are_skipped() -> None:
    world = World().live()
    world.deliver([b"%XYZwhatever"])
    assert world.status() == "live"
    world.deliver([b"%LOR\xff\xff\xff\xff\xff\xff"])
    assert world.status() == "reconnecting"


def test_what_was_half_received_when_the_connection_ended_does_not_end_the_next_one() -> None:
    world = World().live()
    header = FragmentHeader(Kind.DOCUMENT, NOTEBOOK, b"12345678", 2, 1000)
    world.deliver([codec.encode(header)])
    world.drop()
    world.pass_time(1)
    world.seen.clear()
    world.pass_time(JOIN_TIMEOUT_S + 1)
    world.feed(inputs.Tick())
    assert not [each for each in world.seen if isinstance(each, effects.Disconnect)]
    assert world.status() == "live"


@pytest.mark.parametrize("room", [NOTEBOOK, RUNTIME])
def test_a_change_whose_parts_do_not_come_costs_the_connection_and_nothing_else(room: str) -> None:
    world = World().live()
    world.deliver([codec.encode(FragmentHeader(Kind.DOCUMENT, room, b"12345678", 2, 1000))])
    world.seen.clear()
    world.pass_time(JOIN_TIMEOUT_S + 10)
    assert len([each for each in world.seen if isinstance(each, effects.Disconnect)]) == 1
    assert world.status() == "live"


def test_an_update_that_the_engine_fails_over_ends_the_session_with_its_error() -> None:
    world = World().live()
    error = EngineFailure("The document engine failed.")

    def fails(*_: object) -> None:
        raise error

    world.session.document.replica.import_update = fails  # type: ignore[method-assign, assignment]
    world.deliver(world.server.write("x = 1"))
    assert world.status() == "closed"
    assert world.session.error is error


def test_a_suggested_rejoin_is_done_once_and_then_the_connection_ends() -> None:
    world = World().live()
    suggestion = codec.encode(
        RoomError(Kind.DOCUMENT, NOTEBOOK, RoomErrorCode.REJOIN_SUGGESTED, "out of step")
    )
    joins = len(world.server.joins)
    world.deliver([suggestion])
    world.settle()
    assert len(world.server.joins) == joins + 1
    assert world.status() == "live"
    assert not [each for each in world.seen if isinstance(each, effects.Disconnect)]
    world.deliver([suggestion])
    assert [each for each in world.seen if isinstance(each, effects.Disconnect)]
    assert world.status() == "reconnecting"


def test_nothing_is_sent_between_a_suggested_rejoin_and_the_join() -> None:
    world = World().live()
    suggestion = RoomError(Kind.DOCUMENT, NOTEBOOK, RoomErrorCode.REJOIN_SUGGESTED, "out of step")
    world.deliver([codec.encode(suggestion)])
    world.edit("x = 1")
    assert updates_under_way(world) == []
    world.settle()
    assert sources(world.server.notebook) == ["x = 1"]


def test_an_eviction_closes_the_session_with_a_typed_error() -> None:
    world = World().live()
    token = world.request(Status())
    evicted = RoomError(Kind.DOCUMENT, NOTEBOOK, RoomErrorCode.EVICTED, "closed by its owner")
    world.deliver([codec.encode(evicted)])
    assert world.status() == "closed"
    assert isinstance(world.outcome(token), ConnectionLost)
    assert isinstance(world.outcome(world.confirm()), ConnectionLost)


def test_a_ping_is_answered() -> None:
    world = World().live()
    world.feed(inputs.Received("ping"))
    assert world.to_server == ["pong"]


# Refusal


def test_a_refused_replica_is_kept_aside_and_a_fresh_one_goes_on() -> None:
    world = World().live()
    world.edit("good")
    world.settle()
    world.server.refuse_with = UpdateStatus.INVALID_UPDATE
    world.edit("bad")
    token = world.confirm()
    old = world.session.document.replica.peer
    world.settle()
    outcome = world.outcome(token)
    assert isinstance(outcome, UpdateRejected)
    assert outcome.data["status"] == "invalid_update"
    assert any(isinstance(each, effects.ReplicaRefused) for each in world.seen)
    ((_, kept),) = world.session.rejected
    assert sources(kept) == ["good", "bad"]
    assert sources(world.session.document) == ["good"]
    assert world.session.document.replica.peer != old
    assert world.status() == "rejected"
    world.server.refuse_with = None
    world.pass_time(1)
    assert world.status() == "live"
    world.edit("after")
    world.settle()
    assert sources(world.server.notebook) == ["good", "after"]


def test_a_request_that_must_see_what_was_refused_is_never_sent() -> None:
    world = World(Server(refuse_with=UpdateStatus.INVALID_UPDATE)).live()
    world.drop()
    cell_id = world.edit("bad")
    running, other = world.request(execute(world, cell_id)), world.request(Status())
    world.pass_time(3)
    assert isinstance(world.outcome(running), UpdateRejected)
    assert [each.id for each in world.server.requests] == [other]
    assert world.session.next_deadline() is not None, "the other one goes on"


def be_refused(world: World) -> None:
    """An edit is refused while nobody waits, and work goes on."""
    world.server.refuse_with = UpdateStatus.INVALID_UPDATE
    world.edit("bad")
    world.settle()
    world.server.refuse_with = None
    world.pass_time(1)


def is_told_once(world: World, error: type[HeadwayError]) -> None:
    assert world.status() == "live"
    assert world.session.owes_an_error
    assert isinstance(world.outcome(world.confirm()), error)
    assert not world.session.owes_an_error
    again = world.confirm()
    world.settle()
    assert world.outcome(again).confirmed


def test_a_refusal_that_nobody_waited_for_is_told_to_who_confirms_next() -> None:
    world = World().live()
    be_refused(world)
    is_told_once(world, UpdateRejected)


def test_a_refusal_that_nobody_waited_for_is_told_to_who_runs_next() -> None:
    world = World().live()
    be_refused(world)
    assert isinstance(world.outcome(world.request(execute(world, "e1"))), UpdateRejected)
    assert world.outcome(world.request(execute(world, "e2"))) is None


def test_a_refusal_that_somebody_waited_for_is_not_told_again() -> None:
    world = World().live()
    world.server.refuse_with = UpdateStatus.INVALID_UPDATE
    world.edit("bad")
    told = world.confirm()
    world.settle()
    assert isinstance(world.outcome(told), UpdateRejected)
    world.server.refuse_with = None
    world.pass_time(1)
    world.edit("good")
    confirmed = world.confirm()
    world.settle()
    assert world.outcome(confirmed).confirmed


def test_a_reader_is_told_at_once_that_its_changes_are_refused() -> None:
    world = World(Server(permission="read")).live()
    assert world.session.is_read_only
    world.edit("x = 1")
    assert updates_under_way(world) == []
    assert isinstance(world.outcome(world.confirm()), UpdateRejected)


# Commands


def test_what_a_request_must_see_is_sent_before_it() -> None:
    world = World().live()
    document = world.session.document
    world.to_server.clear()
    cell = world._cells(6).hex()

    document.apply((AddCell(cell, source="1"),), Moment(0, 0), "me")
    world.request(execute(world, cell))
    kinds = [frame[:4] for frame in world.to_server if isinstance(frame, bytes)]
    assert kinds == [b"%LOR", b"%RPC"]


def test_answers_find_their_requests_in_any_order_and_strangers_are_dropped() -> None:
    world = World().live()
    tokens = [world.request(Interrupt(document=NOTEBOOK)) for _ in range(3)]
    world.settle()

    for request in reversed(world.server.requests):
        assert isinstance(request.id, int)
        answer = Interrupted(cancelled=request.id, interrupted=False)
        world.deliver([commands.encode_result(request.id, answer)] * 2)
    world.deliver([commands.encode_result(4242, Interrupted(cancelled=0, interrupted=False))])
    assert [world.outcome(token).cancelled for token in tokens] == tokens


def test_an_idempotent_request_is_sent_again_and_another_fails() -> None:
    world = World().live()
    cell = world.edit("1")
    world.settle()
    repeated = world.request(execute(world, cell))
    once = world.request(Interrupt(document=NOTEBOOK))
    world.settle()
    world.drop()
    assert isinstance(world.outcome(once), ConnectionLost)
    assert world.outcome(repeated) is None
    world.server.requests.clear()
    world.pass_time(1)
    (again,) = world.server.requests
    assert isinstance(again.params, Execute)
    accepted = Accepted(
        execution_id=again.params.execution_id, cell_id=cell, source_sha256="", heads=""
    )
    world.deliver([commands.encode_result(again.id, accepted)])
    assert world.outcome(repeated) == accepted


def test_a_request_may_wait_for_longer_than_the_daemon_is_asked_to() -> None:
    world = World().live()
    cell = world.edit("1")
    token = world.request(execute(world, cell), timeout_s=10 * MAX_REQUEST_TIMEOUT_S)
    world.settle()
    assert world.outcome(token) is None
    assert world.server.requests[0].params.timeout_s == MAX_REQUEST_TIMEOUT_S
    assert sources(world.server.notebook) == ["1"]


def test_more_requests_than_a_session_keeps_are_refused_as_busy() -> None:
    world = World().live()
    for _ in range(MAX_REQUESTS):
        assert world.outcome(world.request(Status())) is None
    assert isinstance(world.outcome(world.request(Status())), Busy)


def test_a_request_that_cannot_be_sent_after_all_costs_no_edit() -> None:
    world = World().live()
    params = Complete(document=NOTEBOOK, code="", cursor=0)
    spare = MAX_RPC_BYTES - len(commands.encode_request(1, params))
    token = world.request(structs.replace(params, code="x" * spare))
    world.edit("kept")
    world.settle()
    assert isinstance(world.outcome(token), BadRequest)
    assert sources(world.server.notebook) == ["kept"]


def test_a_request_that_no_message_holds_is_refused_at_once_also_without_a_connection() -> None:
    world = World().live()
    world.drop()
    token = world.request(Complete(document=NOTEBOOK, code="x" * MAX_RPC_BYTES, cursor=0))
    assert isinstance(world.outcome(token), BadRequest)


@pytest.mark.parametrize(
    ("code", "said"),
    [(b"text", "bytes are no JSON"), (float("nan"), "nan is no JSON"), ([{"a": b""}], "bytes")],
)
def test_what_json_would_carry_as_something_else_is_refused(code: Any, said: str) -> None:
    world = World().live()
    token = world.request(Complete(document=NOTEBOOK, code=code, cursor=0))
    world.settle()
    assert isinstance(world.outcome(token), BadRequest)
    assert said in str(world.outcome(token))
    assert world.server.requests == []


def test_a_request_has_one_deadline_and_the_daemon_a_shorter_one() -> None:
    world = World().live()
    cell = world.edit("1")
    token = world.request(execute(world, cell), timeout_s=10.0)
    world.settle()
    assert world.server.requests[0].params.timeout_s == 9.0
    world.pass_time(10.1)
    outcome = world.outcome(token)
    assert isinstance(outcome, DeadlineExceeded)
    assert outcome.data["execution_id"] == "00000000-0000-7000-8000-000000000001"


def test_an_abandoned_wait_is_settled_by_nothing() -> None:
    world = World().live()
    token = world.request(Status())
    world.feed(inputs.WaitAbandoned(token))
    world.pass_time(60)
    assert world.outcome(token) is None


@pytest.mark.parametrize("call", ["a request", "a confirmation"])
def test_a_waiting_call_shortens_the_wait_for_the_next_attempt(call: str) -> None:
    world = World().live()
    world.reachable = False
    world.drop()
    for _ in range(10):
        world.pass_time(10)
        if any(isinstance(each, effects.Connect) for each in world.seen[-2:]):
            world.feed(inputs.Disconnected("nobody is there"))
    deadline_s = world.session.next_deadline()
    assert deadline_s is not None
    if call == "a request":
        world.request(Status(), timeout_s=100)
    else:
        world.edit("x = 1")
        world.confirm(timeout_s=100)
    world.reachable = True
    world.pass_time(0.2)
    assert world.status() == "live"
    last = [each for each in world.seen if isinstance(each, effects.Connect)][-1]
    assert last.start


# The runtime document


def runtime_changes(world: World) -> list[effects.RuntimeChanged]:
    """What was told of the runtime document since the last call."""
    found = [each for each in world.seen if isinstance(each, effects.RuntimeChanged)]
    world.seen.clear()
    return found


def test_a_new_runtime_document_is_followed_and_the_old_one_stays_until_it_is_here() -> None:
    world = World().live()
    old = world.server.runtime_id
    assert runtime_changes(world) == [effects.RuntimeChanged(old, replaced=True)]
    world.deliver(world.server.run(ExecutionRecord(execution_id="e1", cell_id="c", status="ok")))
    assert runtime_changes(world) == [effects.RuntimeChanged(old, replaced=False)]
    reader = world.session.runtime
    assert reader is not None
    assert reader.status("e1") == "ok"

    server = world.server
    before = server.notebook.replica.version()
    server.runtime = RuntimeDocument(Replica(4711))
    server.runtime.add_execution(ExecutionRecord(execution_id="e2", cell_id="c", status="ok"))
    server.runtime.commit(Moment(0, 0))
    server.runtime_id = "rt-" + "1" * 32
    server.notebook.set_runtime(server.runtime_id, Moment(0, 0), "server")
    world.deliver(server.update_frames(NOTEBOOK, server.notebook.replica.export(before)))
    assert world.session.runtime is reader
    assert runtime_changes(world) == []
    world.settle()
    assert runtime_changes(world) == [effects.RuntimeChanged(server.runtime_id, replaced=True)]
    assert world.session.runtime is not reader
    assert world.session.runtime is not None
    assert world.session.runtime.status("e2") == "ok"
    assert world.status() == "live"


def test_a_gap_in_the_runtime_document_ends_the_connection_and_a_fresh_copy_is_read() -> None:
    world = World().live()
    world.server.run(ExecutionRecord(execution_id="missed", cell_id="c", status="ok"))
    later = ExecutionRecord(execution_id="later", cell_id="c", status="ok")
    world.deliver(world.server.run(later))
    assert world.status() == "reconnecting"
    world.pass_time(1)
    reader = world.session.runtime
    assert reader is not None
    assert {reader.status("missed"), reader.status("later")} == {"ok"}


def test_after_a_reconnect_the_runtime_document_goes_on_from_our_copy() -> None:
    world = World().live()
    world.deliver(world.server.run(ExecutionRecord(execution_id="e1", cell_id="c", status="ok")))
    world.drop()
    world.server.joins.clear()
    world.pass_time(1)
    joins = {join.room: join for join in world.server.joins if isinstance(join, Join)}
    assert not Version.decode(joins[world.server.runtime_id].version).is_empty


def test_closing_fails_what_waits_and_sends_nothing_more() -> None:
    world = World(Server(hold_updates=True)).live()
    world.edit("x")
    token = world.confirm()
    world.feed(inputs.CloseAsked())
    assert isinstance(world.outcome(token), ConnectionLost)
    for late in world.confirm(), world.request(Status()):
        assert isinstance(world.outcome(late), ConnectionLost)
    world.edit("y")
    assert world.to_server == []
    assert world.session.next_deadline() is None


def test_closing_without_a_connection_leaves_nothing_to_do() -> None:
    world = World().live()
    world.drop()
    world.feed(inputs.CloseAsked())
    assert world.session.next_deadline() is None


def test_a_connection_that_keeps_breaking_is_tried_ever_more_slowly() -> None:
    world = World().live()
    delays = []
    for _ in range(6):
        world.drop()
        deadline_s = world.session.next_deadline()
        assert deadline_s is not None
        delays.append(deadline_s - world.now_s)
        world.pass_time(delays[-1])
        assert world.status() == "live"
    assert delays[-1] > 5 * delays[0]
    world.pass_time(STEADY_S)
    world.drop()
    deadline_s = world.session.next_deadline()
    assert deadline_s is not None
    assert deadline_s - world.now_s < delays[1]


def test_a_server_that_nobody_reaches_is_tried_ever_more_slowly() -> None:
    world = World().live()
    world.pass_time(STEADY_S)
    world.drop()
    world.reachable = False
    delays = []
    for _ in range(10):
        deadline_s = world.session.next_deadline()
        assert deadline_s is not None
        delays.append(deadline_s - world.now_s)
        world.pass_time(delays[-1])
        world.feed(inputs.Disconnected("refused", ConnectionLost("Nobody is there.")))
    assert delays[-1] > 20 * delays[0]


def test_a_large_backlog_is_cut_between_commits() -> None:
    world = World().live()
    initial = world.server.notebook.replica.export()
    world.drop()
    for _ in range(5):
        world.edit("x" * 60_000)
    everything = world.session.document.replica.version()
    sent_before = len(world.seen)
    world.pass_time(1)
    frames = [
        frame
        for each in world.seen[sent_before:]
        if isinstance(each, effects.Send)
        for frame in each.frames
        if isinstance(frame, bytes) and frame.startswith(b"%LOR")
    ]
    batches = [each for each in map(codec.decode, frames) if isinstance(each, Update)]
    assert len(batches) >= 3
    whole = NotebookDocument(Replica(4243))
    whole.replica.import_update(initial)
    for batch in batches:
        for update in batch.updates:
            step = whole.replica.import_update(update)
            assert step.after.operations_since(step.before) <= 2 * 60_000 + 1000
        # Never a cell without its source: a cut lies between commits.
        assert {len(source) for source in sources(whole)} <= {60_000}
    assert world.server.notebook.replica.version().includes(everything)
    assert world.session.confirmations.remote.includes(everything)


# Another notebook in its place


def another_daemon(world: World) -> Server:
    """The daemon comes back with an empty store, and another notebook of the same file."""
    world.drop()
    successor = Server(entropy=seeded(7), document="nb-" + "f" * 32)
    world.server = successor
    return successor


def test_another_notebook_at_the_path_is_not_merged_and_editing_goes_on_in_it() -> None:
    world = World().live()
    world.edit("ours")
    world.settle()
    other = another_daemon(world)
    other.write("theirs")
    world.edit("unsent")
    token = world.confirm()
    world.pass_time(5)
    world.settle()

    outcome = world.outcome(token)
    assert isinstance(outcome, NotebookReplaced)
    assert outcome.data == {"document": NOTEBOOK, "found": other.document}
    ((reason, kept),) = world.session.rejected
    assert reason == "replaced"
    assert sources(kept) == ["ours", "unsent"]
    assert sources(world.session.document) == ["theirs"]
    assert world.session.document_id == other.document
    assert world.status() == "live"
    changes = [each for each in world.seen if isinstance(each, effects.StatusChanged)]
    assert [each.status for each in changes][-2:] == ["rejected", "live"]
    assert isinstance(changes[-2].error, NotebookReplaced)

    world.edit("more")
    confirmed = world.confirm()
    world.settle()
    assert world.outcome(confirmed).confirmed
    assert sources(other.notebook) == ["theirs", "more"]


def test_another_notebook_that_was_found_before_anybody_waited_is_told_once() -> None:
    world = World().live()
    another_daemon(world)
    world.edit("unsent")
    world.pass_time(5)
    world.settle()
    is_told_once(world, NotebookReplaced)


def test_a_notebook_that_is_lost_a_second_time_is_found_by_its_path_again() -> None:
    class Forgetful(Server):
        """Knows no document by its id."""

        def receive(self, frame: bytes | str) -> list[bytes]:
            if isinstance(frame, bytes) and frame.startswith(commands.RPC_MAGIC):
                request = commands.decode(frame)
                assert isinstance(request, commands.Request)
                if isinstance(request.params, Open) and request.params.document is not None:
                    return [commands.encode_error(request.id, NotebookNotFound("Unknown."))]
            return super().receive(frame)

    world = World().live()
    for number in (1, 2):
        world.drop()
        world.server = Forgetful(entropy=seeded(number), document=f"nb-{number:032}")
        world.pass_time(1)
        assert world.session.document_id == world.server.document
        assert world.status() == "live"


def test_requests_to_the_lost_notebook_fail_and_later_ones_are_answered() -> None:
    world = World().live()
    other = another_daemon(world)
    lost = world.request(Save(document=NOTEBOOK))
    world.pass_time(5)
    world.settle()
    assert isinstance(world.outcome(lost), NotebookReplaced)
    world.request(Save(document=other.document))
    world.settle()
    (request,) = other.requests
    assert isinstance(request.params, Save)
    assert request.params.document == other.document


def test_a_saved_notebook_is_asked_for_at_its_new_path() -> None:
    world = World().live()
    token = world.request(Save(document=NOTEBOOK, path="/b.ipynb"))
    world.settle()
    saved = Saved(path="/b.ipynb", heads="", sha256="", changed=True)
    world.deliver([commands.encode_result(world.server.requests[-1].id, saved)])
    assert world.outcome(token) == saved
    assert world.session.opened is not None
    assert world.session.opened.path == "/b.ipynb"
