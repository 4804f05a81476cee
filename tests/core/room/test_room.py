from __future__ import annotations

import hashlib

import pytest

from headway.core.document.edits import AddCell, DeleteCell, UpdateSource
from headway.core.kernel.events import ErrorOutput, ExecuteReply, Idle, Stream
from headway.core.room.documents import CLOSE_UNSOUND
from headway.core.room.effects import (
    Close,
    ExecutionAccepted,
    InterruptKernel,
    Persist,
    Send,
    StartKernel,
    StopKernel,
    WriteFile,
)
from headway.core.room.inputs import (
    FileWritten,
    KernelEnded,
    KernelFailed,
    KernelSaid,
    PeerGone,
    PersistFailed,
    Received,
    Requested,
)
from headway.core.room.opening import Opening
from headway.core.sync import fanout
from headway.core.wire import fragments, rpc
from headway.core.wire.codec import decode
from headway.core.wire.messages import (
    FragmentHeader,
    Join,
    JoinError,
    Kind,
    Leave,
    RoomError,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.errors import (
    BadRequest,
    CellNotFound,
    EngineFailure,
    ExecutionNotFound,
    HeadsTimeout,
    KernelNotFound,
    NotExecutable,
    StoreFailed,
)
from headway.ids import Heads, derived_execution_id, heads_to_text
from room_stage import DOCUMENT, Stage


def execute(stage: Stage, cell: str, heads: str | None = None, **more: str) -> tuple[str, int]:
    execution_id = more.pop("execution_id", None) or stage.new_id()
    params = rpc.Execute(
        document=DOCUMENT,
        cell_id=cell,
        execution_id=execution_id,
        required_heads=heads,
        **more,  # type: ignore[arg-type]
    )
    return execution_id, stage.ask(params)


# Acknowledgement and what is shown


def test_an_update_is_acknowledged_only_once_it_is_durable() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    peer = stage.peer()
    peer.add_cell("a", "1")

    assert peer.acks == []
    stage.disk()
    assert [ack.status for ack in peer.acks] == [UpdateStatus.OK]


def test_another_peer_sees_an_update_only_once_it_is_durable() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    writer, reader = stage.peer(1), stage.peer(2)
    writer.add_cell("a", "1")

    assert reader.notebook.order() == []
    stage.disk()
    assert reader.notebook.source("a") == "1"


def test_what_one_commit_made_durable_is_one_message_and_nobody_is_shown_its_own() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    ada, ben, reader = stage.peer(1), stage.peer(2), stage.peer(3)
    ada.add_cell("a", "1")
    ben.add_cell("b", "2")

    sent = [each for each in stage.group_commit() if isinstance(each, Send)]
    shown = {
        each.peer: len(message.updates)
        for each in sent
        for message in map(decode, each.frames)
        if isinstance(message, Update)
    }
    assert shown == {1: 1, 2: 1, 3: 2}
    assert [len(peer.acks) for peer in (ada, ben)] == [1, 1]
    assert all(sorted(peer.notebook.order()) == ["a", "b"] for peer in (ada, ben, reader))


def test_a_peer_that_left_before_the_commit_is_sent_nothing() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    writer, reader = stage.peer(1), stage.peer(2)
    writer.add_cell("a", "1")
    stage.feed(Received(reader.number, Leave(Kind.DOCUMENT, DOCUMENT)))

    assert {each.peer for each in stage.group_commit() if isinstance(each, Send)} == {1}


def test_a_peer_that_joins_is_shown_only_what_is_durable_and_then_the_rest() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    writer = stage.peer(1)
    writer.add_cell("a", "1")
    late = stage.peer(2)

    assert late.notebook.order() == []
    stage.disk()
    assert late.notebook.order() == ["a"]


def test_an_update_sent_twice_is_acknowledged_twice_and_merged_once() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.add_cell("a", "1")
    peer.sent = peer.sent.EMPTY
    persists = len(stage.persists)
    peer.send()

    assert [ack.status for ack in peer.acks] == [UpdateStatus.OK] * 2
    assert len(stage.persists) == persists


def test_a_repeated_update_is_not_acknowledged_before_the_first_is_durable() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    peer = stage.peer()
    peer.add_cell("a", "1")
    peer.sent = peer.sent.EMPTY
    peer.send()

    assert peer.acks == []
    stage.disk()
    assert len(peer.acks) == 2


def test_a_gap_asks_the_peer_to_join_again_and_then_closes() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.write(AddCell("a", source="1"))
    peer.sent = peer.replica.version()
    peer.write(AddCell("b", source="2"))
    peer.send()

    (error,) = [each for each in peer.others if isinstance(each, RoomError)]
    assert error.code == 1
    peer.join()
    peer.sent = peer.replica.version()
    peer.write(AddCell("c", source="3"))
    peer.send()
    (close,) = stage.of(Close)
    assert close.peer == 1
    assert close.code == 4001
    assert peer.acks == []
    assert len([each for each in peer.others if isinstance(each, RoomError)]) == 1


def test_garbage_is_refused_and_the_notebook_is_as_it_was() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.add_cell("a", "1")
    stage.feed(Received(1, Update(Kind.DOCUMENT, DOCUMENT, (b"garbage",), b"12345678")))

    assert peer.acks[-1].status is UpdateStatus.INVALID_UPDATE
    assert stage.room.notebook.order() == ["a"]
    peer.add_cell("b", "2")
    assert stage.room.notebook.order() == ["a", "b"]


def test_an_update_that_the_engine_fails_over_is_refused_before_the_room_ends() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.write(AddCell("a", source="1"))
    error = EngineFailure("The document engine failed.")

    def fails(*_: object) -> None:
        stage.room.notebook.replica.condemn("a panic")
        raise error

    stage.room.notebook.replica.import_update = fails  # type: ignore[method-assign, assignment]
    peer.send()
    assert peer.acks[-1].status is UpdateStatus.INVALID_UPDATE
    assert stage.of(Close)[0].code == CLOSE_UNSOUND
    assert stage.room.failure is error


def test_a_batch_with_garbage_in_it_leaves_nothing_behind() -> None:
    stage = Stage()
    peer, other = stage.peer(1), stage.peer(2)
    peer.write(AddCell("a", source="1"))
    good = peer.replica.export(peer.sent)
    stage.feed(Received(1, Update(Kind.DOCUMENT, DOCUMENT, (good, b"garbage"), b"12345678")))

    assert peer.acks[-1].status is UpdateStatus.INVALID_UPDATE
    assert stage.room.notebook.order() == []
    other.add_cell("b", "2")
    assert stage.room.notebook.order() == ["b"]
    assert sorted(peer.notebook.order()) == ["a", "b"]


def test_a_large_notebook_is_sent_without_the_state_that_its_history_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    text = stage.random.randbytes(2000).hex()  # nothing to compress
    stage.peer(1).add_cell("a", text)
    monkeypatch.setattr(fragments.split, "__defaults__", (100,))
    whole = stage.peer(2).others[0]
    monkeypatch.setattr(fanout, "MAX_UPDATE_BYTES", 2 * len(text))
    history = stage.peer(3).others[0]
    assert isinstance(whole, FragmentHeader)
    assert isinstance(history, FragmentHeader)
    assert len(text) < history.total_bytes < 2 * len(text) < whole.total_bytes


def test_a_notebook_that_is_too_large_to_be_sent_is_refused_and_the_room_works_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    stage.peer(1).add_cell("a", stage.random.randbytes(2000).hex())  # nothing to compress
    monkeypatch.setattr(fragments.split, "__defaults__", (100,))
    monkeypatch.setattr(fanout, "MAX_HISTORY_BYTES", 1000)
    late = stage.peer(2)
    (refusal,) = late.others
    assert isinstance(refusal, JoinError)
    assert refusal.app_code == "UPDATE_TOO_LARGE"
    assert "too large to be sent" in refusal.message
    assert stage.room.failure is None


def test_a_change_that_is_too_large_to_be_sent_asks_the_others_to_join_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    writer, reader = stage.peer(1), stage.peer(2)
    monkeypatch.setattr(fragments.split, "__defaults__", (100,))
    monkeypatch.setattr(fanout, "MAX_HISTORY_BYTES", 1000)
    writer.add_cell("a", "x" * 2000)
    assert writer.acks[-1].status is UpdateStatus.OK
    (put_out,) = reader.others
    assert isinstance(put_out, RoomError)
    assert put_out.code is RoomErrorCode.REJOIN_SUGGESTED


def test_the_runtime_document_takes_no_updates_from_peers() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.join_runtime()
    update = Update(Kind.DOCUMENT, stage.room.runtime, (b"x",), b"12345678")
    stage.feed(Received(1, update))

    assert peer.acks[-1].status is UpdateStatus.PERMISSION_DENIED


def test_updates_of_a_peer_that_has_not_joined_are_refused() -> None:
    stage = Stage()
    peer = stage.peer(1)
    stage.feed(Received(9, Update(Kind.DOCUMENT, DOCUMENT, (b"x",), b"12345678")))

    assert [each.peer for each in stage.of(Send)][-1] == 9
    assert peer.notebook.order() == []


def test_a_runtime_document_that_was_replaced_is_not_joined() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.feed(Received(1, Join(Kind.DOCUMENT, "rt-" + "f" * 32, b"", b"")))

    (refusal,) = [each for each in peer.others if isinstance(each, JoinError)]
    assert refusal.app_code == "runtime_replaced"


# Executing what was confirmed


def test_a_cell_runs_as_the_caller_saw_it_and_the_record_says_so() -> None:
    stage = Stage()
    peer = stage.peer()
    heads = peer.add_cell("a", "1 + 1")
    execution_id, token = execute(stage, "a", heads)
    stage.kernel_ready()

    accepted = stage.answer(token)
    digest = hashlib.sha256(b"1 + 1").hexdigest()
    assert accepted == rpc.Accepted(
        execution_id=execution_id, cell_id="a", source_sha256=digest, heads=heads
    )
    assert stage.ran() == [(execution_id, "1 + 1")]
    stage.kernel_finishes()
    record = stage.runtime.execution(execution_id)
    assert record is not None
    assert (record.status, record.source_sha256, record.heads) == ("ok", digest, heads)
    assert record.outputs[0]["data"] == {"text/plain": "2"}


def test_a_request_waits_for_heads_that_have_not_arrived() -> None:
    stage = Stage()
    peer = stage.peer()
    unsent = peer.sent
    heads = heads_to_text(peer.write(AddCell("a", source="1")))
    _, token = execute(stage, "a", heads)

    assert stage.answer(token) is None
    stage.peer(2).add_cell("b", "2")
    assert stage.answer(token) is None, "somebody else's change is not the one it waits for"
    peer.sent = unsent
    peer.send()
    assert isinstance(stage.answer(token), rpc.Accepted)


def test_heads_that_never_arrive_are_a_typed_refusal_at_the_deadline() -> None:
    stage = Stage()
    peer = stage.peer()
    heads = heads_to_text(peer.write(AddCell("a", source="1")))
    _, token = execute(stage, "a", heads)
    stage.wait(29.9)
    assert stage.answer(token) is None
    stage.wait(0.2)

    assert isinstance(stage.answer(token), HeadsTimeout)
    assert stage.of(StartKernel) == []


def test_malformed_heads_are_refused_at_once() -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    nobodys = Heads(b"\x01\x07\x01")  # the change -1 of peer 7
    for nonsense in ("!!", heads_to_text(Heads(b"\xff\xff\xff")), heads_to_text(nobodys)):
        _, token = execute(stage, "a", nonsense)
        assert isinstance(stage.answer(token), BadRequest)
        stage.peer(2).write(AddCell(stage.new_id(), source="1"))  # nothing has broken


def test_what_somebody_else_types_later_does_not_change_what_runs() -> None:
    stage = Stage()
    first, second = stage.peer(1), stage.peer(2)
    heads = first.add_cell("a", "x = 1")
    second.edit(UpdateSource("a", "x = 2"))
    execution_id, _ = execute(stage, "a", heads)
    stage.kernel_ready()

    assert stage.ran() == [(execution_id, "x = 1")]


def test_the_newest_source_runs_when_the_caller_asks_for_it() -> None:
    stage = Stage()
    first, second = stage.peer(1), stage.peer(2)
    heads = first.add_cell("a", "x = 1")
    second.edit(UpdateSource("a", "x = 2"))
    execution_id, _ = execute(stage, "a", heads, source="latest")
    stage.kernel_ready()

    assert stage.ran() == [(execution_id, "x = 2")]


def test_nothing_reaches_the_kernel_before_its_admission_is_durable() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    stage.holds_disk = True
    execution_id, token = execute(stage, "a", heads)

    assert stage.ran() == []
    assert stage.answer(token) is None
    records = [record for each in stage.of(Persist) for record in each.records]
    assert any(isinstance(each, ExecutionAccepted) for each in records)
    stage.disk()
    assert stage.ran() == [(execution_id, "1")]
    assert isinstance(stage.answer(token), rpc.Accepted)


def test_what_begins_is_shown_a_moment_later_and_what_waits_behind_it_at_once() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    stage.show()
    peer.add_cell("a", "1")
    peer.join_runtime()
    first, _ = execute(stage, "a")
    assert peer.runtime.status(first) is None
    stage.show()
    assert peer.runtime.status(first) == "running"
    waits, _ = execute(stage, "a")
    assert peer.runtime.status(waits) == "queued"
    assert peer.runtime.queue() == [first, waits]


def test_an_execution_id_runs_once_however_often_it_is_asked_for() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    execution_id, first = execute(stage, "a", heads)
    _, second = execute(stage, "a", heads, execution_id=execution_id)
    stage.kernel_ready()
    stage.kernel_finishes()
    _, third = execute(stage, "a", heads, execution_id=execution_id)

    assert stage.answer(first) == stage.answer(second) == stage.answer(third)
    assert len(stage.ran()) == 1


@pytest.mark.parametrize("made_up", ["7", "00000000-0000-7000-8000-00000000000A"])
def test_an_id_that_is_no_uuid_is_refused_and_runs_nothing(made_up: str) -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    _, single = execute(stage, "a", execution_id=made_up)
    batch = stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=made_up))
    for token in single, batch:
        assert isinstance(stage.answer(token), BadRequest)
    assert stage.runtime.executions() == []


def test_queueing_a_queued_cell_again_gives_the_execution_that_waits() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    first, _ = execute(stage, "a", heads)
    second, token = execute(stage, "a", heads)

    assert second != first
    assert stage.answer(token).execution_id == first
    stage.kernel_ready()
    stage.kernel_finishes()
    assert len(stage.ran()) == 1
    third, token = execute(stage, "a", heads)
    assert stage.answer(token).execution_id == third


def test_an_execution_accepted_by_an_earlier_daemon_is_not_run_again() -> None:
    known = "0199c2a5-1111-7000-8000-000000000001"
    stage = Stage(opening=Opening(document=DOCUMENT, path=None, taken={known: known}))
    heads = stage.peer().add_cell("a", "1")
    _, token = execute(stage, "a", heads, execution_id=known)

    assert stage.answer(token).execution_id == known
    assert stage.of(StartKernel) == []


@pytest.mark.parametrize(
    ("cell", "kind"), [("nowhere", CellNotFound), ("text", NotExecutable), ("gone", CellNotFound)]
)
def test_a_cell_that_cannot_run_is_refused_at_once(cell: str, kind: type[Exception]) -> None:
    stage = Stage()
    peer = stage.peer()
    peer.edit(AddCell("text", cell_type="markdown", source="# hi"), AddCell("gone", source="1"))
    heads = heads_to_text(peer.edit(DeleteCell("gone")))
    _, token = execute(stage, cell, heads)

    assert isinstance(stage.answer(token), kind)
    assert stage.of(StartKernel) == []


def test_outputs_are_in_every_replica_before_the_terminal_status() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.join_runtime()
    heads = peer.add_cell("a", "print")
    execution_id, _ = execute(stage, "a", heads)
    stage.kernel_ready()
    peer.join_runtime()
    seen: list[tuple[str | None, int]] = []
    receive = peer.receive

    def watch(message: object) -> None:
        receive(message)
        record = peer.runtime.execution(execution_id)
        if record is not None:
            seen.append((record.status, len(record.outputs)))

    peer.receive = watch  # type: ignore[method-assign]
    stage.kernel_says(Stream(execution_id, "stdout", "one\n"))
    stage.kernel_says(ErrorOutput(execution_id, "E", "v", ("t",)))
    stage.kernel_finishes()

    terminal = [outputs for status, outputs in seen if status == "ok"]
    assert terminal
    assert set(terminal) == {3}


@pytest.mark.parametrize("reply_first", [True, False])
def test_an_execution_ends_with_its_reply_and_its_idle_status_whichever_comes_last(
    reply_first: bool,
) -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    execution_id, _ = execute(stage, "a")
    stage.kernel_ready()
    words = ExecuteReply(execution_id, "ok", 1), Idle(execution_id)
    first, last = words if reply_first else words[::-1]
    stage.kernel_says(first)
    assert stage.runtime.status(execution_id) == "running"
    stage.kernel_says(last)
    assert stage.runtime.status(execution_id) == "ok"
    assert stage.room.kernel_state.status == "idle"


def test_executions_run_in_the_order_in_which_they_were_admitted() -> None:
    stage = Stage()
    peer = stage.peer()
    for name in "abc":
        peer.add_cell(name, f"run {name}")
        execute(stage, name)
    stage.kernel_ready()
    for _ in "abc":
        stage.kernel_finishes()

    assert [code for _, code in stage.ran()] == ["run a", "run b", "run c"]


def test_what_an_earlier_kernel_says_late_is_not_taken_for_the_present_one() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    first, _ = execute(stage, "a", heads)
    stage.kernel_ready()
    old = stage.room.kernel_state.incarnation
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    second, _ = execute(stage, "a", heads)
    stage.kernel_ready()
    stage.feed(KernelSaid(old, (Idle(second), Stream(second, "stdout", "ghost"))))

    assert stage.runtime.status(first) == "cancelled"
    assert stage.runtime.status(second) == "running"


# All at once


def test_run_all_is_one_admission_in_the_order_of_the_cells() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.edit(
        AddCell("a", source="1"),
        AddCell("m", cell_type="markdown", source="text"),
        AddCell("empty", source="  "),
        AddCell("b", source="2"),
    )
    batch = stage.new_id()
    heads = heads_to_text(peer.replica.heads())
    params = rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, required_heads=heads)
    first, again = stage.ask(params), stage.ask(params)

    ids = [derived_execution_id(batch, cell) for cell in ("a", "b")]
    assert [each.execution_id for each in stage.answer(first).executions] == ids
    assert stage.answer(again) == stage.answer(first)
    stage.kernel_ready()
    stage.kernel_finishes()
    stage.kernel_finishes()
    assert [code for _, code in stage.ran()] == ["1", "2"]


def test_run_all_stops_at_the_first_error_unless_errors_are_allowed() -> None:
    for allow, statuses in ((False, ["error", "cancelled"]), (True, ["error", "ok"])):
        stage = Stage()
        peer = stage.peer()
        peer.edit(AddCell("a", source="1"), AddCell("b", source="2"))
        batch = stage.new_id()
        stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, allow_errors=allow))
        stage.kernel_ready()
        stage.kernel_finishes("error")
        if allow:
            stage.kernel_finishes()
        assert [
            stage.runtime.status(derived_execution_id(batch, cell)) for cell in "ab"
        ] == statuses


def test_run_all_with_a_cell_that_cannot_run_admits_nothing() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.edit(AddCell("a", source="1"), AddCell("m", cell_type="markdown"))
    params = rpc.ExecuteAll(document=DOCUMENT, batch_id=stage.new_id(), cells=["a", "m"])
    token = stage.ask(params)

    assert isinstance(stage.answer(token), NotExecutable)
    assert stage.runtime.executions() == []


# Ending


def test_an_interrupt_ends_what_was_admitted_before_it_and_nothing_after() -> None:
    stage = Stage()
    peer = stage.peer()
    ids = {}
    for name in "abc":
        peer.add_cell(name, name)
        ids[name], _ = execute(stage, name)
    stage.kernel_ready()
    token = stage.ask(rpc.Interrupt(document=DOCUMENT))
    peer.add_cell("d", "d")
    ids["d"], _ = execute(stage, "d")
    stage.kernel_finishes("error")
    stage.kernel_finishes()

    assert stage.answer(token) == rpc.Interrupted(cancelled=2, interrupted=True)
    (interrupt,) = stage.of(InterruptKernel)
    assert interrupt.execution_id == ids["a"]
    statuses = {name: stage.runtime.status(each) for name, each in ids.items()}
    assert statuses == {"a": "error", "b": "cancelled", "c": "cancelled", "d": "ok"}


def test_every_execution_ends_when_the_kernel_dies() -> None:
    stage = Stage()
    peer = stage.peer()
    ids = []
    for name in "ab":
        peer.add_cell(name, name)
        ids.append(execute(stage, name)[0])
    waiting = stage.ask(rpc.GetExecution(execution_id=ids[0], wait=True))
    stage.kernel_ready()
    stage.feed(KernelEnded(stage.room.kernel_state.incarnation, "it was killed by signal 9"))

    assert [stage.runtime.status(each) for each in ids] == ["lost", "cancelled"]
    assert stage.answer(waiting).record["reason"].endswith("it was killed by signal 9")
    assert stage.room.kernel_state.status == "dead"
    assert stage.runtime.queue() == []


def test_a_kernel_that_cannot_start_ends_what_waited_for_it_with_the_reason() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    execution_id, _ = execute(stage, "a", heads)
    asked = stage.ask(rpc.StartKernel(document=DOCUMENT, name="nope"))
    error = KernelNotFound("There is no kernel named nope.", name="nope")
    stage.feed(KernelFailed(stage.room.kernel_state.incarnation, error))

    record = stage.runtime.execution(execution_id)
    assert record is not None
    assert record.status == "lost"
    assert "no kernel named nope" in str(record.reason)
    assert stage.answer(asked) is error
    execute(stage, "a", heads)
    assert len(stage.of(StartKernel)) == 2


def test_a_cancelled_execution_that_waits_never_runs() -> None:
    stage = Stage()
    peer = stage.peer()
    ids = []
    for name in "ab":
        peer.add_cell(name, name)
        ids.append(execute(stage, name)[0])
    token = stage.ask(rpc.Cancel(document=DOCUMENT, execution_id=ids[1]))
    stage.kernel_ready()
    stage.kernel_finishes()

    assert stage.answer(token).cancelled
    assert [code for _, code in stage.ran()] == ["a"]
    assert stage.runtime.status(ids[1]) == "cancelled"


def test_what_has_ended_or_never_was_is_not_cancelled() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.add_cell("a", "a")
    execution_id, _ = execute(stage, "a")
    stage.kernel_ready()
    stage.kernel_finishes()
    late = stage.ask(rpc.Cancel(document=DOCUMENT, execution_id=execution_id))
    unknown = stage.ask(rpc.Cancel(document=DOCUMENT, execution_id=stage.new_id()))

    assert not stage.answer(late).cancelled
    assert isinstance(stage.answer(unknown), ExecutionNotFound)
    assert stage.of(InterruptKernel) == []
    assert stage.runtime.status(execution_id) == "ok"


def test_a_restart_ends_everything_and_begins_a_fresh_runtime_document() -> None:
    stage = Stage()
    peer = stage.peer()
    heads = peer.add_cell("a", "1")
    execution_id, _ = execute(stage, "a", heads)
    stage.kernel_ready()
    before = stage.room.runtime
    token = stage.ask(rpc.RestartKernel(document=DOCUMENT))

    assert len(stage.of(StopKernel)) == 1
    assert stage.room.runtime != before
    assert peer.notebook.meta().runtime == stage.room.runtime
    assert stage.runtime.status(execution_id) == "cancelled"
    assert stage.answer(token) is None
    stage.kernel_ready()
    stage.show()
    assert stage.answer(token).status == "idle"


def test_a_result_can_be_asked_for_by_id_alone_and_an_unknown_id_is_refused() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "1")
    execution_id, _ = execute(stage, "a", heads)
    stage.kernel_ready()
    stage.kernel_finishes()
    token = stage.ask(rpc.GetExecution(execution_id=execution_id))

    assert stage.answer(token).record["status"] == "ok"
    for wait in (False, True):
        unknown = stage.ask(rpc.GetExecution(execution_id=stage.new_id(), wait=wait))
        assert isinstance(stage.answer(unknown), ExecutionNotFound)


def test_what_was_unfinished_when_the_daemon_ended_is_lost_and_says_so() -> None:
    accepted = ExecutionAccepted(DOCUMENT, "e1", "e1", "a", "sha")
    opening = Opening(document=DOCUMENT, path=None, taken={"e1": "e1"}, unfinished=(accepted,))
    stage = Stage(opening=opening)

    record = stage.runtime.execution("e1")
    assert record is not None
    assert record.status == "lost"
    assert record.reason == "the daemon ended before the execution did"


# The store and the file


def test_a_store_that_fails_confirms_nothing_and_sends_everybody_away() -> None:
    stage = Stage(holds_disk=True)
    stage.disk()
    peer = stage.peer()
    heads = peer.add_cell("a", "1")
    _, token = execute(stage, "a", heads)
    error = StoreFailed("The disk is full.")
    stage.feed(PersistFailed(stage.persists[-1].token, error))

    assert stage.answer(token) is error
    assert peer.acks == []
    assert [close.code for close in stage.of(Close)] == [1013]
    _, later = execute(stage, "a", heads)
    assert stage.answer(later) is error


def file_stage(content: bytes | None = None) -> Stage:
    return Stage(opening=Opening(document=DOCUMENT, path="/n/a.ipynb", file=content))


def written(effect: WriteFile, content: bytes = b"{}") -> FileWritten:
    digest = hashlib.sha256(content).hexdigest()
    return FileWritten(effect.token, effect.path, digest, changed=True, content=content)


def test_a_save_contains_what_its_required_heads_name() -> None:
    stage = file_stage()
    heads = stage.peer().add_cell("a", "1 + 1")
    token = stage.ask(rpc.Save(document=DOCUMENT, required_heads=heads))
    (write,) = stage.of(WriteFile)

    assert write.expected_sha256 is None
    assert [cell["source"] for cell in write.notebook["cells"]] == ["1 + 1"]
    assert stage.answer(token) is None
    stage.feed(written(write))
    assert stage.answer(token).path == "/n/a.ipynb"


def test_a_changed_notebook_is_saved_by_itself_and_an_unchanged_one_is_not() -> None:
    stage = file_stage()
    peer = stage.peer()
    stage.wait(60)
    assert stage.of(WriteFile) == []
    peer.add_cell("a", "1")
    deadline = stage.room.next_deadline()
    assert deadline is not None
    stage.wait(deadline - stage.now_s)
    assert len(stage.of(WriteFile)) == 1


def test_a_changed_notebook_is_saved_as_soon_as_nobody_has_it_open() -> None:
    stage = file_stage()
    stage.peer(1).add_cell("a", "1")
    stage.peer(2)
    stage.feed(PeerGone(2))
    assert stage.of(WriteFile) == []
    stage.feed(PeerGone(1))
    assert len(stage.of(WriteFile)) == 1


def test_a_file_is_opened_with_its_cells_ids_and_outputs() -> None:
    content = b"""{"cells": [{"cell_type": "code", "id": "keep-me", "metadata": {},
        "source": ["x = 1\\n", "x"], "execution_count": 7, "outputs": [{"output_type":
        "execute_result", "execution_count": 7, "data": {"text/plain": ["1"]}, "metadata": {}}]}],
        "metadata": {"custom": {"k": 1}}, "nbformat": 4, "nbformat_minor": 5}"""
    stage = file_stage(content)
    peer = stage.peer()

    assert peer.notebook.source("keep-me") == "x = 1\nx"
    assert peer.notebook.metadata() == {"custom": {"k": 1}}
    latest = stage.runtime.latest("keep-me")
    assert latest is not None
    record = stage.runtime.execution(latest)
    assert record is not None
    assert (record.status, record.requested_by, record.execution_count) == ("ok", "file", 7)
    assert record.outputs[0]["data"] == {"text/plain": "1"}
    assert stage.room.is_idle


def test_requests_that_no_room_serves_are_refused() -> None:
    stage = Stage()
    token = stage.tokens = 77
    params = rpc.Close(document=DOCUMENT)
    stage.feed(Requested(token, None, params, stage.now_s + 5, "ada"))

    assert isinstance(stage.answer(token), BadRequest)


def test_a_room_with_something_left_to_tell_is_not_idle() -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    stage.wait(0.1)
    assert stage.room.is_idle
    stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    stage.kernel_stopped()
    assert stage.room.next_deadline() is not None
    assert not stage.room.is_idle
    stage.wait(0.1)
    assert stage.room.is_idle
