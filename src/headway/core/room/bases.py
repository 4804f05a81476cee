"""What the notebook's file is known to have held: the base of the next merge, and those before it.

Floor 3, pure. A program that read the file, and writes it after we did, knows nothing of what we
wrote in between. So older bases are remembered (`file_merge` says when one of them counts), each
with whether edits of ours were written over it since: where all that came since was another
program's, there is nothing of ours to lose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.core.document.nbformat import ParsedCell
    from headway.core.document.notebook import Cell

__all__ = ["MAX_OLDER_BASES", "OLDER_BASE_BYTES", "Bases", "OlderBase", "Texts", "texts_of"]

MAX_OLDER_BASES = 6
"""Bases before the latest one that are remembered: what another program may have read last."""

OLDER_BASE_BYTES = 1024 * 1024
"""A larger one is not: each is read anew at a merge, and that must not take long."""

Texts = tuple[tuple[str, str, str], ...]
"""Of each cell the id, the type and the source, in order."""


def texts_of(cells: Iterable[Cell | ParsedCell]) -> Texts:
    """What is compared to see whether anybody has edited cells."""
    return tuple((cell.id, cell.cell_type, cell.source) for cell in cells)


@dataclass(frozen=True, slots=True)
class OlderBase:
    """What the file held before."""

    content: bytes
    has_ours_since: bool
    """Whether we wrote edits of ours over it."""


class Bases:
    """The latest base, and those before it.

    Args:
        content: The image of what the file holds; None if there never was a file.
        sha256: Of its bytes.
    """

    def __init__(self, content: bytes | None, sha256: str | None) -> None:
        self.content = content
        self.sha256 = sha256
        self._older: deque[OlderBase] = deque(maxlen=MAX_OLDER_BASES)
        self._texts: Texts | None = None

    @property
    def older(self) -> tuple[OlderBase, ...]:
        """Those before, the oldest first."""
        return tuple(self._older)

    def began(self, texts: Texts) -> None:
        """The document was opened with these cells, and the file holds all of it."""
        self._texts = texts

    def wrote(self, content: bytes, sha256: str, texts: Texts) -> None:
        """We wrote this, when the document had these cells."""
        self._push(content, sha256, is_ours=texts != self._texts)
        self._texts = texts

    def took(self, content: bytes, sha256: str, before: Texts, after: Texts | None) -> None:
        """The file holds this, and the document had the cells `before` when it was seen.

        `after` it was merged, or None if it was not: what is written over it next is ours.
        """
        self._push(content, sha256, is_ours=False)
        self._texts = after if before == self._texts else None

    def _push(self, content: bytes, sha256: str, *, is_ours: bool) -> None:
        if self.content is not None and len(self.content) <= OLDER_BASE_BYTES:
            self._older.append(OlderBase(self.content, has_ours_since=False))
        if is_ours:
            older = [replace(each, has_ours_since=True) for each in self._older]
            self._older = deque(older, maxlen=MAX_OLDER_BASES)
        self.content, self.sha256 = content, sha256
