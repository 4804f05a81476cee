"""Until a kernel may be used: what it answers, and what it does not, with no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headway.edges.kernel_meeting import Meeting

INFO = {"implementation": "ipython", "language_info": {"name": "python"}}


class Kernel:
    """Answers what `answers` says, at once, in the order in which it is asked."""

    def __init__(self, answers: Callable[[str], dict[str, Any] | None]) -> None:
        self.meeting = Meeting(self.take)
        self.answers = answers
        self.asked: list[str] = []

    def take(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        del channel, content
        self.asked.append(kind)
        request = str(len(self.asked))
        answer = self.answers(kind)
        if answer is not None:
            asyncio.get_running_loop().call_soon(self.say, kind, request, answer)
        return request

    def say(self, kind: str, request: str, answer: dict[str, Any]) -> None:
        kind = kind.replace("_request", "_reply")
        parent = {"msg_id": request}
        self.meeting.hear()
        self.meeting.take({"msg_type": kind, "parent_header": parent, "content": answer})


def meet(answers: Callable[[str], dict[str, Any] | None]) -> Kernel:
    async def begin() -> Kernel:
        kernel = Kernel(answers)
        async with asyncio.timeout(30):
            await kernel.meeting.begin()
        return kernel

    return asyncio.run(begin())


@pytest.mark.parametrize(
    ("reply", "is_prepared"),
    [({"status": "ok"}, True), ({"status": "error", "evalue": "no such thing"}, False)],
)
def test_an_ipykernel_is_prepared_if_it_says_so(
    reply: dict[str, Any], is_prepared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = meet(lambda kind: INFO if kind == "kernel_info_request" else reply)
    assert kernel.meeting.is_prepared is is_prepared
    assert ("was not prepared: no such thing" in caplog.text) is not is_prepared


def test_a_preparation_that_is_never_answered_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kernel = meet(lambda kind: INFO if kind == "kernel_info_request" else None)
    assert kernel.meeting.is_ipykernel
    assert not kernel.meeting.is_prepared
    assert "was not prepared: no answer" in caplog.text


def test_a_kernel_of_another_kind_is_not_prepared() -> None:
    kernel = meet(lambda _: {"implementation": "bash"})
    assert kernel.asked == ["kernel_info_request"]
    assert not kernel.meeting.is_ipykernel
