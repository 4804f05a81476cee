"""The ports: what the daemon needs of the outside world, one protocol per outside thing.

Floor 4. Each has an in-memory implementation (`memory`), a real one in a file of its own, and
one conformance suite (`tests/edges`) that both must pass. Foreign exceptions end at the port:
what comes out is of the tree in `headway.errors`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from headway.core.document.dependencies import Installation
from headway.core.document.file_image import named_sha256
from headway.core.kernel.events import KernelEvent, KernelInfo
from headway.core.room.effects import Environment, ExecutionAccepted, KernelRequest, Record
from headway.core.room.opening import LivingKernel
from headway.core.wire.rpc import KernelEnvironment
from headway.errors import NotebookUnreadable
from headway.ids import DocumentId, ExecutionId
from headway.moments import Moment

if TYPE_CHECKING:
    from headway.edges.kernelspecs import Kernelspecs

__all__ = [
    "AdoptableKernel",
    "AdoptedKernel",
    "Blobs",
    "Clock",
    "Environments",
    "FileContent",
    "FileState",
    "Files",
    "Kernel",
    "KernelOwner",
    "KernelSink",
    "Kernels",
    "KnownNotebook",
    "Store",
    "StoredExecution",
    "StoredNotebook",
    "Watch",
    "Watching",
    "known_files",
]


class Clock(Protocol):
    """The time."""

    def now(self) -> Moment:
        """This instant."""


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """An execution as the store has it. `record` is None while it is not terminal."""

    accepted: ExecutionAccepted
    record: bytes | None


@dataclass(frozen=True, slots=True)
class KnownNotebook:
    """A notebook that the store knows: its identity and where its file was."""

    document: DocumentId
    path: str | None


@dataclass(frozen=True, slots=True)
class StoredNotebook:
    """Everything stored of one notebook. `snapshot` is None when there are only updates."""

    document: DocumentId
    path: str | None
    file_sha256: str | None
    file_content: bytes | None
    """The image of the bytes last written to, or read from, the file: see `file_image`."""
    snapshot: bytes | None
    updates: tuple[bytes, ...]
    runtime: DocumentId | None
    runtime_snapshot: bytes | None
    runtime_updates: tuple[bytes, ...]
    intended_content: bytes | None = None
    """The image of what the file was about to hold when the store was last written."""
    unfinished: tuple[ExecutionAccepted, ...] = field(default=())
    """Accepted and not terminal when the store was last written."""
    kernel: LivingKernel | None = None
    """Its kernel, if one outlived an earlier daemon. Never from the store: whoever opens the
    notebook puts it here."""
    taken: Mapping[ExecutionId, ExecutionId] = field(default_factory=dict)
    """Every execution id accepted for it and not forgotten, and the execution that answers."""
    horizon_ms: int = 0
    """Ids minted up to then, in milliseconds since 1970, may have been accepted and forgotten."""
    notices: tuple[str, ...] = ()
    """What was found damaged of it, a sentence each."""


def known_files(stored: StoredNotebook) -> tuple[str, ...]:
    """The SHA-256 of each file whose image is stored: such a file need not be read again."""
    images = (stored.file_content, stored.intended_content)
    return tuple(named_sha256(image) for image in images if image is not None)


class Store(Protocol):
    """Durable state. Nothing it has confirmed is lost by a crash of this process."""

    def append(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Append records, all or none, after everything appended before; never blocks.

        The future is done once they are on the disk (one fsync may serve many appends), or
        fails with StoreFailed; after a failure every later append fails too.
        """

    @property
    def backlog_bytes(self) -> int:
        """Bytes appended and not yet durable."""

    async def create(self, document: DocumentId, path: str | None) -> None:
        """Note a new notebook; durable on return. A path belongs to one notebook at a time."""

    async def load(self, document: DocumentId) -> StoredNotebook | None:
        """Everything sound of one notebook, or None.

        What is damaged is put aside for good, with what builds on it, and told in `notices`.
        Raises StoreDamaged when nothing of its history is left; its path is free then, because
        its file must become a notebook of its own: nobody's copy of this one may merge with it.
        """

    async def find_path(self, path: str) -> DocumentId | None:
        """The notebook whose file is at `path` (absolute, resolved)."""

    async def set_path(self, document: DocumentId, path: str | None) -> None:
        """The notebook's file is there now; durable on return."""

    async def find_execution(
        self, execution_id: ExecutionId, notebook: DocumentId | None = None
    ) -> StoredExecution | None:
        """An execution of a notebook by id; of whichever accepted it last, if None."""

    async def known(self) -> list[KnownNotebook]:
        """Every notebook of the store."""

    async def find_runtime(self, runtime: DocumentId) -> DocumentId | None:
        """The notebook whose current runtime document this is."""

    def compact(self, document: DocumentId, snapshot: bytes) -> asyncio.Future[None]:
        """Replace what was appended of a document before this call by a full snapshot of it.

        The snapshot must contain every update whose append is durable or under way. It has its
        place among the appends: queued by this call, never blocks, and one transaction, so that
        a crash finds all of the tail or all of the snapshot. Ignored for a runtime document that
        was replaced meanwhile. The future is as that of `append`.
        """

    async def tidy(self) -> int:
        """Forget what is older than the rules of `store_upkeep` keep, and give space back.

        Takes turns with what is appended meanwhile. Gives how many executions were forgotten.
        """

    async def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        """Those of `blobs` that anything stored may refer to, by now or in any past state.

        Rather too many than too few. Raises StoreError when not everything could be read.
        """

    def notices(self) -> tuple[str, ...]:
        """What a person should know about the store now, a sentence each; often nothing."""

    async def close(self) -> None:
        """Make everything appended durable and let go of the files."""


class Blobs(Protocol):
    """Content-addressed bytes."""

    async def put(self, sha256: str, data: bytes) -> None:
        """Store `data`; durable on return. Putting the same again is a no-op."""

    def put_now(self, sha256: str, data: bytes) -> None:
        """`put` for a thread that may block."""

    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None. A blob whose bytes do not match its name is None."""

    def get_now(self, sha256: str) -> bytes | None:
        """`get` for a thread that may block."""

    async def size(self, sha256: str) -> int | None:
        """The length in bytes, or None."""

    async def unused_since(self, before_s: float) -> frozenset[str]:
        """The blobs last put before that time (seconds since 1970), and not by this process."""

    async def remove(self, blobs: Collection[str], before_s: float) -> int:
        """Remove those of `blobs` that `unused_since(before_s)` would still give.

        One that is put at the same time stays. Gives how many were removed.
        """


@dataclass(frozen=True, slots=True)
class FileContent:
    """What is in a notebook's file, for those who take it in."""

    content: bytes | None
    """Its image (`core.document.file_image`), its blobs stored; None for what was known already,
    and for what is no notebook."""
    sha256: str
    unreadable: NotebookUnreadable | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file holds now, by its SHA-256, and whether that was changed."""

    sha256: str
    changed: bool


class Files(Protocol):
    """Notebook files on the user's disk. Their bytes are never held as a whole."""

    async def read(self, path: str, take: Callable[[bytes], None]) -> str | None:
        """Give the file's bytes to `take`, in order, in another thread; and their SHA-256.

        None if there is no file; NotebookUnreadable if it cannot be read. What `take` raises
        ends the reading and comes through.
        """

    async def check_folder(self, path: str) -> None:
        """Raise FolderNotFound when the folder is not there that a file at `path` would be in."""

    async def replace(
        self,
        path: str,
        content: Iterable[bytes],
        expected_sha256: str | None,
        ready: Callable[[str], Awaitable[bool]],
    ) -> FileState:
        """Make the file hold `content`, whole or not at all, durable on return.

        `content` is taken piece by piece in another thread; what it raises comes through, and
        nothing is touched then. `ready` is asked with its SHA-256 before the file is touched; at
        False nothing is. Nor is it when its bytes are `content` already. Raises FileChanged when
        the bytes there are neither `content` nor those of `expected_sha256` (None: there must be
        no file), FileNotWritable when the folder or disk refuses.
        """


class Watch(Protocol):
    """One file that is watched."""

    def close(self) -> None:
        """Tell no more. Idempotent."""


class Watching(Protocol):
    """Who tells when something happens to a file."""

    def watch(self, path: str, touched: Callable[[], None]) -> Watch:
        """Call `touched` soon after something happened to `path`, and once when that begins.

        `path` is absolute and resolved; neither it nor its folder need be there. Called on the
        event loop, never from within this call. A hint: it may come late, for nothing, or once
        for many; where the system gives no notices it may not come.
        """

    async def close(self) -> None:
        """Tell nobody anything any more."""


KernelSink = Callable[[tuple[KernelEvent, ...]], None]
"""Takes the events of one kernel, in order. Called on the event loop; must not block."""


class Kernel(Protocol):
    """One running kernel process."""

    name: str
    display_name: str
    """What its kernelspec calls it."""
    environment: KernelEnvironment | None
    """As it was started."""
    info: KernelInfo

    def ask(self, request: KernelRequest) -> None:
        """Send a request; never blocks."""

    def hear_anew(self, events: KernelSink, ended: Callable[[str], None]) -> ExecutionId | None:
        """Have somebody else hear it, who does not know what it said until now.

        Gives the execution that it was given last; what that did and does comes as events, as
        after `Kernels.adopt`. Raises KernelDied, with the reason, when it has ended.
        """

    def hold(self, *, holds: bool) -> None:
        """Give no more events until told otherwise; they wait, in order."""

    async def interrupt(self, execution_id: ExecutionId | None = None) -> None:
        """Interrupt what runs, as its kernelspec says (signal or message).

        With `execution_id` only if that has not ended: what was asked after it goes on.
        """

    async def stop(self) -> None:
        """Ask it to end, then TERM, then KILL; its process is gone on return."""


@dataclass(frozen=True, slots=True)
class KernelOwner:
    """Whose kernel it is. A kernel with an owner outlives the daemon, for a while."""

    document: DocumentId
    incarnation: int


@dataclass(frozen=True, slots=True)
class AdoptableKernel:
    """A kernel that an earlier daemon left behind."""

    kernel_id: str
    """A name for it, of the port's choice."""
    owner: KernelOwner


@dataclass(frozen=True, slots=True)
class AdoptedKernel:
    """A kernel of an earlier daemon, taken up again."""

    kernel: Kernel
    asked: ExecutionId | None
    """The execution that it was given last, whatever became of it."""
    away_since_s: float
    """Since when nobody listened (wall clock). What it published until now is lost."""


class Environments(Protocol):
    """The environments that kernels can run in, besides those of their kernelspecs."""

    async def is_ready(self, environment: Environment) -> bool:
        """Whether a kernel can run there without anything that nobody has consented to.

        So also when what a notebook declares was there and is damaged: `prepare` makes it anew.
        Changes nothing. Raises EnvironmentNotFound when there is none at a path, and
        EnvironmentNotMade when what a notebook declares is not there and cannot be installed here
        at all.
        """

    async def prepare(
        self,
        environment: Environment,
        installation: Installation | None,
        progress: Callable[[str], None],
    ) -> str:
        """The folder of an environment in which a kernel can run.

        `installation` is installed first if it is still missing: all of it, or nothing that
        anybody would find. None: nothing is, but what was there before. `progress` takes a line
        whenever something goes on. Raises EnvironmentNotFound, EnvironmentNotMade. Cancelled, it
        leaves nothing behind.
        """

    async def repair(self, environment: Environment, progress: Callable[[str], None]) -> bool:
        """Make what a notebook declares anew if its Python does not start or has no ipykernel.

        To be called when a kernel did not start there. Gives whether it did, so that another
        start may succeed. An environment at a path is somebody else's, and left as it is. Raises
        EnvironmentNotMade.
        """


class Kernels(Protocol):
    """The kernels that can be started here."""

    def installed(self) -> Kernelspecs:
        """Those that can be started, and those whose kernelspecs cannot be used. Reads the disk."""

    async def start(
        self,
        name: str | None,
        language: str | None,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
        owner: KernelOwner | None = None,
        environment: KernelEnvironment | None = None,
    ) -> Kernel:
        """Start a kernel in `folder` and wait until it answers kernel_info.

        `name` None: the kernelspec of `language`, or the default one. With `environment` it is
        one of the kernels of that, which is ready (see `Environments`). `ended` is called once
        with the reason if the process ends and `Kernel.stop` was not called. Raises
        KernelNotFound or KernelStartFailed (with the tail of its stderr).
        """

    async def adoptable(self) -> tuple[AdoptableKernel, ...]:
        """The kernels with an owner that earlier daemons left behind.

        At most one for each document, that of the highest incarnation; what else was left
        behind is ended.
        """

    async def adopt(
        self, found: AdoptableKernel, events: KernelSink, ended: Callable[[str], None]
    ) -> AdoptedKernel:
        """Take a kernel up again; from here on it is as one that `start` gave.

        What the execution it was `asked` did and does comes as events: its outputs from now on,
        then its `ExecuteReply`, or `ReplyLost` when it ended meanwhile and nobody knows how, and
        `Idle`. A kernel that ended meanwhile calls `ended` soon. Raises KernelDied when there is
        nothing left of it.
        """

    async def close(self) -> None:
        """Stop every kernel that was started or adopted and not stopped."""
