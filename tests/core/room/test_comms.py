"""Comms in a room: what peers and the kernel say to each other, and what everybody sees of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.document import comms
from headway.core.document.comm_records import CommRecord
from headway.core.kernel.events import (
    Busy,
    ClearOutput,
    CommClosed,
    CommInfo,
    CommMessage,
    CommOpened,
    DisplayData,
    ErrorOutput,
    ExecuteReply,
    Idle,
    KernelInfo,
    Stream,
    UpdateDisplay,
)
from headway.core.room.comms import CAUGHT_S
from headway.core.room.effects import (
    AskKernel,
    CommInfoRequest,
    CommRequest,
    ExecuteRequest,
    RuntimeReplaced,
    UpdateStored,
)
from headway.core.room.inputs import KernelEnded
from headway.core.room.opening import LivingKernel, Opening
from headway.core.room.recorder import COALESCE_S
from headway.core.wire import rpc
from headway.errors import CommNotFound, HeadwayError, KernelDied
from room_stage import DOCUMENT, Stage

SLIDER = {"_model_name": "IntSliderModel", "value": 3, "max": 100}
OUTPUT = {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output"}


class World:
    """A room whose kernel runs a cell."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage or Stage()
        self.peer = self.stage.peer()
        self.peer.join_runtime()

    def run(self, cell_id: str = "a") -> str:
        """A cell begins; gives its execution id."""
        heads = self.peer.add_cell(cell_id, "a cell")
        identity = self.stage.new_id()
        self.stage.ask(
            rpc.Execute(
                document=DOCUMENT, cell_id=cell_id, execution_id=identity, required_heads=heads
            )
        )
        if len(self.stage.ran()) == 0:
            self.stage.kernel_ready()
        return identity

    def open(self, comm_id: str, state: dict[str, Any], parent: str | None) -> None:
        data = {"state": state, "buffer_paths": []}
        self.stage.kernel_says(CommOpened(parent, comm_id, "jupyter.widget", data))
        self.wait()

    def wait(self) -> None:
        self.stage.wait(COALESCE_S + 0.001)

    def comm(self, comm_id: str) -> CommRecord:
        found = self.stage.runtime.comms.record(comm_id)
        assert found is not None
        return found

    def set(self, comm_id: str, **state: Any) -> int:
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.stage.ask(rpc.CommMessage(document=DOCUMENT, comm_id=comm_id, data=data))

    def asked(self) -> list[CommRequest]:
        asked = [effect.request for effect in self.stage.of(AskKernel)]
        return [request for request in asked if isinstance(request, CommRequest)]

    def says(self, parent: str | None, comm_id: str, method: str, **state: Any) -> None:
        data = {"method": method, "state": state, "buffer_paths": []}
        self.stage.kernel_says(CommMessage(parent, comm_id, data))

    def outputs(self, execution_id: str) -> list[Any]:
        record = self.stage.runtime.execution(execution_id)
        assert record is not None
        return [each.get("text") or each.get("data") for each in record.outputs]


@pytest.fixture
def world() -> World:
    return World()


def test_a_widget_is_in_the_document_with_the_execution_that_made_it(world: World) -> None:
    running = world.run()
    world.open("s", SLIDER, running)
    assert world.comm("s").state == SLIDER
    assert world.comm("s").execution_id == running
    assert world.peer.runtime.comms.record("s") == world.comm("s")
    world.says(running, "s", "update", value=4)
    world.wait()
    assert world.comm("s").state["value"] == 4


def test_what_a_cell_made_is_seen_no_later_than_that_it_is_over(world: World) -> None:
    running = world.run()
    data = {"state": SLIDER}
    world.stage.kernel_says(CommOpened(running, "s", "jupyter.widget", data))
    world.stage.kernel_finishes()
    assert world.peer.runtime.status(running) == "ok"
    assert world.peer.runtime.comms.record("s") is not None


def test_whoever_sets_a_value_is_answered_when_everybody_sees_it(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.holds_disk = True
    token = world.set("s", value=9)
    (request,) = world.asked()
    assert (request.kind, request.comm_id) == ("comm_msg", "s")
    assert request.data == {"method": "update", "state": {"value": 9}, "buffer_paths": []}
    world.wait()
    assert world.stage.answer(token) is None
    assert world.peer.runtime.comms.record("s").state["value"] == 3  # type: ignore[union-attr]
    world.stage.disk()
    assert world.stage.answer(token) == rpc.CommSent(comm_id="s")
    assert world.peer.runtime.comms.record("s").state["value"] == 9  # type: ignore[union-attr]


def test_a_value_that_is_there_already_is_answered_too(world: World) -> None:
    world.open("s", SLIDER, world.run())
    token = world.set("s", value=3)
    world.wait()
    assert world.stage.answer(token) == rpc.CommSent(comm_id="s")


def test_a_dragged_slider_is_one_commit_in_its_time(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.wait()
    before = len(world.stage.of(UpdateStored)) + len(world.stage.persists)
    for value in range(50):
        world.set("s", value=value)
    world.wait()
    assert len(world.stage.of(UpdateStored)) + len(world.stage.persists) - before <= 2
    assert len(world.asked()) == 1


def test_an_update_is_under_way_until_the_kernel_is_done_with_it(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.set("s", value=1)
    world.set("s", value=2)
    (first,) = world.asked()
    world.stage.kernel_says(Busy(first.request_id))
    assert world.asked() == [first]
    world.stage.kernel_says(Idle(first.request_id))
    assert [each.data["state"] for each in world.asked()] == [{"value": 1}, {"value": 2}]


@pytest.mark.parametrize("limit", ["MAX_COMM_STATE_BYTES", "MAX_COMMS"])
def test_what_is_left_out_of_widgets_is_said_once_by_the_cell_that_made_them(
    world: World, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = world.run()
    monkeypatch.setattr(comms, limit, 0)
    world.open("s", SLIDER, running)
    world.open("t", SLIDER, running)
    record = world.stage.runtime.execution(running)
    assert record is not None
    (note,) = record.outputs
    assert note["name"] == "stderr"


def test_an_older_echo_does_not_throw_a_value_back(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.kernel_finishes()
    world.set("s", value=1)
    world.set("s", value=2)
    (first,) = world.asked()
    world.says(first.request_id, "s", "echo_update", value=1)
    world.wait()
    assert world.comm("s").state["value"] == 2
    world.stage.kernel_says(Idle(first.request_id))
    (_, second) = world.asked()
    world.says(second.request_id, "s", "echo_update", value=2)
    world.says(second.request_id, "s", "update", value=0)
    world.stage.kernel_says(Idle(second.request_id))
    world.wait()
    assert world.comm("s").state["value"] == 0
    assert len(world.asked()) == 2, "nothing that the kernel said goes back to it"


def test_a_value_that_a_widget_refuses_is_shown_to_nobody_for_long(world: World) -> None:
    execution = world.run()
    world.open("s", SLIDER, execution)
    world.stage.kernel_finishes()
    world.set("s", value="zz")
    (update,) = world.asked()
    world.says(update.request_id, "s", "echo_update", value="zz")
    error = ErrorOutput(update.request_id, "TraitError", "an int is expected", ())
    world.stage.kernel_says(error, Idle(update.request_id))
    (_, question) = world.asked()
    assert question.data == {"method": "request_state"}
    world.set("s", max=50)
    world.says(question.request_id, "s", "update", **SLIDER)
    world.stage.kernel_says(Idle(question.request_id))
    world.wait()
    state = world.comm("s").state
    assert (state["value"], state["max"]) == (3, 50), "what was set later is not thrown back"
    record = world.stage.runtime.execution(execution)
    assert record is not None
    assert record.outputs[-1]["ename"] == "TraitError"


def test_a_widget_is_asked_for_its_state_once_and_only_after_an_update_that_failed(
    world: World,
) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.kernel_finishes()
    for data in {"method": "custom", "content": {}}, {"method": "update", "state": {"value": 1}}:
        world.stage.ask(rpc.CommMessage(document=DOCUMENT, comm_id="s", data=data))
        request = world.asked()[-1]
        error = ErrorOutput(request.request_id, "ZeroDivisionError", "", ())
        world.stage.kernel_says(error, Idle(request.request_id))
    question = world.asked()[-1]
    assert [each.data["method"] for each in world.asked()] == ["custom", "update", "request_state"]
    error = ErrorOutput(question.request_id, "ZeroDivisionError", "", ())
    world.stage.kernel_says(error, Idle(question.request_id))
    assert len(world.asked()) == 3, "a widget that cannot tell its state is not asked for ever"


def test_a_widget_is_asked_for_its_state_when_an_interrupt_may_have_ended_its_update(
    world: World,
) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.kernel_finishes()
    world.set("s", value=9)
    (update,) = world.asked()
    world.stage.ask(rpc.Interrupt(document=DOCUMENT))
    world.stage.kernel_says(Idle(update.request_id))
    (_, question) = world.asked()
    assert question.data == {"method": "request_state"}
    world.says(question.request_id, "s", "update", **SLIDER)
    world.stage.kernel_says(Idle(question.request_id))
    world.wait()
    assert world.comm("s").state["value"] == 3


def test_the_kernel_hears_what_was_set_before_it_gets_the_next_execution(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.set("s", value=1)
    world.set("s", value=2)
    world.run("b")
    world.stage.kernel_finishes()
    asked = [effect.request for effect in world.stage.of(AskKernel)]
    assert isinstance(asked[-1], ExecuteRequest)
    assert asked[-2].data["state"] == {"value": 2}


def test_the_status_of_a_message_ends_no_execution(world: World) -> None:
    running = world.run()
    world.open("s", SLIDER, running)
    world.set("s", value=1)
    (request,) = world.asked()
    world.stage.kernel_says(Busy(request.request_id), Idle(request.request_id))
    assert world.stage.runtime.status(running) == "running"
    assert world.stage.room.kernel_state.status == "busy"


def test_what_a_callback_shows_belongs_to_the_cell_that_made_the_widget(world: World) -> None:
    maker = world.run()
    world.open("s", SLIDER, maker)
    world.stage.kernel_finishes(value="slider")
    other = world.run("b")
    world.set("s", value=1)
    (request,) = world.asked()
    world.stage.kernel_says(
        Stream(request.request_id, "stdout", "from the callback"),
        ClearOutput(request.request_id, wait=False),
        CommOpened(request.request_id, "t", "jupyter.widget", {"state": SLIDER}),
        Idle(request.request_id),
        Stream(request.request_id, "stdout", " and later"),
    )
    world.wait()
    assert world.outputs(maker) == [{"text/plain": "slider"}, "from the callback and later"]
    assert world.outputs(other) == []
    assert world.comm("t").execution_id == maker


def test_an_output_widget_catches_what_its_request_shows(world: World) -> None:
    running = world.run()
    world.open("o", {**OUTPUT, "msg_id": "", "outputs": []}, running)
    world.stage.kernel_says(
        Stream(running, "stdout", "before"),
        CommMessage(running, "o", {"method": "update", "state": {"msg_id": running}}),
        Stream(running, "stdout", "caught"),
        DisplayData(running, {"text/plain": "1"}, {}, "d"),
        CommMessage(running, "o", {"method": "update", "state": {"msg_id": ""}}),
        Stream(running, "stdout", " after"),
        UpdateDisplay(running, {"text/plain": "2"}, {}, "d"),
    )
    world.wait()
    caught = [
        {"output_type": "stream", "name": "stdout", "text": "caught"},
        {"output_type": "display_data", "data": {"text/plain": "2"}, "metadata": {}},
    ]
    assert world.comm("o").state["outputs"] == caught
    assert world.outputs(running) == ["before after"]
    (request,) = world.asked()
    assert request.data["state"] == {"outputs": caught}
    world.says(request.request_id, "o", "echo_update", outputs=caught)
    world.stage.kernel_says(Idle(request.request_id))
    world.wait()
    assert len(world.asked()) == 1
    world.says(running, "o", "update", outputs=[])
    world.wait()
    assert world.comm("o").state["outputs"] == []


def test_what_was_caught_is_the_kernels_too_before_it_gets_the_next_execution(
    world: World,
) -> None:
    running = world.run()
    world.open("o", {**OUTPUT, "msg_id": running, "outputs": []}, running)
    world.run("b")
    caught = Stream(running, "stdout", "caught")
    world.stage.kernel_says(caught, ExecuteReply(running, "ok", 1), Idle(running))
    update, execute = [effect.request for effect in world.stage.of(AskKernel)][-2:]
    assert update.data["state"]["outputs"][0]["text"] == "caught"
    assert isinstance(execute, ExecuteRequest)


def test_what_is_caught_is_shown_while_its_cell_still_runs(world: World) -> None:
    running = world.run()
    world.open("o", {**OUTPUT, "msg_id": running, "outputs": []}, running)
    for shown in ("one ", "one two "):
        world.stage.kernel_says(Stream(running, "stdout", shown[-4:]))
        world.stage.wait(CAUGHT_S)
        assert [each["text"] for each in world.comm("o").state["outputs"]] == [shown]


def test_what_was_caught_is_cleared_and_a_closed_widget_catches_no_more(world: World) -> None:
    running = world.run()
    world.open("o", {**OUTPUT, "msg_id": running, "outputs": []}, running)
    world.stage.kernel_says(
        Stream(running, "stdout", "gone"),
        ClearOutput(running, wait=False),
        Stream(running, "stdout", "caught"),
    )
    world.stage.wait(CAUGHT_S)
    assert [each["text"] for each in world.comm("o").state["outputs"]] == ["caught"]
    world.stage.kernel_says(CommClosed(running, "o"), Stream(running, "stdout", "after"))
    world.wait()
    assert world.outputs(running) == ["after"]
    assert world.stage.runtime.comms.records() == []


def test_the_widget_that_began_last_catches_first(world: World) -> None:
    running = world.run()
    for each in ("one", "two"):
        world.open(each, {**OUTPUT, "msg_id": running, "outputs": []}, running)
    world.stage.kernel_says(Stream(running, "stdout", "inner"))
    world.says(running, "two", "update", msg_id="")
    world.stage.kernel_says(Stream(running, "stdout", "outer"))
    world.wait()
    texts = {each: world.comm(each).state["outputs"][0]["text"] for each in ("one", "two")}
    assert texts == {"one": "outer", "two": "inner"}


def test_a_kernel_in_a_callback_is_not_idle_however_long_that_takes() -> None:
    limit_s = 600.0
    world = World(Stage(opening=Opening(document=DOCUMENT, path=None, kernel_idle_s=limit_s)))
    world.open("s", SLIDER, world.run())
    world.stage.kernel_finishes()
    world.set("s", value=9)
    (request,) = world.asked()
    world.stage.wait(2 * limit_s)
    assert world.stage.room.kernel_state.status == "idle"
    world.stage.kernel_says(Idle(request.request_id))
    world.stage.wait(limit_s - 1)
    assert world.stage.room.kernel_state.status == "idle"
    world.stage.wait(1)
    assert world.stage.room.kernel_state.status == "absent"


def test_a_closed_comm_is_gone_for_everybody(world: World) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.kernel_says(CommClosed(None, "s"))
    world.wait()
    assert world.peer.runtime.comms.records() == []
    assert isinstance(world.stage.answer(world.set("s", value=1)), CommNotFound)


def test_a_peer_opens_and_closes_a_comm(world: World) -> None:
    world.run()
    data = {"question": 1}
    token = world.stage.ask(
        rpc.CommOpen(document=DOCUMENT, target_name="t", data=data, buffers=[b"12"])
    )
    world.wait()
    comm_id = world.stage.answer(token).comm_id
    (request,) = world.asked()
    assert (request.kind, request.target_name, request.buffers) == ("comm_open", "t", (b"12",))
    assert world.comm(comm_id).data == data
    again = rpc.CommOpen(document=DOCUMENT, target_name="t", comm_id=comm_id)
    assert isinstance(world.stage.answer(world.stage.ask(again)), HeadwayError)
    world.stage.ask(rpc.CommClose(document=DOCUMENT, comm_id=comm_id))
    world.wait()
    assert world.asked()[-1].kind == "comm_close"
    assert world.stage.runtime.comms.records() == []


def test_without_a_kernel_there_are_no_comms(world: World) -> None:
    assert isinstance(world.stage.answer(world.set("s", value=1)), KernelDied)


def test_comms_end_with_their_kernel_and_go_when_another_opens_some(world: World) -> None:
    world.open("s", SLIDER, world.run())
    incarnation = world.stage.room.kernel_state.incarnation
    world.stage.feed(KernelEnded(incarnation, "it was killed"))
    world.wait()
    assert not world.comm("s").is_open
    world.run("b")
    world.stage.kernel_ready()
    assert isinstance(world.stage.answer(world.set("s", value=1)), CommNotFound)
    world.open("t", SLIDER, None)
    assert [record.comm_id for record in world.stage.runtime.comms.records()] == ["t"]


WORDS = st.sampled_from(["method", "state", "buffer_paths", "msg_id", "outputs", "states", "x"])
VALUES = st.recursive(
    st.sampled_from(["update", "echo_update", "update_states", "custom", "e1", "", 1, None, 2**70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
DATA = st.dictionaries(WORDS, VALUES, max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["kernel", "peer", "opens"]), DATA), max_size=6))
def test_whatever_is_said_on_comms_the_room_goes_on(said: list[tuple[str, dict[str, Any]]]) -> None:
    world = World()
    running = world.run()
    world.open("o", {**OUTPUT, "msg_id": running, "outputs": []}, running)
    for who, data in said:
        if who == "kernel":
            world.stage.kernel_says(CommMessage(running, "o", data, (b"1", b"2")))
        elif who == "opens":
            world.stage.kernel_says(CommOpened(running, "o", "jupyter.widget", data, {}, (b"3",)))
        else:
            params = rpc.CommMessage(document=DOCUMENT, comm_id="o", data=data, buffers=[b"4"])
            world.stage.ask(params)
        world.stage.kernel_says(Stream(running, "stdout", "text"))
        world.wait()
    world.stage.kernel_finishes()
    assert world.stage.runtime.status(running) == "ok"
    world.comm("o")


def stored(stage: Stage) -> dict[str, Any]:
    """What another daemon finds of the runtime document."""
    at = max(i for i, e in enumerate(stage.log) if has_runtime(e))
    (replaced,) = [r for r in stage.log[at].records if isinstance(r, RuntimeReplaced)]  # type: ignore[union-attr]
    updates = [
        record.update
        for effect in stage.persists
        for record in effect.records
        if isinstance(record, UpdateStored) and record.document == stage.room.runtime
    ]
    return {"runtime_snapshot": replaced.snapshot, "runtime_updates": tuple(updates)}


def has_runtime(effect: Any) -> bool:
    return any(isinstance(each, RuntimeReplaced) for each in getattr(effect, "records", ()))


def test_a_kernel_that_is_interrupted_while_it_tells_its_widgets_is_asked_again(
    world: World,
) -> None:
    world.open("s", SLIDER, world.run())
    world.stage.kernel_finishes()
    living = LivingKernel(4, "python3", KernelInfo("python"), None, 1_700_000_000.0)
    opening = Opening(document=DOCUMENT, path=None, **stored(world.stage))
    after = World(Stage(seed=1, opening=replace(opening, kernel=living)))
    (asked,) = after.stage.of(AskKernel)
    assert isinstance(asked.request, CommInfoRequest)
    after.stage.kernel_says(CommInfo(asked.request.request_id, {"s": "jupyter.widget"}))
    _, question = after.asked()
    after.stage.ask(rpc.Interrupt(document=DOCUMENT))
    after.stage.kernel_says(Idle(question.request_id))
    asked = after.stage.of(AskKernel)[-1]
    assert isinstance(asked.request, CommInfoRequest)
    after.stage.kernel_says(CommInfo(asked.request.request_id, {"s": "jupyter.widget"}))
    opened, question = after.asked()[-2:]
    told = {"method": "update_states", "states": {"s": {"state": {**SLIDER, "value": 8}}}}
    after.stage.kernel_says(CommMessage(question.request_id, opened.comm_id, told))
    after.wait()
    assert after.comm("s").state["value"] == 8
    after.stage.ask(rpc.Interrupt(document=DOCUMENT))
    assert after.asked()[-1].kind == "comm_close", "what was told is not asked again"


def test_a_kernel_that_outlived_its_daemon_is_asked_for_its_widgets(world: World) -> None:
    world.open("s", {**SLIDER, "value": 3}, world.run())
    world.open("gone", SLIDER, None)
    world.stage.kernel_finishes()
    living = LivingKernel(4, "python3", KernelInfo("python"), None, 1_700_000_000.0)
    opening = Opening(document=DOCUMENT, path=None, **stored(world.stage))
    after = World(Stage(seed=1, opening=replace(opening, kernel=living)))
    assert after.comm("s").is_open
    (asked,) = after.stage.of(AskKernel)
    assert isinstance(asked.request, CommInfoRequest)
    targets = {"s": "jupyter.widget", "new": "jupyter.widget", "plain": "t"}
    after.stage.kernel_says(CommInfo(asked.request.request_id, targets))
    opened, question = after.asked()
    assert (opened.target_name, opened.metadata) == ("jupyter.widget.control", {"version": "1.0.0"})
    assert question.data == {"method": "request_states"}
    after.set("s", max=50)
    states = {"s": {"state": {**SLIDER, "value": 8}}, "new": {"state": {**SLIDER, "value": 9}}}
    told = {"method": "update_states", "states": states}
    paths = [["new", "state", "data"]]
    after.stage.kernel_says(
        CommMessage(question.request_id, opened.comm_id, {**told, "buffer_paths": paths}, (b"123",))
    )
    after.wait()
    assert after.asked()[-1].kind == "comm_close"
    assert {record.comm_id for record in after.stage.runtime.comms.records()} == set(targets)
    assert after.comm("s").state == {**SLIDER, "value": 8, "max": 50}, "what was set since counts"
    assert after.comm("new").state["value"] == 9
    assert after.comm("new").buffers["data"][0]["size"] == 3


def test_without_its_kernel_another_daemon_shows_widgets_as_ended(world: World) -> None:
    world.open("s", SLIDER, world.run())
    opening = Opening(document=DOCUMENT, path=None, **stored(world.stage))
    after = World(Stage(seed=1, opening=opening))
    after.wait()
    assert not after.comm("s").is_open
    assert after.comm("s").state == SLIDER
