"""The store's tables, their versions, and how a database file is opened.

Floor 4, part of `store`. Decides whether a file may be used at all: a file of another program, a
damaged one or one that a newer Headway wrote is refused before the first byte of it is changed.
It reads and writes no rows; that is `store_rows`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from headway.edges.folders import sync_folder
from headway.errors import StoreFailed, StoreTooNew

__all__ = [
    "APPLICATION_ID",
    "QUARANTINE_VERSION",
    "SCHEMA_VERSION",
    "failure",
    "open_reader",
    "open_writer",
]

APPLICATION_ID = 0x48647779
"""In the file's header (SQLite file format, section 1.3.17): "Hdwy"."""

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another process, a database browser say, to let go."""

CACHED_STATEMENTS = 256
"""Prepared statements kept: each count of rows in one INSERT is a statement of its own."""

SHRINKABLE_BYTES = 64 * 1024 * 1024
"""A store of the first versions, which could not give space back, is rewritten if it is smaller."""

_INCREMENTAL = 2

_BEGINNING_SUFFIX = ".new"
"""What the name of an empty store ends with while it is being made."""

LOG_KEPT_BYTES = 32 * 1024 * 1024
"""The write-ahead log is cut back to this when one large write has blown it up."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # The tables are clustered by what a notebook is loaded by, so that one append touches
        # one leaf page of the write-ahead log and no index besides.
        """CREATE TABLE documents (
            id TEXT PRIMARY KEY, path TEXT UNIQUE, file_sha256 TEXT, file_content BLOB,
            created_s REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE updates (
            document TEXT NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL,
            checksum INTEGER NOT NULL, PRIMARY KEY (document, seq)
        ) WITHOUT ROWID""",
        """CREATE TABLE snapshots (
            document TEXT PRIMARY KEY, bytes BLOB NOT NULL, checksum INTEGER NOT NULL,
            through_seq INTEGER NOT NULL
        )""",
        "CREATE TABLE runtimes (notebook TEXT PRIMARY KEY, runtime TEXT NOT NULL) WITHOUT ROWID",
        "CREATE INDEX runtime_owners ON runtimes (runtime)",
        """CREATE TABLE executions (
            id TEXT PRIMARY KEY, notebook TEXT NOT NULL, runs_as TEXT NOT NULL,
            cell_id TEXT NOT NULL, source_sha256 TEXT NOT NULL, checksum INTEGER NOT NULL,
            record BLOB, record_checksum INTEGER
        )""",
        "CREATE INDEX unfinished_executions ON executions (notebook) WHERE record IS NULL",
    ),
    # A notebook is loaded with every execution id it ever accepted.
    ("CREATE INDEX executions_of_notebook ON executions (notebook)",),
    (
        # What was found damaged, as it was found. Nothing ever leaves this table by itself.
        """CREATE TABLE quarantine (
            id INTEGER PRIMARY KEY, found_s REAL NOT NULL, notebook TEXT NOT NULL,
            what TEXT NOT NULL, reason TEXT NOT NULL, bytes BLOB, checksum INTEGER
        )""",
        # Up to which minting time execution ids were forgotten; see `store_upkeep`.
        """CREATE TABLE horizons (
            notebook TEXT PRIMARY KEY, minted_ms INTEGER NOT NULL
        ) WITHOUT ROWID""",
        # Updates are numbered above this. The largest number in use is no place to begin: to find
        # it takes reading every update, and one bad page among them would stop everything.
        "CREATE TABLE numbers (reserved INTEGER NOT NULL)",
        """INSERT INTO numbers SELECT max(
            coalesce((SELECT max(seq) FROM updates), 0),
            coalesce((SELECT max(through_seq) FROM snapshots), 0)
        )""",
        # Written and removed again to prove that there is room on the disk; see `store_proof`.
        "CREATE TABLE probes (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    ),
    (
        # What the file is about to hold; see `FileIntended`.
        "ALTER TABLE documents ADD COLUMN intended_sha256 TEXT",
        "ALTER TABLE documents ADD COLUMN intended_content BLOB",
    ),
    (
        # An id is a notebook's: a copy of a notebook has the same cells, so that a batch of one
        # name has the same executions in both. The key begins with the id, by which it is found.
        """CREATE TABLE executions_of_notebooks (
            id TEXT NOT NULL, notebook TEXT NOT NULL, runs_as TEXT NOT NULL,
            cell_id TEXT NOT NULL, source_sha256 TEXT NOT NULL, checksum INTEGER NOT NULL,
            record BLOB, record_checksum INTEGER, PRIMARY KEY (id, notebook)
        )""",
        """INSERT INTO executions_of_notebooks (rowid, id, notebook, runs_as, cell_id,
            source_sha256, checksum, record, record_checksum) SELECT rowid, id, notebook, runs_as,
            cell_id, source_sha256, checksum, record, record_checksum FROM executions""",
        "DROP TABLE executions",
        "ALTER TABLE executions_of_notebooks RENAME TO executions",
        "CREATE INDEX unfinished_executions ON executions (notebook) WHERE record IS NULL",
        "CREATE INDEX executions_of_notebook ON executions (notebook)",
    ),
    (
        # An execution's record from its admission to its end; see `ExecutionAccepted`.
        "ALTER TABLE executions ADD COLUMN admission BLOB",
        "ALTER TABLE executions ADD COLUMN admission_checksum INTEGER",
    ),
)
"""What makes schema version n out of version n - 1, in order. Append; never change an entry."""

SCHEMA_VERSION = len(MIGRATIONS)

QUARANTINE_VERSION = 3
"""Since then a store tells what was found damaged."""


_MOVE = (
    "Keep a copy of it and move it away, with the files beside it that begin with its name, to "
    "start with an empty store; the notebooks' own files are not touched by that."
)
_ADVICE = {
    "FULL": "Free some space on its disk; Headway goes on by itself when there is some.",
    "CORRUPT": _MOVE,
    "NOTADB": _MOVE,
}
"""What to do, by SQLite's name of the error without what makes it special."""


def failure(path: Path, error: BaseException, doing: str) -> StoreFailed:
    """The StoreFailed for a database error; `doing` is a clause: "reading a notebook"."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    kind = name.removeprefix("SQLITE_").partition("_")[0]
    advice = _ADVICE.get(kind, "Check the disk, and start Headway again.")
    return StoreFailed(
        f"The store {path} failed while {doing}: {error}. {advice}", path=str(path), reason=name
    )


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; makes the file and brings its tables to SCHEMA_VERSION.

    Every COMMIT on it returns after the write-ahead log is fsynced. Checkpoints are the caller's
    to make. The connection may be used by one thread at a time, whichever it is. Raises
    StoreTooNew and StoreFailed.
    """
    try:
        if path.is_file() and path.stat().st_size > 0:
            _inspect(path)
        elif not path.is_dir():
            _make(path)
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        try:
            _configure(connection, path)
            _migrate(connection)
            _make_shrinkable(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise failure(path, error, "it was opened") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, for one thread at a time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _make(path: Path) -> None:
    """Put an empty store in place, whole.

    Made where it is, a crash in the middle would leave a database that can be read only after it
    was written to (its rollback journal), and such a file is refused.
    """
    beginning = path.with_name(path.name + _BEGINNING_SUFFIX)
    for leftover in (beginning, beginning.with_name(beginning.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(beginning, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(beginning, isolation_level=None)) as connection:
        _configure(connection, path)
    beginning.rename(path)
    sync_folder(path.parent)


def _inspect(path: Path) -> None:
    """Refuse a file that is no store of ours. It is opened for reading only, so not changed."""
    try:
        with closing(open_reader(path)) as connection:
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreFailed(
            f"{path} is damaged or is no Headway store ({error}). It was not changed. Move it "
            "away to start with an empty store, or put back a copy of it.",
            path=str(path),
            reason=getattr(error, "sqlite_errorname", type(error).__name__),
        ) from error
    if owner == 0 and version == 0 and tables == 0:
        return  # A crash came between the file and its first table.
    if owner != APPLICATION_ID:
        raise StoreFailed(
            f"{path} is a database of another program. It was not changed. Set HEADWAY_HOME to "
            "another folder, or move that file away.",
            path=str(path),
            reason="FOREIGN",
        )
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} was written by a newer Headway (schema {version}; this one knows "
            f"{SCHEMA_VERSION}). It was not changed. Upgrade Headway.",
            path=str(path),
            found=version,
            known=SCHEMA_VERSION,
        )


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    # Before anything else: it takes effect only in a database without a page.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreFailed(
            f"The folder of {path} cannot hold a write-ahead log (a network file system?). Set "
            "HEADWAY_HOME to a folder on a local disk.",
            path=str(path),
            reason="NO_WAL",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _make_shrinkable(connection: sqlite3.Connection, path: Path) -> None:
    """Rewrite an old store, once, so that freed pages can be given back later, a few at a time."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode != _INCREMENTAL and path.stat().st_size < SHRINKABLE_BYTES:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
