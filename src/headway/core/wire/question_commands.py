"""The commands that ask a kernel what it knows. A part of `rpc`.

Floor 1.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from headway.core.wire.declaring import RoomParams

__all__ = [
    "MAX_HISTORY_INPUTS",
    "MAX_HISTORY_SESSION",
    "Complete",
    "Completeness",
    "Completion",
    "Completions",
    "HistoryInput",
    "Inspect",
    "Inspection",
    "IsComplete",
    "KernelHistory",
    "KernelInputs",
]

MAX_HISTORY_INPUTS = 10_000
"""The most inputs of a kernel's history that one request may ask for."""

MAX_HISTORY_SESSION = 2**53 - 1
"""The highest number of a session, in both directions: what all readers of JSON agree on (RFC 8259,
6). IPython keeps its history in a database of 64 bits, and never answers who asks beyond them."""


class Completion(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One completion of `code[start:end]`; positions in Unicode code points."""

    text: str
    start: int
    end: int
    kind: str | None = None
    """function, class, instance, module, keyword, path and others, if the kernel says it."""
    signature: str | None = None


class Completions(msgspec.Struct, kw_only=True, frozen=True):
    """Completions of `code[start:end]`; positions in Unicode code points."""

    matches: list[str]
    start: int
    end: int
    completions: list[Completion] = []
    """The same with their kinds and signatures; empty when the kernel does not say them."""


class Complete(RoomParams, kw_only=True, frozen=True):
    """What the kernel would put at `cursor` (code points) in `code`."""

    method: ClassVar[str] = "complete"
    result: ClassVar[type[Any]] = Completions
    is_repeatable: ClassVar[bool] = True

    code: str
    cursor: Annotated[int, msgspec.Meta(ge=0)]


class Inspection(msgspec.Struct, kw_only=True, frozen=True):
    """What the kernel knows of a name, as a MIME bundle."""

    found: bool
    data: dict[str, Any]


class Inspect(RoomParams, kw_only=True, frozen=True):
    """What the kernel knows of the name at `cursor` (code points) in `code`."""

    method: ClassVar[str] = "inspect"
    result: ClassVar[type[Any]] = Inspection
    is_repeatable: ClassVar[bool] = True

    code: str
    cursor: Annotated[int, msgspec.Meta(ge=0)]
    detail: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    """1: with the source, where there is one."""


class Completeness(msgspec.Struct, kw_only=True, frozen=True):
    """Whether an input is whole: complete, incomplete, invalid or unknown."""

    status: str
    indent: str = ""
    """What an incomplete input's next line begins with."""


class IsComplete(RoomParams, kw_only=True, frozen=True):
    """Whether the kernel would run `code` as it is, or the input goes on in the next line."""

    method: ClassVar[str] = "is_complete"
    result: ClassVar[type[Any]] = Completeness
    is_repeatable: ClassVar[bool] = True

    code: str


class HistoryInput(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One input that a kernel was given, also by other programs and on other days."""

    session: int
    line: int
    source: str
    output: str | None = None


class KernelInputs(msgspec.Struct, kw_only=True, frozen=True):
    """Earlier inputs, the oldest first."""

    inputs: list[HistoryInput]
    left_out: int = 0
    """How many more there were, older ones, than an answer can hold."""


class KernelHistory(RoomParams, kw_only=True, frozen=True):
    """What the kernel remembers of earlier inputs: the last `n`, or the last `n` that fit.

    With `pattern` (`*` and `?` stand for any text and any character) those that fit it, whenever
    they were given; with `session` those of one session (0: this kernel's own, -1: the one
    before).
    """

    method: ClassVar[str] = "kernel_history"
    result: ClassVar[type[Any]] = KernelInputs
    is_repeatable: ClassVar[bool] = True

    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_HISTORY_INPUTS)] = 100
    pattern: str | None = None
    session: (
        Annotated[int, msgspec.Meta(ge=-MAX_HISTORY_SESSION, le=MAX_HISTORY_SESSION)] | None
    ) = None
    unique: bool = False
    """Of equal inputs that fit a pattern only the last."""
    output: bool = False
    """With the outputs that the kernel keeps, which is few of them."""
