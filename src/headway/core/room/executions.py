"""Executions: admitted once, durable before the kernel sees them, terminal exactly once.

Floor 3. "How a cell runs" in ARCHITECTURE.md. An execution is admitted with the source that the
caller confirmed; its record is durable before it may run; the kernel gets that text and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.kernel.events import (
    Busy,
    CommClosed,
    CommInfo,
    CommMessage,
    CommOpened,
    CompleteReply,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    HistoryReply,
    Idle,
    InputRequest,
    InspectReply,
    IsCompleteReply,
    KernelEvent,
    KernelInfo,
    ReplyLost,
)
from headway.core.room.admission import batch_of, cells_to_run, execution_of
from headway.core.room.effects import (
    AskKernel,
    ExecuteRequest,
    ExecutionAccepted,
    ExecutionFinished,
)
from headway.core.room.prompts import Prompts
from headway.core.room.queue import BATCH_CANCELLED, BATCH_FAILED, MAX_WAITING, Execution, Queue
from headway.core.room.taken import Taken, not_found
from headway.core.wire import rpc
from headway.errors import BadRequest
from headway.errors import (
    Busy as TooBusy,
)
from headway.ids import (
    DocumentId,
    ExecutionId,
    derived_execution_id,
    is_execution_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headway.core.document.notebook import NotebookDocument
    from headway.core.room.comms import RoomComms
    from headway.core.room.inputs import Requested
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.outcomes import Outcomes
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.moments import Moment

__all__ = ["Executions"]


class Executions:
    """The executions of one notebook."""

    def __init__(
        self,
        document: DocumentId,
        ledger: Ledger,
        requests: Requests,
        recorder: Recorder,
        kernel: RoomKernel,
        prompts: Prompts,
        taken: Taken,
        *,
        outcomes: Outcomes,
        comms: RoomComms,
    ) -> None:
        """`taken` has every execution id accepted before, and the one that answers for it."""
        self._document = document
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self._kernel = kernel
        self._prompts = prompts
        self.queue = Queue()
        self._taken = taken
        self._outcomes = outcomes
        self._comms = comms
        self._has_ended_kernel = False

    # Admission

    def execute(
        self, request: Requested, params: rpc.Execute, notebook: NotebookDocument, now: Moment
    ) -> None:
        """Admit one cell, or answer for an id that was accepted before."""
        if not is_execution_id(params.execution_id):
            raise BadRequest(
                "execution_id must be a UUID in lower case, minted by the caller.",
                field="execution_id",
            )
        runs_as = self._taken.get(params.execution_id)
        if runs_as is not None:
            self._answer_when_durable(request.token, self._accepted(runs_as))
            return
        self._taken.check_age(params.execution_id)
        execution = execution_of(params, notebook)
        sha256 = execution.source_sha256
        twin = self.queue.find_waiting(params.cell_id, sha256, allow_stdin=execution.allow_stdin)
        if twin is not None:
            accepted = ExecutionAccepted(
                self._document, params.execution_id, twin.execution_id, params.cell_id, sha256
            )
            self._take(accepted)
            self._answer_when_durable(request.token, self._accepted(twin.execution_id))
            return
        self._require_room(1)
        self._admit((execution,), request.asked_by, now)
        self._answer_when_durable(request.token, self._accepted(execution.execution_id))

    def execute_all(
        self,
        request: Requested,
        params: rpc.ExecuteAll,
        notebook: NotebookDocument,
        now: Moment,
        restart: Callable[[], None],
    ) -> None:
        """Admit many cells at once, all or none; `restart` puts a fresh kernel in place first."""
        if not is_execution_id(params.batch_id):
            raise BadRequest(
                "batch_id must be a UUID in lower case, minted by the caller.", field="batch_id"
            )
        cells = cells_to_run(params, notebook)
        ids = [derived_execution_id(params.batch_id, cell_id) for cell_id in cells]
        accepted_before = [self._accepted(self._taken[each]) for each in ids if each in self._taken]
        if accepted_before:
            # The batch was admitted as a whole, so what is not among it came later.
            result = rpc.AcceptedAll(batch_id=params.batch_id, executions=accepted_before)
            self._answer_when_durable(request.token, result)
            return
        executions = list(batch_of(params, cells, notebook))
        self._taken.check_age(params.batch_id)
        self._require_room(len(executions))
        if params.restart:
            restart()
        self._admit(executions, request.asked_by, now)
        accepted = [self._accepted(each.execution_id) for each in executions]
        self._answer_when_durable(
            request.token, rpc.AcceptedAll(batch_id=params.batch_id, executions=accepted)
        )

    def is_repeat(self, params: rpc.Execute | rpc.ExecuteAll, notebook: NotebookDocument) -> bool:
        """Whether it was accepted before, so that it runs nothing. Raises NotExecutable."""
        if isinstance(params, rpc.Execute):
            return params.execution_id in self._taken
        cells = cells_to_run(params, notebook)
        return any(derived_execution_id(params.batch_id, each) in self._taken for each in cells)

    def _require_room(self, count: int) -> None:
        if not self.queue.has_room_for(count):
            raise TooBusy(
                f"At most {MAX_WAITING} executions may wait in one notebook; "
                "wait for some to end, or interrupt them.",
                limit=MAX_WAITING,
            )

    def _admit(self, executions: Iterable[Execution], asked_by: str, now: Moment) -> None:
        admitted = tuple(executions)
        begins = len(admitted) == 1 and not len(self.queue) and self._kernel.status == "idle"
        for execution in admitted:
            record = ExecutionRecord(
                execution_id=execution.execution_id,
                cell_id=execution.cell_id,
                source_sha256=execution.source_sha256,
                heads=execution.heads,
                requested_by=asked_by,
                status="queued",
                queued_s=now.wall_s,
                batch_id=execution.batch_id,
                stops_batch=execution.stops_batch,
                allow_stdin=execution.allow_stdin,
                may_raise=execution.may_raise,
            )
            accepted = ExecutionAccepted(
                self._document,
                execution.execution_id,
                execution.execution_id,
                execution.cell_id,
                execution.source_sha256,
                msgspec.json.encode(record),
            )
            self._take(accepted)
            self._recorder.admitted(record, now, begins=begins)
            self.queue.admit(execution)
        self._recorder.queue(self.queue.ids(), now)

        def durable(at: Moment) -> None:
            for execution in admitted:
                execution.durable = True
            self.advance(at)

        self._ledger.when_durable(durable)

    def _take(self, accepted: ExecutionAccepted) -> None:
        self._taken[accepted.execution_id] = accepted.runs_as
        self._ledger.record(accepted)

    def _accepted(self, execution_id: ExecutionId) -> rpc.Accepted:
        record = self._recorder.reader.execution(execution_id, outputs=False)
        if record is None:
            # Older than what the runtime document carries: the store still has its result.
            return rpc.Accepted(execution_id=execution_id, cell_id="", source_sha256="", heads="")
        return rpc.Accepted(
            execution_id=execution_id,
            cell_id=record.cell_id,
            source_sha256=record.source_sha256,
            heads=record.heads,
        )

    def _answer_when_durable(self, token: int, result: rpc.Accepted | rpc.AcceptedAll) -> None:
        self._ledger.when_durable(lambda _: self._requests.answer(token, result))

    # Running

    @property
    def wants_kernel(self) -> bool:
        """Whether something durable waits and nothing runs it."""
        first = next(iter(self.queue), None)
        return first is not None and first.durable

    def advance(self, now: Moment) -> None:
        """Give the kernel its next execution, if it is free."""
        if self._kernel.status != "idle":
            return
        execution = self.queue.start_next()
        if execution is None:
            return
        self._comms.push(now)
        request = ExecuteRequest(
            execution.execution_id, execution.source, allow_stdin=execution.allow_stdin
        )
        self._ledger.to_kernel(AskKernel(self._kernel.incarnation, request))
        self._kernel.busy(now)
        self._recorder.started(execution.execution_id, now)

    def kernel_said(self, events: tuple[KernelEvent, ...], now: Moment) -> None:
        """Events of the living incarnation."""
        for event in self._comms.heard(events, now):
            match event:
                case Busy() | KernelInfo():
                    pass
                case InputRequest():
                    self._prompts.asked(event, self.queue.running, now)
                case ExecuteInput(execution_id=execution_id, execution_count=count):
                    if self._is_running(execution_id):
                        assert execution_id is not None
                        self._recorder.counted(execution_id, count, now)
                case Idle(execution_id=execution_id):
                    if self._is_running(execution_id):
                        assert self.queue.running is not None
                        self.queue.running.idle = True
                        self._finish_if_complete(now)
                case ExecuteReply(execution_id=execution_id):
                    if self._is_running(execution_id):
                        assert self.queue.running is not None
                        self.queue.running.replied = event.status
                        if event.status == "error":
                            self.queue.running.reason = event.said_of_error
                        self.queue.running.ends_kernel = event.ends_kernel
                        self._recorder.replied()
                        self._finish_if_complete(now)
                case ReplyLost(execution_id=execution_id, reason=reason):
                    if self._is_running(execution_id):
                        assert self.queue.running is not None
                        self.queue.running.replied, self.queue.running.reason = "lost", reason
                        self._finish_if_complete(now)
                case CompleteReply() | InspectReply() | IsCompleteReply() | HistoryReply():
                    self._kernel.heard(event)
                case CommOpened() | CommMessage() | CommClosed() | CommInfo():
                    pass
                case _:
                    if isinstance(event, ErrorOutput) and self._is_running(event.execution_id):
                        assert self.queue.running is not None
                        self.queue.running.shows_error = True
                    self._recorder.output(event, now)

    def _is_running(self, execution_id: ExecutionId | None) -> bool:
        running = self.queue.running
        return running is not None and running.execution_id == execution_id

    def _finish_if_complete(self, now: Moment) -> None:
        running = self.queue.running
        assert running is not None, "only the running execution completes"
        if running.replied is None or not running.idle:
            return
        match running.replied:
            case "ok" | "error" | "lost" as status:
                is_shown = status == "error" and running.shows_error
                self._finish(running, status, None if is_shown else running.reason, now)
            case other:
                self._finish(running, "cancelled", f"the kernel answered {other!r}", now)
        self._kernel.idle(now)
        if running.ends_kernel:
            self._has_ended_kernel = True  # what it would be given now might run or not
        else:
            self.advance(now)

    # Ending

    def take_end_of_kernel(self) -> bool:
        """Whether one that has ended since the last call asked for the kernel's end."""
        ended, self._has_ended_kernel = self._has_ended_kernel, False
        return ended

    def _finish(self, execution: Execution, status: str, reason: str | None, now: Moment) -> None:
        assert status in TERMINAL, status
        is_expected = status == "ok" or (status == "error" and execution.may_raise)
        stops = not is_expected and execution.batch_id is not None and execution.stops_batch
        rest = self.queue.take_rest_of_batch(execution) if stops else ()
        self.queue.remove(execution)
        self._record_end(execution, status, reason, now)
        why = BATCH_CANCELLED if status == "cancelled" else BATCH_FAILED
        for later in rest:
            self._record_end(later, "cancelled", why, now)
        self._recorder.queue(self.queue.ids(), now)

    def _record_end(
        self, execution: Execution, status: str, reason: str | None, now: Moment
    ) -> None:
        self._prompts.ended(execution.execution_id)
        record = self._recorder.finished(execution.execution_id, status, reason, now)
        self._ledger.record(
            ExecutionFinished(self._document, execution.execution_id, msgspec.json.encode(record))
        )
        self._outcomes.ended(record)

    def end_all(self, running: tuple[str, str], waiting: tuple[str, str], now: Moment) -> int:
        """End everything that is not terminal, each with (status, reason); gives how many."""
        ended = 0
        if self.queue.running is not None:
            execution = self.queue.running
            self.queue.remove(execution)
            self._record_end(execution, *running, now)
            ended += 1
        for execution in self.queue.take_waiting():
            self._record_end(execution, *waiting, now)
            ended += 1
        if ended:
            self._recorder.queue(self.queue.ids(), now)
        return ended

    def interrupt(self, now: Moment) -> rpc.Interrupted:
        """End what was admitted up to now: the waiting never run, the running is interrupted."""
        waiting = self.queue.take_waiting()
        for execution in waiting:
            self._record_end(execution, "cancelled", "it was interrupted before it began", now)
        self._recorder.queue(self.queue.ids(), now)
        running = self.queue.running is not None or self._comms.keeps_kernel_busy
        if running:
            self._interrupt_running(now)
        return rpc.Interrupted(cancelled=len(waiting), interrupted=running)

    def cancel(self, execution_id: ExecutionId, now: Moment) -> rpc.Cancelled:
        """End one execution."""
        execution_id = self._taken.get(execution_id, execution_id)
        execution = self.queue.find(execution_id)
        if execution is None:
            if execution_id not in self._taken:
                raise not_found(execution_id)
            return rpc.Cancelled(execution_id=execution_id, cancelled=False)
        if execution is self.queue.running:
            self._interrupt_running(now)
        else:
            self._finish(execution, "cancelled", "it was cancelled before it began", now)
        return rpc.Cancelled(execution_id=execution_id, cancelled=True)

    def _interrupt_running(self, now: Moment) -> None:
        self._prompts.interrupted(now)
        self._comms.interrupted()
        running = self.queue.running
        self._kernel.interrupt(None if running is None else running.execution_id)

    def answer_input(self, request: Requested, params: rpc.AnswerInput, now: Moment) -> None:
        """Give the kernel the answer to what an execution asks. Raises InputNotAwaited."""
        execution_id = self._taken.get(params.execution_id)
        if execution_id is None:
            raise not_found(params.execution_id)
        params = msgspec.structs.replace(params, execution_id=execution_id)
        self._prompts.answer(request, params, now)
