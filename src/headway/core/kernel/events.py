"""What a kernel can do, as frozen values: the events that `jupyter` reads out of its messages.

Floor 1. Source: "Messaging in Jupyter" 5.3 and later. `execution_id` is the id of the request
an event answers (we send our execution id as the request's msg_id); None when the kernel named
no request of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "MAX_REASON_CHARACTERS",
    "Busy",
    "ClearOutput",
    "CommClosed",
    "CommEvent",
    "CommInfo",
    "CommMessage",
    "CommOpened",
    "CompleteReply",
    "Completion",
    "DisplayData",
    "ErrorOutput",
    "ExecuteInput",
    "ExecuteReply",
    "ExecuteResult",
    "HistoryInput",
    "HistoryReply",
    "Idle",
    "InputRequest",
    "InspectReply",
    "IsCompleteReply",
    "KernelEvent",
    "KernelInfo",
    "OutputEvent",
    "QuestionReply",
    "ReplyLost",
    "Stream",
    "UpdateDisplay",
]

MAX_REASON_CHARACTERS = 500
"""How much of what a kernel says of an error that it did not publish is kept."""


@dataclass(frozen=True, slots=True)
class Busy:
    """status: busy."""

    execution_id: str | None


@dataclass(frozen=True, slots=True)
class Idle:
    """status: idle. Every output of the request was sent before it (on the same socket)."""

    execution_id: str | None


@dataclass(frozen=True, slots=True)
class ExecuteInput:
    """The kernel begins to run the request; its execution count."""

    execution_id: str | None
    execution_count: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Text written to `stdout` or `stderr`."""

    execution_id: str | None
    name: str
    text: str
    is_flushed: bool = False
    """Whether the program asked to have it shown: it goes on after this."""


@dataclass(frozen=True, slots=True)
class DisplayData:
    """A MIME bundle to show; `display_id` names it for later updates."""

    execution_id: str | None
    data: dict[str, Any]
    metadata: dict[str, Any]
    display_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExecuteResult:
    """The value of the last expression."""

    execution_id: str | None
    data: dict[str, Any]
    metadata: dict[str, Any]
    execution_count: int
    display_id: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateDisplay:
    """A new bundle for every output shown under `display_id`."""

    execution_id: str | None
    data: dict[str, Any]
    metadata: dict[str, Any]
    display_id: str


@dataclass(frozen=True, slots=True)
class ClearOutput:
    """Clear the outputs: at once, or (`wait`) when the next one comes."""

    execution_id: str | None
    wait: bool


@dataclass(frozen=True, slots=True)
class ErrorOutput:
    """An exception, with its traceback as lines (with ANSI colours)."""

    execution_id: str | None
    name: str
    value: str
    traceback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExecuteReply:
    """The kernel's answer to an execute request. `status`: ok, error or aborted."""

    execution_id: str
    status: str
    execution_count: int | None
    error_name: str | None = None
    error_value: str | None = None
    ends_kernel: bool = False
    """Whether the code asked for the kernel's end, as `exit()` does. It comes a moment later."""

    @property
    def said_of_error(self) -> str:
        """What it says of its error, as a line of `MAX_REASON_CHARACTERS` at most."""
        text = ": ".join(filter(None, (self.error_name, self.error_value)))
        line = " ".join(text.encode(errors="replace").decode().split())
        return line[:MAX_REASON_CHARACTERS] or "the kernel reported an error and did not say which"


@dataclass(frozen=True, slots=True)
class ReplyLost:
    """The kernel is done with the request, and how it ended cannot be known any more.

    Made by whoever took the kernel up again after the daemon was away; no kernel says it.
    """

    execution_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class InputRequest:
    """The kernel asks for a line of text."""

    execution_id: str | None
    prompt: str
    password: bool


@dataclass(frozen=True, slots=True)
class KernelInfo:
    """What the kernel says of itself; `language_info` as in notebook metadata."""

    language: str
    language_info: dict[str, Any] = field(default_factory=dict)
    protocol_version: str = ""
    banner: str = ""
    answers_while_busy: bool = False
    """Whether it answers a question on its control socket while it runs code."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion with what IPython and others say beyond the protocol."""

    text: str
    start: int
    end: int
    kind: str | None = None
    """function, instance, module, keyword, path and others; None if the kernel does not say."""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class CompleteReply:
    """An answer to a completion request; positions in code points."""

    request_id: str
    matches: tuple[str, ...]
    start: int
    end: int
    completions: tuple[Completion, ...] = ()
    """The same with their kinds, if the kernel says them."""


@dataclass(frozen=True, slots=True)
class InspectReply:
    """An answer to an inspection request."""

    request_id: str
    found: bool
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CommOpened:
    """The kernel opened a comm; `buffers` are the binary parts that `data` speaks of."""

    execution_id: str | None
    comm_id: str
    target_name: str
    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CommMessage:
    """The kernel said something on a comm."""

    execution_id: str | None
    comm_id: str
    data: dict[str, Any]
    buffers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CommClosed:
    """The kernel closed a comm."""

    execution_id: str | None
    comm_id: str


@dataclass(frozen=True, slots=True)
class CommInfo:
    """Which comms the kernel has: comm id -> target name."""

    request_id: str
    targets: dict[str, str]


CommEvent = CommOpened | CommMessage | CommClosed | CommInfo


@dataclass(frozen=True, slots=True)
class IsCompleteReply:
    """An answer to an is_complete request. `status`: complete, incomplete, invalid or unknown."""

    request_id: str
    status: str
    indent: str = ""
    """What an incomplete input's next line begins with."""


@dataclass(frozen=True, slots=True)
class HistoryInput:
    """One input of the kernel's history."""

    session: int
    line: int
    source: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryReply:
    """An answer to a history request, the oldest input first."""

    request_id: str
    inputs: tuple[HistoryInput, ...]


QuestionReply = CompleteReply | InspectReply | IsCompleteReply | HistoryReply

OutputEvent = Stream | DisplayData | ExecuteResult | UpdateDisplay | ClearOutput | ErrorOutput

KernelEvent = (
    Busy
    | Idle
    | ExecuteInput
    | OutputEvent
    | ExecuteReply
    | ReplyLost
    | InputRequest
    | KernelInfo
    | QuestionReply
    | CommEvent
)
