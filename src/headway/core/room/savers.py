"""Who waits for a save, and to which path.

Floor 3. A list; what is written and when is `file`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headway.core.room.requests import Requests
    from headway.core.wire.rpc import Saved
    from headway.errors import HeadwayError

__all__ = ["Saver", "Savers"]


class Saver(NamedTuple):
    """A request for a save."""

    token: int
    target: str
    """Where to."""
    decides: bool = True
    """A person asks, who may bring a removed file back. The daemon may not, on its own account."""


class Savers:
    """Requests for saves that no write under way will answer, oldest first."""

    def __init__(self, requests: Requests) -> None:
        """Answers go to `requests`."""
        self._requests = requests
        self._waiting: list[Saver] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def first_target(self) -> str:
        """Where the oldest of them wants to save."""
        return self._waiting[0].target

    def add(self, saver: Saver) -> None:
        """One more."""
        self._waiting.append(saver)

    def put_back(self, savers: Iterable[Saver]) -> None:
        """These were taken, and their write came to nothing: they are the oldest again."""
        self._waiting[:0] = savers

    def take(self, target: str) -> tuple[Saver, ...]:
        """All that want to save to `target`; they do not wait here any more."""
        taken = tuple(each for each in self._waiting if each.target == target)
        self._waiting = [each for each in self._waiting if each.target != target]
        return taken

    def answer(self, target: str, saved: Saved) -> None:
        """Answer all that want to save to `target`."""
        for saver in self.take(target):
            self._requests.answer(saver.token, saved)

    def refuse(self, target: str | None, error: HeadwayError, *, undecided: bool = False) -> None:
        """Refuse all that want to save to `target`, or everybody (None).

        With `undecided` only those of them who may not decide.
        """
        refused = {
            each.token
            for each in self._waiting
            if target in (None, each.target) and not (undecided and each.decides)
        }
        self._waiting = [each for each in self._waiting if each.token not in refused]
        for token in sorted(refused):
            self._requests.refuse(token, error)
