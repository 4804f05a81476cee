"""Durable state in one SQLite database.

Floor 4, implements `ports.Store`. Its parts: `store_schema` (tables, versions, which files are
refused), `store_rows` (records as rows), `store_reading` (rows as notebooks), `store_writer` (the
writing thread and its group commit).

What is promised, and by what:

* Durable means fsynced: the write-ahead log is synced by every COMMIT (synchronous=FULL), and a
  future is done only after that. A killed process or a lost machine keeps what was confirmed.
* One order: everything that writes goes through one queue. A reading sees everything that was
  written before it was asked for, and waits for that if need be.
* Loud: after a write that failed nothing is ever written or confirmed again by this object. The
  way on is a new one, opened when the disk is well. Reading goes on as far as the disk allows.
* The last line against silent damage is a checksum on every row: see `store_reading`, and
  `store_quarantine` for what becomes of damaged ones.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from headway.core.room.effects import FileRecorded, Record
from headway.edges.clock import SystemClock
from headway.edges.ports import Clock, KnownNotebook, StoredExecution, StoredNotebook
from headway.edges.store_quarantine import Damage
from headway.edges.store_reading import read_execution, read_notebook, read_notices
from headway.edges.store_references import find_referenced
from headway.edges.store_rows import (
    Compacted,
    Entry,
    NotebookCreated,
    PathSet,
    Quarantined,
    payload_bytes,
)
from headway.edges.store_schema import failure, open_reader
from headway.edges.store_upkeep import OrphansGone, Shrunk, is_shrinkable, plan_forgetting
from headway.edges.store_writer import Job, Writer
from headway.errors import HeadwayError, StoreDamaged, StoreError, StoreFailed
from headway.ids import DocumentId, ExecutionId

__all__ = ["SqliteStore", "refusal_of_path"]

_LOG = logging.getLogger("headway.store")

T = TypeVar("T")

LEND_AFTER_S = 0.002
"""After this long without a commit reported the loop's thread begins to lend."""

LEND_S = 50e-6
"""For how long it lends the interpreter lock, once each LEND_AFTER_S: 2.5 % of its time."""


def refusal_of_path(path: str | None) -> StoreError | None:
    """Why the store cannot hold this path: it must be Unicode text. None when it can."""
    try:
        (path or "").encode()
    except UnicodeEncodeError:
        return StoreError(
            f"The path {path!a} is not valid Unicode. Rename the file or folder.", path=ascii(path)
        )
    return None


class SqliteStore:
    """The store in the SQLite database at `path`. Made by `open`; used on one event loop.

    Raises, besides what `ports.Store` says: StoreError from `create` when the id or the path is
    another notebook's already; NotebookNotFound from `set_path`, and from the future of an
    append with a FileRecorded, when the notebook was never created. These change nothing.
    """

    def __init__(
        self, path: Path, writer: Writer, reader: sqlite3.Connection, clock: Clock
    ) -> None:
        self._path = path
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._reader = reader
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="headway-store-reader")
        self._backlog_bytes = 0
        self._under_way = 0
        self._progress_s = 0.0
        self._lending = False
        self._notices: tuple[str, ...] = ()
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path, clock: Clock | None = None, *, prove_seq: int | None = None
    ) -> SqliteStore:
        """Open the store, or make it; its folder must be there.

        With `prove_seq`, the number of the last update known to be durable, it is opened only if
        it proves that it holds that and that there is room for more.

        Raises StoreTooNew, and StoreFailed for a file that is damaged, of another program, or
        cannot be used; such a file is left as it is.
        """
        writer, reader = await asyncio.to_thread(_open_both, path, prove_seq)
        store = cls(path, writer, reader, clock or SystemClock())
        writer.start(store._loop, store._settle)
        await store._read_notices()
        return store

    async def reopened(self) -> SqliteStore:
        """Close this store, which failed, and open its file anew; it must prove itself.

        May be called again when that failed. Raises what `open` does.
        """
        await self.close()
        return await SqliteStore.open(self._path, self._clock, prove_seq=self._writer.durable_seq)

    @property
    def backlog_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return self._backlog_bytes

    def append(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Append records, all or none, after everything appended before; never blocks."""
        return self._append(tuple(records))

    async def create(self, document: DocumentId, path: str | None) -> None:
        """Note a new notebook; durable on return."""
        await self._append((NotebookCreated(document, path, self._clock.now().wall_s),))

    async def set_path(self, document: DocumentId, path: str | None) -> None:
        """The notebook's file is there now, and no other's is; durable on return."""
        await self._append((PathSet(document, path),))

    def compact(self, document: DocumentId, snapshot: bytes) -> asyncio.Future[None]:
        """Replace what was appended of a document up to this call by a full snapshot of it."""
        return self._append((Compacted(document, snapshot),))

    async def load(self, document: DocumentId) -> StoredNotebook | None:
        """Everything sound of one notebook, or None; StoreDamaged if its history is lost."""
        found = await self._read(lambda: read_notebook(self._reader, document))
        if found is not None and found.damage:
            await self._put_aside(document, found.damage)
            found = await self._read(lambda: read_notebook(self._reader, document))
        if found is None:
            return None
        if found.is_lost:
            raise StoreDamaged(
                f"The history of notebook {document} was damaged on the disk and cannot be read. "
                f"It is kept apart in {self._path}. Open its file to go on with that.",
                path=str(self._path),
                document=document,
                damaged=list(found.notebook.notices),
            )
        return found.notebook

    async def find_execution(
        self, execution_id: ExecutionId, notebook: DocumentId | None = None
    ) -> StoredExecution | None:
        """An execution by id; its record is that of the execution it runs as."""
        found = await self._read(lambda: read_execution(self._reader, execution_id, notebook))
        if found is None:
            return None
        stored, damage = found
        if damage:
            await self._put_aside(stored.accepted.notebook, damage)
        return stored

    async def find_path(self, path: str) -> DocumentId | None:
        """The notebook whose file is at `path` (absolute, resolved)."""
        if refusal_of_path(path) is not None:
            return None
        return await self._find("SELECT id FROM documents WHERE path = ?", path)

    async def find_runtime(self, runtime: DocumentId) -> DocumentId | None:
        """The notebook whose current runtime document this is."""
        return await self._find("SELECT notebook FROM runtimes WHERE runtime = ?", runtime)

    async def known(self) -> list[KnownNotebook]:
        """Every notebook of the store, the oldest first."""
        query = "SELECT id, path FROM documents ORDER BY created_s, id"
        rows = await self._read(lambda: self._reader.execute(query).fetchall())
        return [KnownNotebook(document, path) for document, path in rows]

    async def tidy(self) -> int:
        """Forget what is older than the rules of `store_upkeep` keep, and give space back."""
        now_ms = int(self._clock.now().wall_s * 1000)
        plan = await asyncio.to_thread(plan_forgetting, self._path, now_ms)
        for each in plan:
            await self._append((each,))
        await self._append((OrphansGone(),))
        while await self._read(lambda: is_shrinkable(self._reader)):
            await self._append((Shrunk(),))
        return sum(len(each.executions) for each in plan)

    async def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        """Those of `blobs` that anything stored may refer to; StoreError if that is unknown.

        A process of its own looks: it reads everything there is, and must hold up nobody.
        """
        await self._append(())
        return await find_referenced(self._path, blobs)

    def notices(self) -> tuple[str, ...]:
        """What was found damaged and is kept apart."""
        return self._notices

    async def close(self) -> None:
        """Make everything appended durable and let go of the files. Later calls fail."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._reading.shutdown)
        self._reader.close()
        # The writer goes last: the last connection to close is the one that can tidy the log.
        await asyncio.to_thread(self._writer.finish)

    def _append(self, entries: tuple[Entry, ...]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        refusal = self._refusal(entries)
        if refusal is not None:
            future.set_exception(refusal)
            return future
        size = sum(map(payload_bytes, entries))
        self._backlog_bytes += size
        if self._under_way == 0:
            self._progress_s = self._loop.time()
        self._under_way += 1
        self._writer.put(Job(entries, size, future))
        if not self._lending:
            self._lending = True
            self._loop.call_later(LEND_AFTER_S, self._lend)
        return future

    async def _put_aside(self, notebook: DocumentId, damage: tuple[Damage, ...]) -> None:
        names = [each.what for each in damage]
        fields = {"document": notebook, "damaged": names}
        _LOG.error("damage was found in the store and put aside", extra={"fields": fields})
        await self._append((Quarantined(notebook, damage, self._clock.now().wall_s),))
        await self._read_notices()

    async def _read_notices(self) -> None:
        self._notices = await self._read(lambda: read_notices(self._reader, None))

    def _lend(self) -> None:
        """Let the writing thread have the interpreter lock while the loop is never idle.

        A loop with something to do at all times gives the lock up only for an instant in each
        select(), too short for a waiting thread to wake up, but often enough that the thread's
        own claim (after a switch interval without any release) is put off again and again: 5 to
        18 s for one append were measured. A real nap, now and then, bounds it. An idle loop, or
        commits that come, need none.
        """
        if not self._under_way:
            self._lending = False
            return
        if self._loop.time() - self._progress_s >= LEND_AFTER_S:
            time.sleep(LEND_S)
        self._loop.call_later(LEND_AFTER_S, self._lend)

    def _refusal(self, entries: tuple[Entry, ...]) -> HeadwayError | None:
        if self._closed:
            return self._closed_error()
        if self._writer.failure is not None:
            return _again(self._writer.failure)
        for entry in entries:
            if isinstance(entry, FileRecorded | NotebookCreated | PathSet):
                refusal = refusal_of_path(entry.path)
                if refusal is not None:
                    return refusal
        return None

    def _settle(self, group: Sequence[Job]) -> None:
        self._progress_s = self._loop.time()
        for job in group:
            self._backlog_bytes -= job.payload_bytes
            self._under_way -= 1
            if job.future.done():
                continue  # Whoever waited was cancelled; the write stands.
            if job.error is None:
                job.future.set_result(None)
            else:
                job.future.set_exception(_again(job.error))

    async def _find(self, query: str, value: str) -> DocumentId | None:
        row = await self._read(lambda: self._reader.execute(query, (value,)).fetchone())
        return None if row is None else str(row[0])

    async def _read(self, read: Callable[[], T]) -> T:
        """Run `read` in the reading thread, of one instant, after all that was appended before."""
        if self._closed:
            raise self._closed_error()
        if self._under_way:
            barrier = self._append(())
            await asyncio.wait([barrier])
            # A failed write is its owner's to hear of; what was durable before can be read.
            barrier.exception()
            if self._closed:
                raise self._closed_error()
        return await self._loop.run_in_executor(self._reading, self._read_now, read)

    def _read_now(self, read: Callable[[], T]) -> T:
        try:
            self._reader.execute("BEGIN")
            try:
                return read()
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            failed = failure(self._path, error, "it was read")
            if str(failed.data["reason"]).startswith("SQLITE_CORRUPT"):
                raise StoreDamaged(failed.message, **failed.data) from error
            raise failed from error

    def _closed_error(self) -> StoreFailed:
        return StoreFailed(
            f"The store {self._path} is closed.", path=str(self._path), reason="CLOSED"
        )


def _open_both(path: Path, prove_seq: int | None) -> tuple[Writer, sqlite3.Connection]:
    writer = Writer(path)
    try:
        if prove_seq is not None:
            writer.prove(prove_seq)
        return writer, open_reader(path)
    except HeadwayError:
        writer.finish()
        raise
    except sqlite3.Error as error:
        writer.finish()
        raise failure(path, error, "it was opened for reading") from error


def _again(error: HeadwayError) -> HeadwayError:
    """The same error as an object of its own: one exception is raised in one place only."""
    return type(error)(error.message, **error.data)
