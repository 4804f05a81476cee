"""Which blobs the store refers to: read from every byte that it has, in a process of its own.

Floor 4, part of `store`. A blob's name is 64 hexadecimal digits, so whatever looks like one is a
reference. In results and files it stands there as it is. In a document it may be compressed: the
engine's snapshots were seen to hide 9 of 2,000 names from a search. So each document is loaded,
and searched as the updates of its whole history, which hold every value in full: a reference that
only a past state has counts too.

Anything that cannot be read, or was ever put aside as damaged, might have held a reference: then
there is no answer, and nothing may be removed.

`python -m headway.edges.store_references STORE` takes names on its input and gives those referred
to, then the line `complete`.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from headway.core.document.crdt import Replica, Version
from headway.edges.store_rows import checksum
from headway.edges.store_schema import open_reader
from headway.errors import HeadwayError, StoreError

__all__ = ["COMPLETE", "find_referenced", "main", "names_in", "referenced_in"]

COMPLETE = "complete"

NAME_CHARACTERS = 64

_RUN = re.compile(rb"[0-9a-f]{64,}")
_READER_PEER = 1
_SEARCH_TIMEOUT_S = 600.0
_LOWEST_PRIORITY = 19


async def find_referenced(store: Path, names: Collection[str]) -> frozenset[str]:
    """Those of `names` that the store may refer to. Raises StoreError if that is not known."""
    try:
        return await _searched(store, names)
    except TimeoutError as error:
        reason = f"The search took longer than {_SEARCH_TIMEOUT_S:.0f} s."
        raise _unknown(store, reason) from error
    except OSError as error:
        raise _unknown(store, f"The search could not be started: {error}.") from error


async def _searched(store: Path, names: Collection[str]) -> frozenset[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headway.edges.store_references", str(store)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_SEARCH_TIMEOUT_S):
            said, complaint = await process.communicate("\n".join(names).encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    lines = said.decode().split()
    if process.returncode != 0 or lines[-1:] != [COMPLETE]:
        reason = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise _unknown(store, reason)
    return frozenset(lines[:-1])


def _unknown(store: Path, reason: str) -> StoreError:
    return StoreError(
        f"Which blobs are in use could not be found out, so none is removed. {reason}",
        path=str(store),
    )


def referenced_in(connection: sqlite3.Connection, names: Collection[str]) -> frozenset[str]:
    """As `find_referenced`, here and now."""
    wanted = frozenset(name.encode() for name in names)
    found: set[bytes] = set()
    connection.execute("BEGIN")
    (damaged,) = connection.execute("SELECT count(*) FROM quarantine").fetchone()
    if damaged:
        raise StoreError("Damaged parts of the store are kept apart; they may refer to any blob.")
    for content in _everything(connection):
        found |= names_in(content, wanted)
    return frozenset(name.decode() for name in found)


def names_in(content: bytes, wanted: Collection[bytes]) -> set[bytes]:
    """Those of `wanted` that occur anywhere in `content`."""
    found: set[bytes] = set()
    for match in _RUN.finditer(content):
        run = match.group()
        for start in range(len(run) - NAME_CHARACTERS + 1):
            name = run[start : start + NAME_CHARACTERS]
            if name in wanted:
                found.add(name)
    return found


def _everything(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Every byte in which a reference can stand."""
    for execution_id, record, check in connection.execute(
        "SELECT id, record, record_checksum FROM executions WHERE record IS NOT NULL"
    ):
        yield _sound(execution_id, record, check)
    for (content,) in connection.execute(
        "SELECT file_content FROM documents WHERE file_content IS NOT NULL UNION ALL"
        " SELECT intended_content FROM documents WHERE intended_content IS NOT NULL"
    ):
        yield bytes(content)
    documents = connection.execute(
        "SELECT document FROM snapshots UNION SELECT document FROM updates"
    ).fetchall()
    for (document,) in documents:
        yield from _history(connection, document)


def _history(connection: sqlite3.Connection, document: str) -> Iterator[bytes]:
    row = connection.execute(
        "SELECT bytes, checksum FROM snapshots WHERE document = ?", (document,)
    ).fetchone()
    snapshot = None if row is None else _sound(document, *row)
    updates = [
        _sound(document, *update)
        for update in connection.execute(
            "SELECT bytes, checksum FROM updates WHERE document = ? ORDER BY seq", (document,)
        )
    ]
    replica = Replica.load(_READER_PEER, snapshot, updates)
    # Up to a version it is exported as updates, which are not compressed.
    yield replica.export(Version.EMPTY, replica.version())


def _sound(key: str, content: object, check: object) -> bytes:
    if not isinstance(content, bytes) or checksum(key, content) != check:
        raise StoreError(f"A row of {key} is damaged; it may refer to any blob.")
    return content


def main() -> int:
    """Search for the names on the standard input; gives the exit status."""
    os.nice(_LOWEST_PRIORITY)
    names = sys.stdin.read().split()
    try:
        with closing(open_reader(Path(sys.argv[1]))) as connection:
            found = referenced_in(connection, names)
    except (HeadwayError, sqlite3.Error) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("\n".join([*found, COMPLETE]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
