"""Damaged rows put aside: kept as they were found, and never read as if they were sound.

Floor 4, part of `store`. `store_reading` names the damage; here its rows move into the table
`quarantine`, in one transaction, so that a crash finds them in one place or in the other.

* An update that is damaged takes the later ones of its document along: they build on it. What is
  known of the file, what it was about to hold included, goes too, because a shortened notebook must
  not be taken for one whose author deleted cells: without it the file's cells come back.
* A snapshot takes its whole document along. A runtime document is made anew. A notebook has lost
  its history for good: it gives up its path, and its file becomes a new notebook.
* An execution whose acceptance is damaged stays taken, under its id alone; one whose result is
  damaged is without a result.
"""

# ruff: noqa: S608 - the only text that is put together is a constant

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from headway.ids import DocumentId

__all__ = ["Damage", "put_aside"]

_COLUMNS = "INSERT INTO quarantine (found_s, notebook, what, reason, bytes, checksum)"
_NOTHING_OF_FILE = (
    "file_sha256 = NULL, file_content = NULL, intended_sha256 = NULL, intended_content = NULL"
)
_DAMAGED = "it does not match its checksum"
_BEHIND = "it builds on something damaged"


@dataclass(frozen=True, slots=True)
class Damage:
    """One row, or a part of one, that is not what was written.

    `key` is the document or execution it belongs to, `seq` the first damaged update, `what` a
    name for people.
    """

    kind: Literal["update", "snapshot", "file", "acceptance", "record"]
    key: str
    seq: int | None
    what: str


def put_aside(
    connection: sqlite3.Connection,
    notebook: DocumentId,
    damage: Damage,
    found_s: float,
    repaired_checksum: int,
) -> None:
    """Move what `damage` names, of `notebook`, into the quarantine.

    `repaired_checksum` is that of a bare acceptance, of which nothing but the id is known.
    """
    match damage.kind:
        case "update":
            _move_updates(connection, notebook, damage, found_s)
            _give_up_if_lost(connection, notebook)
        case "snapshot":
            _move_snapshot(connection, notebook, damage, found_s)
            _give_up_if_lost(connection, notebook)
        case "file":
            connection.execute(
                f"{_COLUMNS} SELECT ?, id, ?, ?, file_content, NULL FROM documents WHERE id = ?",
                (found_s, damage.what, _DAMAGED, damage.key),
            )
            # What the file was about to hold is all in the history, and stays.
            connection.execute(
                "UPDATE documents SET file_sha256 = NULL, file_content = NULL WHERE id = ?",
                (notebook,),
            )
        case "acceptance":
            _reduce_acceptance(connection, notebook, damage, found_s, repaired_checksum)
        case "record":
            connection.execute(
                f"{_COLUMNS} SELECT ?, notebook, ?, ?, record, record_checksum FROM executions"
                " WHERE id = ? AND notebook = ?",
                (found_s, damage.what, _DAMAGED, damage.key, notebook),
            )
            connection.execute(
                "UPDATE executions SET record = NULL, record_checksum = NULL"
                " WHERE id = ? AND notebook = ?",
                (damage.key, notebook),
            )


def _move_updates(
    connection: sqlite3.Connection, notebook: DocumentId, damage: Damage, found_s: float
) -> None:
    connection.execute(
        f"{_COLUMNS} SELECT ?, ?, 'update ' || seq || ' of ' || document,"
        " CASE seq WHEN ? THEN ? ELSE ? END, bytes, checksum"
        " FROM updates WHERE document = ? AND seq >= ? ORDER BY seq",
        (found_s, notebook, damage.seq, _DAMAGED, _BEHIND, damage.key, damage.seq),
    )
    connection.execute(
        "DELETE FROM updates WHERE document = ? AND seq >= ?", (damage.key, damage.seq)
    )
    if damage.key == notebook:
        _forget_file(connection, notebook)


def _move_snapshot(
    connection: sqlite3.Connection, notebook: DocumentId, damage: Damage, found_s: float
) -> None:
    connection.execute(
        f"{_COLUMNS} SELECT ?, ?, ?, ?, bytes, checksum FROM snapshots WHERE document = ?",
        (found_s, notebook, damage.what, _DAMAGED, damage.key),
    )
    connection.execute(
        f"{_COLUMNS} SELECT ?, ?, 'update ' || seq || ' of ' || document, ?, bytes, checksum"
        " FROM updates WHERE document = ? ORDER BY seq",
        (found_s, notebook, _BEHIND, damage.key),
    )
    connection.execute("DELETE FROM snapshots WHERE document = ?", (damage.key,))
    connection.execute("DELETE FROM updates WHERE document = ?", (damage.key,))
    connection.execute("DELETE FROM runtimes WHERE runtime = ?", (damage.key,))


def _give_up_if_lost(connection: sqlite3.Connection, notebook: DocumentId) -> None:
    """A notebook without any history left gives up its path."""
    connection.execute(
        f"UPDATE documents SET path = NULL, {_NOTHING_OF_FILE} WHERE id = :notebook"
        " AND NOT EXISTS (SELECT 1 FROM snapshots WHERE document = :notebook)"
        " AND NOT EXISTS (SELECT 1 FROM updates WHERE document = :notebook)",
        {"notebook": notebook},
    )


def _forget_file(connection: sqlite3.Connection, notebook: DocumentId) -> None:
    connection.execute(f"UPDATE documents SET {_NOTHING_OF_FILE} WHERE id = ?", (notebook,))


def _reduce_acceptance(
    connection: sqlite3.Connection,
    notebook: DocumentId,
    damage: Damage,
    found_s: float,
    repaired_checksum: int,
) -> None:
    connection.execute(
        f"{_COLUMNS} SELECT ?, ?, ?, ?, runs_as || ' ' || cell_id || ' ' || source_sha256"
        " || coalesce(' ' || admission, ''), checksum FROM executions"
        " WHERE id = ? AND notebook = ?",
        (found_s, notebook, damage.what, _DAMAGED, damage.key, notebook),
    )
    connection.execute(
        "UPDATE executions SET runs_as = id, cell_id = '', source_sha256 = '', checksum = ?,"
        " admission = NULL, admission_checksum = NULL WHERE id = ? AND notebook = ?",
        (repaired_checksum, damage.key, notebook),
    )
