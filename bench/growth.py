"""What a notebook grows to: disk and memory after many edits and executions, beside its content.

One room with the real store and the real blobs; its peer and its kernel are played here, in turn,
as fast as they go. Edits are single characters, half typed and half deleted again, as people do.

    python bench/growth.py [edits] [executions]
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import deque
from contextlib import closing
from pathlib import Path

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell, SpliceSource
from headway.core.document.notebook import NotebookDocument
from headway.core.kernel.events import (
    DisplayData,
    ExecuteInput,
    ExecuteReply,
    Idle,
    KernelEvent,
    KernelInfo,
    Stream,
)
from headway.core.room.effects import (
    AskKernel,
    Compact,
    Effect,
    ExecuteRequest,
    Persist,
    StartKernel,
    StoreBlob,
)
from headway.core.room.inputs import (
    Input,
    KernelReady,
    KernelSaid,
    PeerArrived,
    Persisted,
    Received,
    Requested,
    Tick,
)
from headway.core.room.opening import Opening
from headway.core.room.room import Room
from headway.core.wire import rpc
from headway.core.wire.messages import Join, Kind, Update
from headway.edges.blobs import FileBlobs
from headway.edges.clock import SystemClock
from headway.edges.store import SqliteStore
from headway.ids import document_id, execution_id

CELLS = 50
CELL_CHARACTERS = 400
GROUP = 40
IMAGE_EVERY = 50
IMAGE_CHARACTERS = 20_000

MAX_DISK_RATIO = 3.0
MAX_BYTES_PER_EDIT = 32
MAX_MEMORY_BYTES = 160 * 1024 * 1024


class Notebook:
    """A room, its store and its only peer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.dice = random.Random(1)
        self.document = document_id("nb", os.urandom)
        self.peer = Replica(int.from_bytes(os.urandom(7), "big"))
        self.copy = NotebookDocument(self.peer)
        self.asked: deque[ExecuteRequest] = deque()
        self.incarnation = 0
        self.tokens = 0
        self.compactions = 0
        self.slowest_compaction_s = 0.0

    async def open(self) -> None:
        self.store = await SqliteStore.open(self.folder / "store.db")
        self.blobs = FileBlobs(self.folder / "blobs")
        if await self.store.load(self.document) is None:
            await self.store.create(self.document, None)
        stored = await self.store.load(self.document)
        assert stored is not None
        opening = Opening(
            document=self.document,
            path=None,
            snapshot=stored.snapshot,
            updates=stored.updates,
            runtime_snapshot=stored.runtime_snapshot,
            runtime_updates=stored.runtime_updates,
            taken=stored.taken,
            horizon_ms=stored.horizon_ms,
        )
        self.room, first = Room.open(opening, os.urandom, self.clock.now())
        await self.perform(first)
        await self.feed(PeerArrived(1, "bench", "bench"))
        version = self.peer.version().encode()
        await self.feed(Received(1, Join(Kind.DOCUMENT, self.document, b"", version)))

    async def feed(self, *events: Input) -> None:
        effects: list[Effect] = []
        for event in events:
            begun = time.perf_counter()
            more = self.room.handle(event, self.clock.now())
            if any(isinstance(each, Compact) for each in more):
                took_s = time.perf_counter() - begun
                self.slowest_compaction_s = max(self.slowest_compaction_s, took_s)
            effects += more
        await self.perform(effects)

    async def perform(self, effects: list[Effect]) -> None:
        last: int | None = None
        for effect in effects:
            if isinstance(effect, Persist):
                waiting = self.store.append(effect.records)
                last = effect.token
            elif isinstance(effect, Compact):
                self.compactions += 1
                await self.store.compact(effect.document, effect.snapshot)
            elif isinstance(effect, StoreBlob):
                await self.blobs.put(effect.sha256, effect.data)
            elif isinstance(effect, StartKernel):
                self.incarnation = effect.incarnation
            elif isinstance(effect, AskKernel) and isinstance(effect.request, ExecuteRequest):
                self.asked.append(effect.request)
        if last is not None:
            await waiting
            await self.feed(Persisted(last))

    async def edit(self, count: int) -> None:
        sent = self.peer.version()
        for done in range(0, count, GROUP):
            messages: list[Input] = []
            for number in range(min(GROUP, count - done)):
                self.type_one()
                update = self.peer.export(sent)
                sent = self.peer.version()
                batch = (done + number).to_bytes(8, "big")
                message = Update(Kind.DOCUMENT, self.document, (update,), batch)
                messages.append(Received(1, message))
            await self.feed(*messages)

    def type_one(self) -> None:
        cell = f"cell{self.dice.randrange(CELLS)}"
        length = len(self.copy.source(cell))
        at = self.dice.randrange(length)
        grows = length < CELL_CHARACTERS or self.dice.random() < 0.5
        splice = SpliceSource(cell, at, 0, "e") if grows else SpliceSource(cell, at, 1, "")
        self.copy.apply([splice], self.clock.now(), "bench")

    async def begin(self) -> None:
        words = " ".join(f"value_{number} = compute({number})" for number in range(14))
        cells = [AddCell(f"cell{number}", source=words) for number in range(CELLS)]
        self.copy.apply(cells, self.clock.now(), "bench")
        update = self.peer.export(Version.EMPTY)
        message = Update(Kind.DOCUMENT, self.document, (update,), b"beginning"[:8])
        await self.feed(Received(1, message))

    async def execute(self, number: int) -> None:
        now = self.clock.now()
        self.tokens += 1
        params = rpc.Execute(
            document=self.document,
            cell_id=f"cell{number % CELLS}",
            execution_id=execution_id(now.wall_s, os.urandom),
        )
        await self.feed(Requested(self.tokens, 1, params, now.monotonic_s + 30, "bench"))
        if number == 0:
            await self.feed(KernelReady(self.incarnation, KernelInfo("python"), "python3"))
        ran = self.asked.popleft().execution_id
        text = "".join(f"line {number} of the output\n" for number in range(5))
        events: list[KernelEvent] = [ExecuteInput(ran, number), Stream(ran, "stdout", text)]
        if number % IMAGE_EVERY == 0:
            image = os.urandom(IMAGE_CHARACTERS // 2).hex()
            events.append(DisplayData(ran, {"image/png": image}, {}, None))
        said = (*events, ExecuteReply(ran, "ok", number), Idle(ran))
        await self.feed(KernelSaid(self.incarnation, said))
        await self.feed(Tick())

    def disk_bytes(self) -> int:
        """All files but the write-ahead log, which is bounded by itself."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files if "-" not in file.suffix)

    def log_bytes(self) -> int:
        log = self.folder / "store.db-wal"
        return log.stat().st_size if log.exists() else 0

    def live_bytes(self) -> int:
        """Sources, and the results of every execution that is kept, blobs included."""
        sources = sum(len(cell.source.encode()) for cell in self.room.notebook.cells())
        with closing(sqlite3.connect(self.folder / "store.db")) as connection:
            (records,) = connection.execute(
                "SELECT coalesce(sum(length(record)), 0) FROM executions"
            ).fetchone()
        blobs = sum(file.stat().st_size for file in (self.folder / "blobs").rglob("*"))
        return sources + int(records) + blobs


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def show(what: str, notebook: Notebook, before: int, begun_s: float) -> tuple[int, int, int]:
    """Print a line; gives the bytes on the disk, of live content, and of memory."""
    disk, live, memory = notebook.disk_bytes(), notebook.live_bytes(), resident_bytes() - before
    print(
        f"{what:28} disk {disk / 1e6:7.2f} MB   live content {live / 1e6:7.2f} MB"
        f"   ratio {disk / live:6.2f}   log {notebook.log_bytes() / 1e6:5.1f} MB"
        f"   memory +{memory / 1e6:6.1f} MB"
        f"   {time.perf_counter() - begun_s:6.1f} s"
    )
    return disk, live, memory


async def main(edits: int, executions: int) -> int:
    begun_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        notebook = Notebook(Path(folder))
        before = resident_bytes()
        await notebook.open()
        await notebook.begin()
        show("at the beginning", notebook, before, begun_s)
        await notebook.edit(edits)
        show(f"{edits} edits", notebook, before, begun_s)
        for number in range(executions):
            await notebook.execute(number)
        show(f"and {executions} executions", notebook, before, begun_s)
        digest = hashlib.sha256(repr(notebook.room.notebook.cells()).encode()).hexdigest()
        await notebook.store.tidy()
        await notebook.store.close()
        size = (Path(folder) / "store.db").stat().st_size
        begun_s = time.perf_counter()
        await notebook.open()
        opened_s = time.perf_counter() - begun_s
        again = hashlib.sha256(repr(notebook.room.notebook.cells()).encode()).hexdigest()
        assert again == digest, "the reopened notebook is another one"
        disk, live, memory = show("closed and opened again", notebook, before, begun_s)
        print(
            f"store.db {size / 1e6:.2f} MB, {notebook.compactions} compactions, the slowest held "
            f"the room {notebook.slowest_compaction_s * 1000:.0f} ms; opened in {opened_s:.2f} s"
        )
        await notebook.store.close()
    bound = MAX_DISK_RATIO * live + MAX_BYTES_PER_EDIT * edits
    fits = disk <= bound and memory <= MAX_MEMORY_BYTES
    print(
        f"{'within' if fits else 'OVER'} the bound of {MAX_DISK_RATIO:.0f} times live content and "
        f"{MAX_BYTES_PER_EDIT} bytes an edit on the disk, {MAX_MEMORY_BYTES >> 20} MiB in memory"
    )
    return 0 if fits else 1


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:]]
    sys.exit(asyncio.run(main(*(numbers or [100_000, 10_000]))))
