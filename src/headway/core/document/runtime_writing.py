"""The one writer of a runtime document: the daemon.

What it writes `runtime` describes and reads. A commit is the caller's, so that what belongs
together is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from headway.core.document.comm_records import CommWriter
from headway.core.document.crdt import Replica
from headway.core.document.handles import ListHandle, MapHandle
from headway.core.document.operations import (
    AppendOutput,
    ClearOutputs,
    ExtendText,
    OutputOperation,
    ReplaceOutput,
    SealText,
)
from headway.core.document.prompts import Prompt, prompt_form
from headway.core.document.runtime import (
    PROMPT,
    SCALARS,
    TERMINAL,
    ExecutionRecord,
    RuntimeReader,
)
from headway.ids import ExecutionId
from headway.moments import Moment

__all__ = ["CARRIED_EXECUTIONS", "RuntimeDocument"]

CARRIED_EXECUTIONS = 500
"""How many of the newest executions go over into a fresh document, besides those still needed."""


class RuntimeDocument:
    """The one writer of a runtime document. What it writes is committed by `commit`.

    Args:
        replica: of a fresh document, or of one that this daemon wrote.
    """

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.reader = RuntimeReader(replica)
        self.commits_count = 0
        self._kernel = replica.map("kernel")
        self._queue = replica.list("queue")
        self._queued: list[ExecutionId] = []
        self._executions = replica.map("executions")
        self._latest = replica.map("latest")
        self.comms = CommWriter(replica)

    def commit(self, now: Moment) -> bool:
        """Commit what was written; True if that was anything."""
        committed = self.replica.commit(now.wall_s, "daemon")
        self.commits_count += committed
        return committed

    def set_kernel(self, state: Any) -> None:
        """The kernel's state: a mapping or a struct of plain values."""
        fields: dict[str, Any] = msgspec.to_builtins(state)
        with self.replica.lock:
            _remove_others(self._kernel, fields)
            for name, value in fields.items():
                self._kernel.set_json(name, value)

    def set_queue(self, ids: Sequence[ExecutionId]) -> None:
        """The executions that wait or run, in order."""
        with self.replica.lock:
            # Only what is different is written: a long queue loses its first a thousand times.
            before, after = self._queued, list(ids)
            start = _equal_at_start(before, after)
            end = _equal_at_start(before[start:][::-1], after[start:][::-1])
            if gone := len(before) - start - end:
                self._queue.delete(start, gone)
            for place in range(start, len(after) - end):
                self._queue.insert(place, after[place])
            self._queued = after

    def add_execution(self, record: ExecutionRecord) -> None:
        """A new record, with its outputs; it is its cell's latest from now on."""
        with self.replica.lock:
            self._write_record(record)
            self._latest.set(record.cell_id, record.execution_id)

    def set_running(self, execution_id: ExecutionId, started_s: float) -> None:
        """The kernel was given the execution."""
        self._set(execution_id, {"status": "running", "started_s": float(started_s)})

    def set_execution_count(self, execution_id: ExecutionId, count: int) -> None:
        """The number that the kernel gave the execution."""
        self._set(execution_id, {"execution_count": count})

    def set_prompt(self, execution_id: ExecutionId, prompt: Prompt | None) -> None:
        """The execution asks and waits; None: it waits no more."""
        with self.replica.lock:
            record = self._executions.map(execution_id)
            if record is None:
                return
            if prompt is None:
                record.delete(PROMPT)
            else:
                record.set(PROMPT, prompt_form(prompt))

    def finish(
        self, execution_id: ExecutionId, status: str, reason: str | None, finished_s: float
    ) -> None:
        """The execution is terminal, and asks nothing any more. Apply its outputs first."""
        assert status in TERMINAL, status
        self.set_prompt(execution_id, None)
        fields = {"reason": reason, "finished_s": float(finished_s), "status": status}
        self._set(execution_id, fields)

    def apply_outputs(
        self, execution_id: ExecutionId, operations: Sequence[OutputOperation]
    ) -> None:
        """Change the outputs of an execution; nothing happens if there is no record of it."""
        with self.replica.lock:
            record = self._executions.map(execution_id)
            if record is None:
                return
            outputs = record.list("outputs")
            if outputs is None:
                outputs = record.new_list("outputs")
            for operation in operations:
                _apply(outputs, operation)

    def carry_over(self, old: RuntimeReader, keep: int = CARRIED_EXECUTIONS) -> None:
        """Fill this fresh document with what is worth keeping of `old`.

        The newest `keep` executions, the latest of each cell, all that are not terminal, the
        comms, and the state of kernel and queue.
        """
        with old.replica.lock, self.replica.lock:
            latest = old.latest_by_cell()
            everything = old.executions()
            wanted = {*everything[-keep:], *latest.values()} if keep else {*latest.values()}
            for execution_id in everything:
                if execution_id in wanted or old.status(execution_id) not in TERMINAL:
                    record = old.execution(execution_id)
                    assert record is not None, "executions() gives records"
                    self._write_record(record)
            for cell_id in sorted(latest):
                if latest[cell_id] in self._executions:
                    self._latest.set(cell_id, latest[cell_id])
            if kernel := old.kernel():
                self.set_kernel(kernel)
            if queue := old.queue():
                self.set_queue(queue)
            self.comms.carry_over(old.comms)

    def _write_record(self, record: ExecutionRecord) -> None:
        fields = {name: getattr(record, name) for name in SCALARS}
        given = {name: it for name, it in fields.items() if it is not None and it is not False}
        if record.prompt is not None:
            given[PROMPT] = prompt_form(record.prompt)
        written = self._executions.new_map(record.execution_id, values=given)
        outputs = written.new_list("outputs")
        for output in record.outputs:
            _write_output(outputs.append_map(), output)

    def _set(self, execution_id: ExecutionId, fields: Mapping[str, Any]) -> None:
        """Set the fields that are not None, in order; nothing if there is no record."""
        with self.replica.lock:
            record = self._executions.map(execution_id)
            if record is not None:
                record.update({name: each for name, each in fields.items() if each is not None})


def _apply(outputs: ListHandle, operation: OutputOperation) -> None:
    match operation:
        case AppendOutput():
            _write_output(outputs.append_map(), operation.output)
        case ClearOutputs():
            outputs.clear()
        case ReplaceOutput():
            if (replaced := outputs.map(operation.index)) is not None:
                _remove_others(replaced, operation.output)
                _write_output(replaced, operation.output)
        case ExtendText():
            stream = outputs.map(operation.index)
            text = None if stream is None else stream.text("text")
            if text is not None:
                if operation.delete_tail:
                    text.delete(len(text) - operation.delete_tail, operation.delete_tail)
                if operation.insert:
                    text.append(operation.insert)
        case SealText():
            if (stream := outputs.map(operation.index)) is not None:
                _seal(stream, operation)
        case _:
            assert_never(operation)


def _seal(stream: MapHandle, operation: SealText) -> None:
    sealed = stream.list("sealed")
    _extend(stream.new_list("sealed") if sealed is None else sealed, operation.references)
    # A fresh container, so that the history of the old text is not carried along.
    stream.new_text("text", operation.text)


def _write_output(written: MapHandle, output: Mapping[str, Any]) -> None:
    is_stream = output.get("output_type") == "stream"
    for name, value in output.items():
        if is_stream and name == "text":
            written.new_text(name, value)
        elif is_stream and name == "sealed":
            _extend(written.new_list(name), value)
        else:
            written.set(name, value)


def _remove_others(fields: MapHandle, kept: Mapping[str, Any]) -> None:
    for name in fields.keys():  # noqa: SIM118
        if name not in kept:
            fields.delete(name)


def _extend(references: ListHandle, added: Iterable[Mapping[str, Any]]) -> None:
    for reference in added:
        references.append(dict(reference))


def _equal_at_start(one: Sequence[object], other: Sequence[object]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    shorter = min(len(one), len(other))
    return next((place for place, (here, there) in pairs if here != there), shorter)
