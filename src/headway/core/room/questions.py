"""What peers ask the kernel without running anything: completions, documentation, history.

Floor 3. A question never stands before an execution. A kernel that answers while it runs
code (an ipykernel, on its control socket) is asked at once; every other kernel does one thing
after the other, so it is asked only while it runs nothing, and a question that nobody waits for
any more is not asked at all. Each has its own request's deadline and no other effect.

A question's id is never used twice, by no daemon: a kernel outlives daemons, and an answer that
comes late must not be taken for that to another question.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, assert_never

from headway.core.kernel.events import (
    CompleteReply,
    HistoryReply,
    InspectReply,
    IsCompleteReply,
    QuestionReply,
)
from headway.core.room.effects import (
    AskKernel,
    CompleteRequest,
    HistoryRequest,
    InspectRequest,
    IsCompleteRequest,
    Question,
)
from headway.core.wire import rpc
from headway.errors import BadRequest, Busy

if TYPE_CHECKING:
    import msgspec

    from headway.core.room.ledger import Ledger
    from headway.core.room.requests import Requests
    from headway.errors import HeadwayError
    from headway.ids import Entropy

__all__ = ["MAX_HISTORY_CHARACTERS", "MAX_QUESTIONS", "Asking", "Questions"]

MAX_QUESTIONS = 100
"""How many questions one kernel is asked before it has answered the first."""

MAX_HISTORY_CHARACTERS = 262_144
"""What one answer holds of the kernel's history."""

Asking = rpc.Complete | rpc.Inspect | rpc.IsComplete | rpc.KernelHistory


class Questions:
    """The questions of one room that have no answer yet."""

    def __init__(self, ledger: Ledger, requests: Requests, entropy: Entropy) -> None:
        """None yet."""
        self._ledger = ledger
        self._requests = requests
        self._entropy = entropy
        self._held: deque[tuple[int, Asking]] = deque()
        self._asked: dict[str, tuple[int, Asking]] = {}

    def take(self, token: int, params: Asking) -> None:
        """A peer has a question; it is asked when `ask` is called. Raises BadRequest."""
        if isinstance(params, rpc.Complete | rpc.Inspect) and params.cursor > len(params.code):
            raise BadRequest(  # an ipykernel fails at it, and never answers
                f"The cursor, {params.cursor}, lies beyond the code's {len(params.code)} "
                "characters.",
                field="cursor",
            )
        self._held = deque(each for each in self._held if self._requests.is_open(each[0]))
        if len(self._held) + len(self._asked) >= MAX_QUESTIONS:
            error = Busy(
                f"The kernel has not answered {MAX_QUESTIONS} questions yet; ask again later.",
                limit=MAX_QUESTIONS,
            )
            self._requests.refuse(token, error)
            return
        self._held.append((token, params))

    def ask(self, incarnation: int) -> None:
        """The kernel has time: ask what is waited for still."""
        while self._held:
            token, params = self._held.popleft()
            if self._requests.is_open(token):
                question_id = f"question-{self._entropy(16).hex()}"
                self._asked[question_id] = (token, params)
                self._ledger.to_kernel(AskKernel(incarnation, _question(question_id, params)))

    def heard(self, reply: QuestionReply) -> None:
        """The kernel answered; an answer to nothing that was asked here is dropped."""
        token, params = self._asked.pop(reply.request_id, (None, None))
        if token is not None and params is not None and _fits(reply, params):
            self._requests.answer(token, _answer(reply, params))

    def abandon(self, error: HeadwayError) -> None:
        """There is no kernel any more that could answer."""
        waiting = [*self._asked.values(), *self._held]
        self._asked.clear()
        self._held.clear()
        for token, _ in waiting:
            self._requests.refuse(token, error)


def _question(question_id: str, params: Asking) -> Question:
    match params:
        case rpc.Complete(code=code, cursor=cursor):
            return CompleteRequest(question_id, code, cursor)
        case rpc.Inspect(code=code, cursor=cursor, detail=detail):
            return InspectRequest(question_id, code, cursor, detail)
        case rpc.IsComplete(code=code):
            return IsCompleteRequest(question_id, code)
        case rpc.KernelHistory():
            return HistoryRequest(
                question_id,
                params.n,
                params.pattern,
                params.session,
                params.unique,
                params.output,
            )
        case _:
            assert_never(params)


def _fits(reply: QuestionReply, params: Asking) -> bool:
    pairs = (
        (CompleteReply, rpc.Complete),
        (InspectReply, rpc.Inspect),
        (IsCompleteReply, rpc.IsComplete),
        (HistoryReply, rpc.KernelHistory),
    )
    return any(isinstance(reply, said) and isinstance(params, asked) for said, asked in pairs)


def _answer(reply: QuestionReply, params: Asking) -> msgspec.Struct:
    match reply:
        case CompleteReply():
            return rpc.Completions(
                matches=list(reply.matches),
                start=reply.start,
                end=reply.end,
                completions=[
                    rpc.Completion(
                        text=each.text,
                        start=each.start,
                        end=each.end,
                        kind=each.kind,
                        signature=each.signature,
                    )
                    for each in reply.completions
                ],
            )
        case InspectReply(found=found, data=data):
            return rpc.Inspection(found=found, data=data)
        case IsCompleteReply(status=status, indent=indent):
            return rpc.Completeness(status=status, indent=indent)
        case HistoryReply():
            assert isinstance(params, rpc.KernelHistory), "an answer fits its question"
            return _inputs(reply, params.n)
        case _:
            assert_never(reply)


def _inputs(reply: HistoryReply, n: int) -> rpc.KernelInputs:
    """The newest of them that an answer can hold."""
    found = reply.inputs[-n:]
    room_left = MAX_HISTORY_CHARACTERS
    kept: list[rpc.HistoryInput] = []
    for each in reversed(found):
        room_left -= len(each.source) + len(each.output or "")
        if room_left < 0:
            break
        kept.append(
            rpc.HistoryInput(
                session=each.session, line=each.line, source=each.source, output=each.output
            )
        )
    return rpc.KernelInputs(inputs=kept[::-1], left_out=len(found) - len(kept))
