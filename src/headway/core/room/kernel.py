"""The kernel of one notebook, as its room knows it.

Floor 3. Which incarnation lives, in what state, and who waits for it to start or to help.
The executions are in `executions`; the process is behind the effects.

Every start gets a new incarnation number, and everything that a kernel says comes with its
number, so nothing that an earlier kernel said late is ever taken for the present one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.core.kernel.events import CompleteReply, InspectReply, KernelInfo
from headway.core.room.effects import (
    AskKernel,
    CompleteRequest,
    InspectRequest,
    InterruptKernel,
    StartKernel,
    StopKernel,
)
from headway.core.wire import rpc
from headway.errors import KernelDied

if TYPE_CHECKING:
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.errors import HeadwayError
    from headway.moments import Moment

__all__ = ["RoomKernel"]


class RoomKernel:
    """The kernel's state and its open questions."""

    def __init__(self, ledger: Ledger, requests: Requests, recorder: Recorder) -> None:
        """No kernel yet."""
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self.incarnation = 0
        self.status = "absent"
        self.name: str | None = None
        self.reason: str | None = None
        self.info: KernelInfo | None = None
        self._start_waiters: list[int] = []
        self._help_waiters: dict[str, int] = {}

    @property
    def is_alive(self) -> bool:
        """Whether there is a process that answers."""
        return self.status in {"idle", "busy"}

    @property
    def is_starting(self) -> bool:
        """Whether one is on its way."""
        return self.status in {"starting", "restarting"}

    def state(self) -> rpc.KernelState:
        """The state as peers see it."""
        return rpc.KernelState(
            name=self.name,
            status=self.status,
            incarnation=self.incarnation,
            reason=self.reason,
            language=self.info.language if self.info else None,
        )

    # Life

    def start(self, name: str | None, language: str | None, now: Moment) -> None:
        """Begin a new incarnation; an old one must be stopped before."""
        assert not self.is_alive, "a second kernel for one notebook"
        self.incarnation += 1
        self.name = name
        self.info = None
        self._ledger.emit(StartKernel(self.incarnation, name, language))
        self._become("restarting" if self.status == "stopping" else "starting", None, now)

    def take_up(self, incarnation: int, name: str, info: KernelInfo, now: Moment) -> None:
        """An incarnation of an earlier daemon answers."""
        assert self.status == "absent", "a second kernel for one notebook"
        self.incarnation, self.name, self.info = incarnation, name, info
        self._become("idle", None, now)

    def wait_for_start(self, token: int) -> None:
        """This request is answered when the kernel is ready, or refused when it is not."""
        self._start_waiters.append(token)

    def ready(self, name: str, info: KernelInfo, now: Moment) -> None:
        """The incarnation answers."""
        self.name, self.info = name, info
        self._become("idle", None, now)
        for token in self._take_start_waiters():
            self._requests.answer(token, self.state())

    def failed(self, error: HeadwayError, now: Moment) -> None:
        """The incarnation never answered."""
        self._become("dead", str(error), now)
        for token in self._take_start_waiters():
            self._requests.refuse(token, error)

    def ended(self, reason: str, now: Moment) -> None:
        """The process ended by itself."""
        self._become("dead", reason, now)
        self._abandon_questions(f"The kernel ended: {reason}.")

    def stop(self, reason: str, now: Moment) -> None:
        """End the incarnation, whatever it does."""
        if self.is_alive or self.is_starting:
            self._ledger.emit(StopKernel(self.incarnation))
        self._abandon_questions(f"The kernel was stopped: {reason}.")
        error = KernelDied(f"The kernel was stopped before it was ready: {reason}.", reason=reason)
        for token in self._take_start_waiters():
            self._requests.refuse(token, error)
        self._become("stopping", reason, now)

    def absent(self, now: Moment) -> None:
        """There is no kernel any more, and none is wanted."""
        self._become("absent", None, now)

    def busy(self, now: Moment) -> None:
        """It runs something."""
        if self.status == "idle":
            self._become("busy", None, now)

    def idle(self, now: Moment) -> None:
        """It runs nothing."""
        if self.status == "busy":
            self._become("idle", None, now)

    def interrupt(self) -> None:
        """Interrupt what it runs."""
        if self.is_alive:
            self._ledger.emit(InterruptKernel(self.incarnation))

    # Help

    def ask(self, token: int, params: rpc.Complete | rpc.Inspect) -> None:
        """Pass a question on; `heard` answers it."""
        if not self.is_alive:
            error = KernelDied(
                f"The notebook's kernel is {self.status}, so it cannot answer; start it first.",
                reason=self.status,
            )
            self._requests.refuse(token, error)
            return
        question_id = f"{params.method}-{token}"
        self._help_waiters[question_id] = token
        if isinstance(params, rpc.Complete):
            question: CompleteRequest | InspectRequest = CompleteRequest(
                question_id, params.code, params.cursor
            )
        else:
            question = InspectRequest(question_id, params.code, params.cursor, params.detail)
        self._ledger.emit(AskKernel(self.incarnation, question))

    def heard(self, reply: CompleteReply | InspectReply) -> None:
        """The kernel answered a question."""
        token = self._help_waiters.pop(reply.request_id, None)
        if token is None:
            return
        if isinstance(reply, CompleteReply):
            self._requests.answer(
                token,
                rpc.Completions(matches=list(reply.matches), start=reply.start, end=reply.end),
            )
        else:
            self._requests.answer(token, rpc.Inspection(found=reply.found, data=reply.data))

    def _abandon_questions(self, sentence: str) -> None:
        waiters, self._help_waiters = self._help_waiters, {}
        for token in waiters.values():
            self._requests.refuse(token, KernelDied(sentence, reason=sentence))

    def _take_start_waiters(self) -> list[int]:
        waiters, self._start_waiters = self._start_waiters, []
        return waiters

    def _become(self, status: str, reason: str | None, now: Moment) -> None:
        self.status, self.reason = status, reason
        self._recorder.kernel(self.state(), now)
