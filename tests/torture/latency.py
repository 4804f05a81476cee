"""What durability costs, and how soon a daemon is back: `python -m torture.latency`.

Three figures. Confirming: eight writers of one notebook, each a process of its own at fifty edits
a second, each edit confirmed; a sample of the confirmations is compared with the database.
Restarting: a cold daemon on a store of 100 notebooks with 100 MB of updates, from the start of
its process to the first confirmed edit. A storm: 200 clients of these notebooks lose their daemon
to SIGKILL; from the start of the next one until each is live again and has confirmed an edit.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from headway.client.aio import AsyncNotebook
from headway.core.room.effects import UpdateStored
from headway.edges.paths import Paths, prepare
from headway.edges.store import SqliteStore
from headway.errors import DaemonUnavailable
from headway.ids import document_id
from torture.world import Gate, drop, join, scratch
from torture.writer import WRITERS, Written, new_loop

__all__ = ["Figures", "torture"]

NOTEBOOKS = 100
HISTORY_BYTES = 100 * 1000 * 1000
UPDATE_BYTES = 4000
CLIENTS = 200

CONFIRM_AIM_S = 0.025
FIRST_EDIT_AIM_S = 1.0
STORM_AIM_S = 5.0

_LONGEST_BACKOFF_S = 5.0
_LIMIT_S = 120.0
_DIAL_AGAIN_S = 0.005


@dataclass
class Figures:
    """What was measured, in seconds."""

    confirmed_s: list[float] = field(default_factory=list)
    false: int = 0
    sampled: int = 0
    first_edit_s: float = 0.0
    storm_s: float = 0.0

    def percentile(self, share: float) -> float:
        """That percentile of the confirmations."""
        ordered = sorted(self.confirmed_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        milliseconds = [f"{self.percentile(share) * 1000:.1f}" for share in (0.5, 0.95, 0.99)]
        return (
            f"confirming: {len(self.confirmed_s)} confirmations, p50 / p95 / p99 "
            f"{' / '.join(milliseconds)} ms (aim: p99 {CONFIRM_AIM_S * 1000:.0f}), "
            f"{self.false} of {self.sampled} sampled were false\n"
            f"restarting: first edit after {self.first_edit_s:.2f} s "
            f"(aim: {FIRST_EDIT_AIM_S:.0f})\n"
            f"storm: all live and confirmed after {self.storm_s:.2f} s (aim: {STORM_AIM_S:.0f})"
        )


class _Daemon:
    """A daemon started as a person's client starts it: a cold interpreter."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "headway.daemon.main", "--home", str(home)]
        self.began_s = time.perf_counter()
        with (home.parent / "daemon.err").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.end(kill=True)

    def end(self, *, kill: bool) -> None:
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(_LIMIT_S)


async def torture(seconds: float, *, notebooks: int = NOTEBOOKS, clients: int = CLIENTS) -> Figures:
    """Measure all three."""
    figures = Figures()
    with scratch() as folder:
        home = folder / "home"
        prepare(home)
        async with _Daemon(home) as daemon, asyncio.timeout(_LIMIT_S):
            async with _patient(home, folder / "writers.ipynb") as owner:
                await _confirm(home, folder, owner, seconds, figures)
            snapshot, updates = await _history(home, folder, HISTORY_BYTES // NOTEBOOKS)
            daemon.end(kill=False)
        await _fill(home, folder, notebooks, snapshot, updates)
        async with asyncio.timeout(_LIMIT_S), _Daemon(home) as daemon:
            async with _patient(home, folder / "history-0.ipynb") as notebook:
                await _edit(notebook)
                figures.first_edit_s = time.perf_counter() - daemon.began_s
            await _storm(home, folder, notebooks, clients, daemon, figures)
    return figures


@contextlib.asynccontextmanager
async def _patient(home: Path, path: Path) -> AsyncIterator[AsyncNotebook]:
    """A notebook of a daemon that may be starting still."""
    gate = Gate(home)
    while True:
        try:
            (await gate.dial(False)).transport.abort()
            break
        except DaemonUnavailable:
            await asyncio.sleep(_DIAL_AGAIN_S)
    notebook = await join(gate, path)
    try:
        yield notebook
    finally:
        await drop(notebook)


async def _confirm(
    home: Path, folder: Path, owner: AsyncNotebook, seconds: float, figures: Figures
) -> None:
    cells = [owner.add_cell() for _ in range(WRITERS)]
    await owner.confirm_sync(_LIMIT_S)
    # The owner would only read along; it is not one of the eight.
    await drop(owner)
    commands = [
        [sys.executable, "-m", "torture.writer", home, folder / "writers.ipynb", cell.id, number]
        for number, cell in enumerate(cells)
    ]
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_Writer([*each, seconds])) for each in commands]
        for writer in writers:
            await asyncio.to_thread(writer.ready)
        begin_s = time.monotonic() + 0.2
        for writer in writers:
            writer.begin(begin_s)
        for written in [await asyncio.to_thread(writer.result) for writer in writers]:
            figures.confirmed_s += written.confirmed_s
            figures.sampled += written.sampled
            figures.false += written.false


class _Writer:
    """One process of `torture.writer`: eight in one would wait for each other, not for Headway."""

    def __init__(self, command: Sequence[object]) -> None:
        self._process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with self._process:
            self._process.kill()

    def ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def begin(self, at_s: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{at_s}\n")
        self._process.stdin.flush()

    def result(self) -> Written:
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline(), type=Written)


async def _history(home: Path, folder: Path, size: int) -> tuple[bytes, list[bytes]]:
    """A notebook's beginning, and what its daemon would store of `size` bytes of edits."""
    dice = random.Random(1)
    async with _patient(home, folder / "seed.ipynb") as notebook:
        cells = [notebook.add_cell() for _ in range(20)]
        await notebook.confirm_sync(_LIMIT_S)
        replica = notebook._document.replica
        snapshot = replica.export()
        updates: list[bytes] = []
        while sum(map(len, updates)) < size:
            before = replica.version()
            cell = dice.choice(cells)
            text = base64.b64encode(dice.randbytes(UPDATE_BYTES * 3 // 4)).decode()
            notebook.append_source(cell, text)
            updates.append(replica.export(before))
        return snapshot, updates


async def _fill(
    home: Path, folder: Path, notebooks: int, snapshot: bytes, updates: list[bytes]
) -> None:
    store = await SqliteStore.open(Paths.of(home).store)
    for number in range(notebooks):
        document = document_id("nb", os.urandom)
        await store.create(document, str(folder / f"history-{number}.ipynb"))
        await store.compact(document, snapshot)
        await store.append([UpdateStored(document, update) for update in updates])
    await store.close()


async def _storm(
    home: Path, folder: Path, notebooks: int, clients: int, daemon: _Daemon, figures: Figures
) -> None:
    gate = Gate(home)
    paths = [folder / f"history-{number % notebooks}.ipynb" for number in range(clients)]
    joined = [await join(gate, path, longest_s=_LONGEST_BACKOFF_S) for path in paths]
    daemon.end(kill=True)
    async with _Daemon(home) as successor:
        await asyncio.gather(*[_edit(each) for each in joined])
        figures.storm_s = time.perf_counter() - successor.began_s
        for each in joined:
            await drop(each)
        successor.end(kill=False)


async def _edit(notebook: AsyncNotebook) -> None:
    notebook.append_source(notebook.cells[0], "x")
    await notebook.confirm_sync(_LIMIT_S)


def main() -> int:
    """Exit status 0 when nothing was false; figures are for a person to judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--notebooks", type=int, default=NOTEBOOKS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        figures = runner.run(
            torture(given.seconds, notebooks=given.notebooks, clients=given.clients)
        )
    print(figures)
    return bool(figures.false)


if __name__ == "__main__":
    sys.exit(main())
