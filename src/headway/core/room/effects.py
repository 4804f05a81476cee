"""Everything a room can ask for, as frozen values, in one ordered list per input.

Floor 3. The order is the promise: an effect is begun only after those before it. None is awaited
by the room; what takes time answers later as an input with the same token or incarnation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from headway.core.document.dependencies import Dependencies, Installation
from headway.errors import HeadwayError
from headway.ids import DocumentId, ExecutionId

__all__ = [
    "Answer",
    "AskKernel",
    "Close",
    "CommInfoRequest",
    "CommRequest",
    "Compact",
    "CompleteRequest",
    "Effect",
    "Environment",
    "ExecuteRequest",
    "ExecutionAccepted",
    "ExecutionFinished",
    "FileIntended",
    "FileRecorded",
    "FolderEnvironment",
    "HistoryRequest",
    "InputReply",
    "InspectRequest",
    "InterruptKernel",
    "IsCompleteRequest",
    "KernelEffect",
    "KernelRequest",
    "LookAtEnvironment",
    "NotebookEnvironment",
    "OtherEffect",
    "Persist",
    "Question",
    "ReadFile",
    "Record",
    "Refuse",
    "RuntimeReplaced",
    "Send",
    "ShellRequest",
    "StartKernel",
    "StopKernel",
    "StoreBlob",
    "UpdateStored",
    "WriteFile",
]


@dataclass(frozen=True, slots=True)
class Send:
    """Put these frames on a peer's outbox, in order. A full outbox ends that connection."""

    peer: int
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """End a peer's connection with a WebSocket close code and reason."""

    peer: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class UpdateStored:
    """An update of a document, as the daemon itself exported it."""

    document: DocumentId
    update: bytes


@dataclass(frozen=True, slots=True)
class RuntimeReplaced:
    """`runtime` begins with `snapshot` and takes the place of the notebook's earlier one."""

    notebook: DocumentId
    runtime: DocumentId
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class ExecutionAccepted:
    """An execution id is taken. `runs_as` names the execution that answers for it."""

    notebook: DocumentId
    execution_id: ExecutionId
    runs_as: ExecutionId
    cell_id: str
    source_sha256: str
    admission: bytes = b""
    """Its record as it was admitted, as JSON: the runtime document may have that a moment later.
    Kept until it has ended; empty where it runs as another one, and in older stores."""


@dataclass(frozen=True, slots=True)
class ExecutionFinished:
    """An execution's terminal record, outputs included, as JSON."""

    notebook: DocumentId
    execution_id: ExecutionId
    record: bytes


@dataclass(frozen=True, slots=True)
class FileRecorded:
    """The notebook's file holds the bytes of this SHA-256: the base of the next three-way merge.

    `content` is their image (`core.document.file_image`): all of them but the bulk of outputs.
    """

    notebook: DocumentId
    path: str
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class FileIntended:
    """The notebook's file is about to hold the bytes of this image: recorded before they do.

    A daemon that ends between the file and its `FileRecorded` knows its own write by this, and
    does not take it for another program's. The next `FileRecorded` makes an end of it.
    """

    notebook: DocumentId
    sha256: str
    content: bytes


Record = (
    UpdateStored
    | RuntimeReplaced
    | ExecutionAccepted
    | ExecutionFinished
    | FileIntended
    | FileRecorded
)


@dataclass(frozen=True, slots=True)
class Persist:
    """Make these records durable, all or none, after every earlier one.

    Answered by `Persisted` or `PersistFailed`.
    """

    token: int
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class StoreBlob:
    """Make a blob durable before any later `Persist` is."""

    sha256: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Compact:
    """Replace everything stored of a document by `snapshot`, which holds all of it and no more.

    Asked for when every earlier `Persist` is durable, and begun before any later one: not
    answered, since nothing waits for it.
    """

    document: DocumentId
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request."""

    token: int
    result: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Refuse:
    """The error that answers a request."""

    token: int
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class FolderEnvironment:
    """An environment that is somewhere on the machine, by its absolute path."""

    path: str


@dataclass(frozen=True, slots=True)
class NotebookEnvironment:
    """The environment that holds what a notebook declares; it has a place of its own."""

    dependencies: Dependencies


Environment = FolderEnvironment | NotebookEnvironment
"""Where a kernel runs, when that is not where its kernelspec says."""


@dataclass(frozen=True, slots=True)
class LookAtEnvironment:
    """Find out whether a kernel can run there, and which one. Answered by `EnvironmentSeen`."""

    environment: Environment | None
    """None: where Jupyter has its kernelspecs."""


@dataclass(frozen=True, slots=True)
class StartKernel:
    """Start a kernel. Answered by `KernelReady` or `KernelFailed`; `KernelProgress` may come."""

    incarnation: int
    name: str | None
    """A kernelspec's name; None for the default."""
    language: str | None
    """The notebook's language, to choose by when there is no name."""
    environment: Environment | None = None
    """Where it runs."""
    installation: Installation | None = None
    """What somebody consented to have installed there first; None: nothing is installed."""


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """execute_request with msg_id `execution_id`."""

    execution_id: ExecutionId
    code: str
    allow_stdin: bool = False
    """Whether it may ask for input; otherwise the kernel refuses that at once."""


@dataclass(frozen=True, slots=True)
class InputReply:
    """input_reply: the line of text that the execution asked for. Sent once for each request."""

    execution_id: ExecutionId
    value: str = field(repr=False)
    """It may be a password, so it is shown nowhere."""


@dataclass(frozen=True, slots=True)
class CompleteRequest:
    """complete_request with msg_id `request_id`; `cursor` in code points."""

    request_id: str
    code: str
    cursor: int


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """inspect_request with msg_id `request_id`; `cursor` in code points."""

    request_id: str
    code: str
    cursor: int
    detail: int


@dataclass(frozen=True, slots=True)
class CommRequest:
    """A comm's message with msg_id `request_id`. `target_name` is for one that opens a comm."""

    request_id: str
    kind: Literal["comm_open", "comm_msg", "comm_close"]
    comm_id: str
    data: dict[str, Any]
    target_name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CommInfoRequest:
    """comm_info_request with msg_id `request_id`."""

    request_id: str


@dataclass(frozen=True, slots=True)
class IsCompleteRequest:
    """is_complete_request with msg_id `request_id`."""

    request_id: str
    code: str


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """history_request with msg_id `request_id`; see `jupyter.history_request`."""

    request_id: str
    n: int
    pattern: str | None
    session: int | None
    unique: bool
    output: bool


Question = CompleteRequest | InspectRequest | IsCompleteRequest | HistoryRequest
"""A request that runs nothing and is answered by a `QuestionReply`."""

ShellRequest = ExecuteRequest | Question | CommRequest | CommInfoRequest
"""What is answered under its own id."""

KernelRequest = ShellRequest | InputReply


@dataclass(frozen=True, slots=True)
class AskKernel:
    """Send a request to the kernel."""

    incarnation: int
    request: KernelRequest


@dataclass(frozen=True, slots=True)
class InterruptKernel:
    """Interrupt what the kernel runs, if it still runs that."""

    incarnation: int
    execution_id: ExecutionId | None
    """None: whatever it does, such as a widget's callback."""


@dataclass(frozen=True, slots=True)
class StopKernel:
    """End the kernel: ask, TERM, KILL. Answered by `KernelStopped`, once it is gone.

    Nothing else follows for this incarnation.
    """

    incarnation: int


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write the notebook to `path`, whole or not at all, if the file still is what we know.

    `notebook` is nbformat JSON with blobs still to be put in (`file_writing`).
    `expected_sha256` is of the bytes we last wrote or read there; None when there must be no
    file. A file that is neither is left alone and answered with FileChanged. Before the file is
    touched, the image of its new bytes is durable as a `FileIntended`.
    """

    token: int
    path: str
    notebook: dict[str, Any]
    expected_sha256: str | None
    like: bytes | None = None
    """The image of the bytes that the file held last, here or where it was before: their form is
    kept, and what only they know."""
    is_awaited: bool = True
    """Whether somebody asked for it and waits; else it may take its turn among others."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Read the notebook's file. Answered by `FileSeen` or `FileUnseen`.

    When its bytes are those of `known_sha256`, nothing but that is read. Never under way at the
    same time as a `WriteFile`, so what it finds is not older than what was written last.
    """

    token: int
    path: str
    known_sha256: str | None = None


KernelEffect = LookAtEnvironment | StartKernel | AskKernel | InterruptKernel | StopKernel

OtherEffect = Send | Close | Persist | StoreBlob | Compact | Answer | Refuse | WriteFile | ReadFile

Effect = KernelEffect | OtherEffect
