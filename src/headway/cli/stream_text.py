"""The text of a stream output as it grows, at the cost of what changes.

Floor 6, pure. The older part of a long stream is sealed and never changes; the end of it is open
and may still be written over (a progress bar). So only the open part is compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import chain

__all__ = ["StreamText"]


class StreamText:
    """What a stream output says now, and where that differs from what it said before."""

    def __init__(self) -> None:
        self.name = ""
        """`stdout` or `stderr`."""
        self.length_before = 0
        """How many characters it had before the last change."""
        self.kept = 0
        """How many characters from its start the last change left as they were."""
        self._sealed: list[str] = []
        self._sealed_length = 0
        self._open = ""
        self._begins_again = False

    def __len__(self) -> int:
        return self._sealed_length + len(self._open)

    def begin_again(self, name: str) -> None:
        """The next change leaves nothing of what there is: it is another stream."""
        self.name = name
        self._begins_again = True

    def become(self, sealed: Iterable[str], text: str) -> None:
        """What was open is the pieces `sealed` now, which stay for good, and then `text`."""
        self.length_before = len(self)
        if self._begins_again:
            self._begins_again = False
            self._sealed, self._sealed_length, self._open = [], 0, ""
        fresh = list(sealed)
        self.kept = self._sealed_length + _common_length(self._open, "".join([*fresh, text]))
        self._sealed += fresh
        self._sealed_length += sum(map(len, fresh))
        self._open = text

    def grow(self, text: str) -> None:
        """It has this text more."""
        self.length_before = self.kept = len(self)
        self._open += text

    @property
    def has_changed(self) -> bool:
        """Whether the last change was one."""
        return not self.kept == self.length_before == len(self)

    @property
    def has_only_grown(self) -> bool:
        """Whether the last change took nothing away."""
        return self.kept == self.length_before

    def part(self, start: int, end: int | None = None) -> str:
        """Its characters from `start` to before `end`, or to the last."""
        stop = len(self) if end is None else end
        parts: list[str] = []
        begin = len(self)
        for piece in self._backwards():
            if begin <= start:
                break
            begin -= len(piece)
            if begin < stop:
                parts.append(piece[max(0, start - begin) : stop - begin])
        return "".join(reversed(parts))

    def last_newline(self, start: int, end: int) -> int | None:
        """Where the last line end is from `start` to before `end`, if there is one."""
        begin = len(self)
        for piece in self._backwards():
            begin -= len(piece)
            if begin < end:
                found = piece.rfind("\n", max(0, start - begin), end - begin)
                if found >= 0:
                    return begin + found
            if begin <= start:
                break
        return None

    def _backwards(self) -> Iterable[str]:
        return chain((self._open,), reversed(self._sealed))


def _common_length(one: str, other: str) -> int:
    """How many characters two texts have in common at their start."""
    if other.startswith(one):
        return len(one)
    lengths = range(1, min(len(one), len(other)) + 1)
    return bisect_left(lengths, True, key=lambda length: not other.startswith(one[:length]))
