"""What the notebook's file is known to have held: the base of the next merge, and those before it.

Floor 3, pure. A program that read the file, and writes it after we did, knows nothing of what we
wrote in between. So older bases are remembered, each with who wrote it; `file_base` says when one
of them counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["MAX_OLDER_BASES", "OLDER_BASE_BYTES", "Base", "Bases"]

MAX_OLDER_BASES = 6
"""Bases before the latest one that are remembered: what another program may have read last."""

OLDER_BASE_BYTES = 1024 * 1024
"""A larger one is not: each is read anew at a merge, and that must not take long."""


@dataclass(frozen=True, slots=True)
class Base:
    """What the file held."""

    content: bytes
    """Its image."""
    is_ours: bool = False
    """Whether we wrote it."""


class Bases:
    """The latest base, and those before it.

    Args:
        content: The image of what the file holds; None if there never was a file.
        sha256: Of its bytes.
    """

    def __init__(self, content: bytes | None, sha256: str | None) -> None:
        self.latest = None if content is None else Base(content)
        self.sha256 = sha256
        self._older: deque[Base] = deque(maxlen=MAX_OLDER_BASES)

    @property
    def all(self) -> tuple[Base, ...]:
        """The oldest first, the latest last."""
        return (*self._older, *(() if self.latest is None else (self.latest,)))

    def know(self, latest: Base, sha256: str) -> None:
        """The file holds this now."""
        before = self.latest if sha256 != self.sha256 else None
        if before is not None and len(before.content) <= OLDER_BASE_BYTES:
            self._older.append(before)
        self.latest, self.sha256 = latest, sha256
