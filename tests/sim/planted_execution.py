"""Known bugs of executions, kernels and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.room import admission, recorder, room
from headway.core.room.executions import Executions
from headway.core.room.inputs import KernelSaid
from headway.core.room.kernel import RoomKernel
from headway.core.room.kernel_life import KernelLife
from headway.core.room.prompts import Prompts
from headway.core.room.recorder import Recorder
from sim.planting import instead, planted

__all__: list[str] = []

# Executing


@planted(1, 225)
def a_shutdown_is_forgotten_when_another_kernel_follows() -> AbstractContextManager[object]:
    stopped = RoomKernel.stopped

    def forgetful(self: RoomKernel, incarnation: int, now: Any) -> None:
        if incarnation == self._ending and self._next is not None:
            self._stop_waiters, waiters = [], self._stop_waiters
            stopped(self, incarnation, now)
            self._stop_waiters = waiters
        else:
            stopped(self, incarnation, now)

    return instead(RoomKernel, "stopped", forgetful)


@planted(315, 404)
def a_kernel_is_listened_to_after_its_end() -> AbstractContextManager[object]:
    def hears(self: RoomKernel, incarnation: int) -> bool:
        return incarnation == self.incarnation

    return instead(RoomKernel, "hears", hears)


@planted(0, 4)
def a_retried_execute_runs_twice() -> AbstractContextManager[object]:
    execute = Executions.execute

    def forgetful(self: Executions, request: Any, params: Any, notebook: Any, now: Any) -> None:
        self._taken.pop(params.execution_id, None)
        execute(self, request, params, notebook, now)

    return instead(Executions, "execute", forgetful)


@planted(25, 28)
def a_restarted_daemon_forgets_which_ids_are_taken() -> AbstractContextManager[object]:
    initialize = Executions.__init__

    def forgetful(self: Executions, *parts: Any, **named: Any) -> None:
        initialize(self, *parts, **named)
        self._taken.clear()

    return instead(Executions, "__init__", forgetful)


@planted(3, 4)
def what_runs_is_the_newest_source() -> AbstractContextManager[object]:
    source = admission._source

    def newest(notebook: Any, cell_id: str, _source: str, heads: Any) -> Any:
        return source(notebook, cell_id, "latest", heads)

    return instead(admission, "_source", newest)


@planted(0, 20)
def required_heads_are_not_waited_for() -> AbstractContextManager[object]:
    def hasty(self: Any, request: Any, now: Any) -> None:
        if self._requests.open(request):
            self._serve(request, now)

    return instead(room.Room, "_requested", hasty)


@planted(0, 1)
def an_execution_runs_before_it_is_durable() -> AbstractContextManager[object]:
    admit = Executions._admit

    def hasty(self: Executions, admitted: Any, asked_by: str, now: Any) -> None:
        these = tuple(admitted)
        admit(self, these, asked_by, now)
        for each in these:
            each.durable = True
        self.advance(now)

    return instead(Executions, "_admit", hasty)


@planted(0, 1)
def accepted_before_it_is_durable() -> AbstractContextManager[object]:
    def answer(self: Executions, token: int, result: Any) -> None:
        self._requests.answer(token, result)

    return instead(Executions, "_answer_when_durable", answer)


@planted(0, 1)
def a_terminal_status_before_its_outputs() -> AbstractContextManager[object]:
    apply_outputs = Recorder._apply_outputs
    flush = Recorder.flush

    def nothing(self: Any) -> None:
        return

    def late(self: Any, now: Any) -> None:
        """Commit the status, then the outputs."""
        with instead(Recorder, "_apply_outputs", nothing):
            flush(self, now)
        apply_outputs(self)
        flush(self, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(Recorder, "_apply_outputs", nothing),
            instead(Recorder, "flush", late),
        ):
            yield

    return both()


@planted(0, 2)
def a_stale_done_of_an_earlier_run() -> AbstractContextManager[object]:
    def any_run(self: Executions, execution_id: str | None) -> bool:
        return self.queue.running is not None

    return instead(Executions, "_is_running", any_run)


@planted(0, 2)
def words_of_an_earlier_kernel() -> AbstractContextManager[object]:
    handle = room.Room.handle

    def credulous(self: Any, event: Any, now: Any) -> Any:
        if isinstance(event, KernelSaid):
            event = KernelSaid(self._kernel.incarnation, event.events)
        return handle(self, event, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(room.Room, "handle", credulous),
            instead(Executions, "_is_running", lambda self, _: self.queue.running is not None),
        ):
            yield

    return both()


@planted(10, 33)
def a_kernel_death_leaves_its_executions() -> AbstractContextManager[object]:
    changed = KernelLife.changed

    def careless(self: Any, event: Any, now: Any) -> None:
        with instead(self._executions, "end_all", lambda *_: 0):
            changed(self, event, now)

    return instead(KernelLife, "changed", careless)


@planted(1, 4)
def an_interrupt_ends_what_comes_later() -> AbstractContextManager[object]:
    interrupt = Executions.interrupt
    admit = Executions._admit

    def remembering(self: Any, now: Any) -> Any:
        self.swept = True
        return interrupt(self, now)

    def sweeping(self: Any, admitted: Any, asked_by: str, now: Any) -> None:
        admit(self, admitted, asked_by, now)
        if getattr(self, "swept", False):
            self.swept = False
            interrupt(self, now)

    @contextmanager
    def both() -> Iterator[None]:
        with (
            instead(Executions, "interrupt", remembering),
            instead(Executions, "_admit", sweeping),
        ):
            yield

    return both()


@planted(0, 3)
def an_output_is_lost_while_the_disk_is_busy() -> AbstractContextManager[object]:
    output = recorder.Recorder.output

    def lossy(self: Any, event: Any, now: Any) -> None:
        self.heard = getattr(self, "heard", 0) + 1
        if self.heard % 20 or self._ledger.is_durable:
            output(self, event, now)

    return instead(recorder.Recorder, "output", lossy)


# Asking back


@planted(3, 8)
def two_answers_reach_the_kernel() -> AbstractContextManager[object]:
    answer = Prompts.answer

    def careless(self: Any, request: Any, params: Any, now: Any) -> None:
        """Whether one is on its way is not looked at."""
        if self._open is not None:
            self._open.answered = False
        answer(self, request, params, now)

    return instead(Prompts, "answer", careless)


@planted(3, 97)
def an_answer_outlives_the_interrupt_of_its_prompt() -> AbstractContextManager[object]:
    return instead(Prompts, "interrupted", lambda self, now: None)


@planted(1, 3)
def a_prompt_stays_after_the_end() -> AbstractContextManager[object]:
    set_prompt = RuntimeDocument.set_prompt

    def sticky(self: Any, execution_id: str, prompt: Any) -> None:
        if prompt is not None:
            set_prompt(self, execution_id, prompt)

    return instead(RuntimeDocument, "set_prompt", sticky)
