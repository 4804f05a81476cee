from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from headway.core.room.effects import Compact, Persist, StoreBlob, UpdateStored
from headway.core.room.inputs import Persisted, PersistFailed
from headway.daemon.storage import BLOBS_AT_ONCE, LANE_MAX_BYTES, Backlog, StorageLane
from headway.edges.memory import MemoryBlobs, MemoryStore
from headway.errors import StoreFailed

NB = "nb-1"


class SlowBlobs(MemoryBlobs):
    """Blobs that become durable when the test says so, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.may_finish = asyncio.Event()
        self.error: Exception | None = None
        self.under_way = 0
        self.most_at_once = 0

    async def put(self, sha256: str, data: bytes) -> None:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await self.may_finish.wait()
        self.under_way -= 1
        if self.error is not None:
            raise self.error
        await super().put(sha256, data)


class Lane:
    """A lane with what it settled, in order."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.blobs = SlowBlobs()
        self.backlog = Backlog(self.store, max_bytes=100)
        self.settled: list[Persisted | PersistFailed] = []
        self.pressed: list[bool] = []
        self.lane = StorageLane(
            self.store, self.blobs, self.backlog, self.settled.append, self.pressed.append
        )

    def persist(self, token: int, content: bytes = b"x") -> None:
        self.lane.persist(Persist(token, (UpdateStored(NB, content),)))

    def blob(self, data: bytes) -> None:
        self.lane.store_blob(StoreBlob(hashlib.sha256(data).hexdigest(), data))

    @property
    def tokens(self) -> list[int]:
        return [each.token for each in self.settled]


@pytest.mark.parametrize(
    "error", [OSError("no space"), RuntimeError("can't start new thread"), MemoryError()]
)
def test_whatever_a_blob_fails_with_fails_the_records_behind_it(error: Exception) -> None:
    async def scenario(lane: Lane) -> None:
        lane.blobs.error = error
        lane.blobs.may_finish.set()
        lane.blob(b"one")
        lane.persist(1)
        await lane.lane.wait_until_empty()
        (failed,) = lane.settled
        assert isinstance(failed, PersistFailed)
        assert isinstance(failed.error, StoreFailed)
        assert type(error).__name__ in str(failed.error)

    run(scenario)


def run(scenario: Callable[[Lane], Awaitable[None]]) -> None:
    async def bounded() -> None:
        lane = Lane()
        await lane.store.create(NB, None)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(lane.lane.run())
            await scenario(lane)
            running.cancel()

    asyncio.run(bounded())


def test_records_are_appended_in_order_and_the_last_of_a_turn_is_reported_for_all() -> None:
    async def scenario(lane: Lane) -> None:
        for token in range(5):
            lane.persist(token, bytes([token]))
        await lane.lane.wait_until_empty()
        assert lane.tokens == [4]
        stored = await lane.store.load(NB)
        assert stored is not None
        assert stored.updates == tuple(bytes([token]) for token in range(5))

    run(scenario)


def test_a_blob_is_durable_before_any_later_record_and_those_before_it_do_not_wait() -> None:
    async def scenario(lane: Lane) -> None:
        lane.persist(1, b"before")
        lane.blob(b"blob")
        lane.persist(2, b"names the blob")
        lane.persist(3, b"after")
        while lane.tokens != [1]:
            await asyncio.sleep(0)
        stored = await lane.store.load(NB)
        assert stored is not None
        assert stored.updates == (b"before",)
        lane.blobs.may_finish.set()
        await lane.lane.wait_until_empty()
        assert lane.tokens == [1, 3]
        assert await lane.blobs.get(hashlib.sha256(b"blob").hexdigest()) == b"blob"

    run(scenario)


def test_blobs_that_follow_one_another_are_written_together_up_to_a_bound() -> None:
    async def scenario(lane: Lane) -> None:
        for number in range(20):
            lane.blob(bytes([number]))
        lane.persist(1)
        while lane.blobs.most_at_once < BLOBS_AT_ONCE:
            await asyncio.sleep(0)
        lane.blobs.may_finish.set()
        await lane.lane.wait_until_empty()
        assert lane.blobs.most_at_once == BLOBS_AT_ONCE
        assert lane.tokens == [1]

    run(scenario)


def test_a_lane_tells_when_more_waits_than_it_may_and_when_no_longer() -> None:
    async def scenario(lane: Lane) -> None:
        lane.blob(b"1" * (LANE_MAX_BYTES // 2))
        assert lane.pressed == []
        lane.blob(b"2" * (LANE_MAX_BYTES // 2 + 1))
        lane.blob(b"3")
        assert lane.pressed == [True]
        lane.blobs.may_finish.set()
        await lane.lane.wait_until_empty()
        assert lane.pressed == [True, False]
        lane.blobs.error = StoreFailed("The disk is full.")
        lane.blob(b"4" * (LANE_MAX_BYTES + 1))
        await lane.lane.wait_until_empty()
        assert lane.pressed == [True, False, True, False]

    run(scenario)


def test_a_blob_that_cannot_be_stored_fails_every_later_record() -> None:
    async def scenario(lane: Lane) -> None:
        for error in (StoreFailed("The disk is full."), OSError(28, "No space left")):
            lane.blobs.error = error
            lane.blobs.may_finish.set()
            lane.blob(b"blob")
            lane.persist(1)
            await lane.lane.wait_until_empty()
            assert isinstance(lane.settled[-1], PersistFailed)
            assert isinstance(lane.settled[-1].error, StoreFailed)
            lane.persist(2)
            await lane.lane.wait_until_empty()
            assert isinstance(lane.settled[-1], PersistFailed)

    run(scenario)


def test_a_store_that_fails_fails_the_record_and_all_after_it() -> None:
    async def scenario(lane: Lane) -> None:
        lane.store.fail()
        lane.persist(1)
        lane.persist(2)
        await lane.lane.wait_until_empty()
        assert [type(each) for each in lane.settled] == [PersistFailed, PersistFailed]

    run(scenario)


def test_a_full_backlog_makes_readers_wait_until_it_drains() -> None:
    async def scenario(lane: Lane) -> None:
        await lane.backlog.wait_for_space()
        lane.store.hold()
        lane.persist(1, bytes(80))
        assert not lane.backlog.is_full
        lane.blob(bytes(81))
        assert lane.backlog.is_full
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(lane.backlog.wait_for_space())
            await asyncio.sleep(0)
            assert not waiting.done()
            lane.blobs.may_finish.set()
            lane.store.release()
            await waiting
        assert lane.backlog.waiting_bytes <= 100

    run(scenario)


def test_a_compaction_keeps_its_place_between_the_records() -> None:
    async def scenario(lane: Lane) -> None:
        lane.blob(b"image")
        lane.persist(1, b"before")
        lane.lane.compact(Compact(NB, b"all of it"))
        lane.persist(2, b"after")
        lane.blobs.may_finish.set()
        await lane.lane.wait_until_empty()
        assert lane.tokens == [2]
        stored = await lane.store.load(NB)
        assert stored is not None
        assert (stored.snapshot, stored.updates) == (b"all of it", (b"after",))

    run(scenario)


def test_a_compaction_that_fails_settles_nothing_and_is_not_waited_for() -> None:
    async def scenario(lane: Lane) -> None:
        lane.persist(1)
        await lane.lane.wait_until_empty()
        lane.store.fail()
        lane.lane.compact(Compact(NB, b"all of it"))
        await lane.lane.wait_until_empty()
        lane.persist(2)
        lane.lane.compact(Compact(NB, b"never"))
        await lane.lane.wait_until_empty()
        assert [type(each) for each in lane.settled] == [Persisted, PersistFailed]

    run(scenario)
