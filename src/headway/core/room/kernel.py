"""The kernel of one notebook, as its room knows it.

Floor 3. Which incarnation lives, in what state, and who waits for it to start or to end.
What may happen in which state is a table (`core.kernel.lifecycle`). The executions are in
`executions`, the questions in `questions`; the process is behind the effects.

Every start gets a new incarnation number, and everything that a kernel says comes with its
number, so nothing that an earlier kernel said late is ever taken for the present one. A kernel is
started only when the former one's process is gone: two never hold the same files, ports or memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from headway.core.kernel.lifecycle import (
    LifecycleEvent,
    LifecycleState,
    can_execute,
    has_process,
    next_state,
)
from headway.core.room.effects import InterruptKernel, StartKernel, StopKernel
from headway.core.wire import rpc
from headway.errors import KernelDied

if TYPE_CHECKING:
    from headway.core.document.dependencies import Installation
    from headway.core.kernel.events import KernelInfo, QuestionReply
    from headway.core.room.effects import Environment
    from headway.core.room.inputs import KernelReady
    from headway.core.room.ledger import Ledger
    from headway.core.room.opening import LivingKernel
    from headway.core.room.questions import Asking, Questions
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.errors import HeadwayError
    from headway.ids import ExecutionId
    from headway.moments import Moment

__all__ = ["KernelChoice", "RoomKernel"]


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """Which kernel is to be started, and where."""

    name: str | None = None
    """A kernelspec's name; None for the default one, or that of `language`."""
    language: str | None = None
    environment: Environment | None = None
    installation: Installation | None = None
    """What is to be installed there first."""


class RoomKernel:
    """The kernel's state, and who waits for it."""

    def __init__(
        self, ledger: Ledger, requests: Requests, recorder: Recorder, questions: Questions
    ) -> None:
        """No kernel yet."""
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self._questions = questions
        self.incarnation = 0
        self.name: str | None = None
        self.reason: str | None = None
        self.info: KernelInfo | None = None
        self.environment: rpc.KernelEnvironment | None = None
        self._progress: str | None = None
        self._state = LifecycleState.ABSENT
        self._ending: int | None = None
        """The incarnation whose process is being ended."""
        self._next: KernelChoice | None = None
        """What is started when that is gone."""
        self._start_waiters: list[int] = []
        self._stop_waiters: list[int] = []

    @property
    def status(self) -> str:
        """The state, by the name that people and documents see."""
        return self._state.value

    @property
    def is_alive(self) -> bool:
        """Whether there is a process that answers."""
        return can_execute(self._state)

    @property
    def is_starting(self) -> bool:
        """Whether one is on its way."""
        return self._state in {LifecycleState.STARTING, LifecycleState.RESTARTING}

    @property
    def has_process(self) -> bool:
        """Whether there is, or soon will be, a process to end."""
        return has_process(self._state)

    def hears(self, incarnation: int) -> bool:
        """Whether what this incarnation says is taken: that of the kernel that is there."""
        return incarnation == self.incarnation and self.is_alive

    def state(self) -> rpc.KernelState:
        """The state as peers see it."""
        return rpc.KernelState(
            name=self.name,
            status=self.status,
            incarnation=self.incarnation,
            reason=self.reason,
            language=self.info.language if self.info else None,
            environment=self.environment,
            progress=self._progress,
        )

    # Life

    def start(self, choice: KernelChoice, now: Moment) -> None:
        """Begin a new incarnation, once the process of an earlier one is gone."""
        assert not self.is_alive, "a second kernel for one notebook"
        self._begin(choice, LifecycleEvent.START, None, now)

    def restart(self, choice: KernelChoice, reason: str, now: Moment) -> None:
        """End the incarnation, whatever it does, and begin a new one."""
        self._abandon(reason)
        self._begin(choice, LifecycleEvent.RESTART, reason, now)

    def stop(self, reason: str, now: Moment) -> None:
        """End the incarnation, whatever it does; nothing follows it."""
        self._abandon(reason)
        self._next = None
        self._happened(LifecycleEvent.STOP, reason, now)
        if self._state is LifecycleState.STOPPING and self._ending is None:
            self._end_process()

    def stopped(self, incarnation: int, now: Moment) -> None:
        """The process of `StopKernel(incarnation)` is gone."""
        if incarnation != self._ending:
            return
        self._ending = None
        if self._next is not None:
            self._launch(self._next)
        else:
            self._happened(LifecycleEvent.STOPPED, self.reason, now)
        waiters, self._stop_waiters = self._stop_waiters, []
        for token in waiters:
            self.answer(token, now)

    def take_up(self, living: LivingKernel, now: Moment) -> None:
        """An incarnation of an earlier daemon answers."""
        assert self._state is LifecycleState.ABSENT, "a second kernel for one notebook"
        self.incarnation, self.name, self.info = living.incarnation, living.name, living.info
        self.environment = living.environment
        self._happened(LifecycleEvent.START, None, now)
        self._happened(LifecycleEvent.READY, None, now)

    def wait_for_start(self, token: int) -> None:
        """This request is answered when the kernel is ready, or refused when it is not."""
        self._start_waiters.append(token)

    def wait_for_stop(self, token: int, now: Moment) -> None:
        """This request is answered when the process is gone; at once when there is none."""
        if self._state is LifecycleState.STOPPING:
            self._stop_waiters.append(token)
        else:
            self.answer(token, now)

    def answer(self, token: int, now: Moment) -> None:
        """Answer with the state as it is now, once everybody sees it: whoever asked as well."""
        state = self.state()
        self._recorder.when_shown(lambda _: self._requests.answer(token, state), now)

    def progressed(self, text: str, now: Moment) -> None:
        """What goes on while it starts."""
        if self.is_starting:
            self._progress = text
            self._recorder.kernel(self.state(), now)

    def ready(self, ready: KernelReady, now: Moment) -> None:
        """The incarnation answers."""
        self.name, self.info = ready.name, ready.info
        self.environment = ready.environment
        self._happened(LifecycleEvent.READY, None, now)
        for token in self._take_start_waiters():
            self.answer(token, now)

    def failed(self, error: HeadwayError, now: Moment) -> None:
        """The incarnation never answered."""
        self._happened(LifecycleEvent.FAILED, str(error), now)
        self._questions.abandon(error)
        for token in self._take_start_waiters():
            self._recorder.when_shown(partial(self._refuse, token, error), now)

    def ended(self, reason: str, now: Moment) -> None:
        """The process ended by itself."""
        self._happened(LifecycleEvent.ENDED, reason, now)
        self._abandon_questions(f"The kernel ended: {reason}.")

    def busy(self, now: Moment) -> None:
        """It runs something."""
        self._happened(LifecycleEvent.BUSY, None, now)

    def idle(self, now: Moment) -> None:
        """It runs nothing."""
        self._happened(LifecycleEvent.IDLE, None, now)

    def interrupt(self, execution_id: ExecutionId | None) -> None:
        """Interrupt this execution; None: whatever it does beside executions."""
        if self.is_alive:
            self._ledger.to_kernel(InterruptKernel(self.incarnation, execution_id))

    def _begin(
        self, choice: KernelChoice, event: LifecycleEvent, reason: str | None, now: Moment
    ) -> None:
        if has_process(self._state) and self._ending is None:
            self._end_process()
        if self._next is None:
            self.incarnation += 1
        self._next = choice
        self.name, self.info, self.environment = choice.name, None, None
        self._happened(event, reason, now)
        if self._ending is None:
            self._launch(choice)

    def _launch(self, choice: KernelChoice) -> None:
        self._next = None
        self._ledger.to_kernel(
            StartKernel(
                self.incarnation,
                choice.name,
                choice.language,
                choice.environment,
                choice.installation,
            )
        )

    def _end_process(self) -> None:
        self._ending = self.incarnation
        self._ledger.to_kernel(StopKernel(self.incarnation))

    def _abandon(self, reason: str) -> None:
        """Nobody waits any more for what the incarnation was to do."""
        self._abandon_questions(f"The kernel was stopped: {reason}.")
        error = KernelDied(f"The kernel was stopped before it was ready: {reason}.", reason=reason)
        for token in self._take_start_waiters():
            self._requests.refuse(token, error)

    # Questions

    def ask(self, token: int, params: Asking) -> None:
        """Have the kernel asked as soon as it can answer; `heard` answers."""
        if self.is_alive or self.is_starting:
            self._questions.take(token, params)
            return
        error = KernelDied(
            f"The notebook's kernel is {self.status}, so it cannot answer; start it first.",
            reason=self.status,
        )
        self._requests.refuse(token, error)

    def ask_waiting(self) -> None:
        """Pass on the questions that wait, unless they would wait at the kernel as well."""
        answers_while_busy = self.info is not None and self.info.answers_while_busy
        if self.status == "idle" or (self.status == "busy" and answers_while_busy):
            self._questions.ask(self.incarnation)

    def heard(self, reply: QuestionReply) -> None:
        """The kernel answered a question."""
        self._questions.heard(reply)

    def _refuse(self, token: int, error: HeadwayError, now: Moment) -> None:
        del now
        self._requests.refuse(token, error)

    def _abandon_questions(self, sentence: str) -> None:
        self._questions.abandon(KernelDied(sentence, reason=sentence))

    def _take_start_waiters(self) -> list[int]:
        waiters, self._start_waiters = self._start_waiters, []
        return waiters

    def _happened(self, event: LifecycleEvent, reason: str | None, now: Moment) -> None:
        """Change the state as the table says; late news that it does not name changes nothing."""
        state = next_state(self._state, event)
        if state is self._state and (reason is None or not self.has_process):
            return
        self._state, self.reason, self._progress = state, reason, None
        self._recorder.kernel(self.state(), now)
