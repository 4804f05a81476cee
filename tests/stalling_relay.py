"""A relay between a client and a daemon's socket that holds, slices and cuts what passes.

Everything happens by event: bytes wait until the test lets them pass, and the test waits until
bytes are there. It knows nothing of frames.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

__all__ = ["Gate", "StallingRelay", "relayed"]

CHUNK_BYTES = 64 * 1024


class Gate:
    """One direction: bytes arrive, wait here, and pass when they may.

    Attributes:
        piece: The most bytes that are written at once.
        arrived: Bytes that came, ever.
        passed: Bytes that went on, ever.
    """

    def __init__(self) -> None:
        self.piece = CHUNK_BYTES
        self.arrived = 0
        self.passed = 0
        self._allowed: int | None = None
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Bytes that came and have not passed."""
        return self.arrived - self.passed

    def hold(self) -> None:
        """Let nothing pass."""
        self.allow(0)

    def allow(self, count: int) -> None:
        """Let so many bytes pass, and no more."""
        self._allowed = count
        self._beat()

    def release(self) -> None:
        """Let everything pass."""
        self._allowed = None
        self._beat()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until `is_true()`, looked at again whenever bytes come or go."""
        while not is_true():
            await self._changed.wait()

    async def until_waiting(self) -> None:
        """Wait until something waits here."""
        await self.until(lambda: self.waiting > 0)

    async def until_used(self) -> None:
        """Wait until all that was allowed has passed."""
        await self.until(lambda: self._allowed == 0)

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, until either side ends."""
        while data := await reader.read(CHUNK_BYTES):
            self.arrived += len(data)
            self._beat()
            left = len(data)
            try:
                while left:
                    await self.until(lambda: self._allowed != 0)
                    count = min(left, self.piece, left if self._allowed is None else self._allowed)
                    start = len(data) - left
                    writer.write(data[start : start + count])
                    await writer.drain()
                    left -= count
                    self.passed += count
                    if self._allowed is not None:
                        self._allowed -= count
                    self._beat()
                    if self.piece < CHUNK_BYTES:
                        await _turn()
            finally:
                # What waited when the connection ended will never pass.
                self.arrived -= left

    def _beat(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class StallingRelay:
    """Connections from one socket to another, through two gates.

    Attributes:
        accepting: False: a new connection is ended at once.
        connections: How many were relayed, ever.
    """

    def __init__(self, behind: Path) -> None:
        self.to_daemon = Gate()
        self.to_client = Gate()
        self.accepting = True
        self.connections = 0
        self._behind = behind
        self._writers: dict[asyncio.StreamWriter, None] = {}

    def cut(self) -> None:
        """End every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def serve(self, front: Path) -> AsyncIterator[None]:
        """Listen at `front`; everything is cut on leaving."""
        server = await asyncio.start_unix_server(self._connect, str(front))
        try:
            yield
        finally:
            server.close()
            self.cut()
            front.unlink(missing_ok=True)  # since 3.13 the server removes it itself

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepting:
            writer.transport.abort()
            return
        self.connections += 1
        behind_reader, behind_writer = await asyncio.open_unix_connection(str(self._behind))
        writers = (writer, behind_writer)
        self._writers.update(dict.fromkeys(writers))
        ways = (
            asyncio.create_task(self.to_daemon.copy(reader, behind_writer)),
            asyncio.create_task(self.to_client.copy(behind_reader, writer)),
        )
        try:
            # A test that fails ends its loop with us in it: that is no error of ours to report.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in writers:
                each.transport.abort()
                self._writers.pop(each)


@contextlib.asynccontextmanager
async def relayed(behind: Path, front: Path) -> AsyncIterator[StallingRelay]:
    """A relay from the socket `front` to the socket `behind`."""
    relay = StallingRelay(behind)
    async with relay.serve(front):
        yield relay


async def _turn() -> None:
    """Let everything else that is ready run once."""
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    loop.call_soon(turned.set_result, None)
    await turned
