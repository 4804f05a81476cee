"""What the store forgets in the end, and how it gives space back.

Floor 4, part of `store`. Ids of executions make "at most once" true, so they are kept long: the
newest of a notebook whatever their age, further ones for a month, within a bound on their number
and on the bytes of their results. What is forgotten leaves a horizon: the latest time at which any
of it was minted. An unknown id minted up to then is refused by the room instead of being run.

The horizon comes from ids alone. A clock that was wrong for a while can make the store forget
early, but never make a notebook refuse the ids of today.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headway.edges.store_schema import failure, open_reader
from headway.ids import DocumentId, ExecutionId, minted_ms

__all__ = [
    "EXECUTIONS_KEPT",
    "EXECUTIONS_KEPT_MS",
    "FREE_PAGES_KEPT",
    "MAX_EXECUTIONS",
    "MAX_RECORD_BYTES",
    "Forgotten",
    "OrphansGone",
    "Shrunk",
    "forget",
    "is_shrinkable",
    "plan_forgetting",
    "remove_orphans",
]

EXECUTIONS_KEPT = 10_000
"""So many of the newest executions of a notebook are kept however old they are."""

EXECUTIONS_KEPT_MS = 30 * 24 * 3600 * 1000
"""Older executions than those are kept for 30 days."""

MAX_EXECUTIONS = 100_000
"""No notebook keeps more executions than this, except those of the last day."""

MAX_RECORD_BYTES = 1024 * 1024 * 1024
"""Nor more bytes of their results than this."""

_ALWAYS_KEPT_MS = 24 * 3600 * 1000

FREE_PAGES_KEPT = 1024
"""Up to 4 MiB of free pages, or a quarter of the store, stay in the file for what comes next."""

_SHRINK_PAGES = 256
_FORGET_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Forgotten:
    """These executions are forgotten, and with them every id minted up to `horizon_ms`."""

    notebook: DocumentId
    executions: tuple[ExecutionId, ...]
    horizon_ms: int


@dataclass(frozen=True, slots=True)
class OrphansGone:
    """Rows of runtime documents that no notebook has any more are removed."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Some free pages are given back to the file system: one short transaction."""

    pages: int = _SHRINK_PAGES


def plan_forgetting(path: Path, now_ms: int) -> tuple[Forgotten, ...]:
    """What to forget of the store at `path`, in steps that are short to write. Reads only."""
    try:
        with closing(open_reader(path)) as connection:
            connection.execute("BEGIN")
            crowded = connection.execute(
                "SELECT notebook FROM executions GROUP BY notebook"
                " HAVING count(*) > ? OR sum(length(record)) > ?",
                (EXECUTIONS_KEPT, MAX_RECORD_BYTES),
            ).fetchall()
            return tuple(
                step
                for (notebook,) in crowded
                for step in _plan_notebook(connection, notebook, now_ms)
            )
    except sqlite3.Error as error:
        raise failure(path, error, "it was looked through") from error


def _plan_notebook(
    connection: sqlite3.Connection, notebook: DocumentId, now_ms: int
) -> Iterator[Forgotten]:
    old: list[tuple[ExecutionId, int]] = []
    size = 0
    rows = connection.execute(
        "SELECT id, coalesce(length(record), 0), record IS NULL AND runs_as = id"
        " FROM executions WHERE notebook = ? ORDER BY rowid DESC",
        (notebook,),
    )
    for place, (execution_id, length, is_unfinished) in enumerate(rows):
        size += length
        at_ms = minted_ms(execution_id)
        if is_unfinished or at_ms is None or at_ms > now_ms - _ALWAYS_KEPT_MS:
            continue
        is_late = place >= EXECUTIONS_KEPT and at_ms < now_ms - EXECUTIONS_KEPT_MS
        if is_late or place >= MAX_EXECUTIONS or size > MAX_RECORD_BYTES:
            old.append((execution_id, at_ms))
    old.reverse()
    for start in range(0, len(old), _FORGET_AT_ONCE):
        step = old[start : start + _FORGET_AT_ONCE]
        ids = tuple(execution_id for execution_id, _ in step)
        yield Forgotten(notebook, ids, max(at_ms for _, at_ms in step))


def forget(connection: sqlite3.Connection, entry: Forgotten) -> None:
    """Do what the entry says."""
    connection.execute(
        "INSERT INTO horizons (notebook, minted_ms) VALUES (?, ?)"
        " ON CONFLICT (notebook) DO UPDATE SET minted_ms = max(minted_ms, excluded.minted_ms)",
        (entry.notebook, entry.horizon_ms),
    )
    connection.executemany(
        "DELETE FROM executions WHERE id = ? AND notebook = ?",
        [(each, entry.notebook) for each in entry.executions],
    )


def remove_orphans(connection: sqlite3.Connection) -> None:
    """Remove what belongs to no document that is known."""
    for table in ("updates", "snapshots"):
        connection.execute(
            f"DELETE FROM {table} WHERE document IN (SELECT DISTINCT document FROM {table}"  # noqa: S608 - two constants
            " WHERE document GLOB 'rt-*' AND document NOT IN (SELECT runtime FROM runtimes))"
        )


def is_shrinkable(connection: sqlite3.Connection) -> bool:
    """Whether so many pages are free that some should be given back."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return bool(mode) and free > max(FREE_PAGES_KEPT, pages // 4)
