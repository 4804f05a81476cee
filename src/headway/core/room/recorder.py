"""What the machine did, written into the runtime document, and when that is shown.

Floor 3. The one writer of the runtime document. Outputs of an execution are in the document
before its terminal status, because both pass through here and a flush takes outputs first.

Commits are coalesced: outputs within COALESCE_S of the last ones that were committed are one
commit, the first output of an execution or after a silence waits FIRST_OUTPUT_S, unless the program
flushed it, and a terminal status never waits.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, assert_never

from headway.core.document.comms import Comms
from headway.core.document.crdt import Imported, Replica, Version
from headway.core.document.forms import BlobSet, seal_outputs
from headway.core.document.mime import clean_value, encode_blob
from headway.core.document.notices import gap_text
from headway.core.document.outputs import OutputAssembler
from headway.core.document.runtime import ExecutionRecord, RuntimeReader
from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.kernel.events import (
    ClearOutput,
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    OutputEvent,
    Stream,
    UpdateDisplay,
)
from headway.core.room.effects import UpdateStored
from headway.core.sync.fanout import HostedDocument, Stored
from headway.errors import InvalidUpdate
from headway.ids import (
    CellId,
    DocumentId,
    Entropy,
    ExecutionId,
    document_id,
    execution_id,
    peer_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headway.core.document.prompts import Prompt
    from headway.core.room.file_merge import FileOutputs
    from headway.core.room.ledger import Continuation, Ledger
    from headway.core.wire.rpc import KernelState
    from headway.moments import Moment

__all__ = ["COALESCE_S", "FIRST_OUTPUT_S", "LEFT_OUT_S", "MAX_RUNTIME_COMMITS", "Recorder"]

COALESCE_S = 0.020
"""Outputs of an execution are committed at most once in this time, its end apart."""

FIRST_OUTPUT_S = 0.002
"""A first output is committed this much later: a small cell has ended by then, and is one commit
with it."""

LEFT_OUT_S = 1.0
"""How often it is said anew how much of an execution was left out. The file is told at its end: a
loop that prints for ever would have all that it shows written again and again."""

MAX_RUNTIME_COMMITS = 10_000
"""After this many commits the runtime document is replaced by a fresh one."""


def _refuse_import(replica: Replica, imported: Imported) -> None:
    del replica, imported
    raise InvalidUpdate("Only the daemon writes the runtime document.")


class Recorder:
    """The runtime document of one notebook."""

    def __init__(self, ledger: Ledger, entropy: Entropy, extra: bytes) -> None:
        """A fresh, empty runtime document; `extra` goes into the answers of joins."""
        self._ledger = ledger
        self._entropy = entropy
        self._extra = extra
        self._assembler = OutputAssembler()
        self.comms = Comms()
        self._shown_with_flush: list[Continuation] = []
        self._due_s: float | None = None
        self._outputs_committed_s = float("-inf")
        self._outputs_changed = False
        self._outputs_flushed = False
        self._earlier: set[ExecutionId] = set()
        self._kernel: KernelState | None = None
        self._queue: list[ExecutionId] | None = None
        self._renew()

    def _renew(self) -> None:
        self._kernel_written: KernelState | None = None
        self.document_id: DocumentId = document_id("rt", self._entropy)
        self.runtime = RuntimeDocument(Replica(peer_id(self._entropy)))
        self.hosted = self._host(self.runtime.replica)
        self._commits = 0

    def _host(self, replica: Replica) -> HostedDocument:
        return HostedDocument(
            self.document_id,
            replica,
            stored=Version.EMPTY,
            permission="read",
            extra=self._extra,
            fresh_peer=lambda: peer_id(self._entropy),
            check=_refuse_import,
        )

    @property
    def reader(self) -> RuntimeReader:
        """The document as anybody reads it."""
        return self.runtime.reader

    @property
    def is_worn(self) -> bool:
        """Whether the document has grown enough to be replaced."""
        return self._commits >= MAX_RUNTIME_COMMITS

    def replace(self, old: RuntimeReader, state: KernelState, now: Moment) -> bytes:
        """Begin a fresh document with what is worth keeping of `old`; gives its snapshot."""
        self._renew()
        self.runtime.carry_over(old)
        self.runtime.set_kernel(state)
        self._kernel_written = state
        self.runtime.commit(now)
        change = self.hosted.take_change()
        assert change is not None, "the kernel's state is always written"
        self._show_when_durable(change)
        return self.hosted.replica.export()

    def take_outputs_changed(self) -> bool:
        """Whether a flush since the last call brought what a notebook file contains."""
        changed, self._outputs_flushed = self._outputs_flushed, False
        return changed

    # What happened

    def kernel(self, state: KernelState, now: Moment) -> None:
        """The kernel's state changed."""
        # Written by the next flush: a kernel that is busy for less was idle all the time.
        self._kernel = state
        self._touch(now, COALESCE_S)

    def queue(self, ids: list[ExecutionId], now: Moment) -> None:
        """The queue changed."""
        self._queue = ids
        self._touch(now, COALESCE_S)

    def admitted(self, record: ExecutionRecord, now: Moment, *, begins: bool = False) -> None:
        """An execution was admitted, which the store has with its admission.

        One that waits is shown at once. One that `begins` is shown a moment later: a small cell
        has ended by then, and is one commit.
        """
        self.runtime.add_execution(record)
        self._touch(now, COALESCE_S if begins else 0.0)

    def started(self, execution_id: ExecutionId, now: Moment) -> None:
        """The kernel was given the execution."""
        self._outputs_committed_s = float("-inf")
        self.runtime.set_running(execution_id, now.wall_s)
        self._touch(now, COALESCE_S)

    def counted(self, execution_id: ExecutionId, count: int, now: Moment) -> None:
        """The kernel told the execution count."""
        self.runtime.set_execution_count(execution_id, count)
        self._touch(now, COALESCE_S)

    def took_up(self) -> None:
        """The kernel of an earlier daemon lives on: there may be output for any record."""
        self._earlier = set(self.reader.executions())

    def gap(self, execution_id: ExecutionId, since_s: float, now: Moment) -> None:
        """From then (wall clock) until now nobody took the outputs of this execution."""
        self._go_on(execution_id)
        self.note(execution_id, gap_text(since_s, now.wall_s), now)

    def note(self, execution_id: ExecutionId, text: str, now: Moment) -> None:
        """We ourselves have something to say among the outputs of this execution."""
        self._assembler.note(execution_id, text)
        self._outputs_changed = True
        self._touch(now, 0.0)

    def prompt(self, execution_id: ExecutionId, prompt: Prompt | None, now: Moment) -> None:
        """The execution asks and waits; None: it waits no more."""
        self.runtime.set_prompt(execution_id, prompt)
        self._touch(now, 0.0)

    def _go_on(self, execution_id: ExecutionId) -> None:
        self._earlier.discard(execution_id)
        record = self.reader.execution(execution_id)
        if record is not None:
            self._assembler.go_on_from(execution_id, record.outputs)

    def output(self, event: OutputEvent, now: Moment) -> None:
        """The kernel sent an output, for an execution that this document has."""
        execution_id = event.execution_id
        if execution_id in self._earlier:
            self._go_on(execution_id)
        if isinstance(event, UpdateDisplay):
            self._assembler.update_display(event.display_id, event.data, event.metadata)
        elif execution_id is None or self.reader.status(execution_id) is None:
            return
        else:
            is_left_out = self._assembler.is_full(execution_id)
            self._assemble(execution_id, event)
            if is_left_out and isinstance(event, Stream | DisplayData | ExecuteResult):
                self._touch(now, LEFT_OUT_S)
                return
        self._outputs_changed = True
        goes_on = isinstance(event, Stream) and event.is_flushed
        self._touch_outputs(now, 0.0 if goes_on else FIRST_OUTPUT_S)

    def _assemble(
        self,
        execution_id: ExecutionId,
        event: Stream | DisplayData | ExecuteResult | ErrorOutput | ClearOutput,
    ) -> None:
        assembler = self._assembler
        match event:
            case Stream():
                assembler.stream(execution_id, event.name, event.text)
            case DisplayData():
                assembler.display(execution_id, event.data, event.metadata, event.display_id)
            case ExecuteResult(execution_count=count):
                assembler.result(execution_id, event.data, event.metadata, count, event.display_id)
            case ErrorOutput():
                assembler.error(execution_id, event.name, event.value, event.traceback)
            case ClearOutput(wait=wait):
                assembler.clear(execution_id, wait=wait)
            case _:
                assert_never(event)

    def comms_changed(self, now: Moment, within_s: float = FIRST_OUTPUT_S) -> None:
        """`comms` has news, to be shown within so many seconds."""
        self._outputs_changed = True
        self._touch_outputs(now, within_s)

    def when_shown(self, continuation: Continuation, now: Moment) -> None:
        """Do this when all that happened up to now was committed, is durable and shown."""
        self._shown_with_flush.append(continuation)
        self._touch_outputs(now)

    def replied(self) -> None:
        """The kernel answered, and only has to say that it sent everything: use the time."""
        self._apply_outputs()

    def finished(
        self, execution_id: ExecutionId, status: str, reason: str | None, now: Moment
    ) -> ExecutionRecord:
        """The execution is terminal; gives its whole record."""
        # Closing the open line may change the outputs, so it comes before they are taken.
        self._assembler.finish(execution_id)
        self._apply_outputs()
        self.runtime.finish(execution_id, status, reason, now.wall_s)
        self._outputs_changed = True
        self._touch(now, 0.0)
        record = self.reader.execution(execution_id)
        assert record is not None, "a finished execution has a record"
        return record

    def found_in_file(
        self,
        shown: Iterable[FileOutputs],
        now: Moment,
        runs: Mapping[CellId, ExecutionId],
    ) -> dict[CellId, ExecutionId]:
        """What the file shows of cells: records like any other; gives those that it made.

        A record is made where there is none, and in place of the execution of `runs`, which the
        file showed before. A cell that was run since then keeps what it shows.
        """
        made: dict[CellId, ExecutionId] = {}
        for each in shown:
            latest = self.reader.latest(each.cell_id)
            is_empty = not each.shown.number and each.shown.execution_count is None
            if (latest is None and not is_empty) or (latest and latest == runs.get(each.cell_id)):
                made[each.cell_id] = self._record_run(each, now)
        return made

    def _record_run(self, found: FileOutputs, now: Moment) -> ExecutionId:
        image = found.shown.image
        if image is not None and image.outputs is not None:
            # Whoever read the file has stored the blobs.
            outputs = image.outputs
        else:
            sealed = seal_outputs(found.shown.outputs)
            outputs = sealed.outputs
            for sha256, data in sealed.blobs:
                self._ledger.blob(sha256, data)
        failed = any(output["output_type"] == "error" for output in outputs)
        record = ExecutionRecord(
            execution_id=execution_id(now.wall_s, self._entropy),
            cell_id=found.cell_id,
            source_sha256=hashlib.sha256(found.source.encode()).hexdigest(),
            heads="",
            requested_by="file",
            status="error" if failed else "ok",
            queued_s=now.wall_s,
            execution_count=found.shown.execution_count,
            outputs=outputs,
        )
        self.admitted(record, now)
        return record.execution_id

    def found_widgets(self, widgets: Any, now: Moment, *, is_new: bool) -> None:
        """The file holds this widget state; `is_new`: another program may have put it there.

        It counts where no kernel made widgets, and if new also against those of one that ended.
        """
        if is_new and not self.comms.has_open:
            self.comms.forget_ended()
        if self.comms.ids():
            return
        reference = None
        if widgets is not None:
            blobs = BlobSet()
            reference = blobs.add(encode_blob("application/json", clean_value(widgets)).data)
            for sha256, data in blobs.taken():
                self._ledger.blob(sha256, data)
        self.runtime.comms.set_saved_widgets(reference)
        self._touch(now, COALESCE_S)

    # When it is shown

    def next_deadline(self) -> float | None:
        """When `flush` has something to do, in monotonic seconds."""
        return self._due_s

    def is_due(self, now: Moment) -> bool:
        """Whether to flush now."""
        return self._due_s is not None and self._due_s <= now.monotonic_s

    def flush(self, now: Moment) -> None:
        """Commit what happened; once it is durable every member of the room gets it."""
        self._due_s = None
        if self._outputs_changed:
            self._outputs_committed_s = now.monotonic_s
        self._outputs_flushed |= self._outputs_changed
        self._outputs_changed = False
        self._apply_comms(now)
        self._apply_outputs()
        self._write_kernel_and_queue()
        self.runtime.commit(now)
        change = self.hosted.take_change()
        if change is not None:
            self._commits += 1
            self._ledger.record(UpdateStored(self.document_id, change.update))
            self._show_when_durable(change)
        for continuation in self._shown_with_flush:
            self._ledger.when_durable(continuation)
        self._shown_with_flush.clear()

    def _show_when_durable(self, change: Stored) -> None:
        hosted = self.hosted

        def show(_: Moment) -> None:
            hosted.made_durable(change)
            self._ledger.gather(hosted.take_shown)

        self._ledger.when_durable(show)

    def _write_kernel_and_queue(self) -> None:
        if self._kernel is not None and self._kernel != self._kernel_written:
            self.runtime.set_kernel(self._kernel)
            self._kernel_written = self._kernel
        if self._queue is not None:
            self.runtime.set_queue(self._queue)
        self._kernel = self._queue = None

    def _apply_outputs(self) -> None:
        taken = self._assembler.take()
        for sha256, data in taken.blobs:
            self._ledger.blob(sha256, data)
        for each, operations in taken.operations.items():
            self.runtime.apply_outputs(each, operations)

    def _apply_comms(self, now: Moment) -> None:
        if not self.comms.has_news:
            return
        for about, text in self.comms.take_notes():
            if about is not None and self.reader.status(about) is not None:
                self._assembler.note(about, text)
        taken = self.comms.take(now.monotonic_s)
        for sha256, data in taken.blobs:
            self._ledger.blob(sha256, data)
        self.runtime.comms.write(taken)
        if self.comms.waits_until_s is not None:
            self._touch(now, self.comms.waits_until_s - now.monotonic_s)

    def _touch_outputs(self, now: Moment, wait_s: float = FIRST_OUTPUT_S) -> None:
        since_s = now.monotonic_s - self._outputs_committed_s
        self._touch(now, max(wait_s, COALESCE_S - since_s))

    def _touch(self, now: Moment, within_s: float) -> None:
        due_s = now.monotonic_s + within_s
        self._due_s = due_s if self._due_s is None else min(self._due_s, due_s)
