"""A small durable server and a world around one session, without sockets or time of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import ExecutionRecord
from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.session import effects, inputs
from headway.core.session.opening import Target
from headway.core.session.session import Session
from headway.core.wire import codec, commands, fragments
from headway.core.wire.messages import (
    Ack,
    Join,
    Joined,
    Kind,
    Message,
    Permission,
    Update,
    UpdateStatus,
)
from headway.core.wire.rpc import KernelState, Opened, Params
from headway.errors import HeadwayError
from headway.ids import Entropy, peer_id
from headway.moments import Moment

NOTEBOOK = "nb-" + "0" * 32
RUNTIME = "rt-" + "0" * 32
KERNEL = KernelState(name="python3", status="idle", incarnation=1)


def seeded(seed: int) -> Entropy:
    return random.Random(seed).randbytes


@dataclass
class Server:
    """Replies as a daemon would; what it holds back, it holds back until told."""

    entropy: Entropy = field(default_factory=lambda: seeded(99))
    extra: bytes = b'{"headway":1,"ack":"durable"}'
    permission: Permission = "write"
    notebook: NotebookDocument = field(init=False)
    runtime: RuntimeDocument = field(init=False)
    runtime_id: str = RUNTIME
    held: list[Update] = field(default_factory=list)
    hold_updates: bool = False
    refuse_with: UpdateStatus | None = None
    requests: list[commands.Request] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    answers_open: bool = True
    refuse_open: HeadwayError | None = None
    document: str = NOTEBOOK

    def __post_init__(self) -> None:
        self.notebook = NotebookDocument(Replica(peer_id(self.entropy)))
        self.notebook.initialize(Moment(0, 0), "server")
        self.notebook.set_runtime(self.runtime_id, Moment(0, 0), "server")
        self.runtime = RuntimeDocument(Replica(peer_id(self.entropy)))
        self.runtime.set_kernel(KERNEL)
        self.runtime.commit(Moment(0, 0))
        self.assembler = fragments.Assembler()

    @property
    def opened(self) -> Opened:
        return Opened(
            document=self.document,
            runtime=self.runtime_id,
            path="/a.ipynb",
            created=False,
            kernel=KERNEL,
        )

    def receive(self, frame: bytes | str) -> list[bytes]:
        if isinstance(frame, str):
            return []
        if frame.startswith(commands.RPC_MAGIC):
            request = commands.decode(frame)
            assert isinstance(request, commands.Request)
            if request.params.method == "open" and self.refuse_open is not None:
                return [commands.encode_error(request.id, self.refuse_open)]
            if request.params.method == "open" and self.answers_open:
                return [commands.encode_result(request.id, self.opened)]
            self.requests.append(request)
            return []
        message = codec.decode(frame)
        assert not isinstance(message, codec.Unknown)
        return self.answer(message)

    def answer(self, message: Message) -> list[bytes]:
        match message:
            case Join(kind=Kind.PRESENCE):
                return [codec.encode(Joined(Kind.PRESENCE, message.room, "write", b""))]
            case Join():
                self.joins.append(message)
                return self.admit(message)
            case Update(kind=Kind.PRESENCE):
                return [
                    codec.encode(
                        Ack(Kind.PRESENCE, message.room, message.batch_id, UpdateStatus.OK)
                    )
                ]
            case Update() if self.hold_updates:
                self.held.append(message)
                return []
            case Update():
                return self.merge(message)
        return []

    def admit(self, message: Join) -> list[bytes]:
        replica = self.replica_of(message.room)
        theirs = Version.decode(message.version)
        permission: Permission = self.permission if message.room == self.document else "read"
        version = replica.version()
        frames = [
            codec.encode(
                Joined(Kind.DOCUMENT, message.room, permission, version.encode(), self.extra)
            )
        ]
        if not theirs.includes(version):
            frames += self.update_frames(message.room, replica.export(theirs))
        return frames

    def replica_of(self, room: str) -> Replica:
        return self.notebook.replica if room == self.document else self.runtime.replica

    def merge(self, message: Update) -> list[bytes]:
        status = self.refuse_with or UpdateStatus.OK
        if status is UpdateStatus.OK:
            for update in message.updates:
                self.notebook.replica.import_update(update)
        return [codec.encode(Ack(Kind.DOCUMENT, message.room, message.batch_id, status))]

    def release(self) -> list[bytes]:
        held, self.held = self.held, []
        return [frame for message in held for frame in self.merge(message)]

    def update_frames(self, room: str, update: bytes) -> list[bytes]:
        messages = fragments.split(Kind.DOCUMENT, room, update, self.entropy(8))
        return [codec.encode(message) for message in messages]

    def write(self, text: str) -> list[bytes]:
        """The server's own edit (another peer's, say), as frames for the session."""
        before = self.notebook.replica.version()
        identity = self.entropy(6).hex()
        self.notebook.apply((AddCell(identity, source=text),), Moment(0, 0), "other")
        return self.update_frames(NOTEBOOK, self.notebook.replica.export(before))

    def run(self, record: ExecutionRecord) -> list[bytes]:
        before = self.runtime.replica.version()
        self.runtime.add_execution(record)
        self.runtime.commit(Moment(0, 0))
        return self.update_frames(self.runtime_id, self.runtime.replica.export(before))


class World:
    """One session, one server, one clock; frames go to and fro until nothing is left to say."""

    def __init__(
        self, server: Server | None = None, *, commands: bool = True, seed: int = 1
    ) -> None:
        self.server = server or Server()
        self.now_s = 100.0
        self.session = Session(
            Target(path="/a.ipynb") if commands else Target(document=NOTEBOOK, commands=False),
            entropy=seeded(seed),
            presence_key="me",
        )
        self.seen: list[effects.Effect] = []
        self.to_server: list[bytes | str] = []
        self.connected = False
        self.reachable = True
        self._token = 0
        self._cells = seeded(seed + 1000)

    def status(self) -> str:
        return self.session.status

    def feed(self, happened: inputs.Input) -> list[effects.Effect]:
        fresh = self.session.handle(happened, Moment(self.now_s, self.now_s))
        self.seen += fresh
        for each in fresh:
            match each:
                case effects.Send(frames=frames):
                    assert self.connected, "nothing is sent without a connection"
                    self.to_server += frames
                case effects.Disconnect():
                    self.connected = False
        if any(isinstance(each, effects.Connect) for each in fresh) and self.reachable:
            self.connected = True
            self.to_server.clear()
            self.feed(inputs.Connected())
        if any(isinstance(each, effects.Disconnect) for each in fresh):
            self.to_server.clear()
            self.feed(inputs.Disconnected("closed here"))
        return fresh

    def settle(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(1000):
            if not self.to_server:
                return
            frame = self.to_server.pop(0)
            self.deliver(self.server.receive(frame))
        raise AssertionError("the world does not come to rest")

    def deliver(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.feed(inputs.Received(frame))

    def live(self) -> World:
        self.feed(inputs.Started())
        self.settle()
        assert self.status() == "live", self.status()
        return self

    def edit(self, source: str) -> str:
        identity = self._cells(6).hex()
        document = self.session.document
        with document.replica.lock:
            document.apply((AddCell(identity, source=source),), Moment(0, self.now_s), "me")
            self.session.note_commit()
        self.feed(inputs.Edited())
        return identity

    def confirm(self, timeout_s: float = 10.0) -> int:
        self._token += 1
        replica = self.session.document.replica
        self.feed(
            inputs.ConfirmAsked(
                self._token, replica.version(), replica.heads(), self.now_s + timeout_s
            )
        )
        return self._token

    def request(self, params: Params, timeout_s: float = 10.0) -> int:
        self._token += 1
        self.feed(inputs.Requested(self._token, params, self.now_s + timeout_s))
        return self._token

    def outcome(self, token: int) -> Any:
        found = [
            each.outcome
            for each in self.seen
            if isinstance(each, effects.ConfirmSettled | effects.RequestSettled)
            and each.token == token
        ]
        assert len(found) <= 1, "settled once"
        return found[0] if found else None

    def drop(self) -> None:
        """The connection ends; what was on it is lost."""
        self.connected = False
        self.to_server.clear()
        self.server.held.clear()
        self.feed(inputs.Disconnected("the wire was cut"))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a tick at each deadline."""
        end_s = self.now_s + seconds
        for _ in range(1000):
            deadline_s = self.session.next_deadline()
            if deadline_s is None or deadline_s > end_s:
                self.now_s = end_s
                return
            self.now_s = max(self.now_s, deadline_s)
            self.feed(inputs.Tick())
            self.settle()
        raise AssertionError("ticks without end")
