from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from pathlib import Path

import pytest

from headway.core.room.effects import ExecutionFinished
from headway.daemon import upkeep
from headway.daemon.ports import Outside
from headway.daemon.upkeep import BLOB_GRACE_S, Upkeep
from headway.edges import store_references
from headway.edges.blobs import FileBlobs
from headway.edges.memory import FakeClock, MemoryFiles
from headway.edges.memory_environments import MemoryEnvironments
from headway.edges.memory_kernels import MemoryKernels
from headway.edges.memory_watch import MemoryWatching
from headway.edges.store import SqliteStore
from headway.edges.store_references import find_referenced
from headway.errors import StoreError, StoreFailed

NOW_S = 1_800_000_000.0
NB = "nb-" + "1" * 32


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class House:
    """A store and blobs of an earlier process, and the upkeep of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: SqliteStore
        self.blobs: FileBlobs

    async def open(self) -> Upkeep:
        clock = FakeClock(wall_s=NOW_S)
        self.store = await SqliteStore.open(self.folder / "store.db", clock)
        self.blobs = FileBlobs(self.folder / "blobs")
        outside = Outside(
            store=self.store,
            blobs=self.blobs,
            files=MemoryFiles(),
            watching=MemoryWatching(),
            kernels=MemoryKernels(),
            environments=MemoryEnvironments(),
            clock=clock,
            entropy=os.urandom,
        )
        return Upkeep(outside, lambda: True)

    def put(self, data: bytes, age_s: float) -> str:
        earlier = FileBlobs(self.folder / "blobs")
        earlier.put_now(name_of(data), data)
        at_s = NOW_S - age_s
        os.utime(earlier._path(name_of(data)), (at_s, at_s))
        return name_of(data)


def test_only_what_nothing_refers_to_and_is_old_enough_is_removed(tmp_path: Path) -> None:
    house = House(tmp_path)
    used = house.put(b"used", 2 * BLOB_GRACE_S)
    unused = house.put(b"unused", 2 * BLOB_GRACE_S)
    young = house.put(b"young", BLOB_GRACE_S / 2)

    async def scenario() -> None:
        keeper = await house.open()
        await house.store.create(NB, None)
        record = f'{{"blob": "{used}"}}'.encode()
        await house.store.append([ExecutionFinished(NB, "e", record)])
        await keeper.one_round()
        assert [await house.blobs.get(each) for each in (used, unused, young)] == [
            b"used",
            None,
            b"young",
        ]
        await house.store.close()

    asyncio.run(scenario())


def test_while_anything_cannot_be_read_nothing_is_removed_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    unused = house.put(b"unused", 2 * BLOB_GRACE_S)

    async def scenario() -> None:
        keeper = await house.open()
        await house.store.create(NB, None)
        await house.store.append([ExecutionFinished(NB, "e", b"{}")])
        house.store._writer._connection.execute("UPDATE executions SET record = x'00'")
        with caplog.at_level(logging.WARNING):
            await keeper.one_round()
        assert await house.blobs.get(unused) == b"unused"
        await house.store.close()

    asyncio.run(scenario())
    assert "upkeep was not done" in caplog.text


@pytest.mark.parametrize("failure", [RuntimeError("can't start new thread"), OSError("no")])
def test_whatever_fails_in_a_round_is_logged_and_ends_nothing(
    failure: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        keeper = await House(tmp_path).open()

        async def tidy() -> int:
            raise failure

        keeper._outside.store.tidy = tidy  # type: ignore[method-assign]
        await keeper.one_round()
        await keeper._outside.store.close()

    asyncio.run(scenario())
    assert "the upkeep failed" in caplog.text
    assert str(failure) in caplog.text


def test_a_search_that_takes_too_long_or_cannot_start_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store_references, "_SEARCH_TIMEOUT_S", 0.0)
        with pytest.raises(StoreError, match="took longer"):
            asyncio.run(find_referenced(tmp_path / "store.db", [name_of(b"x")]))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(StoreError, match="could not be started"):
        asyncio.run(find_referenced(tmp_path / "store.db", [name_of(b"x")]))


def test_a_blob_that_cannot_be_removed_is_an_error_of_the_store(tmp_path: Path) -> None:
    house = House(tmp_path)
    name = house.put(b"unused", 2 * BLOB_GRACE_S)

    async def scenario() -> None:
        await house.open()
        place = house.blobs._path(name)
        place.unlink()
        place.mkdir()  # unlink fails with EISDIR
        os.utime(place, (0, 0))
        with pytest.raises(StoreFailed, match="could not be removed"):
            await house.blobs.remove([name], NOW_S)
        await house.store.close()

    asyncio.run(scenario())


def test_a_blob_that_is_put_while_references_are_looked_for_stays(tmp_path: Path) -> None:
    house = House(tmp_path)
    name = house.put(b"again", 2 * BLOB_GRACE_S)

    async def scenario() -> None:
        keeper = await house.open()
        look = house.store.referenced

        async def and_meanwhile(blobs: frozenset[str]) -> frozenset[str]:
            found = await look(blobs)
            assert found == frozenset()
            await house.blobs.put(name, b"again")
            return found

        house.store.referenced = and_meanwhile  # type: ignore[method-assign, assignment]
        await keeper.one_round()
        assert await house.blobs.get(name) == b"again"
        await house.store.close()

    asyncio.run(scenario())


def test_a_round_waits_until_nothing_is_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP_FIRST_S", 0.0)
    monkeypatch.setattr(upkeep, "_LOOK_AGAIN_S", 0.0)

    async def scenario() -> None:
        keeper = await House(tmp_path).open()
        asked, done = 0, asyncio.Event()

        def is_idle() -> bool:
            nonlocal asked
            asked += 1
            return asked > 3

        async def one_round() -> None:
            done.set()

        keeper._is_idle = is_idle
        keeper.one_round = one_round  # type: ignore[method-assign]
        running = asyncio.ensure_future(keeper.run())
        async with asyncio.timeout(10):
            await done.wait()
        running.cancel()
        await asyncio.wait([running])
        assert asked == 4
        await keeper._outside.store.close()

    asyncio.run(scenario())
