"""A room that opens with the kernel of an earlier daemon, and what becomes of what it ran."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headway.core.kernel.events import (
    ClearOutput,
    DisplayData,
    ExecuteReply,
    Idle,
    KernelInfo,
    ReplyLost,
    Stream,
    UpdateDisplay,
)
from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    InterruptKernel,
    RuntimeReplaced,
    StartKernel,
    StopKernel,
    UpdateStored,
)
from headway.core.room.inheritance import DAEMON_ENDED
from headway.core.room.inputs import KernelEnded
from headway.core.room.opening import LivingKernel, Opening
from headway.core.wire import rpc
from room_stage import DOCUMENT, Peer, Stage

AWAY_SINCE_S = 1_700_000_000.0
INFO = KernelInfo("python", {"name": "python"})


class Before:
    """The first daemon: it gave one execution to its kernel, and two wait."""

    def __init__(self) -> None:
        self.stage = Stage()
        peer: Peer = self.stage.peer()
        heads = ""
        for name in ("a", "b", "c"):
            heads = peer.add_cell(name, f"print({name!r})")
        self.ids = [self.stage.new_id() for _ in range(3)]
        for execution_id, cell_id in zip(self.ids, ("a", "b", "c"), strict=True):
            self.stage.ask(
                rpc.Execute(
                    document=DOCUMENT,
                    cell_id=cell_id,
                    execution_id=execution_id,
                    required_heads=heads,
                )
            )
        self.stage.kernel_ready()
        assert [each for each, _ in self.stage.ran()] == self.ids[:1]

    def says(self, *events: Any) -> None:
        self.stage.kernel_says(*events)
        self.stage.wait(0.1)

    def then(self, *, asked: str | None, is_alive: bool = True) -> Stage:
        """It was killed; the next daemon opens the notebook from what was made durable."""
        living = LivingKernel(7, "python3", INFO, asked, AWAY_SINCE_S) if is_alive else None
        opening = replace(stored(self.stage), kernel=living)
        return Stage(seed=1, opening=opening)


def stored(stage: Stage) -> Opening:
    """What the store has after a kill."""
    notebook: list[bytes] = []
    runtime: list[bytes] = []
    runtime_snapshot: bytes | None = None
    accepted: dict[str, ExecutionAccepted] = {}
    for persist in stage.persists:
        for record in persist.records:
            match record:
                case RuntimeReplaced(snapshot=snapshot):
                    runtime_snapshot, runtime = snapshot, []
                case UpdateStored(document, update):
                    (notebook if document == DOCUMENT else runtime).append(update)
                case ExecutionAccepted(execution_id=execution_id):
                    accepted[execution_id] = record
                case ExecutionFinished(execution_id=execution_id):
                    accepted.pop(execution_id)
                case _:
                    pass
    return Opening(
        document=DOCUMENT,
        path=None,
        updates=tuple(notebook),
        runtime_snapshot=runtime_snapshot,
        runtime_updates=tuple(runtime),
        taken={each: each for each in accepted},
        unfinished=tuple(accepted.values()),
    )


def texts(stage: Stage, execution_id: str) -> list[str]:
    record = stage.runtime.execution(execution_id)
    assert record is not None
    return [output.get("text", output["output_type"]) for output in record.outputs]


def ended(stage: Stage) -> dict[str, str]:
    """Execution id -> its durable terminal status."""
    return {
        record.execution_id: msgspec.json.decode(record.record)["status"]
        for persist in stage.persists
        for record in persist.records
        if isinstance(record, ExecutionFinished)
    }


def test_what_ran_goes_on_behind_a_mark_and_ends_as_the_kernel_says() -> None:
    before = Before()
    (running, *_) = before.ids
    before.says(Stream(running, "stdout", "one\n"))
    stage = before.then(asked=running)
    assert stage.runtime.status(running) == "running"
    assert stage.room.kernel_state.status == "busy"
    assert stage.room.kernel_state.incarnation == 7
    assert stage.runtime.queue() == [running]
    stage.kernel_says(Stream(running, "stdout", "three\n"))
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    first, mark, last = texts(stage, running)
    assert (first, last) == ("one\n", "three\n")
    assert mark.startswith("[Output may be missing here: the Headway daemon was away from 2023-11-")
    assert stage.runtime.status(running) == "ok"
    assert stage.room.kernel_state.status == "idle"
    assert stage.of(StartKernel) == []


def test_what_waited_is_lost_and_never_given_to_the_kernel() -> None:
    before = Before()
    running, *waiting = before.ids
    stage = before.then(asked=running)
    for execution_id in waiting:
        record = stage.runtime.execution(execution_id)
        assert record is not None
        assert (record.status, record.reason) == ("lost", DAEMON_ENDED)
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    assert stage.ran() == []
    assert ended(stage) == {running: "ok"} | dict.fromkeys(waiting, "lost")


def test_what_ended_unheard_is_lost_with_the_reason() -> None:
    before = Before()
    running = before.ids[0]
    stage = before.then(asked=running)
    stage.kernel_says(ReplyLost(running, "nobody knows how it ended"), Idle(running))
    record = stage.runtime.execution(running)
    assert record is not None
    assert (record.status, record.reason) == ("lost", "nobody knows how it ended")
    assert ended(stage)[running] == "lost"
    assert stage.room.kernel_state.status == "idle"


def test_a_kernel_that_died_meanwhile_ends_what_it_ran_with_the_cause() -> None:
    before = Before()
    running = before.ids[0]
    stage = before.then(asked=running)
    stage.feed(KernelEnded(7, "it was killed by signal 9 (SIGKILL)"))
    record = stage.runtime.execution(running)
    assert record is not None
    assert record.status == "lost"
    assert record.reason == "the kernel ended: it was killed by signal 9 (SIGKILL)"
    assert stage.room.kernel_state.status == "dead"


def test_without_a_kernel_everything_unfinished_is_lost() -> None:
    before = Before()
    stage = before.then(asked=None, is_alive=False)
    assert ended(stage) == dict.fromkeys(before.ids, "lost")
    assert stage.room.kernel_state.status == "absent"


def test_an_idle_kernel_is_taken_up_without_marks_and_runs_what_comes() -> None:
    before = Before()
    for execution_id in before.ids:
        before.says(ExecuteReply(execution_id, "ok", 1), Idle(execution_id))
    stage = before.then(asked=before.ids[-1])
    assert ended(stage) == {}
    assert [texts(stage, each) for each in before.ids] == [[], [], []]
    assert stage.room.kernel_state.status == "idle"
    execution_id = stage.new_id()
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=execution_id))
    assert stage.ran() == [(execution_id, "print('a')")]
    stage.kernel_finishes()
    assert stage.runtime.status(execution_id) == "ok"


def test_whoever_waits_for_what_went_on_gets_its_outcome() -> None:
    before = Before()
    running = before.ids[0]
    stage = before.then(asked=running)
    token = stage.ask(rpc.GetExecution(document=DOCUMENT, execution_id=running, wait=True))
    assert stage.answer(token) is None
    stage.kernel_says(ExecuteReply(running, "error", 1), Idle(running))
    assert stage.answer(token).record["status"] == "error"


def test_an_execution_that_only_the_store_knew_goes_on_too() -> None:
    before = Before()
    running = before.ids[0]
    opening = replace(
        stored(before.stage),
        runtime_snapshot=None,
        runtime_updates=(),
        kernel=LivingKernel(7, "python3", INFO, running, AWAY_SINCE_S),
    )
    stage = Stage(seed=1, opening=opening)
    assert stage.runtime.status(running) == "running"
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    assert ended(stage)[running] == "ok"


def test_the_adopted_kernel_is_interrupted_and_stopped_by_its_incarnation() -> None:
    before = Before()
    stage = before.then(asked=before.ids[0])
    stage.ask(rpc.Interrupt(document=DOCUMENT))
    assert stage.of(InterruptKernel) == [InterruptKernel(7)]
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    assert stage.of(StopKernel) == [StopKernel(7)]
    assert [start.incarnation for start in stage.of(StartKernel)] == [8]
    assert stage.runtime.status(before.ids[0]) == "cancelled"


def test_a_display_from_before_is_updated_where_it_stands() -> None:
    before = Before()
    running = before.ids[0]
    before.says(
        Stream(running, "stdout", "x\n"), DisplayData(running, {"text/plain": "old"}, {}, "d")
    )
    stage = before.then(asked=running)
    stage.kernel_says(UpdateDisplay(running, {"text/plain": "new"}, {}, "d"))
    stage.wait(0.1)
    record = stage.runtime.execution(running)
    assert record is not None
    text, display, _ = record.outputs
    assert text["text"] == "x\n"
    assert display["data"] == {"text/plain": "new"}


def test_clearing_clears_what_was_there_before_and_the_mark() -> None:
    before = Before()
    running = before.ids[0]
    before.says(Stream(running, "stdout", "old\n"))
    stage = before.then(asked=running)
    stage.kernel_says(ClearOutput(running, wait=False), Stream(running, "stdout", "new\n"))
    stage.wait(0.1)
    assert texts(stage, running) == ["new\n"]


@pytest.mark.parametrize("count", [1, 2])
def test_late_output_of_an_execution_from_before_goes_behind_what_it_has(count: int) -> None:
    before = Before()
    first = before.ids[0]
    before.says(Stream(first, "stdout", "one\n"))
    before.says(ExecuteReply(first, "ok", 1), Idle(first))
    stage = before.then(asked=before.ids[1])
    for number in range(count):
        stage.kernel_says(Stream(first, "stdout", f"late {number}\n"))
        stage.wait(0.1)
    late = "".join(f"late {number}\n" for number in range(count))
    assert texts(stage, first) == ["one\n", late]
