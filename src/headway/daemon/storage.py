"""What is on its way to the disk: one lane for each room, one backlog for the daemon.

Floor 5. A lane keeps a room's order: a blob is durable before any later record is appended, and
records are appended in the order they were asked for. Nothing here decides what is stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from headway.core.room.effects import Compact, Persist, StoreBlob
from headway.core.room.inputs import Persisted, PersistFailed
from headway.edges.ports import Blobs, Store
from headway.edges.store_rows import payload_bytes
from headway.errors import HeadwayError, StoreFailed

__all__ = ["BACKLOG_MAX_BYTES", "BLOBS_AT_ONCE", "LANE_MAX_BYTES", "Backlog", "StorageLane"]

BACKLOG_MAX_BYTES = 32 * 1024 * 1024
"""While more than this waits for the disk, no connection is read from."""

LANE_MAX_BYTES = 8 * 1024 * 1024
"""While more blobs of one room than this wait for the disk, its kernel is not listened to."""

BLOBS_AT_ONCE = 3
"""How many blobs of one room are written at the same time: half of the process's worker threads,
so that others find one."""

_RECHECK_S = 1.0


class Backlog:
    """How many bytes wait for the disk, over all rooms."""

    def __init__(self, store: Store, *, max_bytes: int = BACKLOG_MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._held = 0
        self._changed = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        """Bytes taken and not yet durable."""
        return self._held + self._store.backlog_bytes

    @property
    def is_full(self) -> bool:
        """Whether readers must pause."""
        return self.waiting_bytes > self._max_bytes

    def hold(self, count: int) -> None:
        """`count` more bytes wait in a lane (negative: fewer)."""
        self._held += count
        if count < 0:
            self.settled()

    def settled(self) -> None:
        """Something became durable, or never will."""
        if not self.is_full:
            self._changed.set()

    async def wait_for_space(self) -> None:
        """Return once no more waits than the bound."""
        while self.is_full:
            self._changed.clear()
            try:
                # The bound on this wait is a belt: every append reports when it settles.
                async with asyncio.timeout(_RECHECK_S):
                    await self._changed.wait()
            except TimeoutError:
                continue


class StorageLane:
    """One room's blobs and records, in order.

    Args:
        store: Where records go.
        blobs: Where blobs go.
        backlog: Told of what waits here.
        settled: Takes `Persisted` or `PersistFailed`, once for each `persist`.
        pressed: Told whether more waits than `LANE_MAX_BYTES`, whenever that changes.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        backlog: Backlog,
        settled: Callable[[Persisted | PersistFailed], None],
        pressed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._backlog = backlog
        self._settled = settled
        self._pressed = pressed
        self._waiting_bytes = 0
        self._queue: deque[Persist | Compact | StoreBlob] = deque()
        self._busy = False
        self._appended = 0
        self._durable_token: int | None = None
        self._ready: list[Persist | Compact] = []
        self._error: HeadwayError | None = None
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def persist(self, effect: Persist) -> None:
        """Append records once every blob given before is durable; never blocks."""
        self._enqueue(effect)

    def compact(self, effect: Compact) -> None:
        """Replace a document's rows by a snapshot, after every record given before; never blocks.

        Nothing waits for it: if it fails the document keeps its longer tail.
        """
        self._enqueue(effect)

    def _enqueue(self, effect: Persist | Compact) -> None:
        self._empty.clear()
        if self._queue or self._busy:
            self._queue.append(effect)
            self._wake.set()
        else:
            self._append(effect)

    def store_blob(self, effect: StoreBlob) -> None:
        """Store a blob; later records wait for it; never blocks."""
        self._empty.clear()
        self._queue.append(effect)
        self._count(len(effect.data))
        self._wake.set()

    def _count(self, more: int) -> None:
        was_pressed = self._waiting_bytes > LANE_MAX_BYTES
        self._waiting_bytes += more
        self._backlog.hold(more)
        is_pressed = self._waiting_bytes > LANE_MAX_BYTES
        if is_pressed != was_pressed:
            self._pressed(is_pressed)

    async def wait_until_empty(self) -> None:
        """Return once everything given so far is durable or has failed."""
        await self._empty.wait()

    async def run(self) -> None:
        """Move the queue along, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._busy = True
            while self._queue:
                head = self._queue[0]
                if isinstance(head, StoreBlob):
                    await self._put(self._leading_blobs())
                else:
                    self._queue.popleft()
                    self._append(head)
            self._busy = False
            self._check_empty()

    def _leading_blobs(self) -> list[StoreBlob]:
        blobs: list[StoreBlob] = []
        while self._queue and len(blobs) < BLOBS_AT_ONCE:
            head = self._queue[0]
            if not isinstance(head, StoreBlob):
                break
            blobs.append(head)
            self._queue.popleft()
        return blobs

    async def _put(self, blobs: list[StoreBlob]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for blob in blobs:
                    tasks.create_task(self._blobs.put(blob.sha256, blob.data))
        except* Exception as group:  # noqa: BLE001 - whatever it was, nothing was made durable
            self._error = _as_store_error(_first(group), "A blob could not be stored")
        finally:
            self._count(-sum(len(blob.data) for blob in blobs))

    def _append(self, effect: Persist | Compact) -> None:
        """Give it to the store at the end of this turn of the loop.

        What one turn asks for (an edit and the execution that builds on it, say) is one group
        there, and one fsync.
        """
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._ready.append(effect)
        self._backlog.hold(_size(effect))

    def _hand_over(self) -> None:
        ready, self._ready = self._ready, []
        for effect in ready:
            self._begin(effect)
            self._backlog.hold(-_size(effect))

    def _begin(self, effect: Persist | Compact) -> None:
        if self._error is not None:
            if isinstance(effect, Persist):
                self._settled(PersistFailed(effect.token, self._error))
            self._check_empty()
            return
        self._appended += 1
        if isinstance(effect, Persist):
            future = self._store.append(effect.records)
            future.add_done_callback(partial(self._on_appended, effect.token))
        else:
            future = self._store.compact(effect.document, effect.snapshot)
            future.add_done_callback(self._on_compacted)

    def _on_compacted(self, future: asyncio.Future[None]) -> None:
        self._appended -= 1
        self._backlog.settled()
        if not future.cancelled():
            # A store that failed fails the next record too, and that one is heard of.
            future.exception()
        self._check_empty()

    def _on_appended(self, token: int, future: asyncio.Future[None]) -> None:
        self._appended -= 1
        self._backlog.settled()
        if future.cancelled():
            error: BaseException | None = StoreFailed("The store was closed before a write.")
        else:
            error = future.exception()
        if error is None:
            if self._durable_token is None:
                asyncio.get_running_loop().call_soon(self._report_durable)
            self._durable_token = token
        else:
            self._report_durable()
            self._error = self._error or _as_store_error(error, "The store failed")
            self._settled(PersistFailed(token, self._error))
        self._check_empty()

    def _report_durable(self) -> None:
        """Say it once for all that the store reported in one turn of the loop: a group commit."""
        token, self._durable_token = self._durable_token, None
        if token is not None:
            self._settled(Persisted(token))
            self._check_empty()

    def _check_empty(self) -> None:
        is_told = self._durable_token is None
        if is_told and not (self._queue or self._busy or self._ready or self._appended):
            self._empty.set()


def _size(effect: Persist | Compact) -> int:
    if isinstance(effect, Compact):
        return len(effect.snapshot)
    return sum(map(payload_bytes, effect.records))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _as_store_error(error: BaseException, what: str) -> HeadwayError:
    if isinstance(error, HeadwayError):
        return error
    return StoreFailed(f"{what}: {type(error).__name__}: {error}")
