"""The sockets between us and one kernel: signed Jupyter messages over ZeroMQ. Not their meaning.

Theory of operation
-------------------
A ZeroMQ socket has one file descriptor, which becomes readable when the socket's state *may*
have changed. It is edge-triggered: any call on the socket may consume the edge. So there are two
rules, both kept by `_Channel` alone: a wake-up reads until there is nothing left, and after every
send the socket is asked whether there is something to read. Reading happens straight from the
event loop's reader callback: no task switch and no future lies between the kernel's bytes and
whoever takes the messages. It works on every event loop that has `add_reader`.

Nothing is dropped on our side: receive queues are unbounded (`RCVHWM` 0) and a kernel's flood is
taken in slices, so that other work gets its turn in between. A kernel that keeps what it cannot
send has a bounded queue here (`bound`): it waits there, where its own user pays for it. What it
publishes beyond anything that can be shown is taken at leisure (`EAGER_BYTES`), and while we cannot
store as fast as it prints it is not listened to (`hold`).

When the kernel's process ends, its last messages may still lie in the operating system's buffers.
Each socket's monitor tells when the peer's connection was closed, which is after its last byte;
`disconnected` waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import zmq

from headway.edges.kernel_messages import KernelMessages

__all__ = ["ChannelName", "ConnectionInfo", "KernelWire"]

ChannelName = Literal["shell", "control", "iopub", "stdin"]

ConnectionInfo = dict[str, Any]
"""What a kernel's connection file holds."""

SLICE_MESSAGES: Final = 64
"""Messages taken from one socket before the event loop gets its turn."""

SLICE_BYTES: Final = 64 * 1024
"""Bytes taken from one socket before the event loop gets its turn."""

EAGER_BYTES: Final = 512 * 1024 * 1024
"""Bytes of one execution that are taken as fast as they come: many times what it may show. Of a
loop that prints for ever all is only counted by then, and nobody need wait because of that."""

REST_S: Final = 0.01
"""How long the daemon rests after each slice beyond that: some 13 MB/s of text are taken then."""

RECEIVE_QUEUE: Final = 0
"""ZeroMQ's high-water mark for what we have not taken yet; 0 is unbounded."""

BOUNDED_QUEUE: Final = 64
"""The same, in messages, for a kernel that does not drop what it cannot send. One has what was
printed in 20 ms, or a value."""

IDENTITY: Final = b"headway"
"""What kernels know us by. Always the same, so that an answer to what an earlier daemon asked
finds its way to the daemon that is there when it comes. On every channel the same: a kernel asks
for input on its stdin socket whoever sent the request on its shell socket."""

RECONNECT_MS: Final = 10
"""How soon a socket tries again while the kernel has not bound its end yet."""

_LOG = logging.getLogger(__name__)
_Frames = list[bytes]


class _Channel:
    """One socket on the event loop. `receive` gets what arrived, in order, never nothing."""

    def __init__(
        self, socket: zmq.Socket[bytes], receive: Callable[[Sequence[_Frames]], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._receive = receive
        self.taken = 0
        """How many messages were taken."""
        self._held = False
        self._is_bounded = False
        self._eager_bytes = EAGER_BYTES
        self._rests = False
        """Whether the next slice waits for `REST_S`."""
        self._due: asyncio.Handle | None = None
        """The one next slice that is asked for: two would let the loop wait for twice as long."""
        self._descriptor = socket.fileno()
        self._loop.add_reader(self._descriptor, self._on_readable)
        self._read_soon()  # an edge from before we listened

    def send(self, frames: Sequence[bytes]) -> None:
        self._socket.send_multipart(frames, zmq.NOBLOCK)
        if int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._read_soon()

    def hold(self, *, holds: bool) -> None:
        """Read nothing until told otherwise."""
        if self._held and not holds:
            self._read_soon()
        self._held = holds

    def bound(self) -> None:
        """What is not taken waits at the peer."""
        self._is_bounded = True

    def hurry(self) -> None:
        """Take the next `EAGER_BYTES` without a rest."""
        self._eager_bytes = EAGER_BYTES
        if self._due is not None and self._rests:
            self._due.cancel()
            self._due = None
            self._read_soon()

    def _on_readable(self) -> None:
        if self._due is None:
            self.read()

    def _read_soon(self) -> None:
        if self._due is None:
            self._due = self._loop.call_soon(self.read)

    def read(self) -> bool:
        """Take one slice; whether there was anything."""
        self._due = None
        if self._held:
            return False
        taken: list[_Frames] = []
        size = 0
        while not self._socket.closed:
            if len(taken) >= SLICE_MESSAGES or size >= SLICE_BYTES:
                self._read_on(size)
                break
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            taken.append(frames)
            size += sum(map(len, frames))
        self.taken += len(taken)
        if taken:
            self._receive(taken)
        return bool(taken)

    def _read_on(self, size: int) -> None:
        """There may be more than this slice."""
        self._eager_bytes -= size
        self._rests = self._is_bounded and self._eager_bytes < 0
        if self._rests:
            self._due = self._loop.call_later(REST_S, self.read)
        else:
            self._read_soon()

    def close(self) -> None:
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=0)


class KernelWire:
    """Connected to one kernel, subscribed to everything it publishes.

    `receive` gets the parsed messages of one channel, in the order sent; a message with a bad
    signature or form is dropped, and logged. `bounded`: see `bound`.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        connection: ConnectionInfo,
        receive: Callable[[ChannelName, Sequence[dict[str, Any]]], None],
        *,
        bounded: bool = False,
    ) -> None:
        self._messages = KernelMessages(connection["key"].encode(), connection["signature_scheme"])
        self._deliver = receive
        self._connected: set[ChannelName] = {"iopub", "shell"}
        self._disconnected = asyncio.Event()
        self._monitors: list[_Channel] = []
        self._sockets: dict[ChannelName, zmq.Socket[bytes]] = {}
        kinds: dict[ChannelName, int] = {
            "iopub": zmq.SUB,
            "shell": zmq.DEALER,
            "control": zmq.DEALER,
            "stdin": zmq.DEALER,
        }
        self._channels: dict[ChannelName, _Channel] = {}
        for name, kind in kinds.items():
            self._channels[name] = self._connect(context, name, kind, connection)
        if bounded:
            self.bound()

    def send(
        self,
        channel: ChannelName,
        kind: str,
        content: dict[str, Any],
        request: str,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Send a request whose id is `request`. Never blocks; nothing happens once closed."""
        if self._sockets[channel].closed:
            return
        frames = self._messages.write(kind, content, request, metadata, buffers)
        self._channels[channel].send(frames)

    async def disconnected(self, timeout_s: float) -> None:
        """Wait until all that the ended kernel sent has been delivered, or for `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._disconnected.wait()
        except TimeoutError:
            _LOG.debug("a kernel that has ended still holds its connection open")
        for channel in self._channels.values():
            channel.hold(holds=False)
            while channel.read():
                pass

    def bound(self) -> None:
        """The kernel keeps what it cannot send: let what it publishes wait there.

        Nothing happens once `BOUNDED_QUEUE` messages were taken. Without a bound ZeroMQ did not
        count what we took, so that with one it would take the queue for full, and wait until we
        take from it: for ever, since it is empty.
        """
        if not self._sockets["iopub"].closed and self._channels["iopub"].taken < BOUNDED_QUEUE:
            self._sockets["iopub"].setsockopt(zmq.RCVHWM, BOUNDED_QUEUE)
            self._channels["iopub"].bound()

    def hurry(self) -> None:
        """Take what it publishes as fast as it comes, `EAGER_BYTES` of it."""
        self._channels["iopub"].hurry()

    def hold(self, *, holds: bool) -> None:
        """Take nothing that it publishes until told otherwise."""
        self._channels["iopub"].hold(holds=holds)

    def close(self) -> None:
        """Close every socket at once; nothing more is delivered."""
        for name, channel in self._channels.items():
            if name in {"iopub", "shell"} and not self._sockets[name].closed:
                self._sockets[name].disable_monitor()
            channel.close()
        for monitor in self._monitors:
            monitor.close()

    def _connect(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        name: ChannelName,
        kind: int,
        connection: ConnectionInfo,
    ) -> _Channel:
        socket = context.socket(kind)
        self._sockets[name] = socket
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            socket.setsockopt(zmq.ROUTING_ID, IDENTITY)
        if name in self._connected:
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            self._monitors.append(_Channel(monitor, lambda _: self._note_disconnected(name)))
        socket.connect(_address(connection, name))
        return _Channel(socket, lambda taken: self._receive(name, taken))

    def _receive(self, name: ChannelName, taken: Sequence[_Frames]) -> None:
        messages = [message for frames in taken if (message := self._parse(frames)) is not None]
        if messages:
            self._deliver(name, messages)

    def _parse(self, frames: _Frames) -> dict[str, Any] | None:
        try:
            return self._messages.read(frames)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as why:
            _LOG.warning("a message of a kernel was dropped: %s", why)
            return None

    def _note_disconnected(self, name: ChannelName) -> None:
        self._connected.discard(name)
        if not self._connected:
            self._disconnected.set()


def _address(connection: ConnectionInfo, name: ChannelName) -> str:
    transport, ip, port = connection["transport"], connection["ip"], connection[f"{name}_port"]
    return f"{transport}://{ip}{':' if transport == 'tcp' else '-'}{port}"
