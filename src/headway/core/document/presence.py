"""Presence: who is here and where their cursors are.

Not a document: values expire, and nothing of them is stored or has a history.
"""

from __future__ import annotations

from typing import Any

from headway.core.document.crdt import new_presence_engine
from headway.core.document.gate import EngineLock, Gate
from headway.errors import InvalidUpdate

__all__ = ["PresenceStore"]


class PresenceStore:
    """A replica of the presence of everybody in one room.

    Its clock is the engine's own, in milliseconds: of two writes of one key within one millisecond
    the others ignore the second, a deletion too, so write a key at most once in a few.

    Args:
        timeout_s: how long a value lives that is not written again.
    """

    def __init__(self, timeout_s: float) -> None:
        self._gate = Gate(EngineLock(), InvalidUpdate)
        with self._gate:
            self._store = new_presence_engine(int(timeout_s * 1000))

    def apply(self, data: bytes) -> None:
        """Merge what another store encoded; InvalidUpdate for anything else."""
        with self._gate:
            self._store.apply(data)

    def encode_all(self) -> bytes:
        """Everything alive, for a newcomer. Deletions are not in it."""
        with self._gate:
            self._store.remove_outdated()
            return bytes(self._store.encode_all())

    def get_all(self) -> dict[str, Any]:
        """Key -> value, of everything alive."""
        with self._gate:
            self._store.remove_outdated()
            return dict(self._store.get_all_states())

    def set(self, key: str, value: Any) -> bytes:
        """Write a key; gives the bytes that tell the others."""
        with self._gate:
            self._store.set(key, value)
            return bytes(self._store.encode(key))

    def delete(self, key: str) -> bytes:
        """Remove a key; gives the bytes that tell the others."""
        with self._gate:
            self._store.delete(key)
            return bytes(self._store.encode(key))

    def remove_outdated(self) -> None:
        """Forget what expired. The engine's Python binding does not by itself."""
        with self._gate:
            self._store.remove_outdated()
