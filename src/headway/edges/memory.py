"""The outside world in memory: clock, store, blobs and files for tests and simulated worlds.

Floor 4. Each passes the conformance suite of the real thing (`tests/edges`) and adds what a test
needs to provoke: time that moves when told, a disk that is slow, full, or loses its power.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileIntended,
    FileRecorded,
    Record,
    RuntimeReplaced,
    UpdateStored,
)
from headway.edges.memory_files import MemoryBlobs, MemoryFiles
from headway.edges.ports import KnownNotebook, StoredExecution, StoredNotebook
from headway.edges.store import refusal_of_path
from headway.edges.store_rows import (
    Compacted,
    Entry,
    NotebookCreated,
    PathSet,
    Quarantined,
    payload_bytes,
)
from headway.edges.store_upkeep import Forgotten, OrphansGone, Shrunk
from headway.errors import HeadwayError, NotebookNotFound, StoreError, StoreFailed
from headway.ids import DocumentId, ExecutionId
from headway.moments import Moment

__all__ = ["FakeClock", "MemoryBlobs", "MemoryFiles", "MemoryStore"]


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, monotonic_s: float = 1000.0, wall_s: float = 1_700_000_000.0) -> None:
        self.monotonic_s = monotonic_s
        self.wall_s = wall_s

    def now(self) -> Moment:
        """This instant."""
        return Moment(self.monotonic_s, self.wall_s)

    def advance(self, seconds: float) -> Moment:
        """Let time pass on both clocks; gives the new instant."""
        assert seconds >= 0, seconds
        self.monotonic_s += seconds
        self.wall_s += seconds
        return self.now()

    def set_wall(self, wall_s: float) -> None:
        """Let the wall clock jump, either way; the monotonic one does not notice."""
        self.wall_s = wall_s


@dataclass(slots=True)
class _Disk:
    """What is durable."""

    notebooks: dict[DocumentId, StoredNotebook] = field(default_factory=dict)
    snapshots: dict[DocumentId, bytes] = field(default_factory=dict)
    updates: dict[DocumentId, list[bytes]] = field(default_factory=dict)
    runtimes: dict[DocumentId, DocumentId] = field(default_factory=dict)
    executions: dict[tuple[ExecutionId, DocumentId], StoredExecution] = field(default_factory=dict)


class MemoryStore:
    """A store whose disk is a dictionary.

    `hold` keeps appends from becoming durable until `release`; `fail` breaks the disk; `crashed`
    gives what another process would find after a crash at this instant.
    """

    def __init__(self) -> None:
        self._disk = _Disk()
        self._waiting: list[tuple[tuple[Entry, ...], asyncio.Future[None]]] = []
        self._held = False
        self._failure: StoreFailed | None = None
        self._closed = False

    def hold(self) -> None:
        """From here on nothing becomes durable."""
        self._held = True

    def release(self, count: int | None = None) -> None:
        """Make what waits durable: the first `count` appends, or all and what comes later."""
        if count is None:
            self._held = False
        number = len(self._waiting) if count is None else count
        decided, self._waiting = self._waiting[:number], self._waiting[number:]
        for entries, future in decided:
            self._decide(entries, future)

    def fail(self, message: str = "The disk is full.") -> None:
        """Break the disk: everything that waits, and all that comes, fails with StoreFailed."""
        self._failure = StoreFailed(message, reason="SQLITE_FULL")
        self.release()

    def crashed(self) -> MemoryStore:
        """A store on the same durable state, without anything that still waited."""
        survivor = MemoryStore()
        survivor._disk = _Disk(
            dict(self._disk.notebooks),
            dict(self._disk.snapshots),
            {document: list(updates) for document, updates in self._disk.updates.items()},
            dict(self._disk.runtimes),
            dict(self._disk.executions),
        )
        return survivor

    @property
    def backlog_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return sum(payload_bytes(entry) for entries, _ in self._waiting for entry in entries)

    def append(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Append records, all or none, after everything appended before; never blocks."""
        return self._append(tuple(records))

    async def create(self, document: DocumentId, path: str | None) -> None:
        """Note a new notebook; durable on return."""
        await self._append((NotebookCreated(document, path, 0.0),))

    async def set_path(self, document: DocumentId, path: str | None) -> None:
        """The notebook's file is there now, and no other's is; durable on return."""
        await self._append((PathSet(document, path),))

    def compact(self, document: DocumentId, snapshot: bytes) -> asyncio.Future[None]:
        """Replace what was appended of a document up to this call by a full snapshot of it."""
        return self._append((Compacted(document, snapshot),))

    async def load(self, document: DocumentId) -> StoredNotebook | None:
        """Everything of one notebook, or None."""
        await self._settled()
        notebook = self._disk.notebooks.get(document)
        if notebook is None:
            return None
        runtime = self._disk.runtimes.get(document)
        return replace(
            notebook,
            snapshot=self._disk.snapshots.get(document),
            updates=tuple(self._disk.updates.get(document, ())),
            runtime=runtime,
            runtime_snapshot=None if runtime is None else self._disk.snapshots.get(runtime),
            runtime_updates=() if runtime is None else tuple(self._disk.updates.get(runtime, ())),
            unfinished=tuple(
                stored.accepted
                for stored in map(self._with_original, self._disk.executions.values())
                if stored.accepted.notebook == document and stored.record is None
            ),
            taken={
                stored.accepted.execution_id: stored.accepted.runs_as
                for stored in self._disk.executions.values()
                if stored.accepted.notebook == document
            },
        )

    async def find_path(self, path: str) -> DocumentId | None:
        """The notebook whose file is at `path` (absolute, resolved)."""
        await self._settled()
        return self._owner_of(path)

    async def find_execution(
        self, execution_id: ExecutionId, notebook: DocumentId | None = None
    ) -> StoredExecution | None:
        """An execution by id; its record is that of the execution it runs as."""
        await self._settled()
        for (known, owner), stored in reversed(self._disk.executions.items()):
            if known == execution_id and notebook in (None, owner):
                return self._with_original(stored)
        return None

    async def known(self) -> list[KnownNotebook]:
        """Every notebook of the store, the oldest first."""
        await self._settled()
        return [KnownNotebook(each.document, each.path) for each in self._disk.notebooks.values()]

    async def find_runtime(self, runtime: DocumentId) -> DocumentId | None:
        """The notebook whose current runtime document this is."""
        await self._settled()
        owners = [owner for owner, current in self._disk.runtimes.items() if current == runtime]
        return owners[0] if owners else None

    async def tidy(self) -> int:
        """Nothing is ever forgotten here."""
        return 0

    async def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        """All of them: nothing is looked at here."""
        return frozenset(blobs)

    def notices(self) -> tuple[str, ...]:
        """Nothing: a dictionary is never damaged."""
        return ()

    async def close(self) -> None:
        """Make everything appended durable. Later calls fail."""
        self.release()
        self._failure = self._closed_error()
        self._closed = True

    def _append(self, entries: tuple[Entry, ...]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for entry in entries:
            if isinstance(entry, FileRecorded | NotebookCreated | PathSet):
                refusal = refusal_of_path(entry.path)
                if refusal is not None:
                    future.set_exception(refusal)
                    return future
        if self._held:
            self._waiting.append((entries, future))
        else:
            self._decide(entries, future)
        return future

    async def _settled(self) -> None:
        if self._closed:
            raise self._closed_error()
        if self._waiting:
            await asyncio.wait([future for _, future in self._waiting])

    def _decide(self, entries: tuple[Entry, ...], future: asyncio.Future[None]) -> None:
        error: HeadwayError | None = None
        if self._failure is not None:
            error = StoreFailed(self._failure.message, **self._failure.data)
        else:
            refusals = [refusal for entry in entries if (refusal := self._refusal(entry))]
            error = refusals[0] if refusals else None
        if error is None:
            for entry in entries:
                self._write(entry)
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def _closed_error(self) -> StoreFailed:
        return StoreFailed("The store is closed.", reason="CLOSED")

    def _refusal(self, entry: Entry) -> HeadwayError | None:
        match entry:
            case NotebookCreated():
                taken = self._disk.notebooks.get(entry.document)
                owner = self._owner_of(entry.path)
                if (taken and taken.path != entry.path) or owner not in {None, entry.document}:
                    return StoreError("The store has that notebook already.", path=entry.path)
            case (
                PathSet(document=document)
                | FileIntended(notebook=document)
                | FileRecorded(notebook=document)
            ):
                if document not in self._disk.notebooks:
                    return NotebookNotFound(f"The store has no notebook {document}.")
            case _:
                pass
        return None

    def _write(self, entry: Entry) -> None:
        disk = self._disk
        match entry:
            case UpdateStored():
                disk.updates.setdefault(entry.document, []).append(entry.update)
            case RuntimeReplaced():
                earlier = disk.runtimes.get(entry.notebook)
                if earlier is not None and earlier != entry.runtime:
                    disk.updates.pop(earlier, None)
                    disk.snapshots.pop(earlier, None)
                disk.runtimes[entry.notebook] = entry.runtime
                disk.snapshots[entry.runtime] = entry.snapshot
            case ExecutionAccepted():
                key = entry.execution_id, entry.notebook
                disk.executions.setdefault(key, StoredExecution(entry, None))
            case ExecutionFinished():
                accepted = ExecutionAccepted(
                    entry.notebook, entry.execution_id, entry.execution_id, "", ""
                )
                key = entry.execution_id, entry.notebook
                stored = disk.executions.get(key, StoredExecution(accepted, None))
                if stored.record is None:
                    stored = StoredExecution(replace(stored.accepted, admission=b""), entry.record)
                disk.executions[key] = stored
            case FileRecorded():
                self._move(entry.notebook, entry.path)
                disk.notebooks[entry.notebook] = replace(
                    disk.notebooks[entry.notebook],
                    file_sha256=entry.sha256,
                    file_content=entry.content,
                    intended_content=None,
                )
            case FileIntended():
                disk.notebooks[entry.notebook] = replace(
                    disk.notebooks[entry.notebook], intended_content=entry.content
                )
            case NotebookCreated():
                empty = StoredNotebook(
                    entry.document, entry.path, None, None, None, (), None, None, ()
                )
                disk.notebooks.setdefault(entry.document, empty)
            case PathSet():
                self._move(entry.document, entry.path)
            case Compacted():
                is_known = entry.document in disk.notebooks
                if not is_known and entry.document not in disk.runtimes.values():
                    return  # Of a runtime document that was replaced.
                disk.snapshots[entry.document] = entry.snapshot
                disk.updates.pop(entry.document, None)
            case Quarantined() | Forgotten() | OrphansGone() | Shrunk():
                raise AssertionError

    def _owner_of(self, path: str | None) -> DocumentId | None:
        notebooks = self._disk.notebooks.values()
        owners = [each.document for each in notebooks if path is not None and each.path == path]
        return owners[0] if owners else None

    def _move(self, document: DocumentId, path: str | None) -> None:
        notebooks, owner = self._disk.notebooks, self._owner_of(path)
        if owner is not None and owner != document:
            notebooks[owner] = replace(notebooks[owner], path=None)
        notebooks[document] = replace(notebooks[document], path=path)

    def _with_original(self, stored: StoredExecution) -> StoredExecution:
        accepted = stored.accepted
        original = self._disk.executions.get((accepted.runs_as, accepted.notebook))
        if stored.record is not None or original is None:
            return stored
        return StoredExecution(accepted, original.record)
