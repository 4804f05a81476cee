"""The runtime document: what the machine did. The daemon writes it, everybody reads it.

Not the notebook document (`notebook`), and no queue or kernel: it shows them. One replica writes
(`runtime_writing`), so outputs that were applied before a terminal status are before it in every
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

from dataclasses import dataclass
from typing import Any, Final

from headway.core.document.comm_records import CommReader
from headway.core.document.crdt import Replica
from headway.core.document.prompts import Prompt, read_prompt
from headway.ids import CellId, ExecutionId

__all__ = [
    "PROMPT",
    "SCALARS",
    "TERMINAL",
    "ExecutionRecord",
    "RuntimeReader",
]

TERMINAL: Final = frozenset({"ok", "error", "cancelled", "lost"})

PROMPT: Final = "prompt"
"""The field of an execution that is there while it asks."""

_READER_PEER = 1
"""Of a document that nobody writes to and nobody gets."""

SCALARS: Final = (
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
"""The plain fields of an execution, named as in `ExecutionRecord`; those that are None or False
are not written."""


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
            fields = record.scalars((*SCALARS, PROMPT))
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
            prompt=read_prompt(fields.get(PROMPT)),
        )


def _is_output(output: Any) -> bool:
    return isinstance(output, dict) and isinstance(output.get("output_type"), str)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _optional(value: Any, kind: type[Any]) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value is not True else None
