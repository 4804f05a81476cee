"""Cut and stalled connections: `python -m torture.links --cuts 5000`.

Clients edit, confirm and execute through a relay that ends each connection after a random number
of bytes in one direction, in the middle of a frame as likely as not, half of the time after
holding it for a while. Clients come back by themselves. Compared are: at each confirmation, the
database itself (a confirmation of something that is not in it is false); at the end, the text
(nothing confirmed lost, nothing doubled) and the kernel's own notes (no execution ran twice).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from headway.client.aio import AsyncNotebook
from headway.errors import ConnectionLost, NotConfirmed, RequestFailed
from torture.kills import end
from torture.ledger import Ledger
from torture.mirror import Mirror
from torture.planted import PLANTED, plant_client
from torture.runs import Runs
from torture.world import Gate, cradle, drop, join, scratch

__all__ = ["Figures", "torture"]

CLIENTS = 6
RUN_SHARE = 0.1
"""Of a client's steps: those that execute."""

REPEAT_SHARE = 0.4
"""Of these: those that ask once more under an id that was answered, or may have been."""

LIVES_BYTES = (150, 8_000)
"""A connection is cut after so many bytes in one of its directions; each order of magnitude is as
likely as the next."""

LONG_SHARE = 0.05
LONG_BYTES = 24_000
"""Some last longer: one must carry what a client has missed by then, or it never is live."""

STALL_SHARE = 0.3
STALL_S = (0.0, 0.03)

_CHUNK_BYTES = 64 * 1024
ROUND = 250
"""Cuts on one notebook: its history would slow down the later ones of a long run."""

_STEP_S = 60.0
_CALL_S = 20.0


@dataclass
class Figures:
    """What a run found."""

    cuts: int = 0
    confirmations: int = 0
    executions: int = 0
    gave_up: int = 0
    """Calls that said truly that they were not done in time."""
    bad: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"links: {self.cuts} connections cut or stalled, {self.confirmations} confirmations, "
            f"{self.executions} executions, {self.gave_up} calls out of time: "
            f"{len(self.bad)} bad"
        )


class CuttingRelay:
    """Connections to the daemon that do not last."""

    def __init__(self, behind: Path, dice: random.Random) -> None:
        self.cuts = 0
        self.cutting = True
        self._behind = behind
        self._dice = dice

    @contextlib.asynccontextmanager
    async def serve(self, front: Path) -> AsyncIterator[None]:
        """Listen at `front`."""
        server = await asyncio.start_unix_server(self._connect, str(front))
        try:
            yield
        finally:
            server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(str(self._behind))
        lives = self._lives() if self.cutting else None
        first = self._dice.random() < 0.5
        ways = [
            asyncio.create_task(self._copy(reader, behind_writer, lives if first else None)),
            asyncio.create_task(self._copy(behind_reader, writer, None if first else lives)),
        ]
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, behind_writer):
                each.transport.abort()

    def _lives(self) -> int:
        if self._dice.random() < LONG_SHARE:
            return self._dice.randint(LIVES_BYTES[1], LONG_BYTES)
        return int(math.exp(self._dice.uniform(*map(math.log, LIVES_BYTES))))

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lives: int | None
    ) -> None:
        """Pass on what comes, at most `lives` bytes of it."""
        while data := await reader.read(_CHUNK_BYTES):
            if lives is not None and len(data) >= lives:
                writer.write(data[:lives])
                await writer.drain()
                if self._dice.random() < STALL_SHARE:
                    await asyncio.sleep(self._dice.uniform(*STALL_S))
                self.cuts += 1
                return
            if lives is not None:
                lives -= len(data)
            writer.write(data)
            await writer.drain()


class _Torture:
    def __init__(self, folder: Path, seed: int, figures: Figures) -> None:
        self.figures = figures
        self._folder = folder
        self._dice = random.Random(seed)
        self._ledger = Ledger(folder / "journal", "c")
        self._runs = Runs(folder / "ran")
        self._cell = ""

    async def run(self, home: Path, cuts: int, stop_at: int) -> None:
        before = self.figures.cuts
        direct, relayed = Gate(home), Gate(home)
        path = self._folder / "cut.ipynb"
        relayed.socket = self._folder / "relay.sock"
        relay = CuttingRelay(direct.socket, self._dice)
        owner = await join(direct, path)
        self._cell = owner.add_cell(self._runs.cell()).id
        owner.add_cell(cell_type="raw")
        await owner.confirm_sync(_STEP_S)
        await owner.start_kernel()
        mirror = Mirror(home / "store.db", owner.id)
        async with relay.serve(relayed.socket):
            relay.cutting = False
            clients = [await join(relayed, path, longest_s=0.02) for _ in range(CLIENTS)]
            relay.cutting = True
            for client in clients:
                assert client._pump._websocket is not None
                client._pump._websocket.transport.abort()

            def enough() -> bool:
                return before + relay.cuts >= cuts or len(self.figures.bad) >= stop_at

            async with asyncio.TaskGroup() as tasks:
                for client in clients:
                    tasks.create_task(self._work(client, mirror, enough))
            relay.cutting = False
            for identity in self._runs.unanswered:
                await self._runs.repeat(clients[0], identity)
            for client in clients:
                self.figures.bad += await self._runs.settle(client)
                await drop(client)
        mirror.close()
        reader = await join(direct, path)
        self.figures.bad += self._ledger.check(each.source for each in reader.cells)
        self.figures.bad += self._runs.check()
        await drop(reader)
        await owner.shutdown_kernel()
        await drop(owner)
        self.figures.cuts += relay.cuts
        self.figures.confirmations += self._ledger.confirmations
        self.figures.executions += len(self._runs.accepted)

    async def _work(
        self, client: AsyncNotebook, mirror: Mirror, enough: Callable[[], bool]
    ) -> None:
        shared = next(each.id for each in client.cells if each.cell_type == "raw")
        while not enough():
            async with asyncio.timeout(_STEP_S):
                try:
                    if self._dice.random() < RUN_SHARE:
                        await self._run(client)
                    else:
                        await self._edit(client, shared, mirror)
                except (NotConfirmed, RequestFailed, ConnectionLost):
                    self.figures.gave_up += 1

    async def _run(self, client: AsyncNotebook) -> None:
        identity = await self._runs.ask(client, self._cell)
        if self._dice.random() < REPEAT_SHARE:
            await self._runs.repeat(client, identity)

    async def _edit(self, client: AsyncNotebook, shared: str, mirror: Mirror) -> None:
        tokens = []
        for _ in range(self._dice.randint(1, 3)):
            tokens.append(self._ledger.token())
            client.append_source(shared, f"{tokens[-1]}\n")
            # Each is sent by itself, while those before are still on their way.
            await asyncio.sleep(0.001)
        await client.confirm_sync(_CALL_S)
        for token in tokens:
            if not mirror.holds(token):
                self.figures.bad.append(f"{token} was confirmed and is not in the store")
        self._ledger.confirm(tokens)


async def torture(cuts: int, seed: int = 1, planted: str = "", stop_at: int = 3) -> Figures:
    """Cut so many connections; gives up after `stop_at` problems."""
    with scratch() as folder, cradle(folder, planted) as born, plant_client(planted):
        home = folder / "home"
        life = born.daemon(home)
        await life.ready()
        figures = Figures()
        while figures.cuts < cuts and len(figures.bad) < stop_at:
            enough = min(cuts, figures.cuts + ROUND)
            place = folder / f"round-{enough}"
            place.mkdir()
            await _Torture(place, seed + enough, figures).run(home, enough, stop_at)
        end(life)
        return figures


def main() -> int:
    """Exit status 0 when nothing was bad."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--cuts", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", default="", help=", ".join(PLANTED))
    given = parser.parse_args()
    began_s = time.monotonic()
    figures = asyncio.run(torture(given.cuts, given.seed, given.planted))
    print(f"{figures} ({time.monotonic() - began_s:.0f} s)")
    print("\n".join(figures.bad))
    return bool(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
