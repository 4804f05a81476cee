"""One connection's outbox: what waits to be sent to a peer, bounded, and the task that sends it.

Floor 5. Putting never blocks and never fails: a peer that does not keep up is dropped, and what
the others get is not delayed by it. Nothing here knows what a frame means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

__all__ = [
    "CLOSE_MALFORMED",
    "CLOSE_TRY_AGAIN",
    "DIRECT_MAX_BYTES",
    "DROP_GRACE_S",
    "OUTBOX_MAX_BYTES",
    "OUTBOX_MAX_FRAMES",
    "SEND_STALL_S",
    "DirectWrite",
    "Outbox",
    "WebSocketSend",
]

OUTBOX_MAX_BYTES = 64 * 1024 * 1024
"""A peer with more than this waiting is dropped, not counting the largest answer to a join."""

OUTBOX_MAX_FRAMES = 16_384
"""A peer with more frames than this waiting is dropped."""

SEND_STALL_S = 15.0
"""A peer that takes no byte for this long is dropped."""

DROP_GRACE_S = 2.0
"""How long a dropped peer has to take its close frame before the transport is cut."""

CLOSE_TRY_AGAIN = 1013
"""Come back later. Never 1008, 1011 or 44xx: after those the official client stays away."""

CLOSE_MALFORMED = 4000
"""What came is not the protocol."""

DIRECT_MAX_BYTES = 256 * 1024
"""More than this at once goes through the queue, where a peer that takes nothing is found out."""

WebSocketSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""An ASGI `send`."""

DirectWrite = Callable[[Iterable[bytes | str]], bool]
"""Hands frames to the transport at once; False, and nothing done, where it cannot take them now."""


def _never(frames: Iterable[bytes | str]) -> bool:
    del frames
    return False


class Outbox:
    """Frames on their way to one peer, in order.

    `broken` is called once, on the event loop, when the peer does not keep up.

    Args:
        broken: Takes the reason as a clause.
        max_bytes: Over this many waiting bytes the peer is dropped; see `put`.
        max_frames: Over this many waiting frames the peer is dropped.
        stall_s: Seconds one send may take.
        write: Tried first while nothing waits: it spares a turn of the loop and of the task.
    """

    def __init__(
        self,
        broken: Callable[[str], None],
        *,
        max_bytes: int = OUTBOX_MAX_BYTES,
        max_frames: int = OUTBOX_MAX_FRAMES,
        stall_s: float = SEND_STALL_S,
        write: DirectWrite = _never,
    ) -> None:
        self._broken = broken
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._stall_s = stall_s
        self._write = write
        self._is_sending = False
        self._frames: deque[bytes | str] = deque()
        self._bytes = 0
        self._largest_bytes = 0
        self._wake = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._ended = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes put and not yet handed to the transport."""
        return self._bytes

    def put(self, frames: Sequence[bytes | str]) -> None:
        """Send these after what waits already; bytes as binary, texts as text frames.

        The bound is checked against what waited before, without the largest of what was put at
        once: one large answer always fits into an empty outbox, and what comes behind it too.
        """
        if self._ended or self._closing is not None:
            return
        size = sum(map(len, frames))
        idle = not self._frames and not self._is_sending
        if idle and size <= DIRECT_MAX_BYTES and self._write_at_once(frames):
            return
        counted = self._bytes - self._largest_bytes
        if counted > self._max_bytes or len(self._frames) > self._max_frames:
            self._break(f"{self._bytes} bytes in {len(self._frames)} frames wait for it")
            return
        self._frames.extend(frames)
        self._bytes += size
        self._largest_bytes = max(self._largest_bytes, size)
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """End the connection once everything that waits is sent. The first close counts."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()

    def discard(self) -> None:
        """Forget what waits and take nothing more."""
        self._ended = True
        self._frames.clear()
        self._bytes = 0

    async def run(self, send: WebSocketSend) -> None:
        """Send what is put until a close is sent, or the peer is found broken."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._send_waiting(send)
                if self._closing is not None and not self._ended:
                    code, reason = self._closing
                    self._ended = True
                    async with asyncio.timeout(self._stall_s):
                        await send({"type": "websocket.close", "code": code, "reason": reason})
                    return
        except TimeoutError:
            self._break(f"it took nothing for {self._stall_s:g} s")
        except OSError:
            # The transport is gone; the reader learns of it on its own.
            self.discard()

    def _write_at_once(self, frames: Sequence[bytes | str]) -> bool:
        """Write now; gives whether they need not wait: they are written, or the peer is dropped."""
        try:
            return self._write(frames)
        except Exception as error:  # noqa: BLE001 - whoever puts has nothing to do with it
            self._break(f"its transport failed: {error}")
            return True

    async def _send_waiting(self, send: WebSocketSend) -> None:
        self._is_sending = True
        while self._frames:
            frame = self._frames.popleft()
            self._bytes -= len(frame)
            part = "text" if isinstance(frame, str) else "bytes"
            async with asyncio.timeout(self._stall_s):
                await send({"type": "websocket.send", part: frame})
        self._largest_bytes = 0
        self._is_sending = False

    def _break(self, reason: str) -> None:
        self.discard()
        self._broken(reason)
