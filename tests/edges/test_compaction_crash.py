"""A process killed while it writes and compacts: what was confirmed is there, however it stood."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell, AppendSource
from headway.core.document.notebook import NotebookDocument
from headway.core.room.effects import UpdateStored
from headway.edges.memory import MemoryStore
from headway.edges.ports import Store
from headway.edges.store import SqliteStore
from headway.moments import Moment

NB = "nb-" + "1" * 32
CYCLES = 12

WRITER = """
import asyncio, os, sys
from pathlib import Path
from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell, AppendSource
from headway.core.document.notebook import NotebookDocument
from headway.core.room.effects import UpdateStored
from headway.edges.store import SqliteStore
from headway.moments import Moment

NB = sys.argv[2]

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await store.create(NB, None)
    stored = await store.load(NB)
    replica = Replica.load(int.from_bytes(os.urandom(7), "big"), stored.snapshot, stored.updates)
    notebook = NotebookDocument(replica)
    if "c" not in notebook:
        notebook.apply([AddCell("c")], Moment(0, 0), "writer")
        await store.append([UpdateStored(NB, replica.export())])
    print(len(notebook.source("c")), flush=True)
    number = 0
    while True:
        before = replica.version()
        notebook.apply([AppendSource("c", "x")], Moment(0, 0), "writer")
        number += 1
        await store.append([UpdateStored(NB, replica.export(before))])
        print(len(notebook.source("c")), flush=True)
        if number % 5 == 0:
            compacted = store.compact(NB, replica.export())
            if number % 10 == 0:
                await compacted

asyncio.run(main())
"""


async def confirmed_and_sound(store: Store, confirmed: int) -> int:
    """How much text there is: at least what was confirmed, and one more that was under way."""
    stored = await store.load(NB)
    assert stored is not None
    assert stored.notices == ()
    notebook = NotebookDocument(Replica.load(7, stored.snapshot, stored.updates))
    found = len(notebook.source("c"))
    assert confirmed <= found <= confirmed + 1
    return found


def test_a_killed_process_leaves_the_tail_or_the_snapshot_and_all_that_was_confirmed(
    tmp_path: Path,
) -> None:
    path, dice = tmp_path / "store.db", random.Random(5)

    async def look(confirmed: int) -> None:
        async with asyncio.timeout(30):
            store = await SqliteStore.open(path)
            await confirmed_and_sound(store, confirmed)
            await store.close()

    for _ in range(CYCLES):
        command = [sys.executable, "-c", WRITER, str(path), NB]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            confirmed = [int(process.stdout.readline()) for _ in range(dice.randint(1, 60))]
            process.send_signal(signal.SIGKILL)
            confirmed += [int(line) for line in process.stdout if line.endswith("\n")]
        asyncio.run(look(confirmed[-1]))


def test_a_crash_at_any_point_between_edits_and_snapshots_loses_nothing_confirmed() -> None:
    async def scenario() -> None:
        dice = random.Random(3)
        store = MemoryStore()
        await store.create(NB, None)
        replica = Replica(11)
        notebook = NotebookDocument(replica)
        notebook.apply([AddCell("c")], Moment(0.0, 0.0), "test")
        await store.append([UpdateStored(NB, replica.export())])
        store.hold()
        waiting: list[asyncio.Future[None]] = []
        length_of: dict[asyncio.Future[None], int] = {}
        for _ in range(300):
            if dice.random() < 0.25:
                waiting.append(store.compact(NB, replica.export()))
            else:
                before = replica.version()
                notebook.apply([AppendSource("c", "x")], Moment(0.0, 0.0), "test")
                future = store.append([UpdateStored(NB, replica.export(before))])
                length_of[future] = len(notebook.source("c"))
                waiting.append(future)
            if dice.random() < 0.3:
                store.release(dice.randint(0, 4))
            durable = [length for future, length in length_of.items() if future.done()]
            survivor = await store.crashed().load(NB)
            assert survivor is not None
            found = NotebookDocument(Replica.load(7, survivor.snapshot, survivor.updates))
            assert len(found.source("c")) >= max(durable, default=0)
        store.release()
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
