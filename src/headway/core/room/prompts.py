"""What the running cell asks, and whose answer the kernel gets.

Floor 3. The kernel's channel for answers knows no names: what it is sent is the answer to whatever
it asks by then. So an answer is sent only for the prompt that is open, once, and after that prompt
was taken out of the runtime document on the disk: a daemon that comes later will not take a second
one. An interrupt withdraws the prompt at once, before the kernel is told, for the same reason.

Of an answer nothing is recorded before the kernel has it, and of a password nothing ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.core.document.notices import unanswered_text
from headway.core.document.prompts import Prompt, echo
from headway.core.kernel.events import InputRequest, Stream
from headway.core.room.effects import AskKernel, InputReply
from headway.core.wire import rpc
from headway.errors import InputNotAwaited
from headway.ids import ExecutionId, prompt_id

if TYPE_CHECKING:
    from headway.core.room.inputs import Requested
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.queue import Execution
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.ids import Entropy
    from headway.moments import Moment

__all__ = ["Prompts"]

_STREAM = "stdin"


@dataclass(slots=True, eq=False)
class _Open:
    """A prompt that the kernel waits with."""

    execution_id: ExecutionId
    prompt: Prompt
    answered: bool = False
    """Whether an answer is on its way to the kernel."""
    gone: bool = False
    """Whether the kernel waits for it no more."""
    taken_up: bool = False
    """Whether an earlier daemon showed it. Its kernel may tell of it again."""


class Prompts:
    """The prompt of one room's running execution; at most one is open."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        recorder: Recorder,
        kernel: RoomKernel,
        entropy: Entropy,
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self._kernel = kernel
        self._entropy = entropy
        self._open: _Open | None = None
        self._last_answered: str | None = None

    def asked(self, event: InputRequest, running: Execution | None, now: Moment) -> None:
        """The kernel asks for a line of text."""
        if running is None or event.execution_id not in {None, running.execution_id}:
            return
        if not running.allow_stdin:
            # A kernel that asks all the same would wait for ever: nobody has promised to answer.
            self._recorder.note(running.execution_id, unanswered_text(), now)
            self._kernel.interrupt(running.execution_id)
            return
        prompt = Prompt.of(prompt_id(self._entropy), event.prompt, password=event.password)
        if self._is_known(prompt):
            return
        self._withdraw()
        self._open = _Open(running.execution_id, prompt)
        self._recorder.prompt(running.execution_id, prompt, now)

    def take_up(self, execution_id: ExecutionId, prompt: Prompt | None) -> None:
        """A daemon before this one showed that the execution asks; its kernel may wait still."""
        if prompt is not None:
            self._open = _Open(execution_id, prompt, taken_up=True)

    def answer(self, request: Requested, params: rpc.AnswerInput, now: Moment) -> None:
        """Give the kernel this answer, if it is the first. Raises InputNotAwaited."""
        found = self._open
        if (
            found is None
            or found.answered
            or (found.execution_id, found.prompt.id) != (params.execution_id, params.prompt_id)
        ):
            answered = params.prompt_id == self._last_answered
            raise _not_awaited(params, answered=answered)
        found.answered = True
        self._last_answered = found.prompt.id
        self._recorder.prompt(found.execution_id, None, now)
        self._ledger.when_durable(lambda at: self._give(request.token, params, found, at))

    def _give(self, token: int, params: rpc.AnswerInput, asked: _Open, now: Moment) -> None:
        if asked.gone:
            self._requests.refuse(token, _not_awaited(params, answered=False))
            return
        self._open = None
        shown = echo(asked.prompt, params.value)
        self._recorder.output(Stream(asked.execution_id, _STREAM, shown), now)
        reply = InputReply(asked.execution_id, params.value)
        self._ledger.to_kernel(AskKernel(self._kernel.incarnation, reply))
        answered = rpc.InputAnswered(execution_id=asked.execution_id, prompt_id=asked.prompt.id)
        self._requests.answer(token, answered)

    def interrupted(self, now: Moment) -> None:
        """What runs is about to be interrupted: no answer may reach it any more."""
        found = self._open
        if found is not None:
            self._withdraw()
            self._recorder.prompt(found.execution_id, None, now)

    def ended(self, execution_id: ExecutionId) -> None:
        """The execution is terminal; its record shows no prompt any more."""
        if self._open is not None and self._open.execution_id == execution_id:
            self._withdraw()

    def _is_known(self, prompt: Prompt) -> bool:
        found = self._open
        return (
            found is not None
            and found.taken_up
            and (found.prompt.text, found.prompt.password) == (prompt.text, prompt.password)
        )

    def _withdraw(self) -> None:
        if self._open is not None:
            self._open.gone = True
            self._open = None


def _not_awaited(params: rpc.AnswerInput, *, answered: bool) -> InputNotAwaited:
    if answered:
        sentence = "Somebody else answered that first; this answer was not given to the kernel."
    else:
        sentence = (
            "The kernel does not wait for an answer to that prompt (any more), so this one was not "
            "given to it. What is asked now is in the execution's record."
        )
    return InputNotAwaited(
        sentence,
        execution_id=params.execution_id,
        prompt_id=params.prompt_id,
        answered=answered,
    )
