"""One output of each kind: as it should be, and as the document has it.

Floor 1, pure; an execution (`execution`) holds them in their order and says when each changes. Each
knows how to say what the document must do to show it as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from headway.core.document.forms import (
    SEALED_BLOB_CHARACTERS,
    BlobSet,
    bundle_form,
    seal_text,
    stream_form,
)
from headway.core.document.mime import clean_text
from headway.core.document.notices import marker_text
from headway.core.document.operations import (
    AppendOutput,
    ExtendText,
    OutputOperation,
    ReplaceOutput,
    SealText,
)
from headway.core.document.terminal import TerminalText

__all__ = ["Bundle", "Fixed", "Marker", "OpenStream", "Output"]


class Output(Protocol):
    """What every output has; `index` is its place in the document, -1 while it has none."""

    index: int

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:
        """What makes the document show this output as it is now."""


class _Text:
    """The part of a stream that is text in the document: what it should be, and what it is."""

    __slots__ = ("index", "name", "written")

    def __init__(self, name: str) -> None:
        self.index = -1
        self.name = name
        self.written: str | None = None
        """The open text as the document has it; None: the output is not there."""

    def difference(self, text: str, references: list[dict[str, Any]]) -> Iterator[OutputOperation]:
        """What makes the open text `text`, after `references` were added to the sealed part."""
        before, self.written = self.written, text
        if before is None:
            yield AppendOutput(stream_form(self.name, text, references))
        elif references:
            yield SealText(self.index, tuple(references), text)
        elif before != text:
            common = _common_prefix(before, text)
            yield ExtendText(self.index, len(before) - common, text[common:])


class OpenStream(_Text):
    """Text written to one name without another output between."""

    __slots__ = (
        "finished",
        "finished_length",
        "hidden",
        "seal_above",
        "sealed",
        "sealed_blobs",
        "terminal",
    )

    def __init__(self, name: str, seal_above: int, *, hidden: bool) -> None:
        super().__init__(name)
        self.hidden = hidden
        """Over the quota: text only counts."""
        self.seal_above = seal_above
        self.terminal = TerminalText()
        self.finished: list[str] = []
        self.finished_length = 0
        self.sealed: list[dict[str, Any]] = []
        """References to what was finished before `finished` and the document does not have yet."""
        self.sealed_blobs = BlobSet()

    def keep(self, text: str) -> None:
        """Text that will not change any more."""
        self.finished.append(text)
        self.finished_length += len(text)
        if self.finished_length >= SEALED_BLOB_CHARACTERS:
            # As it comes, not all at once when it is asked for: no other notebook waits for long.
            whole = "".join(self.finished)
            full = len(whole) // SEALED_BLOB_CHARACTERS * SEALED_BLOB_CHARACTERS
            self.sealed += seal_text(whole[:full], self.sealed_blobs)
            self.finished, self.finished_length = [whole[full:]], len(whole) - full

    def let_go(self) -> None:
        """It is closed and written: nothing will be compared with its text any more."""
        self.finished, self.finished_length, self.written = [], 0, ""

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:
        """What makes the document show it as it is now."""
        finished = "".join(self.finished)
        references, self.sealed = self.sealed, []
        blobs.add_all(self.sealed_blobs)
        self.sealed_blobs = BlobSet()
        if self.finished_length > self.seal_above:
            references, finished = references + seal_text(finished, blobs), ""
        self.finished = [finished]
        self.finished_length = len(finished)
        line = "" if self.hidden else self.terminal.line
        return self.difference(finished + line, references)


class Marker(_Text):
    """Says at the end of the outputs how much was left out."""

    __slots__ = ("left_out", "quota_bytes")

    def __init__(self, quota_bytes: int) -> None:
        super().__init__("stderr")
        self.left_out = 0
        self.quota_bytes = quota_bytes

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:  # noqa: ARG002
        """What makes the document show it as it is now."""
        return self.difference(marker_text(self.left_out, self.quota_bytes), [])


class Fixed:
    """An exception or a notice, or (without form) what stood there before us; never changes."""

    __slots__ = ("form", "index")

    def __init__(self, form: dict[str, Any] | None) -> None:
        self.index = -1
        self.form = form

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:  # noqa: ARG002
        """What makes the document show it as it is now."""
        if self.form is not None:
            yield AppendOutput(self.form)


class Bundle:
    """A MIME bundle: a display or a result. It holds its content only until it is written."""

    __slots__ = (
        "content",
        "display_id",
        "execution_count",
        "gone",
        "index",
        "output_type",
        "size",
        "written",
    )

    def __init__(
        self, output_type: str, display_id: str | None, execution_count: int | None = None
    ) -> None:
        self.index = -1
        self.output_type = output_type
        self.display_id = None if display_id is None else clean_text(display_id)
        self.execution_count = execution_count
        self.content: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self.size = 0
        self.written = False
        self.gone = False
        """Cleared or left out: later updates do not concern it."""

    def operations(self, blobs: BlobSet) -> Iterator[OutputOperation]:
        """What makes the document show this bundle as it is now."""
        form = bundle_form(self.output_type, *self.content, blobs)
        self.content = ({}, {})
        if self.output_type == "execute_result":
            form["execution_count"] = self.execution_count
        if self.display_id is not None:
            form["transient"] = {"display_id": self.display_id}
        yield ReplaceOutput(self.index, form) if self.written else AppendOutput(form)
        self.written = True


def _common_prefix(first: str, second: str) -> int:
    """How many characters are equal at the start, by halving: slices compare fast."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
