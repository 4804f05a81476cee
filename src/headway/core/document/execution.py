"""The outputs of one execution as they should be, and as the document has them.

Floor 1, pure; the assembler (`outputs`) is its only user. What one output is, is in
`output_parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headway.core.document.forms import (
    SEAL_THRESHOLD_CHARACTERS,
    BlobSet,
    stream_form,
    value_size,
)
from headway.core.document.mime import BLOB_THRESHOLD_BYTES, clean_text, text_size
from headway.core.document.notices import MAX_OUTPUTS
from headway.core.document.operations import (
    ClearOutputs,
    OutputOperation,
)
from headway.core.document.output_parts import Bundle, Fixed, Marker, OpenStream, Output
from headway.core.document.terminal import TerminalText
from headway.ids import ExecutionId

__all__ = [
    "MAX_CLOSED_CHARACTERS",
    "MAX_ERRORS",
    "Execution",
]

MAX_ERRORS = 50
"""Errors that one execution may show; they are shown also when the quota is used up."""

MAX_CLOSED_CHARACTERS = 262_144
"""Once the closed streams of one execution have so much text in the document, more is sealed."""


class Execution:
    """The outputs of one execution.

    Args:
        execution_id: whose.
        quota_bytes: what it may keep.
    """

    def __init__(self, execution_id: ExecutionId, quota_bytes: int) -> None:
        self.execution_id = execution_id
        self._quota_bytes = quota_bytes
        self._outputs: list[Output] = []
        self._changed: dict[int, Output] = {}
        self._written = 0
        """How many outputs the document has."""
        self._cleared = False
        """The document's outputs are to be cleared first."""
        self._clear_waits = False
        self._stream: OpenStream | None = None
        self._kept = 0
        self._left_out = 0
        self._errors = 0
        self._closed_length = 0
        """Characters of finished streams that stand in the document, at most."""
        self._marker: Marker | None = None

    @property
    def is_full(self) -> bool:
        """Whether text and displays that come next are left out, and only counted."""
        is_open = self._stream is not None and not self._stream.hidden
        return self._marker is not None and not (self._clear_waits or is_open)

    def go_on_from(self, shown: Sequence[dict[str, Any]]) -> Iterator[Bundle]:
        """The document shows these outputs already; gives those that can be updated."""
        for output in shown:
            display_id = (output.get("transient") or {}).get("display_id")
            size = value_size(output)
            self._kept += size
            if display_id is None:
                self._append(Fixed(None))
                continue
            count = output.get("execution_count")
            bundle = Bundle(output["output_type"], display_id, count)
            bundle.size, bundle.written = size, True
            self._append(bundle)
            yield bundle
        self._changed.clear()
        self._written = len(self._outputs)

    def note(self, text: str) -> None:
        """Something that we say ourselves, as an output of its own; never left out."""
        self._clear_if_due()
        self.close_stream()
        self._append(Fixed(stream_form("stderr", text, [])))

    def open_stream(self, name: str) -> None:
        """Text for `name` comes next: go on with the stream there is, or start another."""
        self._clear_if_due()
        if self._stream is None or self._stream.name != name:
            self.close_stream()
            crowded = self._closed_length > MAX_CLOSED_CHARACTERS
            seal_above = BLOB_THRESHOLD_BYTES if crowded else SEAL_THRESHOLD_CHARACTERS
            self._stream = OpenStream(name, seal_above, hidden=not self._has_room(0))
            if self._stream.hidden:
                self._leave_out(0)
            else:
                self._append(self._stream)
        self._mark(self._stream)

    def write(self, text: str) -> None:
        """More text for the open stream."""
        stream = self._stream
        assert stream is not None
        finished = stream.terminal.feed(clean_text(text))
        if finished:
            self._keep_text(stream, finished)

    def close_stream(self) -> None:
        """What comes next is another output: the open line is final."""
        stream, self._stream = self._stream, None
        if stream is not None:
            line = stream.terminal.line
            stream.terminal = TerminalText()
            self._mark(stream)
            self._keep_text(stream, line)
            self._closed_length += min(stream.finished_length, stream.seal_above)

    def add(self, bundle: Bundle, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """A bundle was displayed."""
        self._clear_if_due()
        self.close_stream()
        size = _bundle_size(data, metadata)
        if not self._has_room(size):
            bundle.gone = True
            self._leave_out(size)
            return
        self._kept += size
        bundle.size, bundle.content = size, (data, metadata)
        self._append(bundle)

    def replace(self, bundle: Bundle, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """A bundle of this execution shows something else; left as it is if there is no room."""
        size = _bundle_size(data, metadata)
        if self._kept - bundle.size + size > self._quota_bytes:
            self._leave_out(size)
            return
        self._kept += size - bundle.size
        bundle.size, bundle.content = size, (data, metadata)
        self._mark(bundle)

    def add_error(self, form: dict[str, Any]) -> None:
        """An exception; the first `MAX_ERRORS` are never left out."""
        self._clear_if_due()
        self.close_stream()
        size = value_size(form)
        if self._errors >= MAX_ERRORS:
            self._leave_out(size)
            return
        self._errors += 1
        self._kept += size
        self._append(Fixed(form))

    def clear(self, *, wait: bool) -> None:
        """No outputs: now, or when the next one comes."""
        if wait:
            self._clear_waits = True
            return
        self.forget()
        self._outputs = []
        self._changed = {}
        self._stream = self._marker = None
        self._kept = self._left_out = self._errors = self._closed_length = 0
        self._clear_waits = False
        self._cleared = self._cleared or self._written > 0
        self._written = 0

    def forget(self) -> None:
        """Later updates of displays do not concern these outputs."""
        for output in self._outputs:
            if isinstance(output, Bundle):
                output.gone = True

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:
        """What makes the document show the outputs as they are now."""
        if self._cleared:
            self._cleared = False
            yield ClearOutputs()
        if self._marker is not None:
            self._marker.left_out = self._left_out + self._hidden_line_size()
            self._mark(self._marker)
        for index in sorted(self._changed):
            output = self._changed[index]
            yield from output.operations(blobs)
            if isinstance(output, OpenStream) and output is not self._stream:
                output.let_go()
        self._changed.clear()
        self._written = len(self._outputs)

    def _append(self, output: Output) -> None:
        output.index = len(self._outputs)
        self._outputs.append(output)
        self._mark(output)

    def _mark(self, output: Output) -> None:
        if output.index >= 0:
            self._changed[output.index] = output

    def _clear_if_due(self) -> None:
        if self._clear_waits:
            self.clear(wait=False)

    def _has_room(self, size: int) -> bool:
        return (
            self._marker is None
            and self._kept + size <= self._quota_bytes
            and len(self._outputs) < MAX_OUTPUTS
        )

    def _leave_out(self, size: int) -> None:
        """From here on everything is left out, except errors and displays that find room."""
        self._left_out += size
        if self._marker is None:
            self._marker = Marker(self._quota_bytes)
            self._append(self._marker)

    def _keep_text(self, stream: OpenStream, text: str) -> None:
        size = text_size(text)
        if not stream.hidden:
            room = max(0, self._quota_bytes - self._kept)
            if size <= room:
                stream.keep(text)
                self._kept += size
                return
            # Cut between code points: what is half inside is outside.
            inside = text.encode()[:room].decode(errors="ignore")
            stream.keep(inside)
            stream.hidden = True
            self._kept += text_size(inside)
            size -= text_size(inside)
        if size:
            self._leave_out(size)

    def _hidden_line_size(self) -> int:
        if self._stream is None or not self._stream.hidden:
            return 0
        return text_size(self._stream.terminal.line)


def _bundle_size(data: dict[str, Any], metadata: dict[str, Any]) -> int:
    sizes = sum(map(value_size, data.values()))
    return sizes + (value_size(metadata) if metadata else 0)
