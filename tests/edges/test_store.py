"""What every store promises; run on the one in memory and on SQLite."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileRecorded,
    RuntimeReplaced,
    UpdateStored,
)
from headway.edges.memory import MemoryStore
from headway.edges.ports import KnownNotebook, Store, StoredExecution
from headway.edges.store import SqliteStore
from headway.edges.store_reopening import ReopeningStore
from headway.errors import NotebookNotFound, StoreError, StoreFailed

NB, OTHER, RT, RT2 = "nb-" + "1" * 32, "nb-" + "2" * 32, "rt-" + "1" * 32, "rt-" + "2" * 32
CONTENT = b'{"cells": []}'
SHA = hashlib.sha256(CONTENT).hexdigest()

Scenario = Callable[[Store], Awaitable[None]]


class World:
    """Runs a scenario on a store that opens where the one before was closed."""

    def __init__(self, folder: Path | None, *, reopening: bool = False) -> None:
        self._folder = folder
        self._reopening = reopening
        self._memory = MemoryStore()

    def run(self, scenario: Scenario) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                store = await self._open()
                try:
                    await scenario(store)
                finally:
                    await store.close()

        asyncio.run(bounded())

    async def _open(self) -> Store:
        if self._folder is None:
            self._memory = self._memory.crashed()
            return self._memory
        store = await SqliteStore.open(self._folder / "store.db")
        return ReopeningStore(store, SqliteStore.reopened) if self._reopening else store


@pytest.fixture(params=["memory", "sqlite", "reopening"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    folder = None if request.param == "memory" else tmp_path
    return World(folder, reopening=request.param == "reopening")


def accepted(execution_id: str, runs_as: str | None = None) -> ExecutionAccepted:
    return ExecutionAccepted(NB, execution_id, runs_as or execution_id, "cell", "ab" * 32)


def test_a_new_store_knows_nothing(world: World) -> None:
    async def scenario(store: Store) -> None:
        assert await store.known() == []
        assert await store.load(NB) is None
        assert await store.find_path("/a.ipynb") is None
        assert await store.find_execution("e") is None
        assert await store.find_runtime(RT) is None
        assert store.backlog_bytes == 0

    world.run(scenario)


def test_everything_appended_is_there_after_reopening_in_its_order(world: World) -> None:
    async def write(store: Store) -> None:
        await store.create(NB, "/a.ipynb")
        await store.append([UpdateStored(NB, b"one"), RuntimeReplaced(NB, RT, b"fresh")])
        await store.append(
            [
                UpdateStored(RT, b"r1"),
                UpdateStored(NB, b"two"),
                accepted("e1"),
                FileRecorded(NB, "/a.ipynb", SHA, CONTENT),
            ]
        )
        await store.append([UpdateStored(NB, b"three"), UpdateStored(OTHER, b"not yours")])

    async def read(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert (stored.document, stored.path) == (NB, "/a.ipynb")
        assert (stored.file_sha256, stored.file_content) == (SHA, CONTENT)
        assert (stored.snapshot, stored.updates) == (None, (b"one", b"two", b"three"))
        assert (stored.runtime, stored.runtime_snapshot) == (RT, b"fresh")
        assert stored.runtime_updates == (b"r1",)
        assert stored.unfinished == (accepted("e1"),)
        assert await store.known() == [KnownNotebook(NB, "/a.ipynb")]
        assert await store.find_path("/a.ipynb") == NB
        assert await store.find_runtime(RT) == NB

    world.run(write)
    world.run(read)


def test_a_reading_sees_what_was_appended_before_it_without_awaiting_it(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        future = store.append([UpdateStored(NB, b"just now")])
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == (b"just now",)
        await future

    world.run(scenario)


def test_a_runtime_that_is_replaced_leaves_nothing_of_the_old_one(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        await store.append([RuntimeReplaced(NB, RT, b"first"), UpdateStored(RT, b"old")])
        await store.append([RuntimeReplaced(NB, RT2, b"second"), UpdateStored(RT2, b"new")])
        stored = await store.load(NB)
        assert stored is not None
        assert (stored.runtime, stored.runtime_snapshot) == (RT2, b"second")
        assert stored.runtime_updates == (b"new",)
        assert await store.find_runtime(RT) is None
        await store.append([RuntimeReplaced(NB, RT, b"again")])
        back = await store.load(NB)
        assert back is not None
        assert (back.runtime_snapshot, back.runtime_updates) == (b"again", ())

    world.run(scenario)


def test_compaction_replaces_what_came_before_it_and_nothing_after(world: World) -> None:
    async def write(store: Store) -> None:
        await store.create(NB, None)
        before = store.append([UpdateStored(NB, b"before"), UpdateStored(OTHER, b"apart")])
        compaction = asyncio.ensure_future(store.compact(NB, b"all of it"))
        await asyncio.sleep(0)  # The compaction is asked for; neither it nor the append is done.
        after = store.append([UpdateStored(NB, b"after")])
        await asyncio.gather(before, compaction, after)

    async def read(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert (stored.snapshot, stored.updates) == (b"all of it", (b"after",))
        await store.compact(NB, b"newer")
        await store.append([UpdateStored(NB, b"last")])

    async def read_again(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert (stored.snapshot, stored.updates) == (b"newer", (b"last",))

    world.run(write)
    world.run(read)
    world.run(read_again)


def test_an_execution_is_accepted_once_and_finished_once(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        await store.append([accepted("e1"), accepted("e2")])
        await store.append([ExecutionAccepted(NB, "e1", "e1", "another cell", "cd" * 32)])
        assert await store.find_execution("e1") == StoredExecution(accepted("e1"), None)
        await store.append([ExecutionFinished(NB, "e1", b'{"status": "ok"}')])
        await store.append([ExecutionFinished(NB, "e1", b'{"status": "lost"}')])
        found = await store.find_execution("e1")
        assert found == StoredExecution(accepted("e1"), b'{"status": "ok"}')
        stored = await store.load(NB)
        assert stored is not None
        assert stored.unfinished == (accepted("e2"),)

    world.run(scenario)


def test_two_notebooks_may_have_executions_of_one_id(world: World) -> None:
    """A copy of a notebook has the same cells, so a batch of one name the same executions."""
    other = "nb-" + "7" * 32

    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        await store.create(other, None)
        theirs = ExecutionAccepted(other, "e1", "e1", "a", "ef" * 32)
        await store.append([accepted("e1"), theirs])
        await store.append([ExecutionFinished(other, "e1", b"theirs")])
        assert await store.find_execution("e1", NB) == StoredExecution(accepted("e1"), None)
        assert await store.find_execution("e1", other) == StoredExecution(theirs, b"theirs")
        assert await store.find_execution("e1") == StoredExecution(theirs, b"theirs")
        await store.append([ExecutionFinished(NB, "e1", b"ours")])
        ours = await store.find_execution("e1", NB)
        assert ours == StoredExecution(accepted("e1"), b"ours")
        for notebook in (NB, other):
            stored = await store.load(notebook)
            assert stored is not None
            assert (stored.unfinished, stored.taken) == ((), {"e1": "e1"})

    world.run(scenario)


def test_how_an_execution_was_admitted_is_kept_until_its_end(world: World) -> None:
    admitted = replace(accepted("e1"), admission=b'{"status": "queued"}')

    async def admit(store: Store) -> None:
        await store.create(NB, None)
        await store.append([admitted])

    async def end(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert stored.unfinished == (admitted,)
        await store.append([ExecutionFinished(NB, "e1", b"done")])
        found = await store.find_execution("e1")
        assert found == StoredExecution(accepted("e1"), b"done")

    world.run(admit)
    world.run(end)


def test_an_execution_that_runs_as_another_shares_its_end(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        await store.append([accepted("e1"), accepted("again", runs_as="e1")])
        stored = await store.load(NB)
        assert stored is not None
        assert stored.unfinished == (accepted("e1"), accepted("again", runs_as="e1"))
        await store.append([ExecutionFinished(NB, "e1", b"done")])
        found = await store.find_execution("again")
        assert found == StoredExecution(accepted("again", runs_as="e1"), b"done")
        stored = await store.load(NB)
        assert stored is not None
        assert stored.unfinished == ()

    world.run(scenario)


def test_a_notebook_is_loaded_with_every_execution_id_it_ever_accepted(world: World) -> None:
    async def write(store: Store) -> None:
        await store.create(NB, None)
        await store.append([accepted("e1"), accepted("again", runs_as="e1")])
        await store.append([ExecutionFinished(NB, "e1", b"done")])
        await store.append([ExecutionAccepted(OTHER, "theirs", "theirs", "cell", "ab" * 32)])

    async def read(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert stored.taken == {"e1": "e1", "again": "e1"}

    world.run(write)
    world.run(read)


def test_a_path_belongs_to_the_notebook_that_took_it_last(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, "/a.ipynb")
        await store.create(OTHER, "/b.ipynb")
        await store.set_path(OTHER, "/a.ipynb")
        assert await store.find_path("/a.ipynb") == OTHER
        assert await store.find_path("/b.ipynb") is None
        paths = {each.document: each.path for each in await store.known()}
        assert paths == {NB: None, OTHER: "/a.ipynb"}
        await store.append([FileRecorded(NB, "/a.ipynb", SHA, CONTENT)])
        assert await store.find_path("/a.ipynb") == NB
        await store.set_path(NB, None)
        assert await store.find_path("/a.ipynb") is None

    world.run(scenario)


def test_creating_at_a_path_that_is_taken_is_refused_and_repeating_a_creation_is_not(
    world: World,
) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, "/a.ipynb")
        await store.create(NB, "/a.ipynb")
        with pytest.raises(StoreError):
            await store.create(OTHER, "/a.ipynb")
        with pytest.raises(StoreError):
            await store.create(NB, "/b.ipynb")
        assert await store.known() == [KnownNotebook(NB, "/a.ipynb")]
        await store.append([UpdateStored(NB, b"the store goes on")])

    world.run(scenario)


def test_what_names_an_unknown_notebook_is_refused_whole_and_the_store_goes_on(
    world: World,
) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        with pytest.raises(NotebookNotFound):
            await store.set_path(OTHER, "/a.ipynb")
        refused = store.append(
            [UpdateStored(NB, b"no"), FileRecorded(OTHER, "/a.ipynb", SHA, CONTENT)]
        )
        good = store.append([UpdateStored(NB, b"yes")])
        with pytest.raises(NotebookNotFound):
            await refused
        await good
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == (b"yes",)

    world.run(scenario)


def test_a_path_that_is_no_unicode_is_refused_and_the_store_goes_on(world: World) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(StoreError, match="not valid Unicode"):
            await store.create(NB, "/\udcff.ipynb")
        assert await store.find_path("/\udcff.ipynb") is None
        await store.create(NB, "/é 😀.ipynb")
        assert await store.find_path("/é 😀.ipynb") == NB

    world.run(scenario)


def test_futures_are_done_in_the_order_of_their_appends(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        done: list[int] = []
        futures = [store.append([UpdateStored(NB, b"%d" % number)]) for number in range(300)]
        numbers = {future: number for number, future in enumerate(futures)}
        for future in futures:
            future.add_done_callback(lambda each: done.append(numbers[each]))
        await asyncio.gather(*futures)
        await asyncio.sleep(0)  # since 3.12 gathering what is done gives the loop no turn
        assert done == list(range(300))
        assert store.backlog_bytes == 0
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == tuple(b"%d" % number for number in range(300))

    world.run(scenario)


def test_a_cancelled_wait_neither_undoes_the_write_nor_harms_the_next(world: World) -> None:
    async def scenario(store: Store) -> None:
        await store.create(NB, None)
        store.append([UpdateStored(NB, b"kept")]).cancel()
        await store.append([UpdateStored(NB, b"next")])
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == (b"kept", b"next")

    world.run(scenario)


def test_closing_makes_what_was_appended_durable_and_ends_the_store(world: World) -> None:
    async def write(store: Store) -> None:
        await store.create(NB, None)
        future = store.append([UpdateStored(NB, b"last words")])
        await store.close()
        await future
        with pytest.raises(StoreFailed):
            await store.append([UpdateStored(NB, b"too late")])
        with pytest.raises(StoreFailed):
            await store.load(NB)

    async def read(store: Store) -> None:
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == (b"last words",)

    world.run(write)
    world.run(read)


def test_the_memory_store_loses_in_a_crash_exactly_what_was_not_durable() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await store.create(NB, None)
        store.hold()
        first = store.append([UpdateStored(NB, b"first")])
        second = store.append([UpdateStored(NB, b"second")])
        assert store.backlog_bytes == 11
        store.release(1)
        await first
        assert not second.done()
        survivor = store.crashed()
        store.fail()
        with pytest.raises(StoreFailed):
            await second
        with pytest.raises(StoreFailed):
            await store.append([UpdateStored(NB, b"third")])
        stored = await survivor.load(NB)
        assert stored is not None
        assert stored.updates == (b"first",)

    asyncio.run(scenario())
