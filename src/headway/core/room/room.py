"""The room: the daemon's side of one notebook, as one machine.

Floor 3. An input goes in with the moment it came; an ordered list of effects comes out. The room
is owned by exactly one task, never waits, and reads no clock. Its parts:

    ledger      what must be durable, and what waits for it
    documents   the notebook document and presence, shared with peers
    recorder    the runtime document: what the machine did
    kernel      which kernel lives, and in what state; `kernel_life` starts and ends it
    environment where a kernel is to run, and who consented to what is missing there
    idleness    when a kernel has had nothing to do for long enough
    comms       widgets: what the kernel and the peers say on comms
    questions   what the kernel is asked without running anything
    executions  admitted once, durable before they run, terminal exactly once
    outcomes    who asks how an execution ended
    prompts     what the running cell asks, and whose answer counts
    inheritance what an earlier daemon left unfinished
    file        the `.ipynb`
    requests    who waits for what
    compaction  when a long tail of updates becomes a snapshot

The caller's loop:

    for effect in room.handle(event, clock.now()):
        perform(effect)            # in order; what takes time answers later as an input
    rearm(room.next_deadline())    # then handle(Tick(), now)
"""

from __future__ import annotations

from typing import assert_never

from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import RuntimeReader
from headway.core.room.comms import RoomComms
from headway.core.room.compaction import Compaction
from headway.core.room.documents import JOIN_EXTRA, Documents
from headway.core.room.effects import (
    Close,
    Effect,
    FileRecorded,
)
from headway.core.room.environment import Look
from headway.core.room.executions import Executions
from headway.core.room.file import NotebookFile
from headway.core.room.idleness import Idleness
from headway.core.room.inheritance import Inheritance
from headway.core.room.inputs import (
    EnvironmentSeen,
    FileAccepted,
    FileSeen,
    FileTouched,
    FileUnseen,
    FileWriteFailed,
    FileWritten,
    Input,
    KernelEnded,
    KernelFailed,
    KernelProgress,
    KernelReady,
    KernelSaid,
    KernelStopped,
    PeerArrived,
    PeerGone,
    Persisted,
    PersistFailed,
    Received,
    RequestAbandoned,
    Requested,
    Tick,
)
from headway.core.room.intake import Intake
from headway.core.room.kernel import RoomKernel
from headway.core.room.kernel_life import KernelLife
from headway.core.room.ledger import Ledger
from headway.core.room.opening import Beginning, Opening, begin
from headway.core.room.outcomes import Outcomes
from headway.core.room.prompts import Prompts
from headway.core.room.questions import Questions
from headway.core.room.recorder import Recorder
from headway.core.room.requests import Requests
from headway.core.room.taken import Taken
from headway.core.wire import rpc
from headway.errors import BadRequest, EngineFailure, HeadwayError
from headway.ids import DocumentId, Entropy
from headway.moments import Moment, earliest

__all__ = ["CLOSE_TRY_AGAIN", "Room"]

CLOSE_TRY_AGAIN = 1013
"""WebSocket close code: come back later. The official client reconnects after it."""


class Room:
    """One notebook at the daemon."""

    @classmethod
    def open(cls, opening: Opening, entropy: Entropy, now: Moment) -> tuple[Room, list[Effect]]:
        """A room from what is stored and the file, and the effects that make its start durable.

        Raises NotebookUnreadable for a file that is no notebook, DocumentError for a damaged
        history.
        """
        beginning = begin(opening, entropy, now)
        room = cls(opening, beginning, entropy)
        room._begin(opening, beginning, now)
        return room, room._settle(now)

    def __init__(self, opening: Opening, beginning: Beginning, entropy: Entropy) -> None:
        """Use `open`."""
        self.document: DocumentId = opening.document
        self.failure: HeadwayError | None = None
        self._peers: dict[int, PeerArrived] = {}
        self._ledger = Ledger()
        self._requests = Requests(self._ledger)
        self._recorder = Recorder(self._ledger, entropy, JOIN_EXTRA)
        questions = Questions(self._ledger, self._requests, entropy)
        self._kernel = RoomKernel(self._ledger, self._requests, self._recorder, questions)
        self._comms = RoomComms(self._ledger, self._requests, self._recorder, self._kernel, entropy)
        self._prompts = Prompts(self._ledger, self._requests, self._recorder, self._kernel, entropy)
        taken = Taken(opening.taken, opening.horizon_ms)
        self._outcomes = Outcomes(
            self.document, self._ledger, self._requests, self._recorder, taken
        )
        self._executions = Executions(
            self.document,
            self._ledger,
            self._requests,
            self._recorder,
            self._kernel,
            self._prompts,
            taken,
            outcomes=self._outcomes,
            comms=self._comms,
        )
        self._documents = Documents(
            self.document,
            beginning.notebook,
            beginning.stored,
            self._ledger,
            self._recorder,
            entropy,
            self._notebook_changed,
        )
        self._file = NotebookFile(
            self.document,
            self._ledger,
            self._requests,
            lambda: (self.notebook, self._recorder.reader),
            Intake(self._documents, self._recorder, entropy),
            beginning.file,
        )
        self._look = Look(self._ledger)
        self._life = KernelLife(
            self._ledger,
            self._kernel,
            self._executions,
            self._documents,
            self._recorder,
            self._look,
        )
        self._idleness = Idleness(opening.kernel_idle_s)
        self._compaction = Compaction(self.document, opening.snapshot, opening.updates)
        self._heads_pending = False

    # What others may see

    @property
    def notebook(self) -> NotebookDocument:
        """The notebook document."""
        return self._documents.notebook

    @property
    def runtime_reader(self) -> RuntimeReader:
        """The runtime document, to read."""
        return self._recorder.reader

    @property
    def runtime(self) -> DocumentId:
        """The id of the current runtime document; it changes."""
        return self._recorder.document_id

    @property
    def path(self) -> str | None:
        """The notebook's file."""
        return self._file.path

    @property
    def file_trouble(self) -> HeadwayError | None:
        """Why the file is left alone, or could not be written; None when all is well."""
        return self._file.trouble

    @property
    def kernel_state(self) -> rpc.KernelState:
        """The kernel's state."""
        return self._kernel.state()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, waits, or is on its way to the disk or the file."""
        is_told = self._ledger.is_durable and self._recorder.next_deadline() is None
        settled = is_told and not len(self._requests)
        is_moving = self._kernel.has_process and not self._kernel.is_alive
        return settled and self._file.is_settled and not (self._executions.queue or is_moving)

    def summary(self) -> rpc.NotebookSummary:
        """One line about the room."""
        return rpc.NotebookSummary(
            document=self.document,
            runtime=self.runtime,
            path=self.path,
            peers=len(self._peers),
            cells=len(self.notebook),
            kernel=self._kernel.state(),
            queued=len(self._executions.queue),
            saved=self._file.is_saved,
            notices=[] if self._file.trouble is None else [_notice(self._file.trouble)],
        )

    def next_deadline(self) -> float | None:
        """When to send a Tick at the latest, in monotonic seconds."""
        return earliest(
            self._requests.next_deadline(),
            self._recorder.next_deadline(),
            self._documents.next_deadline(),
            self._comms.next_deadline(),
            self._file.next_deadline(),
            self._idleness.next_deadline(),
        )

    # One verb in, values out

    def handle(self, event: Input, now: Moment) -> list[Effect]:
        """Take one input; gives the effects in the order in which they must be begun."""
        if self.failure is not None:
            return self._handle_failed(event, now)
        match event:
            case Received(peer=peer, message=message):
                try:
                    self._documents.receive(peer, message, now)
                except EngineFailure as error:
                    self._fail(error)
                    return self._ledger.settle(now)
            case Persisted(token=token):
                self._ledger.persisted(token, now)
            case Requested():
                self._requested(event, now)
            case KernelSaid(incarnation=incarnation, events=events):
                if self._kernel.hears(incarnation):
                    self._idleness.touched()
                    self._executions.kernel_said(events, now)
                    if self._executions.take_end_of_kernel():
                        self._life.exited(now)
            case Tick():
                self._tick(now)
            case PeerArrived():
                self._peers[event.peer] = event
            case PeerGone(peer=peer):
                self._peers.pop(peer, None)
                self._documents.drop(peer)
                if not self._peers:
                    # What one program leaves behind is what the next one reads.
                    self._file.autosave.hurry(now)
            case RequestAbandoned(token=token):
                self._requests.abandon(token)
            case (
                KernelReady() | KernelFailed() | KernelEnded() | KernelProgress() | KernelStopped()
            ):
                self._life.changed(event, now)
            case EnvironmentSeen():
                self._serve_held(event, now)
            case (
                FileWritten()
                | FileWriteFailed()
                | FileTouched()
                | FileSeen()
                | FileUnseen()
                | FileAccepted()
            ):
                self._file.handle(event, now)
            case PersistFailed(error=error):
                self._fail(error)
            case _:
                assert_never(event)
        return self._settle(now)

    def _settle(self, now: Moment) -> list[Effect]:
        if self._heads_pending:
            self._heads_pending = False
            self._serve_arrived_heads(now)
        if self._executions.wants_kernel:
            self._life.want(now)
        elif not len(self._executions.queue):
            self._life.wants_nothing()
        self._comms.follow_kernel(now)
        self._kernel.ask_waiting()
        effects: list[Effect] = []
        while True:
            self._flush_recorder(now)
            self._file.advance(now)
            effects += self._ledger.settle(now)
            # What was durable already may have finished or begun something more.
            if not self._recorder.is_due(now):
                break
        works = len(self._executions.queue) or len(self._requests) or self._comms.keeps_kernel_busy
        self._idleness.watch(now, is_idle=self._kernel.is_alive and not works)
        return effects + self._compact(effects)

    def _compact(self, effects: list[Effect]) -> list[Effect]:
        self._compaction.watch(effects)
        if self.failure is not None or not self._ledger.is_durable:
            return []
        return self._compaction.due((self._documents.hosted, self._recorder.hosted))

    def _flush_recorder(self, now: Moment) -> None:
        due_s = self._file.next_deadline()
        is_file_due = due_s is not None and due_s <= now.monotonic_s
        has_more = self._recorder.next_deadline() is not None
        # What a file is about to hold is recorded before it: its outputs have their blobs then.
        if self._recorder.is_due(now) or (is_file_due and has_more):
            self._comms.settle(now)
            self._recorder.flush(now)
        if self._recorder.take_outputs_changed():
            self._file.changed(now)
        if self._recorder.is_worn:
            self._documents.renew_runtime(self._recorder.reader, self._kernel.state(), now)

    def _tick(self, now: Moment) -> None:
        self._requests.expire(now)
        self._documents.expire(now)
        if self._idleness.is_over(now):
            self._life.idle_for(self._idleness.limit_s or 0.0, now)
        self._comms.expire(now)

    def _notebook_changed(self, now: Moment) -> None:
        self._heads_pending = True
        self._file.changed(now)

    # Requests

    def _requested(self, request: Requested, now: Moment) -> None:
        self._idleness.touched()
        if self._requests.take(request, self.notebook.replica):
            self._serve(request, now)

    def _serve_arrived_heads(self, now: Moment) -> None:
        for request in self._requests.take_arrived(self.notebook.replica):
            self._serve(request, now)

    def _serve_held(self, event: EnvironmentSeen, now: Moment) -> None:
        """The requests that waited to know this environment."""
        self._look.ended(event)
        while (request := self._look.next_held()) is not None:
            if self._requests.is_open(request.token):
                self._serve(request, now)
        self._look.forget()

    def _serve(self, request: Requested, now: Moment) -> None:
        if self._look.is_under_way:
            self._look.hold(request)
            return
        try:
            look = self._life.look_for(request.params)
            if look is not None and not self._look.knows(look):
                self._look.begin(look, request)
                return
            self._do(request, now)
        except HeadwayError as error:
            self._requests.refuse(request.token, error)

    def _do(self, request: Requested, now: Moment) -> None:
        token = request.token
        match request.params:
            case rpc.Execute() as params:
                choice = self._life.approved(params)
                self._executions.execute(request, params, self.notebook, now)
                self._life.will_want(choice, request.peer)
            case rpc.ExecuteAll() as batch:
                choice = self._life.approved(batch)
                self._executions.execute_all(
                    request, batch, self.notebook, now, lambda: self._life.replace(batch, now)
                )
                self._life.will_want(choice, request.peer)
            case rpc.GetExecution() as params:
                self._outcomes.ask(request, params)
            case rpc.Cancel(execution_id=execution_id):
                cancelled = self._executions.cancel(execution_id, now)
                self._ledger.when_durable(lambda _: self._requests.answer(token, cancelled))
            case rpc.AnswerInput() as params:
                self._executions.answer_input(request, params, now)
            case rpc.Interrupt():
                interrupted = self._executions.interrupt(now)
                self._ledger.when_durable(lambda _: self._requests.answer(token, interrupted))
            case rpc.Save(path=path):
                self._file.save(token, path, decides=not request.is_daemons)
            case rpc.StartKernel() as params:
                self._life.start(request, params, now)
            case rpc.RestartKernel() as params:
                self._life.restart(request, params, now)
            case rpc.ShutdownKernel() as params:
                self._life.shutdown(request, params, now)
            case (
                rpc.Complete() | rpc.Inspect() | rpc.IsComplete() | rpc.KernelHistory()
            ) as params:
                self._kernel.ask(token, params)
            case rpc.CommOpen() | rpc.CommMessage() | rpc.CommClose() as params:
                self._comms.ask(token, params, now)
            case params:
                raise BadRequest(f"{params.method} is not a request to a notebook.")

    # Beginning and ending

    def _begin(self, opening: Opening, beginning: Beginning, now: Moment) -> None:
        file = beginning.file
        if file.is_new:
            assert file.path is not None, "a file without a path"
            assert file.base is not None, "a file without bytes"
            assert file.base_sha256 is not None, "a file without a hash"
            self._ledger.record(FileRecorded(self.document, file.path, file.base_sha256, file.base))
        old = beginning.old_runtime or RuntimeReader.empty()
        self._documents.renew_runtime(old, self._kernel.state(), now)
        inherited = Inheritance(
            self._ledger,
            self._recorder,
            self._kernel,
            self._executions.queue,
            self.notebook,
            self._prompts,
        )
        inherited.settle(opening, now)
        if opening.kernel is not None:
            self._life.took_up(opening.kernel)
        self._comms.begin(now)
        self._recorder.found_widgets(file.widgets, now, is_new=file.has_new_widgets)
        self._executions.advance(now)
        runs = self._recorder.found_in_file(beginning.from_file, now, file.runs)
        self._recorder.flush(now)
        self._file.begin(runs, now, is_behind=file.is_behind)

    def _fail(self, error: HeadwayError) -> None:
        """The store or the engine failed: confirm nothing, tell everybody, do no more.

        The kernel lives on.
        """
        self.failure = error
        self._requests.refuse_all(error)
        self._file.abandon()
        for peer in self._peers:
            self._ledger.emit(Close(peer, CLOSE_TRY_AGAIN, error.code.lower()))

    def _handle_failed(self, event: Input, now: Moment) -> list[Effect]:
        failure = self.failure
        assert failure is not None, "a room that works does not refuse"
        if isinstance(event, Requested) and self._requests.open(event):
            self._requests.refuse(event.token, failure)
        return self._ledger.settle(now)


def _notice(error: HeadwayError) -> rpc.Notice:
    return rpc.Notice(code=error.code, message=error.message, data=error.data)
