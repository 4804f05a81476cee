"""A daemon in the test's own process, on a real Unix socket, with rooms that follow scripts."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect, unix_connect

from headway.core.room.effects import Answer, Effect, Persist, Send, UpdateStored
from headway.core.room.inputs import Input, PersistFailed, Received, Requested
from headway.core.wire import commands, rpc
from headway.core.wire.codec import encode
from headway.core.wire.messages import Ack, Join, Joined, Kind, Update, UpdateStatus
from headway.daemon.host import OpenedRoom
from headway.daemon.ports import Outside
from headway.daemon.server import bind_tcp, bind_unix
from headway.daemon.service import Service
from headway.edges.clock import SystemClock
from headway.edges.memory import MemoryBlobs, MemoryFiles, MemoryStore
from headway.edges.memory_environments import MemoryEnvironments
from headway.edges.memory_kernels import MemoryKernels
from headway.edges.memory_watch import MemoryWatching
from headway.edges.ports import FileContent, StoredNotebook
from headway.errors import HeadwayError
from headway.ids import Entropy
from headway.moments import Moment

T = TypeVar("T")

LIMIT_S = 20.0
"""No test of a daemon waits longer than this."""

TOKEN = "t" * 43
KERNEL = rpc.KernelState(name=None, status="absent", incarnation=0)

Script = Callable[["FakeRoom", Input], list[Effect]]


def obliging(room: FakeRoom, event: Input) -> list[Effect]:
    """Lets peers in, acknowledges updates once durable order allows, answers simple requests."""
    match event:
        case Received(peer, Join(kind, name, _, _)):
            return [Send(peer, (encode(Joined(kind, name, "write", b"")),))]
        case Received(peer, Update(kind, name, updates, batch_id)):
            records = tuple(UpdateStored(room.document, update) for update in updates)
            ack = encode(Ack(kind, name, batch_id, UpdateStatus.OK))
            return [Persist(room.next_token(), records), Send(peer, (ack,))]
        case Requested(token, _, rpc.Save()):
            saved = rpc.Saved(path=room.path or "", heads="", sha256="", changed=False)
            return [Answer(token, saved)]
        case Requested(token, _, rpc.ShutdownKernel()):
            return [Answer(token, KERNEL)]
        case Requested(token, _, rpc.Interrupt()):
            return [Answer(token, rpc.Interrupted(cancelled=0, interrupted=False))]
        case _:
            return []


def reserved(room: FakeRoom, event: Input) -> list[Effect]:
    """Does what the daemon itself asks, and answers nobody else."""
    return obliging(room, event) if isinstance(event, Requested) and event.peer is None else []


@dataclass
class FakeRoom:
    """A room that follows a script and remembers what it was told."""

    document: str
    path: str | None = None
    script: Script = obliging
    is_idle: bool = True
    deadline_s: float | None = None
    inputs: list[Input] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: int = 0
    failure: HeadwayError | None = None

    @property
    def runtime(self) -> str:
        return self.document.replace("nb-", "rt-")

    def handle(self, event: Input, now: Moment) -> list[Effect]:
        self.inputs.append(event)
        self.heard.set()
        if isinstance(event, PersistFailed):
            self.failure = event.error
        return self.script(self, event)

    def next_deadline(self) -> float | None:
        return self.deadline_s

    def summary(self) -> rpc.NotebookSummary:
        return rpc.NotebookSummary(
            document=self.document,
            runtime=self.runtime,
            path=self.path,
            peers=0,
            cells=0,
            kernel=KERNEL,
            queued=0,
            saved=True,
        )

    def next_token(self) -> int:
        self.tokens += 1
        return self.tokens

    def seen(self, kind: type[T]) -> list[T]:
        return [event for event in self.inputs if isinstance(event, kind)]

    async def until(self, condition: Callable[[FakeRoom], bool]) -> None:
        """Return once the condition holds; looked at after every input."""
        while not condition(self):
            self.heard.clear()
            await self.heard.wait()


class World:
    """A service, its ports, and the rooms it made."""

    def __init__(self, script: Script = obliging) -> None:
        self.script = script
        self.store = MemoryStore()
        self.blobs = MemoryBlobs()
        self.files = MemoryFiles()
        self.watching = MemoryWatching()
        self.kernels = MemoryKernels()
        self.environments = MemoryEnvironments()
        self.rooms: dict[str, FakeRoom] = {}
        self.opened: list[str] = []
        self.first: Sequence[Effect] = ()
        self.opening: Callable[[StoredNotebook, FileContent | None], None]
        self.opening = lambda stored, file: None
        self.folder: Path
        self.service: Service
        self.tcp: socket.socket | None = None

    @property
    def outside(self) -> Outside:
        return Outside(
            store=self.store,
            blobs=self.blobs,
            files=self.files,
            watching=self.watching,
            kernels=self.kernels,
            environments=self.environments,
            clock=SystemClock(),
            entropy=os.urandom,
        )

    @property
    def socket_path(self) -> Path:
        return self.folder / "daemon.sock"

    @property
    def port(self) -> int:
        assert self.tcp is not None
        return int(self.tcp.getsockname()[1])

    def open_room(
        self, stored: StoredNotebook, file: FileContent | None, entropy: Entropy, now: Moment
    ) -> OpenedRoom:
        """Runs in a thread, as the real one does."""
        self.opening(stored, file)
        self.opened.append(stored.document)
        room = FakeRoom(stored.document, stored.path, self.script)
        self.rooms[stored.document] = room
        return OpenedRoom(room, self.first)

    async def known(self, document: str = "nb-1", path: str | None = None) -> str:
        """A notebook that the store has."""
        await self.store.create(document, path)
        return document

    def dial(self, query: str = "?name=ada&kind=test") -> connect:
        return unix_connect(
            str(self.socket_path), f"ws://localhost/sync{query}", compression=None, max_size=None
        )

    async def post(
        self, method: str, body: bytes = b"{}", headers: dict[str, str] | None = None
    ) -> Reply:
        return await self.http("POST", f"/api/v1/{method}", body, headers)

    async def http(
        self,
        verb: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        tcp: bool = False,
    ) -> Reply:
        if tcp:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        else:
            reader, writer = await asyncio.open_unix_connection(str(self.socket_path))
        return await exchange(reader, writer, verb, target, body, headers or {})


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    verb: str,
    target: str,
    body: bytes,
    headers: dict[str, str],
) -> Reply:
    """One HTTP/1.1 request on a connection of its own."""
    sent = {"host": "localhost", "connection": "close", "content-length": str(len(body))}
    sent.update(headers)
    lines = [f"{verb} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    first, *fields = head.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in fields)
    received = {name.lower(): value for name, value in pairs}
    return Reply(int(first.split()[1]), received, rest)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def running(
    script: Script = obliging, *, tcp: bool = False, world: World | None = None, **options: Any
) -> AsyncIterator[World]:
    """A service that listens, bounded in time; stopped at the end."""
    world = world or World(script)
    with short_folder() as folder:
        world.folder = folder
        unix = bind_unix(world.socket_path)
        world.tcp = bind_tcp("127.0.0.1:0") if tcp else None
        world.service = Service(
            world.outside,
            world.open_room,
            home=folder,
            unix=unix,
            tcp=world.tcp,
            token=TOKEN if tcp else "",
            **options,
        )
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(world.service.run())
            await world.service.ready.wait()
            try:
                yield world
            finally:
                world.service.stop()


async def call(
    peer: ClientConnection, params: rpc.Params, identity: int = 1
) -> commands.Response | commands.ErrorResponse:
    """A command on the sync socket; frames that are no answer are passed over."""
    await peer.send(commands.encode_request(identity, params))
    return await answer(peer)


async def answer(peer: ClientConnection) -> commands.Response | commands.ErrorResponse:
    """The next answer to a command."""
    while True:
        frame = await peer.recv()
        if isinstance(frame, bytes) and frame.startswith(commands.RPC_MAGIC):
            decoded = commands.decode(frame)
            assert isinstance(decoded, commands.Response | commands.ErrorResponse)
            return decoded


def join(room: str = "nb-1", kind: Kind = Kind.DOCUMENT) -> bytes:
    return encode(Join(kind, room, b"", b""))


def update(room: str = "nb-1", number: int = 1, content: bytes = b"edit") -> bytes:
    return encode(Update(Kind.DOCUMENT, room, (content,), number.to_bytes(8, "big")))
