"""Completions and other questions: what they may hold up (nothing), and for how long they wait."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.kernel.events import (
    CompleteReply,
    HistoryInput,
    HistoryReply,
    InspectReply,
    IsCompleteReply,
    KernelInfo,
    QuestionReply,
)
from headway.core.room.effects import AskKernel, ExecuteRequest, Question, StartKernel
from headway.core.room.inputs import KernelEnded, KernelReady, RequestAbandoned
from headway.core.room.questions import MAX_HISTORY_CHARACTERS, MAX_QUESTIONS
from headway.core.wire import rpc
from headway.errors import BadRequest, Busy, DeadlineExceeded, KernelDied
from room_stage import DOCUMENT, Stage

COMPLETE = rpc.Complete(document=DOCUMENT, code="pri", cursor=3)


def started(*, answers_while_busy: bool = False, seed: int = 0) -> Stage:
    """A room whose kernel is idle."""
    stage = Stage(seed)
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    begin(stage, answers_while_busy=answers_while_busy)
    return stage


def begin(stage: Stage, *, answers_while_busy: bool = False) -> None:
    incarnation = stage.of(StartKernel)[-1].incarnation
    info = KernelInfo("python", answers_while_busy=answers_while_busy)
    stage.feed(KernelReady(incarnation, info, "python3"))


def run_a_cell(stage: Stage) -> None:
    heads = stage.peer().add_cell("c", "x")
    stage.ask(
        rpc.Execute(
            document=DOCUMENT, required_heads=heads, cell_id="c", execution_id=stage.new_id()
        )
    )
    assert stage.room.kernel_state.status == "busy"


def questions(stage: Stage) -> list[Question]:
    asked = (effect.request for effect in stage.of(AskKernel))
    return [each for each in asked if not isinstance(each, ExecuteRequest)]


def say(stage: Stage, reply: QuestionReply) -> None:
    stage.kernel_says(reply)


def test_a_kernel_that_answers_while_busy_is_asked_while_it_runs_a_cell() -> None:
    stage = started(answers_while_busy=True)
    run_a_cell(stage)
    token = stage.ask(COMPLETE)
    (question,) = questions(stage)
    say(stage, CompleteReply(question.request_id, ("print",), 0, 3))
    assert stage.answer(token) == rpc.Completions(matches=["print"], start=0, end=3)


def test_any_other_kernel_is_asked_once_it_runs_nothing() -> None:
    stage = started()
    run_a_cell(stage)
    token = stage.ask(COMPLETE)
    assert questions(stage) == []
    stage.kernel_finishes()
    (question,) = questions(stage)
    say(stage, CompleteReply(question.request_id, ("print",), 0, 3))
    assert stage.answer(token).matches == ["print"]


def test_a_question_that_nobody_waits_for_is_never_asked() -> None:
    stage = started()
    run_a_cell(stage)
    late = stage.ask(rpc.Complete(document=DOCUMENT, code="pri", cursor=3, timeout_s=1.0))
    left = stage.ask(COMPLETE)
    stage.feed(RequestAbandoned(left))
    stage.wait(1.5)
    assert isinstance(stage.answer(late), DeadlineExceeded)
    stage.kernel_finishes()
    assert questions(stage) == []


def test_an_answer_after_the_deadline_is_nobodys() -> None:
    stage = started()
    late = stage.ask(rpc.Complete(document=DOCUMENT, code="pri", cursor=3, timeout_s=1.0))
    stage.wait(1.5)
    assert isinstance(stage.answer(late), DeadlineExceeded)
    other = stage.ask(COMPLETE)
    first, second = questions(stage)
    say(stage, CompleteReply(first.request_id, ("late",), 0, 3))
    assert stage.answer(other) is None
    say(stage, CompleteReply(second.request_id, ("right",), 0, 3))
    assert stage.answer(other).matches == ["right"]


def test_a_cursor_beyond_the_code_is_refused_and_never_asked() -> None:
    stage = started(answers_while_busy=True)
    for params in (
        rpc.Complete(document=DOCUMENT, code="ab", cursor=3),
        rpc.Inspect(document=DOCUMENT, code="ab", cursor=3),
    ):
        assert isinstance(stage.answer(stage.ask(params)), BadRequest)
    assert questions(stage) == []
    stage.ask(rpc.Complete(document=DOCUMENT, code="ab", cursor=2))
    assert len(questions(stage)) == 1


def test_no_two_daemons_ask_under_the_same_id() -> None:
    """A kernel outlives its daemon, and what the former asked is answered to the next."""
    asked = []
    for seed in (1, 2):
        stage = started(seed=seed)
        stage.ask(COMPLETE)
        asked += [each.request_id for each in questions(stage)]
    assert len(set(asked)) == 2


def test_an_answer_of_another_kind_is_not_taken() -> None:
    stage = started()
    token = stage.ask(COMPLETE)
    (question,) = questions(stage)
    say(stage, InspectReply(question.request_id, found=False, data={}))
    assert stage.answer(token) is None


def test_a_question_to_a_kernel_that_starts_waits_for_it() -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    token = stage.ask(COMPLETE)
    assert questions(stage) == []
    assert stage.answer(token) is None
    begin(stage)
    assert len(questions(stage)) == 1


def test_no_kernel_and_a_kernels_end_are_told_at_once() -> None:
    assert isinstance((stage := Stage()).answer(stage.ask(COMPLETE)), KernelDied)
    stage = started()
    token = stage.ask(COMPLETE)
    stage.feed(KernelEnded(stage.of(StartKernel)[-1].incarnation, "it was killed by signal 9"))
    assert isinstance(stage.answer(token), KernelDied)


def test_a_kernel_that_does_not_answer_is_not_asked_for_ever() -> None:
    stage = started()
    tokens = [stage.ask(COMPLETE) for _ in range(MAX_QUESTIONS)]
    assert isinstance(stage.answer(stage.ask(COMPLETE)), Busy)
    say(stage, CompleteReply(questions(stage)[0].request_id, (), 0, 0))
    assert stage.answer(tokens[0]) is not None
    assert stage.answer(stage.ask(COMPLETE)) is None


def test_questions_that_expired_unasked_make_room_for_others() -> None:
    stage = started()
    run_a_cell(stage)
    for _ in range(MAX_QUESTIONS):
        stage.ask(rpc.Complete(document=DOCUMENT, code="pri", cursor=3, timeout_s=1.0))
    stage.wait(1.5)
    assert stage.answer(stage.ask(COMPLETE)) is None


@pytest.mark.parametrize(
    ("asked", "said", "answer"),
    [
        (
            rpc.Inspect(document=DOCUMENT, code="x", cursor=1),
            {"kind": InspectReply, "found": True, "data": {"text/plain": "1"}},
            rpc.Inspection(found=True, data={"text/plain": "1"}),
        ),
        (
            rpc.IsComplete(document=DOCUMENT, code="if x:"),
            {"kind": IsCompleteReply, "status": "incomplete", "indent": "    "},
            rpc.Completeness(status="incomplete", indent="    "),
        ),
        (
            rpc.KernelHistory(document=DOCUMENT, n=1),
            {"kind": HistoryReply, "inputs": (HistoryInput(1, 1, "a"), HistoryInput(1, 2, "b"))},
            rpc.KernelInputs(inputs=[rpc.HistoryInput(session=1, line=2, source="b")]),
        ),
    ],
)
def test_each_question_gets_its_answer(asked: Any, said: dict[str, Any], answer: Any) -> None:
    stage = started()
    token = stage.ask(asked)
    (question,) = questions(stage)
    kind = said["kind"]
    content = {name: value for name, value in said.items() if name != "kind"}
    say(stage, kind(question.request_id, **content))
    assert stage.answer(token) == answer


def test_a_history_longer_than_an_answer_keeps_the_newest_and_says_so() -> None:
    stage = started()
    token = stage.ask(rpc.KernelHistory(document=DOCUMENT, n=10))
    long = "x" * (MAX_HISTORY_CHARACTERS // 2)
    inputs = tuple(HistoryInput(1, line, long) for line in range(1, 6))
    (question,) = questions(stage)
    say(stage, HistoryReply(question.request_id, inputs))
    answer = stage.answer(token)
    assert [each.line for each in answer.inputs] == [4, 5]
    assert answer.left_out == 3
