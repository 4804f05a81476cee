"""One WebSocket connection: frames in, frames out, nothing decided and nothing waited for.

Floor 5. The reader hands each message to the room it is for. A notebook that is not open yet is
loaded by a task of this connection, and what comes for it meanwhile is kept in order; messages
for other rooms are not held up. Commands run off the pump (`requests`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from headway.core.room.inputs import Received
from headway.core.wire import codec, commands
from headway.core.wire.messages import (
    Ack,
    FragmentHeader,
    Join,
    JoinError,
    JoinErrorCode,
    Message,
    Update,
    UpdateStatus,
)
from headway.daemon.desk import Outcome
from headway.daemon.host import RoomHost
from headway.daemon.peer import (
    CLOSE_MALFORMED,
    CLOSE_TRY_AGAIN,
    DROP_GRACE_S,
    DirectWrite,
    Outbox,
    WebSocketSend,
)
from headway.daemon.ports import Outlet
from headway.daemon.requests import Caller, Pending, Requests
from headway.daemon.rooms import Rooms
from headway.daemon.storage import Backlog
from headway.errors import Busy, HeadwayError, MalformedFrame, NotebookNotFound, StoreFailed

__all__ = [
    "LOADING_BUFFER_BYTES",
    "MAX_CLOSE_REASON_CHARACTERS",
    "MAX_OPEN_REQUESTS",
    "PING_INTERVAL_S",
    "STORE_PATIENCE_S",
    "Connection",
    "Connections",
    "WebSocketReceive",
]

_LOG = logging.getLogger("headway.connections")

LOADING_BUFFER_BYTES = 16 * 1024 * 1024
"""What a connection may send for one notebook while it is loaded; more ends the connection."""

MAX_OPEN_REQUESTS = 256
"""How many requests of one connection may be under way; a further one is refused with BUSY."""

MAX_CLOSE_REASON_CHARACTERS = 40
"""RFC 6455 allows 123 bytes of reason; this many characters always fit."""

PING_INTERVAL_S = 20.0
"""A network peer that was silent this long is pinged, and dropped after as long again."""

STORE_PATIENCE_S = 20.0
"""How long a join waits for a store that failed to come back; clients wait 30 s for an answer."""

_STORE_RECHECK_S = 0.1

WebSocketReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""An ASGI `receive`."""


@dataclass(slots=True)
class _Loading:
    """Messages for a notebook that is being loaded."""

    messages: deque[Message] = field(default_factory=deque)
    size: int = 0


@dataclass(slots=True)
class Connections:
    """The connections of a daemon, and what they share."""

    rooms: Rooms
    requests: Requests
    backlog: Backlog
    outlets: dict[int, Outlet]
    changed: Callable[[], None]
    ping_interval_s: float = PING_INTERVAL_S
    last_number: int = 0
    skipped_frames: int = 0

    def next_number(self) -> int:
        """A connection number never given before."""
        self.last_number += 1
        return self.last_number


class Connection:
    """A peer's connection, from its accepted WebSocket to its end. Implements `Outlet`.

    Args:
        connections: What the connections share.
        name: What the peer calls itself.
        kind: What kind of peer it says it is.
        abort: Cuts the transport, without a word.
        write: See `Outbox`.
        is_remote: Whether it comes over a network, where a peer may vanish unseen.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        name: str,
        kind: str,
        abort: Callable[[], None],
        write: DirectWrite,
        is_remote: bool,
    ) -> None:
        self.number = connections.next_number()
        self.outbox = Outbox(self._drop, write=write)
        self._connections = connections
        self._name = name or f"peer {self.number}"
        self._kind = kind
        self._abort = abort
        self._is_remote = is_remote
        self._tasks: asyncio.TaskGroup | None = None
        self._reader: asyncio.Task[None] | None = None
        self._hosts: dict[str, RoomHost] = {}
        self._loading: dict[str, _Loading] = {}
        self._pending: dict[Pending, None] = {}
        self._work: dict[asyncio.Task[None], None] = {}
        self._heard_s = 0.0
        self._dropped: str | None = None

    def send(self, frames: tuple[bytes, ...]) -> None:
        """Put frames on the outbox."""
        self.outbox.put(frames)

    def close(self, code: int, reason: str) -> None:
        """End the connection once what waits is sent."""
        self.outbox.close(code, reason[:MAX_CLOSE_REASON_CHARACTERS])

    async def run(self, receive: WebSocketReceive, send: WebSocketSend) -> None:
        """Pump until either side ends it. Raises nothing but cancellation."""
        fields: dict[str, Any] = {"peer": self.number, "kind": self._kind}
        _LOG.info("a peer connected", extra={"fields": fields})
        self._connections.outlets[self.number] = self
        self._connections.changed()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                writer = tasks.create_task(self.outbox.run(send))
                keepalive = tasks.create_task(self._keep_alive())
                self._reader = tasks.create_task(self._read(receive))
                await asyncio.wait([self._reader])
                for task in (writer, keepalive, *self._work):
                    task.cancel()
                self._leave()
        except* Exception:  # noqa: BLE001 - logged
            # Our own mistake: this connection ends, the others go on.
            _LOG.exception("a connection failed", extra={"fields": fields})
            self._dropped = "the daemon failed"
        finally:
            self._leave()
            _LOG.info("a peer is gone", extra={"fields": fields})
        if self._dropped is not None:
            await self._say_try_again(send)

    async def _read(self, receive: WebSocketReceive) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await receive()
            self._heard_s = loop.time()
            if message["type"] != "websocket.receive":
                return
            data = message.get("bytes")
            if data is None:
                self._take_text(message.get("text") or "")
            elif not self._take(data):
                # Its last words are on their way; what it still sends is not listened to.
                while message["type"] == "websocket.receive":
                    message = await receive()
                return
            if self._connections.backlog.is_full:
                await self._connections.backlog.wait_for_space()
                self._heard_s = loop.time()

    def _take_text(self, text: str) -> None:
        if text == codec.PING:
            self.outbox.put((codec.PONG,))
        elif text != codec.PONG:
            self._skip("text")

    def _take(self, frame: bytes) -> bool:
        """Hand a frame on; False when it broke the protocol."""
        try:
            if frame[: len(commands.RPC_MAGIC)] == commands.RPC_MAGIC:
                self._take_command(frame)
                return True
            message = codec.decode(frame)
        except MalformedFrame as error:
            _LOG.warning(
                "a malformed frame",
                extra={"fields": {"peer": self.number, "reason": str(error)}},
            )
            self.close(CLOSE_MALFORMED, "malformed frame")
            return False
        if isinstance(message, codec.Unknown):
            self._skip(message.magic.decode("ascii", "backslashreplace"))
        else:
            self._route(message, len(frame))
        return True

    def _skip(self, what: str) -> None:
        self._connections.skipped_frames += 1
        _LOG.debug("a frame was skipped", extra={"fields": {"peer": self.number, "magic": what}})

    # Documents

    def _route(self, message: Message, size: int) -> None:
        loading = self._loading.get(message.room)
        if loading is not None:
            loading.messages.append(message)
            loading.size += size
            if loading.size > LOADING_BUFFER_BYTES:
                self._drop("too much came for a notebook that is being loaded")
            return
        host = self._connections.rooms.find(message.room)
        if host is not None:
            self._deliver(host, message)
        elif isinstance(message, Join):
            self._loading[message.room] = _Loading(deque([message]), size)
            self._spawn(self._load(message.room))
        else:
            self._refuse(message, None)

    def _deliver(self, host: RoomHost, message: Message) -> None:
        if self._hosts.get(host.document) is not host:
            self._hosts[host.document] = host
            host.arrive(self.number, self._name, self._kind)
        host.feed(Received(self.number, message))

    async def _load(self, room: str) -> None:
        error: HeadwayError | None = None
        host: RoomHost | None = None
        try:
            host = await self._load_patiently(room)
        except HeadwayError as failure:
            error = failure
        waiting = self._loading.pop(room).messages
        if isinstance(error, StoreFailed):
            # It passes: whoever comes back finds the notebook as it was.
            self.close(CLOSE_TRY_AGAIN, "the daemon's store failed")
            return
        for message in waiting:
            if host is not None and host.is_open:
                self._deliver(host, message)
            else:
                self._refuse(message, error)

    async def _load_patiently(self, room: str) -> RoomHost:
        """Load a notebook; while the store is broken wait, so that its return is not missed.

        A peer that was sent away would come back only after its next delay.
        """
        deadline_s = asyncio.get_running_loop().time() + STORE_PATIENCE_S
        while True:
            try:
                return await self._connections.rooms.load(room)
            except StoreFailed:
                if asyncio.get_running_loop().time() >= deadline_s:
                    raise
                await asyncio.sleep(_STORE_RECHECK_S)

    def _refuse(self, message: Message, error: HeadwayError | None) -> None:
        """Answer a message to a room that is not there, or that this peer has not joined."""
        if isinstance(message, Join):
            unknown = error is None or isinstance(error, NotebookNotFound)
            answer: Message = JoinError(
                message.kind,
                message.room,
                JoinErrorCode.APP_ERROR,
                "There is no such notebook." if error is None else str(error),
                app_code="notebook_not_found" if unknown else _app_code(error),
            )
        elif isinstance(message, Update | FragmentHeader):
            status = UpdateStatus.PERMISSION_DENIED
            answer = Ack(message.kind, message.room, message.batch_id, status)
        else:
            return
        self.outbox.put((codec.encode(answer),))

    # Commands

    def _take_command(self, frame: bytes) -> None:
        command = commands.decode(frame)
        if isinstance(command, commands.Request):
            self._begin(command)
        elif isinstance(command, commands.Unreadable):
            self.outbox.put((commands.encode_error(command.id, command.error),))
        else:
            self._skip("an answer to nothing")

    def _begin(self, request: commands.Request) -> None:
        if len(self._pending) >= MAX_OPEN_REQUESTS:
            sentence = f"This connection has {MAX_OPEN_REQUESTS} requests under way already."
            error = Busy(sentence, limit=MAX_OPEN_REQUESTS)
            self.outbox.put((commands.encode_error(request.id, error),))
            return
        settled: list[Pending] = []

        def reply(outcome: Outcome) -> None:
            if settled:
                self._pending.pop(settled[0], None)
            self.outbox.put((_answer_frame(request.id, outcome),))

        caller = Caller(self.number, self._name)
        pending = self._connections.requests.begin(request.params, caller, reply, self._spawn)
        settled.append(pending)
        if not pending.is_settled:
            self._pending[pending] = None

    # Ends

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None, "a connection takes frames only while it runs"
        task = self._tasks.create_task(work)
        self._work[task] = None
        task.add_done_callback(lambda done: self._work.pop(done, None))
        return task

    def _drop(self, reason: str) -> None:
        if self._dropped is None:
            self._dropped = reason
            fields = {"peer": self.number, "reason": reason}
            _LOG.warning("a peer is dropped", extra={"fields": fields})
            if self._reader is not None:
                self._reader.cancel()

    def _leave(self) -> None:
        """Take this connection out of everything that knows it. Idempotent."""
        self.outbox.discard()
        self._connections.outlets.pop(self.number, None)
        for pending in self._pending:
            pending.abandon()
        self._pending.clear()
        for host in self._hosts.values():
            host.depart(self.number)
        self._hosts.clear()
        self._connections.changed()

    async def _say_try_again(self, send: WebSocketSend) -> None:
        # A peer that takes nothing will not take this either: the transport is cut in any case.
        asyncio.get_running_loop().call_later(2 * DROP_GRACE_S, self._abort)
        try:
            async with asyncio.timeout(DROP_GRACE_S):
                reason = "too slow; please come back"
                await send({"type": "websocket.close", "code": CLOSE_TRY_AGAIN, "reason": reason})
        except (TimeoutError, OSError):
            self._abort()

    async def _keep_alive(self) -> None:
        """Find out that a network peer has vanished. A local one cannot without our knowing."""
        if not self._is_remote:
            return
        loop = asyncio.get_running_loop()
        interval_s = self._connections.ping_interval_s
        self._heard_s = loop.time()
        while True:
            await asyncio.sleep(interval_s)
            silent_s = loop.time() - self._heard_s
            if self._connections.backlog.is_full:
                continue  # It is we who do not listen.
            if silent_s >= 2 * interval_s:
                self._drop(f"it was silent for {silent_s:.0f} s")
                return
            if silent_s >= interval_s:
                self.outbox.put((codec.PING,))


def _answer_frame(identity: commands.RequestId, outcome: Outcome) -> bytes:
    if not isinstance(outcome, HeadwayError):
        try:
            return commands.encode_result(identity, outcome)
        except HeadwayError as error:
            outcome = error
    return commands.encode_error(identity, outcome)


def _app_code(error: HeadwayError | None) -> str:
    return "" if error is None else error.code.lower()
