"""Who waits for the end of an execution."""

from __future__ import annotations

from headway.core.kernel.events import Busy, ExecuteInput, ExecuteReply, Idle
from headway.core.room.inputs import RequestAbandoned
from headway.core.wire import rpc
from room_stage import DOCUMENT, Stage


def test_who_asks_again_and_again_is_not_remembered_for_each_time() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "work()")
    identity = stage.new_id()
    stage.ask(
        rpc.Execute(document=DOCUMENT, required_heads=heads, cell_id="a", execution_id=identity)
    )
    stage.kernel_ready()
    stage.kernel_says(Busy(identity), ExecuteInput(identity, 1))
    wanted = rpc.GetExecution(document=DOCUMENT, execution_id=identity, wait=True)
    patient = stage.ask(wanted)
    for _ in range(100):
        stage.feed(RequestAbandoned(stage.ask(wanted)))
    last = stage.ask(wanted)
    assert stage.room._outcomes._waiters == {identity: [patient, last]}
    stage.kernel_says(ExecuteReply(identity, "ok", 1), Idle(identity))
    assert [stage.answer(each).record["status"] for each in (patient, last)] == ["ok", "ok"]


def test_who_waits_for_what_has_ended_is_answered_at_once() -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    identity = stage.new_id()
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=identity))
    stage.kernel_ready()
    stage.kernel_finishes()
    token = stage.ask(rpc.GetExecution(document=DOCUMENT, execution_id=identity, wait=True))
    assert stage.answer(token).record["status"] == "ok"
