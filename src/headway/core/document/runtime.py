"""The runtime document: what the machine did. The daemon writes it, everybody reads it.

Not the notebook document (`notebook`), and no queue or kernel: it shows them. One replica writes
(`RuntimeDocument`), so outputs that were applied before a terminal status are before it in every
replica: who sees the status has the outputs. Any replica reads (`RuntimeReader`); reading takes
what is there and leaves out what has not the right form, because a newer daemon may write more.

    kernel      the kernel's state, as plain keys
    queue       list of execution ids
    executions  execution id -> map of plain fields and `outputs`, a list of maps (see `forms`);
                a stream's map has `text` (a Text) and `sealed` (a list);
                `prompt` (see `prompts`) is there while the kernel waits for its answer
    latest      cell id -> execution id

The comms of the kernel are there too: see `comm_records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

import msgspec

from headway.core.document.comm_records import CommReader, CommWriter
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
from headway.core.document.prompts import Prompt, prompt_form, read_prompt
from headway.ids import CellId, ExecutionId
from headway.moments import Moment

__all__ = [
    "CARRIED_EXECUTIONS",
    "STATUSES",
    "TERMINAL",
    "ExecutionRecord",
    "RuntimeDocument",
    "RuntimeReader",
]

STATUSES: Final = ("queued", "running", "ok", "error", "cancelled", "lost")
TERMINAL: Final = frozenset({"ok", "error", "cancelled", "lost"})

CARRIED_EXECUTIONS = 500
"""How many of the newest executions go over into a fresh document, besides those still needed."""

_PROMPT = "prompt"

_READER_PEER = 1
"""Of a document that nobody writes to and nobody gets."""

_SCALARS = (
    "cell_id",
    "source_sha256",
    "heads",
    "requested_by",
    "status",
    "reason",
    "execution_count",
    "queued_s",
    "started_s",
    "finished_s",
    "batch_id",
    "stops_batch",
    "may_raise",
    "allow_stdin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """One execution. Times are seconds since 1970, UTC; `heads` is text (`ids.heads_to_text`)."""

    execution_id: ExecutionId
    cell_id: CellId
    source_sha256: str = ""
    heads: str = ""
    requested_by: str = ""
    status: str = "queued"
    reason: str | None = None
    execution_count: int | None = None
    queued_s: float = 0.0
    started_s: float | None = None
    finished_s: float | None = None
    outputs: tuple[dict[str, Any], ...] = ()
    """In the document's form (see `forms`)."""
    batch_id: str | None = None
    stops_batch: bool = False
    """Whether its failure cancels the rest of its batch."""
    may_raise: bool = False
    """Whether an error in it is no such failure."""
    allow_stdin: bool = False
    """Whether its caller said that somebody may answer when it asks for input."""
    prompt: Prompt | None = None
    """What the cell asks and waits for; never in a terminal record."""


class RuntimeReader:
    """What any replica of a runtime document says now.

    Args:
        replica: of a runtime document; others may import into it at any time.
    """

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._kernel = replica.map("kernel")
        self._queue = replica.list("queue")
        self._executions = replica.map("executions")
        self._latest = replica.map("latest")
        self.comms = CommReader(replica)

    @classmethod
    def empty(cls) -> RuntimeReader:
        """Of a document in which nothing ever happened."""
        return cls(Replica(_READER_PEER))

    def kernel(self) -> dict[str, Any]:
        """The kernel's state as it was set; empty before that."""
        return self._kernel.to_json()

    def queue(self) -> list[ExecutionId]:
        """The executions that wait or run, in order."""
        # Stores of earlier versions have a map of that name.
        ids = self._queue.to_json() or self.replica.map("queue").get("ids", None)
        return [each for each in ids if isinstance(each, str)] if isinstance(ids, list) else []

    def status(self, execution_id: ExecutionId) -> str | None:
        """The status of an execution; None if there is no record of it. A few microseconds."""
        record = self._executions.map(execution_id)
        status = None if record is None else record.get("status", None)
        return status if isinstance(status, str) else None

    def latest(self, cell_id: CellId) -> ExecutionId | None:
        """The newest execution of a cell."""
        found = self._latest.get(cell_id, None)
        return found if isinstance(found, str) else None

    def latest_by_cell(self) -> dict[CellId, ExecutionId]:
        """The newest execution of each cell that was ever run."""
        found = self._latest.to_json()
        return {cell_id: each for cell_id, each in found.items() if isinstance(each, str)}

    def executions(self) -> list[ExecutionId]:
        """The ids of all records, oldest first."""
        with self.replica.lock:
            found = []
            for execution_id in self._executions.keys():  # noqa: SIM118
                record = self._executions.map(execution_id)
                if record is not None:
                    found.append((_seconds(record.get("queued_s", None)) or 0.0, execution_id))
        return [execution_id for _, execution_id in sorted(found)]

    def execution(
        self, execution_id: ExecutionId, *, outputs: bool = True
    ) -> ExecutionRecord | None:
        """The record of an execution, or None; without its outputs if they are not asked for."""
        with self.replica.lock:
            record = self._executions.map(execution_id)
            if record is None:
                return None
            fields = record.scalars((*_SCALARS, _PROMPT))
            shown = record.list("outputs") if outputs else None
            found = [] if shown is None else shown.to_json()
        return ExecutionRecord(
            execution_id=execution_id,
            outputs=tuple(output for output in found if _is_output(output)),
            cell_id=_text(fields.get("cell_id")),
            source_sha256=_text(fields.get("source_sha256")),
            heads=_text(fields.get("heads")),
            requested_by=_text(fields.get("requested_by")),
            status=_text(fields.get("status")),
            reason=_optional(fields.get("reason"), str),
            execution_count=_optional(fields.get("execution_count"), int),
            queued_s=_seconds(fields.get("queued_s")) or 0.0,
            started_s=_seconds(fields.get("started_s")),
            finished_s=_seconds(fields.get("finished_s")),
            batch_id=_optional(fields.get("batch_id"), str),
            stops_batch=fields.get("stops_batch") is True,
            may_raise=fields.get("may_raise") is True,
            allow_stdin=fields.get("allow_stdin") is True,
            prompt=read_prompt(fields.get(_PROMPT)),
        )


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
                record.delete(_PROMPT)
            else:
                record.set(_PROMPT, prompt_form(prompt))

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
        written = self._executions.new_map(record.execution_id)
        for name in _SCALARS:
            value = getattr(record, name)
            if value is not None and value is not False:
                written.set(name, value)
        if record.prompt is not None:
            written.set(_PROMPT, prompt_form(record.prompt))
        outputs = written.new_list("outputs")
        for output in record.outputs:
            _write_output(outputs.append_map(), output)

    def _set(self, execution_id: ExecutionId, fields: Mapping[str, Any]) -> None:
        """Set the fields that are not None, in order; nothing if there is no record."""
        with self.replica.lock:
            record = self._executions.map(execution_id)
            if record is not None:
                for name, value in fields.items():
                    if value is not None:
                        record.set(name, value)


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


def _is_output(output: Any) -> bool:
    return isinstance(output, dict) and isinstance(output.get("output_type"), str)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _optional(value: Any, kind: type[Any]) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value is not True else None
