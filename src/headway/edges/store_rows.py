"""What the store writes: each record as rows, in the order they were appended.

Floor 4, part of `store`. No thread, no transaction and no queue of its own: whoever calls holds
the connection and decides what is one transaction. Every row with a person's work in it gets a
checksum; `store_reading` verifies it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never
from zlib import crc32

from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileIntended,
    FileRecorded,
    Record,
    RuntimeReplaced,
    UpdateStored,
)
from headway.edges.store_quarantine import Damage, put_aside
from headway.edges.store_upkeep import Forgotten, OrphansGone, Shrunk, forget, remove_orphans
from headway.errors import NotebookNotFound, StoreError
from headway.ids import DocumentId

__all__ = [
    "MAX_BASE_BYTES",
    "Compacted",
    "Entry",
    "NotebookCreated",
    "PathSet",
    "Quarantined",
    "RowWriter",
    "acceptance_fields",
    "checksum",
    "payload_bytes",
]

ROWS_PER_STATEMENT = 64
"""Updates in one INSERT. Each statement gives up the interpreter lock once and may wait long to
have it back while the event loop is busy, so many rows go in one."""


MAX_BASE_BYTES = 256 * 1024 * 1024
"""A larger file is not kept as the base of the next merge: that merge then deletes nothing. What
SQLite takes as one value ends at 1 GB, and a store must not fail for the sake of a large file."""

NUMBERS_AT_ONCE = 1 << 20
"""How many numbers of updates are reserved by one write; those not used are left out."""


@dataclass(frozen=True, slots=True)
class NotebookCreated:
    """A new notebook."""

    document: DocumentId
    path: str | None
    created_s: float


@dataclass(frozen=True, slots=True)
class PathSet:
    """The notebook's file is at `path` now."""

    document: DocumentId
    path: str | None


@dataclass(frozen=True, slots=True)
class Compacted:
    """A snapshot that holds everything stored of a document so far."""

    document: DocumentId
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What was found damaged of a notebook."""

    notebook: DocumentId
    damage: tuple[Damage, ...]
    found_s: float


Entry = (
    Record | NotebookCreated | PathSet | Compacted | Quarantined | Forgotten | OrphansGone | Shrunk
)


def payload_bytes(entry: Entry) -> int:
    """How many bytes of content an entry brings."""
    match entry:
        case UpdateStored():
            return len(entry.update)
        case RuntimeReplaced() | Compacted():
            return len(entry.snapshot)
        case ExecutionFinished():
            return len(entry.record)
        case FileIntended() | FileRecorded():
            return len(entry.content)
        case ExecutionAccepted():
            return len(entry.admission)
        case NotebookCreated() | PathSet() | Quarantined():
            return 0
        case Forgotten() | OrphansGone() | Shrunk():
            return 0
        case _:
            assert_never(entry)


def _kept(content: bytes) -> bytes | None:
    """A file's content as it is stored: none of one that is too large to be a base."""
    return content if len(content) <= MAX_BASE_BYTES else None


class RowWriter:
    """Turns entries into statements on one connection, numbering the updates in their order."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Numbers are never used twice, also when compaction has emptied the table.
        (self._reserved,) = connection.execute("SELECT reserved FROM numbers").fetchone()
        self.last_seq: int = self._reserved
        self._pending: list[UpdateStored] = []

    def refusal(self, entry: Entry) -> StoreError | NotebookNotFound | None:
        """Why this entry makes no sense on what is stored; None if it does."""
        if isinstance(entry, NotebookCreated):
            return self._refusal_to_create(entry)
        if isinstance(entry, PathSet):
            return self._refusal_of_unknown(entry.document)
        if isinstance(entry, FileIntended | FileRecorded):
            return self._refusal_of_unknown(entry.notebook)
        return None

    def write(self, entries: Iterable[Entry]) -> None:
        """Write entries in their order. Updates may wait in memory until `flush`."""
        for entry in entries:
            if isinstance(entry, UpdateStored):
                self._pending.append(entry)
            else:
                self.flush()
                self._write(entry)

    def flush(self) -> None:
        """Hand every update that waits to the database."""
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), ROWS_PER_STATEMENT):
            batch = pending[start : start + ROWS_PER_STATEMENT]
            self._reserve(len(batch))
            values: list[object] = []
            for stored in batch:
                self.last_seq += 1
                check = checksum(stored.document, stored.update)
                values += (stored.document, self.last_seq, stored.update, check)
            rows = ",".join(["(?,?,?,?)"] * len(batch))
            self._connection.execute(
                f"INSERT INTO updates (document, seq, bytes, checksum) VALUES {rows}",  # noqa: S608 - only the count of rows varies
                values,
            )

    def _reserve(self, count: int) -> None:
        if self.last_seq + count > self._reserved:
            self._reserved += NUMBERS_AT_ONCE
            self._connection.execute("UPDATE numbers SET reserved = ?", (self._reserved,))

    def _write(self, entry: Entry) -> None:
        run = self._connection.execute
        match entry:
            case UpdateStored():
                raise AssertionError
            case RuntimeReplaced():
                self._replace_runtime(entry)
            case ExecutionAccepted():
                self._accept(entry)
            case ExecutionFinished():
                self._finish(entry)
            case FileRecorded():
                self._free_path(entry.path, entry.notebook)
                run(
                    "UPDATE documents SET path = ?, file_sha256 = ?, file_content = ?,"
                    " intended_sha256 = NULL, intended_content = NULL WHERE id = ?",
                    (entry.path, entry.sha256, _kept(entry.content), entry.notebook),
                )
            case FileIntended():
                run(
                    "UPDATE documents SET intended_sha256 = ?, intended_content = ? WHERE id = ?",
                    (entry.sha256, _kept(entry.content), entry.notebook),
                )
            case NotebookCreated():
                run(
                    "INSERT OR IGNORE INTO documents (id, path, created_s) VALUES (?, ?, ?)",
                    (entry.document, entry.path, entry.created_s),
                )
            case PathSet():
                self._free_path(entry.path, entry.document)
                run("UPDATE documents SET path = ? WHERE id = ?", (entry.path, entry.document))
            case Compacted():
                self._compact(entry)
            case Quarantined():
                self._put_aside(entry)
            case Forgotten():
                forget(self._connection, entry)
            case OrphansGone():
                remove_orphans(self._connection)
            case Shrunk():
                run(f"PRAGMA incremental_vacuum({entry.pages:d})").fetchall()
            case _:
                assert_never(entry)

    def _snapshot(self, document: DocumentId, snapshot: bytes) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshots (document, bytes, checksum, through_seq)"
            " VALUES (?, ?, ?, ?)",
            (document, snapshot, checksum(document, snapshot), self.last_seq),
        )

    def _compact(self, entry: Compacted) -> None:
        run = self._connection.execute
        owned = run(
            "SELECT 1 FROM documents WHERE id = :it"
            " UNION SELECT 1 FROM runtimes WHERE runtime = :it",
            {"it": entry.document},
        )
        if owned.fetchone() is None:
            return  # Of a runtime document that was replaced: its rows would belong to nobody.
        self._snapshot(entry.document, entry.snapshot)
        run("DELETE FROM updates WHERE document = ?", (entry.document,))

    def _put_aside(self, entry: Quarantined) -> None:
        for damage in entry.damage:
            bare = ExecutionAccepted(entry.notebook, damage.key, damage.key, "", "")
            check = checksum(*acceptance_fields(bare))
            put_aside(self._connection, entry.notebook, damage, entry.found_s, check)

    def _replace_runtime(self, entry: RuntimeReplaced) -> None:
        run = self._connection.execute
        row = run("SELECT runtime FROM runtimes WHERE notebook = ?", (entry.notebook,)).fetchone()
        if row is not None and row[0] != entry.runtime:
            run("DELETE FROM updates WHERE document = ?", row)
            run("DELETE FROM snapshots WHERE document = ?", row)
        self._snapshot(entry.runtime, entry.snapshot)
        run(
            "INSERT INTO runtimes (notebook, runtime) VALUES (?, ?)"
            " ON CONFLICT (notebook) DO UPDATE SET runtime = excluded.runtime",
            (entry.notebook, entry.runtime),
        )

    def _accept(self, entry: ExecutionAccepted) -> None:
        fields = acceptance_fields(entry)
        admission = entry.admission or None
        check = None if admission is None else checksum(entry.execution_id, admission)
        self._connection.execute(
            "INSERT OR IGNORE INTO executions (id, notebook, runs_as, cell_id, source_sha256,"
            " checksum, admission, admission_checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*fields, checksum(*fields), admission, check),
        )

    def _finish(self, entry: ExecutionFinished) -> None:
        # An acceptance that is not there would make this a record lost in silence.
        self._accept(
            ExecutionAccepted(entry.notebook, entry.execution_id, entry.execution_id, "", "")
        )
        self._connection.execute(
            "UPDATE executions SET record = ?, record_checksum = ?,"
            " admission = NULL, admission_checksum = NULL"
            " WHERE id = ? AND notebook = ? AND record IS NULL",
            (
                entry.record,
                checksum(entry.execution_id, entry.record),
                entry.execution_id,
                entry.notebook,
            ),
        )

    def _refusal_to_create(self, entry: NotebookCreated) -> StoreError | None:
        row = self._connection.execute(
            "SELECT id, path FROM documents WHERE id = ? OR path = ?", (entry.document, entry.path)
        ).fetchone()
        if row is None or row == (entry.document, entry.path):
            return None
        return StoreError(
            f"The store has {row[1] or 'a notebook without a file'} as notebook {row[0]} already.",
            document=row[0],
            path=row[1],
        )

    def _free_path(self, path: str | None, owner: DocumentId) -> None:
        """A path belongs to one notebook at a time: the last that was written or moved there."""
        self._connection.execute(
            "UPDATE documents SET path = NULL WHERE path = ? AND id <> ?", (path, owner)
        )

    def _refusal_of_unknown(self, document: DocumentId) -> NotebookNotFound | None:
        found = self._connection.execute("SELECT 1 FROM documents WHERE id = ?", (document,))
        if found.fetchone() is not None:
            return None
        return NotebookNotFound(f"The store has no notebook {document}.", document=document)


def acceptance_fields(accepted: ExecutionAccepted) -> tuple[str, str, str, str, str]:
    """An acceptance as columns, in the order id, notebook, runs_as, cell_id, source_sha256."""
    return (
        accepted.execution_id,
        accepted.notebook,
        accepted.runs_as,
        accepted.cell_id,
        accepted.source_sha256,
    )


def checksum(*parts: str | bytes) -> int:
    """CRC-32 over the parts and their lengths: finds every single burst of up to 32 bits."""
    check = 0
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        check = crc32(content, crc32(len(content).to_bytes(8, "little"), check))
    return check
