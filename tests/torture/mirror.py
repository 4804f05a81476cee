"""What is durable, read from the store's own database by nobody's code but this.

It follows the tables as another process would and imports what it finds into a document of its
own with the bare engine, so that "the daemon confirmed it" can be compared with "it is in the
database" at any moment.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import loro

__all__ = ["Mirror"]


class Mirror:
    """One notebook's document as the database has it."""

    def __init__(self, store: Path, document: str) -> None:
        self._connection = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
        self._document = document
        self._replica: Any = loro.LoroDoc()  # type: ignore[no-untyped-call]
        self._seen = 0
        self._snapshot = -1
        self._text = ""

    def holds(self, token: str) -> bool:
        """Whether a commit that is in the database brought this token, whatever came after."""
        return token in self._text or self._brought(token.encode()) or token in self._follow()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _brought(self, token: bytes) -> bool:
        """Whether a row that is not imported yet says so in plain text: most do, at once."""
        rows = self._connection.execute(
            "SELECT bytes FROM updates WHERE document = ? AND seq > ? ORDER BY seq DESC",
            (self._document, self._seen),
        )
        return any(token in update for (update,) in rows)

    def _follow(self) -> str:
        run = self._connection.execute
        run("BEGIN")
        try:
            snapshot = run(
                "SELECT through_seq, bytes FROM snapshots WHERE document = ? AND through_seq > ?",
                (self._document, self._snapshot),
            ).fetchone()
            updates = run(
                "SELECT seq, bytes FROM updates WHERE document = ? AND seq > ? ORDER BY seq",
                (self._document, self._seen),
            ).fetchall()
        finally:
            run("COMMIT")
        if snapshot is not None:
            self._snapshot = snapshot[0]
            self._replica.import_(snapshot[1])
        for seq, update in updates:
            self._seen = seq
            self._replica.import_(update)
        if snapshot is not None or updates:
            self._text = str(self._replica.get_deep_value())
        return self._text
