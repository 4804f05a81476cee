"""The one thread that writes the store, and its group commit.

Floor 4, part of `store`. Jobs wait in a queue; the thread takes all that are there, writes them
in one transaction, and reports the whole group to the event loop by one call. So a lone append
costs one fsync and a hundred at once cost one fsync too. Nothing is delayed to make groups
larger: the time of one commit is what fills the next.

Checkpoints (the write-ahead log copied into the database) happen here too, when there is nothing
to do, or between two groups once the log has grown large. The log file is never cut short while
the store is open: writing into the same blocks again spares the file system a journal commit.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from headway.core.room.effects import UpdateStored
from headway.edges.store_proof import prove
from headway.edges.store_rows import ROWS_PER_STATEMENT, Entry, Quarantined, RowWriter
from headway.edges.store_schema import failure, open_writer
from headway.edges.store_upkeep import OrphansGone
from headway.errors import HeadwayError, StoreFailed

__all__ = ["Job", "Writer"]

IDLE_S = 0.5
"""After this long without work the log is checkpointed, if it has grown enough to matter."""

IDLE_CHECKPOINT_BYTES = 256 * 1024
"""Less log than this is left for later: reopening replays it in a millisecond."""

CHECKPOINT_BYTES = 8 * 1024 * 1024
"""More log than this is checkpointed between two groups, so that load cannot grow it for ever."""

ENTRY_LOG_BYTES = 2 * 4096
"""What one entry adds to the log beyond its content, roughly: two pages."""

_log = logging.getLogger(__name__)


def _place(path: Path) -> tuple[int, int] | None:
    """Which file there is; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(eq=False, slots=True)
class Job:
    """Entries that become durable together. Written by the writer until it is reported."""

    entries: tuple[Entry, ...]
    payload_bytes: int
    future: asyncio.Future[None]
    error: HeadwayError | None = None


class Writer:
    """A thread that owns the writing connection to the database at `path`.

    Opening it blocks, and raises what `open_writer` does. After a StoreFailed nothing is ever
    written again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._failure: StoreFailed | None = None
        self._unchecked_bytes = 0
        self._connection = open_writer(path)
        self._place = _place(path)
        try:
            self._rows = RowWriter(self._connection)
        except sqlite3.Error as error:
            self._connection.close()
            raise failure(path, error, "it was opened") from error
        self._thread: threading.Thread | None = None
        self.durable_seq = 0
        """The number of the last update made durable here; 0 when rows were taken away since."""

    def prove(self, durable_seq: int) -> None:
        """Prove, before `start`, that the store holds what was durable and can take more.

        Blocks. Raises what `store_proof.prove` does.
        """
        prove(self._connection, self._path, durable_seq)

    def start(
        self, loop: asyncio.AbstractEventLoop, report: Callable[[Sequence[Job]], None]
    ) -> None:
        """Begin to work. `report` is called on `loop` with each group of jobs that is decided.

        Groups and their jobs come in order; a job without an `error` is durable.
        """
        self._thread = threading.Thread(
            target=self._run, args=(loop, report), name="headway-store", daemon=True
        )
        self._thread.start()

    @property
    def failure(self) -> StoreFailed | None:
        """Why nothing is written any more, or None."""
        return self._failure

    def put(self, job: Job) -> None:
        """Queue a job. Never blocks."""
        self._jobs.put(job)

    def finish(self) -> None:
        """Write everything that is queued, let go of the file and wait for the thread's end."""
        self._jobs.put(None)
        if self._thread is None:
            self._close()
        else:
            self._thread.join()

    def _run(
        self, loop: asyncio.AbstractEventLoop, report: Callable[[Sequence[Job]], None]
    ) -> None:
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._take()
            if group:
                self._decide(group)
                try:
                    loop.call_soon_threadsafe(report, group)
                except RuntimeError:
                    _log.warning("The loop ended before %d writes were reported", len(group))
            idle = not group
            if self._unchecked_bytes >= (IDLE_CHECKPOINT_BYTES if idle else CHECKPOINT_BYTES):
                self._checkpoint("PASSIVE")
        self._close()

    def _close(self) -> None:
        if self._failure is None:
            self._checkpoint("TRUNCATE")
        try:
            self._connection.close()
        except sqlite3.Error:
            _log.exception("The store %s could not be closed cleanly", self._path)

    def _take(self) -> tuple[list[Job], bool]:
        """Every job that is queued, and whether more may come; waits at most IDLE_S for one."""
        group: list[Job] = []
        wait_s: float | None = IDLE_S if self._unchecked_bytes >= IDLE_CHECKPOINT_BYTES else None
        try:
            job = self._jobs.get(timeout=wait_s)
            while job is not None:
                group.append(job)
                job = self._jobs.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _decide(self, group: list[Job]) -> None:
        if self._failure is None:
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - whatever it was, nothing was made durable
                self._fail(error, "writing")
        if self._failure is not None:
            for job in group:
                job.error = self._failure

    def _commit(self, group: list[Job]) -> None:
        entries = [entry for job in group for entry in job.entries]
        if not entries:
            return
        if len(entries) <= ROWS_PER_STATEMENT and all(
            isinstance(entry, UpdateStored) for entry in entries
        ):
            # One statement is a transaction by itself, and the loop's thread is asked for the
            # interpreter lock once instead of three times.
            self._rows.write(entries)
            self._rows.flush()
        else:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                job.error = self._refusal(job)
                if job.error is None:
                    self._rows.write(job.entries)
            self._rows.flush()
            self._connection.execute("COMMIT")
        if _place(self._path) != self._place:
            # What is written to a file without a name is on the disk until this process ends.
            raise OSError("another program removed it, or put another file in its place")
        if any(isinstance(entry, UpdateStored) for entry in entries):
            self.durable_seq = self._rows.last_seq
        if any(isinstance(entry, Quarantined | OrphansGone) for entry in entries):
            self.durable_seq = 0
        self._unchecked_bytes += sum(job.payload_bytes for job in group)
        self._unchecked_bytes += ENTRY_LOG_BYTES * len(entries)

    def _refusal(self, job: Job) -> HeadwayError | None:
        refusals = (self._rows.refusal(entry) for entry in job.entries)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _checkpoint(self, mode: str) -> None:
        self._unchecked_bytes = 0
        try:
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                return  # A reader is in the log; the next checkpoint takes it all.
            self._fail(error, "checkpointing")

    def _fail(self, error: Exception, doing: str) -> None:
        """Stop writing for good: after a failed fsync a later one that succeeds proves nothing."""
        _log.error("The store %s failed while %s", self._path, doing, exc_info=error)
        self._failure = failure(self._path, error, doing)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            _log.exception("The failed transaction of %s could not be rolled back", self._path)
