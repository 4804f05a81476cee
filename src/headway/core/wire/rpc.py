"""The commands, declared once: parameters and results of every method.

Floor 1. Served as JSON-RPC 2.0 in frames on the sync socket and as POST /api/v1/METHOD.
Heads travel as standard base64 (`ids.heads_to_text`). Times are seconds since 1970, UTC.
A request that reads a document carries `required_heads`; the daemon answers only from a copy
that contains them, or refuses with HEADS_TIMEOUT.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from headway.core.wire.comm_commands import CommClose, CommMessage, CommOpen, CommSent
from headway.core.wire.declaring import (
    MAX_REQUEST_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    Params,
    RoomParams,
)

__all__ = [
    "MAX_HISTORY_INPUTS",
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
    "List",
    "ListKernels",
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

MAX_HISTORY_INPUTS = 10_000
"""The most inputs of a kernel's history that one request may ask for."""


class KernelEnvironment(msgspec.Struct, kw_only=True, frozen=True):
    """The environment that a kernel runs in."""

    path: str
    """Its folder, where the daemon runs."""
    source: Literal["path", "notebook"]
    """Whether somebody named it by its path, or the notebook declares what is in it."""


class KernelState(msgspec.Struct, kw_only=True, frozen=True):
    """A notebook's kernel as it is now."""

    name: str | None
    status: str
    incarnation: int
    reason: str | None = None
    language: str | None = None
    environment: KernelEnvironment | None = None
    """None: that of its kernelspec."""
    progress: str | None = None
    """What goes on while it starts, in a line."""


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

    A file that would remove most of a known notebook, or that is no notebook, is not taken: by
    `path` that is an error, by `document` the notebook is opened without its file and says so in
    `notices`. `accept_file` takes the file whatever it removes.
    """

    method: ClassVar[str] = "open"
    result: ClassVar[type[Any]] = Opened

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

    path: str | None = None


class Accepted(msgspec.Struct, kw_only=True, frozen=True):
    """The execution is durable and will end in exactly one terminal status.

    `execution_id` differs from the one asked for when the same source of the same cell was
    queued already: then that execution answers for both.
    """

    execution_id: str
    cell_id: str
    source_sha256: str
    heads: str


class Execute(RoomParams, kw_only=True, frozen=True):
    """Run a cell. An id is accepted once; a repeat gets the first answer again."""

    method: ClassVar[str] = "execute"
    result: ClassVar[type[Any]] = Accepted

    cell_id: str
    execution_id: str
    source: Literal["confirmed", "latest"] = "confirmed"
    """`confirmed`: as it stood at `required_heads`; `latest`: as the daemon has it."""
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""
    allow_stdin: bool = False
    """Whether somebody may answer when it asks for input. If not, asking fails at once."""


class AcceptedAll(msgspec.Struct, kw_only=True, frozen=True):
    """The executions of one admission, in order."""

    batch_id: str
    executions: list[Accepted]


class ExecuteAll(RoomParams, kw_only=True, frozen=True):
    """Run the code cells (all, or `cells` in that order) as one admission: all or none.

    The execution ids follow from `batch_id` and the cell ids, so a repeat runs nothing twice.
    """

    method: ClassVar[str] = "execute_all"
    result: ClassVar[type[Any]] = AcceptedAll

    batch_id: str
    cells: list[str] | None = None
    allow_errors: bool = False
    restart: bool = False
    """On a fresh kernel: what ran or waited ends, in the same admission."""
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""
    source: Literal["confirmed", "latest"] = "confirmed"
    allow_stdin: bool = False
    """As of `Execute`, for each cell."""


class ExecutionOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """An execution as it stands: its record, with outputs as in the runtime document."""

    execution_id: str
    document: str
    record: dict[str, Any]


class GetExecution(RoomParams, kw_only=True, frozen=True):
    """An execution by id; with `wait`, only once it is terminal.

    `document` may be empty: the id alone is enough.
    """

    method: ClassVar[str] = "get_execution"
    result: ClassVar[type[Any]] = ExecutionOutcome

    document: str = ""
    execution_id: str
    wait: bool = False


class Cancelled(msgspec.Struct, kw_only=True, frozen=True):
    """`cancelled` is False when it was terminal already; a running one is interrupted."""

    execution_id: str
    cancelled: bool


class Cancel(RoomParams, kw_only=True, frozen=True):
    """End one execution: a queued one never runs, a running one is interrupted."""

    method: ClassVar[str] = "cancel"
    result: ClassVar[type[Any]] = Cancelled

    execution_id: str


class InputAnswered(msgspec.Struct, kw_only=True, frozen=True):
    """The kernel was given the answer."""

    execution_id: str
    prompt_id: str


class AnswerInput(RoomParams, kw_only=True, frozen=True):
    """Answer what an execution asks (its record's `prompt`); of several answers the first counts.

    Refused with INPUT_NOT_AWAITED when that prompt was answered, or is awaited no more.
    """

    method: ClassVar[str] = "answer_input"
    result: ClassVar[type[Any]] = InputAnswered

    execution_id: str
    prompt_id: str
    value: str
    """One line, without its end. It may be empty. Of a password nothing is kept."""


class Interrupted(msgspec.Struct, kw_only=True, frozen=True):
    """How many executions the interrupt ended, and whether one, or a widget's callback, ran."""

    cancelled: int
    interrupted: bool


class Interrupt(RoomParams, kw_only=True, frozen=True):
    """End every execution admitted before this request, and none admitted after."""

    method: ClassVar[str] = "interrupt"
    result: ClassVar[type[Any]] = Interrupted


class InstalledKernel(msgspec.Struct, kw_only=True, frozen=True):
    """A kernelspec."""

    name: str
    display_name: str
    language: str


class InstalledKernels(msgspec.Struct, kw_only=True, frozen=True):
    """The kernels that can be started; the default one first, then by name."""

    kernels: list[InstalledKernel]


class ListKernels(Params, kw_only=True, frozen=True):
    """The kernels that are installed where the daemon runs."""

    method: ClassVar[str] = "list_kernels"
    result: ClassVar[type[Any]] = InstalledKernels


class StartKernel(RoomParams, kw_only=True, frozen=True):
    """Start the kernel (`name`, or the notebook's own); running already is success.

    With `environment` it runs in the one at that absolute path. With neither it runs in the
    environment that the notebook declares, if it declares one.
    """

    method: ClassVar[str] = "start_kernel"
    result: ClassVar[type[Any]] = KernelState

    name: str | None = None
    environment: str | None = None
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""


class RestartKernel(RoomParams, kw_only=True, frozen=True):
    """A fresh kernel in place of this one; what ran or waited ends.

    It is chosen as by `start_kernel`; with neither name nor environment as the present one was.
    """

    method: ClassVar[str] = "restart_kernel"
    result: ClassVar[type[Any]] = KernelState

    name: str | None = None
    environment: str | None = None
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""


class ShutdownKernel(RoomParams, kw_only=True, frozen=True):
    """End the kernel; what ran or waited ends."""

    method: ClassVar[str] = "shutdown_kernel"
    result: ClassVar[type[Any]] = KernelState


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

    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_HISTORY_INPUTS)] = 100
    pattern: str | None = None
    session: int | None = None
    unique: bool = False
    """Of equal inputs that fit a pattern only the last."""
    output: bool = False
    """With the outputs that the kernel keeps, which is few of them."""


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


class Stopping(msgspec.Struct, kw_only=True, frozen=True):
    """The daemon saves everything and ends."""

    pid: int


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
