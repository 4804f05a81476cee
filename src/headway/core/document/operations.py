"""What can happen to the outputs of one execution, as frozen values.

Floor 1, pure. The assembler (`outputs`) makes them, the runtime document applies them in order.
An index counts the outputs of the execution as the operations before it left them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "AppendOutput",
    "ClearOutputs",
    "ExtendText",
    "OutputOperation",
    "ReplaceOutput",
    "SealText",
]


@dataclass(frozen=True, slots=True)
class AppendOutput:
    """A new last output, in the document's form (see `forms`)."""

    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExtendText:
    """Take `delete_tail` code points off the end of a stream's open text, then add `insert`."""

    index: int
    delete_tail: int
    insert: str


@dataclass(frozen=True, slots=True)
class SealText:
    """More of a stream is in blobs: add `references` to those it has; `text` is its open text."""

    index: int
    references: tuple[dict[str, Any], ...]
    text: str


@dataclass(frozen=True, slots=True)
class ReplaceOutput:
    """A display shows something else now: the whole output, in the document's form."""

    index: int
    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClearOutputs:
    """There are no outputs any more."""


OutputOperation = AppendOutput | ExtendText | SealText | ReplaceOutput | ClearOutputs
