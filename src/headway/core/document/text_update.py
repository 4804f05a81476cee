"""From one text to another in few steps, so that what others type meanwhile survives.

Not a merge: the engine merges. Chooses, by sizes alone and so the same way on every machine, how
fine a diff is worth its time.
"""

from __future__ import annotations

from collections.abc import Callable

from headway.core.document.handles import TextHandle

__all__ = ["MAX_DIFF_SIZE", "common_ends", "update_text"]

MAX_DIFF_SIZE = 2_000
"""Old size plus new size of what differs, in characters or lines: 20 ms at worst. The engine's diff
takes time like the square of this sum, however unequal the two are."""


def update_text(text: TextHandle, old: str, new: str) -> None:
    """Make `text`, which holds `old`, hold `new`; writes nothing if they are equal.

    A change in one place is one splice. Otherwise a diff by characters, beyond
    `MAX_DIFF_SIZE` by lines, and beyond it too one splice of all that differs.
    """
    if old == new:
        return
    prefix, suffix = common_ends(old, new)
    removed = old[prefix : len(old) - suffix]
    added = new[prefix : len(new) - suffix]
    if not removed or not added:
        _splice(text, prefix, len(removed), added)
    elif len(removed) + len(added) <= MAX_DIFF_SIZE:
        text.update(new)
    elif removed.count("\n") + added.count("\n") + 2 <= MAX_DIFF_SIZE:
        text.update_by_line(new)
    else:
        _splice(text, prefix, len(removed), added)


def common_ends(old: str, new: str) -> tuple[int, int]:
    """How many characters the texts share at the start and, beyond those, at the end."""
    shorter = min(len(old), len(new))
    prefix = _agreement(shorter, lambda start, end: old[start:end] == new[start:end])
    suffix = _agreement(
        shorter - prefix,
        lambda start, end: (
            old[len(old) - end : len(old) - start] == new[len(new) - end : len(new) - start]
        ),
    )
    return prefix, suffix


def _splice(text: TextHandle, index: int, delete: int, insert: str) -> None:
    if delete:
        text.delete(index, delete)
    if insert:
        text.insert(index, insert)


def _agreement(limit: int, equal: Callable[[int, int], bool]) -> int:
    """The largest n up to `limit` for which every stretch below n is equal, by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if equal(low, middle):
            low = middle
        else:
            high = middle - 1
    return low
