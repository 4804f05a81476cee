"""A store that comes back by itself after it failed.

Floor 4, implements `ports.Store` around another one. A write that fails ends everything: whatever
was under way fails, and nothing is taken until the store has been opened anew and has proved what
it holds. Until then appends are refused at once; what reads or creates waits a while.

Why nothing is torn: a reopened store takes appends only after every append to the one before has
been reported, in order, and its owner told. An owner who lost an append hears of it before it can
append to the new one, and gives up; one who lost none has no gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, TypeVar

from headway.core.room.effects import Record
from headway.edges.ports import KnownNotebook, Store, StoredExecution, StoredNotebook
from headway.errors import HeadwayError, StoreError, StoreFailed
from headway.ids import DocumentId, ExecutionId

__all__ = [
    "REOPEN_DAMAGED_LONGEST_S",
    "REOPEN_FIRST_S",
    "REOPEN_LONGEST_S",
    "WAIT_FOR_STORE_S",
    "ReopeningStore",
]

REOPEN_FIRST_S = 0.05
"""A failed store is opened again after this long, then after twice as long, and so on."""

REOPEN_LONGEST_S = 0.4
"""The longest wait between two attempts: space that returns is used within a second."""

REOPEN_DAMAGED_LONGEST_S = 60.0
"""The same for a store that is damaged, or that fails as none should: that does not pass by itself,
and each attempt reads the whole file."""

WAIT_FOR_STORE_S = 0.8
"""How long a reading waits for a store that is being reopened, before it fails: a person who asks
while the disk is full is told so within a second."""

_LOG = logging.getLogger("headway.store")

AnyStore = TypeVar("AnyStore", bound=Store)
T = TypeVar("T")


class ReopeningStore(Generic[AnyStore]):
    """The store `first`, and after a failure its successor.

    Args:
        first: An open store.
        reopen: Closes the store it is given, which failed, and gives its proved successor. Tried
            until it succeeds, whatever it raises.
    """

    def __init__(self, first: AnyStore, reopen: Callable[[AnyStore], Awaitable[AnyStore]]) -> None:
        self._store = first
        self._reopen = reopen
        self._failure: HeadwayError | None = None
        self._working = asyncio.Event()
        self._working.set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def is_working(self) -> bool:
        """Whether writes are taken."""
        return self._working.is_set()

    @property
    def backlog_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return self._store.backlog_bytes

    def notices(self) -> tuple[str, ...]:
        """What a person should know about the store now."""
        failure = self._failure
        trouble = () if failure is None else (f"Nothing can be saved now: {failure}",)
        return (*trouble, *self._store.notices())

    def append(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Append records; refused at once while the store is being reopened."""
        return self._watched(lambda: self._store.append(records))

    def compact(self, document: DocumentId, snapshot: bytes) -> asyncio.Future[None]:
        """Replace what was appended of a document up to this call by a full snapshot of it."""
        return self._watched(lambda: self._store.compact(document, snapshot))

    async def create(self, document: DocumentId, path: str | None) -> None:
        """Note a new notebook; durable on return."""
        await self._write(lambda: self._store.create(document, path))

    async def set_path(self, document: DocumentId, path: str | None) -> None:
        """The notebook's file is there now; durable on return."""
        await self._write(lambda: self._store.set_path(document, path))

    async def load(self, document: DocumentId) -> StoredNotebook | None:
        """Everything of one notebook, or None."""
        # What it finds damaged is written aside, so it may meet a full disk.
        return await self._write(lambda: self._store.load(document))

    async def find_path(self, path: str) -> DocumentId | None:
        """The notebook whose file is at `path`."""
        await self._wait_until_working()
        return await self._store.find_path(path)

    async def find_execution(
        self, execution_id: ExecutionId, notebook: DocumentId | None = None
    ) -> StoredExecution | None:
        """An execution by id."""
        await self._wait_until_working()
        return await self._store.find_execution(execution_id, notebook)

    async def known(self) -> list[KnownNotebook]:
        """Every notebook of the store."""
        await self._wait_until_working()
        return await self._store.known()

    async def find_runtime(self, runtime: DocumentId) -> DocumentId | None:
        """The notebook whose current runtime document this is."""
        await self._wait_until_working()
        return await self._store.find_runtime(runtime)

    async def tidy(self) -> int:
        """Forget what is old, and give space back."""
        return await self._write(self._store.tidy)

    async def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        """Those of `blobs` that anything stored may refer to."""
        await self._wait_until_working()
        return await self._store.referenced(blobs)

    async def close(self) -> None:
        """Make everything appended durable and let go of the files."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._store.close()

    def _watched(self, begin: Callable[[], asyncio.Future[None]]) -> asyncio.Future[None]:
        if self._failure is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(self._refusal())
            return future
        future = begin()
        if future.done():
            self._on_settled(future)
        else:
            future.add_done_callback(self._on_settled)
        return future

    def _on_settled(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            self._consider(future.exception())

    async def _write(self, write: Callable[[], Awaitable[T]]) -> T:
        await self._wait_until_working()
        try:
            return await write()
        except StoreFailed as error:
            self._consider(error)
            raise

    def _consider(self, error: BaseException | None) -> None:
        if not isinstance(error, StoreFailed) or self._failure is not None or self._closed:
            return
        _LOG.error(
            "the store failed and will be reopened", extra={"fields": {"reason": str(error)}}
        )
        self._failure = error
        self._working.clear()
        self._task = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        wait_s = REOPEN_FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            try:
                self._store = await self._reopen(self._store)
            except Exception as error:  # noqa: BLE001 - or the store would never come back
                failure = _as_failure(error)
                if failure.message != getattr(self._failure, "message", ""):
                    fields = {"reason": str(failure)}
                    _LOG.warning(
                        "the store cannot be opened again yet",
                        extra={"fields": fields},
                        exc_info=None if failure is error else error,
                    )
                self._failure = failure
                wait_s = min(2 * wait_s, _longest_wait_s(failure))
                continue
            _LOG.warning("the store is open again")
            self._failure = None
            self._working.set()
            return

    async def _wait_until_working(self) -> None:
        if self._working.is_set():
            return
        try:
            async with asyncio.timeout(WAIT_FOR_STORE_S):
                await self._working.wait()
        except TimeoutError:
            # It may have begun to work in the last instant: then nothing is refused.
            if not self._working.is_set():
                raise self._refusal() from None

    def _refusal(self) -> HeadwayError:
        failure = self._failure
        assert failure is not None, "a store that works refuses nothing"
        return StoreFailed(failure.message, **failure.data)


def _as_failure(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    name = type(error).__name__
    return StoreError(
        f"The store could not be opened again, for a reason that nobody foresaw ({name}: {error}). "
        "Headway goes on trying; the daemon's log says more.",
        reason=name,
    )


def _longest_wait_s(failure: StoreError) -> float:
    may_pass = isinstance(failure, StoreFailed)
    is_corrupt = str(failure.data.get("reason")).startswith("SQLITE_CORRUPT")
    return REOPEN_LONGEST_S if may_pass and not is_corrupt else REOPEN_DAMAGED_LONGEST_S
