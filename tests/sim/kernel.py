"""A kernel without a process: it records exactly what it was given, and answers by the dice.

Outputs and idle come in order on one channel, the reply on another, so the reply may come before
the outputs, before idle or after it, as with a real kernel's sockets. A cell that may ask does so
sometimes, and catches an interrupt of that sometimes, to ask something else.

It may outlive its daemon. What it says meanwhile is lost; the next one hears what it goes on to
say, what it asks and waits for, and at the end of the execution how that ended, if it knows.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from headway.core.kernel.events import (
    Busy,
    CompleteReply,
    DisplayData,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    Idle,
    InputRequest,
    KernelEvent,
    ReplyLost,
    Stream,
)
from headway.core.room.effects import (
    CompleteRequest,
    ExecuteRequest,
    InputReply,
    InspectRequest,
    KernelRequest,
)
from sim.timeline import Timeline

__all__ = ["FakeKernel"]


class FakeKernel:
    """One incarnation. `say` takes its events, `ended` its end."""

    def __init__(
        self,
        timeline: Timeline,
        dice: random.Random,
        pace_s: float,
        *,
        noise: bool,
        mortal: bool,
        asks: random.Random,
        say: Callable[[tuple[KernelEvent, ...]], None],
        ended: Callable[[str], None],
    ) -> None:
        self._timeline = timeline
        self._dice = dice
        self._pace_s = pace_s
        self._noise = noise
        self._mortal = mortal
        self._asks = asks
        self._questions = 0
        self._rest: tuple[list[KernelEvent], str, float] | None = None
        self.asking: str | None = None
        """What the running code asks and waits for."""
        self._say = say
        self._ended = ended
        self.asked: str | None = None
        """The execution that it was given last."""
        self._is_heard = True
        self._tells_the_end = False
        self._reply: ExecuteReply | None = None
        """That of what it was given last, once it has ended."""
        self._is_reply_heard = False
        """Whether the daemon that hears it now has heard that."""
        self._count = 0
        self._plan = 0
        self._running: str | None = None
        self._left = 0
        self._former: str | None = None
        self.is_dead = False
        self._doom: int | None = None

    def ask(self, request: KernelRequest) -> None:
        if self.is_dead:
            return
        match request:
            case ExecuteRequest(execution_id=execution_id, allow_stdin=allow_stdin):
                self._execute(execution_id, allow_stdin=allow_stdin)
            case InputReply():
                self._answered()
            case CompleteRequest(request_id=request_id, cursor=cursor):
                reply = CompleteReply(request_id, ("one", "two"), cursor, cursor)
                self._timeline.after(self._pace_s, lambda: self._emit(reply, self._plan))
            case InspectRequest():
                pass

    def interrupt(self) -> None:
        """KeyboardInterrupt in what runs; nothing when idle."""
        if self.is_dead or self._running is None or self._left < 2:
            return
        self._plan += 1
        if self.asking is not None:
            self.asking = None
            if self._asks.random() < 0.4:
                self._ask_soon()
                return
        error = ErrorOutput(self._running, "KeyboardInterrupt", "", ("KeyboardInterrupt",))
        self._finish([error], "error", 0.0)

    def die(self, reason: str) -> None:
        """The process is gone."""
        if not self.is_dead:
            self.is_dead = True
            self._timeline.after(self._pace_s, lambda: self._end_of_process(reason))

    def _end_of_process(self, reason: str) -> None:
        self._silence()
        self._ended(reason)

    def be_orphaned(self) -> None:
        """Its daemon is gone: it goes on, and nobody hears it."""
        self._is_heard = False
        self._say, self._ended = lambda _: None, lambda _: None

    def be_adopted(
        self, say: Callable[[tuple[KernelEvent, ...]], None], ended: Callable[[str], None]
    ) -> None:
        """Another daemon hears it."""
        self._is_heard, self._is_reply_heard = True, False
        self._say, self._ended = say, ended
        if self._running is not None:
            self._tells_the_end = True
            if self.asking is not None:
                self._say_soon(InputRequest(self._running, self.asking, password=False))
        elif self.asked is not None:
            self._tell_the_end(self.asked)

    def _tell_the_end(self, execution_id: str) -> None:
        told: tuple[KernelEvent, ...] = (Idle(execution_id),)
        if not self._is_reply_heard:
            assert self._reply is not None, "it has ended"
            is_known = self._asks.random() < 0.7
            lost = ReplyLost(execution_id, "nobody heard it")
            told = (self._reply if is_known else lost, *told)
        self._say_soon(*told)

    def _say_soon(self, *events: KernelEvent) -> None:
        say = self._say
        self._timeline.after(self._pace_s * self._asks.uniform(0, 1), lambda: say(events))

    def stop(self) -> None:
        """Ended from outside; what it had sent may still be on its way."""
        if not self._noise:
            self._plan += 1
        else:
            self._timeline.after(0.05, self._silence)
        self.is_dead = True

    def _silence(self) -> None:
        self._plan += 1

    def _execute(self, execution_id: str, *, allow_stdin: bool) -> None:
        self._former, self._running = self._running or self._former, execution_id
        self.asked, self._reply, self._tells_the_end = execution_id, None, False
        self._plan += 1
        self._count += 1
        dice = self._dice
        said: list[KernelEvent] = [Busy(execution_id), ExecuteInput(execution_id, self._count)]
        for number in range(dice.choice((0, 1, 1, 2, 4, 9))):
            said.append(self._output(execution_id, number))
        status = "ok"
        if dice.random() < 0.2:
            status = "error"
            said.append(ErrorOutput(execution_id, "ValueError", "planned", ("line 1", "line 2")))
        if self._noise and self._former is not None and self._former != execution_id:
            stale: tuple[KernelEvent, ...] = (
                Idle(self._former),
                ExecuteReply(self._former, "ok", 1),
                Idle(None),
            )
            for event in stale:
                said.insert(dice.randint(0, len(said)), event)
        if self._mortal and dice.random() < 0.08:
            plan = self._plan
            when_s = self._pace_s * dice.uniform(0, 2 * len(said))
            self._doom = plan
            self._timeline.after(when_s, lambda: self._die_in(plan))
        early = dice.random()
        if allow_stdin and self._asks.random() < 0.5:
            cut = self._asks.randint(2, len(said))
            self._rest = (said[cut:], status, early)
            self._say_then_ask(said[:cut])
        else:
            self._finish(said, status, early)

    def _say_then_ask(self, said: list[KernelEvent]) -> None:
        plan, when_s = self._plan, self._timeline.now_s
        self._left = 2
        for event in said:
            when_s += self._pace_s * self._asks.uniform(0, 1)
            self._timeline.at(when_s, lambda event=event: self._emit(event, plan))  # type: ignore[misc]
        self._timeline.at(when_s, lambda: self._ask_soon() if plan == self._plan else None)

    def _ask_soon(self) -> None:
        plan = self._plan
        self._timeline.after(self._pace_s * self._asks.uniform(0, 1), lambda: self._ask(plan))

    def _ask(self, plan: int) -> None:
        if plan != self._plan or self.is_dead:
            return
        self._questions += 1
        self.asking = f"{self._running} {self._questions}? "
        self._say((InputRequest(self._running, self.asking, password=False),))

    def _answered(self) -> None:
        """It was given an answer; what it does not wait for is forgotten."""
        if self.asking is None:
            return
        self.asking = None
        if self._asks.random() < 0.3:
            self._ask_soon()
        else:
            assert self._rest is not None, "what asks has more to say"
            self._finish(*self._rest)

    @property
    def is_doomed(self) -> bool:
        """Whether it will die by itself unless something else happens first."""
        return self._doom == self._plan and not self.is_dead

    def _die_in(self, plan: int) -> None:
        if plan == self._plan:
            self.die("it was killed by signal 9")

    def _finish(self, said: list[KernelEvent], status: str, early: float) -> None:
        """Send `said` and idle in order, and the reply somewhere near the end."""
        running = self._running
        assert running is not None, "only what runs can finish"
        plan = self._plan
        self._left = 2
        start_s = when_s = self._timeline.now_s
        in_bursts = self._dice.random() < 0.5
        for event in said:
            if not in_bursts or self._dice.random() < 0.3:
                when_s += self._pace_s * self._dice.uniform(0.2, 1.5)
            self._timeline.at(when_s, lambda event=event: self._emit(event, plan))  # type: ignore[misc]
        idle_s = when_s + self._pace_s * self._dice.uniform(0, 0.5)
        self._timeline.at(idle_s, lambda: self._end(Idle(running), plan))
        reply = ExecuteReply(running, status, self._count)
        reply_s = start_s + (idle_s - start_s) * (0.4 + early) + 1e-6
        self._timeline.at(reply_s, lambda: self._end(reply, plan))

    def _output(self, execution_id: str, number: int) -> KernelEvent:
        dice = self._dice
        chance = dice.random()
        if chance < 0.7:
            name = dice.choice(("stdout", "stdout", "stderr"))
            return Stream(execution_id, name, f"{execution_id[-4:]} says {number} \U0001f600\n")
        if chance < 0.85:
            size = dice.choice((3, 3, 2000))
            return DisplayData(execution_id, {"text/plain": f"{number:>{size}}"}, {})
        return ExecuteResult(execution_id, {"text/plain": str(number)}, {}, self._count)

    def _emit(self, event: KernelEvent, plan: int) -> None:
        if plan == self._plan:
            self._say((event,))

    def _end(self, event: KernelEvent, plan: int) -> None:
        if plan != self._plan:
            return
        if isinstance(event, ExecuteReply):
            self._reply, self._is_reply_heard = event, self._is_heard
        self._left -= 1
        if self._left == 0:
            self._former, self._running = self._running, None
        self._say((event,))
        if self._left == 0 and self._tells_the_end:
            assert self.asked is not None, "it has run something"
            self._tell_the_end(self.asked)
