"""What the store reads: a notebook or an execution put together from its rows.

Floor 4, part of `store`. Every checksum is verified on the way, and no row that fails its own is
ever served: what is damaged is named and the whole reading refused. It changes nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from headway.core.room.effects import ExecutionAccepted
from headway.edges.ports import StoredExecution, StoredNotebook
from headway.edges.store_rows import acceptance_fields, checksum
from headway.errors import StoreFailed
from headway.ids import DocumentId, ExecutionId

__all__ = ["read_execution", "read_notebook"]

_ACCEPTANCE = "e.notebook, e.id, e.runs_as, e.cell_id, e.source_sha256, e.checksum"
_SELF_AND_ORIGINAL = "FROM executions e LEFT JOIN executions o ON o.id = e.runs_as AND o.id <> e.id"

_OF_NOTEBOOK = "FROM executions e WHERE e.notebook = ?"


def read_notebook(
    connection: sqlite3.Connection, path: Path, document: DocumentId
) -> StoredNotebook | None:
    """Everything of one notebook, every checksum verified; None if there is none.

    `connection` should be in a read transaction, so that all of it is of one instant. `path` is
    the store's, for errors. Raises StoreFailed when any row is damaged; its data tells
    `damaged` (what) and `sound` (what passed its check, updates only up to the first bad one).
    """
    row = connection.execute(
        "SELECT path, file_sha256, file_content FROM documents WHERE id = ?", (document,)
    ).fetchone()
    if row is None:
        return None
    examined = _Examined()
    if row[2] is not None and hashlib.sha256(row[2]).hexdigest() != row[1]:
        examined.damaged.append("file content")
    current = connection.execute(
        "SELECT runtime FROM runtimes WHERE notebook = ?", (document,)
    ).fetchone()
    runtime = None if current is None else current[0]
    snapshot, updates = _read_document(connection, document, examined)
    runtime_snapshot, runtime_updates = None, tuple[bytes, ...]()
    if runtime is not None:
        runtime_snapshot, runtime_updates = _read_document(connection, runtime, examined)
        if runtime_snapshot is None:
            examined.damaged.append(f"snapshot of {runtime}")
    unfinished = _read_unfinished(connection, document, examined)
    taken = _read_taken(connection, document, examined)
    examined.refuse_damage(path, document)
    return StoredNotebook(
        document=document,
        path=row[0],
        file_sha256=row[1],
        file_content=row[2],
        snapshot=snapshot,
        updates=updates,
        runtime=runtime,
        runtime_snapshot=runtime_snapshot,
        runtime_updates=runtime_updates,
        unfinished=unfinished,
        taken=taken,
    )


def read_execution(
    connection: sqlite3.Connection, path: Path, execution_id: ExecutionId
) -> StoredExecution | None:
    """One execution, with the record of the one it runs as. Raises StoreFailed on damage."""
    row = connection.execute(
        f"SELECT {_ACCEPTANCE}, e.record, e.record_checksum, o.id, o.record, o.record_checksum"
        f" {_SELF_AND_ORIGINAL} WHERE e.id = ?",
        (execution_id,),
    ).fetchone()
    if row is None:
        return None
    accepted, sound = _read_acceptance(row)
    own, own_check, original, record, check = row[6:]
    if own is not None:
        original, record, check = execution_id, own, own_check
    if not sound or (record is not None and not _is_sound(original, record, check)):
        _Examined([f"execution {execution_id}"]).refuse_damage(path, accepted.notebook)
    return StoredExecution(accepted, record)


class _Examined:
    """What a reading found sound, and what not."""

    def __init__(self, damaged: list[str] | None = None) -> None:
        self.damaged: list[str] = damaged or []
        self.sound: dict[str, int] = {}

    def refuse_damage(self, path: Path, document: DocumentId) -> None:
        if not self.damaged:
            return
        raise StoreFailed(
            f"The store {path} is damaged: of notebook {document}, {', '.join(self.damaged)} "
            "cannot be trusted. Nothing was changed. Keep a copy of the store and put back a "
            "sound one, or open the notebook's file under another HEADWAY_HOME.",
            path=str(path),
            document=document,
            damaged=self.damaged,
            sound=self.sound,
            reason="CHECKSUM",
        )


def _read_document(
    connection: sqlite3.Connection, document: DocumentId, examined: _Examined
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """Snapshot and updates of one document; damage and what is sound go into `examined`."""
    row = connection.execute(
        "SELECT bytes, checksum FROM snapshots WHERE document = ?", (document,)
    ).fetchone()
    snapshot: bytes | None = None
    if row is not None:
        snapshot = row[0]
        if not _is_sound(document, *row):
            examined.damaged.append(f"snapshot of {document}")
        else:
            examined.sound[f"snapshot of {document}"] = 1
    updates: list[bytes] = []
    all_sound = True
    for seq, update, check in connection.execute(
        "SELECT seq, bytes, checksum FROM updates WHERE document = ? ORDER BY seq", (document,)
    ):
        if not _is_sound(document, update, check):
            all_sound = False
            examined.damaged.append(f"update {seq} of {document}")
        elif all_sound:
            updates.append(update)
    examined.sound[f"updates of {document}"] = len(updates)
    return snapshot, tuple(updates)


def _read_unfinished(
    connection: sqlite3.Connection, notebook: DocumentId, examined: _Examined
) -> tuple[ExecutionAccepted, ...]:
    """Acceptances without a terminal record, in the order they were stored."""
    found: list[ExecutionAccepted] = []
    for row in connection.execute(
        f"SELECT {_ACCEPTANCE} {_SELF_AND_ORIGINAL}"
        " WHERE e.notebook = ? AND e.record IS NULL AND o.record IS NULL ORDER BY e.rowid",
        (notebook,),
    ):
        accepted, sound = _read_acceptance(row)
        if sound:
            found.append(accepted)
        else:
            examined.damaged.append(f"execution {accepted.execution_id}")
    return tuple(found)


def _read_taken(
    connection: sqlite3.Connection, notebook: DocumentId, examined: _Examined
) -> dict[ExecutionId, ExecutionId]:
    """Every accepted execution id, and the execution that answers for it."""
    taken: dict[ExecutionId, ExecutionId] = {}
    for row in connection.execute(
        f"SELECT {_ACCEPTANCE} {_OF_NOTEBOOK} ORDER BY e.rowid", (notebook,)
    ):
        accepted, sound = _read_acceptance(row)
        taken[accepted.execution_id] = accepted.runs_as
        name = f"execution {accepted.execution_id}"
        if not sound and name not in examined.damaged:
            examined.damaged.append(name)
    return taken


def _read_acceptance(row: tuple[Any, ...]) -> tuple[ExecutionAccepted, bool]:
    """The acceptance in a row that begins with `_ACCEPTANCE`, and whether it is sound."""
    accepted = ExecutionAccepted(*row[:5])
    return accepted, checksum(*acceptance_fields(accepted)) == row[5]


def _is_sound(document: DocumentId, content: object, check: object) -> bool:
    return isinstance(content, bytes) and checksum(document, content) == check
