from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from headway.core.room.effects import UpdateStored
from headway.edges import store_reopening
from headway.edges.memory import MemoryStore
from headway.edges.store import SqliteStore
from headway.edges.store_reopening import ReopeningStore
from headway.errors import StoreDamaged, StoreFailed

NB = "nb-" + "1" * 32


class Disk:
    """A disk that is full until the test says otherwise."""

    def __init__(self) -> None:
        self.is_full = False
        self.failure: Exception = StoreFailed("The disk is still full.")
        self.attempts = 0
        self.tried = asyncio.Event()

    async def reopen(self, failed: MemoryStore) -> MemoryStore:
        self.attempts += 1
        self.tried.set()
        if self.is_full:
            raise self.failure
        return failed.crashed()


Scenario = Callable[[ReopeningStore[MemoryStore], MemoryStore, Disk], Awaitable[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reopening, "REOPEN_FIRST_S", 0.001)
    monkeypatch.setattr(store_reopening, "REOPEN_LONGEST_S", 0.002)


def run(scenario: Scenario) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            first, disk = MemoryStore(), Disk()
            store = ReopeningStore(first, disk.reopen)
            await store.create(NB, None)
            await scenario(store, first, disk)
            await store.close()

    asyncio.run(bounded())


def update(content: bytes) -> list[UpdateStored]:
    return [UpdateStored(NB, content)]


async def updates(store: ReopeningStore[MemoryStore]) -> tuple[bytes, ...]:
    stored = await store.load(NB)
    assert stored is not None
    return stored.updates


def test_after_a_failure_it_holds_what_it_confirmed_and_takes_more() -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        await store.append(update(b"confirmed"))
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        assert await updates(store) == (b"confirmed",)
        await store.append(update(b"new"))
        assert await updates(store) == (b"confirmed", b"new")
        assert store.notices() == ()

    run(scenario)


def test_while_the_disk_is_full_every_write_is_refused_at_once_and_the_status_says_so() -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        disk.is_full = True
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        for _ in range(3):
            disk.tried.clear()
            await disk.tried.wait()
            later = store.append(update(b"refused too"))
            assert later.done()
            assert isinstance(later.exception(), StoreFailed)
        assert not store.is_working
        assert "disk is still full" in store.notices()[0]
        disk.is_full = False
        assert await updates(store) == ()

    run(scenario)


def test_a_reading_waits_for_the_store_and_fails_when_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        disk.is_full = True
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        waiting = asyncio.ensure_future(store.known())
        disk.tried.clear()
        await disk.tried.wait()
        assert not waiting.done()
        disk.is_full = False
        assert [each.document for each in await waiting] == [NB]
        disk.is_full = True
        store._store.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        monkeypatch.setattr(store_reopening, "WAIT_FOR_STORE_S", 0.01)
        with pytest.raises(StoreFailed, match="still full"):
            await store.known()

    run(scenario)


def test_what_was_under_way_when_it_failed_is_refused_before_anything_is_taken_again() -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        first.hold()
        lost = [store.append(update(bytes([number]))) for number in range(5)]
        first.fail()
        refused = [each.exception() for each in (await asyncio.wait(lost))[0]]
        assert all(isinstance(each, StoreFailed) for each in refused)
        assert await updates(store) == ()

    run(scenario)


def test_a_refusal_that_is_no_failure_reopens_nothing() -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        with pytest.raises(Exception, match="no notebook"):
            await store.set_path("nb-unknown", "/a.ipynb")
        assert store.is_working
        assert disk.attempts == 0

    run(scenario)


def test_closing_while_the_disk_is_full_ends_the_attempts() -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        disk.is_full = True
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        await store.close()
        assert len(asyncio.all_tasks()) == 1

    run(scenario)


def test_an_error_that_nobody_foresaw_is_logged_and_told_and_the_store_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(store: ReopeningStore[MemoryStore], first: MemoryStore, disk: Disk) -> None:
        disk.is_full, disk.failure = True, RuntimeError("can't start new thread")
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        for _ in range(3):
            disk.tried.clear()
            await disk.tried.wait()
        assert "can't start new thread" in store.notices()[0]
        with pytest.raises(StoreFailed, match="start new thread"):
            await store.append(update(b"refused too"))
        disk.is_full = False
        assert await updates(store) == ()
        (logged,) = [each for each in caplog.records if each.exc_info is not None]
        assert "cannot be opened again yet" in logged.getMessage()

    run(scenario)


@pytest.mark.parametrize(
    ("failure", "waits_s"),
    [
        (StoreFailed("full", reason="SQLITE_FULL"), [1, 2, 4, 4, 4, 4]),
        (StoreFailed("malformed", reason="SQLITE_CORRUPT"), [1, 2, 4, 8, 10, 10]),
        (StoreDamaged("lost updates"), [1, 2, 4, 8, 10, 10]),
        (RuntimeError("odd"), [1, 2, 4, 8, 10, 10]),
    ],
)
def test_what_does_not_pass_by_itself_is_tried_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, waits_s: list[int]
) -> None:
    monkeypatch.setattr(store_reopening, "REOPEN_FIRST_S", 1)
    monkeypatch.setattr(store_reopening, "REOPEN_LONGEST_S", 4)
    monkeypatch.setattr(store_reopening, "REOPEN_DAMAGED_LONGEST_S", 10)
    slept_s: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept_s.append(delay_s)

    async def stop_after_all(failed: MemoryStore) -> MemoryStore:
        if len(slept_s) == len(waits_s):
            return failed.crashed()
        raise failure

    async def bounded() -> None:
        first = MemoryStore()
        store = ReopeningStore(first, stop_after_all)
        await store.create(NB, None)
        monkeypatch.setattr(asyncio, "sleep", sleep)
        first.fail()
        with pytest.raises(StoreFailed):
            await store.append(update(b"refused"))
        assert store._task is not None
        await store._task
        assert slept_s == waits_s
        await store.close()

    asyncio.run(bounded())


def test_a_store_that_lost_what_was_confirmed_is_not_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def scenario() -> None:
        store = await SqliteStore.open(path)
        await store.create(NB, None)
        await store.append([*update(b"one"), *update(b"two")])
        await store.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM updates WHERE seq = 2")
        with pytest.raises(StoreDamaged, match="lost updates"):
            await store.reopened()

    asyncio.run(scenario())


def test_a_store_that_is_sound_is_opened_again_and_goes_on_numbering(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        await store.append(update(b"one"))
        again = await store.reopened()
        await again.append(update(b"two"))
        stored = await again.load(NB)
        assert stored is not None
        assert stored.updates == (b"one", b"two")
        await again.close()

    asyncio.run(scenario())
