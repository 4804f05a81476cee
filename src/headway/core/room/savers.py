"""Who waits for a save, and to which path.

Floor 3. A list; what is written and when is `file`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.core.room.requests import Requests
    from headway.core.wire.rpc import Saved
    from headway.errors import HeadwayError

__all__ = ["Savers"]


class Savers:
    """Requests for saves that no write under way will answer, oldest first."""

    def __init__(self, requests: Requests) -> None:
        """Answers go to `requests`."""
        self._requests = requests
        self._waiting: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def first_target(self) -> str:
        """Where the oldest of them wants to save."""
        return self._waiting[0][1]

    def add(self, token: int, target: str) -> None:
        """One more."""
        self._waiting.append((token, target))

    def put_back(self, tokens: Iterable[int], target: str) -> None:
        """These were taken, and their write came to nothing: they are the oldest again."""
        self._waiting[:0] = [(token, target) for token in tokens]

    def take(self, target: str) -> tuple[int, ...]:
        """All that want to save to `target`; they do not wait here any more."""
        taken = tuple(token for token, path in self._waiting if path == target)
        self._waiting = [each for each in self._waiting if each[1] != target]
        return taken

    def answer(self, target: str, saved: Saved) -> None:
        """Answer all that want to save to `target`."""
        for token in self.take(target):
            self._requests.answer(token, saved)

    def refuse(self, target: str | None, error: HeadwayError) -> None:
        """Refuse all that want to save to `target`, or everybody (None)."""
        targets = [path for _, path in self._waiting] if target is None else [target]
        for each in targets:
            for token in self.take(each):
                self._requests.refuse(token, error)
