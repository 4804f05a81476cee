"""A room that opens with the kernel of an earlier daemon, and what becomes of what it ran."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.edits import DeleteCell, UpdateSource
from headway.core.document.runtime import TERMINAL
from headway.core.kernel.events import (
    ClearOutput,
    DisplayData,
    ExecuteReply,
    Idle,
    InputRequest,
    KernelInfo,
    ReplyLost,
    Stream,
    UpdateDisplay,
)
from headway.core.room.effects import (
    AskKernel,
    ExecutionAccepted,
    ExecutionFinished,
    InputReply,
    InterruptKernel,
    RuntimeReplaced,
    StartKernel,
    StopKernel,
    UpdateStored,
)
from headway.core.room.inheritance import SOURCE_GONE
from headway.core.room.inputs import KernelEnded, KernelSaid
from headway.core.room.opening import LivingKernel, Opening
from headway.core.wire import rpc
from room_stage import DOCUMENT, Peer, Stage

AWAY_SINCE_S = 1_700_000_000.0
INFO = KernelInfo("python", {"name": "python"})


class Before:
    """The first daemon: it gave one execution to its kernel, and two wait."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.peer: Peer = self.stage.peer()
        heads = ""
        for name in ("a", "b", "c"):
            heads = self.peer.add_cell(name, f"print({name!r})")
        self.ids = [self.stage.new_id() for _ in range(3)]
        for execution_id, cell_id in zip(self.ids, ("a", "b", "c"), strict=True):
            self.stage.ask(
                rpc.Execute(
                    document=DOCUMENT,
                    cell_id=cell_id,
                    execution_id=execution_id,
                    required_heads=heads,
                    allow_stdin=True,
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
    """What the store has after a kill: what it was given and has answered."""
    before = stage.opening
    notebook = list(before.updates)
    runtime = list(before.runtime_updates)
    runtime_snapshot = before.runtime_snapshot
    accepted = {each.execution_id: each for each in before.unfinished}
    taken = dict(before.taken)
    for persist in stage.persists[: stage.answered]:
        for record in persist.records:
            match record:
                case RuntimeReplaced(snapshot=snapshot):
                    runtime_snapshot, runtime = snapshot, []
                case UpdateStored(document, update):
                    (notebook if document == DOCUMENT else runtime).append(update)
                case ExecutionAccepted(execution_id=execution_id, runs_as=runs_as):
                    accepted[execution_id] = record
                    taken[execution_id] = runs_as
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
        taken=taken,
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
    assert stage.runtime.queue() == before.ids
    stage.kernel_says(Stream(running, "stdout", "three\n"))
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    first, mark, last = texts(stage, running)
    assert (first, last) == ("one\n", "three\n")
    assert mark.startswith("[Output may be missing here: the Headway daemon was away from 2023-11-")
    assert stage.runtime.status(running) == "ok"
    assert stage.of(StartKernel) == []


def test_what_waited_goes_on_in_its_order_after_what_ran() -> None:
    before = Before()
    running, *waiting = before.ids
    stage = before.then(asked=running)
    assert stage.ran() == []
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    for execution_id, cell_id in zip(waiting, ("b", "c"), strict=True):
        assert stage.ran()[-1] == (execution_id, f"print({cell_id!r})")
        stage.kernel_finishes()
    assert ended(stage) == dict.fromkeys(before.ids, "ok")
    assert len(stage.ran()) == 2


class Beginning:
    """The first daemon: its kernel has run one execution, and has just been given another.

    Nobody sees that one in the runtime document yet.
    """

    def __init__(self) -> None:
        self.stage = Stage()
        heads = self.stage.peer().add_cell("a", "print('a')")
        self.stage.ask(rpc.StartKernel(document=DOCUMENT))
        self.stage.kernel_ready()
        self.ended, self.begun = (self._execute(heads) for _ in range(2))
        assert [each for each, _ in self.stage.ran()] == [self.ended, self.begun]
        self.record = self.stage.runtime.execution(self.begun)
        assert self.record is not None

    def _execute(self, heads: str) -> str:
        execution_id = self.stage.new_id()
        if self.stage.room.kernel_state.status == "busy":
            self.stage.kernel_finishes()
        self.stage.ask(
            rpc.Execute(
                document=DOCUMENT,
                cell_id="a",
                execution_id=execution_id,
                required_heads=heads,
                allow_stdin=True,
            )
        )
        return execution_id

    def then(self, asked: str) -> Stage:
        """It was killed; the kernel says what it was given last."""
        living = LivingKernel(7, "python3", INFO, asked, AWAY_SINCE_S)
        opening = replace(stored(self.stage), kernel=living)
        before = Stage(seed=3, opening=replace(opening, unfinished=(), kernel=None))
        assert before.runtime.status(self.begun) is None
        return Stage(seed=1, opening=opening)


def test_what_had_just_begun_goes_on_as_it_was_admitted() -> None:
    before = Beginning()
    stage = before.then(before.begun)
    shown = stage.runtime.execution(before.begun, outputs=False)
    assert shown is not None
    assert before.record is not None
    assert shown.allow_stdin
    assert shown == replace(before.record, started_s=shown.started_s, outputs=())
    stage.kernel_says(ExecuteReply(before.begun, "ok", 2), Idle(before.begun))
    assert ended(stage) == {before.begun: "ok"}
    assert stage.ran() == []


def test_what_no_kernel_had_been_given_yet_runs_as_it_was_admitted() -> None:
    before = Beginning()
    stage = before.then(before.ended)
    assert stage.ran() == [(before.begun, "print('a')")]
    stage.kernel_finishes()
    assert ended(stage) == {before.begun: "ok"}


def test_what_an_earlier_headway_admitted_and_did_not_show_is_lost() -> None:
    before = Beginning()
    opening = stored(before.stage)
    (unfinished,) = opening.unfinished
    living = LivingKernel(7, "python3", INFO, before.ended, AWAY_SINCE_S)
    older = replace(opening, unfinished=(replace(unfinished, admission=b""),), kernel=living)
    stage = Stage(seed=1, opening=older)
    assert ended(stage) == {before.begun: "lost"}
    assert stage.ran() == []


def test_what_waited_behind_something_that_had_ended_goes_on_at_once() -> None:
    before = Before()
    running, *waiting = before.ids
    before.stage.feed(
        KernelSaid(1, (ExecuteReply(running, "ok", 1), Idle(running))),
    )
    ran_last = before.stage.ran()[-1][0]
    assert ran_last == waiting[0]
    stage = before.then(asked=waiting[0])
    stage.kernel_says(ExecuteReply(waiting[0], "ok", 2), Idle(waiting[0]))
    assert [each for each, _ in stage.ran()] == waiting[1:]
    again = Stage(seed=2, opening=replace(stored(stage), kernel=None))
    assert ended(again) == {waiting[1]: "lost"}


def test_what_no_kernel_had_been_given_when_the_daemon_was_killed_runs_at_once() -> None:
    before = Before()
    for execution_id in before.ids:
        before.says(ExecuteReply(execution_id, "ok", 1), Idle(execution_id))
    before.stage.holds_disk = True
    execution_id = before.stage.new_id()
    asked = rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=execution_id)
    before.stage.ask(asked)
    before.stage.answered = len(before.stage.persists)  # on the disk, and nobody was told
    stage = before.then(asked=before.ids[-1])
    assert [each for each, _ in stage.ran()] == [execution_id]


def test_what_may_have_run_already_is_lost() -> None:
    """Its end was not durable, and the kernel had been given the next one."""
    before = Before()
    first, second, third = before.ids
    stage = before.then(asked=second)
    assert ended(stage) == {first: "lost"}
    stage.kernel_says(ExecuteReply(second, "ok", 2), Idle(second))
    assert [each for each, _ in stage.ran()] == [third]


def test_a_kernel_that_was_given_nothing_that_is_known_gets_nothing() -> None:
    for asked in (None, "another"):
        before = Before()
        stage = before.then(asked=asked)
        assert ended(stage) == dict.fromkeys(before.ids, "lost")
        assert stage.ran() == []


def test_the_text_that_was_accepted_is_what_runs_also_after_a_restart() -> None:
    before = Before()
    running, second, third = before.ids
    before.peer.edit(UpdateSource("b", "print('edited meanwhile')"), DeleteCell("c"))
    stage = before.then(asked=running)
    stage.kernel_says(ExecuteReply(running, "ok", 1), Idle(running))
    assert stage.ran() == [(second, "print('b')")]
    record = stage.runtime.execution(third)
    assert record is not None
    assert (record.status, record.reason) == ("lost", SOURCE_GONE)


class Batch:
    """The first daemon: a batch of three of which the first runs."""

    def __init__(self, *, allow_errors: bool) -> None:
        self.stage = Stage()
        self.peer = self.stage.peer()
        for name in ("a", "b", "c"):
            heads = self.peer.add_cell(name, f"print({name!r})")
        token = self.stage.ask(
            rpc.ExecuteAll(
                document=DOCUMENT,
                batch_id=self.stage.new_id(),
                required_heads=heads,
                allow_errors=allow_errors,
            )
        )
        self.ids = [each.execution_id for each in self.stage.answer(token).executions]
        self.stage.kernel_ready()
        assert [each for each, _ in self.stage.ran()] == self.ids[:1]

    def then(self) -> Stage:
        living = LivingKernel(7, "python3", INFO, self.ids[0], AWAY_SINCE_S)
        return Stage(seed=1, opening=replace(stored(self.stage), kernel=living))


@pytest.mark.parametrize("allow_errors", [False, True])
def test_the_rest_of_a_batch_goes_on_or_ends_as_it_would_have(allow_errors: bool) -> None:
    before = Batch(allow_errors=allow_errors)
    first, *rest = before.ids
    stage = before.then()
    stage.kernel_says(ExecuteReply(first, "error", 1), Idle(first))
    if not allow_errors:
        assert stage.ran() == []
        assert ended(stage) == {first: "error"} | dict.fromkeys(rest, "cancelled")
        return
    for _ in rest:
        stage.kernel_finishes()
    assert [each for each, _ in stage.ran()] == rest


@pytest.mark.parametrize("allow_errors", [False, True])
def test_a_batch_that_has_lost_a_cell_goes_on_only_if_it_goes_on_after_errors(
    allow_errors: bool,
) -> None:
    before = Batch(allow_errors=allow_errors)
    first, second, third = before.ids
    before.peer.edit(DeleteCell("b"))
    stage = before.then()
    assert ended(stage)[second] == "lost"
    stage.kernel_says(ExecuteReply(first, "ok", 1), Idle(first))
    if allow_errors:
        assert [each for each, _ in stage.ran()] == [third]
    else:
        assert stage.ran() == []
        assert ended(stage)[third] == "cancelled"


@given(st.randoms(use_true_random=False))
def test_wherever_the_daemon_is_killed_each_execution_runs_at_most_once_and_ends_once(
    dice: random.Random,
) -> None:
    """And in the order of admission, with the text that was accepted."""
    stage = Stage(seed=dice.randrange(1000))
    peer = stage.peer()
    for name in "abc":
        peer.add_cell(name, f"{name}0")
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    asked_for: dict[str, None] = {}
    given_in: list[list[tuple[str, str]]] = []
    stage.holds_disk = True
    for life in range(3):
        for _ in range(dice.randrange(12)):
            _act(stage, peer, dice)
        for persist in stage.persists:
            for record in persist.records:
                if isinstance(record, ExecutionAccepted) and record.runs_as == record.execution_id:
                    asked_for.setdefault(record.execution_id)
        given_in.append(stage.ran())
        ids_given = [each for ran in given_in for each, _ in ran]
        last = ids_given[-1] if ids_given else None
        opening = stored(stage)
        asked_for = {each: None for each in asked_for if each in opening.taken}
        living = LivingKernel(7, "python3", INFO, last, AWAY_SINCE_S)
        stage = Stage(seed=100 + life, opening=replace(opening, kernel=living))
        peer = stage.peer()
        stage.holds_disk = life < 1
    while stage.room.kernel_state.status == "busy":
        _kernel_ends(stage, "ok")
    given_in.append(stage.ran())
    ids_given = [each for ran in given_in for each, _ in ran]
    assert len(ids_given) == len(set(ids_given))
    order = list(asked_for)
    assert ids_given == sorted(ids_given, key=order.index)
    assert all(stage.runtime.status(each) in TERMINAL for each in order)
    for execution_id, code in (each for ran in given_in for each in ran):
        shown = stage.runtime.execution(execution_id)
        assert shown is not None
        assert shown.source_sha256 == hashlib.sha256(code.encode()).hexdigest()


def _kernel_ends(stage: Stage, status: str) -> None:
    running = stage.room._executions.queue.running
    assert running is not None, "the kernel is busy"
    execution_id = running.execution_id
    stage.kernel_says(ExecuteReply(execution_id, status, 1), Idle(execution_id))


def _act(stage: Stage, peer: Peer, dice: random.Random) -> None:
    """Something happens: an edit, an execution, a batch, an interrupt, the kernel, the disk."""
    match dice.randrange(7):
        case 0:
            cell_id = dice.choice(peer.notebook.order())
            peer.edit(UpdateSource(cell_id, f"{cell_id}{dice.randrange(1000)}"))
        case 1 | 2:
            stage.ask(
                rpc.Execute(
                    document=DOCUMENT,
                    cell_id=dice.choice(peer.notebook.order()),
                    execution_id=stage.new_id(),
                    source="latest",
                )
            )
        case 3:
            stage.ask(
                rpc.ExecuteAll(
                    document=DOCUMENT,
                    batch_id=stage.new_id(),
                    source="latest",
                    allow_errors=dice.random() < 0.5,
                )
            )
        case 4:
            stage.disk(dice.randrange(1, 4))
        case 5:
            if stage.room.kernel_state.status == "busy":
                _kernel_ends(stage, dice.choice(["ok", "ok", "error"]))
        case _:
            if dice.random() < 0.3:
                stage.ask(rpc.Interrupt(document=DOCUMENT))
    stage.wait(dice.choice([0.0, 0.05]))


def test_an_id_that_another_answers_for_does_not_become_an_execution_of_its_own() -> None:
    before = Before()
    twin = before.stage.new_id()
    asked = rpc.Execute(document=DOCUMENT, cell_id="c", execution_id=twin, allow_stdin=True)
    assert before.stage.answer(before.stage.ask(asked)).execution_id == before.ids[2]

    stage = before.then(asked=None, is_alive=False)
    assert ended(stage) == dict.fromkeys(before.ids, "lost")
    assert stage.runtime.latest("c") == before.ids[2]
    outcome = stage.answer(stage.ask(rpc.GetExecution(execution_id=twin)))
    assert outcome.execution_id == before.ids[2]


def test_what_ended_unheard_is_lost_with_the_reason() -> None:
    before = Before()
    running = before.ids[0]
    stage = before.then(asked=running)
    stage.kernel_says(ReplyLost(running, "nobody knows how it ended"), Idle(running))
    record = stage.runtime.execution(running)
    assert record is not None
    assert (record.status, record.reason) == ("lost", "nobody knows how it ended")
    assert ended(stage)[running] == "lost"
    assert stage.room.kernel_state.status == "busy", "what waited goes on"


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
    assert stage.of(InterruptKernel) == [InterruptKernel(7, before.ids[0])]
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


def prompt_of(stage: Stage, execution_id: str) -> Any:
    record = stage.runtime.execution(execution_id)
    assert record is not None
    return record.prompt


def answers_given(stage: Stage) -> list[str]:
    requests = [asked.request for asked in stage.of(AskKernel)]
    return [request.value for request in requests if isinstance(request, InputReply)]


def answer(stage: Stage, execution_id: str, prompt_id: str, value: str) -> Any:
    params = rpc.AnswerInput(
        document=DOCUMENT, execution_id=execution_id, prompt_id=prompt_id, value=value
    )
    return stage.answer(stage.ask(params))


@pytest.mark.parametrize("tells_again", [True, False])
def test_a_prompt_that_was_shown_can_be_answered_at_the_next_daemon(tells_again: bool) -> None:
    before = Before()
    (running, *_) = before.ids
    before.says(InputRequest(running, "Name? ", password=False))
    prompt = prompt_of(before.stage, running)
    stage = before.then(asked=running)
    assert prompt_of(stage, running) == prompt
    if tells_again:
        stage.kernel_says(InputRequest(running, "Name? ", password=False))
    assert prompt_of(stage, running) == prompt
    answered = answer(stage, running, prompt.id, "Ada")
    assert answered == rpc.InputAnswered(execution_id=running, prompt_id=prompt.id)
    assert answers_given(stage) == ["Ada"]
    assert prompt_of(stage, running) is None


def test_a_prompt_that_the_daemon_took_to_its_grave_is_shown_when_the_kernel_tells_of_it() -> None:
    before = Before()
    (running, *_) = before.ids
    before.stage.holds_disk = True
    before.says(InputRequest(running, "Name? ", password=True))
    before.stage.persists = before.stage.persists[: before.stage.answered]
    stage = before.then(asked=running)
    assert prompt_of(stage, running) is None
    stage.kernel_says(InputRequest(running, "Name? ", password=True))
    assert prompt_of(stage, running).password
    answer(stage, running, prompt_of(stage, running).id, "Ada")
    assert answers_given(stage) == ["Ada"]


def test_an_answer_that_did_not_reach_the_kernel_before_the_kill_is_asked_for_anew() -> None:
    before = Before()
    (running, *_) = before.ids
    before.says(InputRequest(running, "Name? ", password=False))
    former = prompt_of(before.stage, running)
    assert answer(before.stage, running, former.id, "Ada") is not None
    stage = before.then(asked=running)
    assert prompt_of(stage, running) is None, "a second answer to it is never taken"
    assert answer(stage, running, former.id, "Eve").code == "INPUT_NOT_AWAITED"
    stage.kernel_says(InputRequest(running, "Name? ", password=False))
    assert prompt_of(stage, running).id != former.id


def test_another_question_takes_the_place_of_the_one_that_was_shown() -> None:
    before = Before()
    (running, *_) = before.ids
    before.says(InputRequest(running, "1? ", password=False))
    former = prompt_of(before.stage, running)
    stage = before.then(asked=running)
    stage.kernel_says(InputRequest(running, "2? ", password=False))
    assert prompt_of(stage, running).text == "2? "
    assert answer(stage, running, former.id, "late").code == "INPUT_NOT_AWAITED"
    assert answers_given(stage) == []


def test_a_prompt_of_what_is_lost_with_the_daemon_is_gone() -> None:
    before = Before()
    (running, *_) = before.ids
    before.says(InputRequest(running, "Name? ", password=False))
    stage = before.then(asked=None, is_alive=False)
    record = stage.runtime.execution(running)
    assert record is not None
    assert (record.status, record.prompt) == ("lost", None)
