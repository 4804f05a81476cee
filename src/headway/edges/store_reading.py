"""What the store reads: a notebook or an execution put together from its rows.

Floor 4, part of `store`. Every checksum is verified on the way, and no row that fails its own is
ever served, nor what builds on it: the damage is named, and what came before it is read. It
changes nothing; `store_quarantine` puts aside what is named here.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from headway.core.document.file_image import is_sound
from headway.core.room.effects import ExecutionAccepted
from headway.edges.ports import StoredExecution, StoredNotebook
from headway.edges.store_quarantine import Damage
from headway.edges.store_rows import acceptance_fields, checksum
from headway.ids import DocumentId, ExecutionId

__all__ = ["Reading", "read_execution", "read_horizon", "read_notebook", "read_notices"]

_ACCEPTANCE = (
    "e.notebook, e.id, e.runs_as, e.cell_id, e.source_sha256, e.checksum,"
    " e.admission, e.admission_checksum"
)
_SELF_AND_ORIGINAL = (
    "FROM executions e LEFT JOIN executions o"
    " ON o.id = e.runs_as AND o.notebook = e.notebook AND o.id <> e.id"
)

_OF_NOTEBOOK = "FROM executions e WHERE e.notebook = ?"


@dataclass(frozen=True, slots=True)
class Reading:
    """A notebook as its rows give it, and what of them is damaged."""

    notebook: StoredNotebook
    damage: tuple[Damage, ...]

    @property
    def is_lost(self) -> bool:
        """Whether nothing of the notebook's history is left, although there was some."""
        empty = self.notebook.snapshot is None and not self.notebook.updates
        return empty and bool(self.notebook.notices)


def read_notebook(connection: sqlite3.Connection, document: DocumentId) -> Reading | None:
    """Everything of one notebook, every checksum verified; None if there is none.

    `connection` should be in a read transaction, so that all of it is of one instant. No row that
    fails its check is in the notebook, nor an update after one.
    """
    row = connection.execute(
        "SELECT path, file_sha256, file_content, intended_sha256, intended_content"
        " FROM documents WHERE id = ?",
        (document,),
    ).fetchone()
    if row is None:
        return None
    damage: list[Damage] = []
    path, file_sha256, file_content, intended_sha256, intended_content = row
    if intended_content is not None and not _is_image_of(intended_content, intended_sha256):
        intended_content = None
    if file_content is not None and not _is_image_of(file_content, file_sha256):
        damage.append(Damage("file", document, None, "the file's last content"))
        file_sha256 = file_content = None
    current = connection.execute(
        "SELECT runtime FROM runtimes WHERE notebook = ?", (document,)
    ).fetchone()
    runtime = None if current is None else current[0]
    snapshot, updates = _read_document(connection, document, damage)
    runtime_snapshot, runtime_updates = None, tuple[bytes, ...]()
    if runtime is not None:
        runtime_snapshot, runtime_updates = _read_document(connection, runtime, damage)
        if runtime_snapshot is None:
            runtime, runtime_updates = None, ()
    notebook = StoredNotebook(
        document=document,
        path=path,
        file_sha256=file_sha256,
        file_content=file_content,
        intended_content=intended_content,
        snapshot=snapshot,
        updates=updates,
        runtime=runtime,
        runtime_snapshot=runtime_snapshot,
        runtime_updates=runtime_updates,
        unfinished=_read_unfinished(connection, document),
        taken=_read_taken(connection, document, damage),
        horizon_ms=read_horizon(connection, document),
        notices=read_notices(connection, document),
    )
    return Reading(notebook, tuple(damage))


def read_execution(
    connection: sqlite3.Connection, execution_id: ExecutionId, notebook: DocumentId | None
) -> tuple[StoredExecution, tuple[Damage, ...]] | None:
    """One execution, with the record of the one it runs as; a damaged record is left out.

    Of whichever notebook accepted the id last, if `notebook` is None.
    """
    row = connection.execute(
        f"SELECT {_ACCEPTANCE}, e.record, e.record_checksum, o.id, o.record, o.record_checksum"
        f" {_SELF_AND_ORIGINAL} WHERE e.id = :id AND (:notebook IS NULL OR e.notebook = :notebook)"
        " ORDER BY e.rowid DESC LIMIT 1",
        {"id": execution_id, "notebook": notebook},
    ).fetchone()
    if row is None:
        return None
    damage: list[Damage] = []
    accepted, sound = _read_acceptance(row)
    if not sound:
        damage.append(_damaged_acceptance(execution_id))
    own, own_check, original, record, check = row[8:]
    if own is not None:
        original, record, check = execution_id, own, own_check
    if record is not None and not _is_sound(original, record, check):
        damage.append(Damage("record", original, None, f"the result of execution {original}"))
        record = None
    return StoredExecution(accepted, record), tuple(damage)


def read_horizon(connection: sqlite3.Connection, notebook: DocumentId) -> int:
    """Up to which minting time, in milliseconds, execution ids may have been forgotten."""
    row = connection.execute(
        "SELECT minted_ms FROM horizons WHERE notebook = ?", (notebook,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def read_notices(connection: sqlite3.Connection, notebook: DocumentId | None) -> tuple[str, ...]:
    """What was ever found damaged of a notebook, or of any: a sentence for each notebook."""
    counted = connection.execute(
        # With min() the other columns are of the row that has it (SQLite, "Bare columns").
        "SELECT notebook, count(*), what, min(id) FROM quarantine"
        " WHERE :notebook IS NULL OR notebook = :notebook GROUP BY notebook",
        {"notebook": notebook},
    )
    return tuple(
        f"Of notebook {owner}, {count} stored parts were damaged on the disk and are kept apart "
        f"(first {what}). Everything sound before them is in use."
        for owner, count, what, _ in counted
    )


def _read_document(
    connection: sqlite3.Connection, document: DocumentId, damage: list[Damage]
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The longest sound beginning of one document; the damage that ends it goes into `damage`."""
    row = connection.execute(
        "SELECT bytes, checksum FROM snapshots WHERE document = ?", (document,)
    ).fetchone()
    if row is not None and not _is_sound(document, *row):
        damage.append(Damage("snapshot", document, None, f"the snapshot of {document}"))
        return None, ()
    updates: list[bytes] = []
    for seq, update, check in connection.execute(
        "SELECT seq, bytes, checksum FROM updates WHERE document = ? ORDER BY seq", (document,)
    ):
        if not _is_sound(document, update, check):
            damage.append(Damage("update", document, seq, f"update {seq} of {document}"))
            break
        updates.append(update)
    return None if row is None else row[0], tuple(updates)


def _read_unfinished(
    connection: sqlite3.Connection, notebook: DocumentId
) -> tuple[ExecutionAccepted, ...]:
    """Sound acceptances without a terminal record, in the order they were stored."""
    rows = connection.execute(
        f"SELECT {_ACCEPTANCE} {_SELF_AND_ORIGINAL}"
        " WHERE e.notebook = ? AND e.record IS NULL AND o.record IS NULL"
        # One whose original was forgotten ended with it.
        " AND (e.runs_as = e.id OR o.id IS NOT NULL) ORDER BY e.rowid",
        (notebook,),
    )
    return tuple(accepted for accepted, sound in map(_read_acceptance, rows) if sound)


def _read_taken(
    connection: sqlite3.Connection, notebook: DocumentId, damage: list[Damage]
) -> dict[ExecutionId, ExecutionId]:
    """Every accepted execution id, and the execution that answers for it."""
    taken: dict[ExecutionId, ExecutionId] = {}
    for row in connection.execute(
        f"SELECT {_ACCEPTANCE} {_OF_NOTEBOOK} ORDER BY e.rowid", (notebook,)
    ):
        accepted, sound = _read_acceptance(row)
        taken[accepted.execution_id] = accepted.runs_as
        if not sound:
            damage.append(_damaged_acceptance(accepted.execution_id))
    return taken


def _damaged_acceptance(execution_id: ExecutionId) -> Damage:
    return Damage("acceptance", execution_id, None, f"execution {execution_id}")


def _read_acceptance(row: tuple[Any, ...]) -> tuple[ExecutionAccepted, bool]:
    """The acceptance in a row that begins with `_ACCEPTANCE`, and whether it is sound."""
    notebook, execution_id, runs_as, cell_id, source, check, admission, admission_check = row[:8]
    accepted = ExecutionAccepted(notebook, execution_id, runs_as, cell_id, source, admission or b"")
    is_sound = checksum(*acceptance_fields(accepted)) == check
    if admission is not None:
        is_sound = is_sound and _is_sound(execution_id, admission, admission_check)
    return accepted, is_sound


def _is_sound(name: str, content: object, check: object) -> bool:
    return isinstance(content, bytes) and checksum(name, content) == check


def _is_image_of(content: object, sha256: object) -> bool:
    return isinstance(content, bytes) and is_sound(content, sha256)
