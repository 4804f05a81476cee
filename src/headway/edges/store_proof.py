"""What a store that failed must prove before it is trusted again.

Floor 4, part of `store`. After a failed write nobody knows what the system still has in memory
and never wrote. So a store is opened afresh, everything in its log is copied into the database
and synced, its structure is checked, and it must hold the last update that was ever confirmed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from headway.edges.store_schema import failure
from headway.errors import StoreDamaged

__all__ = ["PROBE_BYTES", "prove"]

PROBE_BYTES = 256 * 1024
"""This much must fit on the disk before a store is opened again."""


def prove(connection: sqlite3.Connection, path: Path, durable_seq: int) -> None:
    """Return if the store at `path` got as far as update `durable_seq`, is sound and has room.

    Blocks: reads the whole file. Raises StoreFailed while it cannot be written, StoreDamaged
    when it lost something.
    """
    try:
        _probe(connection)
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
        (last_seq,) = connection.execute(
            "SELECT max(coalesce((SELECT max(seq) FROM updates), 0),"
            " coalesce((SELECT max(through_seq) FROM snapshots), 0))"
        ).fetchone()
    except sqlite3.Error as error:
        raise failure(path, error, "it was opened again") from error
    if problems != ["ok"]:
        raise StoreDamaged(
            f"The store {path} is damaged: {problems[0]}. Keep a copy of it, then run headway "
            "doctor.",
            path=str(path),
            damaged=problems,
        )
    if last_seq < durable_seq:
        raise StoreDamaged(
            f"The store {path} has lost updates that were confirmed ({last_seq} of {durable_seq} "
            "are there). It is not used, so that nothing is written over what may be recovered.",
            path=str(path),
            damaged=[f"updates {last_seq + 1} to {durable_seq}"],
        )


def _probe(connection: sqlite3.Connection) -> None:
    # First of all the log goes into the database: a page of it that could not be synced must not
    # have anything confirmed behind it.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("INSERT INTO probes (bytes) VALUES (zeroblob(?))", (PROBE_BYTES,))
    connection.execute("DELETE FROM probes")
