"""The output assembler: from what kernels say to few, small operations on execution records.

Floor 1, pure. It belongs to one room, is fed as events come and asked with `take` now and then (at
most every 20 ms, and before a terminal status). It holds the outputs as they should be; `take`
gives the difference to what it gave before. So a thousand updates of a progress bar between two
takes are one operation, and what was cleared again was never written.

How text is cut into events and when `take` is called makes no difference to what comes out in the
end. Each execution may keep `OUTPUT_QUOTA_BYTES` (what a clear or a carriage return removed does
not count) in `MAX_OUTPUTS` outputs; what comes after is left out, except an error, and a visible
marker says how many bytes that were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.core.document.execution import Execution
from headway.core.document.forms import BlobSet
from headway.core.document.mime import clean_text, clean_value
from headway.core.document.notices import (
    MAX_ERROR_BYTES,
    MAX_OUTPUTS,
    OUTPUT_QUOTA_BYTES,
    error_form,
)
from headway.core.document.operations import OutputOperation
from headway.core.document.output_parts import Bundle
from headway.ids import ExecutionId

__all__ = [
    "MAX_DISPLAYS_PER_ID",
    "MAX_DISPLAY_IDS",
    "MAX_ERROR_BYTES",
    "MAX_FINISHED",
    "MAX_OUTPUTS",
    "OUTPUT_QUOTA_BYTES",
    "OutputAssembler",
    "Taken",
]

MAX_DISPLAY_IDS = 1_000
"""Display ids that later updates find; the one shown longest ago is forgotten first."""

MAX_DISPLAYS_PER_ID = 1_000
"""Outputs that one update of a display changes."""

MAX_FINISHED = 500
"""Finished executions that can still get late outputs (from a thread that outlived its cell)."""

_MAX_FORGOTTEN = 10_000
_MAX_BUFFERED_CHARACTERS = 131_072
"""So much takes 0.3 ms to take in, and nothing else happens meanwhile."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What to store first, and then what to do to which execution, in order."""

    blobs: tuple[tuple[str, bytes], ...]
    operations: dict[ExecutionId, tuple[OutputOperation, ...]]

    def __bool__(self) -> bool:
        return bool(self.operations)


class OutputAssembler:
    """Assembles the outputs of one notebook's executions. See the module.

    An execution exists from its first output on. Output for one that finished long ago is ignored.

    Args:
        quota_bytes: what each execution may keep.
    """

    def __init__(self, quota_bytes: int = OUTPUT_QUOTA_BYTES) -> None:
        self._quota_bytes = quota_bytes
        self._executions: dict[ExecutionId, Execution] = {}
        self._finished: dict[ExecutionId, Execution] = {}
        self._forgotten: dict[ExecutionId, None] = {}
        self._dirty: dict[ExecutionId, Execution] = {}
        self._displays: dict[str, list[tuple[Execution, Bundle]]] = {}
        self._streaming: Execution | None = None
        """The execution whose open stream `stream` appends to without looking further."""
        self._streaming_id = ""
        self._streaming_name = ""
        self._buffer: list[str] = []
        self._buffered = 0

    @property
    def has_news(self) -> bool:
        """Whether `take` may have something to give."""
        return bool(self._dirty)

    def is_full(self, execution_id: ExecutionId) -> bool:
        """Whether text and displays that come next are only counted; never once it finished."""
        execution = self._executions.get(execution_id)
        return execution is not None and execution.is_full

    def go_on_from(self, execution_id: ExecutionId, shown: Sequence[dict[str, Any]]) -> None:
        """An execution's record holds outputs already, which another assembler wrote.

        What comes for it goes behind them. To be called before anything else for it.
        """
        assert execution_id not in self._executions, "it has gone on already"
        execution = Execution(execution_id, self._quota_bytes)
        self._executions[execution_id] = execution
        for bundle in execution.go_on_from(shown):
            assert bundle.display_id is not None, "only those can be updated"
            self._displays.setdefault(bundle.display_id, []).append((execution, bundle))

    def note(self, execution_id: ExecutionId, text: str) -> None:
        """We ourselves have something to say among its outputs, as text to stderr of its own."""
        execution = self._touch(execution_id)
        if execution is not None:
            execution.note(text)

    def stream(self, execution_id: ExecutionId, name: str, text: str) -> None:
        """Text was written to stdout or stderr."""
        if execution_id == self._streaming_id and name == self._streaming_name:
            self._buffer.append(text)
            self._buffered += len(text)
            if self._buffered > _MAX_BUFFERED_CHARACTERS:
                self._settle()
            return
        if not text or (execution := self._touch(execution_id)) is None:
            return
        execution.open_stream(clean_text(name))
        self._streaming = execution
        self._streaming_id = execution_id
        self._streaming_name = name
        self._buffer.append(text)
        self._buffered = len(text)

    def display(
        self,
        execution_id: ExecutionId,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any],
        display_id: str | None = None,
    ) -> None:
        """A MIME bundle was displayed; `display_id` names it for `update_display`."""
        bundle = Bundle("display_data", display_id)
        self._show(execution_id, bundle, data, metadata)

    def result(
        self,
        execution_id: ExecutionId,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any],
        execution_count: int | None,
        display_id: str | None = None,
    ) -> None:
        """The value of the last expression was displayed."""
        bundle = Bundle("execute_result", display_id, execution_count)
        self._show(execution_id, bundle, data, metadata)

    def error(
        self, execution_id: ExecutionId, name: str, value: str, traceback: Sequence[str]
    ) -> None:
        """The execution raised; always shown, cut to `MAX_ERROR_BYTES`."""
        execution = self._touch(execution_id)
        if execution is not None:
            execution.add_error(error_form(name, value, traceback))

    def clear(self, execution_id: ExecutionId, *, wait: bool) -> None:
        """Clear the outputs: now, or (`wait`) when the next one comes."""
        execution = self._touch(execution_id)
        if execution is not None:
            execution.clear(wait=wait)

    def update_display(
        self, display_id: str, data: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Show something else in every output with this display id, of whichever execution."""
        self._settle()
        clean_data, clean_metadata = clean_value(dict(data)), clean_value(dict(metadata))
        for execution, bundle in self._displays.get(display_id, ()):
            if not bundle.gone:
                self._dirty[execution.execution_id] = execution
                execution.replace(bundle, clean_data, clean_metadata)

    def finish(self, execution_id: ExecutionId) -> None:
        """No more output is expected: the open line is final. Late output is still taken."""
        execution = self._executions.pop(execution_id, None)
        if execution is None:
            return
        self._settle()
        self._dirty[execution_id] = execution
        execution.close_stream()
        self._finished[execution_id] = execution
        if len(self._finished) > MAX_FINISHED:
            self.forget(next(iter(self._finished)))

    def forget(self, execution_id: ExecutionId) -> None:
        """The record is gone: take nothing for it any more and change nothing in it."""
        self._settle()
        execution = self._executions.pop(execution_id, None) or self._finished.pop(
            execution_id, None
        )
        self._dirty.pop(execution_id, None)
        if execution is not None:
            execution.forget()
        self._forgotten[execution_id] = None
        if len(self._forgotten) > _MAX_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def take(self) -> Taken:
        """What changed since the last time: blobs to store, then operations to apply."""
        if not self._dirty:
            return Taken((), {})
        self._settle()
        blobs = BlobSet()
        operations: dict[ExecutionId, tuple[OutputOperation, ...]] = {}
        for execution_id, execution in self._dirty.items():
            if made := tuple(execution.operations(blobs)):
                operations[execution_id] = made
        self._dirty.clear()
        return Taken(blobs.taken(), operations)

    def _show(
        self,
        execution_id: ExecutionId,
        bundle: Bundle,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        execution = self._touch(execution_id)
        if execution is None:
            return
        execution.add(bundle, clean_value(dict(data)), clean_value(dict(metadata)))
        if bundle.display_id is None or bundle.gone:
            return
        known = self._displays.pop(bundle.display_id, [])
        if len(known) >= MAX_DISPLAYS_PER_ID:
            known = [pair for pair in known if not pair[1].gone][1 - MAX_DISPLAYS_PER_ID :]
        known.append((execution, bundle))
        self._displays[bundle.display_id] = known
        if len(self._displays) > MAX_DISPLAY_IDS:
            del self._displays[next(iter(self._displays))]

    def _touch(self, execution_id: ExecutionId) -> Execution | None:
        """The execution, everything buffered settled; None if it is forgotten."""
        self._settle()
        execution = self._executions.get(execution_id) or self._finished.get(execution_id)
        if execution is None:
            if execution_id in self._forgotten:
                return None
            execution = Execution(execution_id, self._quota_bytes)
            self._executions[execution_id] = execution
        self._dirty[execution_id] = execution
        return execution

    def _settle(self) -> None:
        """Let the open stream have what was buffered for it."""
        if self._streaming is None:
            return
        self._streaming.write("".join(self._buffer))
        self._buffer.clear()
        self._buffered = 0
        self._streaming = None
        self._streaming_id = self._streaming_name = ""
