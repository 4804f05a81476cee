"""Looking a store over without opening it for use: what `headway doctor` tells.

Floor 4. It reads only, also while a daemon writes, and repairs nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from headway.edges.blobs import quarantined_blobs
from headway.edges.store_reading import read_notices
from headway.edges.store_schema import QUARANTINE_VERSION, open_reader

__all__ = ["examine"]

_MOST_PROBLEMS = 5


def examine(store: Path, blobs: Path | None = None) -> tuple[str, ...]:
    """What is wrong with the store at `store` and the blobs in `blobs`, a sentence each.

    Nothing when all is well or there is no store yet. Blocks: it reads the whole database.
    """
    found: list[str] = []
    if store.exists():
        try:
            with closing(open_reader(store)) as connection:
                found += _examine(store, connection)
        except sqlite3.Error as error:
            found.append(f"The store {store} is damaged and cannot be read: {error}.")
    count = 0 if blobs is None else quarantined_blobs(blobs)
    if count:
        found.append(f"{count} blobs in {blobs} were damaged on the disk and are kept apart.")
    return tuple(found)


def _examine(store: Path, connection: sqlite3.Connection) -> list[str]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    problems = [row[0] for row in connection.execute(f"PRAGMA quick_check({_MOST_PROBLEMS})")]
    found = [f"The store {store} is damaged: {each}." for each in problems if each != "ok"]
    if version >= QUARANTINE_VERSION:
        found += read_notices(connection, None)
    return found
