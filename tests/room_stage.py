"""A room on a stage: its store, its kernel and its peers are played by the test, in order.

Not a simulation: nothing happens unless the test says so.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell, Edit
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import RuntimeReader
from headway.core.kernel.events import (
    Busy,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    Idle,
    KernelEvent,
    KernelInfo,
)
from headway.core.room.effects import (
    Answer,
    AskKernel,
    Effect,
    ExecuteRequest,
    LookAtEnvironment,
    Persist,
    Refuse,
    Send,
    StartKernel,
    StopKernel,
)
from headway.core.room.inputs import (
    EnvironmentSeen,
    Input,
    KernelReady,
    KernelSaid,
    KernelStopped,
    PeerArrived,
    Persisted,
    Received,
    Requested,
    Tick,
)
from headway.core.room.opening import Opening
from headway.core.room.recorder import COALESCE_S
from headway.core.room.room import Room
from headway.core.wire import rpc
from headway.core.wire.codec import decode
from headway.core.wire.messages import Ack, Join, Joined, Kind, Message, Update
from headway.ids import Heads, execution_id, heads_to_text
from headway.moments import Moment

DOCUMENT = "nb-" + "0" * 32


@dataclass
class Stage:
    """One room and everything it asked for."""

    seed: int = 0
    opening: Opening = field(default_factory=lambda: Opening(document=DOCUMENT, path=None))
    holds_disk: bool = False
    """While True, the store does not answer until `disk()` is called."""
    installed: dict[str, str] = field(default_factory=lambda: {"python3": "python", "bash": "bash"})
    """The kernels that are found where Jupyter has them, and their languages."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Those that are found there and cannot be used, and why."""
    holds_stops: bool = False
    """While True, processes that are to end do not, until `kernel_stopped()` is called."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now_s = 1000.0
        self.log: list[Effect] = []
        self.persists: list[Persist] = []
        self.answered = 0
        self.peers: dict[int, Peer] = {}
        self.tokens = 0
        self.room, effects = Room.open(self.opening, self.random.randbytes, self.moment())
        self._perform(effects)

    def moment(self) -> Moment:
        return Moment(self.now_s, 1_700_000_000.0 + self.now_s)

    def feed(self, event: Input) -> list[Effect]:
        """Hand in one input; the store answers at once unless it is held."""
        effects = self.room.handle(event, self.moment())
        self._perform(effects)
        return effects

    def _perform(self, effects: list[Effect]) -> None:
        self.log.extend(effects)
        for effect in effects:
            if isinstance(effect, Persist):
                self.persists.append(effect)
            elif isinstance(effect, Send) and effect.peer in self.peers:
                for frame in effect.frames:
                    message = decode(frame)
                    self.peers[effect.peer].receive(message)
        if not self.holds_disk:
            self.disk()
        for effect in effects:
            if isinstance(effect, StopKernel) and not self.holds_stops:
                self.feed(KernelStopped(effect.incarnation))
            elif effect == LookAtEnvironment(None):
                self.feed(EnvironmentSeen(None, True, None, self.installed, self.unreadable))

    def disk(self, count: int | None = None) -> None:
        """The store makes what it was given durable: all of it, or the first `count`."""
        while self.answered < len(self.persists) and (count is None or count > 0):
            token = self.persists[self.answered].token
            self.answered += 1
            count = None if count is None else count - 1
            self.feed(Persisted(token))

    def group_commit(self) -> list[Effect]:
        """The store makes everything it was given durable at once, and says so by the last."""
        self.answered = len(self.persists)
        return self.feed(Persisted(self.persists[-1].token))

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.feed(Tick())

    def show(self) -> None:
        """So much time passes that everybody sees what happened."""
        self.wait(COALESCE_S)

    def ask(
        self,
        params: rpc.RoomParams,
        asked_by: str = "ada",
        peer: int | None = None,
        *,
        is_daemons: bool = False,
    ) -> int:
        """Send a request; gives its token."""
        self.tokens += 1
        deadline_s = self.now_s + params.timeout_s
        self.feed(Requested(self.tokens, peer, params, deadline_s, asked_by, is_daemons))
        return self.tokens

    def answer(self, token: int) -> Any:
        """The answer or refusal of a request, or None."""
        found = [
            effect.result if isinstance(effect, Answer) else effect.error
            for effect in self.log
            if isinstance(effect, Answer | Refuse) and effect.token == token
        ]
        assert len(found) <= 1, "a request is answered once"
        return found[0] if found else None

    def of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.log if isinstance(effect, kind)]

    def ran(self) -> list[tuple[str, str]]:
        """What the kernel was given: (execution id, code)."""
        return [
            (asked.request.execution_id, asked.request.code)
            for asked in self.of(AskKernel)
            if isinstance(asked.request, ExecuteRequest)
        ]

    def kernel_ready(self) -> None:
        start = self.of(StartKernel)[-1]
        self.feed(KernelReady(start.incarnation, KernelInfo("python"), "python3"))

    def kernel_stopped(self) -> None:
        """The process that was to end is gone."""
        self.feed(KernelStopped(self.of(StopKernel)[-1].incarnation))

    def kernel_says(self, *events: KernelEvent) -> None:
        self.feed(KernelSaid(self.room.kernel_state.incarnation, events))

    def kernel_finishes(self, status: str = "ok", value: str = "2", count: int = 1) -> None:
        """What ran ends, with one result."""
        running = self.ran()[-1][0]
        self.kernel_says(
            Busy(running),
            ExecuteInput(running, count),
            ExecuteResult(running, {"text/plain": value}, {}, count),
            ExecuteReply(running, status, count),
            Idle(running),
        )

    @property
    def runtime(self) -> RuntimeReader:
        return self.room.runtime_reader

    def new_id(self) -> str:
        return execution_id(self.now_s, self.random.randbytes)

    def peer(self, number: int = 1) -> Peer:
        peer = Peer(self, number)
        self.peers[number] = peer
        self.feed(PeerArrived(number, f"peer {number}", "test"))
        peer.join()
        return peer


class Peer:
    """A client reduced to its replicas: it imports what it is sent and can send what it wrote."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage = stage
        self.number = number
        self.replica = Replica(stage.random.getrandbits(62) + 1)
        self.notebook = NotebookDocument(self.replica)
        self.runtime_replica = Replica(stage.random.getrandbits(62) + 1)
        self.acks: list[Ack] = []
        self.others: list[Message] = []
        self.sent = Version.EMPTY
        self.batches = 0

    def join(self) -> None:
        version = self.replica.version().encode()
        self.stage.feed(Received(self.number, Join(Kind.DOCUMENT, DOCUMENT, b"", version)))

    def join_runtime(self) -> None:
        room = self.stage.room.runtime
        version = self.runtime_replica.version().encode()
        self.stage.feed(Received(self.number, Join(Kind.DOCUMENT, room, b"", version)))

    def receive(self, message: Any) -> None:
        match message:
            case Joined(room=room, version=version):
                if room == DOCUMENT:
                    self.sent = Version.decode(version)
            case Update(room=room, updates=updates, kind=Kind.DOCUMENT):
                replica = self.replica if room == DOCUMENT else self.runtime_replica
                for update in updates:
                    replica.import_update(update)
                if room == DOCUMENT:
                    self.sent = self.sent.merged(replica.version())
            case Ack():
                self.acks.append(message)
            case _:
                self.others.append(message)

    def edit(self, *edits: Edit) -> Heads:
        """Edit locally, and send."""
        heads = self.write(*edits)
        self.send()
        return heads

    def write(self, *edits: Edit) -> Heads:
        """Edit locally only."""
        return self.notebook.apply(edits, self.stage.moment(), f"peer {self.number}")

    def send(self) -> bytes:
        """Send everything unsent; gives the batch id."""
        update = self.replica.export(self.sent)
        self.sent = self.replica.version()
        self.batches += 1
        batch_id = self.batches.to_bytes(8, "big")
        message = Update(Kind.DOCUMENT, DOCUMENT, (update,), batch_id)
        self.stage.feed(Received(self.number, message))
        return batch_id

    def add_cell(self, cell_id: str, source: str) -> str:
        """Add a cell and send it; gives the heads as text."""
        return heads_to_text(self.edit(AddCell(cell_id, source=source)))

    @property
    def runtime(self) -> RuntimeReader:
        return RuntimeReader(self.runtime_replica)
