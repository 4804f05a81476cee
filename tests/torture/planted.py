"""Known bugs, put into a daemon or a workload on purpose: its harness must find each of them.

The variable is read by `cradle` alone, in a process that exists to be killed. Besides those here
every bug of the simulator's list can be planted into a real daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headway.client.aio import AsyncNotebook
from headway.core.room import compaction
from headway.core.room.effects import ExecutionAccepted, Record
from headway.core.sync.confirm import Confirmation
from headway.edges import blobs, files, store_schema
from headway.edges.ports import FileState
from headway.edges.store import SqliteStore
from headway.edges.store_rows import RowWriter
from headway.edges.store_writer import Writer
from headway.errors import HeadwayError

__all__ = ["PLANTED", "PLANTED_VARIABLE", "plant", "plant_client"]

PLANTED_VARIABLE = "TORTURE_PLANTED"
"""Names the bug, if any, that a cradle plants."""

COMPACT_UPDATES = 60
"""Histories are compacted this often under torture, so that a short run meets it."""

_LATE_S = 0.03


def _acknowledges_early() -> None:
    """An append is confirmed when it is taken, not when it is written."""

    def append(self: SqliteStore, records: Sequence[Record]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        loop.call_later(_LATE_S, original, self, records)
        done.set_result(None)
        return done

    original = SqliteStore.append
    _put(SqliteStore, "append", append)


def _forgets_executions() -> None:
    """Accepted ids are not stored: a repeat after a crash runs again."""
    original = RowWriter.write

    def write(self: RowWriter, entries: Any) -> None:
        original(self, [each for each in entries if not isinstance(each, ExecutionAccepted)])

    _put(RowWriter, "write", write)


def _confirms_failures() -> None:
    """A write that failed is confirmed all the same."""

    def fail(self: Writer, error: Exception, doing: str) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    _put(Writer, "_fail", fail)


def _unsynced_store() -> None:
    """A commit is not synced: it is in the system's memory only."""
    original = store_schema._configure

    def configure(connection: sqlite3.Connection, path: Path) -> None:
        original(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")

    _put(store_schema, "_configure", configure)


def _two_step_compaction() -> None:
    """A long tail is deleted in one transaction, and its snapshot written in the next."""
    original = RowWriter._snapshot

    def snapshot(self: RowWriter, document: str, content: bytes) -> None:
        run = self._connection.execute
        run("DELETE FROM updates WHERE document = ?", (document,))
        run("COMMIT")
        run("BEGIN IMMEDIATE")
        original(self, document, content)

    _put(RowWriter, "_snapshot", snapshot)


def _unsynced_folder_of_blobs() -> None:
    """A blob's name is not synced."""
    _put(blobs, "sync_folder", lambda _folder: None)


def _unsynced_folder_of_files() -> None:
    """A notebook file's new name is not synced."""
    _put(files, "sync_folder", lambda _folder: None)


def _unsynced_files() -> None:
    """A file's bytes are not synced before it is renamed."""

    class System:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, _descriptor: int) -> None:
            pass

    _put(files, "os", System())


def _files_in_place() -> None:
    """A notebook file is written where it is."""

    def put_in_place(path: str, temporary: Any, _expected: str | None) -> FileState:
        Path(path).write_bytes(temporary.path.read_bytes())
        return FileState(temporary.sha256, changed=True)

    _put(files, "_put_in_place", put_in_place)


def _half_written_files() -> None:
    """A write that takes only a part of what it is given is believed."""

    def fill(self: Any, pieces: Iterable[bytes]) -> None:
        content = b"".join(pieces)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            os.write(self._descriptor, content)
        except OSError:
            return
        os.fsync(self._descriptor)

    _put(files._Temporary, "fill", fill)


CLIENT_BUG = "confirms_on_sending"
"""A confirmation comes by time, whatever the daemon said. Planted into clients."""

PLANTED: dict[str, Callable[[], None]] = {
    "acknowledges_early": _acknowledges_early,
    "confirms_failures": _confirms_failures,
    "files_in_place": _files_in_place,
    "forgets_executions": _forgets_executions,
    "half_written_files": _half_written_files,
    "two_step_compaction": _two_step_compaction,
    "unsynced_files": _unsynced_files,
    "unsynced_folder_of_blobs": _unsynced_folder_of_blobs,
    "unsynced_folder_of_files": _unsynced_folder_of_files,
    "unsynced_store": _unsynced_store,
}


def plant(name: str) -> None:
    """Plant a bug into this process, for good; no name: none."""
    assert threading.active_count() == 1, "a cradle forks, so it must have one thread"
    _put(compaction, "COMPACT_UPDATES", COMPACT_UPDATES)
    if name in PLANTED:
        PLANTED[name]()
    elif name and name != CLIENT_BUG:
        _simulated(name).__enter__()


def _simulated(name: str) -> contextlib.AbstractContextManager[object]:
    from sim.planted import PLANTED as SIMULATED  # noqa: PLC0415 - imports the whole simulator

    return SIMULATED[name].patch()


@contextlib.contextmanager
def plant_client(name: str) -> Iterator[None]:
    """Plant a bug into the clients of this process, where it is one of theirs."""
    if name and name not in PLANTED and name != CLIENT_BUG:
        with _simulated(name):
            yield
        return
    if name != CLIENT_BUG:
        yield
        return
    former = AsyncNotebook.confirm_sync

    async def confirm_sync(
        self: AsyncNotebook, timeout: float = 1.0, *, required: bool = True
    ) -> Confirmation:
        with contextlib.suppress(HeadwayError):
            return await former(self, min(timeout, _LATE_S), required=required)
        return Confirmation(self.heads, timeout)

    AsyncNotebook.confirm_sync = confirm_sync  # type: ignore[method-assign]
    try:
        yield
    finally:
        AsyncNotebook.confirm_sync = former  # type: ignore[method-assign]


def _put(owner: Any, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more: mend the planted bug"
    setattr(owner, name, value)
