"""What the client hands out: cells, results, and the events of a running cell. Values only.

Floor 5. Outputs of a result and of an event are dicts as nbformat writes them, whole; outputs of a
cell are as the runtime document holds them, where large values are references to blobs
(`{"blob": sha256, "size": bytes}`) that `fetch_output` resolves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from headway.core.document.prompts import Prompt
from headway.core.document.runtime import ExecutionRecord
from headway.errors import CellFailed
from headway.ids import CellId, ExecutionId

__all__ = [
    "ANSWER_TIMEOUT_S",
    "Cell",
    "CellError",
    "DisplayUpdated",
    "Event",
    "ExecutionResult",
    "Finished",
    "InputClosed",
    "InputRequested",
    "Output",
    "OutputsCleared",
    "Rejected",
    "Started",
    "joined_text",
    "result_of",
]

ANSWER_TIMEOUT_S = 30.0
"""How long giving an answer to a prompt may take."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it was when it was read. Pass it, or its id, to say which cell you mean."""

    id: CellId
    cell_type: Literal["code", "markdown", "raw"]
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[dict[str, Any], ...] = ()
    execution_count: int | None = None
    status: str | None = None
    """Of its latest execution; None if it was never run."""


@dataclass(frozen=True, slots=True)
class CellError:
    """What a cell raised."""

    ename: str
    evalue: str
    traceback: tuple[str, ...]

    def __str__(self) -> str:
        name = self.ename or "Error"  # a shell's kernel names none, and gives the status as value
        return f"{name}: {self.evalue}" if self.evalue else name


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended. Times are seconds since 1970, UTC."""

    execution_id: ExecutionId
    cell_id: CellId
    status: str
    """ok, error, cancelled or lost."""
    outputs: tuple[dict[str, Any], ...]
    text: str
    """What was printed to stdout, and the plain text of results and displays, in order."""
    error: CellError | None
    execution_count: int | None
    source_sha256: str
    """Of the source that ran, in UTF-8."""
    heads: str
    """The heads at which that source was read, as text."""
    started_s: float | None
    finished_s: float | None
    reason: str | None = None
    """Why it was cancelled or lost."""

    @property
    def success(self) -> bool:
        """Whether the cell ran to its end without an error."""
        return self.status == "ok"

    def raise_for_error(self) -> ExecutionResult:
        """Give this result if the cell ran well; raise CellFailed otherwise."""
        if self.success:
            return self
        what = str(self.error) if self.error is not None else (self.reason or self.status)
        raise CellFailed(
            f"Cell {self.cell_id} ended as {self.status}: {what}",
            cell_id=self.cell_id,
            execution_id=self.execution_id,
            status=self.status,
            ename=self.error.ename if self.error is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Started:
    """The kernel runs the cell."""

    execution_id: ExecutionId
    cell_id: CellId
    execution_count: int | None


@dataclass(frozen=True, slots=True)
class Output:
    """A new output at `index`; for a stream that grows, only the new text."""

    index: int
    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DisplayUpdated:
    """The output at `index` is another one now."""

    index: int
    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutputsCleared:
    """The cell cleared its outputs."""


@dataclass(frozen=True, slots=True)
class InputRequested:
    """The cell asks for a line of text and waits. Everybody sees it, and the first answer wins."""

    execution_id: ExecutionId
    cell_id: CellId
    prompt: Prompt
    reply: Callable[[str, float], Any] = field(repr=False, compare=False)

    def answer(self, value: str, *, timeout: float = ANSWER_TIMEOUT_S) -> Any:
        """Give the kernel this answer; to be awaited if the notebook is asynchronous.

        Raises InputNotAwaited when somebody else was first, or nobody waits for it any more.
        """
        return self.reply(value, timeout)


@dataclass(frozen=True, slots=True)
class InputClosed:
    """The cell waits for this no more: somebody answered, or it was interrupted, or it ended."""

    execution_id: ExecutionId
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Finished:
    """The execution is terminal; the last event."""

    result: ExecutionResult


Event = Started | Output | DisplayUpdated | OutputsCleared | InputRequested | InputClosed | Finished


@dataclass(frozen=True, slots=True)
class Rejected:
    """Edits that the server refused: the cells as they were here, for the person to keep."""

    status: str
    cells: tuple[Cell, ...]


def result_of(record: ExecutionRecord, outputs: Iterable[dict[str, Any]]) -> ExecutionResult:
    """The result of a terminal record; `outputs` are its outputs as nbformat writes them."""
    shown = tuple(outputs)
    return ExecutionResult(
        execution_id=record.execution_id,
        cell_id=record.cell_id,
        status=record.status,
        outputs=shown,
        text=joined_text(shown),
        error=_last_error(shown),
        execution_count=record.execution_count,
        source_sha256=record.source_sha256,
        heads=record.heads,
        started_s=record.started_s,
        finished_s=record.finished_s,
        reason=record.reason,
    )


def joined_text(outputs: Iterable[dict[str, Any]]) -> str:
    """Stdout and plain-text results in order; a result begins and ends on lines of its own."""
    text = ""
    line_due = False
    for output in outputs:
        if output.get("output_type") == "stream":
            piece = output.get("text", "") if output.get("name") == "stdout" else ""
            is_result = False
        else:
            piece = (output.get("data") or {}).get("text/plain", "")
            is_result = True
        if not isinstance(piece, str) or not piece:
            continue
        if (line_due or is_result) and text and not text.endswith("\n"):
            text += "\n"
        text += piece
        line_due = is_result
    return text


def _last_error(outputs: tuple[dict[str, Any], ...]) -> CellError | None:
    for output in reversed(outputs):
        if output.get("output_type") == "error":
            traceback = output.get("traceback")
            lines = traceback if isinstance(traceback, list) else []
            return CellError(
                str(output.get("ename", "")), str(output.get("evalue", "")), tuple(lines)
            )
    return None
