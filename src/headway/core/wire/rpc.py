"""The commands, declared once: parameters and results of every method.

Floor 1. Here are those about notebooks and the daemon, and the list of all; the others are in the
`*_commands` beside. Served as JSON-RPC 2.0 in frames on the sync socket and as POST /api/v1/METHOD.
Heads travel as standard base64 (`ids.heads_to_text`). Times are seconds since 1970, UTC.
A request that reads a document carries `required_heads`; the daemon answers only from a copy
that contains them, or refuses with HEADS_TIMEOUT.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from headway.core.wire.comm_commands import CommClose, CommMessage, CommOpen, CommSent
from headway.core.wire.declaring import (
    MAX_REQUEST_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    Params,
    RoomParams,
)
from headway.core.wire.execution_commands import (
    Accepted,
    AcceptedAll,
    AnswerInput,
    Cancel,
    Cancelled,
    Execute,
    ExecuteAll,
    ExecutionOutcome,
    GetExecution,
    InputAnswered,
    Interrupt,
    Interrupted,
)
from headway.core.wire.kernel_commands import (
    InstalledKernel,
    InstalledKernels,
    KernelEnvironment,
    KernelState,
    ListKernels,
    RestartKernel,
    ShutdownKernel,
    StartKernel,
)
from headway.core.wire.question_commands import (
    MAX_HISTORY_INPUTS,
    MAX_HISTORY_SESSION,
    Complete,
    Completeness,
    Completion,
    Completions,
    HistoryInput,
    Inspect,
    Inspection,
    IsComplete,
    KernelHistory,
    KernelInputs,
)

__all__ = [
    "MAX_HISTORY_INPUTS",
    "MAX_HISTORY_SESSION",
    "MAX_REQUEST_TIMEOUT_S",
    "METHODS",
    "REQUEST_TIMEOUT_S",
    "Accepted",
    "AcceptedAll",
    "AnswerInput",
    "Cancel",
    "Cancelled",
    "Close",
    "Closed",
    "CommClose",
    "CommMessage",
    "CommOpen",
    "CommSent",
    "Complete",
    "Completeness",
    "Completion",
    "Completions",
    "Create",
    "DaemonStatus",
    "Execute",
    "ExecuteAll",
    "ExecutionOutcome",
    "GetExecution",
    "HistoryInput",
    "InputAnswered",
    "Inspect",
    "Inspection",
    "InstalledKernel",
    "InstalledKernels",
    "Interrupt",
    "Interrupted",
    "IsComplete",
    "KernelEnvironment",
    "KernelHistory",
    "KernelInputs",
    "KernelState",
    "KnownNotebook",
    "KnownNotebooks",
    "List",
    "ListKernels",
    "ListKnown",
    "NotebookSummary",
    "Notebooks",
    "Notice",
    "Open",
    "Opened",
    "Params",
    "RestartKernel",
    "RoomParams",
    "Save",
    "Saved",
    "ShutdownKernel",
    "StartKernel",
    "Status",
    "Stop",
    "Stopping",
]


class Notice(msgspec.Struct, kw_only=True, frozen=True):
    """Something that a person should know: an error's code and sentence, and its data."""

    code: str
    message: str
    data: dict[str, Any] = {}


class Opened(msgspec.Struct, kw_only=True, frozen=True):
    """An open notebook."""

    document: str
    runtime: str
    path: str | None
    created: bool
    kernel: KernelState
    notices: list[Notice] = []
    """What is not as it should be with its file or its history."""


class Open(Params, kw_only=True, frozen=True):
    """Open the notebook at `path` (made if absent and `create`), or one known by `document`.

    Where one is made, its folder must be there; a known notebook is opened without its folder.
    A file that would remove most of a known notebook, or that is no notebook, is not taken: by
    `path` that is an error, by `document` the notebook is opened without its file and says so in
    `notices`. `accept_file` takes the file whatever it removes.
    """

    method: ClassVar[str] = "open"
    result: ClassVar[type[Any]] = Opened
    is_repeatable: ClassVar[bool] = True

    path: str | None = None
    document: str | None = None
    create: bool = True
    accept_file: bool = False


class Create(Params, kw_only=True, frozen=True):
    """A new notebook: at `path`, where nothing may be yet, or untitled (no file) without one."""

    method: ClassVar[str] = "create"
    result: ClassVar[type[Any]] = Opened

    path: str | None = None


class NotebookSummary(msgspec.Struct, kw_only=True, frozen=True):
    """One line of a list of notebooks."""

    document: str
    runtime: str
    path: str | None
    peers: int
    cells: int
    kernel: KernelState
    queued: int
    saved: bool
    notices: list[Notice] = []


class Notebooks(msgspec.Struct, kw_only=True, frozen=True):
    """The open notebooks."""

    notebooks: list[NotebookSummary]


class List(Params, kw_only=True, frozen=True):
    """The notebooks that are open now."""

    method: ClassVar[str] = "list"
    result: ClassVar[type[Any]] = Notebooks
    is_repeatable: ClassVar[bool] = True


class KnownNotebook(msgspec.Struct, kw_only=True, frozen=True):
    """A notebook that the daemon keeps."""

    document: str
    path: str | None
    """Where its file is, or was before somebody removed it; None without a file."""
    is_open: bool


class KnownNotebooks(msgspec.Struct, kw_only=True, frozen=True):
    """The notebooks that the daemon keeps, the oldest first."""

    notebooks: list[KnownNotebook]


class ListKnown(Params, kw_only=True, frozen=True):
    """Every notebook that was ever opened here, with those whose file was removed."""

    method: ClassVar[str] = "list_known"
    result: ClassVar[type[Any]] = KnownNotebooks
    is_repeatable: ClassVar[bool] = True


class Closed(msgspec.Struct, kw_only=True, frozen=True):
    """The notebook is closed: saved, its kernel shut down, its room ended."""

    document: str


class Close(RoomParams, kw_only=True, frozen=True):
    """Save the notebook, shut its kernel down and end its room."""

    method: ClassVar[str] = "close"
    result: ClassVar[type[Any]] = Closed


class Saved(msgspec.Struct, kw_only=True, frozen=True):
    """What the file holds now. `changed` is False when its bytes were right already."""

    path: str
    heads: str
    sha256: str
    changed: bool


class Save(RoomParams, kw_only=True, frozen=True):
    """Write the notebook to its file, or to `path` (which becomes its file)."""

    method: ClassVar[str] = "save"
    result: ClassVar[type[Any]] = Saved
    is_repeatable: ClassVar[bool] = True

    path: str | None = None


class DaemonStatus(msgspec.Struct, kw_only=True, frozen=True):
    """The daemon as it is now."""

    pid: int
    version: str
    home: str
    socket: str
    http: str | None
    started_s: float
    notebooks: int
    peers: int
    kernels: int
    notices: list[str] = []
    """What is not as it should be: a store that cannot be written, damage that was found."""


class Status(Params, kw_only=True, frozen=True):
    """Who are you, and how are you?"""

    method: ClassVar[str] = "status"
    result: ClassVar[type[Any]] = DaemonStatus
    is_repeatable: ClassVar[bool] = True


class Stopping(msgspec.Struct, kw_only=True, frozen=True):
    """The daemon has saved what it could, and ends."""

    pid: int
    unsaved: list[Notice] = []
    """Why a notebook was not saved to its file; `data["path"]`. What is in it is in the store."""


class Stop(Params, kw_only=True, frozen=True):
    """End the daemon: save, shut kernels down, exit."""

    method: ClassVar[str] = "stop"
    result: ClassVar[type[Any]] = Stopping


METHODS: dict[str, type[Params]] = {
    declared.method: declared
    for declared in (
        Open,
        Create,
        List,
        ListKnown,
        Close,
        Save,
        Execute,
        ExecuteAll,
        GetExecution,
        Cancel,
        AnswerInput,
        Interrupt,
        ListKernels,
        StartKernel,
        RestartKernel,
        ShutdownKernel,
        Complete,
        Inspect,
        IsComplete,
        KernelHistory,
        CommOpen,
        CommMessage,
        CommClose,
        Status,
        Stop,
    )
}
