from __future__ import annotations

import asyncio

import pytest

from headway.core.kernel.events import InputRequest
from headway.edges import kernel_prompts
from headway.edges.kernel_prompts import Prompts
from headway_daemon import bounded

FIRST, SECOND = InputRequest("e1", "First? ", False), InputRequest("e1", "Second? ", False)


class Told:
    """What was told because it had waited long enough."""

    def __init__(self) -> None:
        self.questions: list[InputRequest] = []
        self._came = asyncio.Event()

    def __call__(self, question: InputRequest) -> None:
        self.questions.append(question)
        self._came.set()

    async def next(self) -> None:
        await self._came.wait()


def test_a_question_waits_for_its_mark_and_the_next_one_for_the_next() -> None:
    async def scenario() -> None:
        prompts = Prompts(Told())
        assert prompts.asked(FIRST, has_marks=True) == ()
        assert prompts.marked() == (FIRST,)
        assert prompts.asked(SECOND, has_marks=True) == ()
        assert prompts.marked() == (SECOND,)

    bounded(scenario())


def test_a_question_whose_mark_came_first_is_told_at_once() -> None:
    async def scenario() -> None:
        prompts = Prompts(Told())
        for question in FIRST, SECOND:
            assert prompts.marked() == ()
            assert prompts.asked(question, has_marks=True) == (question,)

    bounded(scenario())


def test_a_mark_whose_question_never_came_does_not_count_for_the_next() -> None:
    async def scenario() -> None:
        prompts = Prompts(Told())
        prompts.marked()
        prompts.begin_anew()
        assert prompts.asked(FIRST, has_marks=True) == ()
        assert prompts.marked() == (FIRST,)

    bounded(scenario())


@pytest.mark.parametrize("has_marks", [True, False])
def test_without_a_mark_a_question_is_told_after_a_time(
    has_marks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_prompts, "MARK_WAIT_S" if has_marks else "PRINTED_WAIT_S", 0.001)
    never = "PRINTED_WAIT_S" if has_marks else "MARK_WAIT_S"
    monkeypatch.setattr(kernel_prompts, never, 1e6)

    async def scenario() -> None:
        told = Told()
        prompts = Prompts(told)
        assert prompts.asked(FIRST, has_marks=has_marks) == ()
        await told.next()
        assert told.questions == [FIRST]
        assert prompts.asked(SECOND, has_marks=has_marks) == ()
        prompts.forget()
        assert prompts.marked() == ()

    bounded(scenario())
